//! A validation: a copy's signed record that it computed the same leg from the same inputs, and
//! what it got.

use serde::Serialize;

use super::Check;
use super::checked::{self, Checked};
use super::computed_with::ComputedWith;
use super::coverage::Coverage;
use super::record::Receipt;
use crate::crypto::signature::SIGNATURE_LEN;
use crate::crypto::{Digest, label};
use crate::encoding::{DecodeError, Reader, Writer};
use crate::keys::{Host, PublicKey, SecretKey};
use crate::ring_id::MAX_BLOCKS;

/// The comparison of a copy's outputs with those of the receipt.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "lowercase", tag = "agreement")]
pub enum Agreement {
    /// Bit for bit the same.
    Same,
    /// Each element within its bound.
    Near {
        /// The largest difference that was found, of the element where it is largest against its
        /// bound.
        largest: f32,
        /// The bound of that element.
        bound: f32,
    },
    /// Not the same, and beyond the bounds where there are some: an objection.
    Differs {
        /// The largest difference that was found; infinite where elements cannot be compared.
        largest: f32,
        /// The bound of that element; 0 where only bit for bit the same would do.
        bound: f32,
    },
}

impl Agreement {
    /// Other outputs, whose elements nobody compared: of copies that compute with other things, in a
    /// session that has no bound for them.
    pub const UNMEASURED: Self = Self::Differs { largest: f32::INFINITY, bound: 0.0 };

    /// Returns whether the copy validates the receipt, and does not object to it.
    #[must_use]
    pub fn validates(self) -> bool {
        !matches!(self, Self::Differs { .. })
    }

    /// `code 1 | largest 4 | bound 4`, the floats as IEEE 754 binary32
    fn encode(self, w: &mut Writer) {
        let (code, largest, bound) = match self {
            Self::Same => (0, 0.0, 0.0),
            Self::Near { largest, bound } => (1, largest, bound),
            Self::Differs { largest, bound } => (2, largest, bound),
        };
        w.u8(code).u32(f32::to_bits(largest)).u32(f32::to_bits(bound));
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let code = r.u8("agreement")?;
        let largest = f32::from_bits(r.u32("largest difference")?);
        let bound = f32::from_bits(r.u32("bound")?);
        let this = match code {
            0 => Self::Same,
            1 => Self::Near { largest, bound },
            2 => Self::Differs { largest, bound },
            found => {
                return Err(DecodeError::BadValue { field: "agreement", found: u64::from(found) });
            }
        };
        match this.is_consistent((largest.to_bits(), bound.to_bits())) {
            true => Ok(this),
            false => Err(DecodeError::Contradiction { field: "agreement", with: "bound" }),
        }
    }

    /// Returns whether a validation can say so: whether it would decode again.
    pub(crate) fn is_possible(self) -> bool {
        self.is_consistent(match self {
            Self::Same => (0, 0),
            Self::Near { largest, bound } | Self::Differs { largest, bound } => {
                (largest.to_bits(), bound.to_bits())
            }
        })
    }

    /// One agreement has one encoding: no negative zero, no NaN, and numbers that say what the code
    /// says.
    fn is_consistent(self, bits: (u32, u32)) -> bool {
        let positive = |v: f32| v > 0.0;
        let (largest_bits, bound_bits) = bits;
        match self {
            Self::Same => largest_bits == 0 && bound_bits == 0,
            Self::Near { largest, bound } => {
                positive(largest) && largest <= bound && bound.is_finite()
            }
            Self::Differs { largest, bound } => {
                positive(largest)
                    && (bound_bits == 0 || positive(bound) && bound.is_finite())
                    && largest > bound
            }
        }
    }
}

/// A copy's signed record about a receipt of another copy of its leg: a validation, or, where its
/// outputs differ, an objection.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Validation {
    /// The query.
    pub query: Digest,
    /// Digest of the receipt that it is about.
    pub receipt: Digest,
    /// Index of the first block that the copy ran.
    pub first_block: u32,
    /// Content digests of the blocks that the copy ran.
    pub blocks: Vec<Digest>,
    /// How the copy checked its parameters.
    pub check: Check,
    /// As [`Receipt::rotation`].
    pub rotation: u16,
    /// As [`Receipt::coverage`].
    pub coverage: Vec<Vec<Coverage>>,
    /// Engine, library, processor kind and threads that the copy computed with.
    pub computed_with: ComputedWith,
    /// Digest over the tensors that came in.
    pub inputs: Digest,
    /// Digest over the copy's own outputs.
    pub outputs: Digest,
    /// How they compare with the receipt's.
    pub agreement: Agreement,
    /// The copy that signs.
    pub host: PublicKey<Host>,
    #[serde(skip)]
    pub(crate) signature: [u8; SIGNATURE_LEN],
}

