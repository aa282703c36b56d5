//! Signed records that prove a fault to a reader who holds nothing but the ring's outline.
//!
//! ```text
//! kind 1
//!   1 equivocation:  receipt | receipt
//!   2 contradiction: receipt | objection
//!   3 majority:      receipt | objection | objection
//!   4 perjury:       receipt | validation or objection of the same host | receipt that this is about
//! ```

use serde::Serialize;
use thiserror::Error;

use crate::crypto::Digest;
use crate::encoding::{DecodeError, Reader, Writer};
use crate::keys::{Host, PublicKey};
use crate::outline::AuthenticOutline;
use crate::receipt::{ComputedWith, Receipt, Validation};

/// Signed records that contradict each other.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "lowercase", tag = "evidence")]
pub enum Evidence {
    /// One host signed two receipts for one leg of one query, with the same predecessor and inputs,
    /// and different outputs. It names that host.
    Equivocation {
        /// The one.
        first: Box<Receipt>,
        /// The other.
        second: Box<Receipt>,
    },
    /// A receipt, and another copy's objection to it. One of the two lies; it does not say which.
    Contradiction {
        /// The receipt.
        receipt: Box<Receipt>,
        /// The objection.
        objection: Box<Validation>,
    },
    /// A receipt, and the objections of both other copies of its leg, which name the same outputs of
    /// their own: two that came to two other results may be two liars. It names the receipt's host.
    Majority {
        /// The receipt.
        receipt: Box<Receipt>,
        /// The objections.
        objections: Box<[Validation; 2]>,
    },
    /// One host signed a receipt, and a validation of, or an objection to, another receipt of that leg
    /// that names other outputs of its own: it says that it computed two things. It names that host.
    Perjury {
        /// The host's receipt.
        receipt: Box<Receipt>,
        /// Its validation or objection.
        record: Box<Validation>,
        /// The receipt that this is about: of the same leg, with the same predecessor and inputs.
        about: Box<Receipt>,
    },
}

/// Why records prove nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// The bytes are no evidence.
    #[error("not evidence: {0}")]
    Malformed(#[from] DecodeError),
    /// A record is not signed by the host that it names.
    #[error("a record's signature does not fit")]
    Unsigned,
    /// The records are about another ring, or about no leg of its deal.
    #[error("the records are about no leg of this ring's deal")]
    OtherRing,
    /// A record's host is no copy of the leg.
    #[error("a record is signed by a host that is no copy of the leg")]
    NotACopy,
    /// The records do not contradict each other.
    #[error("the records do not contradict each other: {0}")]
    NoContradiction(&'static str),
}

/// The outputs that a host signed to have computed for a leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedOutputs {
    /// The host.
    pub host: PublicKey<Host>,
    /// Digest over the outputs of the whole batch, under the query's salt.
    pub outputs: Digest,
    /// Its statement of what it computed with.
    pub computed_with: ComputedWith,
}

impl From<&Receipt> for ClaimedOutputs {
    fn from(receipt: &Receipt) -> Self {
        let computed_with = receipt.computed_with.clone();
        Self { host: receipt.host, outputs: receipt.outputs, computed_with }
    }
}

impl From<&Validation> for ClaimedOutputs {
    fn from(record: &Validation) -> Self {
        let computed_with = record.computed_with.clone();
        Self { host: record.host, outputs: record.outputs, computed_with }
    }
}

impl Evidence {
    /// The hosts that it names: one that is proven to be at fault, or two of which one is.
    #[must_use]
    pub fn names(&self) -> Vec<PublicKey<Host>> {
        match self {
            Self::Equivocation { first, .. } => vec![first.host],
            Self::Majority { receipt, .. } | Self::Perjury { receipt, .. } => vec![receipt.host],
            Self::Contradiction { receipt, objection } => vec![receipt.host, objection.host],
        }
    }

