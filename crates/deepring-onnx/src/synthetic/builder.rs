//! A graph under construction, with random parameters.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use prost::Message as _;

use crate::proto::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto, attribute_type,
};

/// LayerNormalization came with it.
const OPSET: i64 = 17;
/// The first version of the file format that has this operator set.
const IR_VERSION: i64 = 8;

pub(super) const FLOAT: i32 = 1;
pub(super) const INT64: i32 = 7;

/// The factor that keeps the mean square of activations where it was, behind each kind of activation: a weight's
/// variance is this over its fan-in.
pub(super) mod gain {
    /// Nothing in between.
    pub(crate) const LINEAR: f32 = 1.0;
    /// Half of the mean square goes (He et al. 2015).
    pub(crate) const RELU: f32 = 2.0;
    /// For an input of variance 1, `E[silu(x)^2]` is 0.355; a little less than its inverse, since of larger
    /// numbers a larger share passes.
    pub(crate) const SILU: f32 = 2.6;
}

/// A number of mean 0 and variance 1: a sum of four uniform ones, nearly normal. No function whose last bit
/// differs from machine to machine is needed for it.
pub(super) fn normal(random: &mut fastrand::Rng) -> f32 {
    let bits = random.u64(..);
    let sum: u32 = (0..4).map(|i| (bits >> (16 * i)) as u32 & 0xffff).sum();
    (sum as f32 - 131_070.0) / 37_837.23
}

/// The change of height and width by a convolution.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kernel {
    pub(super) size: u32,
    pub(super) stride: u32,
    pub(super) pad: u32,
    pub(super) groups: u32,
}

impl Kernel {
    /// One group, padded so that only the stride makes the output smaller.
    pub(super) fn new(size: u32, stride: u32) -> Self {
        Self { size, stride, pad: size / 2, groups: 1 }
    }
}

/// A graph under construction. Values are named by the caller; parameters after the value they make.
pub(super) struct Builder {
    graph: GraphProto,
    random: fastrand::Rng,
}

impl Builder {
    pub(super) fn new(name: &str, seed: u64) -> Self {
        let graph = GraphProto { name: Some(name.to_owned()), ..GraphProto::default() };
        Self { graph, random: fastrand::Rng::with_seed(seed) }
    }

    pub(super) fn input(&mut self, name: &str, elem: i32, dims: &[u32]) {
        self.graph.input.push(value(name, elem, Some(dims)));
    }

    pub(super) fn output(&mut self, name: &str) {
        self.graph.output.push(value(name, FLOAT, None));
    }

    /// A random parameter of this variance.
    pub(super) fn param(&mut self, name: &str, dims: &[u32], variance: f32) -> String {
        let count = dims.iter().map(|d| *d as usize).product();
        let scale = variance.sqrt();
        let mut data = Vec::with_capacity(4 * count);
        for _ in 0..count {
            data.extend_from_slice(&(normal(&mut self.random) * scale).to_le_bytes());
        }
        self.tensor(name, FLOAT, dims, data)
    }

    /// A parameter of equal elements.
    pub(super) fn constant(&mut self, name: &str, dims: &[u32], element: f32) -> String {
        let count = dims.iter().map(|d| *d as usize).product();
        self.tensor(name, FLOAT, dims, element.to_le_bytes().repeat(count))
    }

    /// A shape, as Reshape wants it.
    pub(super) fn shape(&mut self, name: &str, dims: &[i64]) -> String {
        let data = dims.iter().flat_map(|d| d.to_le_bytes()).collect();
        self.tensor(name, INT64, &[u32::try_from(dims.len()).unwrap_or(0)], data)
    }

    fn tensor(&mut self, name: &str, elem: i32, dims: &[u32], data: Vec<u8>) -> String {
        self.graph.initializer.push(TensorProto {
            name: Some(name.to_owned()),
            dims: dims.iter().map(|d| i64::from(*d)).collect(),
            data_type: Some(elem),
            raw_data: Some(data),
            ..TensorProto::default()
        });
        name.to_owned()
    }

    /// An operator with one output, whose name is given back.
    pub(super) fn node(
        &mut self,
        op: &str,
        inputs: &[&str],
        output: &str,
        attribute: Vec<AttributeProto>,
    ) -> String {
        self.graph.node.push(NodeProto {
            op_type: Some(op.to_owned()),
            name: Some(output.to_owned()),
            input: inputs.iter().map(|s| (*s).to_owned()).collect(),
            output: vec![output.to_owned()],
            attribute,
            ..NodeProto::default()
        });
        output.to_owned()
    }

