//! Questions to a ledger: what its entries come to, and where a decision is.
//!
//! The first question reads every entry of the ledger once and verifies them against the signed
//! root. So the answer is that of the whole ledger, also where it is "none".

use deepring::trust::OwnedRing;
use deepring::{Digest, RingId};

use crate::entry::{Entry, EntryError, Event};
use crate::error::LedgerError;
use crate::ledger::Ledger;
use crate::state::{State, Version};

impl Ledger {
    /// Index of the entry that records the decision (or batch) with this id; the first, if several.
    /// An entry whose author had no authority when it was recorded is passed over.
    ///
    /// A decision that is found is in the ledger. This question goes through an index in the
    /// database, from which an attacker that can write to it can remove rows: `None` may be false
    /// until [`Ledger::verify`] is run.
    ///
    /// # Errors
    /// As [`Ledger::entry`].
    pub fn find_decision(&self, id: &Digest) -> Result<Option<u64>, LedgerError> {
        let state = self.state()?;
        self.store().read(|snapshot| {
            // A reader's database may have grown since.
            for index in snapshot.decision(&id.0)?.into_iter().filter(|i| *i < self.len()) {
                match self.entry_in(snapshot, index) {
                    Ok(entry) if records(state, index, &entry, id) => return Ok(Some(index)),
                    Ok(_)
                    | Err(LedgerError::EntryUnreadable { source: EntryError::NotSigned, .. }) => {}
                    Err(e) => return Err(e),
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

fn records(state: &State, index: u64, entry: &Entry, id: &Digest) -> bool {
    match entry.event() {
        Event::Decisions { decision_id, ring_digest, .. } if decision_id == id => {
            state.refuse_decisions(entry.author(), ring_digest, index).is_none()
        }
        _ => false,
    }
}
