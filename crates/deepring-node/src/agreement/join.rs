//! The record that a node begins with in a network that has run for long, beside a copy of a ledger: which sets stand, and the docket
//! that the newest term builds on, as the committee of the term before finalised it.
//!
//! Every validator writes it anew when a term begins. Whoever hands it on is believed in nothing that counts: the set that stands must
//! be the one that the new node was told of, and nothing is followed that this set did not finalise, from the docket on which its term
//! builds. With a record of somebody's making a node finds no docket that follows, and waits in vain.

use std::num::NonZeroU64;
use std::path::PathBuf;

use commonware_codec::{Copying, Decode as _, Encode as _};
use commonware_consensus::simplex::scheme::ed25519::Scheme;
use commonware_consensus::simplex::types::Finalization;
use commonware_cryptography::certificate::Verifier as _;
use commonware_parallel::Sequential;
use commonware_utils::sys_rng;
use deepring::PublicKey;
use deepring::codec::{DecodeError, Reader, Writer};
use deepring::keys::Node;
use deepring_ledger::ValidatorSet;
use thiserror::Error;

use super::committee::Committee;
use super::docket::DocketDigest;
use super::error::AgreementError;
use super::schedule::TermSchedule;
use super::term_store::MAX_BYTES;

const MAGIC: [u8; 8] = *b"DRBEGIN\n";
const VERSION: u16 = 1;
/// Most bytes of a finalised docket's certificate: a signature of each of a hundred nodes.
const MAX_CERTIFICATE: usize = 1 << 16;
/// Most bytes of a record.
pub const MAX_JOIN_RECORD: usize = MAX_BYTES + MAX_CERTIFICATE + 64;

/// A docket, and the certificate that it is final.
pub(crate) type FinalDocket = Finalization<Scheme, DocketDigest>;

/// See the module. It was read and fits together.
#[derive(Clone, Debug)]
pub struct JoinRecord {
    pub(crate) schedule: TermSchedule,
    pub(crate) last: FinalDocket,
    pub(crate) proof: Option<PathBuf>,
}

/// Why a node cannot begin with a record.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The bytes are no such record.
    #[error("not a record to begin with: {0}")]
    Malformed(#[from] DecodeError),
    /// Its sets, or their terms, are none of this log.
    #[error(transparent)]
    Terms(#[from] AgreementError),
    /// Another set stands in it than the node was told of.
    #[error(
        "the validator set that stands in it (number {found}) is not the one that this node was told of (number {expected}): other \
         nodes, owners or log; it begins with nothing that a set finalised which its operator does not name"
    )]
    OtherSet {
        /// Epoch of the set that stands in it.
        found: u64,
        /// Epoch of the one that was named.
        expected: u64,
    },
    /// It is of the first term, which needs none.
    #[error("it is of the first term, with which a node begins without any record")]
    FirstTerm,
    /// It names a set for the next term, to which nobody can have agreed yet.
    #[error("it names a set for the next term, to which nobody can have agreed yet")]
    NamesNext,
    /// The certificate is not of the docket on which the term builds, or does not verify.
    #[error("the docket on which its term builds is not final by its certificate")]
    NotFinal,
}

impl JoinRecord {
    /// Encodes the record of a term that has begun and builds on this docket.
    pub(crate) fn encode(schedule: &TermSchedule, last: &FinalDocket) -> Vec<u8> {
        let mut w = Writer::new();
        w.raw(&MAGIC).u16(VERSION).bytes(&schedule.encode()).bytes(&last.encode());
        w.finish()
    }

    /// Reads a record of the log that this set founded. `standing` is the set by whose word the node goes on: its operator names it.
    /// `None` only for a record that was read with it before.
    ///
    /// # Errors
    /// [`JoinError`].
    pub fn read(
        bytes: &[u8],
        founding: &ValidatorSet,
        heights: NonZeroU64,
        standing: Option<&ValidatorSet>,
    ) -> Result<Self, JoinError> {
        let mut r = Reader::new(bytes);
        r.header(&MAGIC, VERSION)?;
        let mut schedule =
            TermSchedule::decode(r.bytes("schedule", MAX_BYTES)?, founding, heights)?;
        let certificate = r.bytes("certificate", MAX_CERTIFICATE)?;
        r.finish()?;
        if let Some(standing) = standing.filter(|standing| **schedule.standing() != **standing) {
            let (found, expected) = (schedule.standing().epoch, standing.epoch);
            return Err(JoinError::OtherSet { found, expected });
        }
        if schedule.names_next() {
            // When a term begins none is: that one would stand without anybody's consent.
            return Err(JoinError::NamesNext);
        }
        let newest = schedule.newest();
        let before = newest.previous().ok_or(JoinError::FirstTerm)?;
        let set = schedule.set_of(before);
        let scheme = Committee::new(&set.nodes)?.verifier(&set.origin);
        let decoded =
            FinalDocket::decode_cfg(Copying(certificate), &scheme.certificate_codec_config());
        let last = decoded.map_err(|_| JoinError::NotFinal)?;
        let fits = last.proposal.payload == schedule.floor() && last.round().epoch() == before;
        match fits && last.verify(&mut sys_rng(), &scheme, &Sequential) {
            true => {
                // Of which terms the giver keeps votes is nothing to this node.
                schedule.votes_are_kept_from(newest.get());
                Ok(Self { schedule, last, proof: None })
            }
            false => Err(JoinError::NotFinal),
        }
    }

    /// A file that is written once the copy of the ledger is proven to belong to its height: until then the node neither votes nor
    /// cosigns.
    #[must_use]
    pub fn proven_at(self, proof: PathBuf) -> Self {
        Self { proof: Some(proof), ..self }
    }

    /// The term that it begins in.
    #[must_use]
    pub fn term(&self) -> u64 {
        self.schedule.newest().get()
    }

    /// The height that the copy of the ledger must have at least.
    #[must_use]
    pub fn floor_height(&self) -> u64 {
        self.schedule.floor_height()
    }

    /// Whether a node was named by a set that stood up to now: one that was may have voted.
    #[must_use]
    pub fn names(&self, node: &PublicKey<Node>) -> bool {
        self.schedule.sets().any(|(_, set)| set.nodes.contains(node))
    }
}
