//! Choice among the boundaries that a network offers.

use super::live::Boundary;

/// Most blocks that are made of a network of ordinary size where nobody asked for a number. Each costs the engine
/// a call; few and large ones cost `compute` more than that.
const BLOCKS: usize = 24;
/// Blocks of a larger network have this many bytes of parameters, if it can be cut so: what seals or repairs a
/// block holds it in memory.
const LARGE_BLOCK: u64 = 64 << 20;
/// A block with more than this share of all parameters is split where several tensors cross.
const LARGE_SHARE: u64 = 3;
/// Fewer linear operators than this are not split further.
const FEW_ANCHORS: usize = 4;

/// Boundaries where one tensor crosses, or few where there are none such: at most one fewer than [`BLOCKS`], or
/// than as many as keep blocks at [`LARGE_BLOCK`].
pub(super) fn automatic(all: &[Boundary], total: u64) -> Vec<Boundary> {
    let most = usize::try_from(total.div_ceil(LARGE_BLOCK)).unwrap_or(usize::MAX).max(BLOCKS);
    let fewest = all.iter().map(|b| b.live).min().unwrap_or(0);
    let mut chosen: Vec<Boundary> =
        all.iter().filter(|b| b.live <= fewest.max(1)).copied().collect();
    if chosen.len() >= most {
        chosen = spread(&chosen, total, most);
    }
    while chosen.len() + 1 < most {
        let Some(extra) = split_largest(all, &chosen, total) else { break };
        chosen.push(extra);
        chosen.sort_by_key(|b| b.position);
    }
    chosen
}

/// `blocks - 1` of the boundaries, so that blocks have similar parameters and little crosses.
///
/// There must be that many.
pub(super) fn spread(all: &[Boundary], total: u64, blocks: usize) -> Vec<Boundary> {
    let mut chosen = Vec::with_capacity(blocks.saturating_sub(1));
    let mut from = 0usize;
    let share = total as f64 / blocks as f64;
    for k in 1..blocks {
        // Enough must be left for the boundaries that follow.
        let to = all.len().saturating_sub(blocks - 1 - k);
        let previous = chosen.last().map_or(0.0, |b: &Boundary| b.bytes as f64);
        let rest = (total as f64 - previous) / (blocks - k + 1) as f64;
        let target = previous + rest;
        let cost = |b: &Boundary| {
            (b.bytes as f64 - target).abs() / share.max(1.0) + 0.5 * b.live.saturating_sub(1) as f64
        };
        let window = all.get(from..to).unwrap_or_default().iter().enumerate();
        let best = window.min_by(|(_, a), (_, b)| cost(a).total_cmp(&cost(b)));
        let Some((offset, boundary)) = best else { break };
        chosen.push(*boundary);
        from += offset + 1;
    }
    chosen
}

fn split_largest(all: &[Boundary], chosen: &[Boundary], total: u64) -> Option<Boundary> {
    let starts = std::iter::once((0, 0)).chain(chosen.iter().map(|b| (b.position, b.bytes)));
    let ends = chosen.iter().map(|b| (b.position, b.bytes)).chain([(usize::MAX, total)]);
    let segments = starts.zip(ends);
    let ((start, before), (end, after)) =
        segments.max_by_key(|((_, before), (_, after))| after.saturating_sub(*before))?;
    let size = after.saturating_sub(before);
    let inside: Vec<&Boundary> =
        all.iter().filter(|b| b.position > start && b.position < end).collect();
    if size <= total / LARGE_SHARE || inside.len() + 1 < FEW_ANCHORS {
        return None;
    }
    let middle = before + size / 2;
    inside.into_iter().min_by_key(|b| (b.live, b.bytes.abs_diff(middle))).copied()
}

#[cfg(test)]
mod tests;
