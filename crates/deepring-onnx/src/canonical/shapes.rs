//! Dimensions of values, as far as they follow from the inputs of the graph.
//!
//! The engine chooses fusions by what it knows of a tensor's dimensions. A block that starts in the
//! middle of a network knows only what it is told of its inputs, so that is inferred here. Whatever
//! is not certain gets a name of its own: a wrong dimension would make the engine refuse a query.

mod layout;
mod linear;

use std::collections::HashMap;

use deepring::{DType, Dim};

use super::graph::Graph;
use crate::proto::{NodeProto, ValueInfoProto};
use crate::read::{ImportError, MAX_RANK};

/// Most bytes that the dimensions of all values may take: each value holds the names of its own.
const SHAPES_LIMIT: u64 = 256 << 20;
const DIM_COST: u64 = 32;

pub(crate) type Shape = Vec<Dim>;

/// Dimensions of the values where at least their number is known.
#[derive(Debug, Default)]
pub(crate) struct Shapes(HashMap<String, Shape>);

impl Shapes {
    /// Nodes must be in order.
    pub(crate) fn infer(graph: &Graph) -> Result<Self, ImportError> {
        let mut shapes = Self::default();
        for (name, tensor) in &graph.constants {
            let dims = tensor.sizes().into_iter().map(Dim::Fixed).collect();
            shapes.0.insert(name.clone(), dims);
        }
        let mut left = SHAPES_LIMIT;
        let mut all_fixed = true;
        for value in &graph.inputs {
            let dims = declared(value)?;
            let fixed = |d: &Vec<Dim>| d.iter().all(|d| matches!(d, Dim::Fixed(_)));
            all_fixed &= dims.as_ref().is_some_and(fixed);
            if let (Some(name), Some(dims)) = (&value.name, dims) {
                shapes.0.insert(name.clone(), dims);
            }
        }
        // Files are found whose inputs were made dynamic and whose other values still state the
        // batch they were traced with; those are believed only where nothing can vary.
        let outputs = graph.outputs.iter().filter_map(|v| Some((v.name.as_deref()?, v)));
        let outputs: HashMap<&str, &ValueInfoProto> = outputs.collect();
        for node in &graph.nodes {
            let inferred = shapes.of_node(graph, node)?;
            for (index, output) in node.output.iter().enumerate().filter(|(_, o)| !o.is_empty()) {
                let mut shape = inferred.get(index).cloned().flatten();
                let stated = outputs.get(output.as_str()).copied();
                if let Some(value) = stated.or_else(|| graph.value_info.get(output)) {
                    let stated = declared(value)?;
                    let known =
                        |d: &Shape| all_fixed || d.iter().any(|d| matches!(d, Dim::Named(_)));
                    shape = merged(shape, stated.filter(known), output);
                }
                if let Some(shape) = shape.filter(|s| s.len() <= MAX_RANK) {
                    left = left.checked_sub(cost(&shape)).ok_or(ImportError::TooLarge {
                        what: "bytes of dimensions",
                        limit: SHAPES_LIMIT,
                    })?;
                    shapes.0.insert(output.clone(), shape);
                }
            }
        }
        Ok(shapes)
    }

    /// Of one node whose inputs are constants, and of these.
    pub(super) fn of_constants(graph: &Graph, node: &NodeProto) -> Result<Self, ImportError> {
        let mut shapes = Self::default();
        for name in crate::scope::needs(node) {
            if let Some(tensor) = graph.constant(Some(&name)) {
                let dims = tensor.sizes().into_iter().map(Dim::Fixed).collect();
                shapes.0.insert(name, dims);
            }
        }
        let made = shapes.of_node(graph, node)?;
        let made = node.output.iter().cloned().zip(made);
        let known: Vec<(String, Shape)> = made.filter_map(|(y, shape)| Some((y, shape?))).collect();
        shapes.0.extend(known);
        Ok(shapes)
    }

    pub(crate) fn of(&self, name: Option<&str>) -> Option<&Shape> {
        self.0.get(name?)
    }

