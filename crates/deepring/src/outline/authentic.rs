//! The statements of an authentic outline.

use super::{AuthenticOutline, Outline, OutlineBlock};
use crate::crypto::Digest;
use crate::deal::Deal;
use crate::finding::Finding;
use crate::keys::{Owner, PublicKey};
use crate::ring_id::{RingId, RingKind};
use crate::tensor::TensorSpec;
use crate::trust::{OwnedRing, RingVersion, Trust};

impl AuthenticOutline {
    /// Of a ring whose closure and headers were verified, and this outline among them.
    pub(crate) fn of_checked(outline: Outline) -> Self {
        Self { digest: outline.digest(), outline }
    }

    /// Network or weights.
    #[must_use]
    pub fn kind(&self) -> RingKind {
        self.outline.kind
    }

    /// The ring's id, the same in all its versions.
    #[must_use]
    pub fn ring_id(&self) -> RingId {
        self.outline.ring_id
    }

    /// Owner and ring id together.
    #[must_use]
    pub fn owned(&self) -> OwnedRing {
        self.outline.claimed()
    }

    /// The ring's digest, which receipts name.
    #[must_use]
    pub fn ring_digest(&self) -> Digest {
        self.outline.ring_digest
    }

    /// Version of the model.
    #[must_use]
    pub fn model_version(&self) -> u64 {
        self.outline.model_version
    }

    /// Ring digest of the version before; `None` for the first.
    #[must_use]
    pub fn previous(&self) -> Option<Digest> {
        Some(self.outline.previous).filter(|d| *d != Digest::NONE)
    }

    /// Number of times that hosts were granted or dealt since the sealing.
    #[must_use]
    pub fn revision(&self) -> u32 {
        self.outline.revision
    }

    /// Time of sealing by the owner's clock, in seconds since the Unix epoch.
    #[must_use]
    pub fn sealed_at(&self) -> u64 {
        self.outline.sealed_at
    }

    /// The owner that signed it.
    #[must_use]
    pub fn owner(&self) -> PublicKey<Owner> {
        self.outline.owner
    }

    /// The network's inputs, which a query supplies.
    #[must_use]
    pub fn inputs(&self) -> &[TensorSpec] {
        &self.outline.inputs
    }

    /// The network's outputs, which a query returns.
    #[must_use]
    pub fn outputs(&self) -> &[TensorSpec] {
        &self.outline.outputs
    }

    /// Genesis.
    #[must_use]
    pub fn genesis(&self) -> &OutlineBlock {
        // An outline of fewer than two blocks is not decoded.
        &self.outline.blocks[0]
    }

    /// All blocks; the first is Genesis.
    #[must_use]
    pub fn blocks(&self) -> &[OutlineBlock] {
        &self.outline.blocks
    }

    /// The blocks that compute: without Genesis and the shared blocks.
    #[must_use]
    pub fn layers(&self) -> &[OutlineBlock] {
        self.outline.layers()
    }

    /// The deal; `None` for a ring that is not dealt.
    #[must_use]
    pub fn deal(&self) -> Option<&Deal> {
        self.outline.deal.as_ref()
    }

    /// The deal's number: one more than the revision that brought it; 0 for a ring that is not dealt.
    /// Of two outlines of one version, the higher one's deal holds.
    #[must_use]
    pub fn deal_number(&self) -> u32 {
        self.deal().map_or(0, |deal| deal.revision.saturating_add(1))
    }

    /// The objection of a reader who trusts so, if there is one: untrusted for the owner, or for a version that only whoever has a
    /// key that the owner gave up can have made; stale for a version or a deal older than one that the trust store has seen.
    #[must_use]
    pub fn refused_by(&self, trust: &Trust<'_>) -> Option<Finding> {
        let (model_version, digest) = (self.model_version(), self.ring_digest());
        let deal = self.deal_number();
        let version = RingVersion { ring: self.owned(), model_version, digest, deal };
        trust.refuse_version(&version).or_else(|| trust.refuse_deal(&version))
    }

    /// Digest of the outline, signature left out.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The outline itself, to encode.
    #[must_use]
    pub fn as_outline(&self) -> &Outline {
        &self.outline
    }
}
