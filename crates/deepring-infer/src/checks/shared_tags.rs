//! Tags of a block that others share: made once, under a key of its own, and compared by every block that uses it.
//!
//! One key for several users could give an attacker more tries at one tag, and nothing else. A try that fails takes its user out
//! of use, and opening that one anew [renews](SharedTags::renew) the key: under one key each user fails at most once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::CheckFault;
use super::vault::{Draft, OpenVault, PieceTags, SharedKey, Vault, VaultLayout, VerifiedReader};
use crate::mac::{Piece, TagDomain};

/// The tags of one shared block, and their key.
pub(crate) struct SharedTags {
    pieces: Vec<Piece>,
    /// Replaced when a user is opened anew; uses under way keep the one that they began with.
    vault: Mutex<Arc<Vault>>,
}

impl SharedTags {
    /// Tags that were made in `draft` as the block was decrypted. Every byte of `bytes` is compared with them once more.
    ///
    /// # Errors
    /// [`CheckFault::Bytes`] if the live bytes are not what was decrypted, [`CheckFault::NoMemory`] where there is none for secrets.
    pub(crate) fn new(draft: &Draft, pieces: Vec<Piece>, bytes: &[u8]) -> Result<Self, CheckFault> {
        let layout = VaultLayout::new(pieces.len(), [], []).ok_or(CheckFault::NoMemory)?;
        let vault = OpenVault::of(draft, layout).and_then(|vault| vault.close(0));
        let tags = Self { pieces, vault: Mutex::new(Arc::new(vault.ok_or(CheckFault::NoMemory)?)) };
        let key = tags.open(0)?;
        super::block_check::compare(
            PieceTags::of_shared(&key),
            bytes,
            (0u32..).zip(&tags.pieces),
            |_| (),
        )?;
        Ok(tags)
    }

    /// Key and tags for one use, by a block whose pieces from number `first` on are these.
    ///
    /// # Errors
    /// [`CheckFault::Structure`] if they are not what they were.
    pub(super) fn open(&self, first: u32) -> Result<SharedKey, CheckFault> {
        let vault = Arc::clone(&self.lock());
        let mac = vault.mac().ok_or(CheckFault::Structure)?;
        if !vault.is_intact(&mac) {
            return Err(CheckFault::Structure);
        }
        Ok(SharedKey { first, mac, vault })
    }

    /// Draws another key, and makes all tags anew: of copies that are compared with the tags that there were.
    ///
    /// # Errors
    /// As the bytes or the tags are not what they were; then key and tags stay.
    pub(crate) fn renew(&self, bytes: &[u8]) -> Result<(), CheckFault> {
        let old = self.open(0)?;
        let draft = Draft::new(self.pieces.len()).ok_or(CheckFault::NoMemory)?;
        let mac = draft.mac().ok_or(CheckFault::NoMemory)?;
        let draft = Mutex::new(draft);
        let reader = VerifiedReader {
            mac: &old.mac,
            tags: PieceTags::of_shared(&old),
            pieces: &self.pieces,
            bytes,
        };
        reader.all_pieces(|number, copy| {
            let tag = mac.tag(TagDomain::Piece(u32::try_from(number).ok()?), copy)?;
            draft.lock().ok()?.note(number, &tag)
        })?;
        let draft = draft.into_inner().unwrap_or_else(PoisonError::into_inner);
        let layout = VaultLayout::new(self.pieces.len(), [], []).ok_or(CheckFault::NoMemory)?;
        let vault = OpenVault::of(&draft, layout).and_then(|vault| vault.close(0));
        *self.lock() = Arc::new(vault.ok_or(CheckFault::NoMemory)?);
        Ok(())
    }

    pub(super) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    pub(super) fn protection(&self) -> deepring_memory::Protection {
        self.lock().protection()
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Vault>> {
        self.vault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bytes of key and tags, for tests that edit them.
    #[cfg(test)]
    pub(crate) fn with_vault<T>(&self, f: impl FnOnce(&deepring_memory::Region) -> T) -> T {
        f(self.lock().region())
    }
}

impl std::fmt::Debug for SharedTags {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedTags").finish_non_exhaustive()
    }
}

/// The tags of a shared block, as a block that uses it has them: of its pieces from `first` on.
#[derive(Debug, Clone)]
pub(crate) struct SharedPieces {
    first: u32,
    tags: Arc<SharedTags>,
}

impl SharedPieces {
    /// `None` if the pieces from `first` on are not cut as those of the shared block are.
    pub(crate) fn new(first: usize, pieces: &[Piece], tags: Arc<SharedTags>) -> Option<Self> {
        let its = tags.pieces();
        let mine = pieces.get(first..)?.get(..its.len())?;
        let same = |(a, b): (&Piece, &Piece)| a.range.len() == b.range.len();
        if !mine.iter().zip(its).all(same) {
            return None;
        }
        Some(Self { first: u32::try_from(first).ok()?, tags })
    }

    pub(super) fn first(&self) -> u32 {
        self.first
    }

    /// One past the last.
    pub(super) fn end(&self) -> usize {
        self.first as usize + self.tags.pieces().len()
    }

