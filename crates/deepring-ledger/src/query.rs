//! Questions to a ledger: what its entries come to, and where a decision is.
//!
//! The first question reads every entry of the ledger once and verifies them against the signed
//! root. So the answer is that of the whole ledger, also where it is "none".

use deepring::trust::OwnedRing;
use deepring::{Decision, Digest, RingId};

use crate::entry::{Entry, EntryError, Event};
use crate::error::LedgerError;
use crate::ledger::Ledger;
use crate::state::{State, Version};

impl Ledger {
    /// Index of the entry that records this decision (or batch); the first, if several. An entry is
    /// passed over whose author had no authority when it was recorded, and one that says this id of
    /// another ring or of another number of queries: whoever knows the id can write it.
    ///
    /// A decision that is found is in the ledger. This question goes through an index in the
    /// database, from which an attacker that can write to it can remove rows: `None` may be false
    /// until [`Ledger::verify`] is run.
    ///
    /// # Errors
    /// As [`Ledger::entry`].
    pub fn find_decision(&self, decision: &Decision) -> Result<Option<u64>, LedgerError> {
        let ring_digest = decision.chain().opening().ring_digest;
        self.find_decided(&ring_digest, &decision.id(), decision.items().len())
    }

    /// As [`find_decision`](Self::find_decision), by what an entry says of it: the ring's digest, the
    /// decision's id, and its number of queries.
    ///
    /// # Errors
    /// As [`Ledger::entry`].
    pub fn find_decided(
        &self,
        ring_digest: &Digest,
        id: &Digest,
        count: usize,
    ) -> Result<Option<u64>, LedgerError> {
        let state = self.state()?;
        self.store().read(|snapshot| {
            // A reader's database may have grown since.
            for index in snapshot.decision(&id.0)?.into_iter().filter(|i| *i < self.len()) {
                match self.entry_in(snapshot, index) {
                    Ok(entry) if records(state, index, &entry, (ring_digest, id, count)) => {
                        return Ok(Some(index));
                    }
                    Ok(_)
                    | Err(LedgerError::EntryUnreadable { source: EntryError::NotSigned, .. }) => {}
                    Err(e) => return Err(e),
                }
            }
            Ok(None)
        })
    }

    /// As [`find_decision`](Self::find_decision), by the decision's id alone: the first entry whose author had authority to record one
    /// of this id. Which ring it is of, and of how many queries, is what that entry says.
    ///
    /// # Errors
    /// As [`Ledger::entry`].
    pub fn find_decision_id(&self, id: &Digest) -> Result<Option<u64>, LedgerError> {
        let state = self.state()?;
        self.store().read(|snapshot| {
            for index in snapshot.decision(&id.0)?.into_iter().filter(|i| *i < self.len()) {
                let entry = self.entry_in(snapshot, index)?;
                if let Event::Decisions { ring_digest, decision_id, dealt, .. } = entry.event()
                    && decision_id == id
                    && state.refuse_decisions(&entry, (ring_digest, *dealt), index).is_none()
                {
                    return Ok(Some(index));
                }
            }
            Ok(None)
        })
    }

    /// The newest version of a ring that is registered: its model version and its digest.
    ///
    /// # Errors
    /// As [`Ledger::state`].
    pub fn newest_version(&self, ring: &RingId) -> Result<Option<(u64, Digest)>, LedgerError> {
        let newest = self.state()?.newest(ring);
        Ok(newest.map(|outline| (outline.model_version(), outline.ring_digest())))
    }

    /// The first entry before index `before` in which the ring's owner has a newer version of it
    /// than `version`, and that version: a host that decided with `version` after it used an old
    /// one.
    ///
    /// # Errors
    /// As [`Ledger::state`].
    pub fn upgraded_before(
        &self,
        ring: &OwnedRing,
        version: u64,
        before: u64,
    ) -> Result<Option<(u64, u64)>, LedgerError> {
        let state = self.state()?;
        let of = state.ring_of_key(ring);
        let versions = of.map(|of| of.versions.as_slice()).unwrap_or_default();
        let newer = |v: &&Version| v.entry() < before && v.model_version() > version;
        Ok(versions.iter().find(newer).map(|v| (v.entry(), v.model_version())))
    }
}

fn records(
    state: &State,
    index: u64,
    entry: &Entry,
    (of, id, queries): (&Digest, &Digest, usize),
) -> bool {
    let Event::Decisions { ring_digest, decision_id, count, dealt } = entry.event() else {
        return false;
    };
    (ring_digest, decision_id) == (of, id)
        && usize::try_from(*count) == Ok(queries)
        && state.refuse_decisions(entry, (ring_digest, *dealt), index).is_none()
}
