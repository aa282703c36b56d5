//! `ring-relabel`: labels and recipe, which Genesis seals.

use std::path::Path;

use deepring::Manifest;

use super::{RingAttackError, RingTampered, change, read, write};
use crate::ring::file::RingFile;

/// Edits the stored manifest without any key.
///
/// Who knows what Genesis seals (any host does, and labels are seldom secret) gives it as `known`: then classes 0 and 1,
/// 2 and 3, ... change their names, by flipping in the ciphertext what differs. Who does not knows at least where the
/// manifest is, and flips a bit that the seed draws.
///
/// # Errors
/// [`RingAttackError`] where the ring cannot be read, or the result not be written.
pub fn ring_relabel(
    ring: &Path,
    out: &Path,
    known: Option<&Manifest>,
    seed: u64,
) -> Result<RingTampered, RingAttackError> {
    let authentic = read(ring)?;
    let mut file = RingFile::read(ring)?;
    let part = authentic.genesis().parts.first();
    let part = part.ok_or_else(|| RingAttackError::Missing { what: "manifest".to_owned() })?;
    let (masks, what): (Vec<(u64, u8)>, String) = match known {
        Some(manifest) => {
            let mut labels = manifest.labels.clone();
            labels.chunks_exact_mut(2).for_each(|pair| pair.swap(0, 1));
            let after = Manifest { labels, ..manifest.clone() }.encode();
            let before = manifest.encode();
            if before.len() as u64 != part.len || before == after {
                let reason = "the manifest given is not the ring's, or has no two labels";
                return Err(RingAttackError::Unfit { reason });
            }
            let pairs = (0..).zip(before.iter().zip(&after));
            let masks = pairs.filter(|(_, (b, a))| b != a).map(|(at, (b, a))| (at, b ^ a));
            (masks.collect(), "the names of neighbouring classes interchanged".to_owned())
        }
        None => {
            let bit = fastrand::Rng::with_seed(seed).u64(0..part.len.saturating_mul(8).max(1));
            (vec![(bit / 8, 1 << (bit % 8))], "one bit of the manifest flipped".to_owned())
        }
    };
    let mut changed = Vec::new();
    for (at, mask) in masks {
        let at = authentic.stored_at(0, part.offset + at).filter(|at| file.flip(*at, mask));
        let at = at.ok_or_else(|| RingAttackError::Missing { what: "manifest".to_owned() })?;
        let bits = u64::from(mask.count_ones());
        changed.push(change(&authentic, 0, part.label(), [at, at + 1], bits));
    }
    write(out, file.bytes())?;
    Ok(RingTampered { what, changed })
}
