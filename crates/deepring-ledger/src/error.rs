//! The errors of a ledger, classed by the party at fault.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use crate::checkpoint::CheckpointError;
use crate::entry::EntryError;
use crate::key::KeyError;
use crate::state::NoAuthority;

/// The party at fault for an error; a command maps it to an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The machine: missing files, no room, no permission, a ledger in use elsewhere.
    Io,
    /// The data: a ledger, checkpoint or proof that was given does not verify.
    Tampered,
    /// Trust: the data verifies, but under another key than the one that the caller pinned.
    Untrusted,
    /// Time: what was given verifies, and is older than what is known, or was made for another
    /// question.
    Stale,
    /// The caller: an operation that this ledger, as it was opened, does not have.
    Usage,
}

/// Why a ledger could not be opened, read or appended to.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// Nothing at this path is a ledger. Nothing was created.
    #[error("not a ledger: {}", dir.display())]
    NotALedger {
        /// Directory that was given.
        dir: PathBuf,
    },
    /// A file could not be read, written or synced.
    #[error("could not {doing} {}: {source}", path.display())]
    Io {
        /// The action that was attempted.
        doing: &'static str,
        /// File or directory concerned.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Another process, or another handle of this one, has the ledger open.
    #[error("ledger is in use by another process: {} (waited {waited:?})", path.display())]
    InUse {
        /// The locked database.
        path: PathBuf,
        /// Time that the lock was waited for.
        waited: Duration,
    },
    /// The ledger has been opened for reading only.
    #[error("ledger is open for reading only")]
    ReadOnly,
    /// The ledger exists but its signing key does not, so it can be read and not appended to.
    #[error("the ledger's signing key is missing: {}", path.display())]
    KeyMissing {
        /// Where the key should be.
        path: PathBuf,
    },
    /// Users other than its own can read or write the signing key.
    #[error("mode {mode:04o} lets others than you read or change the signing key {}", path.display())]
    LooseKey {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A key file or key text does not hold a key.
    #[error("not a ledger key: {}: {source}", path.display())]
    BadKey {
        /// File that should hold the key.
        path: PathBuf,
        /// The parsing error.
        source: KeyError,
    },
    /// The key that the caller pinned cannot be read.
    #[error("the pinned key is not a ledger key: {0}")]
    BadPinnedKey(#[source] KeyError),
    /// The ledger belongs to another key than the one that the caller pinned.
    #[error("ledger is signed by `{found}`, not by the pinned `{pinned}`")]
    OtherKey {
        /// Key that the ledger names.
        found: String,
        /// Key that the caller trusts.
        pinned: String,
    },
    /// The name that was asked for is none for a log.
    #[error("cannot begin the ledger: {0}")]
    BadOrigin(#[source] KeyError),
    /// The ledger has another name than was asked for.
    #[error("the ledger is `{found}`, not `{expected}`")]
    OtherOrigin {
        /// Its name.
        found: String,
        /// The name that was asked for.
        expected: String,
    },
    /// The key files beside the database do not belong to it.
    #[error("`{found}` in {} is not the ledger's key `{expected}`", path.display())]
    KeyMismatch {
        /// File with the other key.
        path: PathBuf,
        /// Key in that file.
        found: String,
        /// Key that the database was created with.
        expected: String,
    },
    /// The database was written by another version of this program.
    #[error("ledger format `{found}` is not supported{}", match .found.as_str() {
        "deepring-ledger/2" => ": its entries name no log, and could be said again; begin a new ledger, and read this one with the program that wrote it",
        "deepring-ledger/1" => ": nobody signed its entries; begin a new ledger, and read this one with the program that wrote it",
        _ => "",
    })]
    UnknownFormat {
        /// Format that the database names.
        found: String,
    },
    /// The database is damaged, or is no database.
    #[error("database is damaged: {}: {what}", path.display())]
    Damaged {
        /// The database.
        path: PathBuf,
        /// The defect.
        what: String,
    },
    /// The entry at this index is not the one that the checkpoint commits to.
    #[error("entry {index} is not the one that the checkpoint commits to")]
    EntryDamaged {
        /// Index of the entry.
        index: u64,
    },
    /// The entry at this index is the one that was recorded, but cannot be read.
    #[error("entry {index} cannot be read: {source}")]
    EntryUnreadable {
        /// Index of the entry.
        index: u64,
        /// Why it is no entry, or not a signed one.
        source: EntryError,
    },
    /// A checkpoint does not verify.
    #[error("{whose} does not verify: {source}")]
    Checkpoint {
        /// The checkpoint, in words.
        whose: &'static str,
        /// The verification error.
        source: CheckpointError,
    },
    /// The ledger is smaller than a checkpoint that it once signed.
    #[error("ledger was rolled back: it holds {size} entries, a checkpoint says {known}")]
    RolledBack {
        /// Number of entries that the ledger holds.
        size: u64,
        /// Number of entries that a checkpoint of the same key commits to.
        known: u64,
    },
    /// The ledger's first `known` entries are not those that an earlier checkpoint commits to.
    #[error("ledger was rewritten: its first {known} entries are not those of the checkpoint")]
    Rewritten {
        /// Size of the earlier checkpoint, in entries.
        known: u64,
    },
    /// The database is gone although a checkpoint of it is still there.
    #[error("database is missing beside its checkpoint: {}", path.display())]
    DatabaseMissing {
        /// Where the database should be.
        path: PathBuf,
    },
    /// The `checkpoint` file is gone although the ledger has entries.
    #[error("checkpoint file is missing: {}", path.display())]
    CheckpointMissing {
        /// Where the file should be.
        path: PathBuf,
    },
    /// The entries were recorded and synced, but the `checkpoint` file could not be replaced.
    ///
    /// Do not append them again. The next append, or the next opening, replaces the file.
    #[error(
        "recorded {count} entries from index {first}, but could not replace {}: {source}",
        path.display()
    )]
    CheckpointFile {
        /// Index of the first entry that was recorded.
        first: u64,
        /// Number of entries that were recorded.
        count: u64,
        /// The checkpoint file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// There is no entry at this index.
    #[error("no entry {index}: the ledger holds {size}")]
    NoSuchEntry {
        /// Requested index.
        index: u64,
        /// Number of entries that the ledger holds.
        size: u64,
    },
    /// The ledger holds fewer entries than the size asked for.
    #[error("no such size: {asked}; the ledger holds {size} entries")]
    NoSuchSize {
        /// Requested size, in entries.
        asked: u64,
        /// Number of entries that the ledger holds.
        size: u64,
    },
    /// The ledger does not have the size that entries were to be appended at.
    #[error("entries were to follow {expected} others, the ledger holds {size}")]
    UnexpectedSize {
        /// Size that was expected, in entries.
        expected: u64,
        /// Number of entries that the ledger holds.
        size: u64,
    },
    /// Something else was recorded at this height.
    #[error("other entries were recorded at height {height}")]
    HeightTaken {
        /// The height.
        height: u64,
    },
    /// A later height was recorded already.
    #[error("height {height} is below {known}, which is recorded")]
    HeightPassed {
        /// The height.
        height: u64,
        /// The newest height that is recorded.
        known: u64,
    },
    /// The cosigned checkpoint is not the newest one: entries were appended while its witness was
    /// asked.
    #[error("the cosigned checkpoint is of {cosigned} entries, and the newest of {size}")]
    NotTheNewest {
        /// Entries that the cosigned checkpoint commits to.
        cosigned: u64,
        /// Number of entries that the ledger holds.
        size: u64,
    },
    /// The event cannot be made into an entry.
    #[error("cannot be recorded: {0}")]
    Entry(#[from] EntryError),
    /// An entry's author has no authority to say what it says; none of its batch was recorded.
    #[error("entry {position} of the batch has no authority: {source}")]
    NoAuthority {
        /// Position in the batch, counted from 0.
        position: usize,
        /// The refusal.
        source: NoAuthority,
    },
}

impl LedgerError {
    /// The party at fault.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::NotALedger { .. }
            | Self::Io { .. }
            | Self::InUse { .. }
            | Self::KeyMissing { .. }
            | Self::LooseKey { .. }
            | Self::UnknownFormat { .. }
            | Self::CheckpointFile { .. } => Fault::Io,
            Self::BadKey { .. }
            | Self::KeyMismatch { .. }
            | Self::Damaged { .. }
            | Self::EntryDamaged { .. }
            | Self::EntryUnreadable { .. }
            | Self::Checkpoint { .. }
            | Self::Rewritten { .. }
            | Self::DatabaseMissing { .. }
            | Self::CheckpointMissing { .. } => Fault::Tampered,
            Self::RolledBack { .. } => Fault::Stale,
            Self::OtherKey { .. }
            | Self::OtherOrigin { .. }
            | Self::BadPinnedKey(KeyError::Weak)
            | Self::NoAuthority { .. } => Fault::Untrusted,
            Self::ReadOnly
            | Self::BadPinnedKey(_)
            | Self::NoSuchEntry { .. }
            | Self::NoSuchSize { .. }
            | Self::BadOrigin(_)
            | Self::UnexpectedSize { .. }
            | Self::HeightTaken { .. }
            | Self::HeightPassed { .. }
            | Self::NotTheNewest { .. }
            | Self::Entry(_) => Fault::Usage,
        }
    }

    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, path: path.to_owned(), source }
    }

    pub(crate) fn damaged(path: &Path, what: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), what: what.into() }
    }
}

/// Classifies a failure of redb: the machine's fault, another process's lock, or a damaged file.
pub(crate) fn failure(path: &Path, error: impl Into<redb::Error>) -> LedgerError {
    match error.into() {
        redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => {
            LedgerError::InUse { path: path.to_owned(), waited: Duration::ZERO }
        }
        // The file ends where a page should be, or is no database at all.
        redb::Error::Io(e)
            if matches!(e.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData) =>
        {
            LedgerError::damaged(path, e.to_string())
        }
        redb::Error::Io(source) => LedgerError::io("read or write", path)(source),
        e @ (redb::Error::PreviousIo | redb::Error::Backend(_) | redb::Error::Unsupported) => {
            LedgerError::io("read or write", path)(io::Error::other(e.to_string()))
        }
        e => LedgerError::damaged(path, e.to_string()),
    }
}
