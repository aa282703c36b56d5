//! Padding that the engine would put at the other end.

use deepring::Dim;

use super::shapes::Shapes;
use crate::proto::NodeProto;
use crate::read::{ImportError, unsupported};

/// Writes `SAME_LOWER` out as explicit pads: the engine takes it for `SAME_UPPER`, which differs where the
/// total is odd.
pub(super) fn explicit(shapes: &Shapes, node: &mut NodeProto) -> Result<(), ImportError> {
    let refused = |what| unsupported(what, Some(&node.label()));
    match node.attr_str("auto_pad") {
        Some("SAME_LOWER") => {}
        Some("SAME_UPPER")
            if node.op() == "ConvTranspose" && node.attr_ints("kernel_shape").is_some() =>
        {
            return transposed(node).map(drop).map_err(refused);
        }
        _ => return Ok(()),
    }
    let totals = match node.op() {
        "ConvTranspose" => transposed(node),
        _ => totals(shapes, node),
    };
    let totals = totals.map_err(refused)?;
    // Of an odd total the greater part lies before.
    let pads = totals.iter().map(|n| n - n / 2).chain(totals.iter().map(|n| n / 2)).collect();
    node.take_attr("auto_pad");
    node.set_ints("pads", pads);
    Ok(())
}

const NO_KERNEL: &str = "SAME_LOWER without a kernel_shape";
const OPEN: &str = "SAME_LOWER over dimensions that the model leaves open";
const SHAPE: &str = "equal padding of a ConvTranspose with an output_shape";
// What is added then, and where, other programs do not agree on.
const LARGE: &str = "equal padding of a ConvTranspose whose strides are larger than its kernel";
const WRONG: &str = "SAME_LOWER with strides, dilations or a kernel_shape that do not fit";

/// The padding around each dimension, both ends together: as much as makes the output `ceil(size / stride)`.
fn totals(shapes: &Shapes, node: &NodeProto) -> Result<Vec<i64>, &'static str> {
    let kernel = node.attr_ints("kernel_shape").ok_or(NO_KERNEL)?;
    let sizes = shapes.of(node.arg(0)).and_then(|dims| dims.get(2..)).ok_or(OPEN)?;
    if sizes.len() != kernel.len() {
        return Err(WRONG);
    }
    let total = |(dim, size): (usize, &Dim)| {
        let Dim::Fixed(size) = size else { return Err(OPEN) };
        let missing = || {
            let size = i64::try_from(*size).ok()?;
            let (stride, reach) = (along(node, "strides", dim)?, reach(node, kernel, dim)?);
            let out = size.checked_add(stride - 1)? / stride;
            let needed = out.checked_sub(1)?.checked_mul(stride)?.checked_add(reach)?;
            Some(needed.checked_sub(size)?.max(0))
        };
        missing().ok_or(WRONG)
    };
    sizes.iter().enumerate().map(total).collect()
}

/// The elements cut off around each dimension of a transposed convolution's output, both ends together: as much as leaves
/// `size · stride`, whatever the size is.
fn transposed(node: &NodeProto) -> Result<Vec<i64>, &'static str> {
    if node.attr_ints("output_shape").is_some_and(|shape| !shape.is_empty()) {
        return Err(SHAPE);
    }
    let kernel = node.attr_ints("kernel_shape").ok_or(NO_KERNEL)?;
    let total = |dim: usize| {
        let more = match node.attr_ints("output_padding") {
            Some(given) if !given.is_empty() => given.get(dim).copied().filter(|n| *n >= 0)?,
            _ => 0,
        };
        let all = reach(node, kernel, dim)?.checked_add(more)?;
        all.checked_sub(along(node, "strides", dim)?)
    };
    let fitting =
        |dim| total(dim).ok_or(WRONG).and_then(|n| if n < 0 { Err(LARGE) } else { Ok(n) });
    (0..kernel.len()).map(fitting).collect()
}

/// Stride or dilation of a dimension; 1 unless given.
fn along(node: &NodeProto, name: &str, dim: usize) -> Option<i64> {
    match node.attr_ints(name) {
        Some(given) if !given.is_empty() => given.get(dim).copied().filter(|n| *n > 0),
        _ => Some(1),
    }
}

/// From the first to the last element that one place of the kernel's window reads.
fn reach(node: &NodeProto, kernel: &[i64], dim: usize) -> Option<i64> {
    kernel.get(dim)?.checked_sub(1)?.checked_mul(along(node, "dilations", dim)?)?.checked_add(1)
}
