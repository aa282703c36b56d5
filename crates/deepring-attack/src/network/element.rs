//! One element of a parameter tensor, of whatever type, as bits and as a number.

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
