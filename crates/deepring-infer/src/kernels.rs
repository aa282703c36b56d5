//! The vector kernels of the Freivalds check: weighted sums over the channels of a tensor.
//!
//! They read every activation of a query, so they must run at the speed of the caches. Each kernel is
//! written once, as safe code over fixed arrays of lanes that the compiler turns into vectors;
//! `dispatch` compiles it for each instruction set and picks one when the program runs. The portable
//! instance is the twin that tests compare the others with.
//!
//! A value that is not finite reaches the sums of its pixel, whatever the lane, the reduction and the
//! coefficient: nothing here goes through a `max` that drops a NaN. A pixel's sum does not depend on its
//! neighbours or on how pixels are shared out; only if there are too few pixels for the threads are the
//! channels shared out instead, and the threads' sums added at the end.

mod columns;
mod dispatch;
mod lanes;
mod project;
mod rows;
mod share;
#[cfg(test)]
mod tests;
mod tile;
mod weighted;

use dispatch::Isa;
use share::{Span, shared};

/// The instruction set that kernels are chosen for, by name.
pub(crate) fn instruction_set() -> &'static str {
    Isa::detect().name()
}

/// Below this many bytes a tensor is read by one thread: a run has several tensors to look at, and threads that
/// each take one of them wait less than threads that share one.
const PARALLEL: usize = 2 << 20;

/// Terms that one running sum takes before it is added to the total. Where weights and inputs are nearly equal, a running sum
/// rounds the same way at each term: its error grows with their number, the check's bound with the root of it
/// (docs/CHECKS.md). In blocks, the first is bounded.
pub(crate) const BLOCK: usize = 64;

/// Weighted sums of one pass over a tensor. `planes` holds T ≥ 1 coefficient vectors of `channels`
/// each, plane-major; `sums` holds T × pixels, and `square_sums` one per pixel.
pub(crate) struct Reduction<'a> {
    /// True if max(x, 0) is read instead of x; NaN stays NaN.
    pub(crate) relu: bool,
    pub(crate) planes: &'a [f32],
    pub(crate) squares: &'a [f32],
    /// `sums[t][p] += Σ_c planes[t][c] · x[c][p]`
    pub(crate) sums: &'a mut [f32],
    /// `square_sums[p] += Σ_c squares[c] · x[c][p]²`
    pub(crate) square_sums: &'a mut [f32],
}

impl Reduction<'_> {
    fn fits(&self, channels: usize, pixels: usize) -> bool {
        let planes = self.planes.len() / channels.max(1);
        planes > 0
            && self.planes.len() == planes * channels
            && self.squares.len() == channels
            && self.square_sums.len() == pixels
            && planes.checked_mul(pixels) == Some(self.sums.len())
    }
}

