//! What the commands write to a ledger, in the ledger's terms.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use deepring::{AuthenticRing, Decision, Finding};
use deepring_ledger::{Entry, Event, Ledger};

use crate::error::{CliError, Exit};
use crate::output;
use crate::rings::Trusting;

/// A ledger that a command appends to.
pub(crate) struct Recorder {
    ledger: Ledger,
}

impl Recorder {
    /// Opens (or begins) the ledger, and holds it against the ring that is to be used: a revoked ring or
    /// owner is refused, a version older than the ledger knows is stale.
    pub(crate) fn open(dir: &Path, trusting: &mut Trusting) -> Result<Self, CliError> {
        let ledger = Ledger::open(dir)?;
        trusting.remember_ledger(ledger.checkpoint().origin(), &ledger.key().to_string());
        Ok(Self { ledger })
    }

    /// Refuses what the ledger says must not be used.
    pub(crate) fn object_to(&self, ring: &AuthenticRing) -> Result<(), CliError> {
        let refuse = |exit, what: &str, entry: u64| {
            Err(CliError::new(exit, format!("{what} by entry {entry} of the ledger")))
        };
        if let Some(entry) = self.ledger.ring_revocation(&ring.digest().0)? {
            return refuse(Exit::Untrusted, "this ring is revoked", entry);
        }
        if let Some(entry) = self.ledger.key_revocation(ring.owner().as_bytes())? {
            return refuse(Exit::Untrusted, "the owner's key is revoked", entry);
        }
        if let Some((version, _)) = self.ledger.newest_version(&ring.ring_id().0)?
            && version > ring.model_version()
        {
            return Err(CliError::new(
                Exit::Stale,
                format!(
                    "model version {} is older than version {version}, which the ledger knows",
                    ring.model_version()
                ),
            ));
        }
        for block in self.ledger.quarantined(&ring.digest().0)? {
            output::note(format_args!(
                "warning: block {block} raised an alarm before, and no repair of it is on the ledger"
            ));
        }
        Ok(())
    }

    /// Registers a ring, or its upgrade, the first time that it is used.
    pub(crate) fn register(&mut self, ring: &AuthenticRing) -> Result<(), CliError> {
        let ring_id = ring.ring_id().0;
        let known = self.ledger.newest_version(&ring_id)?;
        if known.is_some_and(|(version, _)| version == ring.model_version()) {
            return Ok(());
        }
        let (ring_digest, owner) = (ring.digest().0, *ring.owner().as_bytes());
        let (model_version, closure_signature) = (ring.model_version(), ring.closure_signature());
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
        self.append(event).map(|_| ())
    }

    pub(crate) fn decision(&mut self, decision: &Decision, count: usize) -> Result<u64, CliError> {
        self.append(Event::Decisions {
            ring_digest: decision.chain().opening().ring_digest.0,
            decision_id: decision.id().0,
            count: u32::try_from(count).unwrap_or(u32::MAX),
        })
    }

    pub(crate) fn alarm(
        &mut self,
        ring_id: [u8; 16],
        ring_digest: [u8; 32],
        finding: &Finding,
    ) -> Result<u64, CliError> {
        self.append(Event::Alarm {
            ring_id,
            ring_digest,
            block: finding.block,
            name: finding.name.clone().unwrap_or_default(),
            part: finding.part.name().to_owned(),
            tensor: finding.tensor.clone(),
            bytes: finding.bytes,
            reason: finding.reason.clone(),
        })
    }

    pub(crate) fn repair(
        &mut self,
        ring_id: [u8; 16],
        ring_digest: [u8; 32],
        blocks: Vec<u32>,
        source: &Path,
    ) -> Result<u64, CliError> {
        let source = source.display().to_string();
        self.append(Event::Repair { ring_id, ring_digest, blocks, source })
    }

    fn append(&mut self, event: Event) -> Result<u64, CliError> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let at = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let indices = self.ledger.append(&[Entry { at, event }])?;
        Ok(indices.first().copied().unwrap_or(0))
    }
}
