//! Why a node does not start, or stops.

use std::path::PathBuf;

use deepring::keys::ParseKeyError;
use deepring::{Owner, PublicKey, RingError};
use deepring_infer::RunError;
use deepring_infer::inputs::PreprocessError;
use deepring_ledger::LedgerError;
use deepring_ledger::certificate::CertificateError;
use thiserror::Error;

use super::config::ConfigError;
use super::joining::CopyError;
use crate::agreement::AgreementError;
use crate::hosting::HostingError;

/// Why a node does not start, or stops.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file or folder.
    #[error("{}: {source}", path.display())]
    Io {
        /// Its path.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A key file.
    #[error("{}: {why}", path.display())]
    Key {
        /// Its path.
        path: PathBuf,
        /// The reason.
        why: String,
    },
    /// A key in the configuration.
    #[error(transparent)]
    KeyText(#[from] ParseKeyError),
    /// The validator set.
    #[error("{}: {source}", path.display())]
    Validators {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: Box<CertificateError>,
    },
    /// A node of the validator set is not among the peers.
    #[error("validator {node} is no peer of this configuration, and not this node")]
    NoPeer {
        /// Its key, in short.
        node: String,
    },
    /// The validator set to be approved is of another log than the node keeps.
    #[error("{}: a validator set of `{found}`, and this node keeps `{expected}`", path.display())]
    OtherLog {
        /// The file.
        path: PathBuf,
        /// Its log.
        found: String,
        /// The node's.
        expected: String,
    },
    /// The validator set to be approved can follow no other any more.
    #[error(
        "{}: validator set {found} cannot follow: the log names set {newest} already",
        path.display()
    )]
    SetPassed {
        /// The file.
        path: PathBuf,
        /// Epoch of the set.
        found: u64,
        /// Epoch of the newest one that the log names.
        newest: u64,
    },
    /// The file that lies in the data folder as approved holds no validator set.
    #[error("{}: {why}", path.display())]
    Approved {
        /// The file.
        path: PathBuf,
        /// The reason.
        why: String,
    },
    /// The owner's rings are not taken by the log.
    #[error("the validator set does not take rings of the owner {}", .0.short())]
    NotItsOwner(PublicKey<Owner>),
    /// The ring.
    #[error("{}: {source}", path.display())]
    Ring {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: Box<RingError>,
    },
    /// A host of the deal is not among the peers.
    #[error("host {host} of the ring's deal is no peer of this configuration, and not this node's")]
    NoPeerHost {
        /// Its key, in short.
        host: String,
    },
    /// A block could not be opened.
    #[error(transparent)]
    Opening(#[from] RunError),
    /// The sealed recipe for pictures.
    #[error("the sealed recipe for pictures: {0}")]
    Recipe(PreprocessError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// An entry that the ledger is to begin with.
    #[error("{}: {why}", path.display())]
    BeginWith {
        /// Its file.
        path: PathBuf,
        /// The reason.
        why: String,
    },
    /// The node cannot begin with what was copied from another node.
    #[error("{}: {source}", path.display())]
    Joining {
        /// The record.
        path: PathBuf,
        /// The fault of the record, or of the ledger beside it.
        source: Box<CopyError>,
    },
    /// The journal of the engine is gone, and the key may have voted.
    #[error(
        "what this node's key voted is gone: {} names other storage, or the ledger has grown and no votes are beside it; with this \
         key, it votes for nothing any more (a new node key, entered into the validator set, does)",
        marker.display()
    )]
    JournalGone {
        /// The file that says in which storage the key voted, if it did.
        marker: PathBuf,
    },
    /// A library gave up by a panic, as the engine's does where it cannot keep or read what it kept.
    #[error(
        "the node gave up: {why}; what its engine keeps is in {}: is the disk full, or was something there changed?",
        storage.display()
    )]
    GaveUp {
        /// The folder.
        storage: PathBuf,
        /// The library's message, in one line.
        why: String,
    },
    /// The validator stopped.
    #[error("the validator stopped: {0}")]
    Agreement(#[from] AgreementError),
    /// The host stopped.
    #[error("the host stopped: {0}")]
    Hosting(#[from] HostingError),
    /// The gateway stopped.
    #[error("the gateway stopped: {0}")]
    Gateway(String),
}
