//! Events, recorded as entries: of rings and hosts here, of owners in `owners`.
//!
//! [`Ledger::record`] is for events that have no method of their own.

mod owners;

use deepring::keys::AuthorKey;
use deepring::outline::AuthenticOutline;
use deepring::replication::Evidence;
use deepring::{Decision, Digest, Finding, Host, PublicKey, RingId, SecretKey};

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

    /// Records evidence as alarms, by those of `hosts` that may say it; returns the entries' indices, or
    /// `None` where none of `hosts` is a host of the version that the evidence is about, as it is
    /// registered.
    ///
    /// One host that the evidence does not name accuses each that it names; where there is none, one
    /// that it names says so of a proof. Of two that contradict each other, of which one lies, each
    /// accuses the other: an alarm about itself would be an admission.
    ///
    /// # Errors
    /// As [`Ledger::record`]; alarms of earlier `hosts` stay recorded.
    pub fn record_evidence(
        &mut self,
        ring_id: RingId,
        evidence: &Evidence,
        reason: &str,
        hosts: &[SecretKey<Host>],
    ) -> Result<Option<Vec<u64>>, LedgerError> {
        let accused = evidence.names();
        let Some(outline) = self.state()?.outlines(&evidence.receipt().ring_digest).next() else {
            return Ok(None);
        };
        let blocks = outline.blocks();
        let of_ring = |host: &&SecretKey<Host>| blocks.iter().any(|b| b.has_host(&host.public()));
        let hosts: Vec<&SecretKey<Host>> = hosts.iter().filter(of_ring).collect();
        let alarm =
            |accused: &PublicKey<Host>| Event::accusation(ring_id, evidence, *accused, reason);
        let is_named = |host: &SecretKey<Host>| accused.contains(&host.public());
        let stranger = hosts.iter().find(|host| !is_named(host));
        let Some(speaker) = stranger.or(hosts.first()) else { return Ok(None) };
        if stranger.is_some() || evidence.is_proof() {
            let alarms: Vec<Event> = accused.iter().map(alarm).collect();
            return self.record_all(&alarms, &(*speaker).clone().into()).map(Some);
        }
        let mut entries = Vec::new();
        for host in hosts {
            let others = accused.iter().filter(|accused| **accused != host.public());
            let alarms: Vec<Event> = others.map(alarm).collect();
            entries.extend(self.record_all(&alarms, &host.clone().into())?);
        }
        Ok(Some(entries))
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
