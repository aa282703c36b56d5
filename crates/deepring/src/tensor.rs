//! Names, element types and dimensions of tensors, as the format writes them.

use serde::{Deserialize, Serialize};

use crate::encoding::{DecodeError, Reader, Writer};
use crate::in_line::InLine;

/// Most tensors that may cross a cut.
const MAX_TENSORS: usize = 4096;
/// Most dimensions that a tensor may have.
pub(crate) const MAX_RANK: usize = 32;
const UNKNOWN_RANK: u8 = 0xff;

/// Element type, numbered as `TensorProto.DataType` of ONNX numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
#[allow(missing_docs, reason = "each variant is the element type it names")]
pub enum DType {
    F32 = 1,
    U8 = 2,
    I8 = 3,
    U16 = 4,
    I16 = 5,
    I32 = 6,
    I64 = 7,
    Bool = 9,
    F16 = 10,
    F64 = 11,
    U32 = 12,
    U64 = 13,
    Bf16 = 16,
}

impl DType {
    const ALL: [Self; 13] = [
        Self::F32,
        Self::U8,
        Self::I8,
        Self::U16,
        Self::I16,
        Self::I32,
        Self::I64,
        Self::Bool,
        Self::F16,
        Self::F64,
        Self::U32,
        Self::U64,
        Self::Bf16,
    ];

    /// The type that ONNX gives this number, if the format knows it.
    #[must_use]
    pub fn from_onnx(code: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|d| d.onnx() == code)
    }

    /// ONNX's number for the type.
    #[must_use]
    pub fn onnx(self) -> i32 {
        i32::from(self as u8)
    }

    /// Bytes that one element takes.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Self::U8 | Self::I8 | Self::Bool => 1,
            Self::U16 | Self::I16 | Self::F16 | Self::Bf16 => 2,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::I64 | Self::F64 | Self::U64 => 8,
        }
    }

    /// Lower-case name: `f32`, `i64`, `bool` ...
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::U8 => "u8",
            Self::I8 => "i8",
            Self::U16 => "u16",
            Self::I16 => "i16",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::Bool => "bool",
            Self::F16 => "f16",
            Self::F64 => "f64",
            Self::U32 => "u32",
            Self::U64 => "u64",
            Self::Bf16 => "bf16",
        }
    }

    pub(crate) fn encode(self, w: &mut Writer) {
        w.u8(self as u8);
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let code = r.u8("dtype")?;
        Self::from_onnx(i32::from(code))
            .ok_or(DecodeError::BadValue { field: "dtype", found: u64::from(code) })
    }
}

/// One dimension.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Dim {
    /// Always this many.
    Fixed(u64),
    /// Decided by each query; dimensions of one name are decided together.
    Named(String),
}

/// The form of a tensor: name, element type, dimensions.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TensorSpec {
    /// Name in the ONNX graph.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Dimensions; `None` where even their number is unknown before a query.
    pub dims: Option<Vec<Dim>>,
}

impl TensorSpec {
    /// Number of elements, where every dimension is fixed and the product fits.
    #[must_use]
    pub fn len(&self) -> Option<u64> {
        self.dims.as_ref()?.iter().try_fold(1u64, |n, d| match d {
            Dim::Fixed(k) => n.checked_mul(*k),
            Dim::Named(_) => None,
        })
    }

    /// Returns whether the tensor is known to have no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        w.string(&self.name);
        self.dtype.encode(w);
        let Some(dims) = &self.dims else {
            w.u8(UNKNOWN_RANK);
            return;
        };
        w.u8(u8::try_from(dims.len()).unwrap_or(UNKNOWN_RANK - 1));
        for dim in dims {
            match dim {
                Dim::Fixed(n) => w.u8(0).u64(*n),
                Dim::Named(name) => w.u8(1).string(name),
            };
        }
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let name = r.string("tensor name")?;
        let dtype = DType::decode(r)?;
        let rank = r.u8("rank")?;
        let dims = match usize::from(rank) {
            _ if rank == UNKNOWN_RANK => None,
            n if n > MAX_RANK => {
                return Err(DecodeError::TooLong {
                    field: "rank",
                    found: n as u64,
                    limit: MAX_RANK as u64,
                });
            }
            n => Some((0..n).map(|_| decode_dim(r)).collect::<Result<Vec<_>, _>>()?),
        };
        Ok(Self { name, dtype, dims })
    }
}

/// A list of specs, `count 4 | specs`: those that cross a cut.
pub(crate) fn encode_specs(specs: &[TensorSpec], w: &mut Writer) {
    w.count(specs.len());
    specs.iter().for_each(|spec| spec.encode(w));
}

pub(crate) fn decode_specs(
    r: &mut Reader<'_>,
    field: &'static str,
) -> Result<Vec<TensorSpec>, DecodeError> {
    let n = r.count(field, MAX_TENSORS, 4)?;
    (0..n).map(|_| TensorSpec::decode(r)).collect()
}

/// In one line, whatever the names hold; for people, never to be parsed.
impl std::fmt::Display for TensorSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", InLine(&self.name), self.dtype.name())?;
        match &self.dims {
            None => f.write_str("[..]"),
            Some(dims) => {
                f.write_str("[")?;
                for (i, dim) in dims.iter().enumerate() {
                    if i > 0 {
                        f.write_str(", ")?;
                    }
                    match dim {
                        Dim::Fixed(n) => write!(f, "{n}")?,
                        Dim::Named(name) => write!(f, "{}", InLine(name))?,
                    }
                }
                f.write_str("]")
            }
        }
    }
}

fn decode_dim(r: &mut Reader<'_>) -> Result<Dim, DecodeError> {
    match r.u8("dimension kind")? {
        0 => Ok(Dim::Fixed(r.u64("dimension")?)),
        1 => Ok(Dim::Named(r.string("dimension name")?)),
        found => Err(DecodeError::BadValue { field: "dimension kind", found: u64::from(found) }),
    }
}
