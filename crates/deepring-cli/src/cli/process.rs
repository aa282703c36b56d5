//! Options about the process that runs a network.

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct ProcessOptions {
    /// Say on stderr what keeps others out of this process
    #[arg(long, short)]
    pub(crate) verbose: bool,
    /// Give up, before anything is read, all files but those of this run, the network, other programs and
    /// processes (Linux 6.2 or newer); fails where that is not to be had
    #[arg(long)]
    pub(crate) sandbox: bool,
}
