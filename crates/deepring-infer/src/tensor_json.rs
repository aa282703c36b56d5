//! Tensors as JSON: name, element type, dimensions, and the elements in row-major order, of which not one bit is lost.
//!
//! ```text
//! {"name": "x", "dtype": "f32", "dims": [1, 3], "data": [0.1, -0.0, "NaN"]}
//! ```
//!
//! A float is the shortest decimal that reads back as itself in its type. What JSON has no number for is a text: `"Infinity"`,
//! `"-Infinity"`, and `"NaN"`, which is the quiet NaN without sign or payload; any other NaN has its bits, as `"NaN:ffc00000"`, since
//! digests are over bits. Integers have no fraction and no exponent, `bool` is `true` or `false`. There is one list, however many
//! dimensions.

use deepring::receipt::ValueError;
use deepring::{DType, TensorValue};
use half::{bf16, f16};
use serde::ser::{SerializeSeq as _, SerializeStruct as _};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use thiserror::Error;

/// A tensor that is written as JSON.
#[derive(Debug, Clone, Copy)]
pub struct JsonTensor<'t>(pub &'t TensorValue);

/// A tensor as it was read of JSON. Its elements are still text, which [`value`](Self::value) reads.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorText<'a> {
    name: String,
    dtype: DType,
    dims: Vec<u64>,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// Why a text is no tensor. No element is told.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TensorTextError {
    /// The elements are no list.
    #[error("tensor `{name}`: its data are no list")]
    NotAList {
        /// The tensor.
        name: String,
    },
    /// An element is none of the type, or none that the type can hold.
    #[error("tensor `{name}`: element {at} is no {dtype}")]
    Element {
        /// The tensor.
        name: String,
        /// Its number, from 0.
        at: usize,
        /// The element type.
        dtype: &'static str,
    },
    /// There are more or fewer elements than the dimensions say.
    #[error("tensor `{name}`: {dims:?} are {}, and the data have {}", counted(*expected), found_or_more(*found))]
    Count {
        /// The tensor.
        name: String,
        /// Its dimensions.
        dims: Vec<u64>,
        /// Elements of these dimensions; `None` if that overflows.
        expected: Option<u64>,
        /// Elements found; `None` where there are more than expected.
        found: Option<u64>,
    },
    /// The tensor exceeds a limit of the format.
    #[error(transparent)]
    Value(#[from] ValueError),
}

fn counted(expected: Option<u64>) -> String {
    expected
        .map_or_else(|| "more elements than can be counted".to_owned(), |n| format!("{n} elements"))
}

fn found_or_more(found: Option<u64>) -> String {
    found.map_or_else(|| "more".to_owned(), |n| n.to_string())
}

impl TensorText<'_> {
    /// The tensor's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads the elements. Memory is reserved for no more of them than the text is long enough for.
    ///
    /// # Errors
    /// [`TensorTextError`].
    pub fn value(self) -> Result<TensorValue, TensorTextError> {
        let Self { name, dtype, dims, data } = self;
        let text = data.get().trim();
        let Some(list) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) else {
            return Err(TensorTextError::NotAList { name });
        };
        let expected = dims.iter().try_fold(1u64, |n, dim| n.checked_mul(*dim));
        let Some(count) = expected.and_then(|n| usize::try_from(n).ok()) else {
            return Err(TensorTextError::Count { name, dims, expected: None, found: None });
        };
        // An element has a character, and a comma before the next.
        let room = count.min(list.len().div_ceil(2));
        let mut bytes = Vec::with_capacity(room.saturating_mul(dtype.size()));
        let mut found = 0;
        let elements = (!list.trim().is_empty()).then(|| list.split(',')).into_iter().flatten();
        for element in elements {
            if found == count {
                return Err(TensorTextError::Count { name, dims, expected, found: None });
            }
            if read_element(dtype, element.trim(), &mut bytes).is_none() {
                let dtype = dtype.name();
                return Err(TensorTextError::Element { name, at: found, dtype });
            }
            found += 1;
        }
        if found != count {
            let found = Some(found as u64);
            return Err(TensorTextError::Count { name, dims, expected, found });
        }
        Ok(TensorValue::new(name, dtype, dims, bytes)?)
    }
}

/// Appends an element of this text; `None` where it is none. The text was parsed as JSON, so a number is one.
fn read_element(dtype: DType, text: &str, out: &mut Vec<u8>) -> Option<()> {
    macro_rules! number {
        ($type:ty) => {
            out.extend(text.parse::<$type>().ok()?.to_le_bytes())
        };
    }
    match dtype {
        DType::U8 => number!(u8),
        DType::I8 => number!(i8),
        DType::U16 => number!(u16),
        DType::I16 => number!(i16),
        DType::U32 => number!(u32),
        DType::I32 => number!(i32),
        DType::U64 => number!(u64),
        DType::I64 => number!(i64),
        DType::Bool => out.push(match text {
            "true" => 1,
            "false" => 0,
            _ => return None,
        }),
        DType::F32 => out.extend(match special::<f32>(text) {
            Some(bits) => u32::try_from(bits).ok()?.to_le_bytes(),
            None => finite32(text)?.to_le_bytes(),
        }),
        DType::F64 => out.extend(match special::<f64>(text) {
            Some(bits) => bits.to_le_bytes(),
            None => text.parse::<f64>().ok().filter(|v| v.is_finite())?.to_le_bytes(),
        }),
        DType::F16 => out.extend(match special::<f16>(text) {
            Some(bits) => u16::try_from(bits).ok()?.to_le_bytes(),
            None => Some(f16::from_f32(finite32(text)?)).filter(|v| v.is_finite())?.to_le_bytes(),
        }),
        DType::Bf16 => out.extend(match special::<bf16>(text) {
            Some(bits) => u16::try_from(bits).ok()?.to_le_bytes(),
            None => Some(bf16::from_f32(finite32(text)?)).filter(|v| v.is_finite())?.to_le_bytes(),
        }),
    }
    Some(())
}

