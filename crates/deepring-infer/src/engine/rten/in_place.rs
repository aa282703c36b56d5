//! Whether rten, loading a graph, has made parameters of its own out of ours.
//!
//! When rten optimises a graph it computes what follows from constants alone, and some fusions merge
//! constants. Such results lie in memory that no check covers, so a graph in which that happened is
//! loaded again without optimisation: slower, and read in place. Two signs tell: a value of floats or
//! bytes that can be had without any input, and more constants than the graph came with. Integers do not
//! count: they are shapes, which rten holds in a form of its own in any case.

use prost::Message as _;
use rten::{Model, Value};
use rten_tensor::Layout as _;

use crate::onnx::proto::{GraphProto, ModelProto};

/// Whether an optimised model computes with constants that the graph did not bring. Errs on the side of
/// yes.
pub(super) fn has_own_constants(model: &Model, graph: &[u8]) -> bool {
    let Ok(ModelProto { graph: Some(graph), .. }) = ModelProto::decode(graph) else { return true };
    // Branches and loop bodies are optimised too, and cannot be looked into.
    if graph.node.iter().any(|n| n.attribute.iter().any(|a| a.g.is_some() || !a.graphs.is_empty()))
    {
        return true;
    }
    let mut integers = 0;
    for name in graph.node.iter().flat_map(|n| &n.output).filter(|name| !name.is_empty()) {
        let Some(id) = model.find_node(name) else { continue };
        match model.run(Vec::new(), &[id], None).as_deref() {
            // It needs an input: not a constant.
            Err(_) => {}
            Ok([Value::Int32Tensor(t)]) => integers += t.len(),
            Ok(_) => return true,
        }
    }
    model.total_params() > brought(&graph).saturating_add(integers)
}

/// Elements of all constants that the graph came with.
fn brought(graph: &GraphProto) -> usize {
    let elements = |dims: &[i64]| {
        dims.iter().try_fold(1usize, |n, d| n.checked_mul(usize::try_from(*d).ok()?))
    };
    graph.initializer.iter().filter_map(|t| elements(&t.dims)).fold(0, usize::saturating_add)
}
