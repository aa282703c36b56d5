//! Arguments of `deepring key`, and the passphrase that every command takes that reads a secret key.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Where the passphrase of an encrypted key file comes from.
#[derive(Debug, Default, Args)]
pub(crate) struct PassphraseArg {
    /// Descriptor whose first line is the passphrase of the secret key files, where they have one; without it the terminal is asked
    #[arg(long, value_name = "N")]
    pub(crate) passphrase_fd: Option<u32>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    Passphrase(KeyPassphrase),
}

/// Give a secret key file a passphrase, another one, or none; the key stays the same
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deepring key passphrase keys/owner.key
  deepring key passphrase keys/owner.key --passphrase-fd 3 --new-passphrase-fd 4 3< old.txt 4< new.txt
  deepring key passphrase keys/owner.key --remove")]
pub(crate) struct KeyPassphrase {
    /// The secret key file, of an owner, a host or a node; replaced whole or not at all
    #[arg(value_name = "ANY.key")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArg,
    /// Descriptor whose first line is the new passphrase; without it the terminal is asked
    #[arg(long, value_name = "N", conflicts_with = "remove")]
    pub(crate) new_passphrase_fd: Option<u32>,
    /// Write the key without a passphrase
    #[arg(long)]
    pub(crate) remove: bool,
}
