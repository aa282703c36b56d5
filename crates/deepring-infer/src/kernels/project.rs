//! The kernels that draw a key's coefficients: one pass over the weights, summed in f64.

use super::lanes::{fma64, padded};

/// How many columns to read at a time: the sums, 16 KiB, stay in L1.
pub(super) const WIDTH: usize = 1024;

/// The columns from `first` on, as many as `out` is long; `K` channels at a time.
#[inline(always)]
pub(super) fn columns<const L: usize, const K: usize, const FUSED: bool>(
    (w, pixels): (&[f32], usize),
    first: usize,
    r: &[f32],
    out: &mut [f64],
    out2: &mut [f64],
) {
    let whole = out.len() / L * L;
    let (out, out_end) = out.split_at_mut(whole);
    let (out2, out2_end) = out2.split_at_mut(whole);
    let (out, out2) = (out.as_chunks_mut::<L>().0, out2.as_chunks_mut::<L>().0);
    let blocks = out.len();
    let mut groups = r.chunks_exact(K);
    let mut c = 0;
    for group in &mut groups {
        let group = padded(group);
        let mut rows: [&[[f32; L]]; K] = [&[]; K];
        for (k, row) in rows.iter_mut().enumerate() {
            *row = w[(c + k) * pixels + first..][..whole].as_chunks().0;
        }
        columns_of::<L, K, FUSED>(&rows, &group, out, out2);
        c += K;
    }
    for (k, r) in groups.remainder().iter().enumerate() {
        let row = w[(c + k) * pixels + first..][..whole].as_chunks().0;
        columns_of::<L, 1, FUSED>(&[&row[..blocks]], &[*r], out, out2);
    }
    // Fewer columns than lanes.
    for (p, (out, out2)) in out_end.iter_mut().zip(out2_end).enumerate() {
        for (r, w) in r.iter().zip(w[first + whole + p..].iter().step_by(pixels)) {
            let term = f64::from(*r) * f64::from(*w);
            *out += term;
            *out2 = fma64::<FUSED>(term, term, *out2);
        }
    }
}

#[inline(always)]
fn columns_of<const L: usize, const K: usize, const FUSED: bool>(
    rows: &[&[[f32; L]]; K],
    r: &[f32; K],
    out: &mut [[f64; L]],
    out2: &mut [[f64; L]],
) {
    let blocks = out.len();
    let mut rows = *rows;
    for row in &mut rows {
        *row = &row[..blocks];
    }
    let out2 = &mut out2[..blocks];
    for j in 0..blocks {
        let (mut sum, mut square_sum) = (out[j], out2[j]);
        for k in 0..K {
            for i in 0..L {
                let term = f64::from(r[k]) * f64::from(rows[k][j][i]);
                sum[i] += term;
                square_sum[i] = fma64::<FUSED>(term, term, square_sum[i]);
            }
        }
        out[j] = sum;
        out2[j] = square_sum;
    }
}

/// The rows from `first` on, as many as `out` is long.
#[inline(always)]
pub(super) fn rows<const L: usize, const FUSED: bool>(
    w: &[f32],
    first: usize,
    r: &[f32],
    out: &mut [f64],
    out2: &mut [f64],
) {
    let rows = w[first * r.len()..].chunks_exact(r.len());
    let (r, r_end) = r.as_chunks::<L>();
    let r_end = padded(r_end);
    // Added up from memory, as in `rows`.
    let mut lanes = vec![[0.0; L]; 2];
    for (w, (out, out2)) in rows.zip(out.iter_mut().zip(out2)) {
        let (w, w_end) = w.as_chunks::<L>();
        let (mut sum, mut square_sum) = ([0.0; L], [0.0; L]);
        for (w, r) in w.iter().zip(r) {
            row_step::<L, FUSED>(w, r, &mut sum, &mut square_sum);
        }
        row_step::<L, FUSED>(&padded(w_end), &r_end, &mut sum, &mut square_sum);
        lanes[0] = sum;
        lanes[1] = square_sum;
        for (out, lanes) in [out, out2].into_iter().zip(&lanes) {
            *out += lanes.iter().sum::<f64>();
        }
    }
}

#[inline(always)]
fn row_step<const L: usize, const FUSED: bool>(
    w: &[f32; L],
    r: &[f32; L],
    sum: &mut [f64; L],
    square_sum: &mut [f64; L],
) {
    for i in 0..L {
        let term = f64::from(r[i]) * f64::from(w[i]);
        sum[i] += term;
        square_sum[i] = fma64::<FUSED>(term, term, square_sum[i]);
    }
}
