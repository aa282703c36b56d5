//! Options about the process that runs a network.

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct ProcessOptions {
    /// Say on stderr what keeps others out of this process
    #[arg(long, short)]
    pub(crate) verbose: bool,
    /// Give up, before anything is read, the network, other programs and processes, and all files but those that
    /// are read and the whole folders that are written to: of ledger, outputs, saved inputs, receipt and trust
    /// store (Linux 6.2 or newer); fails where that is not to be had
    #[arg(long)]
    pub(crate) sandbox: bool,
}
