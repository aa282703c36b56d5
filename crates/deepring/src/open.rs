//! Opening a block: chunk digests, decryption, content digest.

use std::ops::Range;

use deepring_memory::Scratch;
use rayon::prelude::*;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::block::Header;
use crate::block::chunks::{Segment, gaps, segments};
use crate::block::header::unwrap_key;
use crate::crypto::Digest;
use crate::crypto::aead::{BlockKey, CHUNK_LEN, ChunkCipher};
use crate::encoding::DecodeError;
use crate::finding::{Finding, Section};
use crate::in_line::InLine;
use crate::keys::{Host, Owner, SecretKey};
use crate::ring_id::RingKind;
use crate::storage::Storage;

/// A secret key that may open blocks.
#[derive(Debug, Clone, Copy)]
pub enum OpeningKey<'a> {
    /// The owner's: opens every block.
    Owner(&'a SecretKey<Owner>),
    /// A host's: opens the blocks that it was granted.
    Host(&'a SecretKey<Host>),
}

impl OpeningKey<'_> {
    pub(crate) fn block_key(self, header: &Header) -> Option<BlockKey> {
        match self {
            Self::Owner(key) => unwrap_key(header, key),
            Self::Host(key) => unwrap_key(header, key),
        }
    }

    /// Returns whether the header names this key as a recipient.
    #[must_use]
    pub fn is_recipient(self, header: &Header) -> bool {
        use crate::block::RecipientRole as Role;
        header.recipients.iter().any(|r| match (self, r.role) {
            (Self::Owner(key), Role::Owner(public)) => key.public() == public,
            (Self::Host(key), Role::Host(public)) => key.public() == public,
            _ => false,
        })
    }
}

impl<'a> From<&'a SecretKey<Owner>> for OpeningKey<'a> {
    fn from(key: &'a SecretKey<Owner>) -> Self {
        Self::Owner(key)
    }
}

impl<'a> From<&'a SecretKey<Host>> for OpeningKey<'a> {
    fn from(key: &'a SecretKey<Host>) -> Self {
        Self::Host(key)
    }
}

/// Why a block was not opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The ring has no block of this index.
    #[error("there is no block {index}: the ring has {count}")]
    NoSuchBlock {
        /// Requested index.
        index: u32,
        /// Number of blocks in the ring, Genesis included.
        count: u32,
    },
    /// The block has no own part of this number.
    #[error("block {index} has no part {part}")]
    NoSuchPart {
        /// Index of the block; Genesis is 0.
        index: u32,
        /// Requested number.
        part: usize,
    },
    /// The ring is of the other kind than what was asked for.
    #[error("{}", other_kind(*.kind))]
    OtherKind {
        /// The kind that it is of.
        kind: RingKind,
    },
    /// The key is none of the block's recipients.
    #[error("block {index} ({}) is not sealed for this key", InLine(name))]
    NotForThisKey {
        /// Index of the block; Genesis is 0.
        index: u32,
        /// Its name.
        name: String,
    },
    /// The buffer does not have the length that the header states.
    #[error("block {index} has {needed} bytes, the buffer {given}")]
    WrongBuffer {
        /// Index of the block; Genesis is 0.
        index: u32,
        /// Bytes of plaintext.
        needed: u64,
        /// Bytes of the buffer.
        given: u64,
    },
    /// The stored bytes are not those that were sealed.
    #[error("{0}")]
    Tampered(Finding),
    /// The sealed content is malformed; the owner's software is at fault.
    #[error("block {index} is sealed well, but its content is malformed: {source}")]
    Malformed {
        /// Index of the block; Genesis is 0.
        index: u32,
        /// The decoding error.
        source: DecodeError,
    },
    /// The file could not be read.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The block does not fit the address space.
    #[error("a block of {bytes} bytes does not fit this machine's memory")]
    TooLarge {
        /// Bytes of plaintext.
        bytes: u64,
    },
}

/// Words for what a ring of this kind holds, and what it does not have.
fn other_kind(kind: RingKind) -> &'static str {
    match kind {
        RingKind::Network => "this ring holds a network and no files",
        RingKind::Weights => "this ring holds weights and has no graph",
    }
}

/// A zeroed buffer for a block's plaintext.
pub(crate) fn buffer(len: u64) -> Result<Vec<u8>, OpenError> {
    let too_large = || OpenError::TooLarge { bytes: len };
    let n = usize::try_from(len).map_err(|_| too_large())?;
    let mut out = Vec::new();
    out.try_reserve_exact(n).map_err(|_| too_large())?;
    out.resize(n, 0);
    Ok(out)
}

