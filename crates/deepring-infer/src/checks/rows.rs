//! Rows that a run gathered from a table, verified as they were gathered.
//!
//! The tag is of the row that came out, a bit copy of the table's, so there is no moment between its check and
//! its use. The tag binds the row's number.

use super::operators::GatherTable;
use super::vault::{OpenVault, ReadError, Vault, VerifiedReader};
use crate::engine::{Elements, View};
use crate::mac::{Mac, TagDomain};

/// A row that is not that of the table, or a row number that is none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadRow {
    pub(crate) part: usize,
    /// The row, if there is one.
    pub(crate) row: Option<usize>,
}

impl GatherTable {
    /// Bytes of all rows. `None` if they do not fit this machine or the numbers of rows do not fit a tag.
    pub(crate) fn len(&self) -> Option<usize> {
        u32::try_from(self.rows).ok()?;
        self.rows.checked_mul(self.row_len)
    }

    /// Tags every row as it is in the live bytes, which must be those that have their tags.
    pub(crate) fn tag_rows(
        &self,
        number: usize,
        reader: &VerifiedReader<'_>,
        vault: &mut OpenVault,
    ) -> Result<(), ReadError> {
        let number_u32 = u32::try_from(number).map_err(|_| ReadError::Stopped)?;
        reader.rows(self.part, self.row_len, |first, rows| {
            for (row, bytes) in (first..).zip(rows.chunks_exact(self.row_len)) {
                let domain = TagDomain::Row(number_u32, u32::try_from(row).ok()?);
                vault.note_row(number, row, &reader.mac.tag(domain, bytes)?)?;
            }
            Some(())
        })
    }

    /// Verifies what was gathered. Returns how many rows. A negative number counts from the end, as in ONNX.
    pub(crate) fn verify(
        &self,
        number: usize,
        vault: &Vault,
        mac: &Mac,
        indices: &View<'_>,
        gathered: &View<'_>,
    ) -> Result<u64, BadRow> {
        let bad = |row| BadRow { part: self.part, row };
        let indices_dims = &indices.dims;
        let Elements::I32(indices) = &indices.elements else { return Err(bad(None)) };
        let bytes: &[u8] = match &gathered.elements {
            Elements::F32(v) => bytemuck::cast_slice(v),
            Elements::I32(v) => bytemuck::cast_slice(v),
            Elements::I8(v) => bytemuck::cast_slice(v),
            Elements::U8(v) => v,
        };
        // Of each index one row, in the places of the indices, as they are shaped.
        let dims = indices_dims.iter().chain(&self.row_dims);
        let fits = gathered.dims.iter().eq(dims);
        if !fits || Some(bytes.len()) != indices.len().checked_mul(self.row_len) {
            return Err(bad(None));
        }
        let number_u32 = u32::try_from(number).map_err(|_| bad(None))?;
        for (index, bytes) in indices.iter().zip(bytes.chunks_exact(self.row_len)) {
            let from_end = if *index < 0 { self.rows as i64 } else { 0 };
            let row = usize::try_from(i64::from(*index) + from_end).map_err(|_| bad(None))?;
            let tag = vault.tag_of_row(number, row).ok_or_else(|| bad(None))?;
            // Fits: there were no more rows than 32 bits number when the tags were made.
            if !mac.matches(TagDomain::Row(number_u32, row as u32), bytes, tag) {
                return Err(bad(Some(row)));
            }
        }
        Ok(indices.len() as u64)
    }
}
