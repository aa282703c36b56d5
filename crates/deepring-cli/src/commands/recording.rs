//! The entries that commands write to a ledger, in the ledger's terms.

use std::path::{Path, PathBuf};

use deepring::trust::OwnedRing;
use deepring::{AuthenticRing, Decision, Digest, Finding, Host, RingId, SecretKey};
use deepring_ledger::{Admitted, Ledger};

use crate::error::CliError;
use crate::ledgers::{VouchedLedger, Voucher, Wanted};
use crate::output;
use crate::rings::TrustPolicy;

/// The ledger that a command is asked to append to, and whether to make it first.
pub(crate) struct LedgerChoice<'a> {
    ledger: Wanted<'a>,
    new: bool,
}

impl<'a> LedgerChoice<'a> {
    /// Of the options `--ledger`, `--ledger-key` and `--new-ledger`.
    pub(crate) fn of(dir: Option<&'a Path>, key: Option<&'a Path>, new: bool) -> Option<Self> {
        Some(Self { ledger: Wanted { dir: dir?, key }, new })
    }
}

/// A ledger that a command appends to.
pub(crate) struct Recorder {
    vouched: VouchedLedger,
    dir: PathBuf,
}

impl Recorder {
    /// Opens the ledger, or makes it where that is asked for. `claimed` is what the file that is to be used says that it is:
    /// a new ledger is not made for a ring that is known to be recorded elsewhere.
    pub(crate) fn open(
        choice: &LedgerChoice<'_>,
        claimed: impl FnOnce() -> Option<OwnedRing>,
        policy: &TrustPolicy,
    ) -> Result<Self, CliError> {
        let store = policy.store();
        let vouched = match choice.new {
            // What the file claims is enough to see that the user is about to lose sight of a ledger.
            true => choice.ledger.begin(store, claimed())?,
            false => choice.ledger.append(store)?,
        };
        Ok(Self { vouched, dir: choice.ledger.dir.to_owned() })
    }

    /// Makes a ledger in a folder of the caller's own.
    pub(crate) fn begin(dir: &Path) -> Result<Self, CliError> {
        let vouched =
            VouchedLedger { ledger: Ledger::open_or_create(dir)?, voucher: Voucher::Remembered };
        Ok(Self { vouched, dir: dir.to_owned() })
    }

    /// Remembers that this ledger lies here and holds the ring, and how far it has grown.
    pub(crate) fn remember(&self, ring: &AuthenticRing, policy: &mut TrustPolicy) {
        policy.remember_ledger(&self.vouched.ledger, &self.dir, Some(ring.owned()));
    }

    /// Remembers how far the ledger has grown, if it is one that is remembered.
    pub(crate) fn remember_growth(&self, policy: &mut TrustPolicy) {
        policy.remember_growth(&self.vouched.ledger);
    }

    /// Refuses another ledger than the ring is known to be recorded in.
    pub(crate) fn holds(&self, ring: &OwnedRing, policy: &TrustPolicy) -> Result<(), CliError> {
        self.vouched.holds(policy.store(), ring)
    }

    /// Refuses another ledger than the ring is known to be recorded in, and what the ledger says must not be used. Says which blocks
    /// raised an alarm and were not repaired since.
    pub(crate) fn admit(
        &self,
        ring: &AuthenticRing,
        hosts: &[SecretKey<Host>],
        policy: &TrustPolicy,
    ) -> Result<(), CliError> {
        for block in self.admitted(ring, hosts, policy)?.quarantined {
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
        policy: &TrustPolicy,
    ) -> Result<(), CliError> {
        self.admitted(ring, &[], policy).map(|_| ())
    }

    fn admitted(
        &self,
        ring: &AuthenticRing,
        hosts: &[SecretKey<Host>],
        policy: &TrustPolicy,
    ) -> Result<Admitted, CliError> {
        self.holds(&ring.owned(), policy)?;
        let hosts = hosts.iter().map(SecretKey::public);
        Ok(self.vouched.ledger.admit(ring, hosts)?)
    }

    /// Registers a ring, or its upgrade, the first time that it is used.
    pub(crate) fn register(&mut self, ring: &AuthenticRing) -> Result<(), CliError> {
        self.vouched.ledger.register(ring)?;
        Ok(())
    }

    pub(crate) fn decision(&mut self, decision: &Decision, count: usize) -> Result<u64, CliError> {
        Ok(self.vouched.ledger.record_decision(decision, count)?)
    }

    /// Records an alarm beside a refusal. Where the ledger cannot be written, that is a note: whoever fills its disk must not turn
    /// the refusal, its findings and its exit code into an error of the ledger.
    pub(crate) fn alarm(&mut self, ring: RingId, digest: Digest, findings: &[Finding]) {
        if let Err(e) = self.findings(ring, digest, findings) {
            output::note(format_args!("warning: the alarm is not on the ledger: {e}"));
        }
    }

    /// Records findings, all in one transaction; the entries' indices.
    pub(crate) fn findings(
        &mut self,
        ring: RingId,
        digest: Digest,
        findings: &[Finding],
    ) -> Result<Vec<u64>, CliError> {
        Ok(self.vouched.ledger.record_findings(ring, digest, findings)?)
    }

    pub(crate) fn repair(
        &mut self,
        ring: &AuthenticRing,
        blocks: Vec<u32>,
        source: &Path,
    ) -> Result<u64, CliError> {
        Ok(self.vouched.ledger.record_repair(ring, blocks, source.display().to_string())?)
    }
}
