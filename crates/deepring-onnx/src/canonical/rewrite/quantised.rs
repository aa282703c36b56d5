//! Forms of quantisation, and of products of what is quantised, that the engine computes otherwise than ONNX says.

use deepring::{DType, Dim};

use super::super::differences::Rewritten;
use super::super::upgrade::Upgrade;
use super::super::value_types::ValueType;
use crate::proto::NodeProto;

/// `clip(round(x / scale) + zero)`, divided as ONNX divides.
pub(in crate::canonical) fn quantise(upgrade: &mut Upgrade<'_>, node: NodeProto) -> Rewritten {
    let Some((x, y)) = node.edge() else { return Ok(Some(node)) };
    let Some(scale) = node.arg(1).map(str::to_owned) else { return Ok(Some(node)) };
    let zero = node.arg(2).map(str::to_owned);
    let kind = match (&zero, node.attr_int("output_dtype").filter(|d| *d != 0)) {
        (Some(zero), _) => upgrade.kind(Some(zero)),
        (None, None) => Some(ValueType::Tensor(DType::U8)),
        (None, Some(code)) => {
            i32::try_from(code).ok().and_then(DType::from_onnx).map(ValueType::Tensor)
        }
    };
    let (to, range) = match kind {
        Some(ValueType::Tensor(DType::U8)) => (DType::U8, [0.0, 255.0]),
        Some(ValueType::Tensor(DType::I8)) => (DType::I8, [-128.0, 127.0]),
        // Of other types, and in blocks, the engine says what it lacks.
        _ => return Ok(Some(node)),
    };
    if node.attr_int("block_size").unwrap_or(0) != 0 {
        return Ok(Some(node));
    }
    let part = |suffix: &str| format!("{y}.{suffix}");
    let axis = node.attr_int("axis").unwrap_or(1);
    let Some(scale) = upgrade.along_axis(&scale, &x, axis, &part("scale")) else {
        return Err(upgrade.differs(&node, "a scale of unknown rank"));
    };
    let float = i64::from(DType::F32.onnx());
    upgrade.divided(&x, &scale, &part("ratio"));
    upgrade.push("Round", &[&part("ratio")], &part("rounded"));
    let mut shifted = part("rounded");
    if let Some(zero) = zero {
        let Some(zero) = upgrade.along_axis(&zero, &x, axis, &part("zero")) else {
            return Err(upgrade.differs(&node, "a zero point of unknown rank"));
        };
        upgrade.push("Cast", &[&zero], &part("zero_float")).set_int("to", float);
        upgrade.push("Add", &[&part("rounded"), &part("zero_float")], &part("shifted"));
        shifted = part("shifted");
    }
    let [low, high] = range.map(|v| upgrade.float(&part(if v > 0.0 { "high" } else { "low" }), v));
    upgrade.push("Clip", &[&shifted, &low, &high], &part("clipped"));
    upgrade.push("Cast", &[&part("clipped")], &y).set_int("to", i64::from(to.onnx()));
    Ok(None)
}

/// The scale of `x`'s range, zero in it, and `x` quantised by that, as ONNX's function has it.
pub(in crate::canonical) fn quantise_dynamically(
    upgrade: &mut Upgrade<'_>,
    node: NodeProto,
) -> Rewritten {
    let [y, scale, zero] = node.output.as_slice() else { return Ok(Some(node)) };
    if [y, scale, zero].iter().any(|o| o.is_empty()) {
        return Ok(Some(node));
    }
    let Some(x) = node.arg(0).map(str::to_owned) else { return Ok(Some(node)) };
    let part = |suffix: &str| format!("{y}.{suffix}");
    let (byte, float) = (i64::from(DType::U8.onnx()), i64::from(DType::F32.onnx()));
    let nothing = upgrade.float(&part("nothing"), 0.0);
    let most = upgrade.float(&part("most"), 255.0);
    for (reduce, extend, name) in [("ReduceMin", "Min", "low"), ("ReduceMax", "Max", "high")] {
        upgrade.push(reduce, &[&x], &part(&format!("{name}est"))).set_int("keepdims", 0);
        upgrade.push(extend, &[&part(&format!("{name}est")), &nothing], &part(name));
    }
    upgrade.push("Sub", &[&part("high"), &part("low")], &part("range"));
    // Of zeros alone, any scale will do but none: onnxruntime's is one.
    let one = upgrade.float(&part("one"), 1.0);
    upgrade.divided_number(&part("range"), &most, &part("exact_scale"));
    upgrade.push("Equal", &[&part("exact_scale"), &nothing], &part("no_range"));
    upgrade.push("Where", &[&part("no_range"), &one, &part("exact_scale")], scale);
    upgrade.divided_number(&part("low"), scale, &part("low_ratio"));
    upgrade.push("Neg", &[&part("low_ratio")], &part("exact_zero"));
    upgrade.push("Clip", &[&part("exact_zero"), &nothing, &most], &part("zero_clipped"));
    upgrade.push("Round", &[&part("zero_clipped")], &part("zero_float"));
    upgrade.push("Cast", &[&part("zero_float")], zero).set_int("to", byte);
    upgrade.push("Cast", &[zero], &part("zero_again")).set_int("to", float);
    upgrade.divided(&x, scale, &part("ratio"));
    upgrade.push("Round", &[&part("ratio")], &part("rounded"));
    upgrade.push("Add", &[&part("rounded"), &part("zero_again")], &part("shifted"));
    upgrade.push("Clip", &[&part("shifted"), &nothing, &most], &part("clipped"));
    upgrade.push("Cast", &[&part("clipped")], y).set_int("to", byte);
    Ok(None)
}

