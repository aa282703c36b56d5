//! A secret-keyed MAC over a block's live bytes: what `--check run` verifies before each use.
//!
//! GMAC (AES-256-GCM over additional data only, NIST SP 800-38D) in pieces of one tensor each, so that
//! a mismatch names the tensor. The key is random and never leaves this value; the tags are kept away
//! from the buffer and are compared, never shown. Under these terms a piece's fixed nonce gives nothing
//! away: an attacker sees only whether a check passed, and forging one piece succeeds with a
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

/// The tags of one block's live bytes.
pub(crate) struct LiveMac {
    key: LessSafeKey,
    pieces: Vec<Piece>,
    total: usize,
}

struct Piece {
    range: Range<usize>,
    part: usize,
    tag: [u8; 16],
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
        let mut key = [0; 32];
        aws_lc_rs::rand::fill(&mut key).ok()?;
        let unbound = UnboundKey::new(&AES_256_GCM, &key).ok();
        key.zeroize();
        let mut mac = Self { key: LessSafeKey::new(unbound?), pieces: Vec::new(), total: 0 };
        for (part, p) in parts.iter().enumerate() {
            let (start, end) = (usize::try_from(p.offset).ok()?, usize::try_from(p.end()).ok()?);
            for from in (start..end).step_by(PIECE_LEN) {
                let range = from..end.min(from + PIECE_LEN);
                mac.total += range.len();
                let tag = mac.tag(mac.pieces.len(), bytes.get(range.clone())?)?;
                mac.pieces.push(Piece { range, part, tag });
            }
        }
        Some(mac)
    }

    /// Compares every byte with the tags; the first piece that differs is the answer.
    pub(crate) fn check(&self, bytes: &[u8]) -> Result<(), Changed> {
        let check = |(i, piece): (usize, &Piece)| {
            let now = bytes.get(piece.range.clone()).and_then(|b| self.tag(i, b));
            let same = now.is_some_and(|tag| verify_slices_are_equal(&tag, &piece.tag).is_ok());
            (!same).then(|| Changed { part: piece.part, range: piece.range.clone() })
        };
        let changed = if self.total >= PARALLEL_FROM && rayon::current_num_threads() > 1 {
            self.pieces.par_iter().enumerate().find_map_first(check)
        } else {
            self.pieces.iter().enumerate().find_map(check)
        };
        changed.map_or(Ok(()), Err)
    }

    fn tag(&self, piece: usize, bytes: &[u8]) -> Option<[u8; 16]> {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&(piece as u64).to_be_bytes());
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.key.seal_in_place_separate_tag(nonce, Aad::from(bytes), &mut []).ok()?;
        tag.as_ref().try_into().ok()
    }
}

impl Drop for LiveMac {
    fn drop(&mut self) {
        self.pieces.iter_mut().for_each(|p| p.tag.zeroize());
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
            for at in [p.offset, p.offset + p.len / 2, p.end() - 1] {
                let at = usize::try_from(at).unwrap();
                bytes[at] ^= 0x10;
                let changed = mac.check(&bytes).unwrap_err();
                assert_eq!(changed.part, part);
                assert!(changed.range.contains(&at));
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
}
