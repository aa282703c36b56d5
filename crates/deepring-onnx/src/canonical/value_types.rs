//! Element type of every value, as far as a block's edges need it.

use std::collections::HashMap;

use deepring::DType;

use super::graph::Graph;
use crate::proto::{GraphProto, NodeProto, ValueInfoProto};
use crate::scope;

/// The type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValueType {
    /// A tensor of that element type.
    Tensor(DType),
    /// A sequence or optional: nothing that could pass from one block to another.
    Other,
}

/// Kinds of all values of the graph. Nodes must be in order.
pub(crate) fn infer(graph: &Graph) -> HashMap<String, ValueType> {
    let mut value_types: HashMap<String, ValueType> = HashMap::new();
    for (name, tensor) in &graph.constants {
        value_types
            .insert(name.clone(), tensor.dtype().map_or(ValueType::Other, ValueType::Tensor));
    }
    for value in &graph.inputs {
        if let Some(name) = &value.name {
            value_types
                .insert(name.clone(), declared(value).unwrap_or(ValueType::Tensor(DType::F32)));
        }
    }
    for node in &graph.nodes {
        let body = of_body(node, &value_types);
        for (index, output) in node.output.iter().enumerate().filter(|(_, o)| !o.is_empty()) {
            let declared = graph.value_info.get(output).and_then(declared);
            let from_body = || body.get(index).copied().flatten();
            let of = |name: &str| value_types.get(name).copied();
            let kind = declared.or_else(from_body).unwrap_or_else(|| of_output(node, index, of));
            value_types.insert(output.clone(), kind);
        }
    }
    for value in &graph.outputs {
        if let (Some(name), Some(kind)) = (&value.name, declared(value)) {
            value_types.insert(name.clone(), kind);
        }
    }
    value_types
}

