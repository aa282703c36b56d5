//! The vault of one block's check: key, tags and projections, secret and unchanged, in memory of their own.
//!
//! ```text
//! key 32 | tag of all that follows 16 | tags of pieces | tags of rows | projections
//! ```
//!
//! The region is a [`deepring_memory::Use::Secrets`] and frozen when it is complete: nobody reads or writes it from
//! outside this process where the kernel has `memfd_secret`. Where it has not, the first tag detects an edit that
//! stays.

use std::ops::Range;
use std::sync::Arc;

use deepring_memory::{Protection, Region, Scratch, Use};
use rayon::prelude::*;

use crate::mac::{KEY_LEN, Mac, Piece, TAG_LEN, TagDomain};

const TAG_AT: usize = KEY_LEN;
const PIECES_AT: usize = TAG_AT + TAG_LEN;
/// Where a projection begins: its numbers are read in vectors.
const ALIGNMENT: usize = 64;

/// A fresh key, and the tags of pieces as they are made.
pub(crate) struct Draft {
    region: Region,
    pieces: usize,
}

impl Draft {
    /// A random key and room for the tags of so many pieces. `None` without memory or randomness.
    pub(crate) fn new(pieces: usize) -> Option<Self> {
        let len = pieces.checked_mul(TAG_LEN)?.checked_add(PIECES_AT)?;
        let mut region = Region::new(len, Use::Secrets)?;
        aws_lc_rs::rand::fill(region.bytes_mut().get_mut(..KEY_LEN)?).ok()?;
        Some(Self { region, pieces })
    }

    pub(crate) fn mac(&self) -> Option<Mac> {
        Mac::new(self.region.bytes().get(..KEY_LEN)?)
    }

    /// Notes the tag of a piece. `None` if there is no such piece.
    pub(crate) fn note(&mut self, piece: usize, tag: &[u8; TAG_LEN]) -> Option<()> {
        let at = PIECES_AT.checked_add(piece.checked_mul(TAG_LEN)?)?;
        self.region.bytes_mut().get_mut(at..at + TAG_LEN)?.copy_from_slice(tag);
        Some(())
    }

    /// Pieces that it has room for.
    pub(crate) fn pieces(&self) -> usize {
        self.pieces
    }

    fn tags(&self) -> &[u8] {
        self.region.bytes().get(PIECES_AT..).unwrap_or_default()
    }

    /// Reads pieces against the tags noted so far; `mac` is this draft's.
    pub(crate) fn tags_of_pieces<'a>(
        &'a self,
        mac: &'a Mac,
        shared: &'a [SharedKey],
    ) -> PieceTags<'a> {
        PieceTags { mac, own: self.tags(), shared }
    }
}

/// Key and tags of a shared block for one use by a block that uses it, compared when they were opened.
#[derive(Debug)]
pub(crate) struct SharedKey {
    /// The number that its first piece has in the block that uses it.
    pub(super) first: u32,
    pub(super) mac: Mac,
    pub(super) vault: Arc<Vault>,
}

/// The tags of a block's pieces, and their keys. What a block shares has the tags of the shared block, under that one's key and
/// numbers: no key tags two pieces under one number, and the tag of a shared piece is one of no other.
#[derive(Clone, Copy)]
pub(crate) struct PieceTags<'a> {
    mac: &'a Mac,
    /// Of the block's own pieces, and no more.
    own: &'a [u8],
    /// In the order of their pieces, which stand behind the own ones.
    shared: &'a [SharedKey],
}

impl<'a> PieceTags<'a> {
    /// A shared block's pieces under its own numbers.
    pub(super) fn of_shared(key: &'a SharedKey) -> Self {
        Self { mac: &key.mac, own: key.vault.piece_tags(), shared: &[] }
    }

