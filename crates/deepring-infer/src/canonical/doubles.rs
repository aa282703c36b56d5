//! Refusal of networks that take or give doubles: the engine computes in single precision.

use std::collections::HashMap;

use deepring::DType;

use super::graph::Graph;
use super::kinds::Kind;
use super::scope;
use crate::onnx::{ImportError, unsupported};

impl Graph {
    /// What is only converted is right: an input that becomes single precision at once, an output that was.
    pub(super) fn refuse_doubles(&self, kinds: &HashMap<String, Kind>) -> Result<(), ImportError> {
        let is_double = |name: &str| kinds.get(name) == Some(&Kind::Tensor(DType::F64));
        let refuse = |name: &str| Err(unsupported("double precision", Some(name)));
        let inputs = self.inputs.iter().filter_map(|v| v.name.as_deref());
        for input in inputs.filter(|name| is_double(name)) {
            let converted = |node: &crate::onnx::proto::NodeProto| {
                node.onnx_op() == "Cast" || !scope::needs(node).iter().any(|x| x == input)
            };
            if !self.nodes.iter().all(converted) {
                return refuse(input);
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
