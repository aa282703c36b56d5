//! Sealing: blocks go in, one after the other; a signed ring file comes out, or nothing.

mod plan;

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use thiserror::Error;

use crate::block::chunks::{Segment, gaps, segments};
use crate::block::header::{body_digest, header_digest, wrap_key};
use crate::block::{Header, PartKind};
use crate::crypto::aead::{BlockKey, ChunkCipher};
use crate::crypto::{Digest, NoRandomness, random};
use crate::deal::{Deal, DealError};
use crate::keys::{SignerError, SigningOwner};
use crate::outline::Outline;
use crate::replace::Replacement;
use crate::ring::closure::{Closure, ClosureRow, closure_len};
use crate::ring::layout::{PREAMBLE_LEN, Preamble};
use crate::ring_id::MAX_BLOCKS;
use crate::ring_id::{RingId, RingKind};
use crate::storage::write_at;
use crate::write_back::WriteBack;

pub use plan::{BlockPlan, PlannedDeal, Predecessor, RingPlan};
use plan::{plan_header, with_deal, with_shared};

/// Why a ring was not sealed. The target file is untouched in every case.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SealError {
    /// A file could not be written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The plan has too few or too many blocks.
    #[error("a ring has 1 to {} blocks besides Genesis, not {found}", MAX_BLOCKS - 1)]
    BlockCount {
        /// Number of blocks planned, without Genesis.
        found: usize,
    },
    /// The version before is of the other kind.
    #[error(
        "the previous ring {}, and {} does not follow it: they would be versions of one ring",
        held(*.previous),
        held_by_new(*.planned)
    )]
    OtherKind {
        /// Kind of the version before.
        previous: RingKind,
        /// Kind of what is to be sealed.
        planned: RingKind,
    },
    /// The plan of a block has an empty part, too many recipients, or a size that does not fit.
    #[error("block {block} cannot be laid out: {reason}")]
    Layout {
        /// Index of the block; Genesis is 0.
        block: u32,
        /// The reason.
        reason: &'static str,
    },
    /// A block has another length than planned, or there is one too many or too few.
    #[error("block {block} was planned with {planned} bytes and given with {given}")]
    OutOfPlan {
        /// Index of the block; Genesis is 0.
        block: u32,
        /// Bytes planned.
        planned: u64,
        /// Bytes given.
        given: u64,
    },
    /// A recipient's public key is not usable.
    #[error("block {block} has a recipient whose key is not usable")]
    UnusableRecipient {
        /// Index of the block; Genesis is 0.
        block: u32,
    },
    /// Legs and hosts make no deal.
    #[error(transparent)]
    Deal(#[from] DealError),
    /// The deal names a host for a block that it cannot open.
    #[error("{0}")]
    NotGranted(&'static str),
    /// The owner did not sign.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// The system's generator failed.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

fn held(previous: RingKind) -> &'static str {
    match previous {
        RingKind::Network => "holds a network",
        RingKind::Weights => "holds weights and has no graph",
    }
}

fn held_by_new(planned: RingKind) -> &'static str {
    match planned {
        RingKind::Network => "a network",
        RingKind::Weights => "a ring of weights",
    }
}

/// Writes a ring, block by block: Genesis, the shared blocks, then those that compute; of weights Genesis last. Memory stays
/// near the largest block.
///
/// The bytes go to a file that does not have the target's name ([`Replacement`]).
/// [`finish`](Self::finish) signs, syncs and renames; before that, the target does not change.
pub struct RingSealer {
    owner: SigningOwner,
    target: PathBuf,
    file: Replacement,
    write_back: WriteBack,
    /// Offset of each block's body in the file, in bytes.
    starts: Vec<u64>,
    /// The order in which blocks are sealed: those that others use before them.
    order: Vec<usize>,
    model_version: u64,
    kind: RingKind,
    previous: Digest,
    sealed_at: u64,
    ring_id: RingId,
    headers: Vec<Header>,
    next: usize,
}

impl std::fmt::Debug for RingSealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RingSealer").field("target", &self.target).finish_non_exhaustive()
    }
}

impl RingSealer {
    /// Lays the ring out, draws the block keys, and begins the temporary file.
    ///
    /// # Errors
    /// [`SealError::Io`] where the file cannot be created; else as [`create_in`](Self::create_in).
    pub fn create(
        target: &Path,
        plan: &RingPlan,
        owner: impl Into<SigningOwner>,
    ) -> Result<Self, SealError> {
        let io = |source| SealError::Io { path: target.into(), source };
        Self::create_in(Replacement::of(target).map_err(io)?, plan, owner)
    }