/// Reads `x[c * pixels + p]`, channels first: one image of a convolution. If lengths disagree, nothing is
/// added. A plain reduction followed by a rectified one is the fastest order of two.
pub(crate) fn columns(x: &[f32], channels: usize, pixels: usize, reductions: &mut [Reduction<'_>]) {
    columns_with(Isa::detect(), threads(x.len()), x, channels, pixels, reductions);
}

/// Reads `x[m * channels + c]`, channels last: the rows of a matrix, which stand for the pixels. If
/// lengths disagree, nothing is added.
pub(crate) fn rows(x: &[f32], channels: usize, rows: usize, reductions: &mut [Reduction<'_>]) {
    rows_with(Isa::detect(), threads(x.len()), x, channels, rows, reductions);
}

/// `out[i] += Σ_l a[l] · lines[l][i]`. If a line is shorter than `out`, what follows is not a number, so that
/// nothing passes for a sum that is none.
pub(crate) fn weighted(lines: &[&[f32]], a: &[f32], out: &mut [f32]) {
    if lines.len() != a.len() || lines.iter().any(|l| l.len() < out.len()) {
        debug_assert!(false, "lengths disagree");
        return out.fill(f32::NAN);
    }
    dispatch::weighted(Isa::detect(), lines, a, out);
}

/// `out[p] += Σ_c r[c] · w[c][p]` and `out2[p] += Σ_c r[c]² · w[c][p]²`. If lengths disagree, nothing is
/// added.
pub(crate) fn project_columns(
    w: &[f32],
    channels: usize,
    pixels: usize,
    r: &[f32],
    out: &mut [f64],
    out2: &mut [f64],
) {
    project_with(Isa::detect(), threads(w.len()), true, (w, channels, pixels), r, out, out2);
}

/// `out[m] += Σ_c r[c] · w[m][c]` and `out2[m] += Σ_c r[c]² · w[m][c]²`. If lengths disagree, nothing is
/// added.
pub(crate) fn project_rows(
    w: &[f32],
    rows: usize,
    channels: usize,
    r: &[f32],
    out: &mut [f64],
    out2: &mut [f64],
) {
    project_with(Isa::detect(), threads(w.len()), false, (w, channels, rows), r, out, out2);
}

fn threads(values: usize) -> usize {
    if values.saturating_mul(4) > PARALLEL { rayon::current_num_threads() } else { 1 }
}

fn columns_with(
    isa: Isa,
    threads: usize,
    x: &[f32],
    channels: usize,
    pixels: usize,
    reductions: &mut [Reduction<'_>],
) {
    if pixels == 1 {
        return rows_with(isa, threads, x, channels, 1, reductions);
    }
    let Some(span) = span(x, channels, pixels, reductions) else { return };
    let planes = reductions.iter().map(|r| r.planes.len() / channels + 1).sum();
    shared(span, threads, columns::width(planes), reductions, |span, first, parts, scratch| {
        dispatch::columns(isa, span, first, parts, scratch);
    });
}

fn rows_with(
    isa: Isa,
    threads: usize,
    x: &[f32],
    channels: usize,
    rows: usize,
    reductions: &mut [Reduction<'_>],
) {
    let Some(span) = span(x, channels, rows, reductions) else { return };
    shared(span, threads, rows::width(channels), reductions, |span, first, parts, scratch| {
        dispatch::rows(isa, span, first, parts, scratch);
    });
}

/// `None` if there is nothing to read, or if a length is not what the others say.
fn span<'a>(
    x: &'a [f32],
    channels: usize,
    pixels: usize,
    reductions: &[Reduction<'_>],
) -> Option<Span<'a>> {
    let agree = channels.checked_mul(pixels) == Some(x.len())
        && (x.is_empty() || reductions.iter().all(|r| r.fits(channels, pixels)));
    debug_assert!(agree, "lengths disagree");
    (agree && !x.is_empty() && !reductions.is_empty()).then_some(Span {
        x,
        channels,
        pixels,
        part: 0..channels,
    })
}

fn project_with(
    isa: Isa,
    threads: usize,
    columns: bool,
    (w, channels, pixels): (&[f32], usize, usize),
    r: &[f32],
    out: &mut [f64],
    out2: &mut [f64],
) {
    use rayon::prelude::*;

    let agree = channels.checked_mul(pixels) == Some(w.len())
        && r.len() == channels
        && out.len() == pixels
        && out2.len() == pixels;
    debug_assert!(agree, "lengths disagree");
    if !agree || w.is_empty() {
        return;
    }
    let width = if columns { project::WIDTH } else { rows::width(channels) };
    let one = |(i, (out, out2)): (usize, (&mut [f64], &mut [f64]))| {
        if columns {
            dispatch::project_columns(isa, (w, pixels), i * width, r, out, out2);
        } else {
            dispatch::project_rows(isa, w, i * width, r, out, out2);
        }
    };
    if threads > 1 {
        out.par_chunks_mut(width).zip(out2.par_chunks_mut(width)).enumerate().for_each(one);
    } else {
        out.chunks_mut(width).zip(out2.chunks_mut(width)).enumerate().for_each(one);
    }
}

/// `sums[t][m] += Σ_c planes[t][c] · x[m * channels + c]` modulo 2^64, in which no order and no overflow is wrong. If lengths
/// disagree, nothing is added.
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
