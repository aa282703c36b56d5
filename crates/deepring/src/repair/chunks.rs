//! Repairs single chunks of a ring that is open, with bytes from wherever: each is compared with the owner's digest first.
//!
//! [`repair`](super::repair()) needs a whole intact copy beside the damaged file. A host that runs has its ring's outline in memory
//! and other hosts to ask: it asks for the chunks that it lacks, and for nothing else. Whoever gives them can withhold them, and
//! no more: a [`SealedChunk`] is only made of bytes that the owner sealed at that very place.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufWriter, Write};

use thiserror::Error;

use super::front_of;
use crate::block::Header;
use crate::block::chunks::{ChunkSpan, chunk_spans};
use crate::block::header::header_digest;
use crate::open::OpenError;
use crate::plain_file::open_plain;
use crate::replace::Replacement;
use crate::ring::AuthenticRing;
use crate::storage::{read_range, write_at};

/// Most bytes of a sealed chunk: 64 KiB and a tag.
pub const MAX_CHUNK_BYTES: usize = crate::crypto::aead::CHUNK_LEN + crate::crypto::aead::TAG_LEN;

/// The place of a chunk in a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkPlace {
    /// Index of the block; Genesis is 0.
    pub block: u32,
    /// Number of the chunk in the block's body.
    pub chunk: u64,
}

/// The encrypted bytes of a chunk, which are those that the owner sealed there.
///
/// ```compile_fail,E0451
/// use deepring::maintenance::SealedChunk;
///
/// fn made(of: SealedChunk) -> SealedChunk {
///     SealedChunk { ..of } // error: the fields are private
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedChunk {
    place: ChunkPlace,
    bytes: Vec<u8>,
}

impl SealedChunk {
    /// Where it stands.
    #[must_use]
    pub fn place(&self) -> ChunkPlace {
        self.place
    }

    /// The bytes: ciphertext and tag.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Why chunks of a ring were not repaired. The file that lies there is untouched in every case.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ChunkRepairError {
    /// The ring has no such block.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The file could not be read or written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A chunk that is not as it was sealed was not given.
    #[error("chunk {} of block {} is still missing", place.chunk, place.block)]
    Missing {
        /// Where it stands.
        place: ChunkPlace,
    },
    /// The written bytes are not those that were to be written: the storage, or who writes to it.
    #[error("block {block} is not as it was sealed after it was written")]
    NotAsWritten {
        /// Index of the block.
        block: u32,
    },
}

impl AuthenticRing {
    /// The chunks of a block's own body that are not as they were sealed, or cannot be read, as the file is now.
    ///
    /// # Errors
    /// [`OpenError::NoSuchBlock`].
    pub fn damaged_chunks(&self, block: u32) -> Result<Vec<ChunkPlace>, OpenError> {
        let (header, start) = self.placed(block)?;
        let damaged = |span: &ChunkSpan| !header.is_chunk(span, &self.stored(start, span));
        let spans = chunk_spans(&header.parts).filter(damaged);
        Ok(spans.map(|span| ChunkPlace { block, chunk: span.index }).collect())
    }

    /// A chunk as it was sealed, read from the file; `None` where the ring has none there, or its bytes are not those.
    #[must_use]
    pub fn sealed_chunk(&self, place: ChunkPlace) -> Option<SealedChunk> {
        let (header, start) = self.placed(place.block).ok()?;
        let span = span(header, place.chunk)?;
        self.as_sealed_chunk(place, self.stored(start, &span))
    }

    /// These bytes as a chunk, if they are the ones that the owner sealed at that place; wherever they came from.
    #[must_use]
    pub fn as_sealed_chunk(&self, place: ChunkPlace, bytes: Vec<u8>) -> Option<SealedChunk> {
        let (header, _) = self.placed(place.block).ok()?;
        let span = span(header, place.chunk)?;
        header.is_chunk(&span, &bytes).then_some(SealedChunk { place, bytes })
    }

    fn placed(&self, block: u32) -> Result<(&Header, u64), OpenError> {
        let count = self.closure().count();
        let missing = || OpenError::NoSuchBlock { index: block, count };
        let header = self.headers().get(block as usize).ok_or_else(missing)?;
        let body = self.layout().bodies.get(block as usize).ok_or_else(missing)?;
        Ok((header, body.start))
    }

    /// The bytes in a chunk's place; none where they cannot be read.
    fn stored(&self, start: u64, span: &ChunkSpan) -> Vec<u8> {
        read_range(self.storage(), start + span.body.start..start + span.body.end)
            .unwrap_or_default()
    }
}

