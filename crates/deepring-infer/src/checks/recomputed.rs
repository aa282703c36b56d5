//! The rest of a block: what its operators compute from values that products and row tags verify.
//!
//! A linear operator's output is verified against its parameters, and then goes through a Relu, a pooling, an addition,
//! a softmax: operators that no product covers. The rest is these operators as a graph of its own, from the block's
//! inputs and the verified values to the block's outputs and to whatever linear operators read. A second program,
//! loaded separately, computes it again; who changes one of the two programs, or an activation between them, is
//! detected. By induction over the block's operators every output then follows from the block's inputs.

use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};

use deepring::TensorSpec;
use deepring_onnx::proto::{GraphProto, ModelProto, NodeProto, ValueInfoProto};
use deepring_onnx::{needs, subgraphs};
use prost::Message as _;

use super::integer;
use super::operators::Operators;

/// Operators that give something else each time.
const RANDOM: [&str; 6] = [
    "RandomNormal",
    "RandomUniform",
    "RandomNormalLike",
    "RandomUniformLike",
    "Bernoulli",
    "Multinomial",
];

/// The rest of one block, as a graph over the block's own parameters.
#[derive(Debug)]
pub(crate) struct Recomputed {
    /// An ONNX model; empty where every output is verified directly.
    pub(crate) graph: Vec<u8>,
    /// Its inputs: inputs of the block and verified values.
    pub(crate) inputs: Vec<String>,
    /// The values that it computes again.
    pub(crate) outputs: Vec<String>,
}

impl Hash for Recomputed {
    /// Without the graph, of which a program is made when the block is opened, and which is not looked at again.
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.inputs, &self.outputs).hash(state);
    }
}

impl Recomputed {
    /// `None` where it cannot be computed again: the graph is not understood, draws random numbers, or gives out an input
    /// or a constant as it is.
    pub(crate) fn of(
        graph: &[u8],
        operators: &Operators,
        inputs: &[TensorSpec],
        outputs: &[TensorSpec],
    ) -> Option<Self> {
        let model = ModelProto::decode(graph).ok()?;
        let graph = model.graph.as_ref()?;
        let values = Values::of(graph, operators, inputs);
        let bare = |s: &TensorSpec| {
            values.given.contains(s.name.as_str()) || values.constants.contains(s.name.as_str())
        };
        if graph.node.iter().any(is_random) || outputs.iter().any(bare) {
            return None;
        }
        let roots = values.roots(operators, outputs);
        if roots.is_empty() {
            return Some(Self { graph: Vec::new(), inputs: Vec::new(), outputs: Vec::new() });
        }
        let needs: Vec<Vec<String>> = graph.node.iter().map(needs).collect();
        let (kept, read) = values.reach(&roots, &needs)?;
        Some(Self {
            graph: graph_of(&model, graph, &kept, &needs, &read, &roots),
            inputs: read.into_iter().map(str::to_owned).collect(),
            outputs: roots.into_iter().map(str::to_owned).collect(),
        })
    }

    /// The part that an engine can compute again that gives the same bits for the same graph alone: nothing of a block with
    /// products, each of which would be computed a second time; of one without, all of it, `graph` as it is.
    pub(crate) fn whole(
        self,
        graph: &[u8],
        operators: &Operators,
        inputs: &[TensorSpec],
        outputs: &[TensorSpec],
    ) -> Option<Self> {
        if self.graph.is_empty() {
            return Some(self);
        }
        let names = |specs: &[TensorSpec]| specs.iter().map(|s| s.name.clone()).collect::<Vec<_>>();
        let mut given_out = names(outputs);
        given_out.extend(operators.exposed(inputs, outputs));
        operators.linears.is_empty().then(|| Self {
            graph: graph.to_vec(),
            inputs: names(inputs),
            outputs: given_out,
        })
    }
}

/// The values of a block's graph by what verifies them.
struct Values<'a> {
    /// Inputs of the block.
    given: HashSet<&'a str>,
    /// Outputs of linear operators, and gathered rows.
    verified: HashSet<&'a str>,
    constants: HashSet<&'a str>,
    /// The node that makes a value.
    maker: HashMap<&'a str, usize>,
}

