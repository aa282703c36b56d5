//! The interval that an integer lies in: what the engine holds of each type, and what follows for a node's output.

use std::collections::HashMap;

use deepring::DType;

use super::super::value_types::ValueType;
use crate::proto::NodeProto;

/// Least and largest of what an integer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Interval {
    pub(super) low: i128,
    pub(super) high: i128,
    /// True if it follows from dimensions alone, or is a place within them.
    pub(super) of_shape: bool,
}

impl Interval {
    pub(super) const HELD: Self =
        Self { low: i32::MIN as i128, high: i32::MAX as i128, of_shape: false };

    pub(super) fn within(self, range: Self) -> bool {
        range.low <= self.low && self.high <= range.high
    }

    pub(super) fn union(self, other: Self) -> Self {
        Self {
            low: self.low.min(other.low),
            high: self.high.max(other.high),
            of_shape: self.of_shape && other.of_shape,
        }
    }
}

/// The range that the engine holds of a type that it lacks; `None` for types that it has.
pub(super) fn held(kind: Option<&ValueType>) -> Option<Interval> {
    let (low, high) = match kind? {
        ValueType::Tensor(DType::I64) => (i32::MIN.into(), i32::MAX.into()),
        ValueType::Tensor(DType::U32 | DType::U64) => (0, i32::MAX.into()),
        ValueType::Tensor(DType::U16) => (0, u16::MAX.into()),
        ValueType::Tensor(DType::I16) => (i16::MIN.into(), i16::MAX.into()),
        _ => return None,
    };
    Some(Interval { low, high, of_shape: false })
}

/// Operators whose result can be larger than what they are given.
pub(super) fn is_arithmetic(op: &str) -> bool {
    matches!(
        op,
        "Add"
            | "Sub"
            | "Mul"
            | "Pow"
            | "Sum"
            | "Neg"
            | "Abs"
            | "CumSum"
            | "ReduceSum"
            | "ReduceProd"
            | "ReduceSumSquare"
            | "ReduceL1"
    )
}

/// The range of a node's output, if that follows from its inputs; `None` where nothing is known of it.
pub(super) fn interval(
    node: &NodeProto,
    known: &HashMap<String, Interval>,
    range: Interval,
) -> Option<Interval> {
    let of = |arg: usize| node.arg(arg).and_then(|x| known.get(x)).copied();
    let corners = |f: fn(i128, i128) -> i128| {
        let (a, b) = (of(0)?, of(1)?);
        let all = [f(a.low, b.low), f(a.low, b.high), f(a.high, b.low), f(a.high, b.high)];
        let (low, high) = (*all.iter().min()?, *all.iter().max()?);
        Some(Interval { low, high, of_shape: a.of_shape && b.of_shape })
    };
    let all = |from: usize| {
        let mut each = (from..node.input.len()).map(of);
        let first = each.next()??;
        each.try_fold(first, |sum, next| Some(sum.union(next?)))
    };
    match node.onnx_op() {
        // Its values, which come before their places.
        "TopK" => of(0).map(|a| Interval { of_shape: false, ..a }),
        "Shape" | "Size" | "ArgMax" | "ArgMin" | "NonZero" | "Unique" => {
            Some(Interval { low: 0, high: i32::MAX.into(), of_shape: true })
        }
        "Add" => corners(i128::saturating_add),
        "Sub" => corners(i128::saturating_sub),
        "Mul" => corners(i128::saturating_mul),
        "Neg" => of(0).map(negated),
        "Abs" => of(0).map(|a| Interval { low: 0, ..a.union(negated(a)) }),
        "Gather" | "GatherElements" | "GatherND" | "Slice" | "Reshape" | "Squeeze"
        | "Unsqueeze" | "Transpose" | "Identity" | "Expand" | "Tile" | "Split" | "Flatten"
        | "ReduceMax" | "ReduceMin" | "Clip" => of(0),
        "Concat" | "Max" | "Min" => all(0),
        "Where" => all(1),
        // Of dimensions, whatever is made of them but by counting up.
        "Cast" if of(0).is_some_and(|a| a.within(range)) => of(0),
        "Div" | "Mod" | "Range" | "ConstantOfShape" | "Floor" | "Ceil" => {
            let a = of(0)?;
            Some(Interval { low: range.low, high: range.high, of_shape: a.of_shape })
        }
        // These may leave the range, if it is not dimensions that they are of.
        "ReduceProd" | "ReduceSum" | "Cast" => of(0).filter(|a| a.of_shape).map(|_| Interval {
            low: range.low - 1,
            high: range.high + 1,
            of_shape: true,
        }),
        _ => None,
    }
}

fn negated(a: Interval) -> Interval {
    Interval { low: a.high.saturating_neg(), high: a.low.saturating_neg(), ..a }
}

/// Returns whether a cast may give what its type, or what holds it, does not hold: of floats that are too large, of wider integers, and
/// of negative ones.
pub(super) fn is_narrowing(
    node: &NodeProto,
    value_types: &HashMap<String, ValueType>,
    range: Interval,
) -> bool {
    let from = node.arg(0).and_then(|x| value_types.get(x));
    node.onnx_op() == "Cast"
        && match from {
            Some(ValueType::Tensor(DType::Bool | DType::U8)) => false,
            Some(ValueType::Tensor(DType::I8 | DType::I32)) => range.low == 0,
            _ => true,
        }
}
