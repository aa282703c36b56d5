//! Rings that passed a verification, and the operations on them.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

use super::closure::Closure;
use super::layout::Layout;
use super::opened::{DecryptedBlock, OpenedBlock};
use super::part_reader::PartReader;
use crate::block::Header;
use crate::crypto::Digest;
use crate::finding::{Finding, Report, Verdict};
use crate::keys::{Owner, PublicKey};
use crate::manifest::Manifest;
use crate::open::{ChunkObserver, OpenError, OpeningKey};
use crate::outline::{AuthenticOutline, Outline};
use crate::ring_id::{RingId, RingKind};
use crate::storage::Storage;
use crate::tensor::TensorSpec;
use crate::trust::{OwnedRing, RingVersion};

/// Why a ring could not be read, or was refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RingError {
    /// The file could not be read.
    #[error("{}{source}", path.as_ref().map(|p| format!("{}: ", p.display())).unwrap_or_default())]
    Io {
        /// The file, where it is known.
        path: Option<PathBuf>,
        /// The system's error.
        source: std::io::Error,
    },
    /// The ring does not verify; the report says why and where.
    #[error("the ring is {0}")]
    Refused(Report),
}

impl From<std::io::Error> for RingError {
    fn from(source: std::io::Error) -> Self {
        Self::Io { path: None, source }
    }
}

/// A ring whose closure, headers and links are the trusted owner's, and not older than a version
/// seen before. Its bodies are checked as they are opened.
///
/// ```compile_fail,E0451
/// use deepring::AuthenticRing;
///
/// fn made(of: AuthenticRing) -> AuthenticRing {
///     AuthenticRing { ..of } // error: the fields are private
/// }
/// ```
pub struct AuthenticRing {
    storage: Arc<dyn Storage>,
    closure: Closure,
    layout: Layout,
    headers: Vec<Header>,
    outline: AuthenticOutline,
}

/// An [`AuthenticRing`] every byte of which has been read and found to be as it was sealed.
///
/// ```compile_fail,E0451
/// use deepring::VerifiedRing;
///
/// fn made(of: VerifiedRing) -> VerifiedRing {
///     VerifiedRing { ..of } // error: the fields are private
/// }
/// ```
#[derive(Debug)]
pub struct VerifiedRing(AuthenticRing);

impl VerifiedRing {
    pub(super) fn from_checked(ring: AuthenticRing) -> Self {
        Self(ring)
    }

