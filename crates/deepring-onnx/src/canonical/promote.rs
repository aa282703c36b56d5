//! Half precision promoted to single: the engine computes in that anyway.
//!
//! It would widen the parameters too, into copies of its own that no check of the parameters could
//! see. Inputs and outputs keep their type, by a cast at each edge.

use std::collections::HashMap;

use deepring::DType;

use super::graph::Graph;
use crate::proto::{GraphProto, NodeProto, TensorProto, ValueInfoProto};
use crate::read::{ElementStore, ParamSource, Recipe};
use crate::scope;

impl Graph {
    /// Makes every half-precision value inside the graph one of single precision; exact.
    pub(crate) fn promote(&mut self) {
        for tensor in self.constants.values_mut() {
            promote_tensor(tensor, &mut self.store);
        }
        for value in self.value_info.values_mut() {
            promote_value(value);
        }
        for node in &mut self.nodes {
            promote_node(node, &mut self.store);
        }
        let mut names = HashMap::new();
        let mut casts = Vec::new();
        let mut last = Vec::new();
        for value in &self.inputs {
            if let (Some(name), Some(_)) = (&value.name, half(value)) {
                let inside = self.fresh(&format!("{name}.f32"));
                casts.push(cast(name, &inside, DType::F32));
                names.insert(name.clone(), inside);
            }
        }
        let producers = self.producers();
        let mut produced_as = HashMap::new();
        for value in &self.outputs {
            if let (Some(name), Some(dtype)) = (&value.name, half(value))
                && producers.contains_key(name)
                && !produced_as.contains_key(name)
            {
                let inside = self.fresh(&format!("{name}.f32"));
                last.push(cast(&inside, name, dtype));
                names.insert(name.clone(), inside.clone());
                produced_as.insert(name.clone(), inside);
            }
        }
        if !names.is_empty() {
            for node in &mut self.nodes {
                scope::rename_uses(node, &names);
                for output in &mut node.output {
                    if let Some(name) = produced_as.get(output) {
                        output.clone_from(name);
                    }
                }
            }
        }
        casts.append(&mut self.nodes);
        casts.append(&mut last);
        self.nodes = casts;
    }
}

fn promote_node(node: &mut NodeProto, store: &mut ElementStore) {
    if node.onnx_op() == "Cast" {
        let to = node.attr_int("to").and_then(|t| i32::try_from(t).ok());
        if to.and_then(DType::from_onnx).is_some_and(is_half) {
            node.set_int("to", i64::from(DType::F32.onnx()));
        }
    }
    for attribute in &mut node.attribute {
        for tensor in attribute.t.as_deref_mut().into_iter().chain(&mut attribute.tensors) {
            promote_tensor(tensor, store);
        }
    }
    for graph in scope::subgraphs_mut(node) {
        widen_subgraph(graph, store);
    }
}

fn widen_subgraph(graph: &mut GraphProto, store: &mut ElementStore) {
    for tensor in &mut graph.initializer {
        promote_tensor(tensor, store);
    }
    for value in graph.input.iter_mut().chain(&mut graph.output).chain(&mut graph.value_info) {
        promote_value(value);
    }
    for node in &mut graph.node {
        promote_node(node, store);
    }
}

fn promote_tensor(tensor: &mut TensorProto, store: &mut ElementStore) {
    let Some(from) = tensor.dtype().filter(|d| is_half(*d)) else { return };
    if let Some(source) = store.of(tensor).cloned() {
        let wide = ParamSource::derived(Recipe::ToFloat { of: source, from });
        tensor.payload = Some(store.add(wide));
        tensor.data_type = Some(DType::F32.onnx());
    }
}

fn promote_value(value: &mut ValueInfoProto) {
    if half(value).is_some()
        && let Some(tensor) = value.r#type.as_mut().and_then(|t| t.tensor_type.as_mut())
    {
        tensor.elem_type = Some(DType::F32.onnx());
    }
}

fn half(value: &ValueInfoProto) -> Option<DType> {
    let tensor = value.r#type.as_ref()?.tensor_type.as_ref()?;
    DType::from_onnx(tensor.elem_type?).filter(|d| is_half(*d))
}

fn is_half(dtype: DType) -> bool {
    matches!(dtype, DType::F16 | DType::Bf16)
}

fn cast(from: &str, to: &str, dtype: DType) -> NodeProto {
    let mut node = NodeProto::new("Cast", to, &[from], &[to]);
    node.set_int("to", i64::from(dtype.onnx()));
    node
}
