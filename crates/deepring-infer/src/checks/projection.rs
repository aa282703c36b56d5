//! A secret projection of one linear operator, and the check of an output against it (Freivalds 1977).
//!
//! With `y = W·x + b` and a secret random `r`, `r·y` must be `(r·W)·x + r·b` at every output place. The right
//! side costs one pass over `x`, whatever the number of outputs; whoever changes `W`, computes wrongly or
//! makes `y` up must do so without knowing `r`. Floats round, so the two sides agree up to a bound; it is
//! derived in `docs/CHECKS.md` and evaluated at each place from the very values that were met.

use zeroize::Zeroizing;

use super::direct;
use super::operators::{Arithmetic, Linear, LinearForm};
use crate::kernels::{project_columns, project_rows};

/// Standard deviations that rounding may reach. Rounding errors are taken as independent; see
/// `docs/CHECKS.md` for the argument and for how far real runs stay below.
pub(super) const LAMBDA: f32 = 8.0;
/// Half a unit in the last place of 1.
const HALF_ULP: f32 = 1.0 / (1u32 << 24) as f32;
/// An input of the network that a linear operator reads as it is may be as large as 2^60, and so may a number of a
/// projection.
pub(crate) const LIMIT: f32 = (1u64 << 60) as f32;
/// An operator whose weights are all below 2^-40 has no projection.
const LEAST_WEIGHT_SQUARED: f64 = 1.0 / (1u128 << 80) as f64;
/// Of a convolution of many channels, a plane of the input's size is held for each tap; one of more taps has its bytes compared.
const MOST_TAPS: usize = 1024;
/// Squares of values below 2^-63 vanish in 32 bits; their rounding is below this, for each term.
const VANISHED: f32 = HALF_ULP / (1u64 << 62) as f32 / 2.0;

/// `r` and what follows from it and the weights. Secret: whoever knows it can make up outputs that pass.
///
/// ```text
/// r[outputs] | r²[outputs] | r·W[tap][input] | per input the largest Σ r²W² of its taps | Σ r·b | Σ r²b²
/// ```
pub(crate) struct Projection<'a> {
    numbers: &'a [f32],
    shape: Shape,
}

/// Why no projection was drawn.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum DrawError<E> {
    /// The system gives no randomness.
    NoRandomness,
    /// The parameters are not laid out as the operator says, so large that sums of them overflow, or so small that squares vanish: such
    /// an operator has its bytes compared.
    Unsuitable,
    /// The parameters could not be read.
    Read(E),
}

/// Gives weights row by row: calls back with the number of the first row and some whole rows.
pub(crate) type EachRows<'a> = &'a mut dyn FnMut(usize, &[f32]) -> Option<()>;

impl<'a> Projection<'a> {
    /// Numbers that an operator's projection has. `None` if they do not fit this machine.
    pub(crate) fn len(form: &LinearForm) -> Option<usize> {
        let Shape { outputs, inputs, taps, .. } = Shape::of(form)?;
        let of_inputs = taps.checked_add(1)?.checked_mul(inputs)?;
        outputs.checked_mul(2)?.checked_add(of_inputs)?.checked_add(2)
    }

    /// Floats of a row of the weights, and rows: of a convolution and of a transposed matrix a row is an output's, else
    /// an input's.
    pub(crate) fn rows(form: &LinearForm) -> Option<(usize, usize)> {
        let shape = Shape::of(form)?;
        Some(match form {
            LinearForm::Rows { transposed: false, .. } => (shape.outputs, shape.inputs),
            _ => (shape.inner, shape.outputs),
        })
    }

    /// Returns whether weights and bias have the lengths that the operator's form says.
    pub(crate) fn fits(linear: &Linear, weights: usize, bias: Option<usize>) -> bool {
        let shape = Shape::of(&linear.form);
        let len = shape.and_then(|s| s.outputs.checked_mul(s.inner));
        len == Some(weights) && bias.is_none_or(|b| shape.is_some_and(|s| s.outputs == b))
    }

