//! What the commands write to a ledger, in the ledger's terms.

use std::path::{Path, PathBuf};

use deepring::{AuthenticRing, Decision, Digest, Finding, Host, OwnedRing, RingId, SecretKey};
use deepring_ledger::{Admitted, Ledger};

use crate::error::CliError;
use crate::ledgers::{Held, Voucher, Wanted};
use crate::output;
use crate::rings::Trusting;

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

    /// Refuses another ledger than the ring is known to be recorded in, and what the ledger says must not be used. Says which blocks
    /// raised an alarm and were not repaired since.
    pub(crate) fn admit(
        &self,
        ring: &AuthenticRing,
        hosts: &[SecretKey<Host>],
        trusting: &Trusting,
    ) -> Result<(), CliError> {
        for block in self.admitted(ring, hosts, trusting)?.quarantined {
            output::note(format_args!(
                "warning: block {block} raised an alarm before, and no repair of it is on the ledger"
            ));
        }
        Ok(())
    }

    /// The refusals of [`admit`](Self::admit) alone, for a ring that is to be made whole.
    pub(crate) fn admit_to_repair(
        &self,
        ring: &AuthenticRing,
        trusting: &Trusting,
    ) -> Result<(), CliError> {
        self.admitted(ring, &[], trusting).map(|_| ())
    }

    fn admitted(
        &self,
        ring: &AuthenticRing,
        hosts: &[SecretKey<Host>],
        trusting: &Trusting,
    ) -> Result<Admitted, CliError> {
        self.holds(&ring.owned(), trusting)?;
        let hosts = hosts.iter().map(SecretKey::public);
        Ok(self.held.ledger.admit(ring, hosts)?)
    }

    /// Registers a ring, or its upgrade, the first time that it is used.
    pub(crate) fn register(&mut self, ring: &AuthenticRing) -> Result<(), CliError> {
        self.held.ledger.register(ring)?;
        Ok(())
    }

    pub(crate) fn decision(&mut self, decision: &Decision, count: usize) -> Result<u64, CliError> {
        Ok(self.held.ledger.record_decision(decision, count)?)
    }

    /// Records findings, all in one transaction; the entries' indices.
    pub(crate) fn findings(
        &mut self,
        ring: RingId,
        digest: Digest,
        findings: &[Finding],
    ) -> Result<Vec<u64>, CliError> {
        Ok(self.held.ledger.record_findings(ring, digest, findings)?)
    }

    pub(crate) fn repair(
        &mut self,
        ring: &AuthenticRing,
        blocks: Vec<u32>,
        source: &Path,
    ) -> Result<u64, CliError> {
        Ok(self.held.ledger.record_repair(ring, blocks, source.display().to_string())?)
    }
}
