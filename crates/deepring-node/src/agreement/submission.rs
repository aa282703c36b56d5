//! A submission to agreement: a ledger entry, and the evidence for it.
//!
//! An entry of decisions states the id of a decision and no more; whoever votes on it is shown the
//! decision itself, verifies it, and forgets it: the entry alone becomes a leaf. Every other entry
//! carries what it needs. A [`Submission`] is bytes that nobody has looked into; [`Submission::open`]
//! tells what is wrong with them for ever, in whatever state the ledger is.

use std::sync::Arc;

use commonware_cryptography::{Hasher as _, Sha256, sha256};
use deepring::codec::{DecodeError, Reader, Writer};
use deepring::keys::Author;
use deepring::{Decision, Digest};
use deepring_ledger::entry::{EntryError, MAX_ENTRY_BYTES, UnverifiedEntry};
use deepring_ledger::{Entry, Event};
use thiserror::Error;

/// Most bytes of evidence: a batch of some thousand queries.
pub const MAX_EVIDENCE_BYTES: usize = 256 << 10;
/// Most bytes of an encoded submission.
pub const MAX_SUBMISSION_BYTES: usize = 4 + MAX_ENTRY_BYTES + 4 + MAX_EVIDENCE_BYTES;

/// SHA-256 of an entry's canonical bytes: what submissions are known by, whatever their evidence.
pub type EntryId = sha256::Digest;

/// Why bytes are not a submission that any ledger could ever take.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SubmissionError {
    /// The entry is none, or its author did not sign it.
    #[error("the entry is not one: {0}")]
    Entry(#[from] EntryError),
    /// The entry records decisions, and the decision is not there.
    #[error("an entry of decisions comes with the decision that it records")]
    NoEvidence,
    /// The entry needs no evidence, and there is some.
    #[error("{bytes} bytes of evidence for an entry that needs none")]
    Unwanted {
        /// Number of bytes.
        bytes: usize,
    },
    /// The decision has more bytes than a submission can hold; see [`MAX_EVIDENCE_BYTES`].
    #[error("a decision of {bytes} bytes, more than the {MAX_EVIDENCE_BYTES} allowed")]
    TooLarge {
        /// Size of the decision.
        bytes: usize,
    },
    /// The evidence is no decision, in its one encoding.
    #[error("the evidence is not a decision: {0}")]
    Evidence(#[from] DecodeError),
    /// The decision holds its salt, with which every validator could confirm guesses of inputs.
    #[error("the decision holds its salt, which is not for validators")]
    Salted,
    /// The decision is another than the entry records.
    #[error("the entry records decision {recorded}, and the evidence is {shown}")]
    OtherDecision {
        /// Id in the entry.
        recorded: Digest,
        /// Id of the decision that was shown.
        shown: Digest,
    },
}

/// An entry with its evidence, as bytes within their bounds. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    entry: Arc<[u8]>,
    evidence: Arc<[u8]>,
    id: EntryId,
}

/// A decision as a ledger names it: by its ring's digest, its id, and its number of queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct DecisionKey {
    pub(crate) ring_digest: [u8; 32],
    pub(crate) id: [u8; 32],
    pub(crate) count: u32,
}

/// A submission that was looked into: its author signed the entry, and the evidence is of it.
#[derive(Debug, Clone)]
pub(crate) struct OpenedSubmission {
    pub(crate) entry: Entry,
    pub(crate) decision: Option<Arc<Decision>>,
    pub(crate) submission: Submission,
}

impl Submission {
    /// An entry that carries what it needs.
    ///
    /// # Errors
    /// [`SubmissionError::NoEvidence`] for an entry of decisions.
    pub fn of(entry: &Entry) -> Result<Self, SubmissionError> {
        match entry.decision() {
            Some(_) => Err(SubmissionError::NoEvidence),
            None => Ok(Self::from_parts(entry.as_bytes(), &[])),
        }
    }

