//! Rings that passed a verification, and what can be done with them.

use std::collections::HashMap;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

use super::RingId;
use super::closure::Closure;
use super::layout::Layout;
use super::opened::{DecryptedBlock, OpenedBlock};
use super::report::{Finding, PartName, Report, Verdict};
use super::storage::Storage;
use crate::block::Header;
use crate::crypto::Digest;
use crate::keys::{Owner, PublicKey};
use crate::manifest::Manifest;
use crate::open::{ChunkObserver, OpenError, OpeningKey};
use crate::tensor::TensorSpec;
use crate::trust::OwnedRing;

/// Why a ring could not be read, or was refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RingError {
    /// The file could not be read.
    #[error("{}{source}", path.as_ref().map(|p| format!("{}: ", p.display())).unwrap_or_default())]
    Io {
        /// The file, where it is known.
        path: Option<PathBuf>,
        /// What the system said.
        source: std::io::Error,
    },
    /// The ring does not verify; the report says what and where.
    #[error("the ring is {0}")]
    Refused(Report),
}

impl From<std::io::Error> for RingError {
    fn from(source: std::io::Error) -> Self {
        Self::Io { path: None, source }
    }
}

/// A ring whose closure, headers and links are the trusted owner's, and not older than what was seen
/// before. Its bodies are checked as they are opened.
pub struct AuthenticRing {
    storage: Arc<dyn Storage>,
    closure: Closure,
    layout: Layout,
    headers: Vec<Header>,
}

/// An [`AuthenticRing`] every byte of which has been read and found to be as it was sealed.
#[derive(Debug)]
pub struct VerifiedRing(AuthenticRing);

impl VerifiedRing {
    pub(super) fn from_checked(ring: AuthenticRing) -> Self {
        Self(ring)
    }

    /// Gives up the knowledge that the stored bodies are intact (they may change on disk later;
    /// opening checks them again in any case).
    #[must_use]
    pub fn into_authentic(self) -> AuthenticRing {
        self.0
    }
}

impl Deref for VerifiedRing {
    type Target = AuthenticRing;

    fn deref(&self) -> &AuthenticRing {
        &self.0
    }
}

impl std::fmt::Debug for AuthenticRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthenticRing")
            .field("ring_id", &self.closure.ring_id)
            .field("model_version", &self.closure.model_version)
            .finish_non_exhaustive()
    }
}

impl AuthenticRing {
    pub(super) fn from_checked(
        storage: Arc<dyn Storage>,
        closure: Closure,
        layout: Layout,
        headers: Vec<Header>,
    ) -> Self {
        Self { storage, closure, layout, headers }
    }

    /// Names the ring in all its versions.
    #[must_use]
    pub fn ring_id(&self) -> RingId {
        self.closure.ring_id
    }

    /// Owner and ring id together: nobody else can make a ring of that name.
    #[must_use]
    pub fn owned(&self) -> OwnedRing {
        OwnedRing { owner: self.closure.owner, ring: self.closure.ring_id }
    }

