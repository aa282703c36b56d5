//! Which node makes a value, which use it, and what comes of the network's inputs at all.

use std::collections::{BTreeSet, HashMap, HashSet};

use deepring_onnx::proto::{GraphProto, NodeProto, ValueInfoProto};

use crate::network::Network;

/// The edges of a network's outermost graph.
pub(super) struct Flow<'a> {
    network: &'a Network,
    producers: HashMap<&'a str, usize>,
    consumers: HashMap<&'a str, BTreeSet<usize>>,
    /// Values that depend on an input of the network.
    live: HashSet<&'a str>,
}

impl<'a> Flow<'a> {
    pub(super) fn of(network: &'a Network) -> Self {
        let (mut producers, mut consumers) = (HashMap::new(), HashMap::new());
        let mut live: HashSet<&str> = inputs(network).filter_map(|v| v.name.as_deref()).collect();
        for (index, node) in network.nodes().iter().enumerate() {
            let needs = needs(node);
            let is_live = needs.iter().any(|n| live.contains(n));
            for name in needs {
                consumers.entry(name).or_insert_with(BTreeSet::new).insert(index);
            }
            for output in node.output.iter().filter(|o| !o.is_empty()) {
                producers.insert(output.as_str(), index);
                if is_live {
                    live.insert(output);
                }
            }
        }
        Self { network, producers, consumers, live }
    }

    /// The node that makes a value; none for inputs and constants.
    pub(super) fn producer(&self, value: &str) -> Option<usize> {
        self.producers.get(value).copied()
    }

    /// The nodes that use a value.
    pub(super) fn consumers(&self, value: &str) -> impl Iterator<Item = usize> + '_ {
        self.consumers.get(value).into_iter().flatten().copied()
    }

    pub(super) fn is_live(&self, value: &str) -> bool {
        self.live.contains(value)
    }

    pub(super) fn is_output(&self, value: &str) -> bool {
        is_output(self.network.graph(), value)
    }

    pub(super) fn node(&self, index: usize) -> Option<&'a NodeProto> {
        self.network.nodes().get(index)
    }

    /// Values that a node uses and that depend on an input of the network.
    pub(super) fn live_inputs(&self, index: usize) -> Vec<&'a str> {
        let needs = self.node(index).map(needs).unwrap_or_default();
        needs.into_iter().filter(|n| self.is_live(n)).collect()
    }
}

/// The network's inputs; before version 4 of the format, constants are listed among them.
pub(super) fn inputs(network: &Network) -> impl Iterator<Item = &ValueInfoProto> {
    let graph = network.graph();
    let constants: HashSet<&str> =
        graph.initializer.iter().filter_map(|t| t.name.as_deref()).collect();
    let given =
        move |v: &&ValueInfoProto| v.name.as_deref().is_some_and(|n| !constants.contains(n));
    graph.input.iter().filter(given)
}

pub(super) fn is_output(graph: &GraphProto, value: &str) -> bool {
    graph.output.iter().any(|o| o.name.as_deref() == Some(value))
}

/// Operator of the default domain; empty for one of another.
pub(super) fn op(node: &NodeProto) -> &str {
    match node.domain.as_deref() {
        None | Some("" | "ai.onnx") => node.op_type.as_deref().unwrap_or_default(),
        _ => "",
    }
}

/// Name of a node; where it has none, its first output's.
pub(super) fn label(node: &NodeProto) -> &str {
    let name = node.name.as_deref().filter(|n| !n.is_empty());
    name.or(node.output.first().map(String::as_str)).unwrap_or_default()
}

/// Returns whether a node holds graphs of its own.
pub(super) fn holds_graph(node: &NodeProto) -> bool {
    node.attribute.iter().any(|a| a.g.is_some() || !a.graphs.is_empty())
}

/// The values that a node uses, the graphs inside it included.
fn needs(node: &NodeProto) -> Vec<&str> {
    let mut out: Vec<&str> =
        node.input.iter().map(String::as_str).filter(|n| !n.is_empty()).collect();
    for attribute in &node.attribute {
        for graph in attribute.g.as_deref().into_iter().chain(&attribute.graphs) {
            out.extend(graph.node.iter().flat_map(needs));
            out.extend(graph.output.iter().filter_map(|v| v.name.as_deref()));
        }
    }
    out
}
