//! The kernel for channels first: a run of pixels at a time, `K` channels at a time, into sums in L1.
//!
//! A channel's values are read in whole vectors even where its last pixel is not the last lane: the
//! lanes behind it are the next channel's first pixels, and what they add up to is thrown away. Only
//! behind the tensor's end is there a copy with zeros.

use super::lanes::{Scratch, fma, padded, rectified};
use super::share::{Part, Span};

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
    parts: &mut [Part<'_>],
    scratch: &mut Scratch,
) {
    let Some(pixels) = parts.first().map(|part| part.square_sums.len()) else { return };
    let blocks = pixels.div_ceil(L);
    let planes: usize = parts.iter().map(|part| part.sums.len() + 1).sum();
    let memory = scratch.blocks::<L>((planes + 2 * K + 1) * blocks);
    let (sums, memory) = memory.split_at_mut(planes * blocks);
    let (kept, memory) = memory.split_at_mut(K * blocks);
    let (ends, zeros) = memory.split_at_mut(K * blocks);

    for c in span.part.clone().step_by(K) {
        let group = K.min(span.part.end - c);
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
        if let [first, then] = &*parts
            && (first.relu, then.relu) == (false, true)
        {
            let (own, others) = sums.split_at_mut((first.sums.len() + 1) * blocks);
            read_pair::<L, K, FUSED>(&rows, [first, then], at, [own, others], kept);
            continue;
        }
        let mut sums = &mut *sums;
        for part in &*parts {
            let own;
            (own, sums) = sums.split_at_mut((part.sums.len() + 1) * blocks);
            read::<L, K, FUSED>(&rows, part, at, own, kept);
        }
    }

    let mut sums = &*sums;
    for part in parts {
        let totals = part.sums.iter_mut().map(|sums| &mut **sums);
        for to in std::iter::once(&mut *part.square_sums).chain(totals) {
            let own;
            (own, sums) = sums.split_at(blocks);
            for (to, own) in to.iter_mut().zip(own.as_flattened()) {
                *to += own;
            }
        }
    }
}

/// One reading of one group of channels. `sums` begins with the squares.
#[inline(always)]
fn read<const L: usize, const K: usize, const FUSED: bool>(
    rows: &[&[[f32; L]]; K],
    part: &Part<'_>,
    at: (usize, usize, usize),
    sums: &mut [[f32; L]],
    kept: &mut [[f32; L]],
) {
    let coefficients = &first_of::<K>(part, at);
    let (own, sums) = sums.split_at_mut(2 * rows[0].len());
    if part.relu {
        both::<L, K, FUSED, true>(rows, coefficients, own, kept);
        rest::<L, K, FUSED>(&kept_rows(kept), part, at, sums);
    } else {
        both::<L, K, FUSED, false>(rows, coefficients, own, kept);
        rest::<L, K, FUSED>(rows, part, at, sums);
    }
}

