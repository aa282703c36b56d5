//! `ring-flip`: bits of the ciphertext, where a flip of a stored bit is a flip of the parameter's bit.

use std::collections::BTreeSet;
use std::path::Path;

use super::{RingAttackError, RingTampered, change, read, write};
use crate::ring::file::RingFile;

/// The bits that are flipped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FlipOptions {
    /// Number of the block; drawn among those with parameters if none is given.
    pub block: Option<u32>,
    /// Tensor of the block; drawn if none is given. With no block given, the block that has it.
    pub tensor: Option<String>,
    /// Bits to flip; one, if this is zero.
    pub flips: usize,
    /// Begins the pseudo-random numbers.
    pub seed: u64,
}

/// Flips bits of one stored tensor of one block, without any key.
///
/// # Errors
/// [`RingAttackError`] where the ring cannot be read, has no such place, or the result cannot be written.
pub fn ring_flip(
    ring: &Path,
    out: &Path,
    options: &FlipOptions,
) -> Result<RingTampered, RingAttackError> {
    let read_ring = read(ring)?;
    let mut file = RingFile::read(ring)?;
    let mut random = fastrand::Rng::with_seed(options.seed);
    let asked = |index: u32, label: &str| {
        options.block.is_none_or(|b| b == index)
            && options.tensor.as_ref().is_none_or(|t| t == label)
    };
    let parts = read_ring.headers().iter().flat_map(|h| {
        // What is asked for by name may also be a graph or the manifest.
        let fits = move |p: &&deepring::Part| {
            asked(h.index, p.label()) && (options.tensor.is_some() || p.parameter_name().is_some())
        };
        h.parts.iter().filter(fits).map(move |p| (h, p))
    });
    let parts: Vec<_> = parts.filter(|(_, p)| p.len > 0).collect();
    let missing = || RingAttackError::Missing { what: described(options) };
    let (header, part) = random.choice(parts).ok_or_else(missing)?;
    let bits = part.len.saturating_mul(8);
    let wanted = (options.flips.max(1) as u64).min(bits);
    let mut drawn = BTreeSet::new();
    while (drawn.len() as u64) < wanted {
        drawn.insert(random.u64(0..bits));
    }
    let mut changed = Vec::new();
    for bit in drawn {
        let at = read_ring.stored_at(header.index, part.offset + bit / 8);
        let at = at.filter(|at| file.flip(*at, 1 << (bit % 8))).ok_or_else(missing)?;
        changed.push(change(&read_ring, header.index, part.label(), [at, at + 1], 1));
    }
    write(out, file.bytes())?;
    let (count, label) = (changed.len(), part.label());
    let what = format!("{count} bits of `{label}` in block {} flipped", header.index);
    Ok(RingTampered { what, changed })
}

fn described(options: &FlipOptions) -> String {
    match (options.block, &options.tensor) {
        (Some(block), Some(tensor)) => format!("tensor `{tensor}` in block {block}"),
        (Some(block), None) => format!("block {block} with parameters"),
        (None, Some(tensor)) => format!("tensor `{tensor}`"),
        (None, None) => "parameters".to_owned(),
    }
}
