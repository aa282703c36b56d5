//! Refusal of operators that ask for vast tensors, of graphs that hold too much at a time or compute too much, and of loops that
//! do not end or whose values grow vast: a file of a hundred bytes must not be able to exhaust memory or time while it is sealed.
//!
//! A number of elements follows each value through the graph, its branches and its loops: no more than there will be. A
//! dimension that a query decides counts as one.

mod growth;
mod requested;
mod values;
mod windows;
mod work;

use std::collections::HashMap;

use deepring::{DType, Dim};

use super::graph::Graph;
use super::shapes::{Shapes, keeps_shape};
use crate::proto::{GraphProto, NodeProto, TensorProto};
use crate::read::{ImportError, unsupported};
use crate::scope;
use values::ShapeNumbers;
use work::{HeldElements, MOST_HELD, MOST_WORK};

/// Most elements that one operator may make; a tensor of 512 MiB as f32.
const LIMIT: f64 = (1u64 << 27) as f64;
/// Most elements that all windows of a pool may look at together.
const WORK: f64 = (1u64 << 34) as f64;
/// Most nodes of branches and loops that are looked at, each as often as a turn of a loop around it is followed.
const STEPS: u32 = 1 << 20;

fn exceeds_limit(n: f64) -> bool {
    n.is_nan() || n > LIMIT
}

fn refuse_if(oversized: bool, feature: &'static str, node: &NodeProto) -> Result<(), ImportError> {
    if oversized { Err(unsupported(feature, Some(&node.label()))) } else { Ok(()) }
}

impl Graph {
    /// Checks every operator whose result's size follows from constants or shapes.
    ///
    /// # Errors
    /// For the first that asks for more than the limit, by name.
    pub(super) fn refuse_oversized(&self, shapes: &Shapes) -> Result<(), ImportError> {
        let outputs = self.outputs.iter().filter_map(|v| v.name.as_deref());
        Sizes::new(self, shapes).in_order(&self.nodes, outputs)
    }

    /// As [`refuse_oversized`](Self::refuse_oversized), of one node all of whose inputs are constants.
    pub(crate) fn refuse_oversized_node(&self, node: &NodeProto) -> Result<(), ImportError> {
        let shapes = Shapes::of_constants(self, node)?;
        Sizes::new(self, &shapes).node(node)
    }
}

struct Sizes<'a> {
    graph: &'a Graph,
    shapes: &'a Shapes,
    /// The branches and loops around the node that is looked at.
    around: Vec<&'a GraphProto>,
    /// The least number of elements of each value that was made so far, of the graph and of each of these.
    counts: Vec<HashMap<String, f64>>,
    /// Likewise, what is computed of dimensions.
    computed: Vec<HashMap<String, ShapeNumbers>>,
    steps: u32,
    /// Multiplications so far.
    work: f64,
}

impl<'a> Sizes<'a> {
    fn new(graph: &'a Graph, shapes: &'a Shapes) -> Self {
        let (counts, computed) = (vec![HashMap::new()], vec![HashMap::new()]);
        Self { graph, shapes, around: Vec::new(), counts, computed, steps: STEPS, work: 0.0 }
    }

