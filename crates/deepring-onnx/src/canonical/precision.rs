//! Refusal of networks whose results would be rounded otherwise than their types say: the engine computes in single precision.

use std::collections::HashMap;

use deepring::DType;

use super::graph::Graph;
use super::value_types::ValueType;
use crate::read::{ImportError, unsupported};
use crate::scope;

impl Graph {
    /// Refuses sums that are given as bfloat16: rounded at each step, they differ from one that is rounded at its end by more than
    /// ONNX's own tests allow.
    pub(super) fn refuse_short_sums(&self) -> Result<(), ImportError> {
        let short = |v: &crate::proto::ValueInfoProto| {
            let tensor = v.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
            tensor.and_then(|t| t.elem_type).and_then(DType::from_onnx) == Some(DType::Bf16)
        };
        let sums = |op: &str| matches!(op, "MatMul" | "Gemm" | "Conv" | "Softmax" | "Attention");
        let given = self.outputs.iter().find(|v| short(v));
        match (given, self.nodes.iter().any(|n| sums(n.onnx_op()))) {
            (Some(output), true) => {
                Err(unsupported("sums given as bfloat16", output.name.as_deref()))
            }
            _ => Ok(()),
        }
    }

    /// Refuses doubles. What is only converted is right: an input that becomes single precision at once, an output that was.
    pub(super) fn refuse_doubles(
        &self,
        value_types: &HashMap<String, ValueType>,
    ) -> Result<(), ImportError> {
        let is_double = |name: &str| value_types.get(name) == Some(&ValueType::Tensor(DType::F64));
        let refuse = |name: &str| Err(unsupported("double precision", Some(name)));
        let inputs = self.inputs.iter().filter_map(|v| v.name.as_deref());
        for input in inputs.filter(|name| is_double(name)) {
            let converted = |node: &crate::proto::NodeProto| {
                node.onnx_op() == "Cast" || !scope::needs(node).iter().any(|x| x == input)
            };
            if !self.nodes.iter().all(converted) {
                return refuse(input);
            }
        }
        // Within, doubles may be moved and converted, and not computed with.
        for node in &self.nodes {
            let moves = matches!(
                node.onnx_op(),
                "Cast"
                    | "Identity"
                    | "Constant"
                    | "Shape"
                    | "Size"
                    | "Reshape"
                    | "Squeeze"
                    | "Unsqueeze"
                    | "Transpose"
                    | "Concat"
                    | "Gather"
                    | "Slice"
                    | "Expand"
                    | "Flatten"
                    | "Tile"
                    | "Split"
            );
            let computed = node.input.iter().find(|x| is_double(x) && !moves);
            if let Some(name) = computed {
                return refuse(name);
            }
        }
        let producers = self.producers();
        let outputs = self.outputs.iter().filter_map(|v| v.name.as_deref());
        for output in outputs.filter(|name| is_double(name)) {
            let maker = producers.get(output).and_then(|i| self.nodes.get(*i));
            let converted = maker.is_some_and(|node| {
                node.onnx_op() == "Cast" && node.arg(0).is_some_and(|x| !is_double(x))
            });
            if !converted {
                return refuse(output);
            }
        }
        Ok(())
    }
}
