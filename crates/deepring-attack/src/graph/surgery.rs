//! A graph under edit: fresh names, new nodes and constants, nothing stale left behind.

use std::collections::HashSet;

use deepring_onnx::proto::{AttributeProto, GraphProto, NodeProto, TensorProto};

use super::flow::is_output;
use crate::network::Network;

/// `TensorProto.DataType`.
const FLOAT: i32 = 1;
const INT64: i32 = 7;
/// `AttributeProto.AttributeType` of a tensor.
const TENSOR: i32 = 4;
/// From this version of the format on, a constant need not be an input as well.
const FREE_INITIALIZERS: i64 = 4;
/// From this operator set on, `Constant` holds other types than floats.
const CONSTANT_OF_ALL: i64 = 9;

/// A copy of a network that is being changed.
pub(super) struct Surgery {
    pub(super) network: Network,
    taken: HashSet<String>,
    /// Constants that the format's version wants as nodes.
    constants: Vec<NodeProto>,
}

impl Surgery {
    pub(super) fn on(network: &Network) -> Self {
        let mut taken = HashSet::new();
        names(network.graph(), &mut taken);
        Self { network: network.clone(), taken, constants: Vec::new() }
    }

    pub(super) fn nodes(&mut self) -> &mut Vec<NodeProto> {
        &mut self.network.graph_mut().node
    }

    /// A name like `wish` that neither a value nor a node has.
    pub(super) fn fresh(&mut self, wish: &str) -> String {
        let numbered = (1u32..).map(|n| format!("{wish}_{n}"));
        let name =
            std::iter::once(wish.to_owned()).chain(numbered).find(|n| !self.taken.contains(n));
        let name = name.unwrap_or_else(|| wish.to_owned());
        self.taken.insert(name.clone());
        name
    }

    /// A node of one output, which gets the name `output`; its own name is made from it.
    pub(super) fn node(
        &mut self,
        op: &str,
        inputs: &[&str],
        output: &str,
        attribute: Vec<AttributeProto>,
    ) -> NodeProto {
        NodeProto {
            input: inputs.iter().map(|&i| i.to_owned()).collect(),
            output: vec![output.to_owned()],
            name: Some(self.fresh(&format!("{output}.{}", op.to_lowercase()))),
            op_type: Some(op.to_owned()),
            attribute,
            ..NodeProto::default()
        }
    }

    /// Appends a node whose output gets a fresh name like `wish`; that name.
    pub(super) fn push(
        &mut self,
        op: &str,
        inputs: &[&str],
        wish: &str,
        attribute: Vec<AttributeProto>,
    ) -> String {
        let output = self.fresh(wish);
        let node = self.node(op, inputs, &output, attribute);
        self.nodes().push(node);
        output
    }

    /// A new constant of floats; its name.
    pub(super) fn floats(&mut self, wish: &str, dims: &[usize], values: &[f32]) -> String {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(wish, dims, FLOAT, bytes)
    }

    /// A new constant list of integers of at most 24 bits; its name.
    pub(super) fn ints(&mut self, wish: &str, values: &[i64]) -> String {
        if self.network.ir_version() < FREE_INITIALIZERS && self.network.opset() < CONSTANT_OF_ALL {
            let floats: Vec<f32> = values.iter().map(|v| *v as f32).collect();
            let (name, floats) =
                (self.fresh(wish), self.floats(&format!("{wish}.float"), &[values.len()], &floats));
            let to = vec![int("to", i64::from(INT64))];
            let cast = self.node("Cast", &[&floats], &name, to);
            self.constants.push(cast);
            return name;
        }
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(wish, &[values.len()], INT64, bytes)
    }

    fn constant(&mut self, wish: &str, dims: &[usize], data_type: i32, bytes: Vec<u8>) -> String {
        let name = self.fresh(wish);
        let tensor = TensorProto {
            dims: dims.iter().map(|d| *d as i64).collect(),
            data_type: Some(data_type),
            name: Some(name.clone()),
            raw_data: Some(bytes),
            ..TensorProto::default()
        };
        if self.network.ir_version() >= FREE_INITIALIZERS {
            self.network.graph_mut().initializer.push(tensor);
        } else {
            let value = AttributeProto {
                name: Some("value".to_owned()),
                t: Some(Box::new(tensor)),
                r#type: Some(TENSOR),
                ..AttributeProto::default()
            };
            let node = self.node("Constant", &[], &name, vec![value]);
            self.constants.push(node);
        }
        name
    }

    /// Renames a value wherever it is used, and where it is made; the graph's inputs and outputs stay.
    pub(super) fn rename(&mut self, old: &str, new: &str) {
        rename(&mut self.network.graph_mut().node, old, new, true);
    }

    /// Gives every node that uses `old` another value.
    pub(super) fn reconnect(&mut self, old: &str, new: &str) {
        rename(&mut self.network.graph_mut().node, old, new, false);
    }

    pub(super) fn is_output(&self, value: &str) -> bool {
        is_output(self.network.graph(), value)
    }

    /// The edited network, without descriptions of values that are gone.
    pub(super) fn finish(mut self) -> Network {
        let constants = std::mem::take(&mut self.constants);
        self.nodes().splice(0..0, constants);
        let graph = self.network.graph_mut();
        let made: HashSet<String> = graph
            .node
            .iter()
            .flat_map(|n| &n.output)
            .chain(graph.input.iter().filter_map(|v| v.name.as_ref()))
            .chain(graph.initializer.iter().filter_map(|t| t.name.as_ref()))
            .cloned()
            .collect();
        graph.value_info.retain(|v| v.name.as_ref().is_some_and(|n| made.contains(n)));
        self.network
    }
}

pub(super) fn int(name: &str, value: i64) -> AttributeProto {
    let name = Some(name.to_owned());
    AttributeProto { name, i: Some(value), r#type: Some(2), ..AttributeProto::default() }
}

pub(super) fn float(name: &str, value: f32) -> AttributeProto {
    let name = Some(name.to_owned());
    AttributeProto { name, f: Some(value), r#type: Some(1), ..AttributeProto::default() }
}

pub(super) fn int_list(name: &str, values: &[i64]) -> AttributeProto {
    let (name, ints) = (Some(name.to_owned()), values.to_vec());
    AttributeProto { name, ints, r#type: Some(7), ..AttributeProto::default() }
}

/// Renames in these nodes and in the graphs that they hold, which see the values around them.
pub(super) fn rename(nodes: &mut [NodeProto], old: &str, new: &str, outputs: bool) {
    let swap = |name: &mut String| {
        if name == old {
            new.clone_into(name);
        }
    };
    for node in nodes {
        node.input.iter_mut().for_each(swap);
        if outputs {
            node.output.iter_mut().for_each(swap);
        }
        for attribute in &mut node.attribute {
            for graph in attribute.g.as_deref_mut().into_iter().chain(&mut attribute.graphs) {
                rename(&mut graph.node, old, new, false);
            }
        }
    }
}

fn names(graph: &GraphProto, taken: &mut HashSet<String>) {
    let values = graph.input.iter().chain(&graph.output).filter_map(|v| v.name.clone());
    taken.extend(values.chain(graph.initializer.iter().filter_map(|t| t.name.clone())));
    for node in &graph.node {
        taken.extend(node.output.iter().chain(&node.input).chain(&node.name).cloned());
        for attribute in &node.attribute {
            for graph in attribute.g.as_deref().into_iter().chain(&attribute.graphs) {
                names(graph, taken);
            }
        }
    }
}
