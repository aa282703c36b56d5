//! Older operators rewritten so that they mean the same in opset 9 and in what the engine runs.

use deepring::{DType, Dim};

use super::decompose;
use super::graph::Graph;
use super::padding;
use super::scope;
use super::shapes::Shapes;
use crate::onnx::proto::{NodeProto, TensorProto};
use crate::onnx::{ImportError, ParamSource, Store, unsupported};

/// Since this version `Softmax` normalises one axis; before, it flattened the input to a matrix.
const SOFTMAX_ONE_AXIS: i64 = 13;
/// Since this version operands broadcast as numpy has it; before, by attributes.
const BROADCASTING: i64 = 7;
/// Nothing older is written.
const OLDEST_WRITTEN: i64 = 9;

impl Graph {
    /// Rewrites all nodes, subgraphs included; the opset that they then are of.
    pub(crate) fn modernise(&mut self, opset: i64) -> Result<i64, ImportError> {
        let shapes = Shapes::infer(self)?;
        let nodes = std::mem::take(&mut self.nodes);
        let mut upgrade = Upgrade {
            opset,
            shapes: &shapes,
            store: &mut self.store,
            nodes: vec![],
            added: vec![],
        };
        upgrade.all(nodes)?;
        let Upgrade { nodes, added, .. } = upgrade;
        self.nodes = nodes;
        for tensor in added {
            let name = tensor.name.clone().unwrap_or_default();
            if self.constants.insert(name.clone(), tensor).is_some() {
                return Err(ImportError::Duplicate { value: name });
            }
        }
        Ok(opset.max(OLDEST_WRITTEN))
    }
}

/// One graph's nodes while they are rewritten.
pub(super) struct Upgrade<'a> {
    opset: i64,
    pub(super) shapes: &'a Shapes,
    store: &'a mut Store,
    pub(super) nodes: Vec<NodeProto>,
    added: Vec<TensorProto>,
}

