//! The exact kernels for integer tensors: sums modulo 2^64, in which no order and no overflow is wrong.

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

/// Returns whether there is something to add and every length is what the others say.
fn agree(x: usize, channels: usize, pixels: usize, planes: usize, sums: usize) -> bool {
    let agree = channels.checked_mul(pixels) == Some(x)
        && (x == 0
            || (planes.is_multiple_of(channels)
                && (planes / channels).checked_mul(pixels) == Some(sums)));
    debug_assert!(agree, "lengths disagree");
    agree && x != 0
}
