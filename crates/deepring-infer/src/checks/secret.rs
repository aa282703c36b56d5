//! Drawing the secret of one linear operator's check from verified copies of its parameters.

use deepring::{DType, Part, PartKind};

use super::integer::{IntegerProjection, numbers};
use super::operators::{Arithmetic, Linear, Zero};
use super::projection::{DrawError, Projection};
use super::vault::{ReadError, VerifiedReader};

/// Longest row that is copied whole; an operator with longer ones has its bytes compared.
const MAX_ROW: usize = 16 << 20;

/// Bytes of an operator's projection. `None` if there is none for parameters of these lengths.
pub(super) fn len_of(linear: &Linear, parts: &[Part]) -> Option<usize> {
    let floats = |part: usize| -> Option<usize> {
        let len = usize::try_from(parts.get(part)?.len).ok()?;
        len.is_multiple_of(4).then_some(len / 4)
    };
    match linear.arithmetic {
        Arithmetic::Floats { .. } => {
            let bias = match linear.bias {
                Some(part) => Some(floats(part)?),
                None => None,
            };
            let (row, _) = Projection::rows(&linear.form)?;
            let fits = Projection::fits(linear, floats(linear.weight)?, bias);
            (fits && row > 0 && row <= MAX_ROW / 4).then_some(())?;
            Projection::len(&linear.form)?.checked_mul(4)
        }
        Arithmetic::Bytes { .. } => IntegerProjection::len(&linear.form)?.checked_mul(8),
    }
}

/// Draws a projection into `out`.
pub(super) fn draw(
    linear: &Linear,
    parts: &[Part],
    reader: &VerifiedReader<'_>,
    out: &mut [u8],
) -> Result<(), DrawError<ReadError>> {
    let unsuitable = |_| DrawError::Unsuitable;
    match &linear.arithmetic {
        Arithmetic::Floats { .. } => {
            let out = bytemuck::try_cast_slice_mut(out).map_err(unsuitable)?;
            let bias = linear.bias.map(|part| reader.part(part)).transpose();
            let bias = bias.map_err(DrawError::Read)?;
            let bias: Option<Vec<f32>> =
                bias.map(|b| b.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect());
            let (row, _) = Projection::rows(&linear.form).ok_or(DrawError::Unsuitable)?;
            Projection::draw_into(linear, out, bias.as_deref(), |each| {
                reader.rows(linear.weight, row * 4, |first, rows| {
                    each(first, bytemuck::try_cast_slice(rows).ok()?)
                })
            })
        }
        Arithmetic::Bytes { input_zero, weight_zero } => {
            let out = bytemuck::try_cast_slice_mut(out).map_err(unsuitable)?;
            let signed = |part: usize| match parts.get(part).map(|p| &p.kind) {
                Some(PartKind::Parameter(spec)) => spec.dtype == DType::I8,
                _ => false,
            };
            let read = |part: usize| {
                reader.part(part).map(|b| numbers(&b, signed(part))).map_err(DrawError::Read)
            };
            let zero = match input_zero {
                Some(Zero::Part(part)) => Some(read(*part)?),
                _ => None,
            };
            let weight_zero = weight_zero.map(read).transpose()?;
            let weights = read(linear.weight)?;
            let (zero, weight_zero) = (zero.as_deref(), weight_zero.as_deref());
            IntegerProjection::draw_into(&linear.form, out, &weights, weight_zero, zero)
        }
    }
}