    /// Returns whether `bytes` are what was tagged as this piece; a piece without a tag never is.
    pub(crate) fn matches(&self, number: u32, bytes: &[u8]) -> bool {
        let of = self.shared.partition_point(|key| key.first <= number).checked_sub(1);
        let (mac, tags, number) = match of.and_then(|of| self.shared.get(of)) {
            Some(key) => (&key.mac, key.vault.piece_tags(), number - key.first),
            None => (self.mac, self.own, number),
        };
        let at = (number as usize).saturating_mul(TAG_LEN);
        let tag = tags.get(at..at.saturating_add(TAG_LEN));
        tag.is_some_and(|tag| mac.matches(TagDomain::Piece(number), bytes, tag))
    }
}

/// How much of what a vault holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct VaultLayout {
    pieces: usize,
    tables: Vec<Range<usize>>,
    projections: Vec<Range<usize>>,
    len: usize,
}

impl VaultLayout {
    /// Room for tags of the pieces, of each table's rows, and for projections of so many bytes. `None` if it
    /// does not fit this machine.
    pub(crate) fn new(
        pieces: usize,
        rows: impl IntoIterator<Item = usize>,
        projections: impl IntoIterator<Item = usize>,
    ) -> Option<Self> {
        let mut at = pieces.checked_mul(TAG_LEN)?.checked_add(PIECES_AT)?;
        let mut tables = Vec::new();
        for rows in rows {
            let end = at.checked_add(rows.checked_mul(TAG_LEN)?)?;
            tables.push(at..end);
            at = end;
        }
        let mut places = Vec::new();
        for len in projections {
            let start = at.checked_next_multiple_of(ALIGNMENT)?;
            at = start.checked_add(len)?;
            places.push(start..at);
        }
        Some(Self { pieces, tables, projections: places, len: at })
    }
}

/// Room for a vault's contents, before it is closed.
pub(crate) struct OpenVault {
    region: Region,
    layout: VaultLayout,
}

impl OpenVault {
    /// A vault with the draft's key and tags. `None` without memory.
    pub(crate) fn of(draft: &Draft, layout: VaultLayout) -> Option<Self> {
        if draft.pieces != layout.pieces {
            return None;
        }
        Self::with(draft.region.bytes(), layout)
    }

    /// A vault with the key and all tags of another one, for new projections.
    pub(crate) fn again(vault: &Vault) -> Option<Self> {
        let rows_end = vault.layout.tables.last().map(|r| r.end);
        let end = rows_end.unwrap_or(PIECES_AT + vault.layout.pieces * TAG_LEN);
        Self::with(vault.region.bytes().get(..end)?, vault.layout.clone())
    }

    fn with(head: &[u8], layout: VaultLayout) -> Option<Self> {
        let mut region = Region::new(layout.len, Use::Secrets)?;
        region.bytes_mut().get_mut(..head.len())?.copy_from_slice(head);
        Some(Self { region, layout })
    }

    pub(crate) fn note_row(&mut self, table: usize, row: usize, tag: &[u8; TAG_LEN]) -> Option<()> {
        let range = self.layout.tables.get(table)?.clone();
        let at = range.start.checked_add(row.checked_mul(TAG_LEN)?)?;
        let place = self.region.bytes_mut().get_mut(range)?;
        place
            .get_mut(at - self.layout.tables.get(table)?.start..)?
            .get_mut(..TAG_LEN)?
            .copy_from_slice(tag);
        Some(())
    }

    /// Room for each projection, in order.
    pub(crate) fn projections_mut(&mut self) -> Vec<&mut [u8]> {
        let mut places = Vec::new();
        let (mut rest, mut at) = (self.region.bytes_mut(), 0);
        for range in &self.layout.projections {
            let (before, after) = rest.split_at_mut((range.end - at).min(rest.len()));
            places.push(before.get_mut(range.start - at..).unwrap_or_default());
            (rest, at) = (after, range.end);
        }
        places
    }

    /// Tags everything under this generation and makes it read-only.
    pub(crate) fn close(mut self, generation: u32) -> Option<Vault> {
        let mac = Mac::new(self.region.bytes().get(..KEY_LEN)?)?;
        let bytes = self.region.bytes_mut();
        let tag = mac.tag(TagDomain::Vault(generation), bytes.get(PIECES_AT..)?)?;
        bytes.get_mut(TAG_AT..PIECES_AT)?.copy_from_slice(&tag);
        self.region.freeze();
        Some(Vault { region: self.region, layout: self.layout, generation })
    }
}

