//! How a tensor is shared out: into runs of pixels, or of channels when pixels are few.

use std::ops::Range;

use rayon::prelude::*;

use super::Reduction;
use super::lanes::LaneBuffer;

/// Channels are shared out in multiples of this, so that only the last share has an incomplete group.
const GROUP: usize = 16;

/// A tensor, and the channels of it that are to be summed. `x` holds `channels * pixels` values.
#[derive(Clone)]
pub(super) struct Span<'a> {
    pub(super) x: &'a [f32],
    pub(super) channels: usize,
    pub(super) pixels: usize,
    pub(super) part: Range<usize>,
}

/// A reduction of one run of pixels: its sums are cut out of each plane, and all as long as `square_sums`.
pub(super) struct PartialReduction<'a> {
    pub(super) relu: bool,
    pub(super) planes: &'a [f32],
    pub(super) squares: &'a [f32],
    pub(super) sums: Vec<&'a mut [f32]>,
    pub(super) square_sums: &'a mut [f32],
}

/// Has `kernel` add up all of `span`, `width` pixels at a time; it is told where a run begins.
pub(super) fn shared(
    span: Span<'_>,
    threads: usize,
    width: usize,
    reductions: &mut [Reduction<'_>],
    kernel: impl Fn(&Span<'_>, usize, &mut [PartialReduction<'_>], &mut LaneBuffer) + Sync,
) {
    let runs = span.pixels.div_ceil(width);
    // Runs of the same length, so that no thread waits for another's; a multiple of 16 for the vectors.
    let even = span.pixels.div_ceil(runs).next_multiple_of(if width < 16 { width } else { 16 });
    if threads == 1 {
        let scratch = &mut LaneBuffer::default();
        for (i, mut parts) in runs_of(reductions, span.pixels, even).into_iter().enumerate() {
            kernel(&span, i * even, &mut parts, scratch);
        }
    } else if runs >= threads {
        let runs: Vec<_> = runs_of(reductions, span.pixels, even).into_iter().enumerate().collect();
        runs.into_par_iter().for_each_init(LaneBuffer::default, |scratch, (i, mut parts)| {
            kernel(&span, i * even, &mut parts, scratch);
        });
    } else {
        by_channels(&span, threads, even, reductions, kernel);
    }
}

/// Each thread sums some of the channels of all pixels into sums of its own.
fn by_channels(
    span: &Span<'_>,
    threads: usize,
    width: usize,
    reductions: &mut [Reduction<'_>],
    kernel: impl Fn(&Span<'_>, usize, &mut [PartialReduction<'_>], &mut LaneBuffer) + Sync,
) {
    let step = span.channels.div_ceil(threads).next_multiple_of(GROUP);
    let lengths: Vec<_> = reductions.iter().map(|r| (r.sums.len(), r.square_sums.len())).collect();
    let coefficients: Vec<_> = reductions.iter().map(|r| (r.relu, r.planes, r.squares)).collect();
    let shares: Vec<_> = (0..span.channels)
        .into_par_iter()
        .step_by(step)
        .map(|from| {
            let span = Span { part: from..span.channels.min(from + step), ..span.clone() };
            let mut own: Vec<_> =
                lengths.iter().map(|(n, squares)| (vec![0.0; *n], vec![0.0; *squares])).collect();
            let mut reductions: Vec<_> = coefficients
                .iter()
                .zip(&mut own)
                .map(|(&(relu, planes, squares), (sums, square_sums))| Reduction {
                    relu,
                    planes,
                    squares,
                    sums,
                    square_sums,
                })
                .collect();
            let scratch = &mut LaneBuffer::default();
            let runs = runs_of(&mut reductions, span.pixels, width);
            for (i, mut parts) in runs.into_iter().enumerate() {
                kernel(&span, i * width, &mut parts, scratch);
            }
            own
        })
        .collect();
    for own in shares {
        for (reduction, (sums, square_sums)) in reductions.iter_mut().zip(own) {
            add(reduction.sums, &sums);
            add(reduction.square_sums, &square_sums);
        }
    }
}

fn add(to: &mut [f32], from: &[f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += from;
    }
}

/// The reductions cut into runs of `width` pixels.
fn runs_of<'a>(
    reductions: &'a mut [Reduction<'_>],
    pixels: usize,
    width: usize,
) -> Vec<Vec<PartialReduction<'a>>> {
    let mut runs: Vec<Vec<PartialReduction<'a>>> = Vec::new();
    runs.resize_with(pixels.div_ceil(width), || Vec::with_capacity(reductions.len()));
    for reduction in reductions {
        let count = reduction.sums.len() / pixels;
        for (run, square_sums) in runs.iter_mut().zip(reduction.square_sums.chunks_mut(width)) {
            run.push(PartialReduction {
                relu: reduction.relu,
                planes: reduction.planes,
                squares: reduction.squares,
                sums: Vec::with_capacity(count),
                square_sums,
            });
        }
        for plane in reduction.sums.chunks_mut(pixels) {
            for (run, sums) in runs.iter_mut().zip(plane.chunks_mut(width)) {
                if let Some(part) = run.last_mut() {
                    part.sums.push(sums);
                }
            }
        }
    }
    runs
}