    /// An operator without parameters or attributes.
    pub(super) fn apply(&mut self, op: &str, inputs: &[&str], output: &str) -> String {
        self.node(op, inputs, output, Vec::new())
    }

    /// A convolution with bias.
    pub(super) fn conv(
        &mut self,
        x: &str,
        y: &str,
        (from, to): (u32, u32),
        kernel: Kernel,
        gain: f32,
    ) -> String {
        let Kernel { size, stride, pad, groups } = kernel;
        let fan = from / groups * size * size;
        let dims = [to, from / groups, size, size];
        let weight = self.param(&format!("{y}.weight"), &dims, gain / fan as f32);
        let bias = self.param(&format!("{y}.bias"), &[to], 1e-4);
        let [size, stride, pad, groups] = [size, stride, pad, groups].map(i64::from);
        let attributes = vec![
            ints("kernel_shape", &[size, size]),
            ints("strides", &[stride, stride]),
            ints("pads", &[pad, pad, pad, pad]),
            int("group", groups),
        ];
        self.node("Conv", &[x, &weight, &bias], y, attributes)
    }

    /// A dense layer on rows.
    pub(super) fn gemm(&mut self, x: &str, y: &str, (from, to): (u32, u32), gain: f32) -> String {
        let weight = self.param(&format!("{y}.weight"), &[to, from], gain / from as f32);
        let bias = self.param(&format!("{y}.bias"), &[to], 1e-4);
        self.node("Gemm", &[x, &weight, &bias], y, vec![int("transB", 1)])
    }

    /// A dense layer on the last dimension of a tensor of any rank.
    pub(super) fn linear(&mut self, x: &str, y: &str, (from, to): (u32, u32), gain: f32) -> String {
        let weight = self.param(&format!("{y}.weight"), &[from, to], gain / from as f32);
        let product = self.apply("MatMul", &[x, &weight], &format!("{y}.product"));
        let bias = self.param(&format!("{y}.bias"), &[to], 1e-4);
        self.apply("Add", &[&product, &bias], y)
    }

    /// `x` times its sigmoid.
    pub(super) fn silu(&mut self, x: &str, y: &str) -> String {
        let gate = self.apply("Sigmoid", &[x], &format!("{y}.gate"));
        self.apply("Mul", &[x, &gate], y)
    }

    /// The mean of each channel, as rows.
    pub(super) fn pool(&mut self, x: &str, y: &str) -> String {
        let pooled = self.apply("GlobalAveragePool", &[x], &format!("{y}.mean"));
        self.node("Flatten", &[&pooled], y, vec![int("axis", 1)])
    }

    #[allow(clippy::disallowed_methods, reason = "a folder of its caller's own")]
    pub(super) fn write(self, path: &Path) -> io::Result<()> {
        let mut file = File::create(path)?;
        file.write_all(&model(self.graph).encode_to_vec())
    }
}

/// The model around a graph.
pub(super) fn model(graph: GraphProto) -> ModelProto {
    ModelProto {
        ir_version: Some(IR_VERSION),
        producer_name: Some("deepring".to_owned()),
        opset_import: vec![OperatorSetIdProto { domain: None, version: Some(OPSET) }],
        graph: Some(graph),
        ..ModelProto::default()
    }
}

/// Name and type of a value; without dimensions, any.
pub(super) fn value(name: &str, elem: i32, dims: Option<&[u32]>) -> ValueInfoProto {
    let dim = |d: &u32| DimensionProto { dim_value: Some(i64::from(*d)), dim_param: None };
    let shape = dims.map(|dims| TensorShapeProto { dim: dims.iter().map(dim).collect() });
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto {
            tensor_type: Some(TensorTypeProto { elem_type: Some(elem), shape }),
            ..TypeProto::default()
        }),
    }
}

pub(super) fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { i: Some(value), r#type: Some(attribute_type::INT), ..attribute(name) }
}

pub(super) fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { f: Some(value), r#type: Some(attribute_type::FLOAT), ..attribute(name) }
}

pub(super) fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto { ints: values.to_vec(), r#type: Some(attribute_type::INTS), ..attribute(name) }
}

fn attribute(name: &str) -> AttributeProto {
    AttributeProto { name: Some(name.to_owned()), ..AttributeProto::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_mean_0_and_variance_1() {
        let mut random = fastrand::Rng::with_seed(1);
        let many: Vec<f64> = (0..100_000).map(|_| f64::from(normal(&mut random))).collect();
        let mean = many.iter().sum::<f64>() / many.len() as f64;
        let variance = many.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / many.len() as f64;
        assert!(mean.abs() < 0.02, "{mean}");
        assert!((variance - 1.0).abs() < 0.02, "{variance}");
    }
}
