//! Arguments of `arbitrate`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;

use super::run::threads;
use super::{OwnerArg, PassphraseArg};

/// Rule on a leg of which two copies contradict each other: computes it again from what both signed that entered it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deepring arbitrate model.ring --dispute QUERY-3.dispute --owner owner.pub --key arbiter.key")]
pub(crate) struct ArbitrateArgs {
    /// The ring, in a revision that grants the arbiter the leg's blocks (`grant`)
    #[arg(value_name = "RING")]
    pub(crate) ring: PathBuf,
    /// The dispute, as a node kept it in `data/disputes` for the arbiter that its `[host] arbiter` names
    #[arg(long, value_name = "FILE")]
    pub(crate) dispute: PathBuf,
    #[command(flatten)]
    pub(crate) owner: OwnerArg,
    /// Secret key of the arbiter, a host key for which the dispute was sealed
    #[arg(long, value_name = "host.key")]
    pub(crate) key: PathBuf,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArg,
    /// Threads of the engine [default: as many as the first signed record states]
    #[arg(long, value_name = "N", value_parser = threads)]
    pub(crate) threads: Option<NonZeroUsize>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
