//! Small ONNX networks, built field by field.

use std::path::{Path, PathBuf};

use deepring_onnx::proto::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    StringStringEntryProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto,
    ValueInfoProto,
};
use prost::Message;

/// Element type of 32-bit floats.
pub const FLOAT: i32 = 1;
/// Element type of 32-bit integers.
pub const INT32: i32 = 6;
/// Element type of 64-bit integers.
pub const INT64: i32 = 7;
/// Element type of truth values.
pub const BOOL: i32 = 9;

/// A graph under construction. Random parameters follow from the seed.
#[derive(Debug, Clone)]
pub struct Net {
    /// The graph so far.
    pub graph: GraphProto,
    /// Version of the operator set.
    pub opset: i64,
    state: u64,
}

impl Net {
    /// An empty graph of opset 17.
    pub fn new(seed: u64) -> Self {
        let graph = GraphProto { name: Some("net".into()), ..GraphProto::default() };
        Self { graph, opset: 17, state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1 }
    }

    /// A number in -1..1.
    pub fn random(&mut self) -> f32 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    /// Numbers in -scale..scale.
    pub fn randoms(&mut self, count: usize, scale: f32) -> Vec<f32> {
        (0..count).map(|_| self.random() * scale).collect()
    }

    /// Adds an input; dimensions are numbers, or names.
    pub fn input(&mut self, name: &str, elem: i32, dims: &[&str]) -> &mut Self {
        self.graph.input.push(value(name, elem, Some(dims)));
        self
    }

    /// Adds an output of unstated shape.
    pub fn output(&mut self, name: &str, elem: i32) -> &mut Self {
        self.graph.output.push(value(name, elem, None));
        self
    }

    /// A random parameter, scaled to its fan-in.
    pub fn param(&mut self, name: &str, dims: &[i64]) -> String {
        let count: i64 = dims.iter().product();
        let fan: i64 = dims.iter().skip(1).product::<i64>().max(1);
        let values = self.randoms(count as usize, 1.5 / (fan as f32).sqrt());
        self.floats(name, dims, &values)
    }

    /// Adds a constant of floats; returns its name.
    pub fn floats(&mut self, name: &str, dims: &[i64], values: &[f32]) -> String {
        self.graph.initializer.push(float_tensor(name, dims, values));
        name.to_owned()
    }

    /// Adds a list of 64-bit integers; returns its name.
    pub fn ints(&mut self, name: &str, values: &[i64]) -> String {
        self.graph.initializer.push(int_tensor(name, &[values.len() as i64], values));
        name.to_owned()
    }

    /// Adds a node with one output.
    pub fn node(&mut self, op: &str, inputs: &[&str], output: &str) -> &mut NodeProto {
        self.graph.node.push(node(op, inputs, &[output]));
        self.graph.node.last_mut().unwrap()
    }

    /// Convolution with a random kernel `[to, from / groups, k, k]` and a bias.
    pub fn conv(&mut self, x: &str, y: &str, from: i64, to: i64, k: i64, groups: i64) {
        let w = self.param(&format!("{y}.weight"), &[to, from / groups, k, k]);
        let b = self.param(&format!("{y}.bias"), &[to]);
        self.conv_of(x, y, &[&w, &b], k, groups);
    }

    /// Adds a convolution with these parameters.
    pub fn conv_of(&mut self, x: &str, y: &str, params: &[&str], k: i64, groups: i64) {
        let inputs: Vec<&str> = std::iter::once(x).chain(params.iter().copied()).collect();
        let node = self.node("Conv", &inputs, y);
        node.attribute = vec![
            ints("kernel_shape", &[k, k]),
            ints("pads", &[k / 2, k / 2, k / 2, k / 2]),
            int("group", groups),
        ];
    }

    /// Adds a normalisation with random parameters.
    pub fn batch_norm(&mut self, x: &str, y: &str, channels: i64) {
        let mut vector = |part: &str, base: f32, spread: f32| {
            let values: Vec<f32> =
                self.randoms(channels as usize, spread).into_iter().map(|v| base + v).collect();
            self.floats(&format!("{y}.{part}"), &[channels], &values)
        };
        let (scale, bias) = (vector("scale", 1.0, 0.5), vector("shift", 0.0, 0.3));
        let (mean, var) = (vector("mean", 0.0, 0.3), vector("var", 1.0, 0.6));
        self.node("BatchNormalization", &[x, &scale, &bias, &mean, &var], y);
    }

    /// Adds a dense layer with random weights and a bias.
    pub fn dense(&mut self, x: &str, y: &str, from: i64, to: i64) {
        let w = self.param(&format!("{y}.weight"), &[to, from]);
        let b = self.param(&format!("{y}.bias"), &[to]);
        self.node("Gemm", &[x, &w, &b], y).attribute = vec![int("transB", 1)];
    }

    /// The file, as a message.
    pub fn model(&self) -> ModelProto {
        ModelProto {
            ir_version: Some(8),
            producer_name: Some("test".into()),
            opset_import: vec![OperatorSetIdProto { domain: None, version: Some(self.opset) }],
            graph: Some(self.graph.clone()),
            ..ModelProto::default()
        }
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        self.model().encode_to_vec()
    }

    /// Writes `net.onnx` into the folder.
    pub fn save(&self, folder: &Path) -> PathBuf {
        let path = folder.join("net.onnx");
        std::fs::write(&path, self.bytes()).unwrap();
        path
    }
}

