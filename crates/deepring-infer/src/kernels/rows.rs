//! The kernel for channels last: one row at a time, with enough lanes to hide the latency of a sum.

use super::BLOCK;
use super::lanes::{LaneBuffer, fma, padded, rectified, total};
use super::share::{PartialReduction, Span};

/// How many rows make a share that is worth handing to a thread: 64 KiB.
pub(super) fn width(channels: usize) -> usize {
    ((64 << 10) / size_of::<f32>() / channels.max(1)).max(1)
}

/// `L` lanes: several vectors.
#[inline(always)]
pub(super) fn run<const L: usize, const FUSED: bool>(
    span: &Span<'_>,
    first: usize,
    parts: &mut [PartialReduction<'_>],
    scratch: &mut LaneBuffer,
) {
    let Some(count) = parts.first().map(|part| part.square_sums.len()) else { return };
    let planes = parts.iter().map(|part| part.sums.len() + 1).max().unwrap_or_default();
    // The lanes are added up from memory: from registers the compiler would do both sums at once, and
    // to that end mix them all along the row.
    let lanes = scratch.blocks::<L>(planes);
    for m in 0..count {
        let row = &span.x[(first + m) * span.channels..][span.part.clone()];
        for part in &mut *parts {
            let Some((squares, lanes)) = lanes.split_first_mut() else { return };
            let plane = |t: usize| &part.planes[t * span.channels..][span.part.clone()];
            for (t, lanes) in lanes.iter_mut().enumerate().take(part.sums.len()) {
                let own = &part.squares[span.part.clone()];
                match (t, part.relu) {
                    (0, false) => both::<L, FUSED, false>(row, plane(t), own, lanes, squares),
                    (0, true) => both::<L, FUSED, true>(row, plane(t), own, lanes, squares),
                    (_, false) => linear::<L, FUSED, false>(row, plane(t), lanes),
                    (_, true) => linear::<L, FUSED, true>(row, plane(t), lanes),
                }
            }
            for (sums, lanes) in part.sums.iter_mut().zip(&*lanes) {
                sums[m] += total(*lanes);
            }
            part.square_sums[m] += total(*squares);
        }
    }
}

/// One plane and the squares of one row.
#[inline(always)]
fn both<const L: usize, const FUSED: bool, const RELU: bool>(
    row: &[f32],
    plane: &[f32],
    squares: &[f32],
    sums: &mut [f32; L],
    square_sums: &mut [f32; L],
) {
    let (row, row_end) = row.as_chunks();
    let (plane, plane_end) = plane.as_chunks();
    let (squares, squares_end) = squares.as_chunks();
    (*sums, *square_sums) = ([0.0; L], [0.0; L]);
    let blocks = row.chunks(BLOCK).zip(plane.chunks(BLOCK)).zip(squares.chunks(BLOCK));
    for ((row, plane), squares) in blocks {
        let (mut sum, mut square_sum) = ([0.0; L], [0.0; L]);
        for ((x, plane), squares) in row.iter().zip(plane).zip(squares) {
            step::<L, FUSED, RELU>(x, plane, &mut sum);
            square_step::<L, FUSED, RELU>(x, squares, &mut square_sum);
        }
        add(sums, &sum);
        add(square_sums, &square_sum);
    }
    if !row_end.is_empty() {
        let x = padded(row_end);
        step::<L, FUSED, RELU>(&x, &padded(plane_end), sums);
        square_step::<L, FUSED, RELU>(&x, &padded(squares_end), square_sums);
    }
}

/// One plane of one row.
#[inline(always)]
fn linear<const L: usize, const FUSED: bool, const RELU: bool>(
    row: &[f32],
    plane: &[f32],
    sums: &mut [f32; L],
) {
    let (row, row_end) = row.as_chunks();
    let (plane, plane_end) = plane.as_chunks();
    *sums = [0.0; L];
    for (row, plane) in row.chunks(BLOCK).zip(plane.chunks(BLOCK)) {
        let mut sum = [0.0; L];
        for (x, plane) in row.iter().zip(plane) {
            step::<L, FUSED, RELU>(x, plane, &mut sum);
        }
        add(sums, &sum);
    }
    if !row_end.is_empty() {
        step::<L, FUSED, RELU>(&padded(row_end), &padded(plane_end), sums);
    }
}

// Functions, not closures: a closure that is not inlined is compiled without its caller's instructions.
#[inline(always)]
fn step<const L: usize, const FUSED: bool, const RELU: bool>(
    x: &[f32; L],
    plane: &[f32; L],
    sum: &mut [f32; L],
) {
    for i in 0..L {
        sum[i] = fma::<FUSED>(plane[i], rectified::<RELU>(x[i]), sum[i]);
    }
}

#[inline(always)]
fn add<const L: usize>(to: &mut [f32; L], from: &[f32; L]) {
    for i in 0..L {
        to[i] += from[i];
    }
}

#[inline(always)]
fn square_step<const L: usize, const FUSED: bool, const RELU: bool>(
    x: &[f32; L],
    squares: &[f32; L],
    sum: &mut [f32; L],
) {
    for i in 0..L {
        let x = rectified::<RELU>(x[i]);
        sum[i] = fma::<FUSED>(squares[i] * x, x, sum[i]);
    }
}
