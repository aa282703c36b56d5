//! Arguments of `deepring ledger`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use deepring::RingId;

use super::PassphraseArg;

#[derive(Debug, Subcommand)]
pub(crate) enum LedgerCommand {
    Init(LedgerInit),
    Register(LedgerRegister),
    Show(LedgerShow),
    /// Recompute the whole tree and check signature, links and indices
    Verify(LedgerVerify),
    /// Print the signed checkpoint
    #[command(
        after_help = "Example:\n  deepring ledger checkpoint --ledger ledger > kept.checkpoint"
    )]
    Checkpoint(LedgerArgs),
    /// Print a proof that an entry is in the ledger
    Prove(LedgerProve),
}

impl LedgerCommand {
    pub(super) fn json(&self) -> bool {
        match self {
            Self::Init(_) => false,
            Self::Register(args) => args.json,
            Self::Checkpoint(args)
            | Self::Show(LedgerShow { args, .. })
            | Self::Verify(LedgerVerify { args, .. })
            | Self::Prove(LedgerProve { args, .. }) => args.json,
        }
    }
}

/// Make a new, empty ledger with a key of its own
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  deepring ledger init ledger")]
pub(crate) struct LedgerInit {
    /// Folder of the ledger
    pub(crate) dir: PathBuf,
}

/// Put a ring on a ledger, its upgrade, or its newer revision with other hosts; until then nothing about it is recorded
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deepring ledger register model.ring --owner-key keys/owner.key --ledger ledger
  deepring ledger register model.ring --owner-key keys/owner.key --ledger ledger --new-ledger")]
pub(crate) struct LedgerRegister {
    /// The ring; every byte of it is checked
    pub(crate) ring: PathBuf,
    /// Secret key of the ring's owner, who signs the entry
    #[arg(long, value_name = "owner.key")]
    pub(crate) owner_key: PathBuf,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArg,
    /// Folder of the ledger
    #[arg(long, value_name = "DIR")]
    pub(crate) ledger: PathBuf,
    /// Public key of the ledger; without it, the key that the trust store remembers
    #[arg(long, value_name = "log.pub")]
    pub(crate) ledger_key: Option<PathBuf>,
    /// Make the ledger first, where there is none and none was known
    #[arg(long, conflicts_with = "ledger_key")]
    pub(crate) new_ledger: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// List the entries, or those that the options select
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deepring ledger show --ledger ledger
  deepring ledger show --ledger ledger --kind alarm --since-entry 100")]
pub(crate) struct LedgerShow {
    #[command(flatten)]
    pub(crate) args: LedgerArgs,
    /// Only entries about this ring
    #[arg(long, value_name = "RING_ID", value_parser = ring_id)]
    pub(crate) ring: Option<RingId>,
    /// Only entries by this host or about it; its public key, as a file or as its text
    #[arg(long, value_name = "host.pub|drhost1...")]
    pub(crate) host: Option<OsString>,
    /// Only entries of this kind
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) kind: Option<KindArg>,
    /// Only entries from this index on
    #[arg(long, value_name = "N")]
    pub(crate) since_entry: Option<u64>,
}

/// The kinds of entries, as `--json` names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum KindArg {
    RingRegistered,
    RingUpgraded,
    RingRevoked,
    Decisions,
    Alarm,
    Repair,
    KeyRevoked,
    Deal,
    ValidatorSet,
    HostRevoked,
    OwnerRotated,
    QuarantineLifted,
}

fn ring_id(text: &str) -> Result<RingId, String> {
    RingId::from_hex(text).ok_or_else(|| "a ring id is 32 hexadecimal digits".to_owned())
}

#[derive(Debug, Args)]
pub(crate) struct LedgerArgs {
    /// Folder of the ledger
    #[arg(long, value_name = "DIR")]
    pub(crate) ledger: PathBuf,
    /// Public key of the ledger; without it, the key that the trust store remembers
    #[arg(long, value_name = "log.pub")]
    pub(crate) ledger_key: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deepring ledger verify --ledger ledger
  deepring ledger verify --ledger ledger --against kept.checkpoint")]
pub(crate) struct LedgerVerify {
    #[command(flatten)]
    pub(crate) args: LedgerArgs,
    /// A checkpoint kept elsewhere, which the ledger must extend
    #[arg(long, value_name = "FILE")]
    pub(crate) against: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deepring ledger prove --ledger ledger > newest.tlog-proof
  deepring ledger prove --ledger ledger --entry 3 -o 3.tlog-proof
  deepring ledger prove --ledger ledger --receipt x.receipt -o x.tlog-proof")]
pub(crate) struct LedgerProve {
    #[command(flatten)]
    pub(crate) args: LedgerArgs,
    /// Index of the entry [default: the newest]
    #[arg(long, value_name = "N", conflicts_with = "receipt")]
    pub(crate) entry: Option<u64>,
    /// Prove the entry of this receipt's decision
    #[arg(long, value_name = "FILE")]
    pub(crate) receipt: Option<PathBuf>,
    /// Write the proof here instead of printing it
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}