fn finite32(text: &str) -> Option<f32> {
    text.parse::<f32>().ok().filter(|v| v.is_finite())
}

/// A float's bits, and what is special among them.
trait Bits: Sized {
    const DIGITS: usize;
    const NAN: u64;
    const INFINITY: u64;
    const SIGN: u64 = 1 << (4 * Self::DIGITS - 1);

    /// Of these bits, whether they are a NaN's: above those of the infinity, without the sign.
    fn is_nan(bits: u64) -> bool {
        bits & !Self::SIGN > Self::INFINITY
    }
}

impl Bits for f32 {
    const DIGITS: usize = 8;
    const NAN: u64 = 0x7fc0_0000;
    const INFINITY: u64 = 0x7f80_0000;
}

impl Bits for f64 {
    const DIGITS: usize = 16;
    const NAN: u64 = 0x7ff8 << 48;
    const INFINITY: u64 = 0x7ff0 << 48;
}

impl Bits for f16 {
    const DIGITS: usize = 4;
    const NAN: u64 = 0x7e00;
    const INFINITY: u64 = 0x7c00;
}

impl Bits for bf16 {
    const DIGITS: usize = 4;
    const NAN: u64 = 0x7fc0;
    const INFINITY: u64 = 0x7f80;
}

/// The bits of a text that is no number of JSON, where it is one that [`special_text`] writes.
fn special<F: Bits>(text: &str) -> Option<u64> {
    match text {
        "\"NaN\"" => Some(F::NAN),
        "\"Infinity\"" => Some(F::INFINITY),
        "\"-Infinity\"" => Some(F::INFINITY | F::SIGN),
        _ => {
            let digits = text.strip_prefix("\"NaN:")?.strip_suffix('"')?;
            let bits = u64::from_str_radix(digits, 16).ok()?;
            let written = special_text::<F>(bits);
            (F::is_nan(bits) && format!("\"{written}\"") == text).then_some(bits)
        }
    }
}

/// The text for the bits of a float that is not finite.
fn special_text<F: Bits>(bits: u64) -> String {
    match bits {
        _ if bits == F::INFINITY => "Infinity".to_owned(),
        _ if bits == F::INFINITY | F::SIGN => "-Infinity".to_owned(),
        _ if bits == F::NAN => "NaN".to_owned(),
        _ => format!("NaN:{bits:0width$x}", width = F::DIGITS),
    }
}

impl Serialize for JsonTensor<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(tensor) = self;
        let mut fields = serializer.serialize_struct("Tensor", 4)?;
        fields.serialize_field("name", tensor.name())?;
        fields.serialize_field("dtype", &tensor.dtype())?;
        fields.serialize_field("dims", tensor.dims())?;
        fields.serialize_field("data", &Elements(tensor))?;
        fields.end()
    }
}

struct Elements<'t>(&'t TensorValue);

/// A number where it is finite, else a text.
enum Float {
    Narrow(f32),
    Wide(f64),
    Special(String),
}

impl Serialize for Float {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Narrow(v) => serializer.serialize_f32(*v),
            Self::Wide(v) => serializer.serialize_f64(*v),
            Self::Special(text) => serializer.serialize_str(text),
        }
    }
}

fn narrow<F: Bits>(value: f32, bits: u64) -> Float {
    match value.is_finite() {
        true => Float::Narrow(value),
        false => Float::Special(special_text::<F>(bits)),
    }
}

impl Serialize for Elements<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        fn list<const N: usize, T: Serialize, S: Serializer>(
            data: &[u8],
            serializer: S,
            read: impl Fn([u8; N]) -> T,
        ) -> Result<S::Ok, S::Error> {
            let elements = data.as_chunks::<N>().0;
            let mut list = serializer.serialize_seq(Some(elements.len()))?;
            for element in elements {
                list.serialize_element(&read(*element))?;
            }
            list.end()
        }
        let data = self.0.data();
        match self.0.dtype() {
            DType::U8 => list(data, serializer, u8::from_le_bytes),
            DType::I8 => list(data, serializer, i8::from_le_bytes),
            DType::U16 => list(data, serializer, u16::from_le_bytes),
            DType::I16 => list(data, serializer, i16::from_le_bytes),
            DType::U32 => list(data, serializer, u32::from_le_bytes),
            DType::I32 => list(data, serializer, i32::from_le_bytes),
            DType::U64 => list(data, serializer, u64::from_le_bytes),
            DType::I64 => list(data, serializer, i64::from_le_bytes),
            // Any other byte than 0 and 1 reads back as another one, and no engine writes one.
            DType::Bool => list(data, serializer, |[b]| b != 0),
            DType::F32 => list(data, serializer, |b| {
                let value = f32::from_le_bytes(b);
                narrow::<f32>(value, value.to_bits().into())
            }),
            DType::F64 => list(data, serializer, |b| {
                let value = f64::from_le_bytes(b);
                match value.is_finite() {
                    true => Float::Wide(value),
                    false => Float::Special(special_text::<f64>(value.to_bits())),
                }
            }),
            DType::F16 => list(data, serializer, |b| {
                let value = f16::from_le_bytes(b);
                narrow::<f16>(value.to_f32(), value.to_bits().into())
            }),
            DType::Bf16 => list(data, serializer, |b| {
                let value = bf16::from_le_bytes(b);
                narrow::<bf16>(value.to_f32(), value.to_bits().into())
            }),
        }
    }
}

#[cfg(test)]
mod tests;