    /// Draws `r` into `out` and projects the weights, whose rows `read` gives.
    pub(crate) fn draw_into<E>(
        linear: &Linear,
        out: &mut [f32],
        bias: Option<&[f32]>,
        read: impl FnOnce(EachRows<'_>) -> Result<(), E>,
    ) -> Result<(), DrawError<E>> {
        let unsuitable = || DrawError::Unsuitable;
        let shape = Shape::of(&linear.form).ok_or_else(unsuitable)?;
        if shape.taps > MOST_TAPS
            && !matches!(&linear.form, LinearForm::Conv(w) if direct::suits(w))
        {
            return Err(unsuitable());
        }
        let Arithmetic::Floats { scales } = &linear.arithmetic else { return Err(unsuitable()) };
        let [alpha, beta] = scales.map(|bits| f64::from(f32::from_bits(bits)));
        if Self::len(&linear.form) != Some(out.len()) {
            return Err(unsuitable());
        }
        let (r, rest) = out.split_at_mut(shape.outputs);
        signs_and_sizes(r).ok_or(DrawError::NoRandomness)?;
        let mut sums = Sums::new(linear, shape, r);
        let mut rows = 0;
        read(&mut |first, some| {
            rows += some.len();
            sums.add(first, some)
        })
        .map_err(DrawError::Read)?;
        if Some(rows) != shape.outputs.checked_mul(shape.inner) {
            return Err(unsuitable());
        }
        let (planes, squares) = sums.finish().ok_or_else(unsuitable)?;
        // Of weights this small the bound would be nothing but what vanishes.
        let largest = squares.iter().fold(0.0, |most: f64, v| most.max(v * alpha * alpha));
        if largest > 0.0 && largest < LEAST_WEIGHT_SQUARED {
            return Err(unsuitable());
        }
        let mut constant = [0f64; 2];
        for (r, b) in r.iter().zip(bias.unwrap_or_default()) {
            let term = f64::from(*r) * f64::from(*b) * beta;
            constant[0] += term;
            constant[1] += term * term;
        }
        let numbers = r.iter().map(|r| r * r);
        let numbers = numbers.chain(planes.iter().map(|v| (v * alpha) as f32));
        let numbers = numbers.chain(squares.iter().map(|v| (v * alpha * alpha) as f32));
        let numbers = numbers.chain(constant.map(|v| v as f32));
        rest.iter_mut().zip(numbers).for_each(|(to, v)| *to = v);
        if rest.iter().all(|v| v.abs() <= LIMIT) { Ok(()) } else { Err(unsuitable()) }
    }

    /// A projection as it lies in a vault. `None` if it has not the length that the form says.
    pub(crate) fn borrowed(form: &LinearForm, bytes: &'a [u8]) -> Option<Self> {
        let numbers: &[f32] = bytemuck::try_cast_slice(bytes).ok()?;
        (Self::len(form)? == numbers.len()).then_some(Self { numbers, shape: Shape::of(form)? })
    }

    /// Roundings that meet at one place: the engine's sums, those over the outputs, those over inputs and taps.
    fn terms(&self) -> f32 {
        let Shape { outputs, inputs, taps, inner } = self.shape;
        (inner + outputs + inputs * taps + taps) as f32
    }

    pub(crate) fn taps(&self) -> usize {
        self.shape.taps
    }

    fn part(&self, start: usize, len: usize) -> &[f32] {
        self.numbers.get(start..start + len).unwrap_or_default()
    }

    /// Coefficients and squared ones with which outputs are read.
    pub(crate) fn for_outputs(&self) -> (&[f32], &[f32]) {
        (self.part(0, self.shape.outputs), self.part(self.shape.outputs, self.shape.outputs))
    }

    /// Coefficients, a plane for each tap, and squared ones with which inputs are read.
    pub(crate) fn for_inputs(&self) -> (&[f32], &[f32]) {
        let at = 2 * self.shape.outputs;
        let planes = self.shape.taps * self.shape.inputs;
        (self.part(at, planes), self.part(at + planes, self.shape.inputs))
    }

    /// Returns whether the two sides agree at every place. `x` and `x2` are what was gathered for each place from the inputs;
    /// `magnified` is [`Linear::magnified`]. `None` if lengths differ.
    ///
    /// A sum that is not finite never fits: the comparison is written so that NaN fails it.
    pub(crate) fn agrees(&self, [y, y2, x, x2]: [&[f32]; 4], magnified: f32) -> Option<bool> {
        let residual = self.residual(1.0, magnified)?;
        if [y2.len(), x.len(), x2.len()].iter().any(|len| *len != y.len()) {
            return None;
        }
        let places = y.iter().zip(y2).zip(x.iter().zip(x2));
        // No early end: without one the comparison is made in vectors.
        Some(places.fold(true, |all, ((y, y2), (x, x2))| all & residual(*y, *y2, *x, *x2).fits()))
    }

    /// As [`agrees`](Self::agrees), of tensors that were multiplied by `scale`, at the places that are still
    /// [open](Fit::Open), place by place. What is left open has no sums that are numbers. `None` if lengths differ.
    pub(crate) fn close(
        &self,
        [y, y2, x, x2]: [&[f32]; 4],
        [scale, magnified]: [f32; 2],
        places: &mut [Fit],
    ) -> Option<()> {
        let residual = self.residual(scale, magnified)?;
        if [y2.len(), x.len(), x2.len(), places.len()].iter().any(|len| *len != y.len()) {
            return None;
        }
        let sums = y.iter().zip(y2).zip(x.iter().zip(x2));
        for (((y, y2), (x, x2)), place) in sums.zip(places).filter(|(_, p)| **p == Fit::Open) {
            let residual = residual(*y, *y2, *x, *x2);
            *place = match (residual.fits(), residual.differs()) {
                (true, _) => Fit::Fits,
                (false, true) => Fit::Differs,
                (false, false) => Fit::Open,
            };
        }
        Some(())
    }
}

/// The verdict of the sums of one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    /// Nothing: a sum or the bound is no finite number.
    Open,
    /// They agree up to rounding.
    Fits,
    /// They differ by more than rounding errors that are independent give.
    Differs,
}

