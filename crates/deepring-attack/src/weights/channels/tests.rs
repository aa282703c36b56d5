//! Graphs that are no network of the zoo: what is followed, and what is refused.

use deepring_onnx::proto::{AttributeProto, NodeProto, TensorProto, ValueInfoProto};

use super::*;

fn node(op: &str, inputs: &[&str], output: &str, attributes: &[(&str, i64)]) -> NodeProto {
    let attribute = |(name, i): &(&str, i64)| AttributeProto {
        name: Some((*name).to_owned()),
        i: Some(*i),
        ..AttributeProto::default()
    };
    NodeProto {
        op_type: Some(op.to_owned()),
        name: Some(output.to_owned()),
        input: inputs.iter().map(|i| (*i).to_owned()).collect(),
        output: vec![output.to_owned()],
        attribute: attributes.iter().map(attribute).collect(),
        ..NodeProto::default()
    }
}

/// Weights count up from 1, so that every element is another.
fn graph(nodes: Vec<NodeProto>, tensors: &[(&str, &[i64])], output: &str) -> Network {
    let zoo = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../zoo");
    let mut network = Network::read(&zoo.join("fashion-lenet5.onnx")).unwrap();
    let tensor = |(name, dims): &(&str, &[i64])| {
        let values = 1..=dims.iter().product::<i64>();
        let raw = values.flat_map(|v| (v as f32).to_le_bytes()).collect();
        TensorProto {
            name: Some((*name).to_owned()),
            dims: dims.to_vec(),
            data_type: Some(1),
            raw_data: Some(raw),
            ..TensorProto::default()
        }
    };
    let graph = network.graph_mut();
    graph.node = nodes;
    graph.initializer = tensors.iter().map(tensor).collect();
    let value = ValueInfoProto { name: Some(output.to_owned()), ..ValueInfoProto::default() };
    graph.output = vec![value];
    network
}

fn follow(network: &Network) -> Result<Channels, String> {
    Channels::follow(network, &network.layers()[0])
}

#[test]
fn a_depthwise_convolution_passes_the_channels_on() {
    let nodes = vec![
        node("Conv", &["x", "a"], "y", &[]),
        node("Conv", &["y", "d", "e"], "z", &[("group", 2)]),
        node("Conv", &["z", "b"], "out", &[]),
    ];
    let tensors: [(&str, &[i64]); 4] =
        [("a", &[2, 1, 1, 1]), ("d", &[4, 1, 1, 1]), ("e", &[4]), ("b", &[1, 4, 1, 1])];
    let network = graph(nodes.clone(), &tensors, "out");
    let found = follow(&network).unwrap();
    let mut after = network.clone();
    found.permute(&mut after, &[1, 0]).unwrap();
    assert_eq!(after.floats("a").unwrap(), [2.0, 1.0]);
    for two_a_channel in ["d", "e", "b"] {
        assert_eq!(after.floats(two_a_channel).unwrap(), [3.0, 4.0, 1.0, 2.0]);
    }
    // Groups of several channels are no such thing.
    let mut grouped = nodes;
    grouped[1] = node("Conv", &["y", "d", "e"], "z", &[("group", 1)]);
    let tensors: [(&str, &[i64]); 4] =
        [("a", &[2, 1, 1, 1]), ("d", &[4, 2, 1, 1]), ("e", &[4]), ("b", &[1, 4, 1, 1])];
    grouped[0] = node("Conv", &["x", "a"], "y", &[("group", 2)]);
    assert!(follow(&graph(grouped, &tensors, "out")).unwrap_err().contains("in groups"));
}

#[test]
fn a_flattening_makes_a_block_of_each_channel() {
    let nodes = vec![
        node("Conv", &["x", "a"], "y", &[]),
        node("Flatten", &["y"], "z", &[]),
        node("Gemm", &["z", "b"], "out", &[("transB", 1)]),
    ];
    let network = graph(nodes, &[("a", &[2, 1, 1, 1]), ("b", &[1, 6])], "out");
    let mut after = network.clone();
    follow(&network).unwrap().permute(&mut after, &[1, 0]).unwrap();
    assert_eq!(after.floats("b").unwrap(), [4.0, 5.0, 6.0, 1.0, 2.0, 3.0]);
}

