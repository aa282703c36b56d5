//! Loops that may have no turn: of what each turn gives, the engine then has not even an empty list, and the query failed.

use std::collections::HashMap;

use deepring::DType;

use super::graph::Graph;
use super::shapes::value_info;
use super::value_types::{self, ValueType};
use crate::proto::{AttributeProto, GraphProto, NodeProto, ValueInfoProto, attribute_type};
use crate::read::ParamSource;
use crate::scope;

impl Graph {
    /// Puts each such loop into a branch that is taken if it turns; the other one gives what the loop was given, and empty lists,
    /// whose open dimensions are empty too, as onnxruntime's are.
    pub(super) fn spare_loops(&mut self, value_types: &HashMap<String, ValueType>) {
        let nodes = std::mem::take(&mut self.nodes);
        self.nodes = self.sparing(nodes, value_types);
    }

    fn sparing(
        &mut self,
        given: Vec<NodeProto>,
        value_types: &HashMap<String, ValueType>,
    ) -> Vec<NodeProto> {
        let mut nodes = Vec::with_capacity(given.len());
        for mut node in given {
            let types = value_types::given(&node, value_types);
            for graph in scope::subgraphs_mut(&mut node) {
                let inside = value_types::inside(graph, value_types, &types);
                let body = std::mem::take(&mut graph.node);
                graph.node = self.sparing(body, &inside);
            }
            match self.spared(&node, value_types, &mut nodes) {
                Some(either) => nodes.push(either),
                None => nodes.push(node),
            }
        }
        nodes
    }

    /// The branches in the loop's place, and before them what decides; `None` where the loop surely turns, or gives no lists.
    fn spared(
        &mut self,
        node: &NodeProto,
        value_types: &HashMap<String, ValueType>,
        nodes: &mut Vec<NodeProto>,
    ) -> Option<NodeProto> {
        let body = (node.onnx_op() == "Loop").then(|| node.attr("body")?.g.as_deref())??;
        let carried = node.input.len().saturating_sub(2);
        let first = node.output.iter().find(|y| !y.is_empty())?.clone();
        let turns = self.ints(node.arg(0)).ok().flatten().and_then(|n| n.first().copied());
        let surely = turns.is_some_and(|n| n > 0) && node.arg(1).is_none();
        if node.output.len() <= carried || surely {
            return None;
        }
        let inside = value_types::inside(body, value_types, &value_types::given(node, value_types));
        let part = |suffix: &str| format!("{first}.{suffix}");
        let mut then = node.clone();
        let mut otherwise = GraphProto { name: Some(part("no turn")), ..GraphProto::default() };
        let mut turned = GraphProto { name: Some(part("turns")), ..GraphProto::default() };
        then.output.clear();
        for (i, value) in body.output.iter().enumerate().skip(1).take(node.output.len()) {
            let i = i - 1;
            let Some(ValueType::Tensor(dtype)) = value.name.as_ref().and_then(|n| inside.get(n))
            else {
                return None;
            };
            let (yes, no) = (part(&format!("turned{i}")), part(&format!("given{i}")));
            let from = match node.input.get(i + 2) {
                Some(from) => from.clone(),
                None => {
                    let empty = part(&format!("empty{i}"));
                    let source = ParamSource::owned(Vec::new());
                    let dims = no_turns(value);
                    otherwise.initializer.push(self.store.tensor(&empty, *dtype, &dims, source));
                    empty
                }
            };
            otherwise.node.push(NodeProto::new("Identity", &no, &[&from], &[&no]));
            otherwise.output.push(value_info(&no, *dtype, None));
            turned.output.push(value_info(&yes, *dtype, None));
            then.output.push(yes);
        }
        turned.node.push(then);
        let mut conditions = Vec::new();
        if let Some(count) = node.arg(0) {
            let (none, some) = (part("none"), part("some"));
            self.set_constant(&none, DType::I64, &[], ParamSource::owned(vec![0; 8]));
            nodes.push(NodeProto::new("Greater", &some, &[count, &none], &[&some]));
            conditions.push(some);
        }
        conditions.extend(node.arg(1).map(str::to_owned));
        let condition = match conditions.as_slice() {
            [both, and] => {
                let all = part("both");
                nodes.push(NodeProto::new("And", &all, &[both, and], &[&all]));
                all
            }
            [one] => one.clone(),
            _ => return None,
        };
        let outputs: Vec<&str> = node.output.iter().map(String::as_str).collect();
        let mut either = NodeProto::new("If", &node.label(), &[&condition], &outputs);
        either.attribute = vec![branch("then_branch", turned), branch("else_branch", otherwise)];
        Some(either)
    }
}

/// Dimensions of a list of as many as there are turns, of which there is none.
fn no_turns(value: &ValueInfoProto) -> Vec<u64> {
    let shape = value.r#type.as_ref().and_then(|t| t.tensor_type.as_ref()?.shape.as_ref());
    let dims = shape.map(|s| s.dim.as_slice()).unwrap_or_default();
    let each = dims.iter().map(|d| d.dim_value.and_then(|n| u64::try_from(n).ok()).unwrap_or(0));
    std::iter::once(0).chain(each).collect()
}

fn branch(name: &str, graph: GraphProto) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        g: Some(Box::new(graph)),
        r#type: Some(attribute_type::GRAPH),
        ..AttributeProto::default()
    }
}
