//! What the commands write to a ledger, in the ledger's terms.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use deepring::{AuthenticRing, Decision, Finding, Host, SecretKey};
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
    pub(crate) fn object_to(
        &self,
        ring: &AuthenticRing,
        hosts: &[SecretKey<Host>],
    ) -> Result<(), CliError> {
        let refuse = |exit, what: &str, entry: u64| {
            Err(CliError::new(exit, format!("{what} by entry {entry} of the ledger")))
        };
        if let Some(entry) = self.ledger.ring_revocation(&ring.digest().0)? {
            return refuse(Exit::Untrusted, "this ring is revoked", entry);
        }
        if let Some(entry) = self.ledger.key_revocation(ring.owner().as_bytes())? {
            return refuse(Exit::Untrusted, "the owner's key is revoked", entry);
        }
        for host in hosts {
            if let Some(entry) = self.ledger.key_revocation(host.public().as_bytes())? {
                return refuse(Exit::Untrusted, "a host's key is revoked", entry);
            }
        }
        let versions = self.versions(ring)?;
        if let Some((version, _)) = versions.iter().find(|(v, _)| *v > ring.model_version()) {
            return Err(CliError::new(
                Exit::Stale,
                format!(
                    "model version {} is older than version {version}, which the ledger knows",
                    ring.model_version()
                ),
            ));
        }
        let now = (ring.model_version(), ring.digest().0);
        if versions.iter().any(|v| v.0 == now.0 && v.1 != now.1) {
            let message = format!("the ledger knows another ring of the same version {}", now.0);
            return Err(CliError::new(Exit::Stale, message));
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
        if self.versions(ring)?.contains(&(ring.model_version(), ring.digest().0)) {
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

    /// Version and digest of each registration of the ring by its owner. What somebody else registered under
    /// the same id says nothing.
    fn versions(&self, ring: &AuthenticRing) -> Result<Vec<(u64, [u8; 32])>, CliError> {
        let entries = self.ledger.about_ring(&ring.ring_id().0)?;
        let registration = |entry: &Entry| match &entry.event {
            Event::RingRegistered { owner, model_version, ring_digest, .. }
            | Event::RingUpgraded { owner, model_version, ring_digest, .. }
                if owner == ring.owner().as_bytes() =>
            {
                Some((*model_version, *ring_digest))
            }
            _ => None,
        };
        Ok(entries.iter().filter_map(|(_, entry)| registration(entry)).collect())
    }

    pub(crate) fn decision(&mut self, decision: &Decision, count: usize) -> Result<u64, CliError> {
        self.append(Event::Decisions {
            ring_digest: decision.chain().opening().ring_digest.0,
            decision_id: decision.id().0,
            count: u32::try_from(count).unwrap_or(u32::MAX),
        })
    }

    /// Records findings, all in one transaction.
    pub(crate) fn alarms(
        &mut self,
        ring_id: [u8; 16],
        ring_digest: [u8; 32],
        findings: &[Finding],
    ) -> Result<Vec<u64>, CliError> {
        let alarm = |finding: &Finding| Event::Alarm {
            ring_id,
            ring_digest,
            block: finding.block,
            name: finding.name.clone().unwrap_or_default(),
            part: finding.part.name().to_owned(),
            tensor: finding.tensor.clone(),
            bytes: finding.bytes,
            reason: finding.reason.clone(),
        };
        self.append_all(findings.iter().map(alarm).collect())
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
        Ok(self.append_all(vec![event])?.first().copied().unwrap_or(0))
    }

    fn append_all(&mut self, events: Vec<Event>) -> Result<Vec<u64>, CliError> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let at = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let entries: Vec<Entry> = events.into_iter().map(|event| Entry { at, event }).collect();
        Ok(self.ledger.append(&entries)?)
    }
}
