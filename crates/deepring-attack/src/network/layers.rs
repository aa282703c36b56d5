//! The linear layers of a network: where its weights are, and what belongs to them.

use deepring::DType;
use deepring_onnx::proto::NodeProto;
use serde::Serialize;

use super::Network;

/// Operators that multiply with a weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LinearOp {
    /// Convolution of any rank; weight `[out, in/group, ...]`.
    Conv,
    /// Transposed convolution; weight `[in, out/group, ...]`.
    ConvTranspose,
    /// Dense layer with its bias.
    Gemm,
    /// Product with a matrix.
    MatMul,
}

/// One linear layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// The node's name; where it has none, the weight's.
    pub name: String,
    /// Index of its node.
    pub node: usize,
    /// Operator.
    pub op: LinearOp,
    /// Name of the parameter tensor that is its weight: f32; i8 or u8, where it is quantised; f16 or bf16, behind a `Cast` or
    /// not.
    pub weight: String,
    /// Name of the weight's scale, where a `DequantizeLinear` stands between the tensor and the layer.
    pub scale: Option<String>,
    /// Name of the bias, where it is a parameter tensor.
    pub bias: Option<String>,
    /// Dimensions of the weight.
    pub dims: Vec<usize>,
    /// Which of these counts the outputs (filters, neurons).
    pub out_axis: usize,
}

impl Layer {
    /// Number of weights.
    #[must_use]
    pub fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// Returns whether it has no weight.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Filters or neurons: outputs of the layer.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.dims.get(self.out_axis).copied().unwrap_or(0)
    }

    /// Weights that feed one output.
    #[must_use]
    pub fn fan_in(&self) -> usize {
        self.len() / self.outputs().max(1)
    }

    /// Which output the weight at this place of the row-major tensor feeds.
    #[must_use]
    pub fn output_of(&self, index: usize) -> usize {
        let inner: usize = self.dims.iter().skip(self.out_axis + 1).product();
        index / inner.max(1) % self.outputs().max(1)
    }

    /// A dense layer, rather than a convolution.
    #[must_use]
    pub fn is_dense(&self) -> bool {
        matches!(self.op, LinearOp::Gemm | LinearOp::MatMul)
    }
}

impl Network {
    /// The linear layers whose weight is a parameter tensor, in order of execution. A tensor that several
    /// nodes share is named by the first.
    #[must_use]
    pub fn layers(&self) -> Vec<Layer> {
        let mut out: Vec<Layer> = Vec::new();
        for (index, node) in self.nodes().iter().enumerate() {
            if let Some(layer) = self.layer(index, node)
                && out.iter().all(|l| l.weight != layer.weight)
            {
                out.push(layer);
            }
        }
        out
    }

    fn layer(&self, index: usize, node: &NodeProto) -> Option<Layer> {
        if !matches!(node.domain.as_deref(), None | Some("" | "ai.onnx")) {
            return None;
        }
        let input = |at: usize| node.input.get(at).map(String::as_str).filter(|n| !n.is_empty());
        let (op, given) = match node.op_type.as_deref()? {
            "Conv" => (LinearOp::Conv, self.parameter(input(1)?)?),
            "ConvTranspose" => (LinearOp::ConvTranspose, self.parameter(input(1)?)?),
            "Gemm" => (LinearOp::Gemm, self.parameter(input(1)?)?),
            "MatMul" => {
                let second = input(1).and_then(|name| self.parameter(name));
                (LinearOp::MatMul, second.or_else(|| self.parameter(input(0)?))?)
            }
            _ => return None,
        };
        let (weight, scale) = given;
        let weight_first = op == LinearOp::MatMul && self.parameter(input(1)?).is_none();
        let dims = self.tensor(&weight).ok()?.dims();
        if dims.len() < 2 {
            return None;
        }
        let transposed = |name: &str| {
            let found = node.attribute.iter().find(|a| a.name.as_deref() == Some(name));
            found.and_then(|a| a.i).unwrap_or(0) != 0
        };
        let out_axis = match op {
            LinearOp::Conv => 0,
            LinearOp::ConvTranspose => 1,
            LinearOp::Gemm => usize::from(!transposed("transB")),
            LinearOp::MatMul => dims.len() - 1 - usize::from(weight_first),
        };
        let bias = match op {
            LinearOp::MatMul => None,
            _ => input(2).and_then(|name| self.parameter(name)).map(|(name, _)| name),
        };
        let name = node.name.clone().filter(|n| !n.is_empty()).unwrap_or_else(|| weight.clone());
        Some(Layer { name, node: index, op, weight, scale, bias, dims, out_axis })
    }

    /// The half-precision parameter tensor that a `Cast` widens.
    pub(crate) fn half_behind<'n>(&self, node: &'n NodeProto) -> Option<&'n str> {
        if node.op_type.as_deref() != Some("Cast") {
            return None;
        }
        let name = node.input.first()?;
        let dtype = self.tensor(name).ok()?.dtype();
        matches!(dtype, DType::F16 | DType::Bf16).then_some(name)
    }

    /// The tensor behind a value, and its scale if it is dequantised on the way. Half precision may be widened on the way.
    fn parameter(&self, name: &str) -> Option<(String, Option<String>)> {
        if self.tensor(name).is_ok() {
            return Some((name.to_owned(), None));
        }
        let producer = self.nodes().iter().find(|n| n.output.iter().any(|o| o == name))?;
        if let Some(half) = self.half_behind(producer) {
            return Some((half.to_owned(), None));
        }
        if producer.op_type.as_deref() != Some("DequantizeLinear") {
            return None;
        }
        let (tensor, scale) = (producer.input.first()?, producer.input.get(1)?);
        self.tensor(tensor).ok()?;
        Some((tensor.clone(), Some(scale.clone())))
    }
}
