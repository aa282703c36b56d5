//! Outputs computed term by term, at the places where sums over a projection say nothing: where an input or a sum is no
//! finite number.
//!
//! The weights are a verified copy, so an output there is verified against what the sealed weights make of the input: which
//! infinity, or no number, or a number up to rounding.

use rayon::prelude::*;

use super::operators::{Arithmetic, Linear, LinearForm};
use super::products::{matrix, picture};
use super::window::Window;
use crate::engine::{Elements, View};

/// A unit in the last place of 1: twice what a rounding can be, as a share.
const ULP: f64 = 1.0 / (1u32 << 23) as f64;

/// Outputs that are summed together.
const OUTPUTS_TOGETHER: usize = 16;

/// The verdict on outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TermVerdict {
    Right,
    /// Further off than independent rounding errors give, and within what some order of adding up gives.
    Doubtful,
    /// Sums of finite terms leave 32-bit floats, and what an engine makes of them depends on the order in which it adds.
    OutOfRange,
    Wrong,
}

impl TermVerdict {
    /// Of outputs at other places of the same operator.
    pub(super) fn or_worse(self, other: Self) -> Self {
        self.max(other)
    }
}

/// Verifies the outputs at these places, counted picture by picture and pixel by pixel, or row by row.
pub(super) fn verify(
    linear: &Linear,
    [x, y]: [&View<'_>; 2],
    places: &[usize],
    weights: &[f32],
    bias: Option<&[f32]>,
) -> TermVerdict {
    let (Elements::F32(xs), Elements::F32(ys)) = (&x.elements, &y.elements) else {
        return TermVerdict::Wrong;
    };
    let at = |place: &usize| {
        let outcome = match &linear.form {
            LinearForm::Rows { inner, outer, transposed } => {
                let row = || {
                    let x = xs.get(place * inner..)?.get(..*inner)?;
                    Some((x, ys.get(place * outer..)?.get(..*outer)?))
                };
                let weight = |k: usize, j: usize| {
                    let at = if *transposed { j * inner + k } else { k * outer + j };
                    weights.get(at).copied()
                };
                matrix(&x.dims).and(row()).and_then(|(x, y)| {
                    let x: Vec<f32> = x.iter().map(|v| read(linear, *v)).collect();
                    let all = (0..*outer).zip(y).map(|(j, y)| (j, *y));
                    outputs(linear, &x, all, weight, bias)
                })
            }
            LinearForm::Conv(window) => {
                pixel(linear, window, (xs, &x.dims), (ys, &y.dims), *place, weights, bias)
            }
        };
        // What does not fit the operator's form is not its output.
        outcome.unwrap_or(TermVerdict::Wrong)
    };
    places.par_iter().map(at).reduce(|| TermVerdict::Right, TermVerdict::or_worse)
}

fn read(linear: &Linear, v: f32) -> f32 {
    if linear.x.relu && v < 0.0 { 0.0 } else { v }
}

/// One output pixel of a convolution, all groups.
fn pixel(
    linear: &Linear,
    window: &Window,
    (xs, x_dims): (&[f32], &[usize]),
    (ys, y_dims): (&[f32], &[usize]),
    place: usize,
    weights: &[f32],
    bias: Option<&[f32]>,
) -> Option<TermVerdict> {
    let (images, channels, size) = picture(x_dims)?;
    let (_, _, out) = picture(y_dims)?;
    let (pixels, out_pixels) = (size[0] * size[1], out[0] * out[1]);
    let (image, pixel) = (place.checked_div(out_pixels)?, place % out_pixels.max(1));
    if image >= images || channels != window.inputs() {
        return None;
    }
    let (taps, per_group) = (window.taps(), window.outputs / window.group.max(1));
    let inner = window.inputs_per_group * taps;
    let mut met = TermVerdict::Right;
    for group in 0..window.group {
        let mut x = Vec::with_capacity(inner);
        for input in 0..window.inputs_per_group {
            let plane = (image * channels + group * window.inputs_per_group + input) * pixels;
            for tap in 0..taps {
                // Outside the picture there is padding, which is zero.
                let from = window.input_of([pixel / out[1], pixel % out[1]], tap, size, out);
                let at = from.map(|[row, column]| plane + row * size[1] + column);
                x.push(at.map_or(Some(0.0), |at| xs.get(at).map(|v| read(linear, *v)))?);
            }
        }
        let first = group * per_group;
        let y = |j: usize| ys.get((image * window.outputs + j) * out_pixels + pixel).copied();
        let all =
            (first..first + per_group).map(|j| Some((j, y(j)?))).collect::<Option<Vec<_>>>()?;
        let weight = |k: usize, j: usize| weights.get(j * inner + k).copied();
        match outputs(linear, &x, all.into_iter(), weight, bias)? {
            TermVerdict::Wrong => return Some(TermVerdict::Wrong),
            other => met = met.or_worse(other),
        }
    }
    Some(met)
}

/// Outputs of one place: their number and what was given out, verified against the same inputs.
fn outputs(
    linear: &Linear,
    x: &[f32],
    all: impl Iterator<Item = (usize, f32)>,
    weight: impl Fn(usize, usize) -> Option<f32>,
    bias: Option<&[f32]>,
) -> Option<TermVerdict> {
    let Arithmetic::Floats { scales } = &linear.arithmetic else { return None };
    let [alpha, beta] = scales.map(|bits| f64::from(f32::from_bits(bits)));
    let magnified = f64::from(linear.magnified());
    // Whatever the weights are, no sum with it is a number.
    let no_number = x.iter().any(|v| v.is_nan());
    let mut met = TermVerdict::Right;
    let all: Vec<(usize, f32)> = all.filter(|(_, y)| !(no_number && y.is_nan())).collect();
    // Some outputs at a time: their weights for one input lie side by side, or in a few lines that stay in the cache.
    let mut summed = Vec::with_capacity(all.len());
    for some in all.chunks(OUTPUTS_TOGETHER) {
        let mut sums = [[0f64; 3]; OUTPUTS_TOGETHER];
        for (k, x) in x.iter().enumerate() {
            let (x, finite) = (f64::from(*x), if x.is_finite() { 1.0 } else { 0.0 });
            for ((j, _), [sum, sizes, squares]) in some.iter().zip(&mut sums) {
                let term = x * f64::from(weight(k, *j)?);
                *sum += term * alpha;
                if finite == 1.0 {
                    *sizes += term.abs();
                    *squares += (term * alpha) * (term * alpha);
                }
            }
        }
        summed.extend(some.iter().copied().zip(sums));
    }
    for ((j, y), [mut sum, mut sizes, squares]) in summed {
        // The factor is on the sum, which must be within the floats before and after.
        let most = sizes * magnified;
        sizes *= alpha.abs();
        let b = f64::from(bias.map_or(Some(0.0), |b| b.get(j).copied())?) * beta;
        (sum, sizes) = (sum + b, sizes + b.abs());
        // Each product and each sum rounds once.
        let roundings = (x.len() + 8) as f64;
        let beyond = (most + b.abs()) * (1.0 + roundings * ULP) > f64::from(f32::MAX);
        // An engine may leave a product with nothing out, and then no infinity becomes no number.
        if beyond && !y.is_finite() || alpha == 0.0 && x.iter().any(|v| !v.is_finite()) {
            met = met.or_worse(TermVerdict::OutOfRange);
            continue;
        }
        let y = f64::from(y);
        let right = match (sum.is_nan(), sum.is_infinite()) {
            (true, _) => y.is_nan(),
            (_, true) => y == sum,
            // What vanishes is smaller than the smallest number for each.
            _ => {
                let vanished = f64::from(f32::MIN_POSITIVE) * magnified;
                let bound = roundings * (sizes * ULP + vanished);
                // The model of the product's bound, for this output alone.
                let near = 8.0 * (ULP / 2.0) * (roundings * (squares + y * y + b * b)).sqrt();
                if (y - sum).abs() > near + roundings * vanished {
                    met = met.or_worse(TermVerdict::Doubtful);
                }
                (y - sum).abs() <= bound
            }
        };
        if !right {
            return Some(TermVerdict::Wrong);
        }
    }
    Some(met)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::operators::Source;

    fn view(dims: &[usize], values: &[f32]) -> View<'static> {
        View { dims: dims.to_vec(), elements: Elements::F32(values.to_vec().into()) }
    }

    fn linear(form: LinearForm) -> Linear {
        let x = Source { value: "x".into(), relu: false };
        Linear { x, y: "y".into(), weight: 0, bias: None, form, arithmetic: Arithmetic::unscaled() }
    }

    #[test]
    fn a_factor_is_on_the_sum_and_on_what_the_sum_lost() {
        let judge = |alpha: f32, x: f32, y: f32| {
            let mut rows = linear(LinearForm::Rows { inner: 2, outer: 1, transposed: false });
            rows.arithmetic = Arithmetic::Floats { scales: [alpha.to_bits(), 1f32.to_bits()] };
            let x = view(&[1, 2], &[x, x]);
            verify(&rows, [&x, &view(&[1, 1], &[y])], &[0], &[1.0, 1.0], None)
        };
        // A sum that is large, and within the floats, is decided.
        assert_eq!(judge(1.0, 1.5e38, 3e38), TermVerdict::Right);
        assert_eq!(judge(1.0, 1.5e38, 2.9e38), TermVerdict::Wrong);
        // Of a factor of nothing, nothing is left.
        assert_eq!(
            (judge(0.0, 2.0, 0.0), judge(0.0, 2.0, 4.0)),
            (TermVerdict::Right, TermVerdict::Wrong)
        );
        assert_eq!(judge(0.0, f32::INFINITY, 0.0), TermVerdict::OutOfRange);
        // The sum leaves the floats before the factor brings it back.
        assert_eq!(judge(1e-3, 3e38, f32::INFINITY), TermVerdict::OutOfRange);
        assert_eq!(judge(1e-3, 1e30, 2e27), TermVerdict::Right);
        assert_eq!(judge(1e-3, 1e30, 2.001e27), TermVerdict::Wrong);
        // Twice the smallest number, and what the factor makes of one that was rounded otherwise.
        let smallest = f32::from_bits(1);
        assert_eq!(judge(1e30, smallest, 3.0 * smallest * 1e30), TermVerdict::Right);
        assert_eq!(judge(1e30, smallest, 1e3), TermVerdict::Wrong);
    }

    #[test]
    fn infinities_have_the_sign_of_the_sealed_weights_and_no_other() {
        const INF: f32 = f32::INFINITY;
        let rows = linear(LinearForm::Rows { inner: 2, outer: 3, transposed: false });
        // Two inputs of three outputs.
        let weights = [1.0, -1.0, 2.0, 5.0, 5.0, 0.0];
        let judge = |x: [f32; 2], y: [f32; 3]| {
            verify(&rows, [&view(&[1, 2], &x), &view(&[1, 3], &y)], &[0], &weights, None)
        };
        assert_eq!(judge([-INF, 1.0], [-INF, INF, -INF]), TermVerdict::Right);
        for wrong in [[INF, INF, -INF], [-INF, f32::NAN, -INF], [-INF, 3.0, -INF]] {
            assert_eq!(judge([-INF, 1.0], wrong), TermVerdict::Wrong, "{wrong:?}");
        }
        // Nothing times infinity is no number, and nothing else.
        assert_eq!(judge([1.0, INF], [INF, INF, f32::NAN]), TermVerdict::Right);
        assert_eq!(judge([1.0, INF], [INF, INF, 2.0]), TermVerdict::Wrong);
        assert_eq!(judge([f32::NAN, 1.0], [f32::NAN; 3]), TermVerdict::Right);
        assert_eq!(judge([f32::NAN, 1.0], [f32::NAN, 0.0, f32::NAN]), TermVerdict::Wrong);
        // Of finite inputs a sum that leaves the floats is not decided here; one that does not is.
        assert_eq!(judge([f32::MAX, 0.0], [f32::MAX, -f32::MAX, INF]), TermVerdict::OutOfRange);
        assert_eq!(judge([2.0, 1.0], [7.0, 3.0, 4.0]), TermVerdict::Right);
        assert_eq!(judge([2.0, 1.0], [7.0, INF, 4.0]), TermVerdict::Wrong);
    }

    #[test]
    fn only_the_pixels_and_groups_that_meet_an_infinity_may_have_one() {
        let mut node = deepring_onnx::proto::NodeProto::default();
        node.set_int("group", 2);
        node.set_ints("pads", vec![0, 1]);
        let window = Window::of(&node, &[2, 1, 2]).unwrap();
        let conv = linear(LinearForm::Conv(window));
        let (weights, inf) = ([1.0, -2.0, 3.0, 4.0], f32::INFINITY);
        // Two channels of three pixels, padded by one behind.
        let x = view(&[1, 2, 3], &[1.0, 2.0, inf, 1.0, 1.0, 1.0]);
        let right = [-3.0, -inf, inf, 7.0, 7.0, 3.0];
        let judge =
            |y: &[f32]| verify(&conv, [&x, &view(&[1, 2, 3], y)], &[0, 1, 2], &weights, None);
        assert_eq!(judge(&right), TermVerdict::Right);
        for at in 0..6 {
            let mut wrong = right;
            wrong[at] = if right[at] == inf { -inf } else { inf };
            assert_eq!(judge(&wrong), TermVerdict::Wrong, "{at}");
        }
    }
}
