//! A dispute: what copies of one leg signed against each other, and, sealed for an arbiter, what entered the leg.
//!
//! ```text
//! "RINGDSPT" | format version: u16 | evidence: bytes | parcel: bytes
//!            | results: list of (outputs digest 32 | sealed tensors: bytes), 0 to 3
//! ```
//!
//! Nobody signs it as a whole, and nobody needs to: everything that a ruling rests on is named by a digest that
//! *both* sides signed. Who writes the file can leave results out, and can add none.

use std::ops::Range;

use thiserror::Error;

use super::evidence::{ClaimedOutputs, Evidence, EvidenceError};
use crate::crypto::{Digest, Random};
use crate::encoding::{DecodeError, Reader, Writer};
use crate::keys::{Host, PublicKey, SecretKey};
use crate::outline::AuthenticOutline;
use crate::receipt::{
    Chain, Parcel, ParcelError, Salt, SealedTensors, TensorValue, batch_digest, tensors_digest,
};

const MAGIC: [u8; 8] = *b"RINGDSPT";
const FORMAT_VERSION: u16 = 1;
/// Most results: one of each copy of a leg.
const MAX_RESULTS: usize = 3;

/// For each query of a batch, its tensors.
type Batch = Vec<Vec<TensorValue>>;

/// The records that copies of one leg signed against each other, the leg's inputs, and the outputs that their holder has.
/// Decoded or made; nothing of it is verified.
#[derive(Debug, Clone, PartialEq)]
pub struct Dispute {
    evidence: Evidence,
    parcel: Parcel,
    results: Vec<(Digest, SealedTensors)>,
}

/// A dispute that was verified and opened: the signed records contradict each other, and the tensors are those that
/// all of them name as what entered the leg.
///
/// Only [`Dispute::open`] makes one:
///
/// ```compile_fail
/// # fn f(evidence: deepring::replication::Evidence) {
/// let _ = deepring::replication::OpenedDispute { evidence };
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct OpenedDispute {
    evidence: Evidence,
    blocks: Range<u32>,
    salt: Salt,
    inputs: Batch,
    results: Vec<(Digest, Batch)>,
}

/// Why a dispute cannot be ruled on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DisputeError {
    /// The records prove no disagreement.
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    /// The chain before the leg does not verify, or what entered the leg is not for this key or not what the chain names.
    #[error(transparent)]
    Parcel(#[from] ParcelError),
    /// The records are about another query, another leg, or other tensors than those that are in the file.
    #[error("the signed records are not about the tensors in this file")]
    OtherLeg,
    /// A result in the file is of none of those who signed.
    #[error("a result in this file is named by none of the signed records")]
    OtherResult,
}

impl Dispute {
    /// Seals for `arbiter` what entered the leg, and the outputs at hand, each of which one of the records must name.
    ///
    /// # Errors
    /// As [`SealedTensors::seal`].
    pub fn seal(
        evidence: Evidence,
        (chain, salt, inputs): (Chain, &Salt, &[Vec<TensorValue>]),
        outputs: &[(Digest, &[Vec<TensorValue>])],
        arbiter: &PublicKey<Host>,
        random: &mut Random<'_>,
    ) -> Result<Self, ParcelError> {
        let arbiter = std::slice::from_ref(arbiter);
        let parcel = Parcel::seal_with(chain, salt, inputs, arbiter, random)?;
        let mut results = Vec::new();
        for (digest, batch) in outputs.iter().take(MAX_RESULTS) {
            results.push((*digest, SealedTensors::seal(*digest, salt, batch, arbiter, random)?));
        }
        Ok(Self { evidence, parcel, results })
    }

