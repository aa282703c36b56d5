//! Arguments of `deepring ledger`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum LedgerCommand {
    Init(LedgerInit),
    /// List the entries
    #[command(after_help = "Example:\n  deepring ledger show --ledger ledger")]
    Show(LedgerArgs),
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
            Self::Show(args) | Self::Checkpoint(args) => args.json,
            Self::Verify(LedgerVerify { args, .. }) | Self::Prove(LedgerProve { args, .. }) => {
                args.json
            }
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