/// Sums of 64 bits, wiped when dropped.
type Wide = Zeroizing<Vec<f64>>;

/// The sums over a projection's weights while rows come in.
struct Sums<'a> {
    linear: &'a Linear,
    shape: Shape,
    r: &'a [f32],
    /// For rows of outputs: `[group][input of the group][tap]`; for rows of inputs: `[input]`.
    sums: Wide,
    squares: Wide,
}

impl<'a> Sums<'a> {
    fn new(linear: &'a Linear, shape: Shape, r: &'a [f32]) -> Self {
        let len = shape.inputs * shape.taps;
        let zeros = || Zeroizing::new(vec![0f64; len]);
        Self { linear, shape, r, sums: zeros(), squares: zeros() }
    }

    fn add(&mut self, first: usize, rows: &[f32]) -> Option<()> {
        let Shape { outputs, inner, .. } = self.shape;
        match &self.linear.form {
            LinearForm::Rows { transposed: false, .. } => {
                let n = rows.len().checked_div(outputs)?;
                let (sums, squares) =
                    (self.sums.get_mut(first..first + n)?, self.squares.get_mut(first..first + n)?);
                project_rows(rows, n, outputs, self.r, sums, squares);
            }
            LinearForm::Rows { transposed: true, .. } => {
                let n = rows.len().checked_div(inner)?;
                let r = self.r.get(first..first + n)?;
                project_columns(rows, n, inner, r, &mut self.sums, &mut self.squares);
            }
            LinearForm::Conv(window) => {
                let per_group = outputs / window.group.max(1);
                let (mut row, mut rest) = (first, rows);
                while !rest.is_empty() {
                    let group = row.checked_div(per_group)?;
                    let n = ((group + 1) * per_group - row).min(rest.len() / inner.max(1)).max(1);
                    let (some, after) = rest.split_at_checked(n.checked_mul(inner)?)?;
                    let place = group * inner..(group + 1) * inner;
                    let (sums, squares) =
                        (self.sums.get_mut(place.clone())?, self.squares.get_mut(place)?);
                    project_columns(some, n, inner, self.r.get(row..row + n)?, sums, squares);
                    (row, rest) = (row + n, after);
                }
            }
        }
        Some(())
    }