    /// The fault that it shows, as an entry says it for good: by what the records are, whatever a fault is called.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Equivocation { .. } => "it signed two receipts for one leg",
            Self::Contradiction { .. } => "its outputs and another copy's differ",
            Self::Majority { .. } => "both other copies object to its receipt",
            Self::Perjury { .. } => {
                "it signed a receipt, and of another copy's a record that names other outputs of its own"
            }
        }
    }

    /// Returns whether it proves one host's fault, and does not leave open which of two lies. Records
    /// that state different engines, libraries, processors or threads prove nothing: an honest host's
    /// last bits differ there.
    #[must_use]
    pub fn is_proof(&self) -> bool {
        match self {
            Self::Contradiction { .. } => false,
            Self::Equivocation { first, second } => first.computed_with == second.computed_with,
            Self::Majority { receipt, objections } => {
                objections.iter().all(|o| o.computed_with == receipt.computed_with)
            }
            Self::Perjury { receipt, record, .. } => receipt.computed_with == record.computed_with,
        }
    }

    /// The hosts on whose word the proof rests, besides what the named host signed itself: of a majority, those that
    /// object. Whoever has to do with revoked keys asks whether these are.
    #[must_use]
    pub fn rests_on(&self) -> Vec<PublicKey<Host>> {
        match self {
            Self::Majority { objections, .. } => objections.iter().map(|o| o.host).collect(),
            Self::Contradiction { objection, .. } => vec![objection.host],
            Self::Equivocation { .. } | Self::Perjury { .. } => Vec::new(),
        }
    }

    /// The outputs that each side signed to have computed, in the order of the records.
    #[must_use]
    pub fn claims(&self) -> Vec<ClaimedOutputs> {
        match self {
            Self::Equivocation { first, second } => {
                vec![first.as_ref().into(), second.as_ref().into()]
            }
            Self::Contradiction { receipt, objection: record }
            | Self::Perjury { receipt, record, .. } => {
                vec![receipt.as_ref().into(), record.as_ref().into()]
            }
            Self::Majority { receipt, objections } => {
                let objections = objections.iter().map(ClaimedOutputs::from);
                std::iter::once(receipt.as_ref().into()).chain(objections).collect()
            }
        }
    }

    /// The receipt that the records are about; of a perjury, the one that it contradicts.
    #[must_use]
    pub fn receipt(&self) -> &Receipt {
        match self {
            Self::Equivocation { first, .. } => first,
            Self::Contradiction { receipt, .. }
            | Self::Majority { receipt, .. }
            | Self::Perjury { receipt, .. } => receipt,
        }
    }

    /// Verifies that the records are signed by copies of one leg of this ring's deal, and that they
    /// contradict each other as they claim.
    ///
    /// # Errors
    /// [`EvidenceError`] with the first mismatch.
    pub fn verify(&self, outline: &AuthenticOutline) -> Result<(), EvidenceError> {
        let receipt = self.receipt();
        let leg = outline.deal().and_then(|deal| deal.leg_of(receipt.first_block));
        let (_, leg) = leg
            .filter(|(_, leg)| (leg.first, leg.end) == (receipt.first_block, receipt.end_block()))
            .filter(|_| receipt.ring_digest == outline.ring_digest())
            .ok_or(EvidenceError::OtherRing)?;
        if leg.place_of(&receipt.host).is_none() {
            return Err(EvidenceError::NotACopy);
        }
        if !receipt.is_signed() {
            return Err(EvidenceError::Unsigned);
        }
        let objects = |objection: &Validation| {
            if leg.place_of(&objection.host).is_none() {
                return Err(EvidenceError::NotACopy);
            }
            if !objection.is_signed() {
                return Err(EvidenceError::Unsigned);
            }
            if objection.agreement.validates() {
                return Err(EvidenceError::NoContradiction("a validation is no objection"));
            }
            objection
                .refuse_for(receipt)
                .map_or(Ok(()), |reason| Err(EvidenceError::NoContradiction(reason)))
        };
        match self {
            Self::Equivocation { first, second } => {
                if !second.is_signed() {
                    return Err(EvidenceError::Unsigned);
                }
                refuse_equivocation(first, second)
            }
            Self::Contradiction { objection, .. } => objects(objection),
            Self::Majority { objections, .. } => {
                let [a, b] = &**objections;
                objects(a)?;
                objects(b)?;
                let reason = if a.host == b.host {
                    Some("one host objects twice")
                } else if a.outputs != b.outputs {
                    Some("those who object do not agree with each other")
                } else {
                    None
                };
                reason.map_or(Ok(()), |reason| Err(EvidenceError::NoContradiction(reason)))
            }
            Self::Perjury { record, about, .. } => {
                if !record.is_signed() || !about.is_signed() {
                    return Err(EvidenceError::Unsigned);
                }
                if leg.place_of(&about.host).is_none() {
                    return Err(EvidenceError::NotACopy);
                }
                refuse_perjury(receipt, record, about)
                    .map_or(Ok(()), |reason| Err(EvidenceError::NoContradiction(reason)))
            }
        }
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        match self {
            Self::Equivocation { first, second } => {
                w.u8(1);
                first.encode(w);
                second.encode(w);
            }
            Self::Contradiction { receipt, objection } => {
                w.u8(2);
                receipt.encode(w);
                objection.encode(w);
            }
            Self::Majority { receipt, objections } => {
                w.u8(3);
                receipt.encode(w);
                objections.iter().for_each(|objection| objection.encode(w));
            }
            Self::Perjury { receipt, record, about } => {
                w.u8(4);
                receipt.encode(w);
                record.encode(w);
                about.encode(w);
            }
        }
    }

    /// The evidence's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        self.encode(&mut w);
        w.finish()
    }

    /// Decodes evidence strictly; verifies nothing.
    ///
    /// # Errors
    /// [`DecodeError`] where the bytes are not what [`to_bytes`](Self::to_bytes) writes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let kind = r.u8("evidence kind")?;
        let receipt = Box::new(Receipt::decode(&mut r)?);
        let evidence = match kind {
            1 => Self::Equivocation { first: receipt, second: Box::new(Receipt::decode(&mut r)?) },
            2 => Self::Contradiction { receipt, objection: Box::new(Validation::decode(&mut r)?) },
            3 => {
                let objections =
                    Box::new([Validation::decode(&mut r)?, Validation::decode(&mut r)?]);
                Self::Majority { receipt, objections }
            }
            4 => {
                let record = Box::new(Validation::decode(&mut r)?);
                Self::Perjury { receipt, record, about: Box::new(Receipt::decode(&mut r)?) }
            }
            found => {
                let found = u64::from(found);
                return Err(DecodeError::BadValue { field: "evidence kind", found });
            }
        };
        r.finish()?;
        Ok(evidence)
    }
}

