//! The innermost loops of the column kernel: a group of `K` channels, block of lanes by block.
//!
//! `rows` are the channels' values, all of as many blocks. `sums` holds one vector of that length after
//! the other, squares first where there are any.

use super::lanes::{fma, rectified};

/// The squares and one plane; with `RELU`, what was read is kept for the planes that follow.
#[inline(always)]
pub(super) fn both<const L: usize, const K: usize, const FUSED: bool, const RELU: bool>(
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

/// `both` of two reductions at once, the second rectified and kept.
#[inline(always)]
pub(super) fn pair<const L: usize, const K: usize, const FUSED: bool>(
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
pub(super) fn linear<const L: usize, const K: usize, const FUSED: bool, const P: usize>(
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
