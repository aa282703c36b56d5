//! Forms of operators that the engine computes otherwise than ONNX says, written with operators that it computes rightly.

mod quantised;

use deepring::{DType, Dim};

use super::differences::Rewritten;
use super::upgrade::Upgrade;
use super::value_types::ValueType;
use crate::proto::NodeProto;

pub(super) use quantised::{convolve, quantise, quantise_dynamically, single_scale, single_zeros};

/// The first of equal extremes is the last one in a reversed axis.
pub(super) fn first_extreme(upgrade: &mut Upgrade<'_>, mut node: NodeProto) -> Rewritten {
    let last = node.take_attr("select_last_index").is_some_and(|a| a.i == Some(1));
    let Some((x, y)) = node.edge().filter(|_| !last) else { return Ok(Some(node)) };
    let part = |suffix: &str| format!("{y}.{suffix}");
    let axis = node.attr_int("axis").unwrap_or(0);
    let [start, end, step] = [-1, i64::from(i32::MIN), -1];
    let start = upgrade.ints(&part("start"), &[start]);
    let end = upgrade.ints(&part("end"), &[end]);
    let step = upgrade.ints(&part("step"), &[step]);
    let axes = upgrade.ints(&part("axes"), &[axis]);
    let place = upgrade.int(&part("axis"), axis);
    let one = upgrade.int(&part("one"), 1);
    upgrade.push("Slice", &[&x, &start, &end, &axes, &step], &part("reversed"));
    node.input = vec![part("reversed")];
    node.output = vec![part("from_behind")];
    upgrade.nodes.push(node);
    upgrade.push("Shape", &[&x], &part("shape"));
    upgrade.push("Gather", &[&part("shape"), &place], &part("size"));
    upgrade.push("Sub", &[&part("size"), &one], &part("last"));
    upgrade.push("Sub", &[&part("last"), &part("from_behind")], &y);
    Ok(None)
}

/// Everything but zero is true.
pub(super) fn cast_to_bool(upgrade: &mut Upgrade<'_>, node: NodeProto) -> Rewritten {
    let to_bool = node.attr_int("to") == Some(i64::from(DType::Bool.onnx()));
    let Some((x, y)) = node.edge().filter(|_| to_bool) else { return Ok(Some(node)) };
    let part = |suffix: &str| format!("{y}.{suffix}");
    let zero = upgrade.float(&part("zero"), 0.0);
    upgrade.push("Cast", &[&x], &part("float")).set_int("to", i64::from(DType::F32.onnx()));
    upgrade.push("Equal", &[&part("float"), &zero], &part("is_zero"));
    upgrade.push("Not", &[&part("is_zero")], &y);
    Ok(None)
}

/// A vector is a matrix of one row or column, whose dimension is taken out of the result.
pub(super) fn matrix_times_vector(upgrade: &mut Upgrade<'_>, mut node: NodeProto) -> Rewritten {
    let ranks = [0, 1].map(|arg| upgrade.shapes.rank(node.arg(arg)));
    let Some((_, y)) = node.edge() else { return Ok(Some(node)) };
    let (a, b) = match ranks {
        [Some(a), Some(b)] => (a, b),
        // Of two matrices nothing differs, and of one of them with a vector neither.
        [Some(..=2), _] | [_, Some(..=2)] if ranks.contains(&Some(2)) => return Ok(Some(node)),
        _ => {
            // Where it is a vector after all, the query ends with an error.
            for arg in (0..2).filter(|arg| ranks[*arg].is_none()) {
                if let Some(x) = node.arg(arg).map(str::to_owned) {
                    let matrix = upgrade.no_vector(&x, &format!("{y}.operand{arg}"));
                    node.set_input(arg, matrix);
                }
            }
            return Ok(Some(node));
        }
    };
    if a.min(b) != 1 || a.max(b) < 3 {
        return Ok(Some(node));
    }
    let (operand, axis) = if a == 1 { (0, -2) } else { (1, -1) };
    let part = |suffix: &str| format!("{y}.{suffix}");
    let Some(vector) = node.arg(operand).map(str::to_owned) else { return Ok(Some(node)) };
    // The vector becomes `[1, k]` before a matrix, `[k, 1]` after one.
    let added = if operand == 0 { 0 } else { 1 };
    upgrade.reshaped("Unsqueeze", &vector, &[added], &part("matrix"));
    node.set_input(operand, part("matrix"));
    node.output = vec![part("product")];
    upgrade.nodes.push(node);
    upgrade.reshaped("Squeeze", &part("product"), &[axis], &y);
    Ok(None)
}

