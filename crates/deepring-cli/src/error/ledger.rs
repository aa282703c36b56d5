//! Errors and refusals of a ledger.

use deepring_ledger::policy::{AdmitError, Refusal};
use deepring_ledger::state::{Cause, Quarantined};
use deepring_ledger::{Fault, LedgerError};

use super::{CliError, Exit};

impl From<LedgerError> for CliError {
    fn from(e: LedgerError) -> Self {
        let exit = match e.fault() {
            Fault::Tampered => Exit::Tampered,
            Fault::Stale => Exit::Stale,
            Fault::Untrusted => Exit::Untrusted,
            _ => match &e {
                // What is there in a ledger's place is foreign; where nothing is, there is just no ledger.
                LedgerError::NotALedger { dir } if holds_something(dir) => Exit::Tampered,
                _ => Exit::Failed,
            },
        };
        let hint = match &e {
            LedgerError::NotALedger { .. } if exit == Exit::Tampered => {
                Some("give the folder of a ledger; what is there belongs to something else".into())
            }
            LedgerError::NotALedger { dir } => Some(format!(
                "`deepring ledger init {}` makes one; `ledger register --new-ledger` makes it on the way",
                dir.display()
            )),
            LedgerError::LooseKey { path, .. } => Some(format!("chmod 600 {}", path.display())),
            LedgerError::InUse { path, .. } => Some(format!(
                "`fuser {}` says which process has it open; wait for that one, or end it",
                path.display()
            )),
            LedgerError::OtherKey { .. } | LedgerError::BadPinnedKey(_) => {
                Some("give the public key of the ledger that you trust with `--ledger-key`".into())
            }
            _ if exit == Exit::Tampered => Some(
                "do not append to it; `deepring ledger verify` names what is wrong, a kept copy restores it".into(),
            ),
            _ => None,
        };
        Self { hint, ..Self::new(exit, format!("ledger: {e}")) }
    }
}

/// Returns whether there is a file, or a folder that is not empty.
fn holds_something(path: &std::path::Path) -> bool {
    match std::fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_some(),
        Err(_) => path.exists(),
    }
}

impl From<AdmitError> for CliError {
    fn from(e: AdmitError) -> Self {
        match e {
            AdmitError::Refused(refusal) => refusal.into(),
            AdmitError::Ledger(e) => e.into(),
            _ => Self::new(Exit::Failed, e),
        }
    }
}

impl From<Refusal> for CliError {
    fn from(e: Refusal) -> Self {
        let message = e.to_string();
        let (exit, hint) = match e {
            Refusal::Revoked(_) => (
                Exit::Untrusted,
                "`deepring ledger show --ledger DIR` shows the entry and its reason",
            ),
            Refusal::NotRegistered => (
                Exit::Untrusted,
                "its owner registers it: `deepring ledger register RING --owner-key owner.key --ledger DIR`",
            ),
            Refusal::NewerDeal { .. } => (
                Exit::Untrusted,
                "its owner registers the new deal: `deepring ledger register RING --owner-key owner.key --ledger DIR`",
            ),
            Refusal::OtherOwner => (
                Exit::Untrusted,
                "the ring's owner must register it in a ledger where its id is nobody else's",
            ),
            Refusal::NotAdmitted { .. } => (
                Exit::Untrusted,
                "an owner whom the validator set names makes the next one: `deepring ledger validator-set`",
            ),
            Refusal::Quarantined(Quarantined { cause: Cause::OwnAlarm, .. }) => (
                Exit::Tampered,
                "`deepring repair RING --from COPY --ledger DIR --key host.key` makes the copy whole; in a dealt ring the key of another copy \
                 countersigns that (`--countersign other.key`), which lifts the quarantine",
            ),
            Refusal::Quarantined(_) => (
                Exit::Tampered,
                "evidence is on the ledger, and the ring's owner alone lifts this: `deepring revoke lift`",
            ),
            _ => (
                Exit::Stale,
                "get the newest ring from its owner; an old one may have been put back",
            ),
        };
        Self::new(exit, message).hint(hint)
    }
}