    /// An entry of decisions, with the decision that it records. The decision's salt is left out.
    ///
    /// # Errors
    /// [`SubmissionError::TooLarge`], [`SubmissionError::Unwanted`],
    /// [`SubmissionError::OtherDecision`].
    pub fn decided(entry: &Entry, decision: &Decision) -> Result<Self, SubmissionError> {
        let evidence = decision.clone().without_salt().encode();
        if evidence.len() > MAX_EVIDENCE_BYTES {
            return Err(SubmissionError::TooLarge { bytes: evidence.len() });
        }
        let submission = Self::from_parts(entry.as_bytes(), &evidence);
        submission.open()?;
        Ok(submission)
    }

    /// Bytes that may be anything, as a liar sends them.
    #[cfg(feature = "tamper")]
    #[must_use]
    pub fn forged(entry: &[u8], evidence: &[u8]) -> Self {
        Self::from_parts(entry, evidence)
    }

    fn from_parts(entry: &[u8], evidence: &[u8]) -> Self {
        let id = Sha256::hash(&[entry]);
        Self { entry: entry.into(), evidence: evidence.into(), id }
    }

    /// SHA-256 of the entry's bytes.
    #[must_use]
    pub fn id(&self) -> EntryId {
        self.id
    }

    /// SHA-256 of entry and evidence: two submissions of one entry with other evidence differ in it.
    pub(crate) fn digest(&self) -> sha256::Digest {
        let evidence: sha256::Digest = Sha256::hash(&[&self.evidence]);
        Sha256::hash(&[&self.id, &evidence])
    }

    /// The entry's canonical bytes; the leaf, if it is committed.
    #[must_use]
    pub fn entry(&self) -> &[u8] {
        &self.entry
    }

    /// The evidence; empty where the entry needs none.
    #[must_use]
    pub fn evidence(&self) -> &[u8] {
        &self.evidence
    }

    /// Bytes that it takes in a docket.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        8 + self.entry.len() + self.evidence.len()
    }

    /// `entry: bytes | evidence: bytes`
    pub(crate) fn encode(&self, w: &mut Writer) {
        w.bytes(&self.entry).bytes(&self.evidence);
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let entry = r.bytes("entry", MAX_ENTRY_BYTES)?;
        Ok(Self::from_parts(entry, r.bytes("evidence", MAX_EVIDENCE_BYTES)?))
    }

    /// Looks into it: everything that can be said without a ledger.
    pub(crate) fn open(&self) -> Result<OpenedSubmission, SubmissionError> {
        let entry = UnverifiedEntry::decode(&self.entry)?.verify()?;
        let decision = match (entry.decision(), self.evidence.is_empty()) {
            (None, true) => None,
            (None, false) => {
                return Err(SubmissionError::Unwanted { bytes: self.evidence.len() });
            }
            (Some(_), true) => return Err(SubmissionError::NoEvidence),
            (Some(recorded), false) => Some(Arc::new(self.shown(recorded)?)),
        };
        Ok(OpenedSubmission { entry, decision, submission: self.clone() })
    }

    fn shown(&self, recorded: Digest) -> Result<Decision, SubmissionError> {
        let decision = Decision::decode(&self.evidence)?;
        if decision.salt().is_some() {
            return Err(SubmissionError::Salted);
        }
        match decision.id() == recorded {
            true => Ok(decision),
            false => Err(SubmissionError::OtherDecision { recorded, shown: decision.id() }),
        }
    }
}

impl OpenedSubmission {
    pub(crate) fn author(&self) -> &Author {
        self.entry.author()
    }

    /// The decision that the entry records.
    pub(crate) fn decided(&self) -> Option<DecisionKey> {
        match self.entry.event() {
            Event::Decisions { ring_digest, decision_id, count, .. } => {
                Some(DecisionKey { ring_digest: ring_digest.0, id: decision_id.0, count: *count })
            }
            _ => None,
        }
    }
}
