//! A secret projection of one linear operator, and the check of an output against it (Freivalds 1977).
//!
//! With `y = W·x + b` and a secret random `r`, `r·y` must be `(r·W)·x + r·b` at every output place. The right
//! side costs one pass over `x`, whatever the number of outputs; whoever changes `W`, computes wrongly or
//! makes `y` up must do so without knowing `r`. Floats round, so the two sides agree up to a bound; it is
//! derived in `docs/CHECKS.md` and evaluated at each place from the very values that were met.

mod sealed;

use zeroize::Zeroizing;

use super::anatomy::{Form, Linear, Numbers};
use crate::kernels::{project_columns, project_rows};

/// Standard deviations that rounding may reach. Rounding errors are taken as independent; see
/// `docs/CHECKS.md` for the argument and for how far real runs stay below.
pub(super) const LAMBDA: f32 = 8.0;
/// Half a unit in the last place of 1.
const UNIT: f32 = 1.0 / (1u32 << 24) as f32;
/// Squares of values below 2^-63 vanish in 32 bits; their rounding is below this, for each term.
const VANISHED: f32 = UNIT / (1u64 << 62) as f32 / 2.0;

/// `r` and what follows from it and the weights. Secret: whoever knows it can make up outputs that pass.
pub(crate) struct Projection {
    /// One block of memory, so that one tag covers it: r, r², r·W (one plane for each tap), then for each
    /// input the largest Σ r²W² of its taps, then Σ r·b and Σ r²b².
    secret: Zeroizing<Vec<f32>>,
    outputs: usize,
    inputs: usize,
    taps: usize,
    /// Roundings that meet at one place.
    terms: f32,
}

impl Projection {
    /// Whether weights and bias have the lengths that the operator's form says.
    pub(crate) fn fits(linear: &Linear, weights: &[f32], bias: Option<&[f32]>) -> bool {
        let shape = Shape::of(&linear.form);
        let len = shape.and_then(|s| s.outputs.checked_mul(s.inner));
        len == Some(weights.len())
            && bias.is_none_or(|b| shape.is_some_and(|s| s.outputs == b.len()))
    }

    /// Draws `r` and projects the weights, which must fit. `None` if the system gives no randomness.
    pub(crate) fn draw(linear: &Linear, weights: &[f32], bias: Option<&[f32]>) -> Option<Self> {
        let Shape { outputs, inputs, taps, inner } = Shape::of(&linear.form)?;
        let r = signs_and_sizes(outputs)?;
        let mut planes = vec![0f64; taps * inputs];
        let mut squares = vec![0f64; inputs];
        match &linear.form {
            Form::Rows { transposed: false, .. } => {
                project_rows(weights, inputs, outputs, &r, &mut planes, &mut squares);
            }
            Form::Rows { transposed: true, .. } => {
                project_columns(weights, outputs, inputs, &r, &mut planes, &mut squares);
            }
            Form::Conv(window) => {
                let per_group = outputs / window.group.max(1);
                let mut sums = vec![0f64; inner];
                let mut sums2 = vec![0f64; inner];
                for group in 0..window.group {
                    let w = weights.get(group * per_group * inner..)?.get(..per_group * inner)?;
                    let r = r.get(group * per_group..)?.get(..per_group)?;
                    sums.fill(0.0);
                    sums2.fill(0.0);
                    project_columns(w, per_group, inner, r, &mut sums, &mut sums2);
                    for i in 0..window.inputs_per_group {
                        let input = group * window.inputs_per_group + i;
                        for tap in 0..taps {
                            *planes.get_mut(tap * inputs + input)? = *sums.get(i * taps + tap)?;
                            let q = squares.get_mut(input)?;
                            *q = q.max(*sums2.get(i * taps + tap)?);
                        }
                    }
                }
            }
        }
        let Numbers::Floats { scales } = &linear.numbers else { return None };
        let [alpha, beta] = scales.map(f64::from);
        let mut constant = [0f64; 2];
        for (r, b) in r.iter().zip(bias.unwrap_or_default()) {
            let term = f64::from(*r) * f64::from(*b) * beta;
            constant[0] += term;
            constant[1] += term * term;
        }
        let mut secret = Zeroizing::new(Vec::with_capacity(2 * outputs + (taps + 1) * inputs + 2));
        secret.extend(r.iter());
        secret.extend(r.iter().map(|r| r * r));
        secret.extend(planes.iter().map(|v| (v * alpha) as f32));
        secret.extend(squares.iter().map(|v| (v * alpha * alpha) as f32));
        secret.extend(constant.map(|v| v as f32));
        zeroize::Zeroize::zeroize(&mut planes);
        let terms = Self::terms(outputs, inputs, taps, inner);
        Some(Self { secret, outputs, inputs, taps, terms })
    }

    /// The engine's sums, those over the outputs, those over inputs and taps.
    fn terms(outputs: usize, inputs: usize, taps: usize, inner: usize) -> f32 {
        (inner + outputs + inputs * taps + taps) as f32
    }

