//! Follows the outputs of a layer through the graph: which parameters must be permuted with its filters, so
//! that nothing else changes, and where the channels come out.
//!
//! Only what is certain from the file alone is followed; anything else ends the walk with a reason.

mod shape;
mod steps;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use deepring_onnx::proto::{GraphProto, NodeProto};

use crate::network::{Layer, LinearOp, Network, NetworkError, Parameter};

/// Where the channels of a layer lie in a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    /// The axis, counted from the last, which is 1.
    from_end: usize,
    rank: Option<usize>,
    run: Run,
    /// True if all axes after it have length 1.
    single: bool,
}

/// How many neighbours along the axis belong to one channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Run {
    Known(usize),
    /// A multiple, for a flattening put pixels there, and how many only who reads them knows.
    MultipleOf(usize),
}

/// The result of a walk.
#[derive(Debug, Clone)]
pub(super) struct Channels {
    pub(super) count: usize,
    edits: Vec<Edit>,
    /// The parameter that is added to the outputs, where there is one and it has a value for each.
    pub(super) bias: Option<Parameter>,
    /// How many linear layers take the channels.
    pub(super) consumers: usize,
    /// True if they are the axis of the network's first output that counts its classes.
    pub(super) scores: bool,
    /// True if they come out of the network.
    pub(super) seen: bool,
}

/// A parameter with an index for each channel.
#[derive(Debug, Clone)]
struct Edit {
    parameter: Parameter,
    axis: usize,
    run: usize,
}

impl Channels {
    /// Follows the outputs of a layer.
    ///
    /// # Errors
    /// Why its filters cannot be permuted so that nothing else changes.
    pub(super) fn follow(network: &Network, layer: &Layer) -> Result<Self, String> {
        let mut walk = Walk::new(network, layer.outputs());
        walk.start(layer)?;
        for node in network.nodes().iter().skip(layer.node + 1) {
            if node.input.iter().any(|i| walk.places.contains_key(i)) {
                walk.step(node)?;
            }
        }
        walk.end()
    }

    /// Permutes the filters and all that belongs to them: filter `order[i]` comes to `i`.
    pub(super) fn permute(
        &self,
        network: &mut Network,
        order: &[usize],
    ) -> Result<(), NetworkError> {
        for edit in &self.edits {
            edit.parameter.permute(network, edit.axis, edit.run, order)?;
        }
        Ok(())
    }

    /// The parameters that a permutation changes.
    pub(super) fn tensors(&self) -> usize {
        self.edits.len()
    }
}

struct Walk<'a> {
    network: &'a Network,
    uses: HashMap<&'a str, usize>,
    /// The values that graphs inside nodes mention.
    inside: HashSet<&'a str>,
    places: HashMap<String, Place>,
    found: Channels,
}

impl<'a> Walk<'a> {
    fn new(network: &'a Network, count: usize) -> Self {
        let (mut uses, mut inside) = (HashMap::new(), HashSet::new());
        count_uses(network.graph(), &mut uses, &mut inside, false);
        let found = Channels {
            count,
            edits: Vec::new(),
            bias: None,
            consumers: 0,
            scores: false,
            seen: false,
        };
        Self { network, uses, inside, places: HashMap::new(), found }
    }

    fn start(&mut self, layer: &Layer) -> Result<(), String> {
        let node = self.network.nodes().get(layer.node).ok_or("its node is missing")?;
        let weight = Parameter::of_layer(self.network, layer)
            .ok_or_else(|| format!("the weight of `{}` is quantised in another way", layer.name))?;
        let rank = layer.dims.len();
        let place = match layer.op {
            LinearOp::Conv | LinearOp::ConvTranspose if group(node) != 1 => {
                return Err(format!("`{}` is a convolution in groups", layer.name));
            }
            LinearOp::Conv | LinearOp::ConvTranspose => {
                Place { from_end: rank - 1, rank: Some(rank), run: Run::Known(1), single: false }
            }
            LinearOp::Gemm => in_the_last(Some(2)),
            // With the weight first it has its outputs on the last axis but one.
            LinearOp::MatMul if layer.out_axis + 2 == rank => {
                Place { from_end: 2, single: false, ..in_the_last(None) }
            }
            LinearOp::MatMul => in_the_last(None),
        };
        self.edit(weight, layer.out_axis, place)?;
        if layer.op != LinearOp::MatMul
            && let Some(bias) = node.input.get(2).filter(|n| !n.is_empty())
        {
            let bias_place = in_the_last(None);
            let bias = self.constant(bias, bias_place, node)?;
            self.found.bias = bias;
        }
        self.put(node, place)
    }