/// A check's secrets, complete and read-only.
pub(crate) struct Vault {
    region: Region,
    layout: VaultLayout,
    generation: u32,
}

impl Vault {
    /// The key, expanded for one use. `None` if it is not one any more.
    pub(crate) fn mac(&self) -> Option<Mac> {
        Mac::new(self.region.bytes().get(..KEY_LEN)?)
    }

    /// Returns whether everything here is what it was.
    pub(crate) fn is_intact(&self, mac: &Mac) -> bool {
        let bytes = self.region.bytes();
        let (Some(tag), Some(all)) = (bytes.get(TAG_AT..PIECES_AT), bytes.get(PIECES_AT..)) else {
            return false;
        };
        mac.matches(TagDomain::Vault(self.generation), all, tag)
    }

    /// Reads pieces against the tags that are here and in `shared`; `mac` is this vault's.
    pub(crate) fn tags_of_pieces<'a>(
        &'a self,
        mac: &'a Mac,
        shared: &'a [SharedKey],
    ) -> PieceTags<'a> {
        PieceTags { mac, own: self.piece_tags(), shared }
    }

    fn piece_tags(&self) -> &[u8] {
        let end = PIECES_AT + self.layout.pieces * TAG_LEN;
        self.region.bytes().get(PIECES_AT..end).unwrap_or_default()
    }

    /// The tag of a table's row.
    pub(crate) fn tag_of_row(&self, table: usize, row: usize) -> Option<&[u8]> {
        let rows = self.region.bytes().get(self.layout.tables.get(table)?.clone())?;
        rows.get(row.checked_mul(TAG_LEN)?..)?.get(..TAG_LEN)
    }

    /// The bytes of a projection; empty if there is none of this number.
    pub(crate) fn projection(&self, number: usize) -> &[u8] {
        let range = self.layout.projections.get(number).cloned().unwrap_or_default();
        self.region.bytes().get(range).unwrap_or_default()
    }

    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    /// The protection of the pages.
    pub(crate) fn protection(&self) -> Protection {
        self.region.protection()
    }

    /// Where the bytes after the key lie, for tests that edit them.
    #[cfg(test)]
    pub(crate) fn region(&self) -> &Region {
        &self.region
    }
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault").field("generation", &self.generation).finish_non_exhaustive()
    }
}

/// Reads parts through copies that are verified before anything is made of them, so that who writes to live memory
/// meanwhile cannot show one thing to the tag and another to what is computed from it.
pub(crate) struct VerifiedReader<'a> {
    /// The block's own key, for tags of what is read.
    pub(crate) mac: &'a Mac,
    pub(crate) tags: PieceTags<'a>,
    pub(crate) pieces: &'a [Piece],
    pub(crate) bytes: &'a [u8],
}

/// A piece that is not what was tagged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Changed(pub(crate) Piece);

/// Why a part was not read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ReadError {
    Changed(Changed),
    /// No memory for the copy, or a reader that wants no more.
    Stopped,
}