/// Ones, where strides are absent.
pub(super) fn state_strides(_: &mut Upgrade<'_>, mut node: NodeProto) -> Rewritten {
    if node.attr_ints("strides").is_none_or(<[i64]>::is_empty)
        && let Some(kernel) = node.attr_ints("kernel_shape")
    {
        let ones = vec![1; kernel.len()];
        node.set_ints("strides", ones);
    }
    Ok(Some(node))
}

/// By a single divisor the engine multiplies with the reciprocal, which is right for powers of two.
pub(super) fn divide(upgrade: &mut Upgrade<'_>, node: NodeProto) -> Rewritten {
    let Some((x, y)) = node.edge() else { return Ok(Some(node)) };
    let floats = upgrade.kind(Some(&x)).is_none_or(|k| k == ValueType::Tensor(DType::F32));
    let Some(divisor) = node.arg(1).map(str::to_owned).filter(|_| floats) else {
        return Ok(Some(node));
    };
    let power_of_two = |bytes: Vec<u8>| match bytes.as_chunks().0 {
        [one] => f32::from_le_bytes(*one).to_bits() & 0x007f_ffff == 0,
        _ => false,
    };
    let single = upgrade.elements(Some(&divisor)) == Some(1);
    let (of_x, of_divisor) = (upgrade.shapes.rank(Some(&x)), upgrade.shapes.rank(Some(&divisor)));
    if single && let Some(more) = of_divisor.filter(|rank| of_x.is_none_or(|x| x < *rank)) {
        // A divisor of more dimensions gives the quotient its own, which the engine leaves out.
        let (shape, wide) = (format!("{y}.wide_shape"), format!("{y}.wide"));
        let shape = upgrade.ints(&shape, &vec![1; more]);
        upgrade.push("Expand", &[&x, &shape], &wide);
        upgrade.divided(&wide, &divisor, &y);
        return Ok(None);
    }
    if !single || upgrade.constant_bytes(Some(&divisor)).is_some_and(power_of_two) {
        return Ok(Some(node));
    }
    upgrade.divided(&x, &divisor, &y);
    Ok(None)
}

/// A cast to the type of the other value.
pub(super) fn cast_like(upgrade: &mut Upgrade<'_>, mut node: NodeProto) -> Rewritten {
    let Some(ValueType::Tensor(to)) = upgrade.kind(node.arg(1)) else {
        return Err(upgrade.differs(&node, "a cast to a type that is not known"));
    };
    node.input.truncate(1);
    node.op_type = Some("Cast".to_owned());
    node.set_int("to", i64::from(to.onnx()));
    Ok(Some(node))
}

/// Values that overflow on their way are computed as what they are then to the last bit: from 30 on the value itself.
pub(super) fn softplus(upgrade: &mut Upgrade<'_>, mut node: NodeProto) -> Rewritten {
    let Some((x, y)) = node.edge() else { return Ok(Some(node)) };
    let part = |suffix: &str| format!("{y}.{suffix}");
    let most = upgrade.float(&part("most"), 30.0);
    upgrade.push("Min", &[&x, &most], &part("small"));
    node.input = vec![part("small")];
    node.output = vec![part("of_small")];
    upgrade.nodes.push(node);
    upgrade.push("Greater", &[&x, &most], &part("large"));
    upgrade.push("Where", &[&part("large"), &x, &part("of_small")], &y);
    Ok(None)
}

