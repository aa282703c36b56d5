//! Holding the values of a run against the projections: one pass over each value, then a comparison for each
//! operator.

mod shape;

use rayon::prelude::*;

use super::direct;
use super::operators::{Linear, LinearForm};
use super::projection::{Fit, Projection};
use super::reductions::{OperatorReduction, ReductionPass, TensorRole, reduction_passes};
use crate::engine::{Elements, View};
use crate::kernels::{self, columns, rows};
pub(crate) use shape::fits_shape;
pub(super) use shape::{matrix, picture};

/// Below so many elements, starting threads costs more than they save.
const PARALLEL_FROM_ELEMENTS: usize = 1 << 16;

/// Squares of outputs of 2^-40. Rounding of larger ones is far above what vanishes.
const LEAST_OUTPUT_SQUARED: f32 = 1.0 / (1u128 << 80) as f32;

/// The sums over one side of an operator.
#[derive(Debug, Default)]
struct Side {
    /// Pictures; of a matrix one.
    images: usize,
    /// Height and width of a picture; of a matrix 1 and its rows.
    size: [usize; 2],
    /// Planes of sums: over outputs one, over inputs one for each tap.
    planes: usize,
    /// `[picture][plane][row][column]`
    sums: Vec<f32>,
    /// `[picture][row][column]`
    squares: Vec<f32>,
}

impl Side {
    fn pixels(&self) -> usize {
        self.size[0] * self.size[1]
    }
}

/// The comparison of one operator's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Compared {
    pub(crate) linear: usize,
    /// How many places agree.
    pub(crate) places: usize,
    /// Places, by their number in `[picture][row][column]` of the output, at which there are no sums to compare: an input is no
    /// finite number, or sums leave 32-bit floats.
    pub(crate) open: Vec<usize>,
    /// Places, numbered likewise, at which the sides differ by more than independent rounding errors give. Wrong, unless the
    /// operator's own sums, term by term, say otherwise.
    pub(crate) differing: Vec<usize>,
}

impl Compared {
    pub(crate) fn everywhere(linear: usize, places: usize) -> Self {
        Self { linear, places, open: Vec::new(), differing: Vec::new() }
    }
}

/// The operator whose output is not what the sealed parameters give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Misfit(pub(crate) usize);

/// The power of two that brings values of this size to about 2^20, so that their squares and sums over them stay within
/// 32-bit floats; 1 for smaller ones.
fn scale_down(largest: f32) -> f32 {
    let exponent = (largest.to_bits() >> 23) & 0xff;
    let above = exponent.saturating_sub(127 + 20);
    f32::from_bits((127 - above.min(126)) << 23)
}

/// The power of two that brings values of this size to about 2^20; 1 for larger ones, and for none.
fn scale_up(largest: f32) -> f32 {
    let exponent = (largest.to_bits() >> 23) & 0xff;
    let below = (127u32 + 20).saturating_sub(exponent).min(126);
    if largest > 0.0 { f32::from_bits((127 + below) << 23) } else { 1.0 }
}

/// The largest of a tensor's finite elements, by size.
fn largest(view: &View<'_>, relu: bool) -> f32 {
    let Elements::F32(elements) = &view.elements else { return 0.0 };
    let read = elements.iter().filter(|v| v.is_finite() && !(relu && **v < 0.0));
    read.fold(0.0, |most: f32, v| most.max(v.abs()))
}

/// [`Products::close`], with both tensors multiplied by a power of two. `places: [picture][row][column]` of the output.
fn close_scaled(
    linear: &Linear,
    projection: &Projection<'_>,
    [x, y]: [&View<'_>; 2],
    scale: f32,
    places: &mut [Fit],
) -> Option<()> {
    let multiplied = |view: &View<'_>| {
        let Elements::F32(elements) = &view.elements else { return None };
        let elements: Vec<f32> = elements.iter().map(|v| v * scale).collect();
        Some(View { dims: view.dims.clone(), elements: Elements::F32(elements.into()) })
    };
    let (x, y) = (multiplied(x), multiplied(y));
    let value = |name: &str| match name {
        name if name == linear.y => y.clone(),
        name if name == linear.x.value => x.clone(),
        _ => None,
    };
    let alone = std::slice::from_ref(linear);
    let mut products = Products::new(alone);
    let only = |number: usize| (number == 0).then_some(projection);
    let read =
        reduction_passes(alone, &[0]).iter().map(|r| products.read(r, &only, &value)).collect();
    let read: Result<Vec<_>, usize> = read;
    for (reduction, _, side) in read.ok()?.into_iter().flatten() {
        if let Some([sides]) = products.sides.first_chunk_mut::<1>() {
            sides[usize::from(reduction.role == TensorRole::Output)] = side;
        }
    }
    products.close(0, projection, &value, scale, places)
}

