//! Events of rings, recorded as entries: registrations, decisions, findings and repairs.
//!
//! What has no method of its own here is recorded with [`Ledger::record`].

use deepring::keys::AuthorKey;
use deepring::outline::AuthenticOutline;
use deepring::replication::Evidence;
use deepring::{Decision, Digest, Finding, Host, PublicKey, RingId};

use crate::entry::{Audit, Entry, Event};
use crate::error::LedgerError;
use crate::ledger::Ledger;

impl Audit {
    /// No comparison with another host's copy: for blocks that have no other host.
    #[must_use]
    pub fn none() -> Self {
        Self { nonce: [0; 32], digest: Digest::NONE, countersignature: None }
    }
}

impl Ledger {
    /// Signs an event, now, and appends it; returns the entry's index.
    ///
    /// # Errors
    /// [`LedgerError::Entry`] where it cannot be an entry; else as [`Ledger::append`].
    pub fn record(&mut self, event: &Event, author: &AuthorKey) -> Result<u64, LedgerError> {
        let indices = self.record_all(std::slice::from_ref(event), author)?;
        Ok(indices.first().copied().unwrap_or_default())
    }

    /// Signs events of one author, now, and appends them, all or none; returns their indices.
    ///
    /// # Errors
    /// As [`Ledger::record`].
    pub fn record_all(
        &mut self,
        events: &[Event],
        author: &AuthorKey,
    ) -> Result<Vec<u64>, LedgerError> {
        let mut binding = self.state()?.binding(&author.public());
        let mut entries = Vec::with_capacity(events.len());
        for event in events {
            let entry = Entry::now(binding, event, author)?;
            binding.sequence =
                binding.sequence.saturating_add(u64::from(entry.decision().is_none()));
            entries.push(entry);
        }
        self.append(&entries)
    }

    /// Registers a ring, its upgrade, or a newer revision of a registered version, unless the
    /// ledger knows it already; returns the new entry's index. Signed by the owner.
    ///
    /// # Errors
    /// As [`Ledger::record`].
    pub fn register(
        &mut self,
        outline: &AuthenticOutline,
        owner: &AuthorKey,
    ) -> Result<Option<u64>, LedgerError> {
        let state = self.state()?;
        let known = state.outlines(&outline.ring_digest()).next();
        let known = known.filter(|known| known.ring_id() == outline.ring_id());
        let its = Box::new(outline.as_outline().clone());
        let event = match known {
            Some(known) if known.digest() == outline.digest() => return Ok(None),
            // An older revision is known with the newer one; another of the same number is not.
            Some(known) if known.revision() > outline.revision() => return Ok(None),
            Some(_) => Event::Deal { outline: its },
            None if state.newest(&outline.ring_id()).is_some() => {
                Event::RingUpgraded { outline: its }
            }
            None => Event::RingRegistered { outline: its },
        };
        self.record(&event, owner).map(Some)
    }

    /// Records a decision under the deal of `outline`; returns the entry's index. Signed by a host
    /// of Genesis.
    ///
    /// # Errors
    /// As [`Ledger::record`].
    pub fn record_decision(
        &mut self,
        decision: &Decision,
        outline: &AuthenticOutline,
        host: &AuthorKey,
    ) -> Result<u64, LedgerError> {
        self.record(&Event::decided(decision, outline), host)
    }

    /// Records findings about a version of a ring as alarms, all or none; returns their indices.
    /// Signed by a host of the ring. A host that accuses itself quarantines its own copy of the
    /// blocks that the findings name.
    ///
    /// # Errors
    /// As [`Ledger::record`].
    pub fn record_findings(
        &mut self,
        ring: (RingId, Digest),
        accused: PublicKey<Host>,
        findings: &[Finding],
        host: &AuthorKey,
    ) -> Result<Vec<u64>, LedgerError> {
        let alarms = findings.iter().map(|finding| Event::alarm(ring, accused, finding));
        self.record_all(&alarms.collect::<Vec<_>>(), host)
    }

    /// Records evidence as an alarm about each host that it names; returns the entries' indices.
    /// Signed by a host of the ring.
    ///
    /// # Errors
    /// As [`Ledger::record`].
    pub fn record_evidence(
        &mut self,
        ring_id: RingId,
        evidence: &Evidence,
        reason: &str,
        host: &AuthorKey,
    ) -> Result<Vec<u64>, LedgerError> {
        let alarm =
            |accused: &PublicKey<Host>| Event::accusation(ring_id, evidence, *accused, reason);
        self.record_all(&evidence.names().iter().map(alarm).collect::<Vec<_>>(), host)
    }

    /// Records that a host restored its copy of blocks from `source`; returns the entry's index.
    ///
    /// # Errors
    /// As [`Ledger::record`].
    pub fn record_repair(
        &mut self,
        (ring_id, ring_digest): (RingId, Digest),
        blocks: Vec<u32>,
        source: String,
        audit: Audit,
        host: &AuthorKey,
    ) -> Result<u64, LedgerError> {
        self.record(&Event::Repair { ring_id, ring_digest, blocks, source, audit }, host)
    }
}
