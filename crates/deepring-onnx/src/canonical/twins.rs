//! Nodes that make the same constant again, as exporters write them for each use of a weight: only the first stays.
//!
//! Folded each for itself they would become so many parameters of the same elements, and a weight that many layers use
//! would be stored as often as it is used.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use prost::Message as _;

use super::graph::Graph;
use crate::operators::RANDOM;
use crate::proto::NodeProto;
use crate::scope;

/// Longest constant that is compared by its elements.
const SMALL: u64 = 4096;

impl Graph {
    /// Joins nodes of the same operator, attributes and inputs, all of which are constants or follow from them: what they give
    /// depends on nothing else. Small constants are the same if their elements are.
    pub(crate) fn join_twins(&mut self) {
        let (outputs, within) = (self.output_names(), self.names_within());
        let mut constant: HashSet<String> = HashSet::new();
        let mut first: HashMap<Vec<u8>, Vec<String>> = HashMap::new();
        let mut names: HashMap<String, String> = HashMap::new();
        let mut nodes = Vec::with_capacity(self.nodes.len());
        for mut node in std::mem::take(&mut self.nodes) {
            scope::rename_uses(&mut node, &names);
            let known = |name: &String| {
                name.is_empty() || self.constants.contains_key(name) || constant.contains(name)
            };
            // A branch or loop that has a value of that name would read its own instead.
            let hidden = |name: &String| outputs.contains(name) || within.contains(name);
            if !is_plain(&node) || node.input.is_empty() || !node.input.iter().all(known) {
                nodes.push(node);
                continue;
            }
            constant.extend(node.output.iter().filter(|y| !y.is_empty()).cloned());
            if node.output.iter().any(hidden) {
                nodes.push(node);
                continue;
            }
            match first.entry(self.key(&node)) {
                Entry::Occupied(same) => {
                    let made = node.output.into_iter().zip(same.get());
                    let made = made.filter(|(from, _)| !from.is_empty());
                    names.extend(made.map(|(from, to)| (from, to.clone())));
                }
                Entry::Vacant(place) => {
                    place.insert(node.output.clone());
                    nodes.push(node);
                }
            }
        }
        self.nodes = nodes;
    }

    /// The node without its names.
    fn key(&self, node: &NodeProto) -> Vec<u8> {
        let mut attribute = node.attribute.clone();
        attribute.sort_by(|a, b| a.name.cmp(&b.name));
        // Which outputs there are, and no more of them.
        let given = |y: &String| if y.is_empty() { String::new() } else { "y".to_owned() };
        let input = node.input.iter().map(|x| self.content(x).unwrap_or_else(|| x.clone()));
        let bare = NodeProto {
            name: None,
            input: input.collect(),
            output: node.output.iter().map(given).collect(),
            attribute,
            ..node.clone()
        };
        bare.encode_to_vec()
    }

    /// In a name's place, what a small constant is: no name has a byte of zero in front.
    fn content(&self, name: &str) -> Option<String> {
        let tensor = self.constant(Some(name))?;
        let source = self.source(tensor).filter(|source| source.len() <= SMALL)?;
        let bytes = source.read().ok()?;
        Some(format!("\0{:?} {:?} {bytes:?}", tensor.data_type, tensor.dims))
    }
}

/// Returns whether what it gives follows from its inputs and attributes.
fn is_plain(node: &NodeProto) -> bool {
    node.in_default_domain()
        && scope::subgraphs(node).next().is_none()
        && !RANDOM.contains(&node.op())
}
