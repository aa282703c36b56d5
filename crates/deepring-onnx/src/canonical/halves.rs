//! Half precision where it decides something: what a network casts to it is rounded, and so is what it computed in it before
//! that is compared, cast or rounded to whole numbers.
//!
//! The engine computes in single precision, in which 11 (or 8) bits are kept by adding and taking away again a number whose last
//! bit is worth as much as the last that is kept: ties go to even, as everywhere. What lies between an operator and the next
//! is held in single precision and not rounded.

use std::collections::{HashMap, HashSet};

use deepring::DType;

use super::graph::Graph;
use super::value_types::{self, ValueType};
use crate::proto::NodeProto;
use crate::read::ParamSource;
use crate::scope;

/// The parameters of rounding to a type.
struct Form {
    name: &'static str,
    /// The least number that has all bits; smaller ones end at the same place as it.
    least: f32,
    /// The factor for the place of the first bit.
    magic: f32,
    /// The largest value; larger ones become infinite.
    most: f32,
    /// True if numbers as large as single precision has them must be scaled on the way.
    wide: bool,
}

const F16: Form = Form {
    name: "f16",
    least: 1.0 / 16384.0,
    magic: 12288.0,
    // The next one below what is rounded to 2^16.
    most: f32::from_bits(65520.0f32.to_bits() - 1),
    wide: false,
};
const BF16: Form =
    Form { name: "bf16", least: f32::MIN_POSITIVE, magic: 98304.0, most: f32::MAX, wide: true };

fn form(dtype: DType) -> Option<&'static Form> {
    match dtype {
        DType::F16 => Some(&F16),
        DType::Bf16 => Some(&BF16),
        _ => None,
    }
}

impl Graph {
    /// Writes the rounding; nodes must be in order.
    pub(super) fn round_halves(&mut self) {
        let value_types = value_types::infer(self);
        let mut rounded: HashSet<String> = self.constants.keys().cloned().collect();
        rounded.extend(self.inputs.iter().filter_map(|v| v.name.clone()));
        let outputs = self.output_names();
        let uses = self.uses();
        let only_given = |y: &str| outputs.contains(y) && uses.get(y) == Some(&1);
        let nodes = std::mem::take(&mut self.nodes);
        self.nodes = self.rounding(nodes, &value_types, rounded, &only_given);
    }

    fn rounding(
        &mut self,
        given: Vec<NodeProto>,
        value_types: &HashMap<String, ValueType>,
        mut rounded: HashSet<String>,
        only_given: &dyn Fn(&str) -> bool,
    ) -> Vec<NodeProto> {
        let half = |x: &String| match value_types.get(x) {
            Some(ValueType::Tensor(dtype)) => form(*dtype),
            _ => None,
        };
        let mut nodes = Vec::with_capacity(given.len());
        for mut node in given {
            let types = value_types::given(&node, value_types);
            for graph in scope::subgraphs_mut(&mut node) {
                let inside = value_types::inside(graph, value_types, &types);
                let body = std::mem::take(&mut graph.node);
                graph.node = self.rounding(body, &inside, rounded.clone(), &|_| false);
            }
            let to = match node.onnx_op() {
                "Cast" => {
                    node.attr_int("to").and_then(|t| DType::from_onnx(i32::try_from(t).ok()?))
                }
                "CastLike" => match node.arg(1).and_then(|like| value_types.get(like)) {
                    Some(ValueType::Tensor(dtype)) => Some(*dtype),
                    _ => None,
                },
                _ => None,
            };
            let to = to.and_then(form);
            // A cast to the type that it has already moves it.
            let kept =
                |x: &String| half(x).is_some_and(|from| to.is_some_and(|to| from.name == to.name));
            let moved = node.input.first().is_some_and(kept);
            if decides(node.onnx_op()) && !moved {
                for x in node.input.iter_mut().filter(|x| !x.is_empty()) {
                    if let Some(form) = half(x).filter(|_| !rounded.contains(x)) {
                        let y = format!("{x}.{}", form.name);
                        if rounded.insert(y.clone()) {
                            self.round(x, &y, form, &mut nodes);
                        }
                        *x = y;
                    }
                }
            }
            let exact = |x: &String| {
                use DType::{Bool, I8, U8};
                matches!(value_types.get(x), Some(ValueType::Tensor(U8 | I8 | Bool)))
            };
            let rounds = to.filter(|_| node.onnx_op() == "Cast" && !moved);
            if let (Some(form), Some((x, y))) = (rounds, node.edge()) {
                rounded.insert(y.clone());
                if !exact(&x) && !only_given(&y) {
                    let single = format!("{y}.single");
                    node.output = vec![single.clone()];
                    node.set_int("to", i64::from(DType::F32.onnx()));
                    nodes.push(node);
                    self.round(&single, &y, form, &mut nodes);
                    continue;
                }
            } else if (moved || moves(node.onnx_op()))
                && node.input.iter().all(|x| half(x).is_none() || rounded.contains(x))
            {
                rounded.extend(node.output.iter().cloned());
            }
            nodes.push(node);
        }
        nodes
    }

