//! The kernel for channels first: a run of pixels at a time, `K` channels at a time, into sums in L1.
//!
//! A channel's values are read in whole vectors even where its last pixel is not the last lane: the
//! lanes behind it are the next channel's first pixels, and what they add up to is thrown away. Only
//! behind the tensor's end is there a copy with zeros.

use std::ops::Range;

use super::BLOCK;
use super::lanes::{LaneBuffer, padded};
use super::share::{PartialReduction, Span};
use super::tile::{both, linear, pair};

/// How many pixels to read at a time, so that the sums and the group of channels stay in L1.
pub(super) fn width(planes: usize) -> usize {
    const L1: usize = 28 << 10;
    let values = L1 / size_of::<f32>() / (planes + 8);
    (values / 16 * 16).clamp(64, 512)
}

#[inline(always)]
pub(super) fn run<const L: usize, const K: usize, const FUSED: bool>(
    span: &Span<'_>,
    first: usize,
    parts: &mut [PartialReduction<'_>],
    scratch: &mut LaneBuffer,
) {
    let Some(pixels) = parts.first().map(|part| part.square_sums.len()) else { return };
    let blocks = pixels.div_ceil(L);
    let planes: usize = parts.iter().map(|part| part.sums.len() + 1).sum();
    let memory = scratch.blocks::<L>((planes + 2 * K + 1) * blocks);
    let (sums, memory) = memory.split_at_mut(planes * blocks);
    for from in span.part.clone().step_by(BLOCK) {
        let channels = from..span.part.end.min(from + BLOCK);
        add::<L, K, FUSED>(span, first, channels, parts, sums, memory);
        let mut sums = &mut *sums;
        for part in &mut *parts {
            let totals = part.sums.iter_mut().map(|sums| &mut **sums);
            for to in std::iter::once(&mut *part.square_sums).chain(totals) {
                let own;
                (own, sums) = sums.split_at_mut(blocks);
                for (to, own) in to.iter_mut().zip(own.as_flattened()) {
                    *to += own;
                }
                own.fill([0.0; L]);
            }
        }
    }
}

/// Adds up some channels, as few as one running sum takes.
#[inline(always)]
fn add<const L: usize, const K: usize, const FUSED: bool>(
    span: &Span<'_>,
    first: usize,
    channels: Range<usize>,
    parts: &[PartialReduction<'_>],
    sums: &mut [[f32; L]],
    memory: &mut [[f32; L]],
) {
    let blocks = memory.len() / (2 * K + 1);
    let (kept, memory) = memory.split_at_mut(K * blocks);
    let (ends, zeros) = memory.split_at_mut(K * blocks);
    for c in channels.clone().step_by(K) {
        let group = K.min(channels.end - c);
        let start = |k: usize| (c + k) * span.pixels + first;
        for k in 0..group {
            if start(k) + blocks * L > span.x.len() {
                let end = &span.x[start(k)..];
                ends[k * blocks..].as_flattened_mut()[..end.len()].copy_from_slice(end);
            }
        }
        let mut rows: [&[[f32; L]]; K] = [zeros; K];
        for (k, row) in rows.iter_mut().enumerate().take(group) {
            *row = match span.x.get(start(k)..start(k) + blocks * L) {
                Some(values) => values.as_chunks().0,
                None => &ends[k * blocks..][..blocks],
            };
        }

        let at = (c, group, span.channels);
        if let [first, then] = parts
            && (first.relu, then.relu) == (false, true)
        {
            let (own, others) = sums.split_at_mut((first.sums.len() + 1) * blocks);
            read_pair::<L, K, FUSED>(&rows, [first, then], at, [own, others], kept);
            continue;
        }
        let mut sums = &mut *sums;
        for part in parts {
            let own;
            (own, sums) = sums.split_at_mut((part.sums.len() + 1) * blocks);
            read::<L, K, FUSED>(&rows, part, at, own, kept);
        }
    }
}

/// One reduction of one group of channels. `sums` begins with the squares.
#[inline(always)]
fn read<const L: usize, const K: usize, const FUSED: bool>(
    rows: &[&[[f32; L]]; K],
    part: &PartialReduction<'_>,
    at: (usize, usize, usize),
    sums: &mut [[f32; L]],
    kept: &mut [[f32; L]],
) {
    let coefficients = &first_of::<K>(part, at);
    let (own, sums) = sums.split_at_mut(2 * rows[0].len());
    if part.relu {
        both::<L, K, FUSED, true>(rows, coefficients, own, kept);
        remainder::<L, K, FUSED>(&kept_rows(kept), part, at, sums);
    } else {
        both::<L, K, FUSED, false>(rows, coefficients, own, kept);
        remainder::<L, K, FUSED>(rows, part, at, sums);
    }
}

/// Two reductions of one group, the second rectified: what a layer gives, which the next one takes. Both
/// want the same values, which may still be on their way from a far cache, so they share the loads.
#[inline(always)]
fn read_pair<const L: usize, const K: usize, const FUSED: bool>(
    rows: &[&[[f32; L]]; K],
    parts: [&PartialReduction<'_>; 2],
    at: (usize, usize, usize),
    [sums, others]: [&mut [[f32; L]]; 2],
    kept: &mut [[f32; L]],
) {
    let coefficients = [first_of::<K>(parts[0], at), first_of::<K>(parts[1], at)];
    let (own, sums) = sums.split_at_mut(2 * rows[0].len());
    let (own_others, others) = others.split_at_mut(2 * rows[0].len());
    pair::<L, K, FUSED>(rows, &coefficients, own, own_others, kept);
    remainder::<L, K, FUSED>(rows, parts[0], at, sums);
    remainder::<L, K, FUSED>(&kept_rows(kept), parts[1], at, others);
}

/// The coefficients of the squares and of the first plane.
#[inline(always)]
fn first_of<const K: usize>(
    part: &PartialReduction<'_>,
    (c, group, _): (usize, usize, usize),
) -> [[f32; K]; 2] {
    [padded(&part.squares[c..][..group]), padded(&part.planes[c..][..group])]
}

#[inline(always)]
fn kept_rows<const L: usize, const K: usize>(kept: &[[f32; L]]) -> [&[[f32; L]]; K] {
    let mut rows: [&[[f32; L]]; K] = [&[]; K];
    for (row, kept) in rows.iter_mut().zip(kept.chunks_exact(kept.len() / K)) {
        *row = kept;
    }
    rows
}

/// All planes but the first.
#[inline(always)]
fn remainder<const L: usize, const K: usize, const FUSED: bool>(
    rows: &[&[[f32; L]]; K],
    part: &PartialReduction<'_>,
    (c, group, channels): (usize, usize, usize),
    mut sums: &mut [[f32; L]],
) {
    let blocks = rows[0].len();
    let plane = |t: usize| padded::<K>(&part.planes[t * channels + c..][..group]);
    let (mut t, count) = (1, part.sums.len());
    while t < count {
        let taken = (count - t).min(3);
        let own;
        (own, sums) = sums.split_at_mut(taken * blocks);
        match taken {
            3 => linear::<L, K, FUSED, 3>(rows, &[plane(t), plane(t + 1), plane(t + 2)], own),
            2 => linear::<L, K, FUSED, 2>(rows, &[plane(t), plane(t + 1)], own),
            _ => linear::<L, K, FUSED, 1>(rows, &[plane(t)], own),
        }
        t += taken;
    }
}