    fn end(mut self) -> Result<Channels, String> {
        if let Some(name) = self.places.keys().find(|n| self.inside.contains(n.as_str())) {
            return Err(format!("`{name}` is used by a graph inside a node"));
        }
        let graph = self.network.graph();
        let mut outputs = graph.output.iter().map(|o| o.name.as_deref().unwrap_or_default());
        self.found.seen = outputs.clone().any(|o| self.places.contains_key(o));
        let first = outputs.next().and_then(|o| self.places.get(o));
        self.found.scores = first.is_some_and(|place| match place.run {
            Run::Known(run) => run == 1 && place.single,
            // Flattened, and still one value a channel.
            Run::MultipleOf(run) => run == 1 && self.last_dim() == Some(self.found.count),
        });
        Ok(self.found)
    }

    /// Length of the last axis of the first output, where the file says it.
    fn last_dim(&self) -> Option<usize> {
        let value = self.network.graph().output.first()?;
        let dims = &value.r#type.as_ref()?.tensor_type.as_ref()?.shape.as_ref()?.dim;
        dims.last()?.dim_value.and_then(|d| usize::try_from(d).ok())
    }

    /// The node's first output has the channels there.
    fn put(&mut self, node: &NodeProto, place: Place) -> Result<(), String> {
        let mut outputs = node.output.iter();
        let first = outputs.next().ok_or("a node has no output")?;
        if outputs.any(|o| self.uses.contains_key(o.as_str())) {
            return Err(meets(node));
        }
        let single = place.single || place.from_end == 1;
        self.places.insert(first.clone(), Place { single, ..place });
        Ok(())
    }

    /// A parameter with the channels along this axis.
    fn edit(&mut self, parameter: Parameter, axis: usize, place: Place) -> Result<usize, String> {
        let length = parameter.dims.get(axis).copied().unwrap_or(0);
        let count = self.found.count.max(1);
        let run = length / count;
        let fits = match place.run {
            Run::Known(known) => run == known,
            Run::MultipleOf(part) => run > 0 && run.is_multiple_of(part),
        };
        if !fits || !length.is_multiple_of(count) {
            return Err(format!("`{}` has {length} values for {count} channels", parameter.tensor));
        }
        for name in parameter.taken(axis) {
            if self.uses.get(name).is_some_and(|uses| *uses > 1) {
                return Err(format!("`{name}` is used more than once"));
            }
        }
        self.found.edits.push(Edit { parameter, axis, run });
        Ok(run)
    }

    /// A parameter that is broadcast against the channels; returned, if it has a value for each.
    fn constant(
        &mut self,
        name: &str,
        place: Place,
        node: &NodeProto,
    ) -> Result<Option<Parameter>, String> {
        let parameter = Parameter::find(self.network, name).ok_or_else(|| meets(node))?;
        let Some(axis) = parameter.dims.len().checked_sub(place.from_end) else { return Ok(None) };
        if place.rank.is_some_and(|rank| parameter.dims.len() > rank) {
            return Err(meets(node));
        }
        if parameter.dims.get(axis).is_none_or(|d| *d == 1) {
            return Ok(None);
        }
        self.edit(parameter.clone(), axis, place)?;
        Ok((parameter.len() == self.found.count).then_some(parameter))
    }
}

fn in_the_last(rank: Option<usize>) -> Place {
    Place { from_end: 1, rank, run: Run::Known(1), single: true }
}

fn group(node: &NodeProto) -> i64 {
    number(node, "group").unwrap_or(1)
}

fn number(node: &NodeProto, name: &str) -> Option<i64> {
    node.attribute.iter().find(|a| a.name.as_deref() == Some(name)).and_then(|a| a.i)
}

fn meets(node: &NodeProto) -> String {
    let op = node.op_type.as_deref().unwrap_or_default();
    let name = node.name.as_deref().filter(|n| !n.is_empty());
    let name = name.or(node.output.first().map(String::as_str)).unwrap_or_default();
    format!("its channels meet `{op}` (node `{name}`)")
}

fn count_uses<'a>(
    graph: &'a GraphProto,
    uses: &mut HashMap<&'a str, usize>,
    inside: &mut HashSet<&'a str>,
    deep: bool,
) {
    let ends = graph.output.iter().filter_map(|o| o.name.as_deref());
    let names = graph.node.iter().flat_map(|n| n.input.iter().map(String::as_str)).chain(ends);
    for name in names.filter(|n| !n.is_empty()) {
        *uses.entry(name).or_insert(0) += 1;
        if deep {
            inside.insert(name);
        }
    }
    for attribute in graph.node.iter().flat_map(|n| &n.attribute) {
        for graph in attribute.g.as_deref().into_iter().chain(&attribute.graphs) {
            count_uses(graph, uses, inside, true);
        }
    }
}