    /// As [`create`](Self::create), in a file that was begun before: a file that has been put at
    /// its target since is not replaced.
    ///
    /// # Errors
    /// [`SealError::BlockCount`], [`SealError::Layout`], [`SealError::OtherKind`],
    /// [`SealError::Deal`] and [`SealError::NoRandomness`].
    pub fn create_in(
        file: Replacement,
        plan: &RingPlan,
        owner: impl Into<SigningOwner>,
    ) -> Result<Self, SealError> {
        let owner = owner.into();
        let count = u32::try_from(plan.blocks.len()).unwrap_or(u32::MAX);
        if !(2..=MAX_BLOCKS).contains(&count) {
            return Err(SealError::BlockCount { found: plan.blocks.len().saturating_sub(1) });
        }
        let (ring_id, previous) = match plan.previous {
            Some(Predecessor { kind, .. }) if kind != plan.kind => {
                return Err(SealError::OtherKind { previous: kind, planned: plan.kind });
            }
            Some(Predecessor { ring_id, digest, .. }) => (ring_id, digest),
            None => (RingId(random()?), Digest::NONE),
        };
        // As long as the deal that names the digest of what is sealed: the layout is known now.
        let deal = plan.deal.as_ref().map(|PlannedDeal { legs, plan: dealt }| {
            let computes = |b: &BlockPlan| b.parts.iter().any(|(kind, _)| *kind == PartKind::Graph);
            let last = plan.blocks.iter().filter(|b| computes(b)).count();
            let last = u32::try_from(last).unwrap_or(u32::MAX);
            Deal::around((ring_id, Digest::NONE, 0), legs, last, dealt, owner.public())
        });
        let deal = deal.transpose()?;
        let blocks = match &deal {
            Some(deal) => with_deal(&plan.blocks, deal),
            None => plan.blocks.clone(),
        };
        let headers = blocks
            .iter()
            .zip(0..)
            .map(|(block, index)| {
                plan_header(block, ring_id, plan.model_version, index, count, owner.public())
            })
            .collect::<Result<Vec<_>, _>>()?;
        let mut headers = with_shared(plan.kind, headers, &blocks)?;
        if let Some(genesis) = headers.first_mut() {
            genesis.deal = deal;
        }
        let front: u64 = headers.iter().map(|h| h.encode().len() as u64).sum();
        let bodies = headers.iter().map(Header::body_len).fold(0, u64::saturating_add);
        let mut at = PREAMBLE_LEN + closure_len(count) + front;
        let starts = headers.iter().map(|h| {
            at = at.saturating_add(h.body_len());
            at - h.body_len()
        });
        let starts = starts.collect();
        let (computing, mut order): (Vec<usize>, Vec<usize>) =
            (0..headers.len()).partition(|i| headers.get(*i).is_some_and(|h| !is_early(h)));
        order.extend(computing);
        if plan.kind == RingKind::Weights {
            // Its manifest has digests of all that the others hold.
            order.rotate_left(1);
        }
        Ok(Self {
            owner,
            target: file.target().into(),
            write_back: WriteBack::of(file.as_file(), bodies),
            file,
            starts,
            order,
            model_version: plan.model_version,
            kind: plan.kind,
            previous,
            sealed_at: plan.sealed_at,
            ring_id,
            headers,
            next: 0,
        })
    }

    /// The parts of a block with their places in the plaintext that
    /// [`seal_block`](Self::seal_block) takes.
    #[must_use]
    pub fn parts_of(&self, block: usize) -> &[crate::block::Part] {
        self.headers.get(block).map(|h| h.parts.as_slice()).unwrap_or_default()
    }

    /// Number of bytes of a block's plaintext that its own body holds.
    #[must_use]
    pub fn own_len(&self, block: usize) -> u64 {
        self.headers.get(block).map_or(0, Header::own_len)
    }

    /// Number of bytes of a block's plaintext, shared parts included.
    #[must_use]
    pub fn plain_len(&self, block: usize) -> u64 {
        self.headers.get(block).map_or(0, |h| h.plain_len)
    }

    /// The block that [`seal_block`](Self::seal_block) takes next; `None` after the last.
    #[must_use]
    pub fn next_block(&self) -> Option<usize> {
        self.order.get(self.next).copied()
    }

