//! The network's nodes, run one after the other on candle's tensors.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use candle_core::{DType, Device, Tensor};
use deepring_onnx::proto::NodeProto;

use super::attributes::{input, int};
use super::value::Value;
use super::windows::Windows;
use super::{elementwise, products, shaping, spatial};
use crate::attack::context::AttackError;
use crate::network::{Element, Layer, Network};

/// The layers' weights, in their order.
pub(super) type Weights = Vec<Tensor>;

/// Windows, samples, and which place in the window, if one.
type TableKey = (Windows, usize, Option<usize>);

/// Nodes with their constants.
pub(super) struct GradientGraph {
    nodes: Vec<NodeProto>,
    input: String,
    output: String,
    /// Samples that the file's input has, where it says so.
    batch: Option<usize>,
    /// Dimensions of one sample, where the file says so.
    dims: Option<Vec<usize>>,
    floats: HashMap<String, Tensor>,
    pub(super) ints: HashMap<String, Vec<i64>>,
    /// Which layer a value is the weight of.
    weights: HashMap<String, usize>,
    /// For a convolution: the normalisation after it, where nothing else sees its output.
    norms: HashMap<usize, usize>,
    skipped: HashSet<usize>,
    pub(super) opset: i64,
    tables: Mutex<HashMap<TableKey, Tensor>>,
}

impl std::fmt::Debug for GradientGraph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GradientGraph").field("nodes", &self.nodes.len()).finish_non_exhaustive()
    }
}

/// The arguments of a node's run.
pub(super) struct Around<'a> {
    pub(super) graph: &'a GradientGraph,
    pub(super) node: &'a NodeProto,
    values: &'a HashMap<String, Value>,
    weights: &'a Weights,
    /// Samples of this piece.
    pub(super) rows: usize,
}

impl GradientGraph {
    pub(super) fn new(network: &Network, layers: &[Layer]) -> Result<Self, AttackError> {
        let graph = network.graph();
        let nodes = graph.node.clone();
        let mut weights = HashMap::new();
        for (at, layer) in layers.iter().enumerate() {
            let value = nodes.get(layer.node).and_then(|n| input(n, 1)).unwrap_or(&layer.weight);
            weights.insert(value.to_owned(), at);
        }
        let (mut floats, mut ints) = (HashMap::new(), HashMap::new());
        for tensor in network.tensors() {
            let name = tensor.name().to_owned();
            if let Some(values) = tensor.floats() {
                let tensor = Tensor::from_vec(values, tensor.dims(), &Device::Cpu)?;
                floats.insert(name, tensor);
            } else if tensor.dtype() == deepring::DType::I64 {
                let all = tensor.bytes().as_chunks().0.iter().map(|b| i64::from_le_bytes(*b));
                ints.insert(name, all.collect());
            }
        }
        let given = |name: &&str| network.tensor(name).is_err();
        let inputs: Vec<_> =
            graph.input.iter().filter_map(|i| i.name.as_deref()).filter(given).collect();
        let [entry] = inputs.as_slice() else {
            return Err(AttackError::Gradient { reason: format!("{} inputs", inputs.len()) });
        };
        let output = graph.output.first().and_then(|o| o.name.clone()).unwrap_or_default();
        let mut this = Self {
            input: (*entry).to_owned(),
            output: logits_of(&nodes, output),
            batch: dims_of(network, entry).and_then(|d| *d.first()?),
            dims: dims_of(network, entry).and_then(|d| d.get(1..)?.iter().copied().collect()),
            floats,
            ints,
            weights,
            norms: HashMap::new(),
            skipped: HashSet::new(),
            opset: network.opset(),
            tables: Mutex::default(),
            nodes,
        };
        this.dequantise(network)?;
        this.join_norms();
        for node in &this.nodes {
            if !known(node) {
                return Err(no_gradient(node));
            }
        }
        Ok(this)
    }

    /// Weights that no layer has: constants that are dequantised on the way.
    fn dequantise(&mut self, network: &Network) -> Result<(), AttackError> {
        for (index, node) in self.nodes.iter().enumerate() {
            if node.op_type.as_deref() != Some("DequantizeLinear") {
                continue;
            }
            let Some(output) = node.output.first() else { continue };
            if !self.weights.contains_key(output) {
                let tensor = input(node, 0).ok_or_else(|| no_gradient(node))?;
                let floats =
                    floats_of(network, tensor, Some(node)).map_err(|_| no_gradient(node))?;
                self.floats.insert(output.clone(), floats);
            }
            self.skipped.insert(index);
        }
        Ok(())
    }