impl<'a> Values<'a> {
    fn of(graph: &'a GraphProto, operators: &'a Operators, inputs: &'a [TensorSpec]) -> Self {
        let linears = operators.linears.iter().map(|l| l.y.as_str());
        let rows = operators.tables.iter().map(|t| t.rows_value.as_str());
        let mut maker = HashMap::new();
        for (i, node) in graph.node.iter().enumerate() {
            maker.extend(node.output.iter().map(|name| (name.as_str(), i)));
        }
        Self {
            given: inputs.iter().map(|s| s.name.as_str()).collect(),
            verified: linears.chain(rows).collect(),
            constants: graph.initializer.iter().filter_map(|t| t.name.as_deref()).collect(),
            maker,
        }
    }

    /// Values that must be computed again: the block's outputs, and what checks read, where nothing else verifies them.
    fn roots(&self, operators: &'a Operators, outputs: &'a [TensorSpec]) -> Vec<&'a str> {
        let linears = operators
            .linears
            .iter()
            .flat_map(|l| [Some(l.x.value.as_str()), integer::input_zero(l)])
            .flatten();
        let indices = operators.tables.iter().map(|t| t.indices.as_str());
        let mut roots = Vec::new();
        for name in outputs.iter().map(|s| s.name.as_str()).chain(linears).chain(indices) {
            let known = self.is_source(name) || self.constants.contains(name);
            if !known && !roots.contains(&name) {
                roots.push(name);
            }
        }
        roots
    }

    /// From the roots back to inputs and verified values: the nodes on the way, and what they read of these. `None` if a
    /// value comes from nowhere.
    fn reach<'n>(
        &self,
        roots: &[&'n str],
        needs: &'n [Vec<String>],
    ) -> Option<(HashSet<usize>, Vec<&'n str>)> {
        let mut wanted = roots.to_vec();
        let (mut kept, mut seen): (HashSet<usize>, HashSet<&str>) = Default::default();
        let mut read = Vec::new();
        while let Some(name) = wanted.pop() {
            if name.is_empty() || !seen.insert(name) || self.constants.contains(name) {
                continue;
            }
            if self.is_source(name) {
                read.push(name);
                continue;
            }
            let node = *self.maker.get(name)?;
            if kept.insert(node) {
                wanted.extend(needs.get(node)?.iter().map(String::as_str));
            }
        }
        read.sort_unstable();
        Some((kept, read))
    }

    fn is_source(&self, name: &str) -> bool {
        self.given.contains(name) || self.verified.contains(name)
    }
}

fn graph_of(
    model: &ModelProto,
    graph: &GraphProto,
    kept: &HashSet<usize>,
    needs: &[Vec<String>],
    inputs: &[&str],
    outputs: &[&str],
) -> Vec<u8> {
    let used: HashSet<&str> =
        kept.iter().filter_map(|i| needs.get(*i)).flatten().map(String::as_str).collect();
    // With the types that the block's graph states, so that the engine treats both alike.
    let info = |name: &&str| {
        let stated = [&graph.input, &graph.output, &graph.value_info]
            .into_iter()
            .flatten()
            .find(|v| v.name.as_deref() == Some(*name));
        let bare = || ValueInfoProto { name: Some((*name).to_owned()), ..Default::default() };
        stated.cloned().unwrap_or_else(bare)
    };
    let recomputed = GraphProto {
        name: Some("rest".to_owned()),
        node: (0..)
            .zip(&graph.node)
            .filter(|(i, _)| kept.contains(i))
            .map(|(_, n)| n.clone())
            .collect(),
        initializer: graph
            .initializer
            .iter()
            .filter(|t| t.name.as_deref().is_some_and(|n| used.contains(n) || outputs.contains(&n)))
            .cloned()
            .collect(),
        input: inputs.iter().map(info).collect(),
        output: outputs.iter().map(info).collect(),
        value_info: graph.value_info.clone(),
        ..GraphProto::default()
    };
    ModelProto { graph: Some(recomputed), ..model.clone() }.encode_to_vec()
}