impl VerifiedReader<'_> {
    /// A verified copy of a whole part.
    pub(crate) fn part(&self, part: usize) -> Result<Vec<u8>, ReadError> {
        let mut out = Vec::new();
        let len = self.of(part).map(|(_, piece)| piece.range.len()).sum();
        out.try_reserve_exact(len).map_err(|_| ReadError::Stopped)?;
        self.each_piece(part, |copy| {
            out.extend_from_slice(copy);
            Some(())
        })?;
        Ok(out)
    }

    /// Copies a whole part to `out`, which is as long as it, and verifies each piece there.
    pub(crate) fn part_into(&self, part: usize, mut out: &mut [u8]) -> Result<(), ReadError> {
        for (number, piece) in self.of(part) {
            let live = self.live(piece)?;
            let (place, rest) = out.split_at_mut_checked(live.len()).ok_or(ReadError::Stopped)?;
            place.copy_from_slice(live);
            if !self.tags.matches(number, std::hint::black_box(place)) {
                return Err(ReadError::Changed(Changed(piece.clone())));
            }
            out = rest;
        }
        if out.is_empty() { Ok(()) } else { Err(ReadError::Stopped) }
    }

    /// Whole rows of `row_len` bytes, in order, from verified copies: the number of the first, and the rows.
    pub(crate) fn rows(
        &self,
        part: usize,
        row_len: usize,
        mut each: impl FnMut(usize, &[u8]) -> Option<()>,
    ) -> Result<(), ReadError> {
        if row_len == 0 {
            return Err(ReadError::Stopped);
        }
        let room = row_len.checked_add(crate::mac::PIECE_LEN).ok_or(ReadError::Stopped)?;
        let mut scratch = Scratch::new(room).ok_or(ReadError::Stopped)?;
        let (mut filled, mut row) = (0, 0);
        for (number, piece) in self.of(part) {
            let live = self.live(piece)?;
            let place = scratch.bytes_mut();
            let copy = place.get_mut(filled..filled + live.len()).ok_or(ReadError::Stopped)?;
            copy.copy_from_slice(live);
            if !self.tags.matches(number, std::hint::black_box(copy)) {
                return Err(ReadError::Changed(Changed(piece.clone())));
            }
            filled += live.len();
            let whole = filled / row_len * row_len;
            let rows = place.get(..whole).ok_or(ReadError::Stopped)?;
            if whole > 0 {
                each(row, rows).ok_or(ReadError::Stopped)?;
                place.copy_within(whole..filled, 0);
                row += whole / row_len;
                filled -= whole;
            }
        }
        if filled == 0 { Ok(()) } else { Err(ReadError::Stopped) }
    }

    /// A verified copy of every piece, with its number, to several threads and in any order.
    pub(crate) fn all_pieces(
        &self,
        each: impl Fn(usize, &[u8]) -> Option<()> + Sync,
    ) -> Result<(), ReadError> {
        let scratch = || Scratch::new(crate::mac::PIECE_LEN);
        self.pieces.par_iter().enumerate().try_for_each_init(scratch, |scratch, (i, piece)| {
            let scratch = scratch.as_mut().ok_or(ReadError::Stopped)?;
            let number = u32::try_from(i).map_err(|_| ReadError::Stopped)?;
            let copy = self.copy(number, piece, scratch)?;
            each(i, copy).ok_or(ReadError::Stopped)
        })
    }

    /// Copies a piece, and compares the copy with its tag.
    fn copy<'s>(
        &self,
        number: u32,
        piece: &Piece,
        scratch: &'s mut Scratch,
    ) -> Result<&'s [u8], ReadError> {
        let live = self.live(piece)?;
        let copy = scratch.bytes_mut().get_mut(..live.len()).ok_or(ReadError::Stopped)?;
        copy.copy_from_slice(live);
        let copy: &[u8] = std::hint::black_box(copy);
        if !self.tags.matches(number, copy) {
            return Err(ReadError::Changed(Changed(piece.clone())));
        }
        Ok(copy)
    }

    fn each_piece(
        &self,
        part: usize,
        mut each: impl FnMut(&[u8]) -> Option<()>,
    ) -> Result<(), ReadError> {
        let mut scratch = Scratch::new(crate::mac::PIECE_LEN).ok_or(ReadError::Stopped)?;
        for (number, piece) in self.of(part) {
            each(self.copy(number, piece, &mut scratch)?).ok_or(ReadError::Stopped)?;
        }
        Ok(())
    }

    fn of(&self, part: usize) -> impl Iterator<Item = (u32, &Piece)> {
        (0u32..).zip(self.pieces).filter(move |(_, p)| p.part == part)
    }

    fn live(&self, piece: &Piece) -> Result<&[u8], ReadError> {
        let changed = || ReadError::Changed(Changed(piece.clone()));
        self.bytes.get(piece.range.clone()).ok_or_else(changed)
    }
}