    /// A normalisation that follows a convolution scales the few weights rather than the many outputs.
    fn join_norms(&mut self) {
        for (at, node) in self.nodes.iter().enumerate() {
            let Some(output) = node.output.first() else { continue };
            if node.op_type.as_deref() != Some("Conv") || *output == self.output {
                continue;
            }
            let uses = |n: &NodeProto| n.input.iter().filter(|i| *i == output).count();
            if self.nodes.iter().map(uses).sum::<usize>() != 1 {
                continue;
            }
            let norm = self.nodes.iter().position(|n| {
                n.op_type.as_deref() == Some("BatchNormalization")
                    && n.input.first() == Some(output)
            });
            if let Some(norm) = norm {
                self.norms.insert(at, norm);
                self.skipped.insert(norm);
            }
        }
    }

    /// The values before the first node.
    pub(super) fn begin(&self, input: &Tensor) -> HashMap<String, Value> {
        HashMap::from([(self.input.clone(), Value::plain(input.clone()))])
    }

    /// Runs the nodes from this one on.
    pub(super) fn run(
        &self,
        values: &mut HashMap<String, Value>,
        from: usize,
        weights: &Weights,
    ) -> Result<(), AttackError> {
        let rows = values.get(&self.input).and_then(|v| v.tensor.dim(0).ok()).unwrap_or(0);
        for (at, node) in self.nodes.iter().enumerate().skip(from) {
            if self.skipped.contains(&at) {
                continue;
            }
            let around = Around { graph: self, node, values, weights, rows };
            let norm = self.norms.get(&at).and_then(|n| self.nodes.get(*n));
            let out = around.run(norm)?;
            if let Some(name) = norm.unwrap_or(node).output.first() {
                values.insert(name.clone(), out);
            }
        }
        Ok(())
    }

    /// One row of scores for each sample.
    pub(super) fn logits(&self, values: &HashMap<String, Value>) -> Result<Tensor, AttackError> {
        let value = values.get(&self.output).ok_or_else(|| AttackError::Gradient {
            reason: format!("no node gives `{}`", self.output),
        })?;
        Ok(value.in_order()?.flatten_from(1)?.contiguous()?)
    }

    /// The rows of windows, for `rows` samples; made once.
    pub(super) fn table(
        &self,
        windows: &Windows,
        rows: usize,
        tap: Option<usize>,
    ) -> Result<Tensor, AttackError> {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (windows.clone(), rows, tap);
        if let Some(table) = tables.get(&key) {
            return Ok(table.clone());
        }
        let places = match tap {
            Some(tap) => windows.rows_of_tap(rows, tap),
            None => windows.rows(rows),
        };
        let table = Tensor::new(places, &Device::Cpu)?;
        tables.insert(key, table.clone());
        Ok(table)
    }

    /// A shape's first dimension, where it is the file's number of samples, is that of the piece.
    pub(super) fn batch(&self) -> Option<usize> {
        self.batch
    }

    pub(super) fn dims(&self) -> Option<&[usize]> {
        self.dims.as_deref()
    }
}

impl Around<'_> {
    fn run(&self, norm: Option<&NodeProto>) -> Result<Value, AttackError> {
        match self.op() {
            "Conv" => spatial::convolution(self, norm),
            "BatchNormalization" => spatial::normalisation(self),
            "MaxPool" => spatial::max_pool(self),
            "AveragePool" => spatial::average_pool(self),
            "GlobalAveragePool" => spatial::global_average_pool(self),
            "Gemm" => products::gemm(self),
            "MatMul" => products::matrices(self),
            "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" | "Transpose" | "Concat" | "Pad" => {
                shaping::run(self)
            }
            _ => elementwise::run(self),
        }
    }

    pub(super) fn op(&self) -> &str {
        self.node.op_type.as_deref().unwrap_or_default()
    }

    /// The value at this place: computed, a weight, or a constant.
    pub(super) fn value(&self, at: usize) -> Result<Value, AttackError> {
        let name = input(self.node, at).ok_or_else(|| no_gradient(self.node))?;
        self.named(name).ok_or_else(|| no_gradient(self.node))
    }

    /// The value at this place, if one is given.
    pub(super) fn optional(&self, at: usize) -> Result<Option<Value>, AttackError> {
        if input(self.node, at).is_none() {
            return Ok(None);
        }
        self.value(at).map(Some)
    }

    pub(super) fn named(&self, name: &str) -> Option<Value> {
        if let Some(value) = self.values.get(name) {
            return Some(value.clone());
        }
        let weight = self.graph.weights.get(name).and_then(|at| self.weights.get(*at));
        weight.or_else(|| self.graph.floats.get(name)).cloned().map(Value::plain)
    }

    /// Constant integers at this place.
    pub(super) fn ints(&self, at: usize) -> Option<&[i64]> {
        self.graph.ints.get(input(self.node, at)?).map(Vec::as_slice)
    }

    pub(super) fn refused(&self) -> AttackError {
        no_gradient(self.node)
    }
}

