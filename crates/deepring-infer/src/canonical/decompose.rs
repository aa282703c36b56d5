//! Operators that the engine lacks, written with ones that it has.

use deepring::Dim;

use super::upgrade::Upgrade;
use crate::onnx::proto::NodeProto;

/// `gamma * elu(x, alpha)`.
pub(super) fn selu(upgrade: &mut Upgrade<'_>, node: &NodeProto) {
    let (Some(x), Some(y)) = (node.arg(0), node.output.first()) else { return };
    let alpha = node.attr_float("alpha").unwrap_or(1.673_263_2);
    let gamma = upgrade.float(y, node.attr_float("gamma").unwrap_or(1.050_701));
    let elu = format!("{y}.elu");
    upgrade.push("Elu", &[x], &elu).set_float("alpha", alpha);
    upgrade.push("Mul", &[&elu, &gamma], y);
}

/// `x / (bias + alpha * mean of x² over neighbouring channels) ^ beta`, the mean by a pool over the
/// channels of an image `[n, 1, c, h * w]`.
pub(super) fn lrn(upgrade: &mut Upgrade<'_>, node: NodeProto) {
    let size = node.attr_int("size").filter(|&s| s > 0);
    let channels = upgrade.shapes.of(node.arg(0)).and_then(|s| match s.get(1) {
        Some(Dim::Fixed(c)) if s.len() >= 3 => i64::try_from(*c).ok(),
        _ => None,
    });
    let edge = node.arg(0).map(str::to_owned).zip(node.output.first().cloned());
    let (Some(size), Some(channels), Some((x, y))) = (size, channels, edge) else {
        upgrade.nodes.push(node);
        return;
    };
    let part = |suffix: &str| format!("{y}.{suffix}");
    let image = upgrade.ints(&part("image"), &[0, 1, channels, -1]);
    let alpha = upgrade.float(&part("alpha"), node.attr_float("alpha").unwrap_or(1e-4));
    let beta = upgrade.float(&part("beta"), node.attr_float("beta").unwrap_or(0.75));
    let bias = upgrade.float(&part("bias"), node.attr_float("bias").unwrap_or(1.0));
    upgrade.push("Shape", &[&x], &part("shape"));
    upgrade.push("Mul", &[&x, &x], &part("square"));
    upgrade.push("Reshape", &[&part("square"), &image], &part("channels"));
    let pool = upgrade.push("AveragePool", &[&part("channels")], &part("pooled"));
    pool.set_ints("kernel_shape", vec![size, 1]);
    pool.set_ints("strides", vec![1, 1]);
    pool.set_ints("pads", vec![(size - 1) / 2, 0, size / 2, 0]);
    pool.set_int("count_include_pad", 1);
    upgrade.push("Reshape", &[&part("pooled"), &part("shape")], &part("mean"));
    upgrade.push("Mul", &[&part("mean"), &alpha], &part("scaled"));
    upgrade.push("Add", &[&part("scaled"), &bias], &part("base"));
    upgrade.push("Pow", &[&part("base"), &beta], &part("power"));
    upgrade.push("Div", &[&x, &part("power")], &y);
}
