//! A NaN stays a NaN: of it, `Relu` and `Clip` give a bound in the engine, and ONNX's functions give it on.
//!
//! They are written otherwise where it can come to them: from an input that no linear operator reads before (one that does refuses
//! it), from a parameter that holds one, or an infinity, as those of a training that diverged do, or from an operator that gives it
//! for numbers or infinities, as a logarithm does, or a softmax of a row that is masked throughout. What leaves the range of single
//! precision on its way is not followed.

use std::collections::{HashMap, HashSet};

use deepring::DType;

use super::graph::Graph;
use super::value_types::{self, ValueType};
use crate::proto::{NodeProto, TensorProto};
use crate::read::{ImportError, ParamSource};
use crate::scope;

/// Where what is no number comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum From {
    Input,
    Operator,
}

impl Graph {
    /// Writes these operators otherwise; nodes must be in order.
    ///
    /// # Errors
    /// If a parameter cannot be read.
    pub(super) fn keep_no_numbers(&mut self) -> Result<(), ImportError> {
        let value_types = value_types::infer(self);
        let inputs = self.inputs.iter().filter_map(|v| Some((v.name.clone()?, From::Input)));
        let mut any: HashMap<String, From> = inputs.collect();
        for (name, tensor) in &self.constants {
            if self.leaves_numbers(tensor)? {
                any.insert(name.clone(), From::Operator);
            }
        }
        let nodes = std::mem::take(&mut self.nodes);
        self.nodes = self.keeping(nodes, &value_types, Some(any));
        Ok(())
    }

    /// Returns whether a constant holds an infinity, or what is no number: all bits of an exponent are set.
    fn leaves_numbers(&self, tensor: &TensorProto) -> Result<bool, ImportError> {
        let (Some(dtype), Some(source)) = (tensor.dtype(), self.source(tensor)) else {
            return Ok(false);
        };
        let any = |exponent: u64| {
            let width = dtype.size();
            source.any_chunk(width, |element| {
                let mut bits = [0; 8];
                let (low, _) = bits.split_at_mut(width.min(8));
                low.copy_from_slice(element);
                u64::from_le_bytes(bits) & exponent == exponent
            })
        };
        match dtype {
            DType::F32 => any(0x7f80_0000),
            DType::F64 => any(0x7ff0_0000_0000_0000),
            DType::F16 => any(0x7c00),
            DType::Bf16 => any(0x7f80),
            _ => Ok(false),
        }
    }

    /// `any` are the values that may be no numbers, and wherefrom; all may inside branches and loops.
    fn keeping(
        &mut self,
        given: Vec<NodeProto>,
        value_types: &HashMap<String, ValueType>,
        mut any: Option<HashMap<String, From>>,
    ) -> Vec<NodeProto> {
        let mut nodes = Vec::with_capacity(given.len());
        let mut of_constants = HashSet::new();
        for mut node in given {
            let types = value_types::given(&node, value_types);
            for graph in scope::subgraphs_mut(&mut node) {
                let inside = value_types::inside(graph, value_types, &types);
                let body = std::mem::take(&mut graph.node);
                graph.node = self.keeping(body, &inside, None);
            }
            let from = match &any {
                Some(any) => node.input.iter().filter_map(|x| any.get(x)).max().copied(),
                None => Some(From::Operator),
            };
            let float = |x: Option<&str>| {
                x.and_then(|x| value_types.get(x))
                    .is_none_or(|k| *k == ValueType::Tensor(DType::F32))
            };
            let stays = from.is_some() && float(node.arg(0));
            let is_fixed = |x: &str| self.constants.contains_key(x) || of_constants.contains(x);
            // One without sealed weights refuses nothing, and adds up infinities.
            let is_checked = is_linear(&node) && node.input.iter().any(|x| is_fixed(x));
            let goes = match from {
                _ if begins(self, &node) || self.begins_by_value(&node) => Some(From::Operator),
                _ if is_linear(&node) && !is_checked => Some(From::Operator),
                Some(From::Input) if is_checked => None,
                from => from,
            };
            if scope::needs(&node).iter().all(|x| is_fixed(x)) {
                of_constants.extend(node.output.iter().cloned());
            }
            if let (Some(any), Some(goes)) = (&mut any, goes) {
                let outputs = node.output.iter().filter(|y| float(Some(y)));
                any.extend(outputs.map(|y| (y.clone(), goes)));
            }
            match node.onnx_op() {
                "Relu" if stays => self.relu(&node, &mut nodes),
                "Clip" if stays => self.clip(&node, &mut nodes),
                _ => nodes.push(node),
            }
        }
        nodes
    }

    /// Returns whether what it is given makes it give what is no number: a fill that is none, a variance that may be negative.
    fn begins_by_value(&self, node: &NodeProto) -> bool {
        match node.onnx_op() {
            "ConstantOfShape" => {
                let fill = node.attr("value").and_then(|a| a.t.as_deref());
                // What cannot be read may be anything.
                fill.is_some_and(|fill| self.leaves_numbers(fill).unwrap_or(true))
            }
            "BatchNormalization" => {
                let variance = self.constant(node.arg(4));
                let variance = variance.and_then(|t| Some((t.dtype()?.size(), self.source(t)?)));
                let negative = |of: &[u8]| of.last().is_some_and(|sign| *sign >= 128);
                variance.is_none_or(|(w, source)| source.any_chunk(w, negative).unwrap_or(true))
            }
            _ => false,
        }
    }