    /// Names this content: all bodies, their order, version, owner and predecessor.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.closure.ring_digest()
    }

    /// Version of the model.
    #[must_use]
    pub fn model_version(&self) -> u64 {
        self.closure.model_version
    }

    /// Ring digest of the version before; `None` for the first.
    #[must_use]
    pub fn previous(&self) -> Option<Digest> {
        Some(self.closure.previous).filter(|d| *d != Digest::NONE)
    }

    /// How often hosts were granted or withdrawn since the sealing.
    #[must_use]
    pub fn revision(&self) -> u32 {
        self.closure.revision
    }

    /// When the ring was sealed, by the owner's clock, in seconds since 1970.
    #[must_use]
    pub fn sealed_at(&self) -> u64 {
        self.closure.sealed_at
    }

    /// The owner that signed the ring.
    #[must_use]
    pub fn owner(&self) -> PublicKey<Owner> {
        self.closure.owner
    }

    /// The owner's signature that closes the ring.
    #[must_use]
    pub fn closure_signature(&self) -> [u8; 64] {
        self.closure.signature
    }

    /// The blocks' headers; the first is Genesis.
    #[must_use]
    pub fn headers(&self) -> &[Header] {
        &self.headers
    }

    /// Genesis' header.
    #[must_use]
    pub fn genesis(&self) -> &Header {
        // A preamble with fewer than two blocks is refused.
        &self.headers[0]
    }

    /// The headers of the blocks that compute, without Genesis.
    #[must_use]
    pub fn layers(&self) -> &[Header] {
        self.headers.get(1..).unwrap_or_default()
    }

    /// The tensors that are live after block `index` (0: what Genesis hands out), in the order of
    /// their names: what a later block reads, or what returns to Genesis.
    #[must_use]
    pub fn live_after(&self, index: u32) -> Vec<&TensorSpec> {
        let split = (index as usize + 1).min(self.headers.len());
        let (before, after) = self.headers.split_at(split);
        let needed = |name: &str| {
            after.iter().chain([self.genesis()]).any(|h| h.inputs.iter().any(|t| t.name == name))
        };
        let mut live: Vec<&TensorSpec> = if after.is_empty() {
            self.genesis().inputs.iter().collect()
        } else {
            before.iter().flat_map(|h| &h.outputs).filter(|t| needed(&t.name)).collect()
        };
        live.sort_by(|a, b| a.name.cmp(&b.name));
        live.dedup_by(|a, b| a.name == b.name);
        live
    }

    /// Opens one block into a buffer of [`Header::plain_len`] bytes.
    ///
    /// Every chunk is read once, its digest is checked, and it is decrypted and put into its place;
    /// then the content digest is computed over the buffer itself. On failure the buffer holds
    /// nothing of the block.
    pub fn open_block(
        &self,
        index: u32,
        key: OpeningKey<'_>,
        out: &mut [u8],
    ) -> Result<OpenedBlock, OpenError> {
        let decrypted = self.decrypt_block(index, key, out, &|_| ())?;
        decrypted.confirm(out).inspect_err(|_| out.fill(0))
    }

    /// The first half of [`open_block`](Self::open_block): every chunk is checked and decrypted, told to `observer`, and
    /// put into its place; the content digest is left to [`DecryptedBlock::confirm`].
    ///
    /// For who watches the live bytes from here on: what the observer notes is about the very copy of a chunk that was
    /// authenticated, before anybody could write to its place in `out`. On failure the buffer holds nothing of the block.
    pub fn decrypt_block(
        &self,
        index: u32,
        key: OpeningKey<'_>,
        out: &mut [u8],
        observer: ChunkObserver<'_>,
    ) -> Result<DecryptedBlock, OpenError> {
        let at = index as usize;
        let (Some(header), Some(body)) = (self.headers.get(at), self.layout.bodies.get(at)) else {
            return Err(OpenError::NoSuchBlock { index, count: self.closure.count() });
        };
        crate::open::decrypt_body(&*self.storage, header, body, key, out, observer)
            .inspect_err(|_| out.fill(0))
            .map(|block_key| DecryptedBlock::of(header, block_key))
    }

    /// Where byte `offset` of a block's plaintext lies, encrypted, in the file; `None` for padding, which
    /// is not stored. For tools that place a finding, and for attackers.
    #[must_use]
    pub fn stored_at(&self, index: u32, offset: u64) -> Option<u64> {
        let header = self.headers.get(index as usize)?;
        let body = self.layout.bodies.get(index as usize)?;
        let span = crate::block::chunks::chunk_spans(&header.parts)
            .find(|span| span.plain.contains(&offset))?;
        Some(body.start + span.body.start + (offset - span.plain.start))
    }

    /// Opens Genesis and decodes the manifest.
    pub fn open_manifest(&self, key: OpeningKey<'_>) -> Result<Manifest, OpenError> {
        let len = self.genesis().plain_len;
        let mut out = crate::open::buffer(len)?;
        self.open_block(0, key, &mut out)?;
        Manifest::decode(&out).map_err(|source| OpenError::Malformed { index: 0, source })
    }

    /// The report of a ring in which nothing was found.
    #[must_use]
    pub fn report(&self) -> Report {
        self.report_with(Vec::new())
    }

    /// A report about this ring with the findings that something else made (an opening, a run).
    #[must_use]
    pub fn report_with(&self, findings: Vec<Finding>) -> Report {
        Report {
            verdict: if findings.is_empty() { Verdict::Intact } else { Report::judge(&findings) },
            ring: Some(self.ring_id()),
            digest: Some(self.digest()),
            model_version: Some(self.model_version()),
            blocks: Some(self.closure.count()),
            findings,
        }
    }

    pub(crate) fn closure(&self) -> &Closure {
        &self.closure
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(crate) fn storage(&self) -> &dyn Storage {
        &*self.storage
    }
}

/// Checks that each block reads only what an earlier one gives, with one spec for each name, and
/// that all that returns to Genesis is given.
pub(super) fn examine_wiring(headers: &[&Header]) -> Vec<Finding> {
    let mut given: HashMap<&str, &TensorSpec> = HashMap::new();
    let mut found = Vec::new();
    let genesis_last = headers.iter().skip(1).chain(headers.first());
    if let Some(genesis) = headers.first() {
        given.extend(genesis.outputs.iter().map(|t| (t.name.as_str(), t)));
    }
    for header in genesis_last {
        for input in &header.inputs {
            if given.get(input.name.as_str()).is_none_or(|spec| spec.dtype != input.dtype) {
                let reason =
                    format!("reads tensor `{}`, which no block before it gives", input.name);
                found.push(
                    Finding::tampered(PartName::Header, reason)
                        .in_block(header.index, Some(&header.name)),
                );
            }
        }
        if header.index != 0 {
            given.extend(header.outputs.iter().map(|t| (t.name.as_str(), t)));
        }
    }
    found
}
