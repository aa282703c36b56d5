//! Casts to short integers, which wrap: the engine has no integers of 16 bits and holds them in 32.

use deepring::DType;

use super::{Graph, Interval, cast};
use crate::proto::NodeProto;
use crate::read::ParamSource;

/// How many numbers 16 bits hold.
const PLACES: i64 = 1 << 16;
/// How many of them are below zero, where any is.
const NEGATIVE: i64 = 1 << 15;

/// Returns whether it is a cast to integers of 16 bits of integers that these may not hold. Of floats that they do not hold, ONNX
/// does not say what they become.
pub(super) fn is_wrapping(node: &NodeProto, from: Option<DType>, known: Option<Interval>) -> bool {
    use DType::{Bool, I8, I16, I32, I64, U8, U16, U32, U64};
    let short = |to: DType| match to {
        I16 => Some(-NEGATIVE..NEGATIVE),
        U16 => Some(0..PLACES),
        _ => None,
    };
    let to = node.attr_int("to").and_then(|to| DType::from_onnx(i32::try_from(to).ok()?));
    let (Some(range), Some(from)) = (to.and_then(short), from) else { return false };
    let fits = match from {
        Bool | U8 => true,
        I8 => range.start < 0,
        I16 | U16 => to == Some(from),
        I32 | I64 | U32 | U64 => false,
        _ => return false,
    };
    let within =
        known.is_some_and(|k| i128::from(range.start) <= k.low && k.high < i128::from(range.end));
    node.onnx_op() == "Cast" && !fits && !within
}

impl Graph {
    /// Gives a cast what is left of its input in 16 bits. `named` names what is added.
    pub(super) fn wrap(&mut self, node: &mut NodeProto, named: &str, nodes: &mut Vec<NodeProto>) {
        let Some(x) = node.arg(0).map(str::to_owned) else { return };
        let part = |suffix: &str| format!("{named}.wrap.{suffix}");
        let mut number = |name: &str, value: i64| {
            let name = part(name);
            let bytes = ParamSource::owned(value.to_le_bytes().to_vec());
            self.set_constant(&name, DType::I64, &[], bytes);
            name
        };
        let (places, negative) = (number("places", PLACES), number("negative", NEGATIVE));
        let wide = part("wide");
        nodes.push(cast(&x, i64::from(DType::I64.onnx()), &wide));
        let mut step = |op: &str, inputs: &[&str], to: &str| {
            nodes.push(NodeProto::new(op, &part(to), inputs, &[&part(to)]));
            part(to)
        };
        let mut low = step("Mod", &[&wide, &places], "low");
        if node.attr_int("to") == Some(i64::from(DType::I16.onnx())) {
            let raised = step("Add", &[&low, &negative], "raised");
            let kept = step("Mod", &[&raised, &places], "kept");
            low = step("Sub", &[&kept, &negative], "wrapped");
        }
        node.set_input(0, low);
    }
}
