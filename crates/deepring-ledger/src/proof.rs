//! Proofs, checked offline: that an entry is in the log (`c2sp.org/tlog-proof@v1`), and that the log only grew.

use std::fmt;

use base64::prelude::{BASE64_STANDARD, Engine};
use deepring::keys::log_digest;
use thiserror::Error;
use tlog_tiles::tlog::{Hash, check_record, record_hash};

use crate::checkpoint::{Checkpoint, CheckpointError, MAX_CHECKPOINT_TEXT};
use crate::entry::{Entry, EntryError, MAX_ENTRY_BYTES, UnverifiedEntry};
use crate::key::VerifierKey;
use crate::log_trust::LogTrust;
use crate::witness::{Cosignature, QuorumError};

const HEADER: &str = "c2sp.org/tlog-proof@v1";
/// Longest path from a leaf to a root, in hashes.
const MAX_PATH: usize = 64;
/// Longest proof text that is read, in bytes.
pub(crate) const MAX_PROOF_TEXT: usize =
    MAX_ENTRY_BYTES.div_ceil(3) * 4 + MAX_CHECKPOINT_TEXT + MAX_PATH * 45 + 128;

/// Why a text is not a proof, or proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The text does not have the form of a proof.
    #[error("malformed proof: {what}")]
    Malformed {
        /// The element that was expected and not found.
        what: &'static str,
    },
    /// The checkpoint in the proof does not verify.
    #[error("the proof's checkpoint does not verify: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// The checkpoint in the proof is not that of the verifier's validator set.
    #[error("the proof's checkpoint is not accepted by the validator set: {0}")]
    Quorum(#[from] QuorumError),
    /// The proof carries no entry, so the entry must be given.
    #[error("the proof carries no entry")]
    NoEntry,
    /// The entry is not at this index of the log that the checkpoint commits to.
    #[error("entry is not at index {index} of the log")]
    NotIncluded {
        /// Index that the proof names.
        index: u64,
    },
    /// The bytes are in the log, and are no signed entry.
    #[error("the proven entry cannot be read: {0}")]
    Entry(#[from] EntryError),
    /// The entry is in the log, and its author signed it for another one: here it has no effect.
    #[error("the proven entry was signed for another log")]
    OtherLog,
    /// The later log does not begin with the earlier one.
    #[error("log of size {new} does not begin with the log of size {old}")]
    NotAnExtension {
        /// Size of the earlier log, in entries.
        old: u64,
        /// Size of the later log, in entries.
        new: u64,
    },
    /// The proof starts at another size than the earlier checkpoint.
    #[error("proof is for size {found}, the earlier checkpoint has size {expected}")]
    OtherSize {
        /// Size that the proof starts at.
        found: u64,
        /// Size of the earlier checkpoint.
        expected: u64,
    },
}

/// A claim that an entry is in a log, in the text form of `c2sp.org/tlog-proof@v1`.
///
/// The entry's canonical bytes travel in the `extra` line. The specification calls that line
/// unauthenticated; here it is not trusted either: verification computes the leaf hash from it, so
/// a changed line proves nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Proof {
    index: u64,
    entry: Option<Vec<u8>>,
    path: Vec<Hash>,
    checkpoint: String,
}

/// An entry proven to be in a log, and signed by its author for that log; only verification of a
/// [`Proof`] makes one. That the author had authority, the log alone does not show: see
/// [`Certificate`](crate::Certificate).
///
/// ```compile_fail,E0451
/// use deepring_ledger::proof::VerifiedInclusion;
///
/// fn made(of: VerifiedInclusion) -> VerifiedInclusion {
///     VerifiedInclusion { ..of } // error: the fields are private
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedInclusion {
    index: u64,
    entry: Entry,
    checkpoint: Checkpoint,
    cosigned_by: Vec<Cosignature>,
}

impl Proof {
    pub(crate) fn new(
        index: u64,
        entry: Vec<u8>,
        path: Vec<Hash>,
        checkpoint: &Checkpoint,
    ) -> Self {
        Self { index, entry: Some(entry), path, checkpoint: checkpoint.as_str().to_owned() }
    }