fn declared(value: &ValueInfoProto) -> Option<ValueType> {
    let r#type = value.r#type.as_ref()?;
    let other = r#type.sequence_type.is_some()
        || r#type.map_type.is_some()
        || r#type.sparse_tensor_type.is_some()
        || r#type.optional_type.is_some();
    if other {
        return Some(ValueType::Other);
    }
    DType::from_onnx(r#type.tensor_type.as_ref()?.elem_type?).map(ValueType::Tensor)
}

fn of_output(
    node: &NodeProto,
    index: usize,
    kind: impl Fn(&str) -> Option<ValueType>,
) -> ValueType {
    use DType::{Bool, F32, I32, I64, U8};
    let of = |arg: usize| node.arg(arg).and_then(&kind);
    let first = || {
        let mut args = (0..node.input.len()).filter_map(of);
        args.find(|k| *k != ValueType::Other).unwrap_or(ValueType::Tensor(F32))
    };
    let attr_type = |name: &str, default: DType| {
        let code = node.attr_int(name).and_then(|c| i32::try_from(c).ok());
        ValueType::Tensor(code.and_then(DType::from_onnx).unwrap_or(default))
    };
    match (node.op(), index) {
        (
            "Shape" | "Size" | "NonZero" | "ArgMax" | "ArgMin" | "NonMaxSuppression"
            | "SequenceLength",
            _,
        )
        | ("TopK" | "MaxPool", 1)
        | ("Unique", 1..) => ValueType::Tensor(I64),
        (
            "Equal" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" | "And" | "Or" | "Xor"
            | "Not" | "IsNaN" | "IsInf",
            _,
        )
        | ("Dropout", 1) => ValueType::Tensor(Bool),
        ("Cast", _) => attr_type("to", F32),
        ("BitCast", _) => attr_type("to", F32),
        ("CastLike", _) => of(1).unwrap_or(ValueType::Tensor(F32)),
        ("QuantizeLinear", _) => match node.attr_int("output_dtype") {
            Some(code) if code != 0 => attr_type("output_dtype", U8),
            _ => of(2).unwrap_or(ValueType::Tensor(U8)),
        },
        ("DynamicQuantizeLinear", 0 | 2) => ValueType::Tensor(U8),
        ("DynamicQuantizeLinear", _) => ValueType::Tensor(F32),
        ("DequantizeLinear", _) => of(1).unwrap_or(ValueType::Tensor(F32)),
        ("MatMulInteger" | "ConvInteger", _) => ValueType::Tensor(I32),
        ("QLinearConv" | "QLinearMatMul", _) => of(7).unwrap_or(ValueType::Tensor(U8)),
        ("ConstantOfShape", _) => {
            let value = node.attr("value").and_then(|a| a.t.as_deref());
            ValueType::Tensor(value.and_then(|t| t.dtype()).unwrap_or(F32))
        }
        ("RandomNormal" | "RandomUniform", _) => attr_type("dtype", F32),
        ("RandomNormalLike" | "RandomUniformLike" | "EyeLike", _)
            if node.attr_int("dtype").is_some() =>
        {
            attr_type("dtype", F32)
        }
        ("Multinomial", _) => attr_type("dtype", I32),
        ("Where", _) => of(1).or_else(|| of(2)).unwrap_or(ValueType::Tensor(F32)),
        ("OneHot", _) => of(2).unwrap_or(ValueType::Tensor(F32)),
        ("GatherBlockQuantized", _) => of(2).unwrap_or(ValueType::Tensor(F32)),
        (
            "SequenceConstruct" | "SequenceEmpty" | "SequenceInsert" | "SequenceErase"
            | "SplitToSequence" | "Optional",
            _,
        ) => ValueType::Other,
        ("ConcatFromSequence" | "SequenceAt", _) => ValueType::Tensor(F32),
        _ => first(),
    }
}

/// Kinds of the outputs of a node with a body, from the body's own outputs.
fn of_body(node: &NodeProto, outer: &HashMap<String, ValueType>) -> Vec<Option<ValueType>> {
    let body = ["then_branch", "body"].into_iter().find_map(|n| node.attr(n)?.g.as_deref());
    let Some(body) = body else { return Vec::new() };
    let inner = inside(body, outer, &given(node, outer));
    let of = |v: &ValueInfoProto| {
        let name = v.name.as_deref()?;
        declared(v).or_else(|| inner.get(name).copied())
    };
    // The first output of a loop's body is its condition.
    let skip = usize::from(node.op() == "Loop");
    body.output.iter().skip(skip).map(of).collect()
}

/// The types of the inputs of a node's body that does not state them.
pub(super) fn given(
    node: &NodeProto,
    outer: &HashMap<String, ValueType>,
) -> Vec<Option<ValueType>> {
    let of = |i: usize| match (node.onnx_op(), i) {
        ("Loop", 0) => Some(ValueType::Tensor(DType::I64)),
        ("Loop", 1) => Some(ValueType::Tensor(DType::Bool)),
        _ => outer.get(node.arg(i)?).copied(),
    };
    (0..node.input.len()).map(of).collect()
}

/// Kinds of the values inside a branch or loop, and of what it takes from the graph around it.
pub(super) fn inside(
    body: &GraphProto,
    outer: &HashMap<String, ValueType>,
    given: &[Option<ValueType>],
) -> HashMap<String, ValueType> {
    let mut inner: HashMap<String, ValueType> = HashMap::new();
    for tensor in &body.initializer {
        if let (Some(name), Some(dtype)) = (&tensor.name, tensor.dtype()) {
            inner.insert(name.clone(), ValueType::Tensor(dtype));
        }
    }
    for (i, value) in body.input.iter().enumerate() {
        if let (Some(name), Some(kind)) = (&value.name, declared(value).or_else(|| *given.get(i)?))
        {
            inner.insert(name.clone(), kind);
        }
    }
    let taken = |inner: &mut HashMap<String, ValueType>, name: &str| {
        if let (false, Some(kind)) = (inner.contains_key(name), outer.get(name)) {
            inner.insert(name.to_owned(), *kind);
        }
    };
    for node in &body.node {
        for name in scope::needs(node) {
            taken(&mut inner, &name);
        }
        let of_bodies = of_body(node, &inner);
        for (index, output) in node.output.iter().enumerate() {
            let kind = of_bodies.get(index).copied().flatten();
            let kind = kind
                .unwrap_or_else(|| of_output(node, index, |name: &str| inner.get(name).copied()));
            inner.insert(output.clone(), kind);
        }
    }
    for name in body.output.iter().filter_map(|v| v.name.as_deref()) {
        taken(&mut inner, name);
    }
    inner
}
