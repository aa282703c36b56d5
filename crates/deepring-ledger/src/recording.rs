//! Events of rings, as entries: registrations, decisions, findings and repairs.

use std::time::{SystemTime, UNIX_EPOCH};

use deepring::{AuthenticRing, Decision, Digest, Finding, RingId};

use crate::entry::{Entry, Event};
use crate::error::LedgerError;
use crate::ledger::Ledger;

impl Entry {
    /// An event, recorded now by this machine's clock.
    #[must_use]
    pub fn now(event: Event) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { at: u64::try_from(since.as_millis()).unwrap_or(u64::MAX), event }
    }
}

impl Ledger {
    /// Registers a ring, or its upgrade, unless this version of it is registered already; returns
    /// the new entry's index.
    ///
    /// # Errors
    /// As [`Ledger::append`].
    pub fn register(&mut self, ring: &AuthenticRing) -> Result<Option<u64>, LedgerError> {
        let (model_version, ring_digest) = (ring.model_version(), ring.digest().0);
        let known = self.registrations(&ring.owned())?;
        if known.iter().any(|r| (r.model_version, r.ring_digest) == (model_version, ring_digest)) {
            return Ok(None);
        }
        let (ring_id, owner) = (ring.ring_id().0, *ring.owner().as_bytes());
        let closure_signature = ring.closure_signature();
        let event = match ring.previous() {
            Some(previous) => Event::RingUpgraded {
                ring_id,
                ring_digest,
                previous_digest: previous.0,
                model_version,
                owner,
                closure_signature,
            },
            None => Event::RingRegistered {
                ring_id,
                ring_digest,
                model_version,
                owner,
                closure_signature,
            },
        };
        self.append_now(event).map(Some)
    }

    /// Records a decision about `count` queries; returns the entry's index.
    ///
    /// # Errors
    /// As [`Ledger::append`].
    pub fn record_decision(
        &mut self,
        decision: &Decision,
        count: usize,
    ) -> Result<u64, LedgerError> {
        self.append_now(Event::Decisions {
            ring_digest: decision.chain().opening().ring_digest.0,
            decision_id: decision.id().0,
            count: u32::try_from(count).unwrap_or(u32::MAX),
        })
    }

    /// Records findings about a version of a ring as alarms, all or none; returns their indices.
    ///
    /// # Errors
    /// As [`Ledger::append`].
    pub fn record_findings(
        &mut self,
        ring: RingId,
        digest: Digest,
        findings: &[Finding],
    ) -> Result<Vec<u64>, LedgerError> {
        let alarm = |finding: &Finding| {
            Entry::now(Event::Alarm {
                ring_id: ring.0,
                ring_digest: digest.0,
                block: finding.block,
                name: finding.name.clone().unwrap_or_default(),
                part: finding.part.name().to_owned(),
                tensor: finding.tensor.clone(),
                bytes: finding.bytes,
                reason: finding.reason.clone(),
            })
        };
        self.append(&findings.iter().map(alarm).collect::<Vec<_>>())
    }

    /// Records that blocks were restored from `source`; returns the entry's index.
    ///
    /// # Errors
    /// As [`Ledger::append`].
    pub fn record_repair(
        &mut self,
        ring: &AuthenticRing,
        blocks: Vec<u32>,
        source: String,
    ) -> Result<u64, LedgerError> {
        let (ring_id, ring_digest) = (ring.ring_id().0, ring.digest().0);
        self.append_now(Event::Repair { ring_id, ring_digest, blocks, source })
    }

    fn append_now(&mut self, event: Event) -> Result<u64, LedgerError> {
        let indices = self.append(&[Entry::now(event)])?;
        Ok(indices.first().copied().unwrap_or_default())
    }
}
