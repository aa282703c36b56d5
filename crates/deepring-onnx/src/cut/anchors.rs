//! Which nodes begin a block: linear operators with parameters of their own.

use std::collections::HashMap;

use deepring::DType;

use crate::canonical::Graph;
use crate::proto::NodeProto;

/// Returns whether the node is a linear operator one of whose operands is a constant.
pub(super) fn is_anchor(graph: &Graph, node: &NodeProto) -> bool {
    let constant = |arg: usize| graph.constant(node.arg(arg));
    let any = |args: &[usize]| args.iter().any(|&arg| constant(arg).is_some());
    match (node.in_default_domain(), node.op()) {
        (true, "Conv" | "ConvTranspose" | "ConvInteger" | "LSTM" | "GRU" | "RNN") => any(&[1]),
        (true, "Gemm" | "MatMul" | "MatMulInteger") => any(&[0, 1]),
        (true, "QLinearConv") => any(&[3]),
        (true, "QLinearMatMul") => any(&[0, 3]),
        // A table of embeddings; one of integers belongs to the arithmetic of shapes.
        (true, "Gather") => {
            constant(0).is_some_and(|t| t.dtype() == Some(DType::F32) && t.dims.len() >= 2)
        }
        (true, "If" | "Loop" | "Scan") => false,
        (
            false,
            "MatMulNBits"
            | "FusedMatMul"
            | "FusedConv"
            | "FusedGemm"
            | "MatMulIntegerToFloat"
            | "DynamicQuantizeMatMul"
            | "DynamicQuantizeLSTM"
            | "QAttention"
            | "Attention"
            | "GatherBlockQuantized"
            | "EmbedLayerNormalization",
        ) => any(&[0, 1, 2]),
        _ => false,
    }
}

/// Returns whether the node only prepares the operand of the linear operator that follows it, and is fused
/// with that by the engine: then both belong in one block. A scale is fused with a product of matrices only; before
/// any other operator it is the tail of what it follows, and may be fused with that.
fn is_prefix(graph: &Graph, node: &NodeProto, anchor: &NodeProto) -> bool {
    let scalar = |arg: usize| {
        graph.constant(node.arg(arg)).is_some_and(|t| t.sizes().iter().all(|&d| d == 1))
    };
    let product = matches!(anchor.onnx_op(), "MatMul" | "FusedMatMul");
    match node.onnx_op() {
        "Transpose" | "Pad" | "DynamicQuantizeLinear" | "QuantizeLinear" => true,
        "Mul" => product && (scalar(0) || scalar(1)),
        "Div" => product && scalar(1),
        _ => false,
    }
}

/// For each node, the linear operator that it prepares, if it prepares one.
pub(super) fn prefixes(graph: &Graph, anchors: &[bool]) -> HashMap<usize, usize> {
    let uses = graph.uses();
    let outputs = graph.output_names();
    let mut consumer: HashMap<&str, usize> = HashMap::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        for name in &node.input {
            consumer.insert(name, index);
        }
    }
    let mut found: HashMap<usize, usize> = HashMap::new();
    for (index, node) in graph.nodes.iter().enumerate().rev() {
        let [output] = node.output.as_slice() else { continue };
        let single = uses.get(output) == Some(&1) && !outputs.contains(output);
        if !single || anchors.get(index) == Some(&true) {
            continue;
        }
        let Some(&next) = consumer.get(output.as_str()) else { continue };
        let anchor =
            if anchors.get(next) == Some(&true) { Some(next) } else { found.get(&next).copied() };
        let operator = anchor.and_then(|anchor| graph.nodes.get(anchor));
        if let (Some(anchor), Some(operator)) = (anchor, operator)
            && is_prefix(graph, node, operator)
        {
            found.insert(index, anchor);
        }
    }
    found
}