    /// Nodes that run one after the other, of whose values `kept` are needed to the end.
    fn in_order<'n>(
        &mut self,
        nodes: &'a [NodeProto],
        kept: impl Iterator<Item = &'n str>,
    ) -> Result<(), ImportError> {
        let outermost = self.around.is_empty();
        let is_constant = |name: &str| outermost && self.graph.constant(Some(name)).is_some();
        let mut held = HeldElements::new(nodes, kept, is_constant);
        for (i, node) in nodes.iter().enumerate() {
            self.node(node)?;
            let outputs = node.output.iter().filter(|y| !y.is_empty());
            let made: Vec<_> = outputs.map(|y| (y.as_str(), self.count(y))).collect();
            refuse_if(
                held.while_running(&made) > MOST_HELD,
                "more than 2^28 elements that are held at a time",
                node,
            )?;
            held.after(i, node);
        }
        Ok(())
    }

    fn node(&mut self, node: &'a NodeProto) -> Result<(), ImportError> {
        if !self.around.is_empty() {
            self.steps = self.steps.saturating_sub(1);
            refuse_if(self.steps == 0, "loops within loops of so many turns", node)?;
        }
        let given = match node.onnx_op() {
            "Loop" => self.looped(node)?,
            _ => self.branches(node)?,
        };
        let requested = match node.onnx_op() {
            _ if !node.in_default_domain() => None,
            "Conv" | "ConvInteger" | "ConvTranspose" | "MaxPool" | "AveragePool" | "LpPool"
            | "LRN" => self.windows(node)?,
            _ => self.requested(node)?,
        };
        refuse_if(
            requested.is_some_and(exceeds_limit),
            "a tensor of more than 2^27 elements",
            node,
        )?;
        let kept = self.kept(node);
        for (i, output) in node.output.iter().enumerate().filter(|(_, y)| !y.is_empty()) {
            // Inside branches and loops, no shapes are known but those of constants.
            let shape = if self.around.is_empty() { self.shapes.of(Some(output)) } else { None };
            let mut count = shape.map_or(1.0, |dims| dims.iter().map(size).product());
            if i == 0 && count != 0.0 {
                count = requested.unwrap_or(1.0).max(count).max(kept);
            }
            count = given.get(i).copied().unwrap_or(1.0).max(count);
            refuse_if(exceeds_limit(count), "a tensor of more than 2^27 elements", node)?;
            if i == 0 {
                self.work += self.multiplications(node, count);
            }
            self.insert(output, count);
        }
        if let (Some(output), Some(values)) = (node.output.first(), self.computed(node)?)
            && let Some(computed) = self.computed.last_mut()
        {
            computed.insert(output.clone(), values);
        }
        refuse_if(self.work > MOST_WORK, "more than 2^42 multiplications for a query", node)
    }

    /// The number of elements of each output of branches: the least.
    fn branches(&mut self, node: &'a NodeProto) -> Result<Vec<f64>, ImportError> {
        let mut least: Option<Vec<f64>> = None;
        for body in scope::subgraphs(node) {
            let given = self.body(body, &[])?;
            least = Some(match least {
                Some(least) => least.iter().zip(&given).map(|(a, b)| a.min(*b)).collect(),
                None => given,
            });
        }
        Ok(least.unwrap_or_default())
    }

    /// The number of elements of each output of a body, given those of each of its inputs.
    fn body(&mut self, body: &'a GraphProto, given: &[f64]) -> Result<Vec<f64>, ImportError> {
        self.around.push(body);
        self.counts.push(HashMap::new());
        self.computed.push(HashMap::new());
        for (i, value) in body.input.iter().enumerate() {
            let name = value.name.as_deref().unwrap_or_default();
            self.insert(name, given.get(i).copied().unwrap_or(1.0));
        }
        for tensor in &body.initializer {
            let count = tensor.sizes().iter().map(|d| *d as f64).product();
            self.insert(tensor.name.as_deref().unwrap_or_default(), count);
        }
        let outputs = body.output.iter().filter_map(|v| v.name.as_deref());
        let all = self.in_order(&body.node, outputs);
        let of = |name: &Option<String>| name.as_deref().map_or(1.0, |name| self.count(name));
        let made = body.output.iter().map(|value| of(&value.name)).collect();
        self.around.pop();
        self.counts.pop();
        self.computed.pop();
        all.map(|()| made)
    }

    fn insert(&mut self, name: &str, count: f64) {
        if let Some(counts) = self.counts.last_mut() {
            counts.insert(name.to_owned(), count);
        }
    }

    fn count(&self, name: &str) -> f64 {
        let shape = || self.shapes.of(Some(name)).map_or(1.0, |d| d.iter().map(size).product());
        let made = self.counts.iter().rev().find_map(|counts| counts.get(name));
        made.copied().unwrap_or_else(shape)
    }

    /// The dimensions of a value, open ones as one; `None` where not even their number is known.
    fn dims(&self, name: Option<&str>) -> Option<Vec<f64>> {
        let inner = self.around.iter().rev().flat_map(|body| &body.initializer);
        let inner = inner.filter(|t| t.name.as_deref() == name && name.is_some());
        if let Some(tensor) = inner.into_iter().next() {
            return Some(tensor.sizes().iter().map(|d| *d as f64).collect());
        }
        Some(self.shapes.of(name)?.iter().map(size).collect())
    }

    /// The number of elements of an operator's output that has no fewer than its inputs.
    fn kept(&self, node: &NodeProto) -> f64 {
        let of = |x: &String| self.count(x);
        let given = || node.input.iter().filter(|x| !x.is_empty()).map(of);
        match node.onnx_op() {
            "Concat" => given().sum(),
            "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Mod" | "And" | "Or" | "Xor" | "Equal"
            | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" | "Min" | "Max" | "Sum"
            | "Mean" | "Where" => {
                if given().any(|n| n == 0.0) {
                    0.0
                } else {
                    given().fold(1.0, f64::max)
                }
            }
            "Reshape" | "Flatten" | "Transpose" | "Squeeze" | "Unsqueeze" | "DepthToSpace"
            | "SpaceToDepth" | "ReverseSequence" => node.input.first().map_or(1.0, of),
            op if keeps_shape(op) => node.input.first().map_or(1.0, of),
            _ => 1.0,
        }
    }

    fn constant(&self, name: &str) -> Option<&'a TensorProto> {
        let mut inner = self.around.iter().rev().flat_map(|body| &body.initializer);
        let inner = inner.find(|t| t.name.as_deref() == Some(name));
        inner.or_else(|| self.graph.constant(Some(name)))
    }

    /// Numbers that constants or dimensions tell; where a dimension is open, no more than there will be.
    fn numbers(&self, name: Option<&str>) -> Result<Option<Vec<f64>>, ImportError> {
        Ok(self.values(name)?.map(|v| v.numbers))
    }

    /// Numbers that are told exactly.
    fn exact(&self, name: Option<&str>) -> Result<Option<Vec<f64>>, ImportError> {
        Ok(self.values(name)?.filter(|v| v.exact).map(|v| v.numbers))
    }

    /// The values of a small constant of integers or floats.
    fn constants_of(&self, name: Option<&str>) -> Result<Option<Vec<f64>>, ImportError> {
        let Some(tensor) = name.and_then(|name| self.constant(name)) else { return Ok(None) };
        if let Some(ints) = self.graph.ints_of(tensor)? {
            return Ok(Some(ints.into_iter().map(|v| v as f64).collect()));
        }
        match (tensor.dtype(), self.graph.source(tensor)) {
            (Some(DType::F32), Some(source)) if source.len() <= 4096 => {
                let bytes = source.read()?;
                let floats = bytes.as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b)));
                Ok(Some(floats.collect()))
            }
            _ => Ok(None),
        }
    }
}

fn size(dim: &Dim) -> f64 {
    match dim {
        Dim::Fixed(n) => *n as f64,
        Dim::Named(_) => 1.0,
    }
}
