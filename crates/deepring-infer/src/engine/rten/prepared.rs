//! A block's graph as rten takes it: in the element types that it has, and planned without recursion as deep as the graph.

use std::collections::HashMap;

use deepring::DType;
use deepring_onnx::proto::{GraphProto, ModelProto, ValueInfoProto};
use prost::Message as _;

/// So many nodes may follow each other before rten's planner, which calls itself for each, needs a place to begin.
const DEPTH: usize = 256;

/// A graph, and values in it from which the planner goes on.
pub(super) struct Prepared {
    pub(super) graph: Vec<u8>,
    /// Values that are asked for before the outputs, in the order in which they are computed.
    pub(super) stations: Vec<String>,
}

/// With `exact`, products of bytes in a form that does not saturate. `None` if the bytes are no graph, or a branch or loop of it
/// is too deep.
pub(super) fn prepare(bytes: &[u8], exact: bool) -> Option<Prepared> {
    let mut model = ModelProto::decode(bytes).ok()?;
    let graph = model.graph.as_mut()?;
    let swishes = with_swishes(graph);
    let exact = exact && super::bytes_exact::with_exact_products(graph);
    let stations = stations(graph);
    let types = with_types_of_engine(graph);
    let within = graph.node.iter().flat_map(|n| &n.attribute);
    if within.flat_map(|a| a.g.as_deref().into_iter().chain(&a.graphs)).any(is_too_deep) {
        return None;
    }
    if stations.is_empty() && !types && !swishes && !exact {
        return Some(Prepared { graph: bytes.to_vec(), stations });
    }
    for name in stations.iter().rev() {
        if !graph.output.iter().any(|o| o.name.as_ref() == Some(name)) {
            let output = ValueInfoProto { name: Some(name.clone()), ..ValueInfoProto::default() };
            graph.output.insert(0, output);
        }
    }
    Some(Prepared { graph: model.encode_to_vec(), stations })
}

/// One operator for a value times its sigmoid, where nothing else reads that: it is what optimisation is missed for. Returns
/// whether there was any.
fn with_swishes(graph: &mut GraphProto) -> bool {
    let mut readers: HashMap<&str, usize> = HashMap::new();
    let within = graph.node.iter().flat_map(|n| &n.attribute);
    let outputs = graph.output.iter().filter_map(|o| o.name.as_deref());
    // What a branch or a loop reads is not looked into.
    if within.flat_map(|a| a.g.as_deref().into_iter().chain(&a.graphs)).next().is_some() {
        return false;
    }
    for name in graph.node.iter().flat_map(|n| &n.input).map(String::as_str).chain(outputs) {
        *readers.entry(name).or_default() += 1;
    }
    let sigmoids: HashMap<String, (usize, String)> = graph
        .node
        .iter()
        .enumerate()
        .filter(|(_, n)| n.onnx_op() == "Sigmoid")
        .filter_map(|(i, n)| Some((n.output.first()?.clone(), (i, n.input.first()?.clone()))))
        .filter(|(y, _)| readers.get(y.as_str()) == Some(&1))
        .collect();
    let mut gone = Vec::new();
    for node in graph.node.iter_mut().filter(|n| n.onnx_op() == "Mul") {
        let [a, b] = node.input.as_slice() else { continue };
        let sigmoid = |x: &str, y: &str| sigmoids.get(y).filter(|(_, of)| of == x).map(|(i, _)| *i);
        if let Some(i) = sigmoid(a, b).or_else(|| sigmoid(b, a)) {
            gone.push(i);
            let x = if sigmoid(a, b).is_some() { a.clone() } else { b.clone() };
            node.op_type = Some("Swish".to_owned());
            node.input = vec![x];
        }
    }
    let mut at = 0..;
    graph.node.retain(|_| at.next().is_some_and(|i| !gone.contains(&i)));
    !gone.is_empty()
}

fn is_too_deep(graph: &GraphProto) -> bool {
    let within = graph.node.iter().flat_map(|n| &n.attribute);
    !stations(graph).is_empty()
        || within.flat_map(|a| a.g.as_deref().into_iter().chain(&a.graphs)).any(is_too_deep)
}

/// A value of every node that is a multiple of [`DEPTH`] nodes behind the inputs.
fn stations(graph: &GraphProto) -> Vec<String> {
    let mut depths: HashMap<&str, usize> = HashMap::new();
    let mut stations = Vec::new();
    for node in &graph.node {
        let depth = node.input.iter().filter_map(|x| depths.get(x.as_str())).max();
        let depth = depth.map_or(0, |d| d + 1);
        for output in node.output.iter().filter(|y| !y.is_empty()) {
            depths.insert(output, depth);
        }
        if depth > 0
            && depth.is_multiple_of(DEPTH)
            && let Some(output) = node.output.iter().find(|y| !y.is_empty())
        {
            stations.push(output.clone());
        }
    }
    stations
}

/// The type that the engine holds in place of one that it lacks.
fn held_as(code: i32) -> Option<DType> {
    match DType::from_onnx(code)? {
        DType::Bf16 => Some(DType::F32),
        DType::U16 | DType::I16 | DType::U32 | DType::U64 => Some(DType::I32),
        _ => None,
    }
}

/// Returns whether any type was replaced.
fn with_types_of_engine(graph: &mut GraphProto) -> bool {
    let mut any = false;
    let values = graph.input.iter_mut().chain(&mut graph.output).chain(&mut graph.value_info);
    for value in values {
        let tensor = value.r#type.as_mut().and_then(|t| t.tensor_type.as_mut());
        if let Some(code) = tensor.and_then(|t| t.elem_type.as_mut())
            && let Some(held) = held_as(*code)
        {
            *code = held.onnx();
            any = true;
        }
    }
    for node in &mut graph.node {
        let to = node.attr_int("to").filter(|_| node.onnx_op() == "Cast");
        if let Some(held) = to.and_then(|t| held_as(i32::try_from(t).ok()?)) {
            node.set_int("to", i64::from(held.onnx()));
            any = true;
        }
        for attribute in &mut node.attribute {
            let graphs = attribute.g.as_deref_mut().into_iter().chain(&mut attribute.graphs);
            graphs.for_each(|graph| any |= with_types_of_engine(graph));
        }
    }
    any
}