/// As [`softplus`], for `asinh` and `acosh`: of `x` beyond 2^40, the logarithm of `2·x`, with the sign of `x`. Below one there
/// is no `acosh`, which the engine has of large negative numbers.
pub(super) fn area_function(upgrade: &mut Upgrade<'_>, mut node: NodeProto) -> Rewritten {
    let Some((x, y)) = node.edge() else { return Ok(Some(node)) };
    let positive = node.op() == "Acosh";
    let part = |suffix: &str| format!("{y}.{suffix}");
    let most = upgrade.float(&part("most"), 1_099_511_627_776.0);
    let least = if positive { 0.0 } else { -1_099_511_627_776.0 };
    let least = upgrade.float(&part("least"), least);
    let two = upgrade.float(&part("two"), std::f32::consts::LN_2);
    upgrade.push("Clip", &[&x, &least, &most], &part("small"));
    node.input = vec![part("small")];
    node.output = vec![part("of_small")];
    upgrade.nodes.push(node);
    let size = if positive { x.clone() } else { part("size") };
    if !positive {
        upgrade.push("Abs", &[&x], &size);
    }
    upgrade.push("Greater", &[&size, &most], &part("large"));
    upgrade.push("Log", &[&size], &part("log"));
    upgrade.push("Add", &[&part("log"), &two], &part("sum"));
    let mut of_large = part("sum");
    if !positive {
        upgrade.push("Sign", &[&x], &part("sign"));
        of_large = part("of_large");
        upgrade.push("Mul", &[&part("sum"), &part("sign")], &of_large);
    }
    upgrade.push("Where", &[&part("large"), &of_large, &part("of_small")], &y);
    Ok(None)
}

/// A scale that leaves an axis its size still moves what is sampled.
pub(super) fn scale_without_effect(
    upgrade: &Upgrade<'_>,
    node: &NodeProto,
) -> Option<&'static str> {
    let at = if node.op() == "Upsample" { 1 } else { 2 };
    let scales = upgrade.constant_bytes(node.arg(at))?;
    let dims = upgrade.shapes.of(node.arg(0))?;
    let unmoved = |(dim, scale): (&Dim, &[u8; 4])| {
        let (Dim::Fixed(size), scale) = (dim, f32::from_le_bytes(*scale)) else { return false };
        scale != 1.0 && (*size as f64 * f64::from(scale)).floor() == *size as f64
    };
    let any = dims.iter().zip(scales.as_chunks().0).any(unmoved);
    any.then_some("a scale that leaves an axis its size")
}

/// An output that is padded by nothing is not padded.
pub(super) fn drop_nothing(_: &mut Upgrade<'_>, mut node: NodeProto) -> Rewritten {
    if node.attr_ints("output_padding").is_some_and(|d| d.iter().all(|n| *n == 0)) {
        node.take_attr("output_padding");
    }
    Ok(Some(node))
}

/// The cosine of the absolute value.
pub(super) fn even_cosine(upgrade: &mut Upgrade<'_>, mut node: NodeProto) -> Rewritten {
    let Some((x, y)) = node.edge() else { return Ok(Some(node)) };
    let absolute = format!("{y}.absolute");
    upgrade.push("Abs", &[&x], &absolute);
    node.set_input(0, absolute);
    Ok(Some(node))
}

/// Floats have powers by floats. A power by one number has the shape that both are broadcast to: the engine gives it that of the
/// base, whatever the exponent's rank.
pub(super) fn power(upgrade: &mut Upgrade<'_>, mut node: NodeProto) -> Rewritten {
    let Some((x, y)) = node.edge() else { return Ok(Some(node)) };
    let Some(power) = node.arg(1).map(str::to_owned) else { return Ok(Some(node)) };
    let part = |suffix: &str| format!("{y}.{suffix}");
    let single = |dims: &Vec<Dim>| dims.iter().all(|d| matches!(d, Dim::Named(_) | Dim::Fixed(1)));
    let may_be_one = upgrade.shapes.of(Some(&power)).is_none_or(single);
    let rank = |name: &str| upgrade.shapes.rank(Some(name));
    let fits = matches!((rank(&x), rank(&power)), (Some(base), Some(exponent)) if exponent <= base)
        || rank(&power) == Some(0);
    let is_float =
        |kind: Option<ValueType>| kind.is_none_or(|k| k == ValueType::Tensor(DType::F32));
    let (base, exponent) = (upgrade.kind(node.arg(0)), upgrade.kind(node.arg(1)));
    if is_float(base) && !is_float(exponent) {
        upgrade
            .push("Cast", &[&power], &part("exponent"))
            .set_int("to", i64::from(DType::F32.onnx()));
        node.set_input(1, part("exponent"));
    }
    if may_be_one && !fits {
        upgrade.push("Shape", &[&power], &part("exponent_shape"));
        upgrade.push("Expand", &[&x, &part("exponent_shape")], &part("base"));
        node.set_input(0, part("base"));
    }
    Ok(Some(node))
}