    /// Encrypts and writes the [next block](Self::next_block), given the part of its plaintext that
    /// its own body holds. Bytes between parts must be zero.
    ///
    /// # Errors
    /// [`SealError::OutOfPlan`] for another length, or after the last block; [`SealError::Layout`]
    /// where bytes between parts are not zero; [`SealError::UnusableRecipient`],
    /// [`SealError::NoRandomness`] and [`SealError::Io`].
    pub fn seal_block(&mut self, plaintext: &[u8]) -> Result<(), SealError> {
        let at = self.next_block();
        let block = at.unwrap_or(self.headers.len());
        let start = self.starts.get(block).copied().unwrap_or_default();
        let shared = self.contents_shared_by(block);
        let index = u32::try_from(block).unwrap_or(u32::MAX);
        let (given, block) = (plaintext.len() as u64, index);
        let Some(header) = at.and_then(|at| self.headers.get_mut(at)) else {
            return Err(SealError::OutOfPlan { block, planned: 0, given });
        };
        if header.own_len() != given {
            return Err(SealError::OutOfPlan { block, planned: header.own_len(), given });
        }
        if !gaps(&header.parts).all(|gap| plaintext[gap].iter().all(|b| *b == 0)) {
            return Err(SealError::Layout { block, reason: "bytes between parts are not zero" });
        }
        let unusable = || SealError::UnusableRecipient { block };
        let key = BlockKey::random()?;
        let cipher = key.cipher(header.context()).ok_or_else(unusable)?;
        header.commitment = key.commitment();
        header.content_digest = key.content_digest(plaintext, &shared);
        for recipient in &mut header.recipients {
            *recipient = wrap_key(&key, recipient.role, header.ring_id, header.index)
                .ok_or_else(unusable)?;
        }

        let target = &self.target;
        let io = |source| SealError::Io { path: target.clone(), source };
        let Header { parts, chunks, .. } = header;
        let (file, write_back) = (self.file.as_file(), &self.write_back);
        // Each thread encrypts and hashes a segment in its own cache and writes it to its place.
        digest_places(chunks, segments(parts)).par_bridge().try_for_each_init(
            Vec::new,
            |buf, (segment, digests)| {
                seal_segment(&cipher, &segment, plaintext, digests, buf).ok_or_else(unusable)?;
                write_at(file, start + segment.body.start, buf).map_err(io)?;
                write_back.wrote(buf.len());
                Ok::<(), SealError>(())
            },
        )?;
        self.next += 1;
        let digest = self.headers.get(index as usize).and_then(|header| {
            let body = |i: u32| self.headers.get(i as usize).map(|h| h.body_digest);
            body_digest(header, body)
        });
        let place = self.headers.get_mut(index as usize);
        if let Some((header, digest)) = place.zip(digest) {
            header.body_digest = digest;
        }
        Ok(())
    }

    /// The content digests of the shared blocks that a block uses, which were sealed before it.
    fn contents_shared_by(&self, block: usize) -> Vec<Digest> {
        let used = self.headers.get(block).into_iter().flat_map(Header::shared_blocks);
        used.filter_map(|i| self.headers.get(i as usize)).map(|h| h.content_digest).collect()
    }

    /// Links, signs, writes the front of the file, syncs, and puts it in the target's place.
    ///
    /// # Errors
    /// [`SealError::OutOfPlan`] where blocks are missing; [`SealError::NotGranted`] where the deal
    /// names a host for a block that it cannot open; [`SealError::Signer`] where the owner does not
    /// sign, or signs wrongly; [`SealError::Io`] where the system refuses.
    pub fn finish(mut self) -> Result<SealedRing, SealError> {
        if let Some(next) = self.next_block() {
            let block = u32::try_from(next).unwrap_or(u32::MAX);
            return Err(SealError::OutOfPlan { block, planned: self.own_len(next), given: 0 });
        }
        let bodies: Vec<Digest> = self.headers.iter().map(|h| h.body_digest).collect();
        let mut closure = Closure {
            ring_id: self.ring_id,
            model_version: self.model_version,
            kind: self.kind,
            previous: self.previous,
            owner: self.owner.public(),
            sealed_at: self.sealed_at,
            bodies,
            revision: 0,
            rows: Vec::new(),
            outline_signature: [0; 64],
            signature: [0; 64],
        };
        let digest = closure.ring_digest();
        if let Some(deal) = self.headers.first_mut().and_then(|genesis| genesis.deal.as_mut()) {
            deal.ring_digest = digest;
            deal.sign(&self.owner)?;
        }
        link_and_sign(&mut self.headers, &closure.bodies, &self.owner)?;
        let all: Vec<&Header> = self.headers.iter().collect();
        if let Some(reason) = Outline::of(closure.stated(), &all).refuse_deal() {
            return Err(SealError::NotGranted(reason));
        }
        let front = close(&mut closure, &self.headers, &self.owner)?;
        let target = self.target;
        let io = |source| SealError::Io { path: target.clone(), source };
        write_at(self.file.as_file(), 0, &front).map_err(io)?;
        self.write_back.finish().map_err(io)?;
        self.file.commit().map_err(io)?;
        Ok(SealedRing { ring_id: closure.ring_id, digest: closure.ring_digest() })
    }
}