    /// Reads the text form; accepts exactly what the `Display` form writes. Verifies nothing.
    ///
    /// # Errors
    /// [`ProofError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, ProofError> {
        let (head, checkpoint) = split(text)?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(HEADER) {
            return Err(ProofError::Malformed { what: "first line `c2sp.org/tlog-proof@v1`" });
        }
        let extra = lines.peek().and_then(|line| line.strip_prefix("extra "));
        let entry = match extra {
            Some(extra) => {
                lines.next();
                let bytes = BASE64_STANDARD.decode(extra);
                Some(bytes.map_err(|_| ProofError::Malformed { what: "base64 in `extra`" })?)
            }
            None => None,
        };
        let index = number(lines.next(), "index ", "line `index N`")?;
        let path = hashes(lines)?;
        Ok(Self { index, entry, path, checkpoint: checkpoint.to_owned() })
    }

    /// The entry that the proof carries, as far as it decodes: anybody may have put it there.
    pub(crate) fn unverified_entry(&self) -> Result<UnverifiedEntry, ProofError> {
        Ok(UnverifiedEntry::decode(self.entry.as_ref().ok_or(ProofError::NoEntry)?)?)
    }

    /// Verifies that the entry which the proof carries is in the log of `key`.
    ///
    /// # Errors
    /// [`ProofError::Checkpoint`], [`ProofError::NoEntry`], [`ProofError::NotIncluded`],
    /// [`ProofError::Entry`] or [`ProofError::OtherLog`].
    pub fn verify(&self, key: &VerifierKey) -> Result<VerifiedInclusion, ProofError> {
        self.verify_trusting(LogTrust::Key(key))
    }

    /// As [`verify`](Self::verify), for a verifier who may trust the nodes of a validator set in place of one key.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub fn verify_trusting(&self, log: LogTrust<'_>) -> Result<VerifiedInclusion, ProofError> {
        self.included(self.entry.as_ref().ok_or(ProofError::NoEntry)?, log)
    }

    /// Verifies that the entry of these canonical bytes, and no other, is the one proven.
    ///
    /// # Errors
    /// [`ProofError::Checkpoint`], [`ProofError::NotIncluded`], [`ProofError::Entry`] or
    /// [`ProofError::OtherLog`].
    pub fn verify_entry(
        &self,
        entry: &[u8],
        key: &VerifierKey,
    ) -> Result<VerifiedInclusion, ProofError> {
        self.included(entry, LogTrust::Key(key))
    }

    fn included(&self, entry: &[u8], log: LogTrust<'_>) -> Result<VerifiedInclusion, ProofError> {
        let (checkpoint, cosigned_by) = match log {
            LogTrust::Key(key) => (Checkpoint::verify(&self.checkpoint, key)?, Vec::new()),
            LogTrust::Validators(set) => Checkpoint::counted(&self.checkpoint, set)?,
        };
        let index = self.index;
        check_record(
            &self.path,
            checkpoint.size(),
            checkpoint.root_hash(),
            index,
            record_hash(entry),
        )
        .map_err(|_| ProofError::NotIncluded { index })?;
        let entry = UnverifiedEntry::decode(entry)?.verify()?;
        if entry.binding().log != log_digest(checkpoint.origin()) {
            return Err(ProofError::OtherLog);
        }
        Ok(VerifiedInclusion { index, entry, checkpoint, cosigned_by })
    }

    /// Index that the proof claims for the entry.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The log that the proof's checkpoint claims to be of: its first line. Not verified; use it to
    /// look up the key to verify with, which then must fit.
    #[must_use]
    pub fn claimed_origin(&self) -> &str {
        self.checkpoint.lines().next().unwrap_or_default()
    }

    /// Canonical bytes of the entry, if the proof carries them. Not verified.
    #[must_use]
    pub fn entry_bytes(&self) -> Option<&[u8]> {
        self.entry.as_deref()
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(entry) = &self.entry {
            writeln!(f, "extra {}", BASE64_STANDARD.encode(entry))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

impl VerifiedInclusion {
    /// Index of the entry in the log.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The entry.
    #[must_use]
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// The log's statement under which the entry was proven to be.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The cosignatures of the validator set by which that statement was accepted; none where it was by the log's key.
    #[must_use]
    pub fn cosigned_by(&self) -> &[Cosignature] {
        &self.cosigned_by
    }
}

/// Splits a proof at its blank line; the rest is the checkpoint, verbatim.
pub(crate) fn split(text: &str) -> Result<(&str, &str), ProofError> {
    if text.len() > MAX_PROOF_TEXT {
        return Err(ProofError::Malformed { what: "fewer bytes" });
    }
    text.split_once("\n\n").ok_or(ProofError::Malformed { what: "blank line and checkpoint" })
}

/// A decimal number without sign or leading zeroes, after `prefix`.
pub(crate) fn number(
    line: Option<&str>,
    prefix: &str,
    what: &'static str,
) -> Result<u64, ProofError> {
    let digits = line.and_then(|line| line.strip_prefix(prefix));
    let digits = digits.ok_or(ProofError::Malformed { what })?;
    match digits.parse::<u64>() {
        Ok(n) if n.to_string() == digits => Ok(n),
        _ => Err(ProofError::Malformed { what }),
    }
}

/// One base64 hash per line, as many as a path can have.
pub(crate) fn hashes<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Vec<Hash>, ProofError> {
    let mut path = Vec::new();
    for line in lines {
        if path.len() == MAX_PATH {
            return Err(ProofError::Malformed { what: "at most 64 hashes" });
        }
        let hash = Hash::parse_hash(line);
        path.push(hash.map_err(|_| ProofError::Malformed { what: "base64 of a hash" })?);
    }
    Ok(path)
}