/// Scale and zero point.
pub(in crate::canonical) fn single_scale(upgrade: &mut Upgrade<'_>, node: NodeProto) -> Rewritten {
    if node.attr_int("block_size").unwrap_or(0) != 0 {
        return Ok(Some(node));
    }
    Ok(Some(without_lists(upgrade, node, &[(1, "scale"), (2, "zero")])))
}

/// Zero points of input and weight: of a list of them, the engine takes the wrong ones beyond the first rows or columns.
pub(in crate::canonical) fn single_zeros(upgrade: &mut Upgrade<'_>, node: NodeProto) -> Rewritten {
    let counts = [2, 3].map(|arg| match node.arg(arg) {
        Some(zero) => upgrade.elements(Some(zero)),
        None => Some(1),
    });
    let mut node = without_lists(upgrade, node, &[(2, "input_zero"), (3, "weight_zero")]);
    let Some((_, y)) = node.edge() else { return Ok(Some(node)) };
    let (rows, known) = match (counts[0], counts[1]) {
        (Some(1), Some(1)) => return Ok(Some(node)),
        (list, Some(1)) => (true, list.is_some()),
        (Some(1), list) => (false, list.is_some()),
        _ => return Err(upgrade.differs(&node, "zero points for each row and each column")),
    };
    // y = a·b with single zero points, less the list times what the other operand sums to.
    let list = node.arg(if rows { 2 } else { 3 }).map(str::to_owned);
    let inner = match upgrade.shapes.of(node.arg(1)).map(Vec::as_slice) {
        Some([Dim::Fixed(inner), _]) => Some(*inner),
        _ => None,
    };
    let matrix = upgrade.shapes.rank(node.arg(0)) == Some(2) || !rows;
    let (Some(list), Some(inner), true) = (list, inner, matrix && known) else {
        return Err(upgrade.differs(&node, "a list of zero points of an open number"));
    };
    let part = |suffix: &str| format!("{y}.{suffix}");
    let dims = if rows { [1, inner] } else { [inner, 1] };
    let len = usize::try_from(inner).unwrap_or(usize::MAX).min(1 << 30);
    upgrade.charge(inner)?;
    let ones = upgrade.constant(&part("ones"), DType::U8, &dims, vec![1; len]);
    let input = |arg: usize| node.arg(arg).unwrap_or_default().to_owned();
    let (a, b, zero_a, zero_b) = (input(0), input(1), input(2), input(3));
    let sums = if rows { [&ones, &b, "", &zero_b] } else { [&a, &ones, &zero_a, ""] };
    upgrade.push("MatMulInteger", &sums, &part("sums"));
    let wide = i64::from(DType::I32.onnx());
    upgrade.push("Cast", &[&list], &part("zeros")).set_int("to", wide);
    let zeros = if rows {
        upgrade.reshaped("Unsqueeze", &part("zeros"), &[1], &part("zeros_of_rows"));
        part("zeros_of_rows")
    } else {
        part("zeros")
    };
    upgrade.push("Mul", &[&part("sums"), &zeros], &part("shift"));
    node.set_input(if rows { 2 } else { 3 }, String::new());
    node.output = vec![part("product")];
    upgrade.nodes.push(node);
    upgrade.push("Sub", &[&part("product"), &part("shift")], &y);
    Ok(None)
}

/// A list of one is the one.
fn without_lists(
    upgrade: &mut Upgrade<'_>,
    mut node: NodeProto,
    args: &[(usize, &str)],
) -> NodeProto {
    let Some((_, y)) = node.edge() else { return node };
    for (arg, name) in args {
        let Some(value) = node.arg(*arg).map(str::to_owned) else { continue };
        if upgrade.is_list_of_one(&value) {
            let single = format!("{y}.{name}");
            upgrade.reshaped("Squeeze", &value, &[0], &single);
            node.set_input(*arg, single);
        }
    }
    node
}

/// A convolution of floats: the engine's own one of integers ignores zero points.
///
/// Exact while each sum stays below 2^24, which it does for up to 514 products of bytes.
pub(in crate::canonical) fn convolve(upgrade: &mut Upgrade<'_>, mut node: NodeProto) -> Rewritten {
    upgrade.state_window(&mut node)?;
    let edge = |arg: usize| node.arg(arg).map(str::to_owned);
    let (x, w, x_zero, w_zero) = (edge(0), edge(1), edge(2), edge(3));
    let zeros = match upgrade.shapes.of(w_zero.as_deref()).map(Vec::as_slice) {
        None | Some([]) => Some(None),
        Some(&[Dim::Fixed(n)]) if n <= 1 << 16 => Some(Some(n)),
        Some(_) => None,
    };
    let (Some(x), Some(w), Some(y), Some(zeros)) = (x, w, node.output.first().cloned(), zeros)
    else {
        return Ok(Some(node));
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
    Ok(None)
}