/// The result of a sealing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedRing {
    /// The ring's name in all versions.
    pub ring_id: RingId,
    /// The digest of this content.
    pub digest: Digest,
}

/// Sets neighbours' digests in every header and signs it.
pub(crate) fn link_and_sign(
    headers: &mut [Header],
    bodies: &[Digest],
    owner: &SigningOwner,
) -> Result<(), SignerError> {
    let n = bodies.len();
    for (i, header) in headers.iter_mut().enumerate() {
        let body = |i: usize| bodies.get(i % n).copied().unwrap_or(Digest::NONE);
        header.previous_body = body(i + n - 1);
        header.next_body = body(i + 1);
        header.sign(owner)?;
    }
    Ok(())
}

/// Fills the closure's rows, signs it, and returns all bytes of the file before the first body.
pub(crate) fn close(
    closure: &mut Closure,
    headers: &[Header],
    owner: &SigningOwner,
) -> Result<Vec<u8>, SignerError> {
    let encoded: Vec<Vec<u8>> = headers.iter().map(Header::encode).collect();
    closure.rows = headers
        .iter()
        .zip(&encoded)
        .map(|(header, bytes)| ClosureRow {
            header_len: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            body_len: header.body_len(),
            header_digest: header_digest(bytes),
        })
        .collect();
    let all: Vec<&Header> = headers.iter().collect();
    closure.outline_signature = Outline::of(closure.stated(), &all).sign(owner)?;
    closure.sign(owner)?;
    let closure_bytes = closure.encode();
    let headers_len: usize = encoded.iter().map(Vec::len).sum();
    let bodies_len: u64 = closure.rows.iter().map(|r| r.body_len).sum();
    let front_len = PREAMBLE_LEN + (closure_bytes.len() + headers_len) as u64;
    let preamble = Preamble { count: closure.count(), file_len: front_len + bodies_len };
    let mut front = preamble.encode();
    front.extend_from_slice(&closure_bytes);
    encoded.iter().for_each(|bytes| front.extend_from_slice(bytes));
    Ok(front)
}

/// Returns whether a block is sealed before those that compute.
fn is_early(header: &Header) -> bool {
    header.index == 0 || header.is_shared()
}

/// Each segment with the places of its chunks' digests.
fn digest_places(
    digests: &mut [Digest],
    segments: impl Iterator<Item = Segment>,
) -> impl Iterator<Item = (Segment, &mut [Digest])> {
    let mut rest = digests;
    segments.map(move |segment| {
        // There is a digest for each chunk: both are counted from the same parts.
        let n = segment.spans.len().min(rest.len());
        let (taken, left) = std::mem::take(&mut rest).split_at_mut(n);
        rest = left;
        (segment, taken)
    })
}

/// Writes the ciphertext of a run of chunks to `out`, and their digests to `digests`.
fn seal_segment(
    cipher: &ChunkCipher,
    segment: &Segment,
    plaintext: &[u8],
    digests: &mut [Digest],
    out: &mut Vec<u8>,
) -> Option<()> {
    out.clear();
    out.reserve_exact(segment.body_len());
    for (span, digest) in segment.spans.iter().zip(digests) {
        let plain = plaintext.get(span.plain.start as usize..span.plain.end as usize)?;
        let start = out.len();
        cipher.seal(span.index, span.last, plain, out).ok()?;
        *digest = Digest::of_chunk(&out[start..]);
    }
    Some(())
}
