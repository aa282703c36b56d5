//! A ring file as an attacker reads it: its outline, of which nothing is verified, and which he can rearrange.

use std::ops::Range;
use std::path::{Path, PathBuf};

use deepring::codec::{DecodeError, Reader, Writer};
use thiserror::Error;

const PREAMBLE_LEN: usize = 24;
/// Bytes of a closure's statement before its body digests.
const STATEMENT_HEAD: usize = 134;
const ROW_LEN: usize = 44;
/// Of the outline, and of the closure.
const SIGNATURES_LEN: usize = 128;
/// As many blocks as the format allows.
const MAX_BLOCKS: usize = 1 << 16;

/// A ring file in memory, and where its blocks are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RingFile {
    bytes: Vec<u8>,
    headers: Vec<Range<usize>>,
    bodies: Vec<Range<usize>>,
}

/// Why a file cannot be rearranged.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RingFileError {
    /// It could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's message.
        source: std::io::Error,
    },
    /// It has not the outline of a ring.
    #[error("no outline of a ring: {0}")]
    Outline(#[from] DecodeError),
    /// Its blocks do not fill it.
    #[error("the closure's lengths are not those of the file")]
    Lengths,
    /// It has no such block.
    #[error("the ring has no block {block}")]
    NoBlock {
        /// The block.
        block: u32,
    },
    /// A byte of a block's plaintext has no place in it.
    #[error("byte {byte} of block {block} is not in the file")]
    NoPlace {
        /// The block.
        block: u32,
        /// The byte of its plaintext.
        byte: u64,
    },
}

/// Most bytes of a ring that is held whole, to be tampered with.
const MAX_RING: u64 = 64 << 30;

impl RingFile {
    pub(crate) fn read(path: &Path) -> Result<Self, RingFileError> {
        let bytes = deepring::files::read_plain(path, MAX_RING);
        Self::parse(bytes.map_err(|source| RingFileError::Io { path: path.into(), source })?)
    }

