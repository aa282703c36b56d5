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
    let (short, of) = match upgrade.kind(Some(&x)) {
        Some(ValueType::Tensor(of @ (DType::I32 | DType::I64))) => (false, of),
        Some(ValueType::Tensor(of @ (DType::I8 | DType::I16))) => (true, of),
        // One that is not zero is positive.
        Some(ValueType::Tensor(of @ (DType::U8 | DType::U16 | DType::U32 | DType::U64))) => {
            let (float, nothing) =
                (i64::from(DType::F32.onnx()), upgrade.float(&part("nothing"), 0.0));
            upgrade.push("Cast", &[&x], &part("float")).set_int("to", float);
            upgrade.push("Greater", &[&part("float"), &nothing], &part("some"));
            upgrade.push("Cast", &[&part("some")], &y).set_int("to", of.onnx().into());
            return;
        }
        _ => {
            upgrade.push("Neg", &[&x], &part("negative"));
            upgrade.push("Equal", &[&x, &part("negative")], &part("zero"));
            upgrade.push("Sign", &[&x], &part("sign"));
            upgrade.push("Where", &[&part("zero"), &x, &part("sign")], &y);
            return;
        }
    };
    // A cast of what is not short would be guarded, and the guard stops at what is nearly beyond 32 bits.
    let wide = if short { DType::I64 } else { of };
    let mut one = |name: &str, value: i64| {
        let bytes = value.to_le_bytes().get(..wide.size()).unwrap_or_default().to_vec();
        upgrade.constant(&part(name), wide, &[], bytes)
    };
    let (least, most) = (one("least", -1), one("most", 1));
    let mut from = x;
    if short {
        upgrade.push("Cast", &[&from], &part("whole")).set_int("to", wide.onnx().into());
        from = part("whole");
    }
    upgrade.push("Max", &[&from, &least], &part("not_below"));
    let sign = if short { part("sign") } else { y.clone() };
    upgrade.push("Min", &[&part("not_below"), &most], &sign);
    if short {
        upgrade.push("Cast", &[&sign], &y).set_int("to", of.onnx().into());
    }
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
