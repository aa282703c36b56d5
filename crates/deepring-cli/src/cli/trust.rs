//! Arguments of `deepring trust`, and the owner that other commands are given.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};

/// The owner to trust for this command only.
#[derive(Debug, Args)]
pub(crate) struct OwnerArg {
    /// Public key of the owner to trust; without it the trust store decides
    #[arg(long, value_name = "owner.pub")]
    pub(crate) owner: Option<PathBuf>,
    /// Trust this owner from now on, in whatever the key signs, as `trust add` does
    #[arg(long, requires = "owner")]
    pub(crate) remember: bool,
}

/// Choose whom to trust from now on, and see what is remembered
#[derive(Debug, Subcommand)]
pub(crate) enum TrustCommand {
    /// Trust owners from now on, in whatever their keys sign
    #[command(after_help = "\
Examples:
  deepring trust add keys/owner.pub
  deepring trust add new/owner.pub --successor-of keys/owner.pub")]
    Add(TrustAdd),
    /// List the trusted owners, the versions seen, and what is bound to which path
    #[command(after_help = "Example:\n  deepring trust list --json")]
    List(TrustList),
    Remove(TrustRemove),
    /// Bind a path to the ring that lies there now, whatever it was bound to: no other ring is accepted there
    /// any more
    #[command(after_help = "Example:\n  deepring trust bind model.ring --owner keys/owner.pub")]
    Bind(TrustBind),
}

#[derive(Debug, Args)]
pub(crate) struct TrustAdd {
    /// Public keys of owners
    #[arg(required = true, value_name = "owner.pub")]
    pub(crate) owner: Vec<PathBuf>,
    /// Key, as a file or as its text, whose owner gave it up for the one that is added: of its rings, no version is accepted any more
    /// once one by the new key was seen. Your word stands above what any ledger says
    #[arg(long, value_name = "old.pub|drowner1...")]
    pub(crate) successor_of: Option<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct TrustList {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Stop trusting an owner, unbind a path, forget a ledger, or take back what you said of keys; the versions seen of rings are never forgotten
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("what").required(true),
    after_help = "\
Examples:
  deepring trust remove keys/owner.pub
  deepring trust remove --path model.ring
  deepring trust remove --ledger ledger
  deepring trust remove --successor-of old.pub"
)]
pub(crate) struct TrustRemove {
    /// Public key of the owner, as a file or as its text
    #[arg(group = "what", value_name = "owner.pub|drowner1...")]
    pub(crate) owner: Option<OsString>,
    /// Bound path to unbind
    #[arg(long, group = "what", value_name = "RING")]
    pub(crate) path: Option<PathBuf>,
    /// Ledger to forget, with all that it revoked, and all that it said of keys: by its folder or its name
    #[arg(long, group = "what", value_name = "DIR|ORIGIN")]
    pub(crate) ledger: Option<OsString>,
    /// Key of which you said with `trust add --successor-of` that it was given up, as a file or as its text: you say so no more
    #[arg(long, group = "what", value_name = "old.pub|drowner1...")]
    pub(crate) successor_of: Option<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct TrustBind {
    /// The ring
    pub(crate) ring: PathBuf,
    /// Public key of the owner who signed it
    #[arg(long, value_name = "owner.pub")]
    pub(crate) owner: PathBuf,
}