/// Two receipts of one host for one leg of one query are an equivocation where they continue the
/// same record with the same inputs and come to different outputs: a host signs one.
fn refuse_equivocation(first: &Receipt, second: &Receipt) -> Result<(), EvidenceError> {
    let reason = if first.host != second.host {
        Some("the receipts are of two hosts")
    } else if first.outputs == second.outputs {
        Some("the receipts name the same outputs")
    } else {
        refuse_same_leg(first, second)
    };
    reason.map_or(Ok(()), |reason| Err(EvidenceError::NoContradiction(reason)))
}

/// Why a host's receipt and its record about another receipt are no perjury.
fn refuse_perjury(receipt: &Receipt, record: &Validation, about: &Receipt) -> Option<&'static str> {
    if record.host != receipt.host {
        return Some("the records are of two hosts");
    }
    if record.outputs == receipt.outputs {
        return Some("the records name the same outputs");
    }
    record.refuse_for(about).or_else(|| refuse_same_leg(receipt, about))
}

/// Why two receipts are not of one leg of one query, continuing the same record with the same
/// inputs.
fn refuse_same_leg(first: &Receipt, second: &Receipt) -> Option<&'static str> {
    if (first.query, first.ring_digest) != (second.query, second.ring_digest) {
        Some("the receipts are of two queries")
    } else if first.first_block != second.first_block || first.blocks != second.blocks {
        Some("the receipts are of two legs")
    } else if (first.previous, first.inputs) != (second.previous, second.inputs) {
        Some("the receipts continue two records")
    } else {
        None
    }
}
