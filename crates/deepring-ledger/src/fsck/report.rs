//! The report of an examination.

use serde::{Serialize, Serializer};
use thiserror::Error;

use crate::checkpoint::CheckpointError;
use crate::entry::{EntryError, hex};
use crate::history::Unfounded;
use crate::state::NoAuthority;

/// Most findings that a report lists; the rest are counted.
const MAX_FINDINGS: usize = 256;

/// The result of recomputing a ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LedgerReport {
    /// Number of entries the database holds, gap-free from the first.
    pub size: u64,
    /// Root of the tree over these entries, computed from them alone.
    #[serde(serialize_with = "hex")]
    pub root: [u8; 32],
    /// The defects; empty for an intact ledger.
    pub findings: Vec<LedgerFinding>,
    /// Number of findings beyond those listed.
    pub left_out: u64,
}

/// One defect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LedgerFinding {
    /// Index of the entry at fault, where one can be named.
    pub index: Option<u64>,
    /// The kind of defect.
    pub what: Defect,
}

/// The defects that a ledger can have. Serialises as its text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Defect {
    /// The database cannot be read.
    #[error("database is damaged: {what}")]
    Database {
        /// The error of the database layer.
        what: String,
    },
    /// There is no database, though other files of the ledger are there.
    #[error("database is missing")]
    DatabaseMissing,
    /// The database names a format that is not known.
    #[error("unknown format `{found}`")]
    Format {
        /// Format that it names.
        found: String,
    },
    /// Database and key files name different keys.
    #[error("key `{found}` is not the ledger's")]
    Key {
        /// Key found.
        found: String,
    },
    /// The database's checkpoint does not verify.
    #[error("checkpoint does not verify: {source}")]
    Checkpoint {
        /// The verification error.
        source: CheckpointError,
    },
    /// The checkpoint file does not verify.
    #[error("checkpoint file does not verify: {source}")]
    SavedCheckpoint {
        /// The verification error.
        source: CheckpointError,
    },
    /// The checkpoint file is gone.
    #[error("checkpoint file is missing")]
    SavedCheckpointMissing,
    /// The checkpoint file commits to more entries than there are.
    #[error("rolled back: the checkpoint file commits to {known} entries, {size} are there")]
    RolledBack {
        /// Size in the file.
        known: u64,
        /// Entries there are.
        size: u64,
    },
    /// The checkpoint file commits to other entries than there are.
    #[error("rewritten: the first {known} entries are not those the checkpoint file commits to")]
    Rewritten {
        /// Size in the file.
        known: u64,
    },
    /// Entries are missing at the end.
    #[error("{signed} entries were signed, {found} are there")]
    Short {
        /// Size in the checkpoint.
        signed: u64,
        /// Entries there are.
        found: u64,
    },
    /// The entries are not those that were signed.
    #[error("the {size} entries do not have the root that was signed")]
    Root {
        /// Size in the checkpoint.
        size: u64,
    },
    /// An entry is not there.
    #[error("entry is missing")]
    EntryMissing,
    /// An entry lies beyond those that the checkpoint commits to.
    #[error("entry is beyond the signed size")]
    EntryUnsigned,
    /// An entry's bytes are not those that were signed at its index.
    #[error("entry was altered")]
    EntryAltered,
    /// An entry is not canonical.
    #[error("entry cannot be read: {source}")]
    EntryUnreadable {
        /// Why it is no entry.
        source: EntryError,
    },
    /// An entry's author did not sign it; it has no effect.
    #[error("entry is not signed by the author that it names, and has no effect")]
    EntryNotSigned,
    /// An entry's author had no authority to say what it says; it has no effect.
    #[error("entry has no authority, and no effect: {source}")]
    NoAuthority {
        /// The refusal.
        source: NoAuthority,
    },
    /// A stored hash is not the hash of the entries under it.
    #[error("stored hash over entries {first} to {last} is wrong")]
    Hash {
        /// First entry under the hash.
        first: u64,
        /// Last entry under the hash.
        last: u64,
    },
    /// Hashes are stored that no entry calls for, or some are missing.
    #[error("{found} hashes are stored, {expected} belong to the entries")]
    HashCount {
        /// Hashes that belong to the entries.
        expected: u64,
        /// Hashes stored.
        found: u64,
    },
    /// The stored state is not what the entries come to, or is not signed.
    #[error("the stored state is not signed as what the entries come to")]
    State,
    /// The row of the newest height says what cannot be.
    #[error("the recorded height is none, or of entries that are not there")]
    Height,
    /// A table, or a row of a table with few, that no ledger has.
    #[error("{what}, which no ledger has")]
    NotALedgers {
        /// The table or row, by its name or the beginning of that.
        what: String,
    },
    /// The index says that the entry records a decision that it does not record.
    #[error("index row is false")]
    IndexRowFalse,
    /// The index does not list the entry under the decision it records.
    #[error("index row is missing")]
    IndexRowMissing,
}

impl From<Unfounded> for Defect {
    fn from(why: Unfounded) -> Self {
        match why {
            Unfounded::NotSigned => Self::EntryNotSigned,
            Unfounded::NoAuthority(source) => Self::NoAuthority { source },
        }
    }
}

impl Serialize for Defect {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl LedgerReport {
    /// Returns whether there is no defect.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.findings.is_empty()
    }

    pub(crate) fn add(&mut self, index: Option<u64>, what: Defect) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(LedgerFinding { index, what });
        } else {
            self.left_out += 1;
        }
    }
}
