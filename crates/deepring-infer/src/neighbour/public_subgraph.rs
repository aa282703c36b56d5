//! A block taken apart: linear operators, operators with other parameters, and the rest.

use std::collections::{HashMap, HashSet};

use deepring::{Part, PartKind, TensorSpec};
use deepring_onnx::proto::{
    EXTERNAL, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto,
};
use deepring_onnx::{needs, subgraphs};
use prost::Message as _;

use crate::checks::{Arithmetic, Linear, Operators};

/// A block's graph as seen by a neighbour, who may not see its parameters.
///
/// A host and whoever sealed its block must come to the same: a change of what is found here is a new version of
/// the sealed encoding.
#[derive(Debug)]
pub(super) struct PublicSubgraph {
    /// The linear operators of which a projection can be made.
    pub(super) linears: Vec<Linear>,
    /// Values of operators with other parameters: they are taken from the witness as they are.
    pub(super) opaque: Vec<String>,
    model: ModelProto,
}

impl PublicSubgraph {
    /// `None` if the graph is not understood, or nothing in it could be checked.
    pub(super) fn of(
        graph: &[u8],
        parts: &[Part],
        inputs: &[TensorSpec],
        outputs: &[TensorSpec],
    ) -> Option<Self> {
        let mut linears = Operators::of(graph, parts).linears;
        // Vectors are drawn of floats only; what operators on bytes give is taken as shown.
        linears.retain(|l| matches!(l.arithmetic, Arithmetic::Floats { .. }));
        let mut model = ModelProto::decode(graph).ok()?;
        let graph = model.graph.take()?;
        let sorted = Sorted::of(&graph, &linears, parts, inputs)?;

        // From what must come out back to what the witness gives.
        let roots = outputs.iter().map(|s| &s.name).chain(linears.iter().map(|l| &l.x.value));
        let mut wanted: Vec<&str> = roots.map(String::as_str).collect();
        let mut reached: HashSet<&str> = HashSet::new();
        let mut kept: HashSet<usize> = HashSet::new();
        let (mut from_witness, mut opaque) = (Vec::new(), Vec::new());
        while let Some(name) = wanted.pop() {
            if !reached.insert(name) {
                continue;
            }
            match *sorted.values.get(name)? {
                Origin::Constant => {}
                Origin::Witness => from_witness.push(name),
                Origin::Opaque => {
                    opaque.push(name.to_owned());
                    from_witness.push(name);
                }
                Origin::Parameters if outputs.iter().any(|o| o.name == name) => {
                    opaque.push(name.to_owned());
                    from_witness.push(name);
                }
                // It would have to be shown, and it is a parameter in other words.
                Origin::Parameters => return None,
                Origin::Kept(node) => {
                    if kept.insert(node) {
                        wanted.extend(sorted.read.get(node)?.iter().map(String::as_str));
                    }
                }
            }
        }
        opaque.sort_unstable();
        let read: HashSet<&String> =
            kept.iter().filter_map(|node| sorted.read.get(*node)).flatten().collect();
        let mut from_witness: Vec<&str> =
            from_witness.into_iter().filter(|n| read.iter().any(|r| r == n)).collect();
        from_witness.sort_unstable();
        let nodes: Vec<NodeProto> = graph
            .node
            .iter()
            .enumerate()
            .filter(|(i, _)| kept.contains(i))
            .map(|(_, node)| node.clone())
            .collect();
        if nodes.is_empty() && linears.is_empty() {
            return None;
        }
        let computed = |name: &str| {
            matches!(sorted.values.get(name), Some(Origin::Kept(_) | Origin::Constant))
        };
        let mut given_out: Vec<&str> = Vec::new();
        let roots = outputs.iter().map(|s| &s.name).chain(linears.iter().map(|l| &l.x.value));
        for name in roots.map(String::as_str).filter(|n| computed(n)) {
            if !given_out.contains(&name) {
                given_out.push(name);
            }
        }
        let info =
            |name: &str| ValueInfoProto { name: Some(name.to_owned()), ..Default::default() };
        let initializer = graph
            .initializer
            .iter()
            .filter(|t| t.name.as_deref().is_some_and(|n| reached.contains(n) && computed(n)));
        let recomputed = GraphProto {
            name: Some("rest".to_owned()),
            initializer: initializer.cloned().collect(),
            input: from_witness.iter().map(|n| info(n)).collect(),
            output: given_out.iter().map(|n| info(n)).collect(),
            node: nodes,
            ..GraphProto::default()
        };
        Some(Self { opaque, model: ModelProto { graph: Some(recomputed), ..model }, linears })
    }

    /// The values of the witness besides the block's inputs.
    pub(super) fn witness(&self) -> impl Iterator<Item = &str> {
        self.linears.iter().map(|l| l.y.as_str()).chain(self.opaque.iter().map(String::as_str))
    }