/// A node named after its first output.
pub fn node(op: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
    NodeProto {
        op_type: Some(op.into()),
        name: Some(format!("{op} {}", outputs.first().unwrap_or(&""))),
        input: inputs.iter().map(|&s| s.into()).collect(),
        output: outputs.iter().map(|&s| s.into()).collect(),
        ..NodeProto::default()
    }
}

/// Dimensions are numbers, or names.
pub fn value(name: &str, elem: i32, dims: Option<&[&str]>) -> ValueInfoProto {
    let dim = |d: &&str| match d.parse() {
        Ok(n) => DimensionProto { dim_value: Some(n), dim_param: None },
        Err(_) => DimensionProto { dim_value: None, dim_param: Some((*d).into()) },
    };
    let shape = dims.map(|dims| TensorShapeProto { dim: dims.iter().map(dim).collect() });
    ValueInfoProto {
        name: Some(name.into()),
        r#type: Some(TypeProto {
            tensor_type: Some(TensorTypeProto { elem_type: Some(elem), shape }),
            ..TypeProto::default()
        }),
    }
}

/// A constant of floats.
pub fn float_tensor(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    TensorProto {
        name: Some(name.into()),
        dims: dims.to_vec(),
        data_type: Some(FLOAT),
        raw_data: Some(values.iter().flat_map(|v| v.to_le_bytes()).collect()),
        ..TensorProto::default()
    }
}

/// A constant of 64-bit integers.
pub fn int_tensor(name: &str, dims: &[i64], values: &[i64]) -> TensorProto {
    TensorProto {
        name: Some(name.into()),
        dims: dims.to_vec(),
        data_type: Some(INT64),
        int64_data: values.to_vec(),
        ..TensorProto::default()
    }
}

/// Points a tensor to another file.
pub fn external(tensor: &mut TensorProto, location: &str, offset: u64, length: Option<u64>) {
    let entry = |key: &str, value: String| StringStringEntryProto {
        key: Some(key.into()),
        value: Some(value),
    };
    tensor.raw_data = None;
    tensor.data_location = Some(1);
    tensor.external_data =
        vec![entry("location", location.into()), entry("offset", offset.to_string())];
    tensor.external_data.extend(length.map(|n| entry("length", n.to_string())));
}

/// An attribute that is an integer.
pub fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { i: Some(value), r#type: Some(2), ..attribute(name) }
}

/// An attribute that is a float.
pub fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { f: Some(value), r#type: Some(1), ..attribute(name) }
}

/// An attribute that is a list of integers.
pub fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto { ints: values.to_vec(), r#type: Some(7), ..attribute(name) }
}

/// An attribute that is a tensor.
pub fn tensor(name: &str, value: TensorProto) -> AttributeProto {
    AttributeProto { t: Some(Box::new(value)), r#type: Some(4), ..attribute(name) }
}

/// An attribute that is a graph.
pub fn graph(name: &str, value: GraphProto) -> AttributeProto {
    AttributeProto { g: Some(Box::new(value)), r#type: Some(5), ..attribute(name) }
}

fn attribute(name: &str) -> AttributeProto {
    AttributeProto { name: Some(name.into()), ..AttributeProto::default() }
}

/// Two convolutions, three dense layers, a batch of any size.
pub fn lenet(seed: u64) -> Net {
    let mut net = Net::new(seed);
    net.input("image", FLOAT, &["batch", "1", "12", "12"]).output("logits", FLOAT);
    net.conv("image", "c1", 1, 4, 3, 1);
    net.node("Relu", &["c1"], "r1");
    net.node("MaxPool", &["r1"], "p1").attribute =
        vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])];
    net.conv("p1", "c2", 4, 6, 3, 1);
    net.node("Relu", &["c2"], "r2");
    net.node("Flatten", &["r2"], "flat");
    net.dense("flat", "d1", 216, 20);
    net.node("Relu", &["d1"], "r3");
    net.dense("r3", "d2", 20, 12);
    net.node("Tanh", &["d2"], "r4");
    net.dense("r4", "logits", 12, 5);
    net
}

/// Residual blocks with normalisation, a grouped convolution and a shortcut with its own kernel.
pub fn residual(seed: u64) -> Net {
    let mut net = Net::new(seed);
    net.input("x", FLOAT, &["batch", "3", "8", "8"]).output("y", FLOAT);
    let kernel = net.param("stem.weight", &[8, 3, 3, 3]);
    net.conv_of("x", "stem", &[&kernel], 3, 1);
    net.batch_norm("stem", "stem.bn", 8);
    net.node("Relu", &["stem.bn"], "a");
    net.conv("a", "b1", 8, 8, 3, 4);
    net.batch_norm("b1", "b1.bn", 8);
    net.node("Relu", &["b1.bn"], "b1.relu");
    net.conv("b1.relu", "b2", 8, 8, 3, 1);
    net.batch_norm("b2", "b2.bn", 8);
    net.node("Add", &["b2.bn", "a"], "sum1");
    net.node("Relu", &["sum1"], "b");
    net.conv("b", "c1", 8, 16, 1, 2);
    net.batch_norm("c1", "c1.bn", 16);
    net.conv("b", "short", 8, 16, 1, 1);
    net.batch_norm("short", "short.bn", 16);
    net.node("Add", &["c1.bn", "short.bn"], "sum2");
    net.node("Relu", &["sum2"], "c");
    net.node("GlobalAveragePool", &["c"], "pool");
    net.node("Flatten", &["pool"], "flat");
    net.dense("flat", "fc", 16, 6);
    net.node("Softmax", &["fc"], "y").attribute = vec![int("axis", -1)];
    net
}