fn is_random(node: &NodeProto) -> bool {
    RANDOM.contains(&node.onnx_op())
        // In training, if its third input says so.
        || (node.onnx_op() == "Dropout" && node.arg(2).is_some())
        || subgraphs(node).any(|graph| graph.node.iter().any(is_random))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::operators::{Arithmetic, Linear, LinearForm, Source};
    use deepring::DType;
    use deepring_onnx::proto::TensorProto;

    fn spec(name: &str) -> TensorSpec {
        TensorSpec { name: name.into(), dtype: DType::F32, dims: None }
    }

    fn node(op: &str, inputs: &[&str], output: &str) -> NodeProto {
        NodeProto {
            op_type: Some(op.into()),
            input: inputs.iter().map(|s| (*s).to_owned()).collect(),
            output: vec![output.into()],
            ..NodeProto::default()
        }
    }

    fn linear((x, y): &(&str, &str)) -> Linear {
        Linear {
            x: Source { value: (*x).into(), relu: false },
            y: (*y).into(),
            weight: 0,
            bias: None,
            form: LinearForm::Rows { inner: 1, outer: 1, transposed: false },
            arithmetic: Arithmetic::unscaled(),
        }
    }

    fn recomputed(
        nodes: Vec<NodeProto>,
        linears: &[(&str, &str)],
        output: &str,
    ) -> Option<Recomputed> {
        let graph = GraphProto { node: nodes, ..GraphProto::default() };
        let model = ModelProto { graph: Some(graph), ..ModelProto::default() }.encode_to_vec();
        let mut operators = Operators::default();
        operators.linears = linears.iter().map(linear).collect();
        Recomputed::of(&model, &operators, &[spec("x")], &[spec(output)])
    }

    fn ops(recomputed: &Recomputed) -> Vec<String> {
        let graph = ModelProto::decode(recomputed.graph.as_slice()).unwrap().graph.unwrap();
        graph.node.into_iter().map(|n| n.op_type.unwrap()).collect()
    }

    #[test]
    fn the_rest_is_all_that_no_product_verifies() {
        let nodes = vec![
            node("Sqrt", &["x"], "root"),
            node("MatMul", &["root", "w"], "a"),
            node("Relu", &["a"], "lit"),
            node("MatMul", &["lit", "v"], "b"),
            node("Softmax", &["b"], "y"),
        ];
        let found = recomputed(nodes, &[("root", "a"), ("lit", "b")], "y").unwrap();
        assert_eq!(ops(&found), ["Sqrt", "Relu", "Softmax"]);
        assert_eq!(found.inputs, ["a", "b", "x"]);
        assert_eq!(found.outputs, ["y", "root", "lit"]);
    }

    #[test]
    fn where_every_output_is_verified_nothing_is_left() {
        let found = recomputed(vec![node("MatMul", &["x", "w"], "y")], &[("x", "y")], "y").unwrap();
        assert!(found.graph.is_empty() && found.outputs.is_empty());
    }

    #[test]
    fn for_an_engine_that_repeats_whole_graphs_alone_products_leave_no_rest() {
        let whole = |nodes: Vec<NodeProto>, linears: &[(&str, &str)]| {
            let rest = recomputed(nodes, linears, "y").unwrap();
            let mut operators = Operators::default();
            operators.linears = linears.iter().map(linear).collect();
            rest.whole(b"the graph", &operators, &[spec("x")], &[spec("y")])
        };
        let product = || node("MatMul", &["x", "w"], "a");
        assert!(whole(vec![product(), node("Relu", &["a"], "y")], &[("x", "a")]).is_none());
        let nothing_left = whole(vec![node("MatMul", &["x", "w"], "y")], &[("x", "y")]).unwrap();
        assert!(nothing_left.graph.is_empty() && nothing_left.outputs.is_empty());
        let all = whole(vec![node("Sqrt", &["x"], "a"), node("Relu", &["a"], "y")], &[]).unwrap();
        assert_eq!(
            (&all.graph[..], all.inputs, all.outputs),
            (&b"the graph"[..], vec!["x".to_owned()], vec!["y".to_owned()])
        );
    }

    #[test]
    fn what_cannot_be_computed_again_has_no_rest() {
        assert!(recomputed(vec![node("RandomNormalLike", &["x"], "y")], &[], "y").is_none());
        assert!(recomputed(vec![node("Relu", &["nothing makes it"], "y")], &[], "y").is_none());
        assert!(recomputed(vec![], &[], "x").is_none(), "an input that is given out as it is");
        let spec = [spec("c")];
        let constant = TensorProto { name: Some("c".into()), ..TensorProto::default() };
        let graph = GraphProto { initializer: vec![constant], ..GraphProto::default() };
        let model = ModelProto { graph: Some(graph), ..ModelProto::default() }.encode_to_vec();
        assert!(Recomputed::of(&model, &Operators::default(), &[], &spec).is_none(), "a constant");
    }
}
