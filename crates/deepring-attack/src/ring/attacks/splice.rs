//! `ring-splice` and `ring-rollback`: authentic blocks of the same owner, out of date.

use std::path::Path;

use super::{RingAttackError, RingTampered, change, distance, read, whole, write};
use crate::ring::file::RingFile;

/// Puts one authentic block of an older ring, header and body, into a newer one of the same owner.
///
/// `block` is its number; the seed draws one if there is none. What is longer than its room is cut.
///
/// # Errors
/// [`RingAttackError`] where a ring cannot be read, has no such block, or the result cannot be written.
pub fn ring_splice(
    newer: &Path,
    older: &Path,
    out: &Path,
    block: Option<u32>,
    seed: u64,
) -> Result<RingTampered, RingAttackError> {
    let (new, old) = (read(newer)?, read(older)?);
    if new.owner() != old.owner() {
        return Err(RingAttackError::Unfit { reason: "the rings are of two owners" });
    }
    let blocks = new.layers().len().min(old.layers().len());
    let last = u32::try_from(blocks).unwrap_or(u32::MAX);
    let block = block.unwrap_or_else(|| fastrand::Rng::with_seed(seed).u32(1..=last.max(1)));
    let (before, theirs) = (RingFile::read(newer)?, RingFile::read(older)?);
    let mut file = before.clone();
    file.overwrite(block, &theirs)?;
    let header = before.header_range(block)?;
    let body = before.body_range(block)?;
    let changed = [("header", header), ("body", body)].map(|(part, range)| {
        let of = |f: &RingFile| f.bytes().get(range.clone()).unwrap_or_default().to_vec();
        let bits = distance(&of(&before), &of(&file));
        change(&new, block, part, [range.start as u64, range.end as u64], bits)
    });
    write(out, file.bytes())?;
    let (from, to) = (old.model_version(), new.model_version());
    let what = format!("block {block} of model version {from} put into version {to}");
    Ok(RingTampered { what, changed: changed.to_vec() })
}

/// Presents an older ring, every bit of it authentic.
///
/// # Errors
/// [`RingAttackError`] where the ring cannot be read, or the result not be written.
pub fn ring_rollback(older: &Path, out: &Path) -> Result<RingTampered, RingAttackError> {
    let old = read(older)?;
    let file = RingFile::read(older)?;
    write(out, file.bytes())?;
    let what = format!("model version {} presented", old.model_version());
    let changed = vec![whole(file.bytes().len())];
    Ok(RingTampered { what, changed })
}
