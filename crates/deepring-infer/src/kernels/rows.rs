//! The kernel for channels last: one row at a time, with enough lanes to hide the latency of a sum.

use super::lanes::{Scratch, fma, padded, rectified, total};
use super::share::{Part, Span};

/// How many rows make a share that is worth handing to a thread: 64 KiB.
pub(super) fn width(channels: usize) -> usize {
    ((64 << 10) / size_of::<f32>() / channels.max(1)).max(1)
}

/// `L` lanes: several vectors.
#[inline(always)]
pub(super) fn run<const L: usize, const FUSED: bool>(
    span: &Span<'_>,
    first: usize,
    parts: &mut [Part<'_>],
    _: &mut Scratch,
) {
    let Some(count) = parts.first().map(|part| part.square_sums.len()) else { return };
    for m in 0..count {
        let row = &span.x[(first + m) * span.channels..][span.part.clone()];
        for part in &mut *parts {
            let squares = &part.squares[span.part.clone()];
            for (t, sums) in part.sums.iter_mut().enumerate() {
                let plane = &part.planes[t * span.channels..][span.part.clone()];
                let (sum, square_sum) = match (t, part.relu) {
                    (0, false) => dot::<L, FUSED, false, true>(row, plane, squares),
                    (0, true) => dot::<L, FUSED, true, true>(row, plane, squares),
                    (_, false) => dot::<L, FUSED, false, false>(row, plane, squares),
                    (_, true) => dot::<L, FUSED, true, false>(row, plane, squares),
                };
                sums[m] += sum;
                part.square_sums[m] += square_sum;
            }
        }
    }
}

/// The sum of a row, and that of its squares if `SQUARES`, else zero.
#[inline(always)]
fn dot<const L: usize, const FUSED: bool, const RELU: bool, const SQUARES: bool>(
    row: &[f32],
    plane: &[f32],
    squares: &[f32],
) -> (f32, f32) {
    let (mut sum, mut square_sum) = ([0.0; L], [0.0; L]);
    let mut step = |x: &[f32; L], plane: &[f32; L], squares: &[f32; L]| {
        for i in 0..L {
            let x = rectified::<RELU>(x[i]);
            sum[i] = fma::<FUSED>(plane[i], x, sum[i]);
            if SQUARES {
                square_sum[i] = fma::<FUSED>(squares[i] * x, x, square_sum[i]);
            }
        }
    };
    let (row, row_end) = row.as_chunks();
    let (plane, plane_end) = plane.as_chunks();
    let (squares, squares_end) = squares.as_chunks();
    for ((x, plane), squares) in row.iter().zip(plane).zip(squares) {
        step(x, plane, squares);
    }
    if !row_end.is_empty() {
        step(&padded(row_end), &padded(plane_end), &padded(squares_end));
    }
    (total(sum), total(square_sum))
}
