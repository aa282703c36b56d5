//! Nodes that make the same constant again, as exporters write them for each use of a weight: only the first stays.
//!
//! Folded each for itself they would become so many parameters of the same elements, and a weight that many layers use
//! would be stored as often as it is used.

use std::collections::{BTreeMap, HashMap, HashSet};

use prost::Message as _;

use super::graph::Graph;
use crate::proto::NodeProto;
use crate::scope;

impl Graph {
    /// Joins nodes of the same operator, attributes and inputs, all of which are constants or follow from them. Only
    /// operators that move or convert elements, or scale them: what they give depends on nothing else.
    pub(crate) fn join_twins(&mut self) {
        let (outputs, within) = (self.output_names(), self.names_within());
        let mut constant: HashSet<String> = HashSet::new();
        let mut first: BTreeMap<Vec<u8>, String> = BTreeMap::new();
        let mut names: HashMap<String, String> = HashMap::new();
        let mut nodes = Vec::with_capacity(self.nodes.len());
        for mut node in std::mem::take(&mut self.nodes) {
            scope::rename_uses(&mut node, &names);
            let known = |name: &String| {
                name.is_empty() || self.constants.contains_key(name) || constant.contains(name)
            };
            let made = match node.output.as_slice() {
                [only] if !only.is_empty() && !outputs.contains(only) => only.clone(),
                _ => {
                    nodes.push(node);
                    continue;
                }
            };
            if !is_plain(&node) || node.input.is_empty() || !node.input.iter().all(known) {
                nodes.push(node);
                continue;
            }
            constant.insert(made.clone());
            // A branch or loop that has a value of that name would read its own instead.
            if within.contains(&made) {
                nodes.push(node);
                continue;
            }
            match first.get(&key(&node)) {
                Some(same) => {
                    names.insert(made, same.clone());
                }
                None => {
                    first.insert(key(&node), made);
                    nodes.push(node);
                }
            }
        }
        self.nodes = nodes;
    }
}

fn is_plain(node: &NodeProto) -> bool {
    matches!(
        node.onnx_op(),
        "Transpose"
            | "Reshape"
            | "Flatten"
            | "Squeeze"
            | "Unsqueeze"
            | "Identity"
            | "Cast"
            | "DequantizeLinear"
    )
}

/// What the node is but for its names.
fn key(node: &NodeProto) -> Vec<u8> {
    let mut attribute = node.attribute.clone();
    attribute.sort_by(|a, b| a.name.cmp(&b.name));
    let bare = NodeProto { name: None, output: Vec::new(), attribute, ..node.clone() };
    bare.encode_to_vec()
}