impl Upgrade<'_> {
    fn all(&mut self, nodes: Vec<NodeProto>) -> Result<(), ImportError> {
        for mut node in nodes {
            for graph in scope::subgraphs_mut(&mut node) {
                let mut inner = Upgrade {
                    opset: self.opset,
                    shapes: self.shapes,
                    store: self.store,
                    nodes: vec![],
                    added: vec![],
                };
                inner.all(std::mem::take(&mut graph.node))?;
                graph.node = inner.nodes;
                graph.initializer.append(&mut inner.added);
            }
            self.node(node)?;
        }
        Ok(())
    }

    fn node(&mut self, mut node: NodeProto) -> Result<(), ImportError> {
        if !node.in_default_domain() {
            self.nodes.push(node);
            return Ok(());
        }
        node.domain = None;
        if self.opset < OLDEST_WRITTEN {
            self.before_nine(&mut node)?;
        }
        match node.op() {
            "Softmax" | "LogSoftmax" if self.opset < SOFTMAX_ONE_AXIS => self.softmax(node),
            "Conv" | "ConvTranspose" | "ConvInteger" => {
                self.state_kernel(&mut node);
                padding::explicit(self.shapes, &mut node)?;
                if node.op() == "ConvInteger" {
                    decompose::conv_integer(self, node)?;
                } else {
                    self.nodes.push(node);
                }
            }
            "MaxPool" | "AveragePool" | "LpPool" => {
                padding::explicit(self.shapes, &mut node)?;
                self.nodes.push(node);
            }
            "Selu" => decompose::selu(self, &node),
            "Sign" => decompose::sign(self, node),
            "LRN" => decompose::lrn(self, node),
            _ => self.nodes.push(node),
        }
        Ok(())
    }

    pub(super) fn charge(&mut self, bytes: u64) -> Result<(), ImportError> {
        self.store.charge(bytes)
    }

    /// A constant beside the nodes, named after `wish`.
    pub(super) fn constant(
        &mut self,
        wish: &str,
        dtype: DType,
        dims: &[u64],
        bytes: Vec<u8>,
    ) -> String {
        let name = format!("{wish}.const");
        self.added.push(self.store.tensor(&name, dtype, dims, ParamSource::owned(bytes)));
        name
    }

    pub(super) fn float(&mut self, wish: &str, value: f32) -> String {
        self.constant(wish, DType::F32, &[], value.to_le_bytes().to_vec())
    }

    pub(super) fn ints(&mut self, wish: &str, values: &[i64]) -> String {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(wish, DType::I64, &[values.len() as u64], bytes)
    }

    /// Adds a node whose output is named after that of the node it serves.
    pub(super) fn push(&mut self, op: &str, inputs: &[&str], output: &str) -> &mut NodeProto {
        self.nodes.push_mut(NodeProto::new(op, output, inputs, &[output]))
    }

    fn softmax(&mut self, mut node: NodeProto) {
        let axis = node.attr_int("axis").unwrap_or(1);
        let (Some(x), Some(y)) = (node.arg(0).map(str::to_owned), node.output.first().cloned())
        else {
            self.nodes.push(node);
            return;
        };
        let rank = self.shapes.rank(Some(&x)).and_then(|r| i64::try_from(r).ok());
        if axis == -1 || rank.is_some_and(|r| axis == r - 1) {
            node.set_int("axis", -1);
            self.nodes.push(node);
            return;
        }
        let part = |suffix: &str| format!("{y}.{suffix}");
        self.push("Shape", &[&x], &part("shape"));
        self.push("Flatten", &[&x], &part("flat")).set_int("axis", axis);
        node.input = vec![part("flat")];
        node.output = vec![part("rows")];
        node.set_int("axis", -1);
        self.nodes.push(node);
        self.push("Reshape", &[&part("rows"), &part("shape")], &y);
    }

    /// States a convolution's kernel where only the weights show it: the engine asks the attribute.
    fn state_kernel(&self, node: &mut NodeProto) {
        if node.attr("kernel_shape").is_some() {
            return;
        }
        let Some(weight) = self.shapes.of(node.arg(1)).and_then(|w| w.get(2..)) else { return };
        let kernel: Option<Vec<i64>> = weight
            .iter()
            .map(|d| match d {
                Dim::Fixed(n) => i64::try_from(*n).ok(),
                Dim::Named(_) => None,
            })
            .collect();
        if let Some(kernel) = kernel {
            node.set_ints("kernel_shape", kernel);
        }
    }

    fn before_nine(&mut self, node: &mut NodeProto) -> Result<(), ImportError> {
        node.take_attr("consumed_inputs");
        match node.op() {
            "BatchNormalization" => {
                node.take_attr("is_test");
                if node.take_attr("spatial").is_some_and(|a| a.i == Some(0)) {
                    return Err(unsupported("normalisation per position", Some(&node.label())));
                }
                node.output.truncate(1);
            }
            "Dropout" => {
                node.take_attr("is_test");
            }
            "Scan" => return Err(unsupported("Scan before opset 9", Some(&node.label()))),
            "LSTM" | "GRU" | "RNN" => {
                node.take_attr("output_sequence");
            }
            "Upsample" => {
                if let Some(scales) = node.take_attr("scales") {
                    let bytes = scales.floats.iter().flat_map(|v| v.to_le_bytes()).collect();
                    let (wish, len) = (node.label(), scales.floats.len() as u64);
                    let name = self.constant(&wish, DType::F32, &[len], bytes);
                    node.input.truncate(1);
                    node.input.push(name);
                }
            }
            "Gemm" => {
                node.take_attr("broadcast");
            }
            "PRelu" if self.opset < BROADCASTING => self.align(node, 1),
            "Add" | "Sub" | "Mul" | "Div" | "Pow" | "And" | "Or" | "Xor" | "Equal" | "Greater"
            | "Less" => {
                let broadcast = node.take_attr("broadcast").is_some_and(|a| a.i == Some(1));
                let axis = node.take_attr("axis").and_then(|a| a.i);
                if let Some(axis) = axis.filter(|_| broadcast) {
                    let rank = self.shapes.rank(node.arg(0)).and_then(|r| i64::try_from(r).ok());
                    let Some(rank) = rank else {
                        return Err(unsupported("broadcast along an axis", Some(&node.label())));
                    };
                    let axis = if axis < 0 { axis.saturating_add(rank) } else { axis };
                    self.align(node, usize::try_from(axis).unwrap_or(usize::MAX));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Gives the second operand trailing ones so that it starts at `axis` of the first.
    fn align(&mut self, node: &mut NodeProto, axis: usize) {
        let ranks = self.shapes.rank(node.arg(0)).zip(self.shapes.rank(node.arg(1)));
        let Some((a, b)) = ranks else { return };
        let single =
            self.shapes.of(node.arg(1)).is_some_and(|s| s.iter().all(|d| *d == Dim::Fixed(1)));
        let Some(missing) = a.checked_sub(axis.saturating_add(b)).filter(|&m| m > 0 && !single)
        else {
            return;
        };
        let (Some(operand), Some(output)) = (node.arg(1).map(str::to_owned), node.output.first())
        else {
            return;
        };
        let aligned = format!("{output}.aligned");
        let axes = (b..b + missing).filter_map(|a| i64::try_from(a).ok()).collect();
        self.push("Unsqueeze", &[&operand], &aligned).set_ints("axes", axes);
        if let Some(input) = node.input.get_mut(1) {
            *input = aligned;
        }
    }
}
