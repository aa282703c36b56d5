//! The entries about each ring or key, built from all entries and from nothing else.

use std::collections::BTreeMap;

use tlog_tiles::tlog::record_hash;

use crate::checkpoint::Checkpoint;
use crate::entry::{Entry, Subject};
use crate::error::{LedgerError, failure};
use crate::store::Snapshot;
use crate::tree::Frontier;

/// Indices of the entries about each subject, ascending.
///
/// "Not revoked" and "no newer version" are answers about entries that are *not* there. An index in
/// the database could give them falsely, since no checkpoint commits to it. So this one is built in
/// memory, in one pass over the entries that also verifies that they have the signed root: no entry
/// of the ledger is left out of it. Decisions, the bulk of a ledger, take no room in it.
#[derive(Debug, Default)]
pub(crate) struct Register {
    about: BTreeMap<Subject, Vec<u64>>,
}

impl Register {
    /// Reads every entry that `head` commits to.
    pub(crate) fn of(snapshot: &Snapshot, head: &Checkpoint) -> Result<Self, LedgerError> {
        let fail = |e| failure(&snapshot.path, e);
        let mut register = Self::default();
        let mut tree = Frontier::default();
        for row in snapshot.entries.range(0..head.size()).map_err(fail)? {
            let (index, bytes) = row.map_err(fail)?;
            let index = index.value();
            tree.push(record_hash(bytes.value()));
            let entry = Entry::decode(bytes.value())
                .map_err(|source| LedgerError::EntryUnreadable { index, source })?;
            register.add(index, &entry);
        }
        // Also fails where entries are missing: the root of fewer leaves is another.
        if tree.size() != head.size() || tree.root() != head.root_hash() {
            return Err(LedgerError::damaged(
                &snapshot.path,
                "entries do not have the signed root",
            ));
        }
        Ok(register)
    }

    pub(crate) fn add(&mut self, index: u64, entry: &Entry) {
        for subject in entry.subjects() {
            self.about.entry(subject).or_default().push(index);
        }
    }

    pub(crate) fn about(&self, subject: &Subject) -> &[u64] {
        self.about.get(subject).map(Vec::as_slice).unwrap_or_default()
    }
}
