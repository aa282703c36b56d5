//! The kernel for a weighted sum of lines: what a convolution of few channels comes down to.

use super::BLOCK;
use super::lanes::fma;

/// `out[i] += Σ_l a[l] · lines[l][i]`; every line is at least as long as `out`.
#[inline(always)]
pub(super) fn run<const L: usize, const FUSED: bool>(lines: &[&[f32]], a: &[f32], out: &mut [f32]) {
    let (wide, remainder) = out.as_chunks_mut::<L>();
    let from = wide.len() * L;
    for (i, out) in wide.iter_mut().enumerate() {
        add::<L, FUSED>(lines, a, i * L, out);
    }
    let (narrow, last) = remainder.as_chunks_mut::<16>();
    let then = from + narrow.len() * 16;
    for (i, out) in narrow.iter_mut().enumerate() {
        add::<16, FUSED>(lines, a, from + i * 16, out);
    }
    for (i, out) in last.iter_mut().enumerate() {
        add::<1, FUSED>(lines, a, then + i, std::array::from_mut(out));
    }
}

#[inline(always)]
fn add<const L: usize, const FUSED: bool>(
    lines: &[&[f32]],
    a: &[f32],
    at: usize,
    out: &mut [f32; L],
) {
    let mut totals = *out;
    for (lines, a) in lines.chunks(BLOCK).zip(a.chunks(BLOCK)) {
        let mut sums = [0.0; L];
        for (line, a) in lines.iter().zip(a) {
            let Some(values) = line.get(at..).and_then(|l| l.first_chunk::<L>()) else { return };
            for i in 0..L {
                sums[i] = fma::<FUSED>(*a, values[i], sums[i]);
            }
        }
        for i in 0..L {
            totals[i] += sums[i];
        }
    }
    *out = totals;
}
