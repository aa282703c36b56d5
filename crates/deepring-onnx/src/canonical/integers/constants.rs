//! Integers in constants, and those that nodes hold themselves: none may be beyond what the engine holds, since it would take
//! the nearest that it has.

use deepring::DType;

use super::{Graph, Interval};
use crate::proto::{NodeProto, TensorProto};
use crate::read::ImportError;

/// Longest constant of short integers that is read.
const READ_LIMIT: u64 = 8 << 20;

/// Returns whether an attribute is an integer, or a list of them, beyond 32 bits.
pub(super) fn is_beyond(node: &NodeProto) -> bool {
    let mut all = node.attribute.iter().flat_map(|a| a.i.iter().chain(&a.ints));
    all.any(|value| i32::try_from(*value).is_err())
}

impl Graph {
    /// The least and largest element, however many there are; `None` of no elements, and of other types.
    pub(super) fn interval_of(
        &self,
        tensor: &TensorProto,
    ) -> Result<Option<Interval>, ImportError> {
        use DType::{I8, I16, I32, I64, U8, U16, U32, U64};
        let (Some(dtype), Some(source)) = (tensor.dtype(), self.source(tensor)) else {
            return Ok(None);
        };
        // Of what cannot be beyond, only what may be dimensions is worth reading.
        let read = match dtype {
            I64 | U32 | U64 => true,
            I8 | I16 | I32 | U8 | U16 => source.len() <= READ_LIMIT,
            _ => false,
        };
        if !read {
            return Ok(None);
        }
        let bytes = source.read()?;
        let value = |bytes: &[u8]| -> i128 {
            match (dtype, bytes) {
                (I8, &[a]) => i8::from_le_bytes([a]).into(),
                (U8, &[a]) => a.into(),
                (I16, &[a, b]) => i16::from_le_bytes([a, b]).into(),
                (U16, &[a, b]) => u16::from_le_bytes([a, b]).into(),
                (I32, &[a, b, c, d]) => i32::from_le_bytes([a, b, c, d]).into(),
                (U32, &[a, b, c, d]) => u32::from_le_bytes([a, b, c, d]).into(),
                (I64, &[a, b, c, d, e, f, g, h]) => {
                    i64::from_le_bytes([a, b, c, d, e, f, g, h]).into()
                }
                (_, &[a, b, c, d, e, f, g, h]) => {
                    u64::from_le_bytes([a, b, c, d, e, f, g, h]).into()
                }
                _ => 0,
            }
        };
        // It joins what it is used with.
        let one = |at: i128| Interval { low: at, high: at, of_shape: true };
        let all = bytes.chunks_exact(dtype.size()).map(|b| one(value(b)));
        Ok(all.reduce(Interval::union))
    }

    /// The value of a tensor whose elements are all one integer.
    pub(super) fn filled_with(&self, node: &NodeProto) -> Result<Option<Interval>, ImportError> {
        if node.onnx_op() != "ConstantOfShape" {
            return Ok(None);
        }
        let value = node.attr("value").and_then(|a| a.t.as_deref());
        value.map_or(Ok(None), |tensor| self.interval_of(tensor))
    }
}