    pub(crate) fn rank(&self, name: Option<&str>) -> Option<usize> {
        self.of(name).map(Vec::len)
    }

    /// Of a list that states dimensions, how many it states.
    fn length(&self, name: Option<&str>) -> Option<usize> {
        match self.of(name)?.as_slice() {
            [Dim::Fixed(n)] => usize::try_from(*n).ok().filter(|n| *n <= MAX_RANK),
            _ => None,
        }
    }

    fn of_node(&self, graph: &Graph, node: &NodeProto) -> Result<Vec<Option<Shape>>, ImportError> {
        let output = node.output.first().map(String::as_str).unwrap_or_default();
        let x = self.of(node.arg(0));
        let same = || vec![x.cloned()];
        let one = |shape: Option<Shape>| vec![shape];
        let contrib = node.domain.as_deref() == Some("com.microsoft");
        Ok(match node.op() {
            "Gelu" | "FastGelu" | "BiasGelu" | "QuickGelu" | "SkipLayerNormalization"
                if contrib =>
            {
                same()
            }
            _ if !node.in_default_domain() => Vec::new(),
            op if keeps_shape(op) => same(),
            "DynamicQuantizeLinear" => vec![x.cloned(), Some(vec![]), Some(vec![])],
            "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Mod" | "And" | "Or" | "Xor" | "Equal"
            | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" | "Min" | "Max" | "Sum"
            | "Mean" | "Where" => one(self.broadcast(node, output)),
            "Shape" if node.attribute.is_empty() => {
                one(x.map(|x| vec![Dim::Fixed(x.len() as u64)]))
            }
            "Shape" | "Range" => one(Some(unknown(output, 1))),
            "Size" => one(Some(vec![])),
            "NonZero" => one(Some(unknown(output, 2))),
            "ConstantOfShape" => one(match graph.ints(node.arg(0))? {
                Some(dims) => fixed(&dims),
                None => self.length(node.arg(0)).map(|rank| unknown(output, rank)),
            }),
            _ => match linear::of_node(self, node) {
                Some(shapes) => shapes,
                None => layout::of_node(self, graph, node)?,
            },
        })
    }

    fn broadcast(&self, node: &NodeProto, output: &str) -> Option<Shape> {
        let mut out: Shape = Vec::new();
        for arg in 0..node.input.len() {
            out = broadcast(&out, self.of(node.arg(arg))?, output);
        }
        Some(out)
    }
}

/// Operators whose first result has the dimensions of their first input.
pub(super) fn keeps_shape(op: &str) -> bool {
    matches!(
        op,
        "Relu"
            | "LeakyRelu"
            | "PRelu"
            | "Elu"
            | "Selu"
            | "Celu"
            | "Sigmoid"
            | "HardSigmoid"
            | "HardSwish"
            | "Swish"
            | "Mish"
            | "Tanh"
            | "Softplus"
            | "Softsign"
            | "Exp"
            | "Log"
            | "Sqrt"
            | "Reciprocal"
            | "Abs"
            | "Neg"
            | "Sign"
            | "Floor"
            | "Ceil"
            | "Round"
            | "Erf"
            | "Sin"
            | "Cos"
            | "Tan"
            | "Asin"
            | "Acos"
            | "Atan"
            | "Sinh"
            | "Cosh"
            | "Asinh"
            | "Acosh"
            | "Atanh"
            | "Not"
            | "IsNaN"
            | "IsInf"
            | "Clip"
            | "Cast"
            | "CastLike"
            | "BitCast"
            | "Identity"
            | "Softmax"
            | "LogSoftmax"
            | "Hardmax"
            | "BatchNormalization"
            | "InstanceNormalization"
            | "LayerNormalization"
            | "GroupNormalization"
            | "RMSNormalization"
            | "LpNormalization"
            | "LRN"
            | "Gelu"
            | "Dropout"
            | "CumSum"
            | "Trilu"
            | "QuantizeLinear"
            | "DequantizeLinear"
            | "ThresholdedRelu"
            | "Shrink"
            | "ScatterElements"
            | "ScatterND"
            | "Scatter"
    )
}