fn span(header: &Header, chunk: u64) -> Option<ChunkSpan> {
    let at = usize::try_from(chunk).ok()?;
    // Compared before it is looked for: who asks may name any number.
    (at < header.chunks.len()).then(|| chunk_spans(&header.parts).nth(at)).flatten()
}

/// A ring's file written anew with what is intact in it, which waits for the chunks that are not.
/// Dropped before [`commit`](Self::commit), it leaves the file as it was.
#[derive(Debug)]
pub struct ChunkRepair<'r> {
    ring: &'r AuthenticRing,
    file: Replacement,
    blocks: BTreeSet<u32>,
    missing: BTreeSet<ChunkPlace>,
}

impl<'r> ChunkRepair<'r> {
    /// Writes all of a ring into `file`: preamble, closure and headers as they were authenticated, bodies as the ring's own storage
    /// has them. What is not as it was sealed in `blocks` is [missing](Self::missing); of other blocks it stays as it is.
    ///
    /// The caller sees to it that `file` was begun for the file that `ring` was opened from, and holds its
    /// [`Turn`](crate::files::Turn).
    ///
    /// # Errors
    /// [`ChunkRepairError::Open`] where the ring has no such block; [`ChunkRepairError::Io`].
    pub fn begin(
        ring: &'r AuthenticRing,
        file: Replacement,
        blocks: &BTreeSet<u32>,
    ) -> Result<Self, ChunkRepairError> {
        for block in blocks {
            ring.placed(*block)?;
        }
        let mut missing = BTreeSet::new();
        let mut to = BufWriter::new(file);
        to.write_all(&front(ring)?)?;
        for (header, body) in ring.headers().iter().zip(&ring.layout().bodies) {
            let block = header.index;
            for span in chunk_spans(&header.parts) {
                let mut bytes = ring.stored(body.start, &span);
                if !header.is_chunk(&span, &bytes) && blocks.contains(&block) {
                    missing.insert(ChunkPlace { block, chunk: span.index });
                }
                // Truncated, or unreadable: its place is kept.
                bytes.resize(usize::try_from(span.body.end - span.body.start).unwrap_or(0), 0);
                to.write_all(&bytes)?;
            }
        }
        let file = to.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(Self { ring, file, blocks: blocks.clone(), missing })
    }

    /// The first chunk that is still missing.
    #[must_use]
    pub fn missing(&self) -> Option<ChunkPlace> {
        self.missing.first().copied()
    }

    /// Puts a chunk into its place.
    ///
    /// # Errors
    /// [`ChunkRepairError::Io`]; [`ChunkRepairError::Open`] for a chunk of another ring.
    pub fn put(&mut self, chunk: &SealedChunk) -> Result<(), ChunkRepairError> {
        let place = chunk.place;
        let (header, start) = self.ring.placed(place.block)?;
        // A chunk of another ring is none of this one.
        let span = span(header, place.chunk).filter(|span| header.is_chunk(span, &chunk.bytes));
        let Some(span) = span else { return Err(ChunkRepairError::Missing { place }) };
        write_at(self.file.as_file(), start + span.body.start, &chunk.bytes)?;
        self.missing.remove(&place);
        Ok(())
    }

    /// Compares what was written of the blocks with their digests once more, puts the file in its place, and returns it as it is
    /// there now.
    ///
    /// # Errors
    /// [`ChunkRepairError::Missing`], [`ChunkRepairError::NotAsWritten`], [`ChunkRepairError::Io`].
    pub fn commit(self) -> Result<File, ChunkRepairError> {
        if let Some(place) = self.missing() {
            return Err(ChunkRepairError::Missing { place });
        }
        let written = open_plain(&self.file.path())?;
        for block in &self.blocks {
            let (header, start) = self.ring.placed(*block)?;
            for span in chunk_spans(&header.parts) {
                let bytes = read_range(&written, start + span.body.start..start + span.body.end)?;
                if !header.is_chunk(&span, &bytes) {
                    return Err(ChunkRepairError::NotAsWritten { block: *block });
                }
            }
        }
        self.file.commit()?;
        Ok(written)
    }
}

/// Preamble, closure and headers, each as the closure names it.
fn front(ring: &AuthenticRing) -> Result<Vec<u8>, ChunkRepairError> {
    let mut front = front_of(ring.closure(), ring.layout());
    for (header, row) in ring.headers().iter().zip(&ring.closure().rows) {
        let bytes = header.encode();
        if header_digest(&bytes) != row.header_digest {
            return Err(ChunkRepairError::NotAsWritten { block: header.index });
        }
        front.extend(bytes);
    }
    Ok(front)
}
