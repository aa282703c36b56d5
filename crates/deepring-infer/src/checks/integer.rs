//! The projection of an operator on bytes: exact, so an edit of any size is detected.
//!
//! Everything is counted modulo 2^64. `r` is drawn from 0 to 2^32 - 1; a wrong output differs by less than 2^33
//! in size, so for each output there is one value of its `r` at most that hides the difference: a wrong output
//! passes with a probability of at most 2^-32.

use zeroize::Zeroizing;

use super::operators::{Arithmetic, Linear, LinearForm, Zero};
use super::products::matrix;
use super::projection::DrawError;
use crate::engine::{Elements, View};
use crate::kernels::rows_int;

/// Numbers before `r`: whether the input's zero point is a parameter, and that.
const HEAD: usize = 2;

/// `has zero | zero | r[outputs] | r·W[inputs]`. Secret as a projection of floats is.
pub(crate) struct IntegerProjection<'a> {
    numbers: &'a [i64],
    outputs: usize,
}

impl std::fmt::Debug for IntegerProjection<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IntegerProjection").field("outputs", &self.outputs).finish_non_exhaustive()
    }
}

/// Bytes of parameters as numbers.
pub(crate) fn numbers(bytes: &[u8], signed: bool) -> Vec<i64> {
    bytes.iter().map(|b| if signed { i64::from(*b as i8) } else { i64::from(*b) }).collect()
}

impl<'a> IntegerProjection<'a> {
    /// Numbers that an operator's projection has. `None` if there is none of its form.
    pub(crate) fn len(form: &LinearForm) -> Option<usize> {
        match form {
            LinearForm::Rows { inner, outer, .. } => outer.checked_add(*inner)?.checked_add(HEAD),
            LinearForm::Conv(_) => None,
        }
    }

    /// Draws `r` into `out` and projects the weights.
    pub(crate) fn draw_into<E>(
        form: &LinearForm,
        out: &mut [i64],
        weights: &[i64],
        weight_zero: Option<&[i64]>,
        zero: Option<&[i64]>,
    ) -> Result<(), DrawError<E>> {
        let LinearForm::Rows { inner, outer: outputs, transposed } = *form else {
            return Err(DrawError::Unsuitable);
        };
        let zeros = weight_zero.unwrap_or(&[0]);
        let scalar = |v: &[i64]| matches!(v, [_]);
        if outputs.checked_mul(inner) != Some(weights.len())
            || !(scalar(zeros) || zeros.len() == outputs)
            || zero.is_some_and(|z| !scalar(z))
            || Self::len(form) != Some(out.len())
        {
            return Err(DrawError::Unsuitable);
        }
        let mut random = Zeroizing::new(vec![0u8; outputs * 4]);
        aws_lc_rs::rand::fill(&mut random).map_err(|_| DrawError::NoRandomness)?;
        let (head, numbers) = out.split_at_mut(HEAD);
        let zero = zero.and_then(|z| z.first());
        head.copy_from_slice(&[i64::from(zero.is_some()), zero.copied().unwrap_or(0)]);
        let (r, plane) = numbers.split_at_mut(outputs);
        for (r, b) in r.iter_mut().zip(random.as_chunks().0) {
            *r = i64::from(u32::from_le_bytes(*b));
        }
        plane.fill(0);
        let weight = |output: usize, i: usize| {
            let zero = zeros.get(if zeros.len() == 1 { 0 } else { output });
            let at = if transposed { output * inner + i } else { i * outputs + output };
            Some(weights.get(at)?.wrapping_sub(*zero?))
        };
        for (output, r) in r.iter().enumerate() {
            for (i, place) in plane.iter_mut().enumerate() {
                let weight = weight(output, i).ok_or(DrawError::Unsuitable)?;
                *place = place.wrapping_add(r.wrapping_mul(weight));
            }
        }
        Ok(())
    }

    /// A projection as it lies in a vault. `None` if it has not the length that the form says.
    pub(crate) fn borrowed(form: &LinearForm, bytes: &'a [u8]) -> Option<Self> {
        let numbers: &[i64] = bytemuck::try_cast_slice(bytes).ok()?;
        (Self::len(form)? == numbers.len()).then_some(Self { numbers, outputs: form.outputs() })
    }

    /// Verifies `y` as the operator's output for `x`. Returns the number of rows that were compared, which is all;
    /// `None` if one differs, or if a shape is not as it should be.
    pub(crate) fn verify(
        &self,
        x: &View<'_>,
        y: &View<'_>,
        zero: Option<&View<'_>>,
    ) -> Option<u64> {
        let (head, numbers) = self.numbers.split_at_checked(HEAD)?;
        let (r, plane) = numbers.split_at_checked(self.outputs)?;
        let zero = match (head, zero) {
            ([1, zero], _) => *zero,
            ([0, _], Some(view)) => single(view)?,
            ([0, _], None) => 0,
            _ => return None,
        };
        // What the plane gives too much for inputs that are `zero` too large.
        let excess = plane.iter().fold(0i64, |s, v| s.wrapping_add(*v)).wrapping_mul(zero);
        let (given, wanted) = (sums(x, plane.len(), plane)?, sums(y, self.outputs, r)?);
        let same = |(x, y): (&i64, &i64)| x.wrapping_sub(excess) == *y;
        let fits = given.len() == wanted.len() && given.iter().zip(&wanted).all(same);
        fits.then_some(given.len() as u64)
    }
}

/// The value that an operator on bytes takes its zero point from, where it is no parameter.
pub(super) fn input_zero(linear: &Linear) -> Option<&str> {
    match &linear.arithmetic {
        Arithmetic::Bytes { input_zero: Some(Zero::Value(name)), .. } => Some(name),
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
