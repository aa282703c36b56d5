//! The projection of an operator on bytes: exact, so an edit of any size is met.
//!
//! Everything is counted modulo 2^64. `r` is drawn from 0 to 2^32 - 1; a wrong output differs by less than 2^33
//! in size, so for each output there is one value of its `r` at most that hides the difference: a wrong output
//! passes with a probability of at most 2^-32.

use zeroize::Zeroizing;

use super::anatomy::{Form, Linear, Numbers, Zero};
use super::projection::Shape;
use super::products::{matrix, picture};
use crate::engine::{Elements, View};
use crate::kernels::{columns_int, rows_int};

/// `r`, and `r·W` with one plane for each tap. Secret as a projection of floats is.
pub(crate) struct IntegerProjection {
    secret: Zeroizing<Vec<i64>>,
    shape: Shape,
    /// What is subtracted from each input, where it is a parameter.
    zero: Option<i64>,
}

impl std::fmt::Debug for IntegerProjection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IntegerProjection").field("outputs", &self.shape.outputs).finish_non_exhaustive()
    }
}

/// Bytes of parameters as numbers.
pub(crate) fn numbers(bytes: &[u8], signed: bool) -> Vec<i64> {
    bytes.iter().map(|b| if signed { i64::from(*b as i8) } else { i64::from(*b) }).collect()
}

impl IntegerProjection {
    /// Draws `r` and projects the weights. `None` if the system gives no randomness, `Some(None)` if lengths
    /// are not what the form says.
    pub(crate) fn draw(
        linear: &Linear,
        weights: &[i64],
        weight_zero: Option<&[i64]>,
        zero: Option<&[i64]>,
    ) -> Option<Option<Self>> {
        let Some(shape) = Shape::of(&linear.form) else { return Some(None) };
        let Shape { outputs, inputs, taps, inner } = shape;
        let zeros = weight_zero.unwrap_or(&[0]);
        let scalar = |v: &[i64]| matches!(v, [_]);
        if outputs.checked_mul(inner) != Some(weights.len())
            || !(scalar(zeros) || zeros.len() == outputs)
            || zero.is_some_and(|z| !scalar(z))
        {
            return Some(None);
        }
        let mut random = Zeroizing::new(vec![0u8; outputs.checked_mul(4)?]);
        aws_lc_rs::rand::fill(&mut random).ok()?;
        let mut secret = Zeroizing::new(vec![0i64; outputs + taps * inputs]);
        let (r, planes) = secret.split_at_mut(outputs);
        for (r, b) in r.iter_mut().zip(random.as_chunks().0) {
            *r = i64::from(u32::from_le_bytes(*b));
        }
        let weight = |output: usize, i: usize| {
            let zero = zeros.get(if zeros.len() == 1 { 0 } else { output });
            let at = match &linear.form {
                Form::Rows { transposed: false, .. } => i * outputs + output,
                _ => output * inner + i,
            };
            Some(weights.get(at)?.wrapping_sub(*zero?))
        };
        let grouped = match &linear.form {
            Form::Conv(w) => Some((w.inputs_per_group, outputs / w.group.max(1))),
            Form::Rows { .. } => None,
        };
        for (output, r) in r.iter().enumerate() {
            for i in 0..inner {
                let term = r.wrapping_mul(weight(output, i)?);
                let at = match grouped {
                    Some((per_group, outputs)) => {
                        (i % taps) * inputs + output / outputs.max(1) * per_group + i / taps
                    }
                    None => i,
                };
                let place = planes.get_mut(at)?;
                *place = place.wrapping_add(term);
            }
        }
        Some(Some(Self { secret, shape, zero: zero.and_then(|z| z.first().copied()) }))
    }

    /// Everything that is secret, for the tag that covers it.
    pub(crate) fn bytes(&self) -> &[u8] {
        bytemuck::cast_slice(&self.secret)
    }

    /// Whether `y` is the operator's output for `x`; `None` if not, or if a shape is not as it should be.
    pub(crate) fn fits(
        &self,
        linear: &Linear,
        x: &View<'_>,
        y: &View<'_>,
        zero: Option<&View<'_>>,
    ) -> Option<()> {
        let Shape { outputs, inputs, taps, .. } = self.shape;
        let (r, planes) = self.secret.split_at_checked(outputs)?;
        let zero = match (self.zero, zero) {
            (Some(zero), _) => zero,
            (None, Some(view)) => single(view)?,
            (None, None) => 0,
        };
        // What a plane is too much by, for inputs that are `zero` too large.
        let excess = planes.chunks_exact(inputs.max(1)).map(|plane| {
            plane.iter().fold(0i64, |s, v| s.wrapping_add(*v)).wrapping_mul(zero)
        });
        let first = matches!(linear.form, Form::Conv(_));
        let shape = |view: &View<'_>| if first { picture(&view.dims) } else { matrix(&view.dims) };
        let ((images, c, size), (same, k, out)) = (shape(x)?, shape(y)?);
        let (pixels, places) = (size[0] * size[1], out[0] * out[1]);
        if (images, c, k) != (same, inputs, outputs) {
            return None;
        }
        for image in 0..images {
            let mut right = sums(y, image * k * places, k, places, r, 1, first)?;
            let left = sums(x, image * c * pixels, c, pixels, planes, taps, first)?;
            let less = |a: i64, b: i64| a.wrapping_sub(b);
            for ((tap, plane), excess) in left.chunks_exact(pixels).enumerate().zip(excess.clone()) {
                let plane: Vec<i64> = plane.iter().map(|v| v.wrapping_sub(excess)).collect();
                match &linear.form {
                    Form::Conv(w) => w.gather(tap, (&plane, size), (&mut right, out), less),
                    Form::Rows { .. } if plane.len() == right.len() => {
                        right.iter_mut().zip(&plane).for_each(|(a, b)| *a = less(*a, *b));
                    }
                    Form::Rows { .. } => return None,
                }
            }
            if right.iter().any(|v| *v != 0) {
                return None;
            }
        }
        Some(())
    }
}

/// The value that an operator on bytes takes its zero point from, where it is no parameter.
pub(super) fn input_zero(linear: &Linear) -> Option<&str> {
    match &linear.numbers {
        Numbers::Bytes { input_zero: Some(Zero::Value(name)), .. } => Some(name),
        _ => None,
    }
}

fn single(view: &View<'_>) -> Option<i64> {
    match &view.elements {
        Elements::U8(v) if v.len() == 1 => v.first().map(|v| i64::from(*v)),
        Elements::I8(v) if v.len() == 1 => v.first().map(|v| i64::from(*v)),
        _ => None,
    }
}

fn sums(
    view: &View<'_>,
    from: usize,
    channels: usize,
    pixels: usize,
    planes: &[i64],
    count: usize,
    channels_first: bool,
) -> Option<Vec<i64>> {
    let mut sums = vec![0; count * pixels];
    let range = from..from + channels * pixels;
    fn pass<T: Copy + Into<i64>>(
        x: &[T],
        (channels, pixels, planes, first): (usize, usize, &[i64], bool),
        sums: &mut [i64],
    ) {
        if first {
            columns_int(x, channels, pixels, planes, sums);
        } else {
            rows_int(x, channels, pixels, planes, sums);
        }
    }
    let what = (channels, pixels, planes, channels_first);
    match &view.elements {
        Elements::I32(x) => pass(x.get(range)?, what, &mut sums),
        Elements::I8(x) => pass(x.get(range)?, what, &mut sums),
        Elements::U8(x) => pass(x.get(range)?, what, &mut sums),
        Elements::F32(_) => return None,
    }
    Some(sums)
}
