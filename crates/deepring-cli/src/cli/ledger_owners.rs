//! Arguments of the ledger's commands about owners and nodes.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::EntryTo;

/// Hand an owner's rings over to another key, which both keys sign; afterwards the old key has no authority, for good
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  deepring ledger rotate-owner --owner-key old.key --new-owner-key new.key --ledger ledger

The new key registers, revokes, lifts, and seals each ring's next version
(`seal --previous RING --ledger DIR`). Versions that the old key sealed get no new revision
afterwards: grant and deal them before. It cannot be undone.")]
pub(crate) struct LedgerRotateOwner {
    /// Secret key that gives its rings over
    #[arg(long, value_name = "owner.key")]
    pub(crate) owner_key: PathBuf,
    /// Secret key that takes them
    #[arg(long, value_name = "new.key")]
    pub(crate) new_owner_key: PathBuf,
    #[command(flatten)]
    pub(crate) to: EntryTo,
}

/// Set whose rings this ledger takes from now on, and which nodes keep it
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  deepring ledger validator-set --owner-key a.key --owner a.pub --owner b.pub --node n1.pub --node n2.pub --ledger ledger
  deepring ledger validator-set --owner-key a.key --owner a.pub --node n1.pub --ledger ledger -o validators.entry")]
pub(crate) struct LedgerValidatorSet {
    /// Secret key of an owner of the set before; of the first one, of an owner in it
    #[arg(long, value_name = "owner.key")]
    pub(crate) owner_key: PathBuf,
    /// Owner whose rings may be registered; its public key, as a file or as its text; repeat for each
    #[arg(long, required = true, value_name = "owner.pub|drowner1...")]
    pub(crate) owner: Vec<OsString>,
    /// Node that keeps the ledger; its public key, as a file or as its text; repeat for each
    #[arg(long, required = true, value_name = "node.pub|drnode1...")]
    pub(crate) node: Vec<OsString>,
    /// Write the entry, too, for `certificate verify --validators`
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) to: EntryTo,
}
