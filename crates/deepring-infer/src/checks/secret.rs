//! The secret of one linear operator's check: drawn from its live parameters, covered by a tag.

use deepring::{DType, Part, PartKind};

use super::anatomy::{Linear, Numbers, Zero};
use super::integer::{IntegerProjection, numbers};
use super::projection::Projection;
use crate::mac::Tag;

/// A projection and the tag that covers it.
#[derive(Debug)]
pub(super) struct Secret {
    pub(super) kind: Kind,
    pub(super) tag: Tag,
    /// How often the secret had been drawn before.
    pub(super) drawn: u32,
}

/// A projection of floats or of bytes.
#[derive(Debug)]
pub(super) enum Kind {
    Floats(Projection),
    Bytes(IntegerProjection),
}

impl Kind {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Floats(p) => p.bytes(),
            Self::Bytes(p) => p.bytes(),
        }
    }
}

fn live<'b>(bytes: &'b [u8], parts: &[Part], part: usize) -> Option<&'b [u8]> {
    let part = parts.get(part)?;
    bytes.get(usize::try_from(part.offset).ok()?..usize::try_from(part.end()).ok()?)
}

/// A part's floats; `None` if its bytes do not divide into floats.
pub(super) fn floats<'b>(bytes: &'b [u8], parts: &[Part], part: usize) -> Option<&'b [f32]> {
    bytemuck::try_cast_slice(live(bytes, parts, part)?).ok()
}

/// Projects an operator's parameters. `None` if the system gives no randomness, `Some(None)` if they are not as
/// the operator says.
pub(super) fn project(linear: &Linear, bytes: &[u8], parts: &[Part]) -> Option<Option<Kind>> {
    let signed = |part: usize| match parts.get(part).map(|p| &p.kind) {
        Some(PartKind::Parameter(spec)) => spec.dtype == DType::I8,
        _ => false,
    };
    match &linear.numbers {
        Numbers::Floats { .. } => {
            let floats = |part: usize| floats(bytes, parts, part);
            let (weights, bias) = (floats(linear.weight), linear.bias.map(floats));
            let (Some(weights), None | Some(Some(_))) = (weights, bias) else { return Some(None) };
            let bias = bias.flatten();
            if !Projection::fits(linear, weights, bias) {
                return Some(None);
            }
            Projection::draw(linear, weights, bias).map(|p| Some(Kind::Floats(p)))
        }
        Numbers::Bytes { input_zero, weight_zero } => {
            let read = |part: usize| live(bytes, parts, part).map(|b| numbers(b, signed(part)));
            let zero = match input_zero {
                Some(Zero::Part(part)) => Some(read(*part)),
                _ => None,
            };
            let (weights, weight_zero) = (read(linear.weight), weight_zero.map(read));
            let (Some(weights), None | Some(Some(_)), None | Some(Some(_))) =
                (weights, &zero, &weight_zero)
            else {
                return Some(None);
            };
            let (zero, weight_zero) = (zero.flatten(), weight_zero.flatten());
            let drawn =
                IntegerProjection::draw(linear, &weights, weight_zero.as_deref(), zero.as_deref())?;
            Some(drawn.map(Kind::Bytes))
        }
    }
}