/// Without axes, and told to do nothing then, a reduction gives what it is given.
pub(super) fn reduce_nothing(upgrade: &mut Upgrade<'_>, mut node: NodeProto) -> Rewritten {
    let noop = node.take_attr("noop_with_empty_axes").is_some_and(|a| a.i == Some(1));
    let Some((x, y)) = node.edge().filter(|_| noop) else { return Ok(Some(node)) };
    if node.arg(1).is_some() {
        match upgrade.elements(node.arg(1)) {
            Some(0) => {}
            Some(_) => return Ok(Some(node)),
            None => return Err(upgrade.differs(&node, "axes that a query decides, or none")),
        }
    }
    match node.op() {
        "ReduceMax" | "ReduceMin" | "ReduceMean" | "ReduceProd" | "ReduceSum" => {
            upgrade.push("Identity", &[&x], &y);
        }
        "ReduceL1" | "ReduceL2" => {
            upgrade.push("Abs", &[&x], &y);
        }
        "ReduceSumSquare" => {
            upgrade.push("Mul", &[&x, &x], &y);
        }
        "ReduceLogSum" => {
            upgrade.push("Log", &[&x], &y);
        }
        _ => return Err(upgrade.differs(&node, "a reduction of nothing")),
    }
    Ok(None)
}

/// Since this version the mask of what a dropout left is all true where it dropped nothing; before, nothing is said of it.
const MASK_OF_ALL: i64 = 12;

