//! Forms that ONNX does not have, and that the engine computes as something or fails at when a query comes.

use deepring::{DType, Dim};

use super::upgrade::Upgrade;
use super::value_types::ValueType;
use crate::proto::NodeProto;

/// Arithmetic is of numbers.
pub(super) fn of_truths(upgrade: &Upgrade<'_>, node: &NodeProto) -> Option<&'static str> {
    let truth = |x: &String| upgrade.kind(Some(x)) == Some(ValueType::Tensor(DType::Bool));
    node.input.iter().any(truth).then_some("arithmetic of truths, which ONNX does not have")
}

/// Weights `[directions, gates · hidden, input]` and `[directions, gates · hidden, hidden]` are of the size that is stated.
pub(super) fn hidden_size(upgrade: &Upgrade<'_>, node: &NodeProto) -> Option<&'static str> {
    let stated = node.attr_int("hidden_size").and_then(|n| u64::try_from(n).ok())?;
    let gates = match node.op() {
        "LSTM" => 4,
        "GRU" => 3,
        _ => 1,
    };
    let is_other = |arg: usize, axis: usize, due: u64| {
        let dim = upgrade.shapes.of(node.arg(arg)).and_then(|dims| dims.get(axis));
        matches!(dim, Some(Dim::Fixed(n)) if *n != due)
    };
    let rows = stated.saturating_mul(gates);
    let other = is_other(1, 1, rows) || is_other(2, 1, rows) || is_other(2, 2, stated);
    other.then_some("a hidden_size that is not that of the weights")
}

/// A slope broadcasts to what it is the slope of, and not the other way.
pub(super) fn slope(upgrade: &Upgrade<'_>, node: &NodeProto) -> Option<&'static str> {
    // Before version 7 it is one for each channel.
    if upgrade.opset() < 7 {
        return None;
    }
    let x = upgrade.shapes.of(node.arg(0))?;
    let slope = upgrade.shapes.of(node.arg(1))?;
    let fits = |(x, slope): (&Dim, &Dim)| match (x, slope) {
        (Dim::Fixed(x), Dim::Fixed(slope)) => *slope == 1 || slope == x,
        _ => true,
    };
    let all = slope.len() <= x.len() && x.iter().rev().zip(slope.iter().rev()).all(fits);
    (!all).then_some("a slope that does not broadcast to its input")
}

/// The engine slides windows along one or two axes.
pub(super) fn three_axes(upgrade: &Upgrade<'_>, node: &NodeProto) -> Option<&'static str> {
    let pools = node.op().ends_with("Pool");
    let of_weight = if pools { None } else { upgrade.shapes.rank(node.arg(1)) };
    let ranks = [upgrade.shapes.rank(node.arg(0)), of_weight];
    let kernel = node.attr_ints("kernel_shape").map(<[i64]>::len);
    let many = ranks.into_iter().flatten().any(|rank| rank > 4) || kernel.is_some_and(|n| n > 2);
    many.then_some("a window of three or more axes")
}

/// A tensor without elements has no statistics; the engine divides by their number.
pub(super) fn of_nothing(upgrade: &Upgrade<'_>, node: &NodeProto) -> Option<&'static str> {
    (upgrade.elements(node.arg(0)) == Some(0)).then_some("a tensor without elements")
}

/// Windows along an axis of no places.
pub(super) fn along_nothing(upgrade: &Upgrade<'_>, node: &NodeProto) -> Option<&'static str> {
    let along = upgrade.shapes.of(node.arg(0))?.get(2..)?;
    along.contains(&Dim::Fixed(0)).then_some("a tensor without elements")
}

/// Only zeros are sampled beyond the border, and only linearly between places.
pub(super) fn sampling(_: &Upgrade<'_>, node: &NodeProto) -> Option<&'static str> {
    match (node.attr_str("padding_mode"), node.attr_str("mode")) {
        (Some("border"), _) => Some("sampling beyond the border: padding_mode `border`"),
        (Some("reflection"), _) => Some("sampling beyond the border: padding_mode `reflection`"),
        (_, Some("nearest")) => Some("sampling of the nearest place: mode `nearest`"),
        (_, Some("bicubic" | "cubic")) => Some("cubic sampling"),
        _ => None,
    }
}
