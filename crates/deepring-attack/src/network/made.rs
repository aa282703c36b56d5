//! Networks that tests make by hand: a few nodes, a few tensors, one f32 input `x` and one output.

use deepring::DType;
use deepring_onnx::proto::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};

use super::Network;

/// The network of these nodes. Of the input's dimensions those below 1 are open; the output is the last node's, of which
/// nothing is stated.
pub(crate) fn made(input: &[i64], nodes: Vec<NodeProto>, tensors: Vec<TensorProto>) -> Network {
    let output = nodes.last().and_then(|n| n.output.first()).unwrap().clone();
    let dim = |d: &i64| match d {
        1.. => DimensionProto { dim_value: Some(*d), dim_param: None },
        _ => DimensionProto { dim_value: None, dim_param: Some("n".to_owned()) },
    };
    let shape = TensorShapeProto { dim: input.iter().map(dim).collect() };
    let value = |name: String, shape| {
        let tensor_type = Some(TensorTypeProto { elem_type: Some(1), shape });
        let r#type = Some(TypeProto { tensor_type, ..TypeProto::default() });
        ValueInfoProto { name: Some(name), r#type }
    };
    let graph = GraphProto {
        name: Some("made".to_owned()),
        input: vec![value("x".to_owned(), Some(shape))],
        output: vec![value(output, None)],
        node: nodes,
        initializer: tensors,
        ..GraphProto::default()
    };
    let opset = OperatorSetIdProto { domain: None, version: Some(17) };
    let proto = ModelProto {
        ir_version: Some(8),
        opset_import: vec![opset],
        graph: Some(graph),
        ..ModelProto::default()
    };
    Network { proto }
}

/// A node whose name is that of its output.
pub(crate) fn node(op: &str, inputs: &[&str], output: &str) -> NodeProto {
    NodeProto {
        op_type: Some(op.to_owned()),
        name: Some(output.to_owned()),
        input: inputs.iter().map(|i| (*i).to_owned()).collect(),
        output: vec![output.to_owned()],
        ..NodeProto::default()
    }
}

/// The node with another attribute.
pub(crate) fn with(mut node: NodeProto, name: &str, value: AttributeProto) -> NodeProto {
    node.attribute.push(AttributeProto { name: Some(name.to_owned()), ..value });
    node
}

pub(crate) fn int(i: i64) -> AttributeProto {
    AttributeProto { i: Some(i), r#type: Some(2), ..AttributeProto::default() }
}

pub(crate) fn ints(ints: &[i64]) -> AttributeProto {
    AttributeProto { ints: ints.to_vec(), r#type: Some(7), ..AttributeProto::default() }
}

pub(crate) fn float(f: f32) -> AttributeProto {
    AttributeProto { f: Some(f), r#type: Some(1), ..AttributeProto::default() }
}

/// A parameter tensor of any type, from its bytes.
pub(crate) fn tensor(name: &str, dtype: DType, dims: &[i64], bytes: Vec<u8>) -> TensorProto {
    TensorProto {
        name: Some(name.to_owned()),
        dims: dims.to_vec(),
        data_type: Some(dtype.onnx()),
        raw_data: Some(bytes),
        ..TensorProto::default()
    }
}

pub(crate) fn floats(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    tensor(name, DType::F32, dims, values.iter().flat_map(|v| v.to_le_bytes()).collect())
}

impl Network {
    /// Says that it is of another version of the default operator set.
    pub(crate) fn set_opset(&mut self, version: i64) {
        self.proto.opset_import.first_mut().unwrap().version = Some(version);
    }
}
