//! Questions to a ledger: which version is newest, what is revoked, which blocks are quarantined.
//!
//! The first question about a ring or a key reads every entry of the ledger once and verifies them
//! against the signed root. So the answer is that of the whole ledger, also where it is "none".

use std::collections::BTreeSet;

use crate::entry::{Entry, Event, Subject};
use crate::error::LedgerError;
use crate::ledger::Ledger;

impl Ledger {
    /// Index of the entry that records the decision (or batch) with this id; the first, if several.
    ///
    /// A decision that is found is in the ledger. This question goes through an index in the
    /// database, from which an attacker that can write to it can remove rows: `None` may be false
    /// until [`Ledger::verify`] is run.
    ///
    /// # Errors
    /// As [`Ledger::entry`].
    pub fn find_decision(&self, id: &[u8; 32]) -> Result<Option<u64>, LedgerError> {
        self.store().read(|snapshot| {
            for index in snapshot.decision(id)? {
                if self.entry_in(snapshot, index)?.decision() == Some(*id) {
                    return Ok(Some(index));
                }
            }
            Ok(None)
        })
    }

    /// The highest model version that was registered for a ring, and that version's ring digest.
    ///
    /// The ledger takes the recorder's word for the owner of a ring. A caller that does not trust
    /// everybody who may append checks the owner and the closure signature of the entries that
    /// [`Ledger::about_ring`] returns.
    ///
    /// # Errors
    /// As [`Ledger::entry`].
    pub fn newest_version(
        &self,
        ring_id: &[u8; 16],
    ) -> Result<Option<(u64, [u8; 32])>, LedgerError> {
        let mut newest: Option<(u64, [u8; 32])> = None;
        for (_, entry) in self.about_ring(ring_id)? {
            if let Event::RingRegistered { ring_id: id, ring_digest, model_version, .. }
            | Event::RingUpgraded { ring_id: id, ring_digest, model_version, .. } = entry.event
                && id == *ring_id
                && newest.is_none_or(|(version, _)| model_version >= version)
            {
                newest = Some((model_version, ring_digest));
            }
        }
        Ok(newest)
    }

    /// Every entry about a ring in any of its versions, except decisions, in the order recorded.
    ///
    /// # Errors
    /// As [`Ledger::entry`].
    pub fn about_ring(&self, ring_id: &[u8; 16]) -> Result<Vec<(u64, Entry)>, LedgerError> {
        self.about(&Subject::Ring(*ring_id))
    }

    /// Index of the entry that revokes this version of a ring, if one does.
    ///
    /// # Errors
    /// As [`Ledger::entry`].
    pub fn ring_revocation(&self, ring_digest: &[u8; 32]) -> Result<Option<u64>, LedgerError> {
        let about = self.about(&Subject::RingVersion(*ring_digest))?;
        let revoked = about.iter().find(
            |(_, entry)| matches!(&entry.event, Event::RingRevoked { ring_digest: d, .. } if d == ring_digest),
        );
        Ok(revoked.map(|(index, _)| *index))
    }

    /// Index of the entry that revokes this key, if one does.
    ///
    /// # Errors
    /// As [`Ledger::entry`].
    pub fn key_revocation(&self, key: &[u8; 64]) -> Result<Option<u64>, LedgerError> {
        let about = self.about(&Subject::Key(*key))?;
        let revoked = about.iter().find(
            |(_, entry)| matches!(&entry.event, Event::KeyRevoked { key: k, .. } if k == key),
        );
        Ok(revoked.map(|(index, _)| *index))
    }

    /// Blocks of this version of a ring that an alarm names and no later repair restores.
    ///
    /// An alarm that names no block (the closure, the file as a whole) quarantines none; it is
    /// among the entries that [`Ledger::about_ring`] returns.
    ///
    /// # Errors
    /// As [`Ledger::entry`].
    pub fn quarantined(&self, ring_digest: &[u8; 32]) -> Result<BTreeSet<u32>, LedgerError> {
        let mut quarantined = BTreeSet::new();
        for (_, entry) in self.about(&Subject::RingVersion(*ring_digest))? {
            match entry.event {
                Event::Alarm { ring_digest: d, block: Some(block), .. } if d == *ring_digest => {
                    quarantined.insert(block);
                }
                Event::Repair { ring_digest: d, blocks, .. } if d == *ring_digest => {
                    for block in blocks {
                        quarantined.remove(&block);
                    }
                }
                _ => {}
            }
        }
        Ok(quarantined)
    }

    fn about(&self, subject: &Subject) -> Result<Vec<(u64, Entry)>, LedgerError> {
        self.store().read(|snapshot| {
            let indices = self.by_subject(snapshot)?.about(subject).iter();
            indices.map(|index| Ok((*index, self.entry_in(snapshot, *index)?))).collect()
        })
    }
}