    /// Drops the evidence that the stored bodies are intact (they may change on disk later; opening
    /// checks them again in any case).
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
        let all: Vec<&Header> = headers.iter().collect();
        let outline = AuthenticOutline::of_checked(Outline::of(closure.stated(), &all));
        Self { storage, closure, layout, headers, outline }
    }

    /// The ring's id, the same in all its versions.
    #[must_use]
    pub fn ring_id(&self) -> RingId {
        self.closure.ring_id
    }

    /// Owner and ring id together: nobody else can make a ring of that name.
    #[must_use]
    pub fn owned(&self) -> OwnedRing {
        OwnedRing { owner: self.closure.owner, ring: self.closure.ring_id }
    }

    pub(super) fn version(&self) -> RingVersion {
        RingVersion { deal: self.outline().deal_number(), ..self.closure.version() }
    }

    /// The digest of this content: all bodies, their order, version, owner and predecessor.
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

    /// Number of times that hosts were granted or withdrawn since the sealing.
    #[must_use]
    pub fn revision(&self) -> u32 {
        self.closure.revision
    }

    /// Time of sealing by the owner's clock, in seconds since the Unix epoch.
    #[must_use]
    pub fn sealed_at(&self) -> u64 {
        self.closure.sealed_at
    }

    /// The owner that signed the ring.
    #[must_use]
    pub fn owner(&self) -> PublicKey<Owner> {
        self.closure.owner
    }

    /// Network or weights.
    #[must_use]
    pub fn kind(&self) -> RingKind {
        self.closure.kind
    }

    /// The ring's outline: what decisions are verified against, without the ring.
    #[must_use]
    pub fn outline(&self) -> &AuthenticOutline {
        &self.outline
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

    /// The network's inputs, which a query supplies, in the order of its file. (Genesis passes them
    /// to the first block, so they are the outputs of its header.)
    #[must_use]
    #[expect(clippy::misnamed_getters, reason = "Genesis outputs the network's inputs")]
    pub fn inputs(&self) -> &[TensorSpec] {
        &self.genesis().outputs
    }

    /// The network's outputs, which a query returns, in the order of its file.
    #[must_use]
    #[expect(clippy::misnamed_getters, reason = "Genesis reads the network's outputs")]
    pub fn outputs(&self) -> &[TensorSpec] {
        &self.genesis().inputs
    }

    /// The headers of the blocks that compute: without Genesis and the shared blocks.
    #[must_use]
    pub fn layers(&self) -> &[Header] {
        self.headers.get(1..self.after_layers()).unwrap_or_default()
    }

    /// The headers of the shared blocks: behind those that compute, with parameters that several of
    /// them use.
    #[must_use]
    pub fn shared(&self) -> &[Header] {
        self.headers.get(self.after_layers()..).unwrap_or_default()
    }

    /// Index of the last block that an owner can name to grant it: of a network, the last that computes (the shared blocks come
    /// with those that use them); of weights, the last.
    #[must_use]
    pub fn last_to_grant(&self) -> u32 {
        let last = match self.kind() {
            RingKind::Network => self.layers().len(),
            RingKind::Weights => self.headers.len().saturating_sub(1),
        };
        u32::try_from(last).unwrap_or(u32::MAX)
    }

    /// Index one past the last block that computes.
    fn after_layers(&self) -> usize {
        // Shared blocks stand at the end: `verify_sharing`.
        self.headers.iter().take_while(|h| !h.is_shared()).count()
    }

    /// The tensors that are live after block `index` (0: the outputs of Genesis), in the order of
    /// their names: those that a later block reads, or that return to Genesis.
    #[must_use]
    pub fn live_after(&self, index: u32) -> Vec<&TensorSpec> {
        let computing = self.headers.get(..self.after_layers()).unwrap_or_default();
        let (before, after) = computing.split_at((index as usize + 1).min(computing.len()));
        let needed = |name: &str| {
            after.iter().chain([self.genesis()]).any(|h| h.inputs.iter().any(|t| t.name == name))
        };
        let mut live: Vec<&TensorSpec> = if after.is_empty() {
            self.outputs().iter().collect()
        } else {
            before.iter().flat_map(|h| &h.outputs).filter(|t| needed(&t.name)).collect()
        };
        live.sort_by(|a, b| a.name.cmp(&b.name));
        live.dedup_by(|a, b| a.name == b.name);
        live
    }

    /// Returns whether this key can open a block, and every shared block that it uses.
    #[must_use]
    pub fn is_for(&self, header: &Header, key: OpeningKey<'_>) -> bool {
        let mut used = header.shared_blocks().map(|block| self.headers.get(block as usize));
        key.is_recipient(header) && used.all(|shared| shared.is_some_and(|h| key.is_recipient(h)))
    }

    /// Opens one block into a buffer of [`Header::plain_len`] bytes, with the parts that shared
    /// blocks hold.
    ///
    /// Every chunk is read once, its digest is checked, and it is decrypted and put into its place;
    /// then the content digest is computed over the buffer itself. On failure the buffer holds
    /// nothing of the block.
    ///
    /// # Errors
    /// [`OpenError::NoSuchBlock`], [`OpenError::WrongBuffer`], [`OpenError::NotForThisKey`];
    /// [`OpenError::Tampered`] where a chunk or the content is not what was sealed;
    /// [`OpenError::Io`] where the file cannot be read; [`OpenError::TooLarge`] where memory is
    /// lacking.
    pub fn open_block(
        &self,
        index: u32,
        key: OpeningKey<'_>,
        out: &mut [u8],
    ) -> Result<OpenedBlock, OpenError> {
        self.open_whole(index, key, out).inspect_err(|_| out.fill(0))
    }

    fn open_whole(
        &self,
        index: u32,
        key: OpeningKey<'_>,
        out: &mut [u8],
    ) -> Result<OpenedBlock, OpenError> {
        let header = self.header(index)?;
        let (needed, given) = (header.plain_len, out.len() as u64);
        if needed != given {
            return Err(OpenError::WrongBuffer { index, needed, given });
        }
        // Places follow each other in a plaintext that fits this machine.
        let own_len = usize::try_from(header.own_len()).unwrap_or(usize::MAX).min(out.len());
        let (own, rest) = out.split_at_mut(own_len);
        let decrypted = self.decrypt_block(index, key, own, &|_| ())?;
        rest.fill(0);
        let mut shared = Vec::new();
        for block in header.shared_blocks() {
            let place = header.place_of_shared(block);
            let place = place.start.saturating_sub(own_len)..place.end.saturating_sub(own_len);
            let place = rest.get_mut(place).unwrap_or_default();
            shared.push(self.open_whole(block, key, place).map_err(|e| of_user(e, header))?);
        }
        decrypted.confirm(own, &shared)
    }

    /// Opens one block as [`open_block`](Self::open_block) does, and keeps nothing of it: memory is that of some chunks,
    /// whatever length the owner states.
    ///
    /// Of the shared blocks that it uses, the content digests are taken from their headers; each is a block to verify by itself.
    ///
    /// # Errors
    /// As [`open_block`](Self::open_block), but for [`OpenError::WrongBuffer`].
    pub fn verify_block(&self, index: u32, key: OpeningKey<'_>) -> Result<(), OpenError> {
        let header = self.header(index)?;
        let missing = || OpenError::NoSuchBlock { index, count: self.closure.count() };
        let body = self.layout.bodies.get(index as usize).ok_or_else(missing)?;
        let shared = header.shared_blocks().map(|block| Ok(self.header(block)?.content_digest));
        let shared = shared.collect::<Result<Vec<_>, OpenError>>()?;
        crate::open::verify_body(&*self.storage, header, body, key, &shared)
    }

    /// Compares bytes that lie somewhere as the opened plaintext of a block's own body with the content digest that the owner
    /// signed; of the shared blocks that it uses, the content digests are taken from their headers, each to be confirmed by itself.
    ///
    /// # Errors
    /// [`OpenError::NoSuchBlock`], [`OpenError::NotForThisKey`]; [`OpenError::Tampered`] where they are not these bytes.
    pub fn confirm_opened(
        &self,
        index: u32,
        key: OpeningKey<'_>,
        opened: &[u8],
    ) -> Result<(), OpenError> {
        let header = self.header(index)?;
        let (block_key, _) = crate::open::unwrap(header, key)?;
        let shared = header.shared_blocks().map(|block| Ok(self.header(block)?.content_digest));
        let shared = shared.collect::<Result<Vec<_>, OpenError>>()?;
        match block_key.content_digest(opened, &shared) == header.content_digest {
            true => Ok(()),
            false => Err(OpenError::Tampered(crate::open::other_content(index, &header.name))),
        }
    }

    /// The first half of [`open_block`](Self::open_block), for the block's own body alone: every
    /// chunk is checked and decrypted, shown to `observer`, and copied into its place in a buffer
    /// of [`Header::own_len`] bytes; [`DecryptedBlock::confirm`] then checks the content digest.
    ///
    /// For callers that watch the live bytes from here on: the observer's notes are about the very
    /// copy of a chunk that was authenticated, before anybody could write to its place in `out`. On
    /// failure the buffer holds nothing of the block.
    ///
    /// # Errors
    /// As [`open_block`](Self::open_block), for this one body.
    pub fn decrypt_block(
        &self,
        index: u32,
        key: OpeningKey<'_>,
        out: &mut [u8],
        observer: ChunkObserver<'_>,
    ) -> Result<DecryptedBlock, OpenError> {
        let header = self.header(index)?;
        let missing = || OpenError::NoSuchBlock { index, count: self.closure.count() };
        let body = self.layout.bodies.get(index as usize).ok_or_else(missing)?;
        crate::open::decrypt_body(&*self.storage, header, body, key, out, observer)
            .inspect_err(|_| out.fill(0))
            .map(|block_key| DecryptedBlock::of(header, block_key))
    }

    fn header(&self, index: u32) -> Result<&Header, OpenError> {
        let missing = || OpenError::NoSuchBlock { index, count: self.closure.count() };
        self.headers.get(index as usize).ok_or_else(missing)
    }

    /// The offset in the file at which byte `offset` of a block's plaintext lies, encrypted; `None`
    /// for padding, which is not stored. A shared byte lies in the body of the shared block. For
    /// tools that locate a finding, and for attackers.
    #[must_use]
    pub fn stored_at(&self, index: u32, offset: u64) -> Option<u64> {
        let header = self.headers.get(index as usize)?;
        let part = header.parts.iter().find(|p| (p.offset..p.end()).contains(&offset))?;
        if let Some(block) = part.shared {
            return self.stored_at(block, offset - header.place_of_shared(block).start as u64);
        }
        let body = self.layout.bodies.get(index as usize)?;
        let span = crate::block::chunks::chunk_spans(&header.parts)
            .find(|span| span.plain.contains(&offset))?;
        Some(body.start + span.body.start + (offset - span.plain.start))
    }

    /// Opens Genesis of a network and decodes the manifest.
    ///
    /// # Errors
    /// [`OpenError::OtherKind`] for a ring of weights; as [`open_block`](Self::open_block);
    /// [`OpenError::Malformed`] where it does not decode.
    pub fn open_manifest(&self, key: OpeningKey<'_>) -> Result<Manifest, OpenError> {
        if self.kind() != RingKind::Network {
            return Err(OpenError::OtherKind { kind: self.kind() });
        }
        let len = self.genesis().plain_len;
        let mut out = crate::open::buffer(len)?;
        self.open_block(0, key, &mut out)?;
        Manifest::decode(&out).map_err(|source| OpenError::Malformed { index: 0, source })
    }

    /// A reader of single parts of one block.
    ///
    /// # Errors
    /// [`OpenError::NoSuchBlock`] and [`OpenError::NotForThisKey`]; [`OpenError::Tampered`] where the block's key does not
    /// open.
    pub fn part_reader(
        &self,
        index: u32,
        key: OpeningKey<'_>,
    ) -> Result<PartReader<'_>, OpenError> {
        let header = self.header(index)?;
        let missing = || OpenError::NoSuchBlock { index, count: self.closure.count() };
        let body = self.layout.bodies.get(index as usize).ok_or_else(missing)?.clone();
        let (_, cipher) = crate::open::unwrap(header, key)?;
        Ok(PartReader::new(&*self.storage, header, body, cipher))
    }

    /// The report of a ring without findings.
    #[must_use]
    pub fn report(&self) -> Report {
        self.report_with(Vec::new())
    }

    /// A report about this ring with findings from elsewhere (an opening, a run).
    #[must_use]
    pub fn report_with(&self, findings: Vec<Finding>) -> Report {
        Report {
            verdict: if findings.is_empty() {
                Verdict::Intact
            } else {
                Report::verdict_of(&findings)
            },
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

/// The error of opening a shared block, attributed to the block that uses it.
pub(crate) fn of_user(error: OpenError, user: &Header) -> OpenError {
    match error {
        OpenError::Tampered(mut finding) => {
            if let Some(block) = finding.block.filter(|block| *block != user.index) {
                finding.reason = format!("{} (stored in shared block {block})", finding.reason);
            }
            OpenError::Tampered(finding.in_block(user.index, Some(&user.name)))
        }
        other => other,
    }
}
