//! Operators that the engine lacks altogether, written with ones that it has, as ONNX defines them.

use deepring::{DType, Dim};

use super::differences::Rewritten;
use super::upgrade::Upgrade;
use crate::proto::NodeProto;

const FLOAT: i64 = 1;

/// `max(0, x) + min(0, alpha * (exp(x / alpha) - 1))`.
pub(super) fn celu(upgrade: &mut Upgrade<'_>, node: NodeProto) -> Rewritten {
    let Some((x, y)) = node.edge() else { return Ok(Some(node)) };
    let part = |suffix: &str| format!("{y}.{suffix}");
    let alpha = upgrade.float(&part("alpha"), node.attr_float("alpha").unwrap_or(1.0));
    upgrade.push("Div", &[&x, &alpha], &part("ratio"));
    upgrade.push("Elu", &[&part("ratio")], &part("elu")).set_float("alpha", 1.0);
    upgrade.push("Mul", &[&alpha, &part("elu")], &part("low"));
    let zero = upgrade.float(&part("zero"), 0.0);
    upgrade.push("Min", &[&part("low"), &zero], &part("negative"));
    upgrade.push("Relu", &[&x], &part("positive"));
    upgrade.push("Add", &[&part("positive"), &part("negative")], &y);
    Ok(None)
}

/// `x · tanh(ln(1 + e^x))`.
pub(super) fn mish(upgrade: &mut Upgrade<'_>, node: NodeProto) -> Rewritten {
    let Some((x, y)) = node.edge() else { return Ok(Some(node)) };
    let part = |suffix: &str| format!("{y}.{suffix}");
    upgrade.push("Softplus", &[&x], &part("softplus"));
    upgrade.push("Tanh", &[&part("softplus")], &part("tanh"));
    upgrade.push("Mul", &[&x, &part("tanh")], &y);
    Ok(None)
}

/// `x` above alpha, zero elsewhere.
pub(super) fn thresholded_relu(upgrade: &mut Upgrade<'_>, node: NodeProto) -> Rewritten {
    let Some((x, y)) = node.edge() else { return Ok(Some(node)) };
    let part = |suffix: &str| format!("{y}.{suffix}");
    let alpha = upgrade.float(&part("alpha"), node.attr_float("alpha").unwrap_or(1.0));
    let zero = upgrade.float(&part("zero"), 0.0);
    upgrade.push("Greater", &[&x, &alpha], &part("above"));
    upgrade.push("Where", &[&part("above"), &x, &zero], &y);
    Ok(None)
}

/// `x + bias` below `-lambd`, `x - bias` above `lambd`, zero between.
pub(super) fn shrink(upgrade: &mut Upgrade<'_>, node: NodeProto) -> Rewritten {
    let Some((x, y)) = node.edge() else { return Ok(Some(node)) };
    let part = |suffix: &str| format!("{y}.{suffix}");
    let lambd = node.attr_float("lambd").unwrap_or(0.5);
    let bias = upgrade.float(&part("bias"), node.attr_float("bias").unwrap_or(0.0));
    let (low, high) = (upgrade.float(&part("low"), -lambd), upgrade.float(&part("high"), lambd));
    let zero = upgrade.float(&part("zero"), 0.0);
    upgrade.push("Less", &[&x, &low], &part("below"));
    upgrade.push("Greater", &[&x, &high], &part("above"));
    upgrade.push("Add", &[&x, &bias], &part("raised"));
    upgrade.push("Sub", &[&x, &bias], &part("lowered"));
    upgrade.push("Where", &[&part("above"), &part("lowered"), &zero], &part("upper"));
    upgrade.push("Where", &[&part("below"), &part("raised"), &part("upper")], &y);
    Ok(None)
}

