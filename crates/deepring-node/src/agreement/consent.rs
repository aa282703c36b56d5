//! Whether one validator set may follow another: an owner signs who, and the operators of the set that stands agree, each for his node.
//!
//! An owner who alone could say who keeps the log would control it: he would make a set of his own nodes. So a
//! validator votes for a docket with such an entry only if its operator approved that very entry, by its
//! digest, and without 2f + 1 of them it is never finalised. A leader proposes it when so many said that they
//! approved it, so that nothing else waits for those who do not. Who says that it approved and votes otherwise
//! costs each leader a turn, at most once in [`AGAIN`] heights.
//!
//! The founding set needs no approval: each operator started the node with it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use commonware_cryptography::ed25519;
use deepring_ledger::{Event, ValidatorSet};

use super::committee::Committees;
use super::submission::{EntryId, OpenedSubmission, Submission};

/// Heights until what was proposed in vain is proposed again by the same leader.
const AGAIN: u64 = 16;

/// Which entry that names the next validator set a node's operator approved: one at a time, as one at most can
/// follow. Whoever holds a clone can change it while the node runs.
#[derive(Debug, Clone, Default)]
pub struct SetApproval(Arc<RwLock<Option<EntryId>>>);

impl SetApproval {
    /// Approves this entry and no other, or none.
    pub fn set(&self, entry: Option<EntryId>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = entry;
    }

    /// The entry that is approved.
    #[must_use]
    pub fn get(&self) -> Option<EntryId> {
        *self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct Said {
    /// The approval that each peer stated last.
    by: BTreeMap<ed25519::PublicKey, EntryId>,
    /// The entry that was proposed here last, and after which height.
    proposed: Option<(EntryId, u64)>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Consent {
    founding: ValidatorSet,
    me: ed25519::PublicKey,
    approval: SetApproval,
    committees: Committees,
    said: Mutex<Said>,
}

impl Consent {
    pub(crate) fn new(
        founding: ValidatorSet,
        me: ed25519::PublicKey,
        approval: SetApproval,
        committees: Committees,
    ) -> Self {
        Self { founding, me, approval, committees, said: Mutex::default() }
    }

    /// Whether this needs the operators' approval to follow.
    pub(crate) fn is_needed(&self, opened: &OpenedSubmission) -> bool {
        matches!(opened.entry.event(), Event::ValidatorSet(set) if *set != self.founding)
    }

    /// Whether this node votes for it, as far as that is its operator's affair.
    pub(crate) fn votes_for(&self, opened: &OpenedSubmission) -> bool {
        !self.is_needed(opened) || self.approval.get() == Some(opened.submission.id())
    }

    /// The approval that this node states to the others.
    pub(crate) fn own(&self) -> Option<EntryId> {
        self.approval.get()
    }

    /// A peer said what it approved. It speaks for itself alone; peers are those that the network lets in.
    pub(crate) fn hear(&self, from: &ed25519::PublicKey, approved: Option<EntryId>) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        match approved {
            Some(entry) => said.by.insert(from.clone(), entry),
            None => said.by.remove(from),
        };
    }

    /// The entry that this node proposes after this height, if it waits: approved here and, as they say, by a quorum of the
    /// committee that stands.
    pub(crate) fn proposes(&self, height: u64) -> Option<EntryId> {
        let entry = self.approval.get()?;
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let lately = |(tried, at): (EntryId, u64)| tried == entry && height < at + AGAIN;
        if said.proposed.is_some_and(lately) {
            return None;
        }
        let approves = |voter: &ed25519::PublicKey| {
            *voter == self.me || said.by.get(voter).is_some_and(|approved| *approved == entry)
        };
        self.committees.has_quorum(approves).then_some(entry)
    }

    /// This node proposes these after this height.
    pub(crate) fn proposed(&self, submissions: &[Submission], height: u64) {
        let Some(entry) = self.approval.get() else { return };
        if submissions.iter().any(|submission| submission.id() == entry) {
            let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
            said.proposed = Some((entry, height));
        }
    }
}

#[cfg(test)]
mod tests;