    /// Planes as `[tap][input]`, and for each input the largest square sum of its taps.
    fn finish(self) -> Option<(Wide, Wide)> {
        let LinearForm::Conv(window) = &self.linear.form else {
            return Some((self.sums, self.squares));
        };
        let Shape { inputs, taps, inner, .. } = self.shape;
        let mut planes = Zeroizing::new(vec![0f64; inputs * taps]);
        let mut squares = Zeroizing::new(vec![0f64; inputs]);
        for group in 0..window.group {
            for i in 0..window.inputs_per_group {
                let input = group * window.inputs_per_group + i;
                for tap in 0..taps {
                    let at = group * inner + i * taps + tap;
                    *planes.get_mut(tap * inputs + input)? = *self.sums.get(at)?;
                    let q = squares.get_mut(input)?;
                    *q = q.max(*self.squares.get(at)?);
                }
            }
        }
        Some((planes, squares))
    }
}

impl Projection<'_> {
    /// Returns a function that makes a residual of the sums of both sides.
    #[inline]
    fn residual(
        &self,
        factor: f32,
        magnified: f32,
    ) -> Option<impl Fn(f32, f32, f32, f32) -> Residual + Copy> {
        let at = 2 * self.shape.outputs + (self.shape.taps + 1) * self.shape.inputs;
        let &[rb, rb2] = self.part(at, 2) else { return None };
        // Not under one root: a product of small squares and this would vanish.
        let scale = LAMBDA * HALF_ULP * self.terms().sqrt();
        let (rb, rb2) = (rb * factor, rb2 * factor * factor);
        // A sum that is no normal number is rounded to a multiple of the smallest, at each of its terms; and what it is
        // multiplied with multiplies that.
        let Shape { outputs, inner, .. } = self.shape;
        let denormal =
            outputs as f32 * (inner + 1) as f32 * (f32::from_bits(1) * factor) * magnified;
        let vanished = VANISHED * self.terms() + denormal;
        Some(move |y: f32, y2: f32, x: f32, x2: f32| Residual {
            value: (y - x - rb).abs(),
            bound: scale * (y2 + x2 + rb2).sqrt() + vanished,
        })
    }

    /// The residual at every place.
    pub(super) fn residuals(&self, [y, y2, x, x2]: [&[f32]; 4], magnified: f32) -> Vec<Residual> {
        let Some(residual) = self.residual(1.0, magnified) else { return Vec::new() };
        let places = y.iter().zip(y2).zip(x.iter().zip(x2));
        places.map(|((y, y2), (x, x2))| residual(*y, *y2, *x, *x2)).collect()
    }

    /// The size of an output's coefficient.
    pub(super) fn size(&self, output: usize) -> f32 {
        self.part(output, 1).first().map_or(0.0, |r| r.abs())
    }
}

/// How far two sides are apart at one place, and how far rounding may bring them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Residual {
    pub(super) value: f32,
    pub(super) bound: f32,
}

impl Residual {
    /// NaN fits nothing.
    #[inline]
    fn fits(self) -> bool {
        self.value <= self.bound && self.bound.is_finite()
    }

    /// Returns whether both are numbers, and too far apart.
    fn differs(self) -> bool {
        self.value.is_finite() && self.bound.is_finite() && self.value > self.bound
    }
}

impl std::fmt::Debug for Projection<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Projection").field("outputs", &self.shape.outputs).finish_non_exhaustive()
    }
}

/// How many numbers an operator has of what.
#[derive(Clone, Copy)]
struct Shape {
    outputs: usize,
    inputs: usize,
    taps: usize,
    /// Products that one output sums.
    inner: usize,
}

impl Shape {
    /// `None` if the product does not fit.
    fn of(form: &LinearForm) -> Option<Self> {
        Some(match form {
            LinearForm::Conv(w) => Self {
                outputs: w.outputs,
                inputs: w.inputs(),
                taps: w.taps(),
                inner: w.inputs_per_group.checked_mul(w.taps())?,
            },
            LinearForm::Rows { inner, outer, .. } => {
                Self { outputs: *outer, inputs: *inner, taps: 1, inner: *inner }
            }
        })
    }
}

/// Fills with random numbers of either sign with sizes in [1/2, 1). `None` without randomness.
///
/// Not ±1: with equal sizes, the same change made to two outputs cancels half the time.
fn signs_and_sizes(r: &mut [f32]) -> Option<()> {
    aws_lc_rs::rand::fill(bytemuck::cast_slice_mut(r)).ok()?;
    // Sign and fraction are random, the exponent is that of [1/2, 1).
    r.iter_mut().for_each(|r| *r = f32::from_bits((r.to_bits() & 0x807f_ffff) | 0x3f00_0000));
    Some(())
}
