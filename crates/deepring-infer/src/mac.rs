//! Checking live bytes: a secret-keyed MAC over each piece of a block's parameters.
//!
//! The MAC is GMAC, that is AES-256-GCM over additional data only (NIST SP 800-38D), in pieces of one tensor
//! each, so that a mismatch names the tensor. The key is random and never leaves this value; the tags are
//! kept away from the buffer and are compared, never shown. Under these terms a piece's fixed nonce gives
//! nothing away: an attacker sees only whether a check passed, and forging one piece succeeds with a
//! probability of at most its length in 16-byte blocks over 2^128 (`docs/CRYPTO.md`).

use std::ops::Range;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use deepring::Part;
use rayon::prelude::*;
use zeroize::Zeroize as _;

/// Longest piece: long enough for full speed, short enough to stay in cache.
const PIECE_LEN: usize = 256 * 1024;
/// Below this, starting threads costs more than they save.
const PARALLEL_FROM: usize = 1 << 20;

/// A random key for tags that stay in this process.
pub(crate) struct MacKey(LessSafeKey);

/// A tag; wiped when dropped, compared in constant time.
#[derive(Clone)]
pub(crate) struct Tag([u8; 16]);

impl Drop for Tag {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl std::fmt::Debug for Tag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tag")
    }
}

/// What a tag is of; no two tags of one key have the same.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    /// A piece of a block's plaintext.
    Piece(usize),
    /// The secret of a linear operator's check, and how often it has been drawn anew.
    Secret(u32, u32),
    /// A row of a table.
    Row(u32, u32),
}

impl Place {
    fn nonce(self) -> [u8; 12] {
        let (kind, a, b) = match self {
            Self::Piece(i) => (0, (i as u64 >> 32) as u32, i as u32),
            Self::Secret(a, b) => (1, a, b),
            Self::Row(a, b) => (2, a, b),
        };
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&u32::to_be_bytes(kind));
        nonce[4..8].copy_from_slice(&a.to_be_bytes());
        nonce[8..].copy_from_slice(&b.to_be_bytes());
        nonce
    }
}

impl MacKey {
    /// `None` if the system gives no randomness.
    pub(crate) fn random() -> Option<Self> {
        let mut key = [0; 32];
        aws_lc_rs::rand::fill(&mut key).ok()?;
        let unbound = UnboundKey::new(&AES_256_GCM, &key).ok();
        key.zeroize();
        Some(Self(LessSafeKey::new(unbound?)))
    }

    pub(crate) fn tag(&self, place: Place, bytes: &[u8]) -> Option<Tag> {
        let nonce = Nonce::assume_unique_for_key(place.nonce());
        let tag = self.0.seal_in_place_separate_tag(nonce, Aad::from(bytes), &mut []).ok()?;
        tag.as_ref().try_into().ok().map(Tag)
    }

    pub(crate) fn fits(&self, place: Place, bytes: &[u8], tag: &Tag) -> bool {
        self.tag(place, bytes).is_some_and(|now| verify_slices_are_equal(&now.0, &tag.0).is_ok())
    }
}

impl std::fmt::Debug for MacKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MacKey")
    }
}

/// The tags of one block's live bytes.
pub(crate) struct LiveMac {
    key: MacKey,
    pieces: Vec<Piece>,
}

struct Piece {
    range: Range<usize>,
    part: usize,
    tag: Tag,
}

/// A piece of the live bytes that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Changed {
    /// Index of the part.
    pub(crate) part: usize,
    /// The piece's place in the block's plaintext.
    pub(crate) range: Range<usize>,
}

impl LiveMac {
    /// Tags the bytes as they are now; `None` if the system gives no random key.
    pub(crate) fn of(bytes: &[u8], parts: &[Part]) -> Option<Self> {
        let key = MacKey::random()?;
        let mut places = Vec::new();
        for (part, p) in parts.iter().enumerate() {
            let (start, end) = (usize::try_from(p.offset).ok()?, usize::try_from(p.end()).ok()?);
            let ranges =
                (start..end).step_by(PIECE_LEN).map(|from| from..end.min(from + PIECE_LEN));
            places.extend(ranges.map(|range| (part, range)));
        }
        let tagged = places.into_par_iter().enumerate().map(|(i, (part, range))| {
            let tag = key.tag(Place::Piece(i), bytes.get(range.clone())?)?;
            Some(Piece { range, part, tag })
        });
        let pieces = tagged.collect::<Option<_>>()?;
        Some(Self { key, pieces })
    }

    /// The key, for tags of what belongs to the block's check besides its bytes.
    pub(crate) fn key(&self) -> &MacKey {
        &self.key
    }

