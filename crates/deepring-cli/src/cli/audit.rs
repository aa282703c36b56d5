//! Arguments of `audit`.

use std::path::PathBuf;

use clap::Args;

use super::{OwnerArg, PassphraseArg};

/// Compare the copies that several hosts hold of the same blocks: each answers a random challenge from its memory
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deepring audit model.ring --owner owner.pub --key a.key --key b.key
  deepring audit of-a.ring of-b.ring --owner owner.pub --key a.key --key b.key --block 3")]
pub(crate) struct AuditArgs {
    /// The ring; or one copy of it for each key, in the same order
    #[arg(required = true, value_name = "RING")]
    pub(crate) rings: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) owner: OwnerArg,
    /// Secret key of a host; repeat for each
    #[arg(long, required = true, value_name = "host.key")]
    pub(crate) key: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArg,
    /// Block to compare, Genesis is 0; repeat for more; without it, all that two of the keys open
    #[arg(long, value_name = "N")]
    pub(crate) block: Vec<u32>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
