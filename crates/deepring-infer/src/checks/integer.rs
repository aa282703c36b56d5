//! The projection of an operator on bytes: exact, so an edit of any size is met.
//!
//! Everything is counted modulo 2^64. `r` is drawn from 0 to 2^32 - 1; a wrong output differs by less than 2^33
//! in size, so for each output there is one value of its `r` at most that hides the difference: a wrong output
//! passes with a probability of at most 2^-32.

use zeroize::Zeroizing;

use super::anatomy::{Form, Linear, Numbers, Zero};
use super::products::matrix;
use crate::engine::{Elements, View};
use crate::kernels::rows_int;

/// `r`, and then `r·W`. Secret as a projection of floats is.
pub(crate) struct IntegerProjection {
    secret: Zeroizing<Vec<i64>>,
    outputs: usize,
    inputs: usize,
    /// What is subtracted from each input, where it is a parameter.
    zero: Option<i64>,
}

impl std::fmt::Debug for IntegerProjection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IntegerProjection").field("outputs", &self.outputs).finish_non_exhaustive()
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
        let Form::Rows { inner, outer: outputs, transposed } = linear.form else {
            return Some(None);
        };
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
        let mut secret = Zeroizing::new(vec![0i64; outputs.checked_add(inner)?]);
        let (r, plane) = secret.split_at_mut(outputs);
        for (r, b) in r.iter_mut().zip(random.as_chunks().0) {
            *r = i64::from(u32::from_le_bytes(*b));
        }
        let weight = |output: usize, i: usize| {
            let zero = zeros.get(if zeros.len() == 1 { 0 } else { output });
            let at = if transposed { output * inner + i } else { i * outputs + output };
            Some(weights.get(at)?.wrapping_sub(*zero?))
        };
        for (output, r) in r.iter().enumerate() {
            for (i, place) in plane.iter_mut().enumerate() {
                *place = place.wrapping_add(r.wrapping_mul(weight(output, i)?));
            }
        }
        let zero = zero.and_then(|z| z.first().copied());
        Some(Some(Self { secret, outputs, inputs: inner, zero }))
    }

    /// Everything that is secret, for the tag that covers it.
    pub(crate) fn bytes(&self) -> &[u8] {
        bytemuck::cast_slice(&self.secret)
    }

    /// Whether `y` is the operator's output for `x`; `None` if not, or if a shape is not as it should be.
    pub(crate) fn fits(&self, x: &View<'_>, y: &View<'_>, zero: Option<&View<'_>>) -> Option<()> {
        let (r, plane) = self.secret.split_at_checked(self.outputs)?;
        let zero = match (self.zero, zero) {
            (Some(zero), _) => zero,
            (None, Some(view)) => single(view)?,
            (None, None) => 0,
        };
        // What the plane gives too much for inputs that are `zero` too large.
        let excess = plane.iter().fold(0i64, |s, v| s.wrapping_add(*v)).wrapping_mul(zero);
        let (given, wanted) = (sums(x, self.inputs, plane)?, sums(y, self.outputs, r)?);
        let same = |(x, y): (&i64, &i64)| x.wrapping_sub(excess) == *y;
        (given.len() == wanted.len() && given.iter().zip(&wanted).all(same)).then_some(())
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

/// The sum of each row, weighted by `plane`.
fn sums(view: &View<'_>, channels: usize, plane: &[i64]) -> Option<Vec<i64>> {
    let (_, c, [_, rows]) = matrix(&view.dims)?;
    let mut sums = vec![0; rows];
    if c != channels {
        return None;
    }
    match &view.elements {
        Elements::I32(x) if x.len() == c * rows => rows_int(x, c, rows, plane, &mut sums),
        Elements::I8(x) if x.len() == c * rows => rows_int(x, c, rows, plane, &mut sums),
        Elements::U8(x) if x.len() == c * rows => rows_int(x, c, rows, plane, &mut sums),
        _ => return None,
    }
    Some(sums)
}