/// The sums of one run.
pub(crate) struct Products<'a> {
    linears: &'a [Linear],
    /// `[operator][input, output]`
    sides: Vec<[Side; 2]>,
    /// Elements of the two tensors: `[operator][input, output]`.
    sizes: Vec<[usize; 2]>,
}

impl<'a> Products<'a> {
    pub(crate) fn new(linears: &'a [Linear]) -> Self {
        let sides = linears.iter().map(|_| Default::default()).collect();
        Self { linears, sides, sizes: vec![[0; 2]; linears.len()] }
    }

    /// Elements of input and output of each operator that was looked at: `[operator][input, output]`.
    pub(super) fn sizes(self) -> Vec<[usize; 2]> {
        self.sizes
    }

    /// Height and width of an operator's output.
    pub(super) fn output_size(&self, i: usize) -> Option<[usize; 2]> {
        self.sides.get(i).map(|[_, y]| y.size)
    }

    /// Verifies the outputs of these operators, at every place. Returns what was compared of each.
    pub(crate) fn verify<'v, 'p>(
        &mut self,
        passes: &[ReductionPass],
        products: &[usize],
        projection: &(impl Fn(usize) -> Option<&'p Projection<'p>> + Sync),
        value: &(dyn Fn(&str) -> Option<View<'v>> + Sync),
    ) -> Result<Vec<Compared>, Misfit> {
        let read = |pass: &ReductionPass| self.read(pass, projection, value);
        let elements = |r: &ReductionPass| value(&r.value).map_or(0, |v| v.dims.iter().product());
        let much = passes.len() > 1
            && rayon::current_num_threads() > 1
            && passes.iter().map(elements).sum::<usize>() >= PARALLEL_FROM_ELEMENTS;
        let read: Result<Vec<_>, usize> = if much {
            passes.par_iter().map(read).collect()
        } else {
            passes.iter().map(read).collect()
        };
        for (reduction, len, side) in read.map_err(Misfit)?.into_iter().flatten() {
            let role = usize::from(reduction.role == TensorRole::Output);
            let wrong = || Misfit(reduction.linear);
            self.sizes.get_mut(reduction.linear).ok_or_else(wrong)?[role] = len;
            self.sides.get_mut(reduction.linear).ok_or_else(wrong)?[role] = side;
        }
        products.iter().map(|i| self.verify_one(*i, projection(*i), value)).collect()
    }

    fn verify_one<'v>(
        &self,
        i: usize,
        projection: Option<&Projection<'_>>,
        value: &(dyn Fn(&str) -> Option<View<'v>> + Sync),
    ) -> Result<Compared, Misfit> {
        let wrong = || Misfit(i);
        let (linear, projection) = self.linears.get(i).zip(projection).ok_or_else(wrong)?;
        let (x, y) = value(&linear.x.value).zip(value(&linear.y)).ok_or_else(wrong)?;
        if !fits_shape(linear, &x.dims, &y.dims) {
            return Err(wrong());
        }
        // At least one place unless the shapes, which were verified, give none.
        let all = y.dims.iter().product::<usize>() / linear.form.outputs().max(1);
        let tiny = self.is_tiny(i);
        if self.agrees(i, projection, value, all).ok_or_else(wrong)? && !tiny {
            return Ok(Compared::everywhere(i, all));
        }
        // Once more, place by place. A place whose sums and bound are numbers is not compared in another scale: how large an
        // output is never decides, since who makes it up chooses that. `places: [picture][row][column]` of the output.
        let mut places = vec![Fit::Open; all];
        let most = largest(&x, linear.x.relu).max(largest(&y, false));
        let scale = if tiny {
            // The squares of outputs this small have vanished, and with them what the bound is made of: both sides are
            // compared large enough, and in no other way.
            scale_up(most)
        } else {
            // Sums of large values may have left 32-bit floats.
            self.close(i, projection, value, 1.0, &mut places).ok_or_else(wrong)?;
            scale_down(most)
        };
        if places.contains(&Fit::Open) {
            close_scaled(linear, projection, [&x, &y], scale, &mut places).ok_or_else(wrong)?;
        }
        let those = |fit: Fit| -> Vec<usize> {
            (0..).zip(&places).filter(|(_, place)| **place == fit).map(|(i, _)| i).collect()
        };
        let (open, differing) = (those(Fit::Open), those(Fit::Differs));
        Ok(Compared { linear: i, places: all - open.len() - differing.len(), open, differing })
    }

    /// Returns whether every output is so small that squares may have vanished.
    fn is_tiny(&self, i: usize) -> bool {
        let squares = self.sides.get(i).map(|[_, y]| y.squares.as_slice()).unwrap_or_default();
        squares.iter().fold(0.0, |most: f32, v| most.max(*v)) < LEAST_OUTPUT_SQUARED
    }

    /// Returns whether both sides of an operator agree at every place. `None` if they do not fit each other, or have not so many places.
    fn agrees<'v>(
        &self,
        i: usize,
        projection: &Projection<'_>,
        value: &(dyn Fn(&str) -> Option<View<'v>> + Sync),
        places: usize,
    ) -> Option<bool> {
        let (mut count, mut agrees) = (0, true);
        let magnified = self.linears.get(i)?.magnified();
        self.sides(i, projection, value, |y, y2, x, x2| {
            count += y.len();
            agrees &= projection.agrees([y, y2, x, x2], magnified)?;
            Some(())
        })?;
        (count == places).then_some(agrees)
    }

    /// Compares both sides at the places that are open. `places: [picture][row][column]` of the output. `None` if the sides do not
    /// fit each other.
    fn close<'v>(
        &self,
        i: usize,
        projection: &Projection<'_>,
        value: &(dyn Fn(&str) -> Option<View<'v>> + Sync),
        scale: f32,
        places: &mut [Fit],
    ) -> Option<()> {
        let mut rest = places;
        let magnified = self.linears.get(i)?.magnified();
        self.sides(i, projection, value, |y, y2, x, x2| {
            let (some, after) = std::mem::take(&mut rest).split_at_mut_checked(y.len())?;
            rest = after;
            projection.close([y, y2, x, x2], [scale, magnified], some)
        })?;
        rest.is_empty().then_some(())
    }

    /// One pass over a value, for all that read it; with the number of its elements.
    fn read<'v, 'p>(
        &self,
        pass: &ReductionPass,
        projection: &impl Fn(usize) -> Option<&'p Projection<'p>>,
        value: &(dyn Fn(&str) -> Option<View<'v>> + Sync),
    ) -> Result<Vec<(OperatorReduction, usize, Side)>, usize> {
        let blamed = pass.reductions.first().map_or(0, |r| r.linear);
        let view = value(&pass.value).ok_or(blamed)?;
        // `[picture][channel][row][column]`, or of a matrix `[row][channel]`.
        let Elements::F32(elements) = &view.elements else { return Err(blamed) };
        let shape = if pass.channels_first { picture(&view.dims) } else { matrix(&view.dims) };
        let (images, channels, size) = shape.ok_or(blamed)?;
        let pixels = size[0] * size[1];
        if images * channels * pixels != elements.len() {
            return Err(blamed);
        }
        // The inputs of a convolution of few channels are summed when its output's size is known.
        let later = |reduction: &OperatorReduction| {
            reduction.role == TensorRole::Input && self.is_direct(reduction.linear)
        };
        let (later, of): (Vec<OperatorReduction>, Vec<OperatorReduction>) =
            pass.reductions.iter().copied().partition(later);
        let mut done: Vec<_> =
            later.into_iter().map(|r| (r, elements.len(), Side::default())).collect();
        let mut sides = Vec::with_capacity(of.len());
        // For each reduction `planes: [plane][channel]` and `squares: [channel]`.
        let mut coefficients = Vec::with_capacity(of.len());
        for reduction in &of {
            let projection = projection(reduction.linear).ok_or(reduction.linear)?;
            let ((planes, squares), count) = match reduction.role {
                TensorRole::Output => (projection.for_outputs(), 1),
                TensorRole::Input => (projection.for_inputs(), projection.taps()),
            };
            if squares.len() != channels || planes.len() != count * channels {
                return Err(reduction.linear);
            }
            coefficients.push((planes, squares));
            sides.push(Side {
                images,
                size,
                planes: count,
                sums: vec![0.0; images * count * pixels],
                squares: vec![0.0; images * pixels],
            });
        }
        // `x: [channel][pixel]`, or of a matrix `[pixel][channel]`.
        for (image, x) in elements.chunks_exact((channels * pixels).max(1)).enumerate() {
            let mut passes: Vec<kernels::Reduction<'_>> = of
                .iter()
                .zip(&mut sides)
                .zip(&coefficients)
                .map(|((reduction, side), (planes, squares))| kernels::Reduction {
                    relu: reduction.relu,
                    planes,
                    squares,
                    sums: nth_mut(&mut side.sums, image, side.planes * pixels),
                    square_sums: nth_mut(&mut side.squares, image, pixels),
                })
                .collect();
            if pass.channels_first {
                columns(x, channels, pixels, &mut passes);
            } else {
                rows(x, channels, pixels, &mut passes);
            }
        }
        done.extend(of.into_iter().zip(sides).map(|(r, side)| (r, elements.len(), side)));
        Ok(done)
    }

    fn is_direct(&self, i: usize) -> bool {
        match self.linears.get(i).map(|l| &l.form) {
            Some(LinearForm::Conv(window)) => direct::suits(window),
            _ => false,
        }
    }

    /// Gives for each picture the sums and square sums over the outputs and, at the same places, over the inputs, each
    /// `[row][column]` of the output.
    pub(super) fn sides<'v>(
        &self,
        i: usize,
        projection: &Projection<'_>,
        value: &(dyn Fn(&str) -> Option<View<'v>> + Sync),
        mut each: impl FnMut(&[f32], &[f32], &[f32], &[f32]) -> Option<()>,
    ) -> Option<()> {
        let linear = self.linears.get(i)?;
        let [x, y] = self.sides.get(i)?;
        let places = y.pixels();
        if let (LinearForm::Conv(window), true) = (&linear.form, self.is_direct(i)) {
            let view = value(&linear.x.value)?;
            let (images, channels, size) = picture(&view.dims)?;
            // `[picture][channel][row][column]`
            let Elements::F32(elements) = &view.elements else { return None };
            if (images, channels) != (y.images, window.inputs()) {
                return None;
            }
            let len = channels * size[0] * size[1];
            for image in 0..images {
                let x = (elements.get(image * len..)?.get(..len)?, size);
                let [xs, x2] =
                    direct::sums(window, x, y.size, projection.for_inputs(), linear.x.relu)?;
                each(nth(&y.sums, image, places)?, nth(&y.squares, image, places)?, &xs, &x2)?;
            }
            return Some(());
        }
        if x.images != y.images {
            return None;
        }
        let pixels = x.pixels();
        for image in 0..y.images {
            let (ys, y2) = (nth(&y.sums, image, places)?, nth(&y.squares, image, places)?);
            // `xs: [tap][row][column]` and `x2: [row][column]` of the input.
            let xs = nth(&x.sums, image, x.planes * pixels)?;
            let x2 = nth(&x.squares, image, pixels)?;
            match &linear.form {
                LinearForm::Conv(window) if !window.is_pointwise() => {
                    // Each `[row][column]` of the output.
                    let zeros = || vec![0.0; places];
                    let (mut met, mut met2, mut block) = (zeros(), zeros(), zeros());
                    let add = |a: f32, b: f32| a + b;
                    for first in (0..x.planes).step_by(kernels::BLOCK) {
                        block.fill(0.0);
                        for tap in first..x.planes.min(first + kernels::BLOCK) {
                            let plane = nth(xs, tap, pixels)?;
                            window.gather(tap, (plane, x.size), (&mut block, y.size), add);
                            window.gather(tap, (x2, x.size), (&mut met2, y.size), add);
                        }
                        met.iter_mut().zip(&block).for_each(|(met, block)| *met += block);
                    }
                    each(ys, y2, &met, &met2)?;
                }
                _ => each(ys, y2, xs, x2)?,
            }
        }
        Some(())
    }
}

/// The `i`-th stretch of `len` elements.
fn nth(all: &[f32], i: usize, len: usize) -> Option<&[f32]> {
    all.get(i.checked_mul(len)?..)?.get(..len)
}

/// As [`nth`]; shorter where there are not as many.
fn nth_mut(all: &mut [f32], i: usize, len: usize) -> &mut [f32] {
    let start = (i * len).min(all.len());
    let end = (start + len).min(all.len());
    &mut all[start..end]
}