    /// Verifies the records against the ring, verifies the chain before the leg, and opens what is sealed.
    ///
    /// # Errors
    /// [`DisputeError`] with the first mismatch; nothing is opened before records and chain have verified.
    pub fn open(
        self,
        outline: &AuthenticOutline,
        arbiter: &SecretKey<Host>,
    ) -> Result<OpenedDispute, DisputeError> {
        self.evidence.verify(outline)?;
        let receipt = self.evidence.receipt();
        let chain = self.parcel.chain();
        let (query, head) = (chain.opening().query, chain.head());
        if (receipt.query, receipt.previous) != (query, head) {
            return Err(DisputeError::OtherLeg);
        }
        let blocks = receipt.first_block..receipt.end_block();
        let delivered = self.parcel.open(outline, arbiter)?;
        let digests: Vec<Digest> =
            delivered.batch.iter().map(|t| tensors_digest(&delivered.salt, t)).collect();
        if batch_digest(&digests) != receipt.inputs {
            return Err(DisputeError::OtherLeg);
        }
        let claims = self.evidence.claims();
        let mut results = Vec::with_capacity(self.results.len());
        for (outputs, sealed) in &self.results {
            if !claims.iter().any(|claim| claim.outputs == *outputs) {
                return Err(DisputeError::OtherResult);
            }
            let (salt, batch) = sealed.open(*outputs, *outputs, arbiter)?;
            if salt != delivered.salt {
                return Err(ParcelError::OtherTensors.into());
            }
            results.push((*outputs, batch));
        }
        let (salt, inputs) = (delivered.salt, delivered.batch);
        Ok(OpenedDispute { evidence: self.evidence, blocks, salt, inputs, results })
    }

    /// The signed records, not verified.
    #[must_use]
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// The chain before the leg, not verified.
    #[must_use]
    pub fn chain(&self) -> &Chain {
        self.parcel.chain()
    }

    /// Whom the tensors are sealed for; not verified.
    pub fn recipients(&self) -> impl Iterator<Item = PublicKey<Host>> + '_ {
        self.parcel.recipients()
    }

    /// The dispute's bytes, also those of a `.dispute` file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.raw(&MAGIC).u16(FORMAT_VERSION);
        w.bytes(&self.evidence.to_bytes()).bytes(&self.parcel.encode());
        w.count(self.results.len());
        for (digest, sealed) in &self.results {
            w.raw(&digest.0).bytes(&sealed.to_bytes());
        }
        w.finish()
    }

    /// Decodes a dispute strictly; verifies nothing.
    ///
    /// # Errors
    /// [`DecodeError`] where the bytes are not what [`encode`](Self::encode) writes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        r.header(&MAGIC, FORMAT_VERSION)?;
        let limit = r.left();
        let evidence = Evidence::from_bytes(r.bytes("evidence", limit)?)?;
        let parcel = Parcel::decode(r.bytes("parcel", limit)?)?;
        let n = r.count("results", MAX_RESULTS, 36)?;
        let mut results: Vec<(Digest, SealedTensors)> = Vec::with_capacity(n);
        for i in 0..n {
            let digest = Digest(r.array("outputs digest")?);
            if results.iter().any(|(known, _)| *known == digest) {
                return Err(DecodeError::BadValue { field: "results", found: i as u64 });
            }
            let limit = r.left();
            results.push((digest, SealedTensors::from_bytes(r.bytes("sealed tensors", limit)?)?));
        }
        r.finish()?;
        Ok(Self { evidence, parcel, results })
    }
}

impl OpenedDispute {
    /// The signed records.
    #[must_use]
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// The leg's blocks.
    #[must_use]
    pub fn blocks(&self) -> Range<u32> {
        self.blocks.clone()
    }

    /// The salt of the query's digests.
    #[must_use]
    pub fn salt(&self) -> &Salt {
        &self.salt
    }

    /// The inputs of the leg: for each query, the live tensors.
    #[must_use]
    pub fn inputs(&self) -> &[Vec<TensorValue>] {
        &self.inputs
    }

    /// The outputs that each side signed, in the order of the records.
    #[must_use]
    pub fn claims(&self) -> Vec<ClaimedOutputs> {
        self.evidence.claims()
    }

    /// The outputs of this digest, if they are in the file.
    #[must_use]
    pub fn outputs(&self, digest: Digest) -> Option<&[Vec<TensorValue>]> {
        let found = self.results.iter().find(|(known, _)| *known == digest);
        found.map(|(_, batch)| batch.as_slice())
    }
}
