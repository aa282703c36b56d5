//! What the commands write to a ledger, in the ledger's terms.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use deepring::{AuthenticRing, Decision, Finding, Host, OwnedRing, SecretKey};
use deepring_ledger::{Entry, Event, Ledger};

use crate::error::{CliError, Exit};
use crate::ledgers::{Held, Voucher, Wanted};
use crate::output;
use crate::rings::Trusting;

const NEWEST: &str = "get the newest ring from its owner; an old one may have been put back";

/// The ledger that a command is asked to append to, and whether to make it first.
pub(crate) struct Asked<'a> {
    ledger: Wanted<'a>,
    new: bool,
}

impl<'a> Asked<'a> {
    /// Of the options `--ledger`, `--ledger-key` and `--new-ledger`.
    pub(crate) fn of(dir: Option<&'a Path>, key: Option<&'a Path>, new: bool) -> Option<Self> {
        Some(Self { ledger: Wanted { dir: dir?, key }, new })
    }
}

/// A ledger that a command appends to.
pub(crate) struct Recorder {
    held: Held,
    dir: PathBuf,
}

impl Recorder {
    /// Opens the ledger, or makes it where that is asked for. `claimed` is what the file that is to be used says that it is:
    /// a new ledger is not made for a ring that is known to be recorded elsewhere.
    pub(crate) fn open(
        asked: &Asked<'_>,
        claimed: impl FnOnce() -> Option<OwnedRing>,
        trusting: &Trusting,
    ) -> Result<Self, CliError> {
        let store = trusting.store();
        let held = match asked.new {
            // What the file claims is enough to see that the user is about to lose sight of a ledger.
            true => asked.ledger.begin(store, claimed())?,
            false => asked.ledger.append(store)?,
        };
        Ok(Self { held, dir: asked.ledger.dir.to_owned() })
    }

    /// Makes a ledger in a folder of the caller's own.
    pub(crate) fn begin(dir: &Path) -> Result<Self, CliError> {
        let held = Held { ledger: Ledger::open_or_create(dir)?, voucher: Voucher::Remembered };
        Ok(Self { held, dir: dir.to_owned() })
    }

    /// Remembers that this ledger lies here and holds the ring, and how far it has grown.
    pub(crate) fn remember(&self, ring: &AuthenticRing, trusting: &mut Trusting) {
        trusting.remember_ledger(&self.held.ledger, &self.dir, Some(ring.owned()));
    }

    /// Remembers how far the ledger has grown, if it is one that is remembered.
    pub(crate) fn remember_growth(&self, trusting: &mut Trusting) {
        trusting.remember_growth(&self.held.ledger);
    }

    /// Refuses another ledger than the ring is known to be recorded in.
    pub(crate) fn holds(&self, ring: &OwnedRing, trusting: &Trusting) -> Result<(), CliError> {
        self.held.holds(trusting.store(), ring)
    }

    /// Refuses another ledger than the ring is known to be recorded in, and what the ledger says must not be used: a
    /// revoked ring, owner or host is not trusted, a version older than the ledger knows is stale. Says which blocks
    /// raised an alarm and were not repaired since.
    pub(crate) fn object_to(
        &self,
        ring: &AuthenticRing,
        hosts: &[SecretKey<Host>],
        trusting: &Trusting,
    ) -> Result<(), CliError> {
        self.object_to_use(ring, hosts, trusting)?;
        for block in self.held.ledger.quarantined(&ring.digest().0)? {
            output::note(format_args!(
                "warning: block {block} raised an alarm before, and no repair of it is on the ledger"
            ));
        }
        Ok(())
    }

    /// The refusals of [`object_to`](Self::object_to) alone.
    pub(crate) fn object_to_use(
        &self,
        ring: &AuthenticRing,
        hosts: &[SecretKey<Host>],
        trusting: &Trusting,
    ) -> Result<(), CliError> {
        self.holds(&ring.owned(), trusting)?;
        let ledger = &self.held.ledger;
        let refuse = |exit, what: &str, entry: u64| {
            Err(CliError::new(exit, format!("{what} by entry {entry} of the ledger"))
                .hint("`deepring ledger show --ledger DIR` shows the entry and its reason"))
        };
        if let Some(entry) = ledger.ring_revocation(&ring.digest().0)? {
            return refuse(Exit::Untrusted, "this ring is revoked", entry);
        }
        if let Some(entry) = ledger.key_revocation(ring.owner().as_bytes())? {
            return refuse(Exit::Untrusted, "the owner's key is revoked", entry);
        }
        for host in hosts {
            if let Some(entry) = ledger.key_revocation(host.public().as_bytes())? {
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
            )
            .hint(NEWEST));
        }
        let now = (ring.model_version(), ring.digest().0);
        if versions.iter().any(|v| v.0 == now.0 && v.1 != now.1) {
            let message = format!("the ledger knows another ring of the same version {}", now.0);
            return Err(CliError::new(Exit::Stale, message).hint(NEWEST));
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
        let entries = self.held.ledger.about_ring(&ring.ring_id().0)?;
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
        Ok(self.held.ledger.append(&entries)?)
    }
}