    /// An exponential that is taken times nothing; and nothing is added, so that no zero is negative.
    fn relu(&mut self, node: &NodeProto, nodes: &mut Vec<NodeProto>) {
        let Some((x, y)) = node.edge() else { return };
        let zero = self.number("zero", 0.0);
        let above = format!("{y}.above");
        let mut elu = NodeProto::new("Elu", &above, &[&x], &[&above]);
        elu.set_float("alpha", 0.0);
        nodes.push(elu);
        nodes.push(NodeProto::new("Add", &y, &[&above, &zero], &[&y]));
    }

    /// The smaller of the larger: unlike bounds, these give it on.
    fn clip(&mut self, node: &NodeProto, nodes: &mut Vec<NodeProto>) {
        let Some((x, y)) = node.edge() else { return };
        let mut bound = |arg: usize, name: &str, end: f32| match node.arg(arg) {
            Some(bound) => bound.to_owned(),
            None => match node.attr_float(name) {
                Some(bound) => self.number(&format!("{y}.{name}"), bound),
                None => self.number(if end < 0.0 { "least" } else { "most" }, end),
            },
        };
        let (low, high) = (bound(1, "min", f32::MIN), bound(2, "max", f32::MAX));
        let above = format!("{y}.above");
        nodes.push(NodeProto::new("Max", &above, &[&x, &low], &[&above]));
        nodes.push(NodeProto::new("Min", &y, &[&above, &high], &[&y]));
    }

    fn number(&mut self, name: &str, value: f32) -> String {
        let name = format!("no number.{name}");
        if !self.constants.contains_key(&name) {
            let bytes = ParamSource::owned(value.to_le_bytes().to_vec());
            self.set_constant(&name, DType::F32, &[], bytes);
        }
        name
    }
}

/// Returns whether it refuses an input that is no number.
fn is_linear(node: &NodeProto) -> bool {
    matches!(
        node.onnx_op(),
        "Conv"
            | "ConvTranspose"
            | "ConvInteger"
            | "Gemm"
            | "MatMul"
            | "MatMulInteger"
            | "LSTM"
            | "GRU"
            | "RNN"
            | "QLinearConv"
            | "QLinearMatMul"
    )
}

/// Operators that give numbers when they are given numbers.
const NEVER_BEGINS: &[&str] = &[
    "Add",
    "Sub",
    "Mul",
    "Sum",
    "Mean",
    "Max",
    "Min",
    "Neg",
    "Abs",
    "Sign",
    "Relu",
    "LeakyRelu",
    "PRelu",
    "Elu",
    "Selu",
    "Celu",
    "Clip",
    "Sigmoid",
    "HardSigmoid",
    "HardSwish",
    "Tanh",
    "Erf",
    "Gelu",
    "Softplus",
    "Softsign",
    "Exp",
    "Sin",
    "Cos",
    "Atan",
    "Floor",
    "Ceil",
    "Round",
    "BatchNormalization",
    "InstanceNormalization",
    "LayerNormalization",
    "LRN",
    "MaxPool",
    "AveragePool",
    "GlobalMaxPool",
    "GlobalAveragePool",
    "ReduceMean",
    "ReduceMax",
    "ReduceMin",
    "ReduceSum",
    "ReduceSumSquare",
    "ReduceL1",
    "ReduceL2",
    "Resize",
    "Upsample",
    "Pad",
    "DepthToSpace",
    "SpaceToDepth",
    "Concat",
    "Split",
    "Slice",
    "Gather",
    "GatherElements",
    "GatherND",
    "Reshape",
    "Flatten",
    "Squeeze",
    "Unsqueeze",
    "Transpose",
    "Expand",
    "Tile",
    "Where",
    "Identity",
    "Dropout",
    "Cast",
    "Constant",
    "ConstantOfShape",
    "Range",
    "QuantizeLinear",
    "DynamicQuantizeLinear",
    "TopK",
    "Einsum",
    "Trilu",
    "CumSum",
    "OneHot",
    "ArgMax",
    "ArgMin",
    "NonZero",
    "Equal",
    "Greater",
    "Less",
    "GreaterOrEqual",
    "LessOrEqual",
    "DequantizeLinear",
    "IsNaN",
    "IsInf",
    "Shape",
    "Size",
    "And",
    "Or",
    "Not",
    "Xor",
];

/// Returns whether it may give what is no number when it is given numbers; of an operator that is not known here, it may.
fn begins(graph: &Graph, node: &NodeProto) -> bool {
    let op = node.onnx_op();
    match op {
        // Nothing by nothing is no number.
        "Div" => graph.constant(node.arg(1)).and_then(|t| graph.source(t)).is_none_or(|divisor| {
            let nothing = |of: &[u8]| matches!(of, [0, 0, 0, 0 | 128]);
            divisor.any_chunk(4, nothing).unwrap_or(true)
        }),
        _ => !NEVER_BEGINS.contains(&op) && !is_linear(node),
    }
}
