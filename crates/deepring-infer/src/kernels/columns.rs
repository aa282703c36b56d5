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

        let mut sums = &mut *sums;
        for part in &*parts {
            let own;
            (own, sums) = sums.split_at_mut((part.sums.len() + 1) * blocks);
            read::<L, K, FUSED>(&rows, part, (c, group, span.channels), own, kept);
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
    (c, group, channels): (usize, usize, usize),
    sums: &mut [[f32; L]],
    kept: &mut [[f32; L]],
) {
    let blocks = rows[0].len();
    let plane = |t: usize| padded::<K>(&part.planes[t * channels + c..][..group]);
    let squares = padded::<K>(&part.squares[c..][..group]);
    let (square_sums, sums) = sums.split_at_mut(blocks);
    let (own, mut sums) = sums.split_at_mut(blocks);
    let mut rows = *rows;
    if part.relu {
        both::<L, K, FUSED, true>(&rows, &plane(0), &squares, own, square_sums, kept);
        for (row, kept) in rows.iter_mut().zip(kept.chunks_exact(blocks)) {
            *row = kept;
        }
    } else {
        both::<L, K, FUSED, false>(&rows, &plane(0), &squares, own, square_sums, kept);
    }
    let (mut t, count) = (1, part.sums.len());
    while t < count {
        let taken = (count - t).min(3);
        let own;
        (own, sums) = sums.split_at_mut(taken * blocks);
        match taken {
            3 => linear::<L, K, FUSED, 3>(&rows, &[plane(t), plane(t + 1), plane(t + 2)], own),
            2 => linear::<L, K, FUSED, 2>(&rows, &[plane(t), plane(t + 1)], own),
            _ => linear::<L, K, FUSED, 1>(&rows, &[plane(t)], own),
        }
        t += taken;
    }
}

/// One plane and the squares; with `RELU`, what was read is kept for the planes that follow.
#[inline(always)]
fn both<const L: usize, const K: usize, const FUSED: bool, const RELU: bool>(
    rows: &[&[[f32; L]]; K],
    plane: &[f32; K],
    squares: &[f32; K],
    sums: &mut [[f32; L]],
    square_sums: &mut [[f32; L]],
    kept: &mut [[f32; L]],
) {
    let blocks = sums.len();
    let mut rows = *rows;
    for row in &mut rows {
        *row = &row[..blocks];
    }
    let square_sums = &mut square_sums[..blocks];
    let kept = &mut kept[..K * blocks];
    for j in 0..blocks {
        let (mut sum, mut square_sum) = (sums[j], square_sums[j]);
        for k in 0..K {
            let mut x = rows[k][j];
            for i in 0..L {
                x[i] = rectified::<RELU>(x[i]);
                sum[i] = fma::<FUSED>(plane[k], x[i], sum[i]);
                square_sum[i] = fma::<FUSED>(squares[k] * x[i], x[i], square_sum[i]);
            }
            if RELU {
                kept[k * blocks + j] = x;
            }
        }
        sums[j] = sum;
        square_sums[j] = square_sum;
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
