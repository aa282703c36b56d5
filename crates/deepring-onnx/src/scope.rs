//! Names that the subgraphs of a node take from the graph around it.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::proto::{GraphProto, NodeProto};

/// Values of the surrounding graph that the node's subgraphs use.
fn captures(node: &NodeProto) -> BTreeSet<String> {
    let mut free = BTreeSet::new();
    for graph in subgraphs(node) {
        free_names(graph, &mut free);
    }
    free
}

/// All values that the node needs: its inputs and what its subgraphs capture.
#[must_use]
pub fn needs(node: &NodeProto) -> Vec<String> {
    let mut names: Vec<String> = node.input.iter().filter(|n| !n.is_empty()).cloned().collect();
    names.extend(captures(node));
    names
}

/// The bodies of a node: the branches of `If`, the body of `Loop` or `Scan`.
pub fn subgraphs(node: &NodeProto) -> impl Iterator<Item = &GraphProto> {
    node.attribute.iter().flat_map(|a| a.g.as_deref().into_iter().chain(&a.graphs))
}

/// The same, to be changed.
pub fn subgraphs_mut(node: &mut NodeProto) -> impl Iterator<Item = &mut GraphProto> {
    node.attribute.iter_mut().flat_map(|a| a.g.as_deref_mut().into_iter().chain(&mut a.graphs))
}

/// Replaces names of values that the node uses, in its subgraphs too where they are not hidden.
pub(crate) fn rename_uses(node: &mut NodeProto, names: &HashMap<String, String>) {
    for input in &mut node.input {
        rename(input, names);
    }
    for graph in subgraphs_mut(node) {
        let defined = defined(graph);
        let visible: HashMap<String, String> = names
            .iter()
            .filter(|(from, _)| !defined.contains(*from))
            .map(|(from, to)| (from.clone(), to.clone()))
            .collect();
        if visible.is_empty() {
            continue;
        }
        for node in &mut graph.node {
            rename_uses(node, &visible);
        }
        for output in &mut graph.output {
            if let Some(name) = &mut output.name {
                rename(name, &visible);
            }
        }
    }
}

/// Adds the names that the node's subgraphs give to values of their own.
pub(crate) fn names_within(node: &NodeProto, into: &mut HashSet<String>) {
    for graph in subgraphs(node) {
        into.extend(defined(graph));
        graph.node.iter().for_each(|node| names_within(node, into));
    }
}

/// Distinct operators of the node and of its subgraphs.
pub(crate) fn op_types(node: &NodeProto, into: &mut BTreeSet<String>) {
    into.insert(node.qualified_op());
    for graph in subgraphs(node) {
        for node in &graph.node {
            op_types(node, into);
        }
    }
}

fn rename(name: &mut String, names: &HashMap<String, String>) {
    if let Some(to) = names.get(name) {
        name.clone_from(to);
    }
}

fn defined(graph: &GraphProto) -> HashSet<String> {
    let inputs = graph.input.iter().filter_map(|v| v.name.clone());
    let initializers = graph.initializer.iter().filter_map(|t| t.name.clone());
    let outputs = graph.node.iter().flat_map(|n| n.output.iter().cloned());
    inputs.chain(initializers).chain(outputs).collect()
}

fn free_names(graph: &GraphProto, free: &mut BTreeSet<String>) {
    let defined = defined(graph);
    let mut used = BTreeSet::new();
    for node in &graph.node {
        used.extend(needs(node));
    }
    used.extend(graph.output.iter().filter_map(|v| v.name.clone()));
    free.extend(used.into_iter().filter(|name| !name.is_empty() && !defined.contains(name)));
}