    /// The rest as a model without external data: `single` gives a parameter of one element by its place.
    /// Empty if there is nothing to compute.
    pub(super) fn recomputed(&self, single: impl Fn(u64) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
        let mut model = self.model.clone();
        let graph = model.graph.as_mut()?;
        if graph.output.is_empty() {
            return Some(Vec::new());
        }
        for tensor in &mut graph.initializer {
            if let Some(at) = offset(tensor) {
                tensor.raw_data = Some(single(at)?);
                tensor.data_location = None;
                tensor.external_data.clear();
            }
        }
        Some(model.encode_to_vec())
    }
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// The graph itself, in the clear, or a parameter of one element.
    Constant,
    /// The block's input or a linear operator's output.
    Witness,
    /// An operator with other parameters.
    Opaque,
    /// Parameters alone.
    Parameters,
    /// The node of this number, which has none.
    Kept(usize),
}

/// The values of a graph by origin.
struct Sorted<'a> {
    values: HashMap<&'a str, Origin>,
    /// The values that each node reads, its branches too.
    read: Vec<Vec<String>>,
}

impl<'a> Sorted<'a> {
    fn of(
        graph: &'a GraphProto,
        linears: &[Linear],
        parts: &[Part],
        inputs: &'a [TensorSpec],
    ) -> Option<Self> {
        let mut values: HashMap<&str, Origin> = HashMap::new();
        values.insert("", Origin::Constant);
        for tensor in &graph.initializer {
            let origin =
                if is_secret(tensor, parts) { Origin::Parameters } else { Origin::Constant };
            values.insert(tensor.name.as_deref()?, origin);
        }
        values.extend(inputs.iter().map(|s| (s.name.as_str(), Origin::Witness)));
        let ys: HashSet<&str> = linears.iter().map(|l| l.y.as_str()).collect();
        let mut all_read = Vec::with_capacity(graph.node.len());
        for (i, node) in graph.node.iter().enumerate() {
            let read = needs(node);
            let mut origins = Vec::with_capacity(read.len());
            for name in &read {
                origins.push(*values.get(name.as_str())?);
            }
            let with_parameters =
                origins.contains(&Origin::Parameters) || has_parameters_inside(node);
            let constant = |o: &Origin| matches!(o, Origin::Parameters | Origin::Constant);
            let origin = match with_parameters {
                false => Origin::Kept(i),
                true if origins.iter().all(constant) => Origin::Parameters,
                true => Origin::Opaque,
            };
            for output in node.output.iter().filter(|o| !o.is_empty()) {
                let linear = ys.contains(output.as_str());
                values.insert(output, if linear { Origin::Witness } else { origin });
            }
            all_read.push(read);
        }
        Some(Self { values, read: all_read })
    }
}

/// Returns whether a neighbour may not see it: a parameter of more than one element.
fn is_secret(tensor: &TensorProto, parts: &[Part]) -> bool {
    let Some(at) = offset(tensor) else { return false };
    let part = parts.iter().find(|p| p.offset == at && matches!(p.kind, PartKind::Parameter(_)));
    !part.is_some_and(is_single)
}

/// Returns whether a parameter is one number: a bound, a scale, a slope. It is no secret from a neighbour.
pub(super) fn is_single(part: &Part) -> bool {
    match &part.kind {
        PartKind::Parameter(spec) => spec.len() == Some(1),
        _ => false,
    }
}

fn offset(tensor: &TensorProto) -> Option<u64> {
    if tensor.data_location != Some(EXTERNAL) {
        return None;
    }
    let entry = tensor.external_data.iter().find(|e| e.key.as_deref() == Some("offset"));
    // A place that cannot be read is no part's.
    Some(entry.and_then(|e| e.value.as_deref()?.parse().ok()).unwrap_or(u64::MAX))
}

/// Names of a model's inputs and outputs.
pub(super) fn names_of(model: &[u8]) -> Option<(Vec<String>, Vec<String>)> {
    let graph = ModelProto::decode(model).ok()?.graph?;
    let names = |infos: Vec<ValueInfoProto>| infos.into_iter().map(|i| i.name).collect();
    Some((names(graph.input), names(graph.output)))
        .and_then(|(i, o): (Option<_>, Option<_>)| i.zip(o))
}