/// The weights of a layer, as floats.
pub(super) fn dequantised(network: &Network, layer: &Layer) -> Result<Tensor, AttackError> {
    let value = network.nodes().get(layer.node).and_then(|n| input(n, 1)).unwrap_or_default();
    let node = layer
        .scale
        .as_ref()
        .and_then(|_| network.nodes().iter().find(|n| n.output.iter().any(|o| o == value)));
    floats_of(network, &layer.weight, node)
}

fn floats_of(
    network: &Network,
    name: &str,
    dequantise: Option<&NodeProto>,
) -> Result<Tensor, AttackError> {
    let tensor = network.tensor(name)?;
    let dims = tensor.dims();
    let numbers = |t: &crate::network::Tensor<'_>| -> Vec<f32> {
        let elements = t.bytes().chunks(t.dtype().size());
        elements.map(|e| Element::from_le_bytes(t.dtype(), e).value() as f32).collect()
    };
    let mut values = numbers(&tensor);
    if let Some(node) = dequantise {
        let refused = || no_gradient(node);
        if int(node, "block_size", 0) != 0 {
            return Err(refused());
        }
        let scale = network.floats(input(node, 1).ok_or_else(refused)?)?;
        let zero = match input(node, 2) {
            Some(name) => numbers(&network.tensor(name)?),
            None => vec![0.0],
        };
        let axis = int(node, "axis", 1);
        let axis = if axis < 0 { axis + dims.len() as i64 } else { axis } as usize;
        let inner: usize = dims.iter().skip(axis + 1).product();
        let pick = |of: &[f32], index: usize| match of {
            [one] => Some(*one),
            many => many.get(index / inner.max(1) % many.len().max(1)).copied(),
        };
        for (index, value) in values.iter_mut().enumerate() {
            let (s, z) = pick(&scale, index).zip(pick(&zero, index)).ok_or_else(refused)?;
            *value = (*value - z) * s;
        }
    }
    Ok(Tensor::from_vec(values, dims, &Device::Cpu)?.to_dtype(DType::F32)?)
}

fn known(node: &NodeProto) -> bool {
    let ours = matches!(node.domain.as_deref(), None | Some("" | "ai.onnx"));
    let op = node.op_type.as_deref().unwrap_or_default();
    ours && (elementwise::OPERATORS.contains(&op)
        || matches!(
            op,
            "Conv"
                | "BatchNormalization"
                | "MaxPool"
                | "AveragePool"
                | "GlobalAveragePool"
                | "Gemm"
                | "MatMul"
                | "Flatten"
                | "Reshape"
                | "Squeeze"
                | "Unsqueeze"
                | "Transpose"
                | "Concat"
                | "Pad"
                | "DequantizeLinear"
        ))
}

pub(super) fn no_gradient(node: &NodeProto) -> AttackError {
    let name = node.name.clone().filter(|n| !n.is_empty());
    AttackError::NoGradient {
        node: name.or_else(|| node.output.first().cloned()).unwrap_or_default(),
        operator: node.op_type.clone().unwrap_or_default(),
    }
}

/// The input of a softmax at the end: cross-entropy is taken of scores, not of probabilities.
fn logits_of(nodes: &[NodeProto], output: String) -> String {
    let last = nodes.iter().find(|n| n.output.first() == Some(&output));
    match last {
        Some(n) if matches!(n.op_type.as_deref(), Some("Softmax" | "LogSoftmax")) => {
            n.input.first().cloned().unwrap_or(output)
        }
        _ => output,
    }
}

fn dims_of(network: &Network, entry: &str) -> Option<Vec<Option<usize>>> {
    let input = network.graph().input.iter().find(|i| i.name.as_deref() == Some(entry))?;
    let shape = input.r#type.as_ref()?.tensor_type.as_ref()?.shape.as_ref()?;
    Some(shape.dim.iter().map(|d| usize::try_from(d.dim_value?).ok()).collect())
}
