//! Message authentication of live memory: the key of one block's check, and the pieces that its bytes are cut into.
//!
//! `tag = GMAC[key, nonce(domain)](bytes)`, that is AES-256-GCM over additional data only (NIST SP 800-38D). A domain names
//! what a tag is about, so no two tags of one key share a nonce for different things. The key is random and stays
//! in this process; tags are compared in constant time and never shown. Under these terms a fixed nonce gives nothing
//! away: an attacker sees only whether a check passed, and forges one piece with a probability of at
//! most its length in 16-byte blocks over 2^128 (`docs/CRYPTO.md`).

use std::ops::Range;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use deepring::Part;

/// Bytes of a key.
pub(crate) const KEY_LEN: usize = 32;
/// Bytes of a tag.
pub(crate) const TAG_LEN: usize = 16;
/// Longest piece. A block's file is cut the same way, so that a piece is tagged in the pass that decrypts it.
pub(crate) const PIECE_LEN: usize = 64 * 1024;

/// A key expanded for one use of a block, and dropped with it: the expanded form lies in the library's own heap.
pub(crate) struct Mac(LessSafeKey);

/// The domain of a tag.
#[derive(Clone, Copy)]
pub(crate) enum TagDomain {
    /// A piece of a block's plaintext.
    Piece(u32),
    /// All secrets and tags of a check, of this generation.
    Vault(u32),
    /// A row of a table.
    Row(u32, u32),
    /// A plan of this kind, and what it is about: operators, shapes, parts, pieces.
    Plan(u32),
}

impl TagDomain {
    fn nonce(self) -> [u8; 12] {
        let (kind, a, b) = match self {
            Self::Piece(i) => (0, 0, i),
            Self::Vault(generation) => (1, 0, generation),
            Self::Row(table, row) => (2, table, row),
            Self::Plan(kind) => (3, 0, kind),
        };
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&u32::to_be_bytes(kind));
        nonce[4..8].copy_from_slice(&a.to_be_bytes());
        nonce[8..].copy_from_slice(&b.to_be_bytes());
        nonce
    }
}

impl Mac {
    /// `None` if the library refuses the key.
    pub(crate) fn new(key: &[u8]) -> Option<Self> {
        UnboundKey::new(&AES_256_GCM, key).ok().map(|key| Self(LessSafeKey::new(key)))
    }

    /// `None` if the bytes are longer than the mode takes (2^36 bytes).
    pub(crate) fn tag(&self, domain: TagDomain, bytes: &[u8]) -> Option<[u8; TAG_LEN]> {
        let nonce = Nonce::assume_unique_for_key(domain.nonce());
        let tag = self.0.seal_in_place_separate_tag(nonce, Aad::from(bytes), &mut []).ok()?;
        tag.as_ref().try_into().ok()
    }

    /// Returns whether the bytes have this tag; compared in constant time.
    pub(crate) fn matches(&self, domain: TagDomain, bytes: &[u8], tag: &[u8]) -> bool {
        self.tag(domain, bytes).is_some_and(|now| verify_slices_are_equal(&now, tag).is_ok())
    }
}

impl std::fmt::Debug for Mac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mac")
    }
}

/// A piece of a block's plaintext: bytes of one part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Index of the part.
    pub(crate) part: usize,
    /// Its place in the block's plaintext.
    pub(crate) range: Range<usize>,
}

/// The pieces of a block, in the order of its bytes. `None` if the layout does not fit this machine.
pub(crate) fn pieces_of(parts: &[Part]) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    for (part, p) in parts.iter().enumerate() {
        let (start, end) = (usize::try_from(p.offset).ok()?, usize::try_from(p.end()).ok()?);
        let ranges = (start..end).step_by(PIECE_LEN).map(|from| from..end.min(from + PIECE_LEN));
        pieces.extend(ranges.map(|range| Piece { part, range }));
    }
    u32::try_from(pieces.len()).ok()?;
    Some(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;
    use deepring::PartKind;

    #[test]
    fn every_byte_of_every_part_is_in_one_piece_of_its_own() {
        let mut end = 0u64;
        let parts: Vec<Part> = [100, 0, 3, 700_000, 65_536, 65_537]
            .into_iter()
            .map(|len| {
                let offset = end.next_multiple_of(64);
                end = offset + len;
                Part { kind: PartKind::Graph, offset, len, shared: None }
            })
            .collect();
        let pieces = pieces_of(&parts).unwrap();
        for (i, part) in parts.iter().enumerate() {
            let its: Vec<_> = pieces.iter().filter(|p| p.part == i).collect();
            let mut at = part.offset as usize;
            for piece in its {
                assert_eq!(piece.range.start, at);
                assert!(!piece.range.is_empty() && piece.range.len() <= PIECE_LEN);
                at = piece.range.end;
            }
            assert_eq!(at as u64, part.end());
        }
    }

    #[test]
    fn one_domain_has_one_tag_and_another_domain_another() {
        let mac = Mac::new(&[7; KEY_LEN]).unwrap();
        let domains = [
            TagDomain::Piece(0),
            TagDomain::Piece(1),
            TagDomain::Vault(1),
            TagDomain::Row(0, 1),
            TagDomain::Row(1, 0),
            TagDomain::Plan(1),
        ];
        for (i, a) in domains.iter().enumerate() {
            let tag = mac.tag(*a, b"bytes").unwrap();
            assert!(mac.matches(*a, b"bytes", &tag));
            assert!(!mac.matches(*a, b"other", &tag));
            assert!(!mac.matches(*a, b"bytes", &[]));
            for b in &domains[i + 1..] {
                assert!(!mac.matches(*b, b"bytes", &tag));
            }
        }
    }
}
