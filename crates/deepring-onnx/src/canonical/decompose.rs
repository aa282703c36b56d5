//! Operators that the engine lacks, written with ones that it has.

use deepring::{DType, Dim};

use super::upgrade::Upgrade;
use super::value_types::ValueType;
use crate::proto::NodeProto;
use crate::read::ImportError;

/// `gamma * elu(x, alpha)`.
pub(super) fn selu(upgrade: &mut Upgrade<'_>, node: &NodeProto) {
    let (Some(x), Some(y)) = (node.arg(0), node.output.first()) else { return };
    let alpha = node.attr_float("alpha").unwrap_or(1.673_263_2);
    let gamma = upgrade.float(y, node.attr_float("gamma").unwrap_or(1.050_701));
    let elu = format!("{y}.elu");
    upgrade.push("Elu", &[x], &elu).set_float("alpha", alpha);
    upgrade.push("Mul", &[&elu, &gamma], y);
}

/// `x` where it is zero, else its sign: the engine's own one takes zero for positive. Only zero equals its own negative, among
/// floats; of integers, the least one does too, so that these are cut off at one.
pub(super) fn sign(upgrade: &mut Upgrade<'_>, node: NodeProto) {
    let Some((x, y)) = node.edge() else {
        upgrade.nodes.push(node);
        return;
    };
    let part = |suffix: &str| format!("{y}.{suffix}");
    let whole = match upgrade.kind(Some(&x)) {
        Some(ValueType::Tensor(dtype)) if is_whole(dtype) => dtype,
        _ => {
            upgrade.push("Neg", &[&x], &part("negative"));
            upgrade.push("Equal", &[&x, &part("negative")], &part("zero"));
            upgrade.push("Sign", &[&x], &part("sign"));
            upgrade.push("Where", &[&part("zero"), &x, &part("sign")], &y);
            return;
        }
    };
    let [int, of] = [DType::I64, whole].map(|dtype| i64::from(dtype.onnx()));
    let (least, most) = (upgrade.int(&part("least"), -1), upgrade.int(&part("most"), 1));
    upgrade.push("Cast", &[&x], &part("whole")).set_int("to", int);
    upgrade.push("Max", &[&part("whole"), &least], &part("above"));
    upgrade.push("Min", &[&part("above"), &most], &part("sign"));
    upgrade.push("Cast", &[&part("sign")], &y).set_int("to", of);
}

fn is_whole(dtype: DType) -> bool {
    !matches!(dtype, DType::F32 | DType::F64 | DType::F16 | DType::Bf16 | DType::Bool)
}

/// A convolution of floats: the engine's own one of integers ignores zero points.
///
/// Exact while each sum stays below 2^24, which it does for up to 514 products of bytes.
pub(super) fn conv_integer(
    upgrade: &mut Upgrade<'_>,
    mut node: NodeProto,
) -> Result<(), ImportError> {
    let edge = |arg: usize| node.arg(arg).map(str::to_owned);
    let (x, w, x_zero, w_zero) = (edge(0), edge(1), edge(2), edge(3));
    let zeros = match upgrade.shapes.of(w_zero.as_deref()).map(Vec::as_slice) {
        None | Some([]) => Some(None),
        Some(&[Dim::Fixed(n)]) if n <= 1 << 16 => Some(Some(n)),
        Some(_) => None,
    };
    let (Some(x), Some(w), Some(y), Some(zeros)) = (x, w, node.output.first().cloned(), zeros)
    else {
        upgrade.nodes.push(node);
        return Ok(());
    };
    upgrade.charge(zeros.unwrap_or(1).saturating_mul(4))?;
    let (float, int) = (i64::from(DType::F32.onnx()), i64::from(DType::I32.onnx()));
    let part = |suffix: &str| format!("{y}.{suffix}");
    upgrade.push("Cast", &[&x], &part("x")).set_int("to", float);
    let mut operand = part("x");
    if let Some(zero) = x_zero {
        upgrade.push("Cast", &[&zero], &part("zero")).set_int("to", float);
        upgrade.push("Sub", &[&part("x"), &part("zero")], &part("shifted"));
        operand = part("shifted");
    }
    match w_zero {
        None => upgrade.push("Cast", &[&w], &part("weight")).set_int("to", float),
        Some(zero) => {
            let ones = vec![1f32; usize::try_from(zeros.unwrap_or(1)).unwrap_or(1)];
            let bytes = ones.iter().flat_map(|v| v.to_le_bytes()).collect();
            let one = upgrade.constant(&part("one"), DType::F32, zeros.as_slice(), bytes);
            upgrade
                .push("DequantizeLinear", &[&w, &one, &zero], &part("weight"))
                .set_int("axis", 0);
        }
    }
    node.op_type = Some("Conv".to_owned());
    node.input = vec![operand, part("weight")];
    node.output = vec![part("sum")];
    upgrade.nodes.push(node);
    upgrade.push("Cast", &[&part("sum")], &y).set_int("to", int);
    Ok(())
}

/// `x / (bias + alpha * mean of x * x over neighbouring channels) ^ beta`, the mean by a pool over the
/// channels of an image `[n, 1, c, h * w]`.
pub(super) fn lrn(upgrade: &mut Upgrade<'_>, node: NodeProto) {
    let size = node.attr_int("size").filter(|&s| s > 0);
    let channels = upgrade.shapes.of(node.arg(0)).and_then(|s| match s.get(1) {
        Some(Dim::Fixed(c)) if s.len() >= 3 => i64::try_from(*c).ok(),
        _ => None,
    });
    let (Some(size), Some(channels), Some((x, y))) = (size, channels, node.edge()) else {
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