impl Validation {
    /// Signs what `own`, the copy's own receipt, says of another copy's receipt of the same leg.
    pub(crate) fn sign(
        own: &Receipt,
        about: &Receipt,
        agreement: Agreement,
        host: &SecretKey<Host>,
    ) -> Self {
        let mut validation = Self {
            query: own.query,
            receipt: about.digest(),
            first_block: own.first_block,
            blocks: own.blocks.clone(),
            check: own.check,
            rotation: own.rotation,
            coverage: own.coverage.clone(),
            computed_with: own.computed_with.clone(),
            inputs: own.inputs,
            outputs: own.outputs,
            agreement,
            host: host.public(),
            signature: [0; SIGNATURE_LEN],
        };
        validation.signature = host.sign(label::SIGN_VALIDATION, &validation.digest().0);
        validation
    }

    pub(crate) fn is_signed(&self) -> bool {
        self.host.has_signed(label::SIGN_VALIDATION, &self.digest().0, &self.signature)
    }

    /// Why this record is not one about `receipt`; `None` where it is. Signature, content, host and
    /// coverage are the chain's to check.
    pub(crate) fn refuse_for(&self, receipt: &Receipt) -> Option<&'static str> {
        if self.query != receipt.query || self.receipt != receipt.digest() {
            return Some("the validation is about another receipt");
        }
        if self.first_block != receipt.first_block || self.blocks != receipt.blocks {
            return Some("the validation is of other blocks than the receipt");
        }
        if self.inputs != receipt.inputs {
            return Some("the validation is of other inputs than the receipt");
        }
        if self.host == receipt.host {
            return Some("a host validates its own receipt");
        }
        match self.agreement {
            Agreement::Same if self.outputs != receipt.outputs => {
                Some("the validation says the same and names other outputs")
            }
            Agreement::Near { .. } | Agreement::Differs { .. }
                if self.outputs == receipt.outputs =>
            {
                Some("the validation names the same outputs and says something else")
            }
            _ => None,
        }
    }

    /// Digest of the record:
    /// `BLAKE3.derive_key["deepring v1 validation digest"](record without signature)`.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut w = Writer::new();
        self.encode_unsigned(&mut w);
        Digest::of(label::VALIDATION, &[&w.finish()])
    }

    fn encode_unsigned(&self, w: &mut Writer) {
        w.raw(&self.query.0).raw(&self.receipt.0).u32(self.first_block);
        w.count(self.blocks.len());
        for block in &self.blocks {
            w.raw(&block.0);
        }
        checked::encode(self.check, self.rotation, &self.coverage, w);
        self.computed_with.encode(w);
        w.raw(&self.inputs.0).raw(&self.outputs.0);
        self.agreement.encode(w);
        w.raw(self.host.as_bytes());
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        self.encode_unsigned(w);
        w.raw(&self.signature);
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let query = Digest(r.array("query")?);
        let receipt = Digest(r.array("receipt digest")?);
        let first_block = r.u32("first block")?;
        let n = r.count("blocks", MAX_BLOCKS as usize, 32)?;
        let blocks =
            (0..n).map(|_| r.array("content digest").map(Digest)).collect::<Result<_, _>>()?;
        let (check, rotation, coverage) = Checked::decode(r)?.into_parts();
        Ok(Self {
            query,
            receipt,
            first_block,
            blocks,
            check,
            rotation,
            coverage,
            computed_with: ComputedWith::decode(r)?,
            inputs: Digest(r.array("inputs digest")?),
            outputs: Digest(r.array("outputs digest")?),
            agreement: Agreement::decode(r)?,
            host: PublicKey::from_bytes(r.array("host key")?),
            signature: r.array("signature")?,
        })
    }
}