/// Two readings of one group, the second rectified: what a layer gives, which the next one takes. Both
/// want the same values, which may still be on their way from a far cache, so they share the loads.
#[inline(always)]
fn read_pair<const L: usize, const K: usize, const FUSED: bool>(
    rows: &[&[[f32; L]]; K],
    parts: [&Part<'_>; 2],
    at: (usize, usize, usize),
    [sums, others]: [&mut [[f32; L]]; 2],
    kept: &mut [[f32; L]],
) {
    let coefficients = [first_of::<K>(parts[0], at), first_of::<K>(parts[1], at)];
    let (own, sums) = sums.split_at_mut(2 * rows[0].len());
    let (own_others, others) = others.split_at_mut(2 * rows[0].len());
    pair::<L, K, FUSED>(rows, &coefficients, own, own_others, kept);
    rest::<L, K, FUSED>(rows, parts[0], at, sums);
    rest::<L, K, FUSED>(&kept_rows(kept), parts[1], at, others);
}

/// The coefficients of the squares and of the first plane.
#[inline(always)]
fn first_of<const K: usize>(
    part: &Part<'_>,
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
fn rest<const L: usize, const K: usize, const FUSED: bool>(
    rows: &[&[[f32; L]]; K],
    part: &Part<'_>,
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

/// The squares and one plane; with `RELU`, what was read is kept for the planes that follow.
#[inline(always)]
fn both<const L: usize, const K: usize, const FUSED: bool, const RELU: bool>(
    rows: &[&[[f32; L]]; K],
    coefficients: &[[f32; K]; 2],
    sums: &mut [[f32; L]],
    kept: &mut [[f32; L]],
) {
    let (square_sums, sums) = sums.split_at_mut(sums.len() / 2);
    let blocks = sums.len();
    let mut rows = *rows;
    for row in &mut rows {
        *row = &row[..blocks];
    }
    let square_sums = &mut square_sums[..blocks];
    let kept = &mut kept[..K * blocks];
    for j in 0..blocks {
        let mut own = [square_sums[j], sums[j]];
        for k in 0..K {
            let mut x = rows[k][j];
            step::<L, K, FUSED, RELU>(&mut x, coefficients, k, &mut own);
            if RELU {
                kept[k * blocks + j] = x;
            }
        }
        [square_sums[j], sums[j]] = own;
    }
}

/// `both` of two readings at once, the second rectified and kept.
#[inline(always)]
fn pair<const L: usize, const K: usize, const FUSED: bool>(
    rows: &[&[[f32; L]]; K],
    coefficients: &[[[f32; K]; 2]; 2],
    sums: &mut [[f32; L]],
    others: &mut [[f32; L]],
    kept: &mut [[f32; L]],
) {
    let blocks = rows[0].len();
    let mut rows = *rows;
    for row in &mut rows {
        *row = &row[..blocks];
    }
    let (sums, others) = (&mut sums[..2 * blocks], &mut others[..2 * blocks]);
    let kept = &mut kept[..K * blocks];
    for j in 0..blocks {
        let mut own = [sums[j], sums[blocks + j]];
        let mut other = [others[j], others[blocks + j]];
        for k in 0..K {
            let mut x = rows[k][j];
            step::<L, K, FUSED, false>(&mut x, &coefficients[0], k, &mut own);
            step::<L, K, FUSED, true>(&mut x, &coefficients[1], k, &mut other);
            kept[k * blocks + j] = x;
        }
        [sums[j], sums[blocks + j]] = own;
        [others[j], others[blocks + j]] = other;
    }
}

/// Adds one channel's values, and leaves them as they were read.
#[inline(always)]
fn step<const L: usize, const K: usize, const FUSED: bool, const RELU: bool>(
    x: &mut [f32; L],
    [squares, plane]: &[[f32; K]; 2],
    k: usize,
    [square_sum, sum]: &mut [[f32; L]; 2],
) {
    for i in 0..L {
        x[i] = rectified::<RELU>(x[i]);
        sum[i] = fma::<FUSED>(plane[k], x[i], sum[i]);
        square_sum[i] = fma::<FUSED>(squares[k] * x[i], x[i], square_sum[i]);
    }
}

/// `P` planes without squares.
#[inline(always)]
fn linear<const L: usize, const K: usize, const FUSED: bool, const P: usize>(
    rows: &[&[[f32; L]]; K],
    planes: &[[f32; K]; P],
    sums: &mut [[f32; L]],
) {
    let blocks = sums.len() / P;
    let mut rows = *rows;
    for row in &mut rows {
        *row = &row[..blocks];
    }
    for j in 0..blocks {
        let mut own = [[0.0; L]; P];
        for p in 0..P {
            own[p] = sums[p * blocks + j];
        }
        for k in 0..K {
            let x = rows[k][j];
            for p in 0..P {
                for i in 0..L {
                    own[p][i] = fma::<FUSED>(planes[p][k], x[i], own[p][i]);
                }
            }
        }
        for p in 0..P {
            sums[p * blocks + j] = own[p];
        }
    }
}