    /// Everything that is secret, for the tag that covers it.
    pub(crate) fn bytes(&self) -> &[u8] {
        bytemuck::cast_slice(&self.secret)
    }

    pub(crate) fn taps(&self) -> usize {
        self.taps
    }

    fn part(&self, start: usize, len: usize) -> &[f32] {
        self.secret.get(start..start + len).unwrap_or_default()
    }

    /// Coefficients and squared ones with which outputs are read.
    pub(crate) fn for_outputs(&self) -> (&[f32], &[f32]) {
        (self.part(0, self.outputs), self.part(self.outputs, self.outputs))
    }

    /// Coefficients, a plane for each tap, and squared ones with which inputs are read.
    pub(crate) fn for_inputs(&self) -> (&[f32], &[f32]) {
        let at = 2 * self.outputs;
        let planes = self.taps * self.inputs;
        (self.part(at, planes), self.part(at + planes, self.inputs))
    }

    /// Compares the two sides at every place. `x` and `x2` are what was gathered for each place from
    /// the inputs; the answer is the first place that does not fit.
    ///
    /// A sum that is not finite never fits: the comparison is written so that NaN fails it.
    pub(crate) fn compare(
        &self,
        y: &[f32],
        y2: &[f32],
        x: &[f32],
        x2: &[f32],
    ) -> Result<(), usize> {
        let Some(gap) = self.gap() else { return Err(0) };
        let fits = |((y, y2), (x, x2)): ((&f32, &f32), (&f32, &f32))| {
            let gap = gap(*y, *y2, *x, *x2);
            gap.found <= gap.bound && gap.bound.is_finite()
        };
        let places = || y.iter().zip(y2).zip(x.iter().zip(x2));
        if y.len() != x.len() || y2.len() != x2.len() || y.len() != y2.len() {
            return Err(0);
        }
        // No early end: without one the comparison is made in vectors.
        let all = places().fold(true, |all, place| all & fits(place));
        if all { Ok(()) } else { Err(places().position(|p| !fits(p)).unwrap_or(0)) }
    }
}

impl Projection {
    /// What makes a gap of the sums of both sides.
    #[inline]
    fn gap(&self) -> Option<impl Fn(f32, f32, f32, f32) -> Gap + Copy> {
        let at = 2 * self.outputs + (self.taps + 1) * self.inputs;
        let &[rb, rb2] = self.part(at, 2) else { return None };
        let scale = LAMBDA * LAMBDA * UNIT * UNIT * self.terms;
        let vanished = VANISHED * self.terms;
        Some(move |y: f32, y2: f32, x: f32, x2: f32| Gap {
            found: (y - x - rb).abs(),
            bound: (scale * (y2 + x2 + rb2)).sqrt() + vanished,
        })
    }

    /// The gap at every place.
    pub(super) fn gaps(&self, y: &[f32], y2: &[f32], x: &[f32], x2: &[f32]) -> Vec<Gap> {
        let Some(gap) = self.gap() else { return Vec::new() };
        let places = y.iter().zip(y2).zip(x.iter().zip(x2));
        places.map(|((y, y2), (x, x2))| gap(*y, *y2, *x, *x2)).collect()
    }

    /// The size of an output's coefficient.
    pub(super) fn size(&self, output: usize) -> f32 {
        self.part(output, 1).first().map_or(0.0, |r| r.abs())
    }
}

/// How far two sides are apart at one place, and how far rounding may bring them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gap {
    pub(super) found: f32,
    pub(super) bound: f32,
}

impl std::fmt::Debug for Projection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Projection").field("outputs", &self.outputs).finish_non_exhaustive()
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
    fn of(form: &Form) -> Option<Self> {
        Some(match form {
            Form::Conv(w) => Self {
                outputs: w.outputs,
                inputs: w.inputs(),
                taps: w.taps(),
                inner: w.inputs_per_group.checked_mul(w.taps())?,
            },
            Form::Rows { inner, outer, .. } => {
                Self { outputs: *outer, inputs: *inner, taps: 1, inner: *inner }
            }
        })
    }
}

/// Random numbers of either sign with sizes in [1/2, 1).
///
/// Not ±1: with equal sizes, the same change made to two outputs cancels half the time.
fn signs_and_sizes(n: usize) -> Option<Zeroizing<Vec<f32>>> {
    let mut random = Zeroizing::new(vec![0u8; n.checked_mul(4)?]);
    aws_lc_rs::rand::fill(&mut random).ok()?;
    let one = |b: &[u8; 4]| {
        let bits = u32::from_le_bytes(*b);
        // Sign and fraction are random, the exponent is that of [1/2, 1).
        f32::from_bits((bits & 0x807f_ffff) | 0x3f00_0000)
    };
    Some(Zeroizing::new(random.as_chunks().0.iter().map(one).collect()))
}