/// Returns a reason where it says that it trains, or gives out what only training changes.
pub(super) fn trains_or_tells(_: &Upgrade<'_>, node: &NodeProto) -> Option<&'static str> {
    let more = node.output.iter().skip(1).any(|o| !o.is_empty());
    (node.attr_int("training_mode").unwrap_or(0) != 0 || more).then_some("training mode")
}

/// Returns a reason where a third input may have it drop.
pub(super) fn trains(upgrade: &Upgrade<'_>, node: &NodeProto) -> Option<&'static str> {
    if upgrade.opset() < MASK_OF_ALL && node.output.get(1).is_some_and(|o| !o.is_empty()) {
        return Some("a mask of what was left");
    }
    node.arg(2)?;
    let never = upgrade.constant_bytes(node.arg(2)).is_some_and(|b| b == [0]);
    (!never).then_some("training mode")
}

/// Returns a reason where it is of integers.
pub(super) fn of_integers(upgrade: &Upgrade<'_>, node: &NodeProto) -> Option<&'static str> {
    let float = |dtype: DType| matches!(dtype, DType::F32 | DType::F64 | DType::F16 | DType::Bf16);
    match upgrade.kind(node.arg(0))? {
        ValueType::Tensor(dtype) if !float(dtype) => Some("integers"),
        _ => None,
    }
}

/// The larger of it and zero.
pub(super) fn relu_of_integers(upgrade: &mut Upgrade<'_>, node: NodeProto) -> Rewritten {
    let zero = match upgrade.kind(node.arg(0)) {
        Some(ValueType::Tensor(dtype @ (DType::I64 | DType::I32))) => {
            let name = node.output.first().map(|y| format!("{y}.zero")).unwrap_or_default();
            upgrade.constant(&name, dtype, &[], vec![0; dtype.size()])
        }
        _ => return Ok(Some(node)),
    };
    let Some((x, y)) = node.edge() else { return Ok(Some(node)) };
    upgrade.push("Max", &[&x, &zero], &y);
    Ok(None)
}

/// Returns a reason where the engine holds either type in another form than the file's.
pub(super) fn held_otherwise(upgrade: &Upgrade<'_>, node: &NodeProto) -> Option<&'static str> {
    let same = |kind: Option<ValueType>| {
        matches!(kind, Some(ValueType::Tensor(DType::F32 | DType::I32 | DType::U8 | DType::I8)))
    };
    let to = node.attr_int("to").and_then(|t| DType::from_onnx(i32::try_from(t).ok()?));
    let both = same(upgrade.kind(node.arg(0))) && same(to.map(ValueType::Tensor));
    (!both).then_some("bits of a type that is held in another form")
}

/// One axis becomes a list of one.
pub(super) fn list_axes(upgrade: &mut Upgrade<'_>, mut node: NodeProto) -> Rewritten {
    let Some((_, y)) = node.edge() else { return Ok(Some(node)) };
    let Some(axes) = node.arg(1).map(str::to_owned) else { return Ok(Some(node)) };
    if upgrade.shapes.rank(Some(&axes)) != Some(0) {
        return Ok(Some(node));
    }
    let list = format!("{y}.axes");
    let shape = upgrade.ints(&list, &[-1]);
    upgrade.push("Reshape", &[&axes, &shape], &list);
    node.set_input(1, list);
    Ok(Some(node))
}

/// The largest of bytes is the largest of the floats that they are.
pub(super) fn pool_of_floats(upgrade: &mut Upgrade<'_>, mut node: NodeProto) -> Rewritten {
    let dtype = match upgrade.kind(node.arg(0)) {
        Some(ValueType::Tensor(dtype @ (DType::U8 | DType::I8))) => dtype,
        _ => return Ok(Some(node)),
    };
    let Some((x, y)) = node.edge().filter(|_| node.output.len() == 1) else {
        return Ok(Some(node));
    };
    let part = |suffix: &str| format!("{y}.{suffix}");
    upgrade.push("Cast", &[&x], &part("float")).set_int("to", i64::from(DType::F32.onnx()));
    super::padding::explicit(upgrade.shapes, &mut node)?;
    node.input = vec![part("float")];
    node.output = vec![part("pooled")];
    upgrade.nodes.push(node);
    upgrade.push("Cast", &[&part("pooled")], &y).set_int("to", i64::from(dtype.onnx()));
    Ok(None)
}

/// The largest of nothing is false, the least true.
pub(super) fn reduce_truths(upgrade: &mut Upgrade<'_>, mut node: NodeProto) -> Rewritten {
    let truths = upgrade.kind(node.arg(0)) == Some(ValueType::Tensor(DType::Bool));
    let Some((x, y)) = node.edge().filter(|_| truths) else { return Ok(Some(node)) };
    let part = |suffix: &str| format!("{y}.{suffix}");
    let zero = upgrade.float(&part("zero"), 0.0);
    upgrade.push("Cast", &[&x], &part("float")).set_int("to", i64::from(DType::F32.onnx()));
    node.set_input(0, part("float"));
    node.output = vec![part("extreme")];
    upgrade.nodes.push(node);
    upgrade.push("Greater", &[&part("extreme"), &zero], &y);
    Ok(None)
}

/// `x` where it is zero, else its sign: the engine's own one takes zero for positive. Only zero equals its own negative, among
/// floats; of integers, the least one does too, so that these are cut off at one.
pub(super) fn sign(upgrade: &mut Upgrade<'_>, node: NodeProto) -> Rewritten {
    let Some((x, y)) = node.edge() else { return Ok(Some(node)) };
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
            return Ok(None);
        }
        _ => {
            upgrade.push("Neg", &[&x], &part("negative"));
            upgrade.push("Equal", &[&x, &part("negative")], &part("zero"));
            upgrade.push("Sign", &[&x], &part("sign"));
            upgrade.push("Where", &[&part("zero"), &x, &part("sign")], &y);
            return Ok(None);
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
    Ok(None)
}
