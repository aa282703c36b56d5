//! One element of a parameter tensor, of whatever type, as bits and as a number.

use std::ops::Range;

use deepring::DType;
use serde::{Serialize, Serializer};

/// A value with its type. Two are equal if their bits are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Element {
    dtype: DType,
    /// Little-endian, the lowest bytes used.
    bits: u64,
}

impl Element {
    /// From the bytes of a tensor, as many as its type has.
    #[must_use]
    pub fn from_le_bytes(dtype: DType, bytes: &[u8]) -> Self {
        let mut all = [0; 8];
        all.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        Self { dtype, bits: u64::from_le_bytes(all) }
    }

    /// The bits, the lowest first.
    #[must_use]
    pub fn bits(self) -> u64 {
        self.bits
    }

    /// Bits of a floating-point type, and which of them are its exponent; `None` for other types.
    #[must_use]
    pub fn exponent(dtype: DType) -> Option<(u32, Range<u32>)> {
        match dtype {
            DType::F32 => Some((32, 23..31)),
            DType::F64 => Some((64, 52..63)),
            DType::F16 => Some((16, 10..15)),
            DType::Bf16 => Some((16, 7..15)),
            _ => None,
        }
    }

    /// The finite half-precision number nearest to `value`, of equally near ones the even one; `None` for other types.
    #[must_use]
    pub fn nearest_half(dtype: DType, value: f64) -> Option<[u8; 2]> {
        let bits = match dtype {
            DType::F16 => to_half(value),
            DType::Bf16 => to_bfloat(value),
            _ => return None,
        };
        Some(bits.to_le_bytes())
    }

    /// The number that the bits mean; half precision is widened.
    #[must_use]
    pub fn value(self) -> f64 {
        let bits = self.bits;
        match self.dtype {
            DType::F32 => f64::from(f32::from_bits(bits as u32)),
            DType::F64 => f64::from_bits(bits),
            DType::Bf16 => f64::from(f32::from_bits((bits as u32) << 16)),
            DType::F16 => f64::from(half(bits as u16)),
            DType::I8 => f64::from(bits as i8),
            DType::I16 => f64::from(bits as i16),
            DType::I32 => f64::from(bits as i32),
            DType::I64 => bits as i64 as f64,
            DType::U8 | DType::Bool | DType::U16 | DType::U32 | DType::U64 => bits as f64,
        }
    }
}

/// IEEE 754 binary16.
fn half(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f32::from(bits & 0x3ff));
    sign * match exponent {
        0 => fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1.0 + fraction / 1024.0) * 2f32.powi(exponent - 15),
    }
}

/// To IEEE 754 binary16. Two such formats differ in where their fraction ends and what their exponents begin with.
fn to_half(value: f64) -> u16 {
    to_narrow(value, 10, 15, 0x7bff)
}

/// To the upper half of an IEEE 754 binary32.
fn to_bfloat(value: f64) -> u16 {
    to_narrow(value, 7, 127, 0x7f7f)
}

/// To a format of 16 bits with so many bits of fraction, this bias, and this largest finite number.
fn to_narrow(value: f64, fraction: u32, bias: i32, largest: u16) -> u16 {
    let sign = if value.is_sign_negative() { 0x8000 } else { 0 };
    if value.is_nan() {
        // Above every infinity, whose fraction is 0.
        return sign | (largest + 1) | 1;
    }
    let magnitude = value.abs();
    let steps = 2f64.powi(fraction as i32);
    // The exponent of the number, or that of numbers too small for one of their own, which have no leading 1.
    let smallest = 1 - bias;
    let exponent = match magnitude {
        0.0 => smallest,
        _ => ((magnitude.to_bits() >> 52) as i32 - 1023).clamp(smallest, bias),
    };
    // Counted in steps from zero on; a fraction that rounds up to the next power of two carries into the exponent.
    let counted = (magnitude / 2f64.powi(exponent) * steps).round_ties_even();
    let bits = f64::from(exponent - smallest) * steps + counted;
    sign | (bits.min(f64::from(largest)) as u16)
}

impl std::fmt::Display for Element {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.dtype {
            DType::F32 => write!(f, "{}", f32::from_bits(self.bits as u32)),
            _ => write!(f, "{}", self.value()),
        }
    }
}

/// As a number; what JSON has no number for, as text.
impl Serialize for Element {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.value() {
            value if value.is_finite() => serializer.serialize_f64(value),
            value => serializer.collect_str(&value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_is_the_nearest_to_itself() {
        for dtype in [DType::F16, DType::Bf16] {
            for bits in 0..=u16::MAX {
                let value = Element::from_le_bytes(dtype, &bits.to_le_bytes()).value();
                if value.is_finite() {
                    assert_eq!(
                        Element::nearest_half(dtype, value),
                        Some(bits.to_le_bytes()),
                        "{value}"
                    );
                }
            }
        }
        assert_eq!(Element::nearest_half(DType::F32, 1.0), None);
    }

    #[test]
    fn a_number_between_two_halves_becomes_the_nearer_and_none_becomes_infinite() {
        let near = |dtype, value| {
            Element::from_le_bytes(dtype, &Element::nearest_half(dtype, value).unwrap()).value()
        };
        let step = 2f64.powi(-10);
        assert_eq!(near(DType::F16, 1.0 + 0.4 * step), 1.0);
        assert_eq!(near(DType::F16, -1.0 - 0.6 * step), -1.0 - step);
        // Of two that are as near, the even one.
        assert_eq!(near(DType::F16, 1.0 + 0.5 * step), 1.0);
        assert_eq!(near(DType::F16, 1.0 + 1.5 * step), 1.0 + 2.0 * step);
        assert_eq!(near(DType::F16, 2.0 - 0.1 * step), 2.0);
        assert_eq!(near(DType::F16, 2f64.powi(-26)), 0.0);
        assert_eq!(near(DType::F16, 0.7 * 2f64.powi(-24)), 2f64.powi(-24));
        assert_eq!(near(DType::F16, 1e9), 65504.0);
        assert_eq!(near(DType::F16, f64::NEG_INFINITY), -65504.0);
        assert!(near(DType::F16, f64::NAN).is_nan() && near(DType::Bf16, f64::NAN).is_nan());
        assert_eq!(near(DType::Bf16, 1.0 + 2f64.powi(-8)), 1.0);
        assert_eq!(near(DType::Bf16, 1e39), f64::from(f32::from_bits(0x7f7f_0000)));
    }

    #[test]
    fn bits_mean_what_their_type_says() {
        let of = |dtype, bytes: &[u8]| Element::from_le_bytes(dtype, bytes).value();
        assert_eq!(of(DType::F32, &1.5f32.to_le_bytes()), 1.5);
        assert_eq!(of(DType::I8, &[0x80]), -128.0);
        assert_eq!(of(DType::U8, &[0x80]), 128.0);
        assert_eq!(of(DType::F16, &[0x00, 0x3e]), 1.5);
        assert_eq!(of(DType::F16, &[0x01, 0x00]), 2f64.powi(-24));
        assert_eq!(of(DType::Bf16, &[0xc0, 0x3f]), 1.5);
        assert!(of(DType::F16, &[0x01, 0x7c]).is_nan());
        assert_eq!(
            serde_json::to_string(&Element::from_le_bytes(
                DType::F32,
                &f32::INFINITY.to_le_bytes()
            ))
            .unwrap(),
            "\"inf\""
        );
    }
}
