//! Arguments of `deal`, and what sealing a dealt ring shares with it.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::PassphraseArg;

/// Deal a ring: each leg of blocks to its host and to the hosts of the legs that follow, which compute and validate it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deepring deal model.ring --owner-key owner.key --leg 1-6=a.pub --leg 7-12=b.pub --leg 13-18=c.pub -o model.deal
  deepring deal model.ring --owner-key owner.key --leg 1-2=a.pub --leg 3-4=b.pub --leg 5=c.pub --copies 3 -o model.deal")]
pub(crate) struct DealArgs {
    /// The ring; its new revision replaces it, whole or not at all
    pub(crate) ring: PathBuf,
    /// Secret key of the ring's owner
    #[arg(long, value_name = "owner.key")]
    pub(crate) owner_key: PathBuf,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArg,
    /// Consecutive blocks and the host that runs them; repeat for each leg, in order
    #[arg(long, required = true, value_name = "BLOCKS=host.pub")]
    pub(crate) leg: Vec<OsString>,
    #[command(flatten)]
    pub(crate) copies: CopiesArgs,
    /// Ledger that the ring is registered in: refuses what is revoked there
    #[arg(long, value_name = "DIR")]
    pub(crate) ledger: Option<PathBuf>,
    /// Public key of the ledger; without it, the key that the trust store remembers
    #[arg(long, value_name = "log.pub", requires = "ledger")]
    pub(crate) ledger_key: Option<PathBuf>,
    /// The deal's own record, signed, to be kept apart from the ring
    #[arg(short, long, value_name = "MODEL.deal")]
    pub(crate) output: PathBuf,
}

/// How many hosts compute each leg.
#[derive(Debug, Args)]
pub(crate) struct CopiesArgs {
    /// Hosts that compute each leg: with 2 no lie of one passes, with 3 the liar is named and the query goes on
    #[arg(long, value_enum, default_value_t = CopiesArg::Two, value_name = "2|3")]
    pub(crate) copies: CopiesArg,
    /// With three copies, have the third compute each query, and not only in a dispute
    #[arg(long)]
    pub(crate) eager: bool,
    /// Host of Genesis, instead of the first leg's copies: opens and closes queries; repeat for more
    #[arg(long, value_name = "host.pub")]
    pub(crate) genesis: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CopiesArg {
    #[value(name = "2")]
    Two,
    #[value(name = "3")]
    Three,
}

/// The validation of each leg that a reader requires.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum RequireArg {
    /// What the ring's deal promises: nothing where it is not dealt
    #[default]
    AsDealt,
    /// Two of three copies agree
    Majority,
    /// Another copy computed the same
    Validated,
    /// Nothing
    None,
}

impl From<RequireArg> for deepring::receipt::Require {
    fn from(required: RequireArg) -> Self {
        match required {
            RequireArg::AsDealt => Self::AsDealt,
            RequireArg::Majority => Self::Majority,
            RequireArg::Validated => Self::Validated,
            RequireArg::None => Self::None,
        }
    }
}
