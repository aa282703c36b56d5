//! The two signed records of a chain: Genesis' opening and a host's receipt.

use serde::Serialize;

use super::check::Check;
use super::checked::{self, Checked};
use super::computed_with::ComputedWith;
use super::coverage::Coverage;
use crate::crypto::signature::SIGNATURE_LEN;
use crate::crypto::{Digest, label};
use crate::encoding::{DecodeError, Reader, Writer};
use crate::keys::{Host, PublicKey, SecretKey};
use crate::ring_id::MAX_BLOCKS;
use crate::ring_id::RingId;

/// The record that begins a query: ring, inputs and time, signed by the host of Genesis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Opening {
    /// Random; no two queries share it, so no record fits another query.
    pub query: Digest,
    /// Ring id.
    pub ring_id: RingId,
    /// Ring digest.
    pub ring_digest: Digest,
    /// Version of the model.
    pub model_version: u64,
    /// Genesis' content digest, computed when it was opened.
    pub genesis: Digest,
    /// Digest of the deal that the query runs under; [`Digest::NONE`] for a ring that is not dealt.
    pub deal: Digest,
    /// The client's nonce, so that a replayed answer is no new one; all zero for none.
    pub nonce: Digest,
    /// Commitment to the salt of the query's digests ([`Salt::commitment`](super::Salt::commitment)).
    pub salt: Digest,
    /// Digest over the inputs of the whole batch.
    pub inputs: Digest,
    /// Time of opening by the host's clock, in milliseconds since the Unix epoch.
    pub opened_at: u64,
    /// The host that opened the query.
    pub host: PublicKey<Host>,
    #[serde(skip)]
    pub(crate) signature: [u8; SIGNATURE_LEN],
}

impl Opening {
    pub(crate) fn sign(&mut self, host: &SecretKey<Host>) {
        self.signature = host.sign(label::SIGN_OPENING, &self.digest().0);
    }

    pub(crate) fn is_signed(&self) -> bool {
        self.host.has_signed(label::SIGN_OPENING, &self.digest().0, &self.signature)
    }

    pub(crate) fn digest(&self) -> Digest {
        let mut w = Writer::new();
        self.encode_unsigned(&mut w);
        Digest::of(label::OPENING, &[&w.finish()])
    }

    fn encode_unsigned(&self, w: &mut Writer) {
        w.raw(&self.query.0).raw(&self.ring_id.0).raw(&self.ring_digest.0).u64(self.model_version);
        w.raw(&self.genesis.0).raw(&self.deal.0).raw(&self.nonce.0).raw(&self.salt.0);
        w.raw(&self.inputs.0).u64(self.opened_at).raw(self.host.as_bytes());
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        self.encode_unsigned(w);
        w.raw(&self.signature);
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            query: Digest(r.array("query")?),
            ring_id: RingId(r.array("ring id")?),
            ring_digest: Digest(r.array("ring digest")?),
            model_version: r.u64("model version")?,
            genesis: Digest(r.array("genesis digest")?),
            deal: Digest(r.array("deal digest")?),
            nonce: Digest(r.array("nonce")?),
            salt: Digest(r.array("salt commitment")?),
            inputs: Digest(r.array("inputs digest")?),
            opened_at: r.u64("opened at")?,
            host: PublicKey::from_bytes(r.array("host key")?),
            signature: r.array("signature")?,
        })
    }
}

/// One host's signed record of the consecutive blocks that it ran for a query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// The query.
    pub query: Digest,
    /// Ring digest.
    pub ring_digest: Digest,
    /// Index of the first block that ran; Genesis is 0.
    pub first_block: u32,
    /// Content digests of the blocks that ran, computed over their bytes in memory.
    pub blocks: Vec<Digest>,
    /// How the parameters were checked.
    pub check: Check,
    /// Number of uses within which every byte under [`Coverage::Product`] or [`Coverage::Either`]
    /// was compared bit by bit; 0 where no part is under one of the two.
    pub rotation: u16,
    /// For each block, the coverage of each of its parts, in the order of its header; of a batch,
    /// the [meet](Coverage::meet) over its queries.
    pub coverage: Vec<Vec<Coverage>>,
    /// Engine, library, processor kind and threads that the host computed with.
    pub computed_with: ComputedWith,
    /// Digest over the tensors that came in, for the whole batch.
    pub inputs: Digest,
    /// Digest over the tensors that went out, for the whole batch.
    pub outputs: Digest,
    /// Digest of the record before: the opening's or another receipt's.
    pub previous: Digest,
    /// The host that ran the blocks.
    pub host: PublicKey<Host>,
    #[serde(skip)]
    pub(crate) signature: [u8; SIGNATURE_LEN],
}

impl Receipt {
    /// Index one past the last block that ran.
    #[must_use]
    pub fn end_block(&self) -> u32 {
        self.first_block.saturating_add(u32::try_from(self.blocks.len()).unwrap_or(u32::MAX))
    }

    pub(crate) fn sign(&mut self, host: &SecretKey<Host>) {
        self.signature = host.sign(label::SIGN_RECEIPT, &self.digest().0);
    }

    pub(crate) fn is_signed(&self) -> bool {
        self.host.has_signed(label::SIGN_RECEIPT, &self.digest().0, &self.signature)
    }

    /// Digest of the record:
    /// `BLAKE3.derive_key["deepring v4 receipt digest"](record without signature)`.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut w = Writer::new();
        self.encode_unsigned(&mut w);
        Digest::of(label::RECEIPT, &[&w.finish()])
    }

    fn encode_unsigned(&self, w: &mut Writer) {
        w.raw(&self.query.0).raw(&self.ring_digest.0).u32(self.first_block);
        w.count(self.blocks.len());
        for block in &self.blocks {
            w.raw(&block.0);
        }
        checked::encode(self.check, self.rotation, &self.coverage, w);
        self.computed_with.encode(w);
        w.raw(&self.inputs.0).raw(&self.outputs.0).raw(&self.previous.0);
        w.raw(self.host.as_bytes());
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        self.encode_unsigned(w);
        w.raw(&self.signature);
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let query = Digest(r.array("query")?);
        let ring_digest = Digest(r.array("ring digest")?);
        let first_block = r.u32("first block")?;
        let n = r.count("blocks", MAX_BLOCKS as usize, 32)?;
        let blocks =
            (0..n).map(|_| r.array("content digest").map(Digest)).collect::<Result<_, _>>()?;
        let (check, rotation, coverage) = Checked::decode(r)?.into_parts();
        Ok(Self {
            query,
            ring_digest,
            first_block,
            blocks,
            check,
            rotation,
            coverage,
            computed_with: ComputedWith::decode(r)?,
            inputs: Digest(r.array("inputs digest")?),
            outputs: Digest(r.array("outputs digest")?),
            previous: Digest(r.array("previous record")?),
            host: PublicKey::from_bytes(r.array("host key")?),
            signature: r.array("signature")?,
        })
    }
}
