//! The exact kernels for integer tensors: sums modulo 2^64, in which no order and no overflow is wrong.

/// How many sums to work on at a time: 4 KiB of them.
const WIDTH: usize = 512;

/// `sums[t][p] += Σ_c planes[t][c] · x[c * pixels + p]` modulo 2^64. If lengths disagree, nothing is added.
pub(crate) fn columns_int<T: Copy + Into<i64>>(
    x: &[T],
    channels: usize,
    pixels: usize,
    planes: &[i64],
    sums: &mut [i64],
) {
    if !agree(x.len(), channels, pixels, planes.len(), sums.len()) {
        return;
    }
    for first in (0..pixels).step_by(WIDTH) {
        for (c, row) in x.chunks_exact(pixels).enumerate() {
            let row = &row[first..pixels.min(first + WIDTH)];
            for (plane, sums) in planes.chunks_exact(channels).zip(sums.chunks_exact_mut(pixels)) {
                let a = plane[c];
                for (sum, x) in sums[first..].iter_mut().zip(row) {
                    *sum = sum.wrapping_add(a.wrapping_mul((*x).into()));
                }
            }
        }
    }
}

/// `sums[t][m] += Σ_c planes[t][c] · x[m * channels + c]` modulo 2^64. If lengths disagree, nothing is added.
pub(crate) fn rows_int<T: Copy + Into<i64>>(
    x: &[T],
    channels: usize,
    rows: usize,
    planes: &[i64],
    sums: &mut [i64],
) {
    if !agree(x.len(), channels, rows, planes.len(), sums.len()) {
        return;
    }
    for (m, row) in x.chunks_exact(channels).enumerate() {
        for (plane, sums) in planes.chunks_exact(channels).zip(sums.chunks_exact_mut(rows)) {
            let sum = plane
                .iter()
                .zip(row)
                .fold(0_i64, |sum, (a, x)| sum.wrapping_add(a.wrapping_mul((*x).into())));
            sums[m] = sums[m].wrapping_add(sum);
        }
    }
}

/// Whether there is something to add and every length is what the others say.
fn agree(x: usize, channels: usize, pixels: usize, planes: usize, sums: usize) -> bool {
    let agree = channels.checked_mul(pixels) == Some(x)
        && (x == 0
            || (planes.is_multiple_of(channels)
                && (planes / channels).checked_mul(pixels) == Some(sums)));
    debug_assert!(agree, "lengths disagree");
    agree && x != 0
}
