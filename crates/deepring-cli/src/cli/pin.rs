//! Arguments that say which ring must have decided.

use std::path::PathBuf;

use clap::Args;
use deepring::RingId;

use super::ledger::ring_id;

#[derive(Debug, Args)]
pub(crate) struct RingPin {
    /// A file of the ring that must have decided, in this version
    #[arg(long, value_name = "RING", conflicts_with_all = ["ring_id", "model_version"])]
    pub(crate) ring: Option<PathBuf>,
    /// The ring that must have decided
    #[arg(long, value_name = "RING_ID", value_parser = ring_id)]
    pub(crate) ring_id: Option<RingId>,
    /// The version of this ring that must have decided
    #[arg(long, value_name = "N", requires = "ring_id")]
    pub(crate) model_version: Option<u64>,
}
