//! One pass over the entries, rebuilding the tree beside the stored one.

use redb::{ReadableTable, ReadableTableMetadata};
use tlog_tiles::tlog::{Hash, record_hash, stored_hash_count, stored_hash_index};

use super::report::{Defect, LedgerReport};
use crate::checkpoint::Checkpoint;
use crate::entry::UnverifiedEntry;
use crate::error::{LedgerError, failure};
use crate::store::Snapshot;
use crate::tree::Frontier;

/// The trees that come out of a pass.
///
/// Two trees are built: one from the entries, one from the leaf hashes as stored. If an entry and
/// its stored leaf differ, one of them was changed; whichever tree has the signed root says which.
pub(super) struct Walk {
    signed: Option<(u64, Hash)>,
    from_entries: Frontier,
    from_leaves: Frontier,
    /// Size of the checkpoint file's tree, and the root of that many entries once reached.
    saved: Option<(u64, Option<Hash>)>,
    /// Entries that differ from their stored leaf.
    differing: Vec<u64>,
    decisions: u64,
}

impl Walk {
    pub(super) fn new(signed: Option<&Checkpoint>, saved: Option<u64>) -> Self {
        let from_entries = Frontier::default();
        let saved = saved.map(|size| (size, (size == 0).then(|| from_entries.root())));
        Self {
            signed: signed.map(|signed| (signed.size(), signed.root_hash())),
            from_entries,
            from_leaves: Frontier::default(),
            saved,
            differing: Vec::new(),
            decisions: 0,
        }
    }

    /// Reads all entries; those beyond the signed size or a gap are not taken into the tree.
    pub(super) fn entries(
        &mut self,
        snapshot: &Snapshot,
        report: &mut LedgerReport,
    ) -> Result<(), LedgerError> {
        let fail = |e| failure(&snapshot.path, e);
        let limit = self.signed.map_or(u64::MAX, |(size, _)| size);
        for row in snapshot.entries.iter().map_err(fail)? {
            let (index, bytes) = row.map_err(fail)?;
            let (index, bytes) = (index.value(), bytes.value());
            if index >= limit {
                report.add(Some(index), Defect::EntryUnsigned);
            } else if index != self.size() {
                // Without the missing entry no tree can be built beyond it.
                report.add(Some(self.size()), Defect::EntryMissing);
                break;
            } else {
                self.entry(snapshot, index, bytes, report)?;
            }
        }
        self.blame(report);
        Ok(())
    }

    fn entry(
        &mut self,
        snapshot: &Snapshot,
        index: u64,
        bytes: &[u8],
        report: &mut LedgerReport,
    ) -> Result<(), LedgerError> {
        match UnverifiedEntry::decode(bytes) {
            Ok(entry) => self.decisions += u64::from(entry.claimed_decision().is_some()),
            Err(source) => report.add(Some(index), Defect::EntryUnreadable { source }),
        }
        let leaf = record_hash(bytes);
        let position = stored_hash_index(0, index);
        let stored = stored(snapshot, position)?;
        if stored != Some(leaf) {
            self.differing.push(index);
        }
        self.from_entries.push(leaf);
        // Inner hashes are compared with the tree over the stored leaves, so that one altered
        // entry is one finding and not one for every hash above it.
        let completed = self.from_leaves.push(stored.unwrap_or(leaf));
        for (level, hash) in completed.iter().enumerate().skip(1) {
            if self::stored(snapshot, position + level as u64)? != Some(*hash) {
                let first = (index + 1) - (1 << level);
                report.add(None, Defect::Hash { first, last: index });
            }
        }
        if let Some((size, root @ None)) = &mut self.saved
            && *size == self.from_entries.size()
        {
            *root = Some(self.from_entries.root());
        }
        Ok(())
    }

    /// Reports, for each entry that differs from its stored leaf, which of the two was changed.
    fn blame(&self, report: &mut LedgerReport) {
        let entries_hold = self
            .signed
            .is_some_and(|(size, root)| size == self.size() && root == self.from_entries.root());
        for index in &self.differing {
            report.add(
                Some(*index),
                match entries_hold {
                    true => Defect::Hash { first: *index, last: *index },
                    false => Defect::EntryAltered,
                },
            );
        }
    }

    /// Finds hashes that are stored without an entry.
    pub(super) fn count_hashes(
        &self,
        snapshot: &Snapshot,
        report: &mut LedgerReport,
    ) -> Result<(), LedgerError> {
        let found = snapshot.hashes.len().map_err(|e| failure(&snapshot.path, e))?;
        let expected = stored_hash_count(self.size());
        if found != expected {
            report.add(None, Defect::HashCount { expected, found });
        }
        Ok(())
    }

    pub(super) fn size(&self) -> u64 {
        self.from_entries.size()
    }

    pub(super) fn root(&self) -> Hash {
        self.from_entries.root()
    }

    /// Root of as many entries as the checkpoint file commits to, if there are that many.
    pub(super) fn saved_root(&self) -> Option<Hash> {
        self.saved.and_then(|(_, root)| root)
    }

    /// Entries that record decisions; the index has a row for each.
    pub(super) fn decisions(&self) -> u64 {
        self.decisions
    }
}

fn stored(snapshot: &Snapshot, position: u64) -> Result<Option<Hash>, LedgerError> {
    let hash = snapshot.hashes.get(position).map_err(|e| failure(&snapshot.path, e))?;
    Ok(hash.map(|hash| Hash(*hash.value())))
}