    /// The pieces of the parts that `wanted` picks.
    pub(crate) fn pieces(&self, wanted: impl Fn(usize) -> bool) -> Vec<usize> {
        let pieces = self.pieces.iter().enumerate();
        pieces.filter(|(_, p)| wanted(p.part)).map(|(i, _)| i).collect()
    }

    /// Bytes of a part.
    pub(crate) fn part_len(&self, part: usize) -> usize {
        self.pieces.iter().filter(|p| p.part == part).map(|p| p.range.len()).sum()
    }

    /// Compares every byte with the tags; the first piece that differs is the answer.
    pub(crate) fn check(&self, bytes: &[u8]) -> Result<(), Changed> {
        self.compare(bytes, self.pieces.iter().enumerate(), true)
    }

    /// Compares some pieces, by all threads of the pool that this is called in or by this one alone.
    pub(crate) fn check_pieces(
        &self,
        bytes: &[u8],
        pieces: &[usize],
        all_threads: bool,
    ) -> Result<(), Changed> {
        let pieces = pieces.iter().filter_map(|i| Some((*i, self.pieces.get(*i)?)));
        self.compare(bytes, pieces, all_threads)
    }

    fn compare<'a>(
        &self,
        bytes: &[u8],
        pieces: impl Iterator<Item = (usize, &'a Piece)> + Clone,
        all_threads: bool,
    ) -> Result<(), Changed> {
        let differs = |(i, piece): (usize, &Piece)| {
            let now = bytes.get(piece.range.clone());
            let same = now.is_some_and(|b| self.key.fits(Place::Piece(i), b, &piece.tag));
            (!same).then(|| Changed { part: piece.part, range: piece.range.clone() })
        };
        let total: usize = pieces.clone().map(|(_, p)| p.range.len()).sum();
        let changed = if all_threads && total >= PARALLEL_FROM && rayon::current_num_threads() > 1 {
            let pieces: Vec<_> = pieces.collect();
            pieces.into_par_iter().find_map_first(differs)
        } else {
            pieces.into_iter().find_map(differs)
        };
        changed.map_or(Ok(()), Err)
    }
}

impl std::fmt::Debug for LiveMac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LiveMac").field("pieces", &self.pieces.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deepring::PartKind;

    fn parts(lens: &[u64]) -> Vec<Part> {
        let mut end = 0u64;
        lens.iter()
            .map(|len| {
                let offset = end.next_multiple_of(64);
                end = offset + len;
                Part { kind: PartKind::Graph, offset, len: *len }
            })
            .collect()
    }

    #[test]
    fn every_changed_byte_is_found_in_its_part() {
        let parts = parts(&[100, 3, 700_000]);
        let len = usize::try_from(parts[2].end()).unwrap();
        let mut bytes: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
        let mac = LiveMac::of(&bytes, &parts).unwrap();
        assert_eq!(mac.check(&bytes), Ok(()));
        for (part, p) in parts.iter().enumerate() {
            let (its, others) = (mac.pieces(|i| i == part), mac.pieces(|i| i != part));
            for at in [p.offset, p.offset + p.len / 2, p.end() - 1] {
                let at = usize::try_from(at).unwrap();
                bytes[at] ^= 0x10;
                let changed = mac.check(&bytes).unwrap_err();
                assert_eq!(changed.part, part);
                assert!(changed.range.contains(&at));
                assert_eq!(mac.check_pieces(&bytes, &its, true), Err(changed));
                assert_eq!(mac.check_pieces(&bytes, &others, false), Ok(()));
                bytes[at] ^= 0x10;
            }
        }
    }

    #[test]
    fn pieces_cannot_be_swapped() {
        let parts = parts(&[64, 64]);
        let mut bytes = vec![1; 64];
        bytes.extend([2; 64]);
        let mac = LiveMac::of(&bytes, &parts).unwrap();
        bytes.rotate_left(64);
        assert!(mac.check(&bytes).is_err());
    }

    #[test]
    fn one_place_has_one_tag_and_another_place_another() {
        let key = MacKey::random().unwrap();
        let places = [
            Place::Piece(0),
            Place::Piece(1),
            Place::Secret(0, 1),
            Place::Row(0, 1),
            Place::Row(1, 0),
        ];
        for (i, a) in places.iter().enumerate() {
            let tag = key.tag(*a, b"bytes").unwrap();
            assert!(key.fits(*a, b"bytes", &tag));
            assert!(!key.fits(*a, b"other", &tag));
            for b in &places[i + 1..] {
                assert!(!key.fits(*b, b"bytes", &tag));
            }
        }
    }
}