    /// `y`, which is `x` with as many bits as the form has.
    fn round(&mut self, x: &str, y: &str, form: &Form, nodes: &mut Vec<NodeProto>) {
        let part = |suffix: &str| format!("{y}.{suffix}");
        let mut number = |name: &str, value: f32| {
            let name = format!("half precision.{name}");
            if !self.constants.contains_key(&name) {
                let bytes = ParamSource::owned(value.to_le_bytes().to_vec());
                self.set_constant(&name, DType::F32, &[], bytes);
            }
            name
        };
        let split = number("split", 8_388_609.0);
        let half = number("half", 0.5);
        let infinite = number("infinite", f32::INFINITY);
        let own = |what: &str| format!("{}.{what}", form.name);
        let [least, magic, most] =
            [("least", form.least), ("magic", form.magic), ("most", form.most)]
                .map(|(name, value)| number(&own(name), value));
        let scales = form.wide.then(|| {
            [("one", 1.0), ("large", 2f32.powi(40)), ("small", 2f32.powi(-40))]
                .map(|(name, value)| number(name, value))
        });
        let mut step = |op: &str, inputs: &[&str], to: &str| {
            nodes.push(NodeProto::new(op, to, inputs, &[to]));
        };
        step("Abs", &[x], &part("size"));
        let (mut z, mut size) = (x.to_owned(), part("size"));
        if let Some([one, large, small]) = &scales {
            step("Greater", &[&size, one], &part("is_large"));
            step("Where", &[&part("is_large"), small, one], &part("scale"));
            step("Where", &[&part("is_large"), large, one], &part("back"));
            step("Mul", &[x, &part("scale")], &part("scaled"));
            step("Abs", &[&part("scaled")], &part("scaled_size"));
            (z, size) = (part("scaled"), part("scaled_size"));
        }
        // One bit: a power of two that is no more than twice too large.
        step("Mul", &[&z, &split], &part("wide"));
        step("Sub", &[&part("wide"), &z], &part("rest"));
        step("Sub", &[&part("wide"), &part("rest")], &part("bit"));
        step("Abs", &[&part("bit")], &part("power"));
        step("Greater", &[&part("power"), &size], &part("is_next"));
        step("Mul", &[&part("power"), &half], &part("before"));
        step("Where", &[&part("is_next"), &part("before"), &part("power")], &part("first"));
        step("Max", &[&part("first"), &least], &part("place"));
        step("Mul", &[&part("place"), &magic], &part("magic"));
        step("Add", &[&z, &part("magic")], &part("sum"));
        step("Sub", &[&part("sum"), &part("magic")], &part("kept"));
        let mut kept = part("kept");
        if scales.is_some() {
            step("Mul", &[&kept, &part("back")], &part("kept_large"));
            kept = part("kept_large");
        }
        step("Mul", &[x, &infinite], &part("infinity"));
        step("Greater", &[&part("size"), &most], &part("is_beyond"));
        step("Where", &[&part("is_beyond"), &part("infinity"), &kept], y);
    }
}

/// Operators whose result hangs on the last bit of what they are given, or keeps it in a wider type.
fn decides(op: &str) -> bool {
    matches!(
        op,
        "Cast"
            | "CastLike"
            | "Equal"
            | "Greater"
            | "GreaterOrEqual"
            | "Less"
            | "LessOrEqual"
            | "ArgMax"
            | "ArgMin"
            | "TopK"
            | "Hardmax"
            | "Floor"
            | "Ceil"
            | "Round"
            | "IsInf"
            | "NonZero"
            | "QuantizeLinear"
            | "DynamicQuantizeLinear"
    )
}

/// Operators whose result has the bits of what they are given.
fn moves(op: &str) -> bool {
    matches!(
        op,
        "Identity"
            | "Reshape"
            | "Flatten"
            | "Squeeze"
            | "Unsqueeze"
            | "Transpose"
            | "Concat"
            | "Split"
            | "Slice"
            | "Gather"
            | "GatherElements"
            | "GatherND"
            | "Expand"
            | "Tile"
            | "Pad"
            | "Where"
            | "Relu"
            | "Neg"
            | "Abs"
            | "Max"
            | "Min"
            | "Clip"
            | "MaxPool"
            | "Floor"
            | "Ceil"
            | "Round"
    )
}
