//! Why a network is not set up, or not run.

use std::path::{Path, PathBuf};

use deepring::RingError;
use deepring::files::KeyFileError;
use deepring::keys::NoRandomness;
use deepring::maintenance::GrantError;
use deepring_ledger::entry::EntryError;
use thiserror::Error;

/// Why a network is not set up, or not run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// A file or folder.
    #[error("{}: {source}", path.display())]
    Io {
        /// Its path.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// Something lies where a folder is to be made.
    #[error("{} is there already", .0.display())]
    Exists(PathBuf),
    /// A key file.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The ring.
    #[error("{}: {source}", path.display())]
    Ring {
        /// Its file.
        path: PathBuf,
        /// The reason.
        source: Box<RingError>,
    },
    /// The ring cannot be dealt so.
    #[error("the ring is not dealt: {0}")]
    Deal(#[from] GrantError),
    /// An entry cannot be signed.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// The random number generator failed.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// A join request.
    #[error("{}: {why}", path.display())]
    Request {
        /// Its file.
        path: PathBuf,
        /// The reason.
        why: String,
    },
    /// Too few or too many nodes.
    #[error("{nodes} nodes: a network has from {least} to {most}")]
    Nodes {
        /// How many were asked for.
        nodes: usize,
        /// The fewest.
        least: usize,
        /// The most.
        most: usize,
    },
    /// Two requests have a key or an address in common.
    #[error("two nodes have one {what}: {value}")]
    Twice {
        /// The thing that they have in common, in words.
        what: &'static str,
        /// Its text.
        value: String,
    },
    /// An address at which no node is reached.
    #[error("no node is reached at {at}: {why}")]
    Unreachable {
        /// The address.
        at: std::net::SocketAddr,
        /// Why.
        why: &'static str,
    },
    /// The text that is to be the log's name cannot be one.
    #[error("the log cannot be called `{}`: a name has 1 to 255 bytes, no white space, no control character and no `+`", .0.escape_default())]
    Origin(String),
    /// Ports of the nodes would go beyond the last.
    #[error("{nodes} nodes from port {first} on need more ports than there are")]
    Ports {
        /// How many nodes.
        nodes: usize,
        /// The first port.
        first: u16,
    },
    /// The folder holds no nodes.
    #[error("{} holds no nodes: `deepringd cluster init` makes such a folder", .0.display())]
    NoNodes(PathBuf),
    /// A node could not be started.
    #[error("node {name} could not be started: {why}")]
    NotStarted {
        /// The node's folder.
        name: String,
        /// Why.
        why: String,
    },
}

impl ClusterError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        |source| Self::Io { path: path.to_owned(), source }
    }
}
