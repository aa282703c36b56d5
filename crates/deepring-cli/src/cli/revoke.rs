//! Arguments of `deepring revoke`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use deepring_infer::sealing::Blocks;

use super::EntryTo;

/// Record on a ledger that a ring, a key or a host is not to be trusted any more: what was recorded before stays valid
#[derive(Debug, Subcommand)]
pub(crate) enum RevokeCommand {
    Ring(RevokeRing),
    Key(RevokeKey),
    Host(RevokeHost),
    Lift(RevokeLift),
}

impl RevokeCommand {
    pub(super) fn json(&self) -> bool {
        match self {
            Self::Ring(RevokeRing { to, .. })
            | Self::Key(RevokeKey { to, .. })
            | Self::Host(RevokeHost { to, .. })
            | Self::Lift(RevokeLift { to, .. }) => to.args.json,
        }
    }
}

/// Why something is revoked, or a quarantine lifted.
#[derive(Debug, Args)]
pub(crate) struct Reason {
    /// The reason; everybody who can read the ledger can read it
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
}

/// Revoke one version of a ring, or all versions, future ones included
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deepring revoke ring model.ring --owner-key keys/owner.key --ledger ledger --reason \"poisoned data\"
  deepring revoke ring model.ring --all-versions --owner-key keys/owner.key --ledger ledger --reason withdrawn")]
pub(crate) struct RevokeRing {
    /// The version's file; or a ring's id, with --all-versions
    #[arg(value_name = "MODEL.ring|RING_ID")]
    pub(crate) ring: PathBuf,
    /// Revoke all versions of the ring, future ones included
    #[arg(long)]
    pub(crate) all_versions: bool,
    /// Secret key of the ring's owner
    #[arg(long, value_name = "owner.key")]
    pub(crate) owner_key: PathBuf,
    #[command(flatten)]
    pub(crate) why: Reason,
    #[command(flatten)]
    pub(crate) to: EntryTo,
}

/// Have a compromised key revoke itself: an owner's, a host's or a node's
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  deepring revoke key --key keys/host.key --ledger ledger --reason stolen"
)]
pub(crate) struct RevokeKey {
    /// The secret key, which signs its own revocation
    #[arg(long, value_name = "ANY.key")]
    pub(crate) key: PathBuf,
    #[command(flatten)]
    pub(crate) why: Reason,
    #[command(flatten)]
    pub(crate) to: EntryTo,
}

/// Take an owner's trust from a host: for one ring, or for all rings of the owner
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deepring revoke host a.pub --owner-key keys/owner.key --ledger ledger --reason dismissed
  deepring revoke host a.pub --ring model.ring --owner-key keys/owner.key --ledger ledger --reason dismissed")]
pub(crate) struct RevokeHost {
    /// Public key of the host, as a file or as its text
    #[arg(value_name = "host.pub|drhost1...")]
    pub(crate) host: OsString,
    /// The ring, through all its versions [default: all rings of the owner]
    #[arg(long, value_name = "MODEL.ring|RING_ID")]
    pub(crate) ring: Option<PathBuf>,
    /// Secret key of the owner
    #[arg(long, value_name = "owner.key")]
    pub(crate) owner_key: PathBuf,
    #[command(flatten)]
    pub(crate) why: Reason,
    #[command(flatten)]
    pub(crate) to: EntryTo,
}

/// Lift the quarantine of a host's copy; where evidence is the cause, only the ring's owner can
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  deepring revoke lift model.ring --host a.pub --blocks 1-3 --owner-key keys/owner.key --ledger ledger --reason replaced"
)]
pub(crate) struct RevokeLift {
    /// The version's file
    pub(crate) ring: PathBuf,
    /// Public key of the host, as a file or as its text
    #[arg(long, value_name = "host.pub|drhost1...")]
    pub(crate) host: OsString,
    /// Blocks whose quarantine ends [default: all of the host's that are quarantined]
    #[arg(long)]
    pub(crate) blocks: Option<Blocks>,
    /// Secret key of the ring's owner
    #[arg(long, value_name = "owner.key")]
    pub(crate) owner_key: PathBuf,
    #[command(flatten)]
    pub(crate) why: Reason,
    #[command(flatten)]
    pub(crate) to: EntryTo,
}
