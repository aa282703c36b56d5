//! Padding that the engine would put at the other end.

use deepring::Dim;

use super::shapes::Shapes;
use crate::onnx::proto::NodeProto;
use crate::onnx::{ImportError, unsupported};

/// Writes `SAME_LOWER` out as explicit pads: the engine takes it for `SAME_UPPER`, which differs where the
/// total is odd.
pub(super) fn explicit(shapes: &Shapes, node: &mut NodeProto) -> Result<(), ImportError> {
    if node.attr_str("auto_pad") != Some("SAME_LOWER") {
        return Ok(());
    }
    let pads = pads(shapes, node).ok_or_else(|| {
        unsupported("SAME_LOWER over dimensions that the model leaves open", Some(&node.label()))
    })?;
    node.take_attr("auto_pad");
    node.set_ints("pads", pads);
    Ok(())
}

fn pads(shapes: &Shapes, node: &NodeProto) -> Option<Vec<i64>> {
    if node.op() == "ConvTranspose" {
        return None;
    }
    let kernel = node.attr_ints("kernel_shape")?;
    let sizes = shapes.of(node.arg(0))?.get(2..)?;
    let along = |name: &str, dim: usize| match node.attr_ints(name) {
        Some(given) if !given.is_empty() => given.get(dim).copied().filter(|n| *n > 0),
        _ => Some(1),
    };
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for (dim, (size, kernel)) in sizes.iter().zip(kernel).enumerate() {
        let Dim::Fixed(size) = size else { return None };
        let size = i64::try_from(*size).ok()?;
        let (stride, dilation) = (along("strides", dim)?, along("dilations", dim)?);
        let out = size.checked_add(stride - 1)? / stride;
        let reach = kernel.checked_sub(1)?.checked_mul(dilation)?.checked_add(1)?;
        let total = out.checked_sub(1)?.checked_mul(stride)?.checked_add(reach)?;
        let total = total.checked_sub(size)?.max(0);
        before.push(total - total / 2);
        after.push(total / 2);
    }
    (before.len() == kernel.len()).then(|| [before, after].concat())
}
