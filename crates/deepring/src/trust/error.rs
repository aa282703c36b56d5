//! The errors of a trust store.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use super::OwnedRing;
use super::contradiction::Contradiction;
use crate::in_line::InLine;

/// Why the trust store could not be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TrustError {
    /// The file system refused.
    #[error("{}: {source}", InLine(path.display()))]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file is not a trust store. It is not replaced: it may be the only memory of what was
    /// seen.
    #[error("{}: not a trust store: {}", InLine(path.display()), InLine(reason))]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The file is of format 1, which no release wrote. Its owners were added by looking at their
    /// rings, so they are not taken over.
    #[error("{}: a trust store of format 1, which trusts owners that nobody added", InLine(path.display()))]
    OldFormat {
        /// The file.
        path: PathBuf,
    },
    /// Users of its group or others can write the file, and so add owners to it, or remove records.
    #[error("{}: others can write this trust store (mode {mode:03o})", InLine(path.display()))]
    Loose {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Another user owns the file, or a link to it, and so can write it or put another in its
    /// place.
    #[error("{}: this trust store, or a link to it, belongs to another user (uid {owner}), who decides what is read here", InLine(path.display()))]
    Foreign {
        /// The file.
        path: PathBuf,
        /// User id of its owner.
        owner: u32,
    },
    /// Others than its user and root can put another file in the store's place.
    #[error(
        "{}: others can put another file in the place of this trust store (folder {}: mode {mode:04o}, uid {owner})",
        InLine(path.display()), InLine(folder.display())
    )]
    LooseFolder {
        /// The file, there or not.
        path: PathBuf,
        /// The folder on the way to it.
        folder: PathBuf,
        /// The folder's permission bits.
        mode: u32,
        /// User id of the folder's owner.
        owner: u32,
    },
    /// Another process held the lock for the whole wait.
    #[error("{}: locked by another process (waited {waited:?})", InLine(lock.display()))]
    Busy {
        /// The lock file.
        lock: PathBuf,
        /// Time that was waited.
        waited: Duration,
    },
    /// The path is bound to another ring; only [`TrustStore::unbind`](super::TrustStore::unbind) changes that.
    #[error(
        "{} is bound to ring {} of owner {}, not to ring {} of owner {}",
        InLine(path.display()), bound.ring, bound.owner, found.ring, found.owner
    )]
    BoundToAnother {
        /// The path.
        path: PathBuf,
        /// The ring that it is bound to.
        bound: Box<OwnedRing>,
        /// The ring that it was to be bound to.
        found: Box<OwnedRing>,
    },
    /// Another key is known to have come after one than is said now, and nobody but the reader can decide which it is.
    #[error("{0}")]
    OtherSuccessor(Box<Contradiction>),
}