/// One at the first of the largest along the axis, zero elsewhere. Before version 13, of the input flattened to a matrix.
pub(super) fn hardmax(upgrade: &mut Upgrade<'_>, node: NodeProto) -> Rewritten {
    let Some((x, y)) = node.edge() else { return Ok(Some(node)) };
    let part = |suffix: &str| format!("{y}.{suffix}");
    let flattens = upgrade.opset() < 13;
    let axis = node.attr_int("axis").unwrap_or(if flattens { 1 } else { -1 });
    let (mut from, mut to) = (x.clone(), y.clone());
    if flattens {
        upgrade.push("Flatten", &[&x], &part("flat")).set_int("axis", axis);
        (from, to) = (part("flat"), part("rows"));
    }
    let axis = if flattens { -1 } else { axis };
    let mut arg = NodeProto::new("ArgMax", &part("best"), &[&from], &[&part("best")]);
    arg.set_int("axis", axis);
    arg.set_int("keepdims", 0);
    if let Some(left) = super::rewrite::first_extreme(upgrade, arg)? {
        upgrade.nodes.push(left);
    }
    let place = upgrade.ints(&part("axis"), &[axis]);
    let zero_one = [0f32, 1.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    let values = upgrade.constant(&part("values"), DType::F32, &[2], zero_one);
    upgrade.push("Shape", &[&from], &part("shape"));
    upgrade.push("Gather", &[&part("shape"), &place], &part("size"));
    let one = upgrade.push("OneHot", &[&part("best"), &part("size"), &values], &to);
    one.set_int("axis", axis);
    if flattens {
        upgrade.push("Shape", &[&x], &part("whole"));
        upgrade.push("Reshape", &[&to, &part("whole")], &y);
    }
    Ok(None)
}

/// Blocks of pixels become channels.
pub(super) fn space_to_depth(upgrade: &mut Upgrade<'_>, node: NodeProto) -> Rewritten {
    let block = node.attr_int("blocksize").filter(|b| *b > 0);
    let (Some((x, y)), Some(b)) = (node.edge(), block) else { return Ok(Some(node)) };
    let sizes: Option<Vec<i64>> = upgrade.shapes.of(Some(&x)).and_then(|dims| {
        dims.iter()
            .map(|d| match d {
                Dim::Fixed(n) => i64::try_from(*n).ok(),
                Dim::Named(_) => None,
            })
            .collect()
    });
    // A batch of any size.
    let rest = upgrade.shapes.of(Some(&x)).and_then(|dims| match dims.as_slice() {
        [_, Dim::Fixed(c), Dim::Fixed(h), Dim::Fixed(w)] => {
            let int = |n: &u64| i64::try_from(*n).ok();
            Some([int(c)?, int(h)?, int(w)?])
        }
        _ => None,
    });
    let Some([c, h, w]) = rest else {
        return Err(upgrade.differs(&node, "pictures of open sizes"));
    };
    let n = sizes.and_then(|s| s.first().copied()).unwrap_or(-1);
    if h % b != 0 || w % b != 0 {
        return Ok(Some(node));
    }
    let part = |suffix: &str| format!("{y}.{suffix}");
    let split = upgrade.ints(&part("split"), &[n, c, h / b, b, w / b, b]);
    let channels = c.saturating_mul(b).saturating_mul(b);
    let join = upgrade.ints(&part("join"), &[n, channels, h / b, w / b]);
    upgrade.push("Reshape", &[&x, &split], &part("blocks"));
    upgrade
        .push("Transpose", &[&part("blocks")], &part("turned"))
        .set_ints("perm", vec![0, 3, 5, 1, 2, 4]);
    upgrade.push("Reshape", &[&part("turned"), &join], &y);
    Ok(None)
}

/// Sums of powers over windows: means of them, times the size of the window.
pub(super) fn lp_pool(upgrade: &mut Upgrade<'_>, mut node: NodeProto) -> Rewritten {
    let kernel = node.attr_ints("kernel_shape").map(<[i64]>::to_vec);
    let (Some((x, y)), Some(kernel)) = (node.edge(), kernel) else { return Ok(Some(node)) };
    let dilated = node.attr_ints("dilations").is_some_and(|d| d.iter().any(|d| *d != 1));
    if dilated || node.attr_int("ceil_mode").unwrap_or(0) != 0 {
        return Ok(Some(node));
    }
    let power = node.take_attr("p").and_then(|a| a.i).unwrap_or(2);
    let part = |suffix: &str| format!("{y}.{suffix}");
    let p = upgrade.float(&part("p"), power as f32);
    let root = upgrade.float(&part("root"), 1.0 / power as f32);
    let count = upgrade.float(&part("count"), kernel.iter().map(|k| *k as f32).product());
    upgrade.push("Abs", &[&x], &part("size"));
    upgrade.push("Pow", &[&part("size"), &p], &part("power"));
    super::padding::explicit(upgrade.shapes, &mut node)?;
    node.op_type = Some("AveragePool".to_owned());
    node.take_attr("dilations");
    node.set_int("count_include_pad", 1);
    node.input = vec![part("power")];
    node.output = vec![part("mean")];
    upgrade.nodes.push(node);
    upgrade.push("Mul", &[&part("mean"), &count], &part("sum"));
    upgrade.push("Pow", &[&part("sum"), &root], &y);
    Ok(None)
}

/// Normalisation that also gives out mean and inverse deviation, which the engine does not.
pub(super) fn layer_normalisation(upgrade: &mut Upgrade<'_>, node: NodeProto) -> Rewritten {
    let gives = |at: usize| node.output.get(at).is_some_and(|o| !o.is_empty());
    let Some((x, y)) = node.edge().filter(|_| gives(1) || gives(2)) else { return Ok(Some(node)) };
    let rank = upgrade.shapes.rank(Some(&x)).and_then(|r| i64::try_from(r).ok());
    let Some(rank) = rank else {
        return Err(upgrade.differs(&node, "a mean over an unknown number of dimensions"));
    };
    let part = |suffix: &str| format!("{y}.{suffix}");
    let axis = node.attr_int("axis").unwrap_or(-1);
    let axis = if axis < 0 { axis + rank } else { axis };
    let axes: Vec<i64> = (axis..rank).collect();
    let name = |at: usize, wish: &str| match node.output.get(at) {
        Some(name) if !name.is_empty() => name.clone(),
        _ => part(wish),
    };
    let (mean, deviation) = (name(1, "mean"), name(2, "inverse"));
    let epsilon = upgrade.float(&part("epsilon"), node.attr_float("epsilon").unwrap_or(1e-5));
    upgrade.mean(&x, &axes, &mean);
    upgrade.push("Sub", &[&x, &mean], &part("centred"));
    upgrade.push("Mul", &[&part("centred"), &part("centred")], &part("square"));
    upgrade.mean(&part("square"), &axes, &part("variance"));
    upgrade.push("Add", &[&part("variance"), &epsilon], &part("shifted"));
    upgrade.push("Sqrt", &[&part("shifted")], &part("deviation"));
    upgrade.push("Reciprocal", &[&part("deviation")], &deviation);
    upgrade.push("Mul", &[&part("centred"), &deviation], &part("normal"));
    let scaled = if node.arg(2).is_some() { part("scaled") } else { y.clone() };
    let Some(scale) = node.arg(1) else { return Ok(Some(node)) };
    upgrade.push("Mul", &[&part("normal"), scale], &scaled);
    if let Some(bias) = node.arg(2) {
        upgrade.push("Add", &[&scaled, bias], &y);
    }
    Ok(None)
}

/// Since version 21: channels in groups, normalised each, with a scale and a bias for each channel.
pub(super) fn group_normalisation(upgrade: &mut Upgrade<'_>, node: NodeProto) -> Rewritten {
    let groups = node.attr_int("num_groups").filter(|g| *g > 0);
    let (Some((x, y)), Some(groups)) = (node.edge(), groups) else { return Ok(Some(node)) };
    let (Some(scale), Some(bias)) = (node.arg(1), node.arg(2)) else { return Ok(Some(node)) };
    let (scale, bias) = (scale.to_owned(), bias.to_owned());
    let part = |suffix: &str| format!("{y}.{suffix}");
    let epsilon = upgrade.float(&part("epsilon"), node.attr_float("epsilon").unwrap_or(1e-5));
    let split = upgrade.ints(&part("split"), &[0, groups, -1]);
    upgrade.push("Shape", &[&x], &part("shape"));
    upgrade.push("Reshape", &[&x, &split], &part("groups"));
    upgrade.mean(&part("groups"), &[2], &part("mean"));
    upgrade.push("Sub", &[&part("groups"), &part("mean")], &part("centred"));
    upgrade.push("Mul", &[&part("centred"), &part("centred")], &part("square"));
    upgrade.mean(&part("square"), &[2], &part("variance"));
    upgrade.push("Add", &[&part("variance"), &epsilon], &part("shifted"));
    upgrade.push("Sqrt", &[&part("shifted")], &part("deviation"));
    upgrade.push("Div", &[&part("centred"), &part("deviation")], &part("normal"));
    upgrade.push("Reshape", &[&part("normal"), &part("shape")], &part("whole"));
    let (Some(scale), Some(bias)) = (
        upgrade.along_axis(&scale, &x, 1, &part("scale")),
        upgrade.along_axis(&bias, &x, 1, &part("bias")),
    ) else {
        return Err(upgrade.differs(&node, "an unknown number of dimensions"));
    };
    upgrade.push("Mul", &[&part("whole"), &scale], &part("scaled"));
    upgrade.push("Add", &[&part("scaled"), &bias], &y);
    Ok(None)
}

/// The mean, or sum, or each, of minus the entry of the target's class, weighted by class.
pub(super) fn nll_loss(upgrade: &mut Upgrade<'_>, node: NodeProto) -> Rewritten {
    let Some((x, y)) = node.edge() else { return Ok(Some(node)) };
    let Some(target) = node.arg(1).map(str::to_owned) else { return Ok(Some(node)) };
    let weight = node.arg(2).map(str::to_owned);
    let part = |suffix: &str| format!("{y}.{suffix}");
    let (zero, one) = (upgrade.float(&part("zero"), 0.0), upgrade.float(&part("one"), 1.0));
    let mut class = target.clone();
    let ignored = node.attr_int("ignore_index");
    if let Some(index) = ignored {
        let (index, first) = (upgrade.int(&part("index"), index), upgrade.int(&part("first"), 0));
        upgrade
            .push("Cast", &[&target], &part("target"))
            .set_int("to", i64::from(DType::I64.onnx()));
        upgrade.push("Equal", &[&part("target"), &index], &part("ignored"));
        upgrade.push("Where", &[&part("ignored"), &first, &part("target")], &part("class"));
        class = part("class");
    }
    upgrade.reshaped("Unsqueeze", &class, &[1], &part("classes"));
    upgrade.push("GatherElements", &[&x, &part("classes")], &part("entry")).set_int("axis", 1);
    upgrade.reshaped("Squeeze", &part("entry"), &[1], &part("entries"));
    upgrade.push("Neg", &[&part("entries")], &part("losses"));
    let mut losses = part("losses");
    let weights = match (&weight, ignored) {
        (None, None) => None,
        (Some(weight), _) => {
            upgrade.push("Gather", &[weight, &class], &part("weights"));
            Some(part("weights"))
        }
        (None, Some(_)) => Some(one),
    };
    if let Some(mut weights) = weights {
        if ignored.is_some() {
            let inputs = [&part("ignored"), &zero, &weights].map(String::clone);
            let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
            upgrade.push("Where", &inputs, &part("heeded"));
            weights = part("heeded");
        }
        upgrade.push("Mul", &[&losses, &weights], &part("weighted"));
        losses = part("weighted");
        if node.attr_str("reduction").unwrap_or("mean") == "mean" {
            let mut sum = |of: &str, to: &str| {
                upgrade.push("ReduceSum", &[of], to).set_int("keepdims", 0);
            };
            sum(&losses, &part("sum"));
            sum(&weights, &part("weight"));
            upgrade.push("Div", &[&part("sum"), &part("weight")], &y);
            return Ok(None);
        }
    }
    match node.attr_str("reduction").unwrap_or("mean") {
        "none" => upgrade.push("Identity", &[&losses], &y),
        "sum" => upgrade.push("ReduceSum", &[&losses], &y),
        _ => upgrade.push("ReduceMean", &[&losses], &y),
    };
    if let Some(last) = upgrade.nodes.last_mut().filter(|n| n.op().starts_with("Reduce")) {
        last.set_int("keepdims", 0);
    }
    Ok(None)
}

/// [`nll_loss`] of the logarithms of the softmax, which are given out besides.
pub(super) fn cross_entropy(upgrade: &mut Upgrade<'_>, mut node: NodeProto) -> Rewritten {
    let Some((x, y)) = node.edge() else { return Ok(Some(node)) };
    let log = match node.output.get(1) {
        Some(name) if !name.is_empty() => name.clone(),
        _ => format!("{y}.log"),
    };
    upgrade.push("LogSoftmax", &[&x], &log).set_int("axis", 1);
    node.set_input(0, log);
    node.output.truncate(1);
    nll_loss(upgrade, node)
}

/// Infinities of one sign only.
pub(super) fn is_inf(upgrade: &mut Upgrade<'_>, mut node: NodeProto) -> Rewritten {
    let detects = |name: &str| node.attr_int(name).unwrap_or(1) != 0;
    let (negative, positive) = (detects("detect_negative"), detects("detect_positive"));
    let Some((x, y)) = node.edge().filter(|_| !(negative && positive)) else {
        node.take_attr("detect_negative");
        node.take_attr("detect_positive");
        return Ok(Some(node));
    };
    let part = |suffix: &str| format!("{y}.{suffix}");
    let bound = if negative { -f32::MAX } else { f32::MAX };
    let bound =
        upgrade.float(&part("bound"), if negative || positive { bound } else { f32::INFINITY });
    upgrade.push(if negative { "Less" } else { "Greater" }, &[&x, &bound], &y);
    Ok(None)
}

/// Windows of cosines: `a0 - a1 cos(2 pi n / N) + a2 cos(4 pi n / N)`.
pub(super) fn window(upgrade: &mut Upgrade<'_>, node: NodeProto) -> Rewritten {
    let Some((size, y)) = node.edge() else { return Ok(Some(node)) };
    if node.attr_int("output_datatype").unwrap_or(FLOAT) != FLOAT {
        return Ok(Some(node));
    }
    let part = |suffix: &str| format!("{y}.{suffix}");
    let [a0, a1, a2] = match node.op() {
        "HannWindow" => [0.5, 0.5, 0.0],
        "HammingWindow" => [25.0 / 46.0, 21.0 / 46.0, 0.0],
        _ => [0.42, 0.5, 0.08],
    };
    let (start, step) = (upgrade.int(&part("start"), 0), upgrade.int(&part("step"), 1));
    upgrade.push("Cast", &[&size], &part("size")).set_int("to", i64::from(DType::I64.onnx()));
    upgrade.push("Range", &[&start, &part("size"), &step], &part("places"));
    upgrade.push("Cast", &[&part("places")], &part("place")).set_int("to", FLOAT);
    upgrade.push("Cast", &[&part("size")], &part("length")).set_int("to", FLOAT);
    let mut length = part("length");
    if node.attr_int("periodic").unwrap_or(1) == 0 {
        let one = upgrade.float(&part("one"), 1.0);
        upgrade.push("Sub", &[&part("length"), &one], &part("shorter"));
        length = part("shorter");
    }
    upgrade.push("Div", &[&part("place"), &length], &part("turn"));
    let mut sum = upgrade.float(&part("a0"), a0);
    for (n, a) in [(1, -a1), (2, a2)] {
        if a == 0.0 {
            continue;
        }
        let angle = upgrade.float(&part(&format!("angle{n}")), std::f32::consts::TAU * n as f32);
        let factor = upgrade.float(&part(&format!("a{n}")), a);
        upgrade.push("Mul", &[&part("turn"), &angle], &part(&format!("radians{n}")));
        upgrade.push("Cos", &[&part(&format!("radians{n}"))], &part(&format!("cos{n}")));
        upgrade.push("Mul", &[&part(&format!("cos{n}")), &factor], &part(&format!("term{n}")));
        let to = part(&format!("sum{n}"));
        upgrade.push("Add", &[&sum, &part(&format!("term{n}"))], &to);
        sum = to;
    }
    upgrade.push("Identity", &[&sum], &y);
    Ok(None)
}

/// An index of another type than integers, as an integer.
pub(super) fn one_hot(upgrade: &mut Upgrade<'_>, mut node: NodeProto) -> Rewritten {
    let Some((_, y)) = node.edge() else { return Ok(Some(node)) };
    let int = |kind: Option<super::ValueType>| {
        kind.is_none_or(|k| matches!(k, super::ValueType::Tensor(DType::I32 | DType::I64)))
    };
    for (arg, name) in [(0, "indices"), (1, "depth")] {
        let Some(value) = node.arg(arg).map(str::to_owned) else { continue };
        if !int(upgrade.kind(Some(&value))) {
            let cast = format!("{y}.{name}");
            upgrade.push("Cast", &[&value], &cast).set_int("to", i64::from(DType::I64.onnx()));
            node.set_input(arg, cast);
        }
    }
    Ok(Some(node))
}

/// `gamma * elu(x, alpha)`.
pub(super) fn selu(upgrade: &mut Upgrade<'_>, node: NodeProto) -> Rewritten {
    let Some((x, y)) = node.edge() else { return Ok(Some(node)) };
    let alpha = node.attr_float("alpha").unwrap_or(1.673_263_2);
    let gamma = upgrade.float(&y, node.attr_float("gamma").unwrap_or(1.050_701));
    let elu = format!("{y}.elu");
    upgrade.push("Elu", &[&x], &elu).set_float("alpha", alpha);
    upgrade.push("Mul", &[&elu, &gamma], &y);
    Ok(None)
}

/// `x / (bias + alpha * mean of x * x over neighbouring channels) ^ beta`, the mean by a pool over the
/// channels of an image `[n, 1, c, h * w]`.
pub(super) fn lrn(upgrade: &mut Upgrade<'_>, node: NodeProto) -> Rewritten {
    let size = node.attr_int("size").filter(|&s| s > 0);
    let channels = upgrade.shapes.of(node.arg(0)).and_then(|s| match s.get(1) {
        Some(Dim::Fixed(c)) if s.len() >= 3 => i64::try_from(*c).ok(),
        _ => None,
    });
    let (Some(size), Some(channels), Some((x, y))) = (size, channels, node.edge()) else {
        return Ok(Some(node));
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
    Ok(None)
}