fn cost(shape: &[Dim]) -> u64 {
    let name = |d: &Dim| match d {
        Dim::Fixed(_) => DIM_COST,
        Dim::Named(name) => DIM_COST + name.len() as u64,
    };
    shape.iter().map(name).sum()
}

/// Shape of an element-wise result of `a` and `b`.
pub(crate) fn broadcast(a: &[Dim], b: &[Dim], output: &str) -> Shape {
    let rank = a.len().max(b.len());
    let at = |dims: &[Dim], i: usize| {
        (i + dims.len()).checked_sub(rank).and_then(|i| dims.get(i).cloned())
    };
    let dim = |i: usize| match (at(a, i), at(b, i)) {
        (None | Some(Dim::Fixed(1)), Some(d)) | (Some(d), None | Some(Dim::Fixed(1))) => d,
        (Some(p), Some(q)) if p == q => p,
        (Some(Dim::Fixed(n)), Some(Dim::Named(_))) | (Some(Dim::Named(_)), Some(Dim::Fixed(n))) => {
            Dim::Fixed(n)
        }
        _ => unnamed(output, i),
    };
    (0..rank).map(dim).collect()
}

/// Dimensions that an input, output or `value_info` states.
pub(crate) fn declared(value: &ValueInfoProto) -> Result<Option<Shape>, ImportError> {
    let name = value.name.as_deref().unwrap_or_default();
    let tensor = value.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
    let Some(shape) = tensor.and_then(|t| t.shape.as_ref()) else { return Ok(None) };
    if shape.dim.len() > MAX_RANK {
        return Err(ImportError::Dims { name: name.to_owned() });
    }
    let dim = |(axis, dim): (usize, &crate::proto::DimensionProto)| match (
        dim.dim_value.map(u64::try_from),
        dim.dim_param.as_deref(),
    ) {
        (Some(Ok(n)), _) => Dim::Fixed(n),
        (_, Some(param)) if !param.is_empty() => Dim::Named(param.to_owned()),
        _ => unnamed(name, axis),
    };
    Ok(Some(shape.dim.iter().enumerate().map(dim).collect()))
}

/// A dimension that equals no other as far as is known.
pub(crate) fn unnamed(value: &str, axis: usize) -> Dim {
    Dim::Named(format!("{value}:{axis}"))
}

pub(crate) fn unknown(value: &str, rank: usize) -> Shape {
    (0..rank).map(|axis| unnamed(value, axis)).collect()
}

fn fixed(dims: &[i64]) -> Option<Shape> {
    dims.iter().map(|&d| u64::try_from(d).ok().map(Dim::Fixed)).collect()
}

/// The inferred shape, made more precise by what is stated; names of ours give way.
fn merged(inferred: Option<Shape>, stated: Option<Shape>, value: &str) -> Option<Shape> {
    match (inferred, stated) {
        (Some(a), Some(b)) if a.len() == b.len() => {
            let ours = |d: &Dim, i: usize| *d == unnamed(value, i);
            let pick = |(i, (a, b)): (usize, (Dim, Dim))| if ours(&a, i) { b } else { a };
            Some(a.into_iter().zip(b).enumerate().map(pick).collect())
        }
        (Some(a), _) => Some(a),
        (None, b) => b,
    }
}

/// A shape as an edge of a block states it: element types are the caller's.
pub(crate) fn value_info(name: &str, dtype: DType, dims: Option<&[Dim]>) -> ValueInfoProto {
    use crate::proto::{DimensionProto, TensorShapeProto, TensorTypeProto, TypeProto};
    let dim = |d: &Dim| match d {
        Dim::Fixed(n) => DimensionProto { dim_value: i64::try_from(*n).ok(), dim_param: None },
        Dim::Named(name) => DimensionProto { dim_value: None, dim_param: Some(name.clone()) },
    };
    let shape = dims.map(|dims| TensorShapeProto { dim: dims.iter().map(dim).collect() });
    let tensor_type = Some(TensorTypeProto { elem_type: Some(dtype.onnx()), shape });
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto { tensor_type, ..TypeProto::default() }),
    }
}
