//! The rows of the database at one moment, as they are read.

use std::ops::Range;
use std::path::{Path, PathBuf};

use redb::{Database, ReadOnlyMultimapTable, ReadOnlyTable, ReadTransaction, ReadableDatabase};
use tlog_tiles::tlog::{Hash, tree_hash};

use super::{DECISIONS, ENTRIES, HASHES, META, META_HEIGHT, META_STATE, STATE};
use crate::checkpoint::MAX_CHECKPOINT_TEXT;
use crate::entry::MAX_ENTRY_BYTES;
use crate::error::{LedgerError, failure};
use crate::tree::with_hashes;

/// Most bytes of a row of `meta`: none is longer than a checkpoint with its cosignatures.
const MAX_META: usize = MAX_CHECKPOINT_TEXT;

/// The tables at one moment.
pub(crate) struct Snapshot {
    pub(crate) path: PathBuf,
    pub(crate) transaction: ReadTransaction,
    pub(crate) meta: ReadOnlyTable<&'static str, &'static str>,
    pub(crate) state: ReadOnlyTable<&'static str, &'static [u8]>,
    pub(crate) entries: ReadOnlyTable<u64, &'static [u8]>,
    pub(crate) hashes: ReadOnlyTable<u64, &'static [u8; 32]>,
    pub(crate) decisions: ReadOnlyMultimapTable<&'static [u8; 32], u64>,
}

/// A height of an agreement, and the indices of the entries that it brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Height {
    pub(crate) height: u64,
    pub(crate) entries: Range<u64>,
}

impl Snapshot {
    pub(super) fn of(database: &Database, path: &Path) -> Result<Self, LedgerError> {
        let txn = database.begin_read().map_err(|e| failure(path, e))?;
        Ok(Self {
            path: path.to_owned(),
            meta: txn.open_table(META).map_err(|e| failure(path, e))?,
            state: txn.open_table(STATE).map_err(|e| failure(path, e))?,
            entries: txn.open_table(ENTRIES).map_err(|e| failure(path, e))?,
            hashes: txn.open_table(HASHES).map_err(|e| failure(path, e))?,
            decisions: txn.open_multimap_table(DECISIONS).map_err(|e| failure(path, e))?,
            transaction: txn,
        })
    }

    pub(crate) fn meta(&self, name: &str) -> Result<Option<String>, LedgerError> {
        match self.meta_row(name)? {
            Some(None) => {
                let what = format!("`{name}` has more than {MAX_META} bytes");
                Err(LedgerError::damaged(&self.path, what))
            }
            row => Ok(row.flatten()),
        }
    }

    /// The row, if there is one; its text, if that is no longer than any.
    fn meta_row(&self, name: &str) -> Result<Option<Option<String>>, LedgerError> {
        let value = self.meta.get(name).map_err(|e| failure(&self.path, e))?;
        let text = |text: &str| (text.len() <= MAX_META).then(|| text.to_owned());
        Ok(value.map(|value| text(value.value())))
    }

    /// The stored state with its note; nothing is verified.
    pub(crate) fn state(&self) -> Result<Option<(String, Vec<u8>)>, LedgerError> {
        let note = self.meta_row(META_STATE)?.flatten();
        let bytes = self.state.get(META_STATE).map_err(|e| failure(&self.path, e))?;
        Ok(note.zip(bytes.map(|bytes| bytes.value().to_vec())))
    }

    /// The newest height of an agreement that was recorded, with the entries that it brought.
    pub(crate) fn height(&self) -> Result<Option<Height>, LedgerError> {
        let Some(row) = self.meta(META_HEIGHT)? else { return Ok(None) };
        let numbers: Vec<u64> = row.split(' ').map_while(|n| n.parse().ok()).collect();
        match numbers[..] {
            [height, start, end] if start <= end && format!("{height} {start} {end}") == row => {
                Ok(Some(Height { height, entries: start..end }))
            }
            _ => Err(LedgerError::damaged(&self.path, "the height is no height")),
        }
    }

    /// The bytes in an entry's row; `None` where there is none, or one longer than any entry.
    pub(crate) fn entry(&self, index: u64) -> Result<Option<Vec<u8>>, LedgerError> {
        let value = self.entries.get(index).map_err(|e| failure(&self.path, e))?;
        Ok(value.and_then(|value| copied(value.value())))
    }

    /// Indices of the entries that the index lists for a decision, ascending.
    pub(crate) fn decision(&self, id: &[u8; 32]) -> Result<Vec<u64>, LedgerError> {
        let rows = self.decisions.get(id).map_err(|e| failure(&self.path, e))?;
        rows.map(|row| Ok(row.map_err(|e| failure(&self.path, e))?.value())).collect()
    }

    /// The entries of a range of indices, as many of them as there are without a gap and without a
    /// row longer than any entry.
    pub(crate) fn entries(&self, range: Range<u64>) -> Result<Vec<Vec<u8>>, LedgerError> {
        let fail = |e| failure(&self.path, e);
        let mut entries = Vec::new();
        for (row, due) in self.entries.range(range.clone()).map_err(fail)?.zip(range) {
            let (index, bytes) = row.map_err(fail)?;
            match copied(bytes.value()) {
                Some(bytes) if index.value() == due => entries.push(bytes),
                _ => break,
            }
        }
        Ok(entries)
    }

    /// Root of the tree over the first `size` entries, from the stored hashes.
    pub(crate) fn root(&self, size: u64) -> Result<Hash, LedgerError> {
        with_hashes(&self.path, &self.hashes, |hashes| tree_hash(size, hashes))
    }
}

fn copied(entry: &[u8]) -> Option<Vec<u8>> {
    (entry.len() <= MAX_ENTRY_BYTES).then(|| entry.to_vec())
}
