//! Why a validator does not start, or stops.

use std::io;
use std::path::PathBuf;

use deepring_ledger::LedgerError;
use deepring_ledger::witness::{CosignError, QuorumError};
use thiserror::Error;

use super::chamber::NotNext;

/// Why a validator does not start, or stops. It votes for nothing afterwards.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AgreementError {
    /// The ledger has entries that no agreement brought.
    #[error("the ledger has {size} entries that no agreement brought")]
    LedgerNotEmpty {
        /// Number of entries.
        size: u64,
    },
    /// The ledger is another log's.
    #[error("the ledger is `{found}`, not `{expected}`")]
    OtherOrigin {
        /// The ledger's name.
        found: String,
        /// Name of the log that the committee keeps.
        expected: String,
    },
    /// The committee names nobody, or one node twice.
    #[error("the committee names nobody, or one node twice")]
    Committee,
    /// The set's cosignatures could not be counted.
    #[error(transparent)]
    Set(#[from] QuorumError),
    /// A term has one height.
    #[error("a term of one height holds no vote")]
    TermTooShort,
    /// The engine's storage is of terms of another length.
    #[error("the engine's storage is of terms of {found} heights, not {expected}")]
    OtherTerms {
        /// Heights of a term there.
        found: u64,
        /// As the validator was started with.
        expected: u64,
    },
    /// Which sets stand for which terms could not be read, or not be kept.
    #[error("the engine's record of validator sets: {0}")]
    Terms(String),
    /// The ledger lacks what was in it when the newest term began: it was put back to an earlier state, and votes of an earlier
    /// term could be given again.
    #[error(
        "the ledger holds height {height}, and this validator's term began after height {floor}: the ledger was put back"
    )]
    LedgerBehind {
        /// Height of the ledger.
        height: u64,
        /// Height of the docket that the term builds on.
        floor: u64,
    },
    /// Dockets between the ledger's newest and the one that is delivered are missing.
    #[error("the ledger holds height {known}, and {height} is delivered")]
    Gap {
        /// Height of the ledger.
        known: u64,
        /// Height of the docket.
        height: u64,
    },
    /// The docket that the node's record begins with has another height than its term begins after.
    #[error(
        "the docket that this node was to begin with has height {height}, at which its term does not begin"
    )]
    OtherHeight {
        /// The height.
        height: u64,
    },
    /// A finalised docket does not follow the ledger.
    #[error(transparent)]
    NotNext(#[from] NotNext),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The checkpoint could not be cosigned.
    #[error(transparent)]
    Cosign(#[from] CosignError),
    /// The evidence of a split view could not be written.
    #[error("could not write {}: {source}", path.display())]
    Evidence {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The engine's storage failed.
    #[error("the engine's storage failed: {0}")]
    Storage(String),
    /// A part of the validator ended.
    #[error("the validator's {part} ended")]
    Ended {
        /// Which part.
        part: &'static str,
    },
}