fn has_parameters_inside(node: &NodeProto) -> bool {
    subgraphs(node).any(|graph| {
        graph.initializer.iter().any(|t| offset(t).is_some())
            || graph.node.iter().any(has_parameters_inside)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use deepring::{DType, Dim};
    use deepring_onnx::proto::{AttributeProto, StringStringEntryProto};

    fn spec(name: &str, dims: &[u64]) -> TensorSpec {
        let dims = Some(dims.iter().copied().map(Dim::Fixed).collect());
        TensorSpec { name: name.into(), dtype: DType::F32, dims }
    }

    fn node(op: &str, inputs: &[&str], output: &str) -> NodeProto {
        NodeProto {
            op_type: Some(op.into()),
            input: inputs.iter().map(|s| (*s).to_owned()).collect(),
            output: vec![output.into()],
            ..NodeProto::default()
        }
    }

    /// A block from `x` to `y` over parameters of these dimensions.
    fn subgraph(parameters: &[(&str, &[u64])], nodes: Vec<NodeProto>) -> Option<PublicSubgraph> {
        let mut parts = Vec::new();
        let mut graph = GraphProto { node: nodes, ..GraphProto::default() };
        for (name, dims) in parameters {
            let at = parts.last().map_or(0, |p: &Part| p.end().next_multiple_of(64));
            let len = dims.iter().product::<u64>() * 4;
            parts.push(Part {
                kind: PartKind::Parameter(spec(name, dims)),
                offset: at,
                len,
                shared: None,
            });
            graph.initializer.push(external(name, at));
        }
        let model = ModelProto { graph: Some(graph), ..ModelProto::default() }.encode_to_vec();
        PublicSubgraph::of(&model, &parts, &[spec("x", &[1, 8])], &[spec("y", &[1, 8])])
    }

    fn external(name: &str, at: u64) -> TensorProto {
        TensorProto {
            name: Some(name.into()),
            data_location: Some(EXTERNAL),
            external_data: vec![StringStringEntryProto {
                key: Some("offset".into()),
                value: Some(at.to_string()),
            }],
            ..TensorProto::default()
        }
    }

    fn ops(subgraph: &PublicSubgraph) -> Vec<&str> {
        let graph = subgraph.model.graph.as_ref().unwrap();
        graph.node.iter().map(|n| n.op_type.as_deref().unwrap()).collect()
    }

    #[test]
    fn the_rest_has_no_parameter_but_single_numbers() {
        let found = subgraph(
            &[("w", &[8, 8]), ("scale", &[8]), ("bound", &[])],
            vec![
                node("MatMul", &["x", "w"], "a"),
                node("Mul", &["a", "scale"], "b"),
                node("Relu", &["b"], "c"),
                node("Min", &["c", "bound"], "y"),
            ],
        );
        let found = found.unwrap();
        assert_eq!(found.witness().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(ops(&found), ["Relu", "Min"]);
        let recomputed = found.recomputed(|_| Some(6f32.to_le_bytes().to_vec())).unwrap();
        let graph = ModelProto::decode(recomputed.as_slice()).unwrap().graph.unwrap();
        assert_eq!(graph.initializer.len(), 1);
        assert_eq!(graph.initializer[0].raw_data.as_deref(), Some(&6f32.to_le_bytes()[..]));
        assert!(graph.initializer[0].external_data.is_empty());
        assert_eq!(names_of(&recomputed).unwrap(), (vec!["b".to_owned()], vec!["y".to_owned()]));
    }

    /// Values that follow from parameters alone are parameters in other words: they are neither in the witness nor given away.
    #[test]
    fn what_follows_from_parameters_alone_is_not_shown() {
        let found = subgraph(
            &[("packed", &[8, 8])],
            vec![
                node("Neg", &["packed"], "w"),
                node("MatMul", &["x", "w"], "a"),
                node("Relu", &["a"], "y"),
            ],
        );
        let found = found.unwrap();
        assert_eq!(
            found.witness().collect::<Vec<_>>(),
            ["a"],
            "believed, for lack of a projection"
        );
        assert_eq!(ops(&found), ["Relu"]);
    }

    #[test]
    fn a_sum_that_the_engine_merges_is_shown_once() {
        let found = subgraph(
            &[("w", &[8, 8]), ("bias", &[8])],
            vec![node("MatMul", &["x", "w"], "a"), node("Add", &["a", "bias"], "y")],
        );
        let found = found.unwrap();
        assert_eq!(found.witness().collect::<Vec<_>>(), ["y"]);
        assert_eq!(found.recomputed(|_| None), Some(Vec::new()));
    }

    #[test]
    fn a_branch_with_parameters_is_believed_and_one_without_is_computed() {
        let branch = |op: &str, initializer: Vec<TensorProto>| {
            let inputs: &[&str] = if initializer.is_empty() { &["x"] } else { &["x", "p"] };
            let graph =
                GraphProto { node: vec![node(op, inputs, "i")], initializer, ..Default::default() };
            let mut node = node("If", &["x"], "y");
            node.attribute =
                vec![AttributeProto { g: Some(Box::new(graph)), ..AttributeProto::default() }];
            node
        };
        let plain = subgraph(&[], vec![branch("Relu", Vec::new())]).unwrap();
        assert_eq!((ops(&plain), plain.opaque.len()), (vec!["If"], 0));
        let hidden = branch("Add", vec![external("p", 0)]);
        assert!(subgraph(&[("p", &[8])], vec![hidden]).is_none(), "nothing is left to check");
        let captured = branch("Add", Vec::new());
        let mut captured = captured;
        captured.attribute[0].g.as_mut().unwrap().node[0].input.push("p".into());
        assert!(subgraph(&[("p", &[8])], vec![captured]).is_none());
    }

    #[test]
    fn a_graph_that_reads_what_nothing_gives_has_no_check() {
        assert!(subgraph(&[], vec![node("Relu", &["z"], "y")]).is_none());
    }
}