/// A chunk's plaintext, in the copy that was just decrypted and authenticated.
#[derive(Debug)]
pub struct DecryptedChunk<'a> {
    /// Offset in the block's plaintext, in bytes.
    pub offset: usize,
    /// The bytes.
    pub bytes: &'a [u8],
}

/// Called with each chunk before it is copied into its place, from several threads.
pub type ChunkObserver<'a> = &'a (dyn Fn(&DecryptedChunk<'_>) + Sync);

/// The block's key, as it is wrapped for this one, and the cipher that it makes.
pub(crate) fn unwrap(
    header: &Header,
    key: OpeningKey<'_>,
) -> Result<(BlockKey, ChunkCipher), OpenError> {
    let index = header.index;
    if !key.is_recipient(header) {
        return Err(OpenError::NotForThisKey { index, name: header.name.clone() });
    }
    let wrap_broken = || {
        let reason = "the wrapped block key does not open, or is not the committed one";
        OpenError::Tampered(
            Finding::tampered(Section::Header, reason).in_block(index, Some(&header.name)),
        )
    };
    let block_key = key.block_key(header).ok_or_else(wrap_broken)?;
    let cipher = block_key.cipher(header.context()).ok_or_else(wrap_broken)?;
    Ok((block_key, cipher))
}

/// Checks and decrypts a body into `out`; returns the key, with which the content digest is
/// computed.
///
/// Each chunk is decrypted into a copy that one thread owns, in secret memory where there is some,
/// shown to `observer`, and copied into its place: the observer's notes are about the bytes that
/// were authenticated, and a concurrent writer to `out` cannot change that.
pub(crate) fn decrypt_body(
    storage: &dyn Storage,
    header: &Header,
    body: &Range<u64>,
    key: OpeningKey<'_>,
    out: &mut [u8],
    observer: ChunkObserver<'_>,
) -> Result<BlockKey, OpenError> {
    let index = header.index;
    if out.len() as u64 != header.own_len() {
        return Err(OpenError::WrongBuffer {
            index,
            needed: header.own_len(),
            given: out.len() as u64,
        });
    }
    let (block_key, cipher) = unwrap(header, key)?;

    // Everything else is written below; a second pass over fresh memory costs a tenth of an
    // opening.
    for gap in gaps(&header.parts) {
        if let Some(gap) = out.get_mut(gap) {
            gap.fill(0);
        }
    }
    let body = Body { storage, header, start: body.start, cipher: &cipher };
    // Threads take segments in the order of the file, so that a disk is read forward.
    body.decrypt(places(out, 0, segments(&header.parts)), observer)?;
    Ok(block_key)
}

/// Segments that are decrypted at once where nothing of the plaintext is kept.
const WINDOW: usize = 32;

/// Checks and decrypts a body as [`decrypt_body`] does, and compares its content digest, of which
/// `shared` are the content digests of shared blocks. Nothing of the plaintext is kept: memory is
/// that of some segments, however long the owner says that the body is.
pub(crate) fn verify_body(
    storage: &dyn Storage,
    header: &Header,
    body: &Range<u64>,
    key: OpeningKey<'_>,
    shared: &[Digest],
) -> Result<(), OpenError> {
    let (block_key, cipher) = unwrap(header, key)?;
    let body = Body { storage, header, start: body.start, cipher: &cipher };
    let mut hasher = block_key.content_hasher();
    let mut segments = segments(&header.parts);
    let mut plain = Zeroizing::new(Vec::new());
    let mut at = 0;
    loop {
        let window: Vec<Segment> = segments.by_ref().take(WINDOW).collect();
        let first = window.first().and_then(|segment| segment.spans.first());
        let last = window.last().and_then(|segment| segment.spans.last());
        let (Some(first), Some(last)) = (first, last) else { break };
        let (start, end) = (first.plain.start, last.plain.end);
        let len = end.saturating_sub(start);
        let too_large = || OpenError::TooLarge { bytes: len };
        let len = usize::try_from(len).map_err(|_| too_large())?;
        // Where parts do not reach, the plaintext is zero.
        plain.clear();
        plain.try_reserve_exact(len).map_err(|_| too_large())?;
        plain.resize(len, 0);
        body.decrypt(places(&mut plain, start, window.into_iter()), &|_| ())?;
        hasher.zeros(start.saturating_sub(at));
        hasher.update(&plain);
        at = end;
    }
    hasher.zeros(header.own_len().saturating_sub(at));
    match hasher.finish(shared) == header.content_digest {
        true => Ok(()),
        false => Err(OpenError::Tampered(other_content(header.index, &header.name))),
    }
}

/// The finding about a block that was opened, and is not what was sealed.
pub(crate) fn other_content(index: u32, name: &str) -> Finding {
    let reason = "the opened content is not what the header's content digest names";
    Finding::tampered(Section::Body, reason).in_block(index, Some(name))
}

/// A body in a file, and the cipher of its chunks.
struct Body<'a> {
    storage: &'a dyn Storage,
    header: &'a Header,
    /// Where it starts in the file.
    start: u64,
    cipher: &'a ChunkCipher,
}

impl Body<'_> {
    /// Decrypts segments into their places, several threads at once.
    fn decrypt<'p>(
        &self,
        places: impl Iterator<Item = (Segment, &'p mut [u8])> + Send,
        observer: ChunkObserver<'_>,
    ) -> Result<(), OpenError> {
        let room = || (Vec::new(), Scratch::new(CHUNK_LEN));
        places.par_bridge().try_for_each_init(room, |(buf, copy), (segment, place)| {
            let copy = copy.as_mut().ok_or(NO_MEMORY)?.bytes_mut();
            self.decrypt_segment(&segment, place, (buf, copy), observer)
        })
    }

    fn decrypt_segment(
        &self,
        segment: &Segment,
        place: &mut [u8],
        (buf, copy): (&mut Vec<u8>, &mut [u8]),
        observer: ChunkObserver<'_>,
    ) -> Result<(), OpenError> {
        let Self { storage, header, start, cipher } = self;
        buf.resize(segment.body_len(), 0);
        match storage.read_at(start + segment.body.start, buf) {
            Ok(()) => {}
            // The file was truncated since it was authenticated.
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
                let finding = Finding::tampered(Section::Body, "truncated")
                    .in_block(header.index, Some(&header.name))
                    .at(start + segment.body.start..start + segment.body.end);
                return Err(OpenError::Tampered(finding));
            }
            Err(e) => return Err(e.into()),
        }
        let base = segment.spans.first().map_or(0, |s| s.plain.start);
        for span in &segment.spans {
            let from = (span.body.start - segment.body.start) as usize;
            let to = (span.body.end - segment.body.start) as usize;
            let into = (span.plain.start - base) as usize..(span.plain.end - base) as usize;
            let refuse =
                |reason| OpenError::Tampered(header.finding_at_chunk(span, *start, reason));
            let sealed = buf.get(from..to);
            header.check_chunk(span, *start, sealed).map_err(OpenError::Tampered)?;
            let (Some(sealed), Some(plain)) = (sealed, place.get_mut(into)) else {
                return Err(refuse("the layout does not fit"));
            };
            let copy = copy.get_mut(..plain.len()).ok_or(NO_MEMORY)?;
            cipher
                .open(span.index, span.last, sealed, copy)
                .map_err(|_| refuse("the chunk does not decrypt"))?;
            let copy = std::hint::black_box(copy);
            observer(&DecryptedChunk { offset: span.plain.start as usize, bytes: copy });
            plain.copy_from_slice(copy);
        }
        Ok(())
    }
}

const NO_MEMORY: OpenError = OpenError::TooLarge { bytes: CHUNK_LEN as u64 };

/// Each segment with its own slice of the plaintext, from its first chunk's first byte to its
/// last's last. `out` is the plaintext from `at` on.
fn places(
    out: &mut [u8],
    mut at: u64,
    segments: impl Iterator<Item = Segment>,
) -> impl Iterator<Item = (Segment, &mut [u8])> {
    let mut rest = out;
    segments.map(move |segment| {
        let start = segment.spans.first().map_or(at, |span| span.plain.start);
        let end = segment.spans.last().map_or(at, |span| span.plain.end);
        // The parts follow each other inside the plaintext, so neither end is beyond `rest`; if one
        // were, the slice would be too short for its chunks, and the block refused.
        let rest_len = rest.len();
        let from = usize::try_from(start.saturating_sub(at)).unwrap_or(usize::MAX).min(rest_len);
        let to = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX).min(rest_len);
        let (taken, left) = std::mem::take(&mut rest).split_at_mut(to.max(from));
        rest = left;
        at = end;
        (segment, taken.get_mut(from..).unwrap_or_default())
    })
}