    pub(super) fn open(&self) -> Result<SharedKey, CheckFault> {
        self.tags.open(self.first)
    }

    pub(super) fn protection(&self) -> deepring_memory::Protection {
        self.tags.protection()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mac::Mac;

    /// Two parts of so many bytes, in one piece each.
    fn cut(at: usize, lens: [usize; 2]) -> Vec<Piece> {
        let second = (at + lens[0]).next_multiple_of(64);
        vec![
            Piece { part: 0, range: at..at + lens[0] },
            Piece { part: 1, range: second..second + lens[1] },
        ]
    }

    fn drafted(pieces: &[Piece], bytes: &[u8]) -> (Draft, Mac) {
        let mut draft = Draft::new(pieces.len()).unwrap();
        let mac = draft.mac().unwrap();
        for (number, piece) in pieces.iter().enumerate() {
            let domain = TagDomain::Piece(number as u32);
            draft.note(number, &mac.tag(domain, &bytes[piece.range.clone()]).unwrap()).unwrap();
        }
        (draft, mac)
    }

    #[test]
    fn a_piece_fits_its_own_tag_and_that_of_no_other_piece_of_any_block() {
        // All pieces have the same bytes, so that only key and number tell them apart.
        let (bytes, pieces) = (vec![7; 256], cut(0, [64, 64]));
        let (draft, mac) = drafted(&pieces, &bytes);
        let shared: Vec<SharedTags> = (0..2)
            .map(|_| SharedTags::new(&drafted(&pieces, &bytes).0, pieces.clone(), &bytes).unwrap())
            .collect();
        let keys = [shared[0].open(2).unwrap(), shared[1].open(4).unwrap()];
        let tags = draft.tags_of_pieces(&mac, &keys);
        for number in 0..8 {
            assert_eq!(tags.matches(number, &bytes[..64]), number < 6, "{number}");
            assert!(!tags.matches(number, &bytes[..63]));
        }
        let tagged = |mac: &Mac, number| mac.tag(TagDomain::Piece(number), &bytes[..64]).unwrap();
        let macs = [&mac, &keys[0].mac, &keys[1].mac];
        let mut every: Vec<_> = macs.iter().flat_map(|m| [tagged(m, 0), tagged(m, 1)]).collect();
        every.sort_unstable();
        every.dedup();
        assert_eq!(every.len(), 6, "no tag is one of two pieces");
        let alone = draft.tags_of_pieces(&mac, &[]);
        assert!((0..8).all(|n| alone.matches(n, &bytes[..64]) == (n < 2)));
    }

    #[test]
    fn tags_are_renewed_of_what_has_its_tags_and_of_nothing_else() {
        let (bytes, pieces) = (vec![7; 256], cut(0, [64, 64]));
        let tags = SharedTags::new(&drafted(&pieces, &bytes).0, pieces.clone(), &bytes).unwrap();
        let now = || tags.with_vault(|region| region.bytes().to_vec());
        let first = now();
        let mut edited = bytes.clone();
        edited[70] ^= 1;
        let changed = CheckFault::Bytes { part: 1, range: 64..128 };
        assert_eq!(tags.renew(&edited), Err(changed.clone()));
        assert_eq!(now(), first, "they stay");
        let began = tags.open(0).unwrap();
        tags.renew(&bytes).unwrap();
        assert!(now().chunks(16).zip(first.chunks(16)).all(|(a, b)| a != b));
        let after = tags.open(0).unwrap();
        for key in [&began, &after] {
            assert!(
                PieceTags::of_shared(key).matches(1, &bytes[64..128]),
                "a use ends as it began"
            );
            assert!(!PieceTags::of_shared(key).matches(1, &edited[64..128]));
        }
        // Neither of bytes that were edited when they were tagged first, nor of tags that were.
        let refused = SharedTags::new(&drafted(&pieces, &bytes).0, pieces, &edited);
        assert_eq!(refused.map(drop), Err(changed));
        tags.with_vault(|region| assert!(region.tamper(60, &[region.bytes()[60] ^ 1])));
        assert_eq!(tags.renew(&bytes), Err(CheckFault::Structure));
        assert_eq!(tags.open(0).map(drop), Err(CheckFault::Structure));
    }

    #[test]
    fn pieces_that_are_cut_otherwise_are_not_those_of_the_shared_block() {
        let (bytes, pieces) = (vec![7; 256], cut(0, [64, 65]));
        let tags = SharedTags::new(&drafted(&pieces, &bytes).0, pieces, &bytes).unwrap();
        let tags = Arc::new(tags);
        let fits = |first, pieces: &[Piece]| SharedPieces::new(first, pieces, Arc::clone(&tags));
        let found = fits(0, &cut(4096, [64, 65])).unwrap();
        assert_eq!((found.first(), found.end()), (0, 2));
        assert!(fits(0, &cut(4096, [65, 64])).is_none());
        assert!(fits(0, &cut(4096, [64, 65])[..1]).is_none());
        assert!(fits(1, &cut(4096, [64, 65])).is_none() && fits(9, &[]).is_none());
    }
}