#[test]
fn a_gate_of_the_same_channels_is_followed_and_another_sum_is_not() {
    let tensors: [(&str, &[i64]); 3] = [("a", &[3, 2]), ("c", &[3]), ("b", &[1, 3])];
    let nodes = vec![
        node("MatMul", &["x", "t"], "y", &[]),
        node("Add", &["y", "c"], "s", &[]),
        node("Sigmoid", &["s"], "g", &[]),
        node("Mul", &["s", "g"], "m", &[]),
        node("Gemm", &["m", "b"], "out", &[("transB", 1)]),
    ];
    let mut tensors_t = tensors;
    tensors_t[0] = ("t", &[2, 3]);
    let network = graph(nodes.clone(), &tensors_t, "out");
    let found = follow(&network).unwrap();
    assert_eq!((found.consumers, found.scores), (1, false));
    assert_eq!(found.bias.as_ref().map(|b| b.tensor.as_str()), Some("c"));
    let mut after = network.clone();
    found.permute(&mut after, &[2, 0, 1]).unwrap();
    assert_eq!(after.floats("t").unwrap(), [3.0, 1.0, 2.0, 6.0, 4.0, 5.0]);
    assert_eq!(after.floats("c").unwrap(), [3.0, 1.0, 2.0]);
    assert_eq!(after.floats("b").unwrap(), [3.0, 1.0, 2.0]);
    let mut sum = nodes;
    sum[3] = node("Mul", &["s", "x"], "m", &[]);
    assert!(follow(&graph(sum, &tensors_t, "out")).unwrap_err().contains("`Mul`"));
}

#[test]
fn a_tensor_that_is_used_twice_is_not_permuted() {
    let nodes = vec![
        node("Gemm", &["x", "a"], "y", &[("transB", 1)]),
        node("Gemm", &["y", "a"], "z", &[("transB", 1)]),
        node("Gemm", &["z", "b"], "out", &[("transB", 1)]),
    ];
    let network = graph(nodes, &[("a", &[3, 3]), ("b", &[2, 3])], "out");
    assert_eq!(network.layers().len(), 2);
    assert_eq!(follow(&network).unwrap_err(), "`a` is used more than once");
}

#[test]
fn a_weight_may_come_first() {
    let nodes = vec![
        node("MatMul", &["a", "x"], "y", &[]),
        node("Relu", &["y"], "r", &[]),
        node("MatMul", &["b", "r"], "out", &[]),
    ];
    let network = graph(nodes, &[("a", &[3, 2]), ("b", &[1, 3])], "out");
    let layers = network.layers();
    assert_eq!((layers.len(), layers[0].out_axis, layers[0].outputs()), (2, 0, 3));
    let mut after = network.clone();
    follow(&network).unwrap().permute(&mut after, &[1, 2, 0]).unwrap();
    assert_eq!(after.floats("a").unwrap(), [3.0, 4.0, 5.0, 6.0, 1.0, 2.0]);
    assert_eq!(after.floats("b").unwrap(), [2.0, 3.0, 1.0]);
}

#[test]
fn scores_are_found_through_a_softmax_and_a_global_pool() {
    let nodes = vec![
        node("Conv", &["x", "a", "c"], "y", &[]),
        node("GlobalAveragePool", &["y"], "p", &[]),
        node("Flatten", &["p"], "f", &[]),
        node("Softmax", &["f"], "out", &[("axis", 1)]),
    ];
    let network = graph(nodes, &[("a", &[4, 1, 1, 1]), ("c", &[4])], "out");
    let found = follow(&network).unwrap();
    assert!(found.scores && found.seen && found.consumers == 0);
    assert_eq!(found.bias.map(|b| b.tensor).as_deref(), Some("c"));
}