    pub(crate) fn parse(bytes: Vec<u8>) -> Result<Self, RingFileError> {
        let mut r = Reader::new(&bytes);
        r.raw("magic, version, suite", 12)?;
        let count = r.u32("block count")? as usize;
        r.u64("file length")?;
        if !(2..=MAX_BLOCKS).contains(&count) {
            return Err(RingFileError::Lengths);
        }
        r.raw("statement", STATEMENT_HEAD + 32 * count)?;
        r.u32("revision")?;
        let mut lens = Vec::with_capacity(count);
        for _ in 0..count {
            lens.push((r.u32("header length")? as usize, r.u64("body length")?));
            r.raw("header digest", 32)?;
        }
        r.raw("signatures", SIGNATURES_LEN)?;
        let mut at = bytes.len() - r.left();
        let mut place = |len: usize| {
            let start = at;
            at = at.checked_add(len).filter(|end| *end <= bytes.len())?;
            Some(start..at)
        };
        let headers: Option<Vec<_>> = lens.iter().map(|(header, _)| place(*header)).collect();
        let body = |(_, len): &(usize, u64)| place(usize::try_from(*len).ok()?);
        let bodies: Option<Vec<_>> = lens.iter().map(body).collect();
        match (headers, bodies) {
            (Some(headers), Some(bodies)) if at == bytes.len() => {
                Ok(Self { bytes, headers, bodies })
            }
            _ => Err(RingFileError::Lengths),
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its bytes, as many as they are; what the outline says of places stays true of the ring that it was.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    pub(crate) fn count(&self) -> usize {
        self.headers.len()
    }

    pub(crate) fn header(&self, block: u32) -> Result<&[u8], RingFileError> {
        self.slice(&self.headers, block)
    }

    pub(crate) fn body(&self, block: u32) -> Result<&[u8], RingFileError> {
        self.slice(&self.bodies, block)
    }

    fn slice(&self, of: &[Range<usize>], block: u32) -> Result<&[u8], RingFileError> {
        let range = of.get(block as usize).cloned();
        range.and_then(|r| self.bytes.get(r)).ok_or(RingFileError::NoBlock { block })
    }

    /// Flips the bits of `mask` in a byte of the file; whether there is one.
    pub(crate) fn flip(&mut self, at: u64, mask: u8) -> bool {
        let byte = usize::try_from(at).ok().and_then(|at| self.bytes.get_mut(at));
        byte.map(|b| *b ^= mask).is_some()
    }

    /// Where a block's header is in the file.
    pub(crate) fn header_range(&self, block: u32) -> Result<Range<usize>, RingFileError> {
        self.headers.get(block as usize).cloned().ok_or(RingFileError::NoBlock { block })
    }

    /// Where a block's body is in the file.
    pub(crate) fn body_range(&self, block: u32) -> Result<Range<usize>, RingFileError> {
        self.bodies.get(block as usize).cloned().ok_or(RingFileError::NoBlock { block })
    }

    /// Puts another ring's block into the room that this one's has: what is longer is cut, what is shorter is filled
    /// with zeros. Not a byte besides changes.
    pub(crate) fn overwrite(&mut self, block: u32, from: &Self) -> Result<(), RingFileError> {
        for (room, with) in [
            (self.headers.get(block as usize).cloned(), from.header(block)?),
            (self.bodies.get(block as usize).cloned(), from.body(block)?),
        ] {
            let room = room.and_then(|r| self.bytes.get_mut(r));
            let room = room.ok_or(RingFileError::NoBlock { block })?;
            room.fill(0);
            room.iter_mut().zip(with).for_each(|(to, from)| *to = *from);
        }
        Ok(())
    }

    /// Puts another ring's blocks into this one and makes all that needs no key agree with them: lengths, digests,
    /// layout. Ring id, version, owner and signature stay this ring's.
    pub(crate) fn transplant(&self, blocks: &[u32], from: &Self) -> Result<Self, RingFileError> {
        let count = self.count();
        let (bodies_at, rows_at) = closure_places(count);
        let (their_bodies_at, their_rows_at) = closure_places(from.count());
        let mut front = self.front().to_vec();
        let (mut headers, mut bodies) = (Vec::new(), Vec::new());
        for block in 0..u32::try_from(count).unwrap_or(u32::MAX) {
            let taken = blocks.contains(&block);
            let source = if taken { from } else { self };
            headers.extend_from_slice(source.header(block)?);
            bodies.extend_from_slice(source.body(block)?);
            if taken {
                let i = block as usize;
                for (to, at, len) in [
                    (bodies_at + 32 * i, their_bodies_at + 32 * i, 32),
                    (rows_at + ROW_LEN * i, their_rows_at + ROW_LEN * i, ROW_LEN),
                ] {
                    let with = from.bytes.get(at..at + len);
                    if let (Some(to), Some(with)) = (front.get_mut(to..to + len), with) {
                        to.copy_from_slice(with);
                    }
                }
            }
        }
        let len = (front.len() + headers.len() + bodies.len()) as u64;
        if let Some(room) = front.get_mut(16..PREAMBLE_LEN) {
            room.copy_from_slice(&len.to_le_bytes());
        }
        Self::parse([front, headers, bodies].concat())
    }

    /// The same file under another ring's identity: ring id, version, predecessor, owner and the signatures of `from`,
    /// over this file's own digests and lengths.
    pub(crate) fn in_the_name_of(&self, from: &Self) -> Result<Self, RingFileError> {
        let mut out = self.clone();
        let theirs = from.front().len() - SIGNATURES_LEN;
        let ours = self.front().len() - SIGNATURES_LEN;
        // The count between the version and the predecessor stays, so that the file can be read at all.
        let head = PREAMBLE_LEN;
        for (to, at, len) in [
            (head, head, 24),
            (head + 28, head + 28, STATEMENT_HEAD - 28),
            (ours, theirs, SIGNATURES_LEN),
        ] {
            let with = from.bytes.get(at..at + len).ok_or(RingFileError::Lengths)?;
            out.bytes.get_mut(to..to + len).ok_or(RingFileError::Lengths)?.copy_from_slice(with);
        }
        Ok(out)
    }

    /// Preamble and closure.
    pub(crate) fn front(&self) -> &[u8] {
        let end = self.headers.first().map_or(0, |h| h.start);
        self.bytes.get(..end).unwrap_or_default()
    }

    /// Preamble and closure of `closure`, and behind them this file's blocks, whatever their lengths are.
    pub(crate) fn behind(&self, closure: &Self) -> Vec<u8> {
        let blocks = self.bytes.get(self.front().len()..).unwrap_or_default();
        let mut w = Writer::new();
        w.raw(closure.front()).raw(blocks);
        w.finish()
    }
}

/// Where body digests and rows begin.
fn closure_places(count: usize) -> (usize, usize) {
    let bodies = PREAMBLE_LEN + STATEMENT_HEAD;
    (bodies, bodies + 32 * count + 4)
}

#[cfg(test)]
mod tests;
