//! Tags for the rows of a table, so that a run pays for the rows it gathers and not for the table.

use deepring::Part;

use super::anatomy::Table;
use crate::engine::{Elements, View};
use crate::mac::{MacKey, Place, Tag};

/// A tag for each row.
pub(crate) struct RowTags {
    table: Table,
    /// Which of the block's tables this is; part of every tag's place.
    number: u32,
    start: usize,
    tags: Vec<Tag>,
}

/// A row that is not what it was, or a row number that is none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadRow {
    pub(crate) part: usize,
    /// The row's bytes in the block's plaintext; the whole table's where the number is none.
    pub(crate) range: std::ops::Range<usize>,
}

impl RowTags {
    pub(crate) fn of(
        key: &MacKey,
        number: u32,
        table: &Table,
        parts: &[Part],
        bytes: &[u8],
    ) -> Option<Self> {
        let start = usize::try_from(parts.get(table.part)?.offset).ok()?;
        let whole = bytes.get(start..start.checked_add(table.rows.checked_mul(table.row_len)?)?)?;
        u32::try_from(table.rows).ok()?;
        let tags = whole.chunks_exact(table.row_len).zip(0..);
        let tags = tags.map(|(row, i)| key.tag(Place::Row(number, i), row));
        Some(Self { table: table.clone(), number, start, tags: tags.collect::<Option<_>>()? })
    }

    pub(crate) fn part(&self) -> usize {
        self.table.part
    }

    pub(crate) fn indices(&self) -> &str {
        &self.table.indices
    }

    /// Checks the rows that `indices` names. A negative number counts from the end, as in ONNX.
    pub(crate) fn check(
        &self,
        key: &MacKey,
        bytes: &[u8],
        indices: &View<'_>,
    ) -> Result<(), BadRow> {
        let whole = self.start..self.start + self.table.rows * self.table.row_len;
        let none = || BadRow { part: self.table.part, range: whole.clone() };
        let Elements::I32(indices) = &indices.elements else { return Err(none()) };
        for index in indices.iter() {
            let from_end = if *index < 0 { self.table.rows as i64 } else { 0 };
            let row = usize::try_from(i64::from(*index) + from_end).map_err(|_| none())?;
            let tag = self.tags.get(row).ok_or_else(none)?;
            let at = self.start + row * self.table.row_len;
            let range = at..at + self.table.row_len;
            let live = bytes.get(range.clone()).ok_or_else(none)?;
            // Fits: there were no more rows than 32 bits number when the tags were made.
            if !key.fits(Place::Row(self.number, row as u32), live, tag) {
                return Err(BadRow { part: self.table.part, range });
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for RowTags {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RowTags").field("rows", &self.tags.len()).finish_non_exhaustive()
    }
}
