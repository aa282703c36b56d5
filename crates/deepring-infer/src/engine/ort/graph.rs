//! A block's graph as onnxruntime gets it: parameters that are to be read in place become inputs.

use std::collections::HashSet;

use deepring::DType;
use deepring_onnx::SHARED_FILE;
use deepring_onnx::proto::{EXTERNAL, GraphProto, ModelProto, TensorProto};
use ort::value::{DynValueRef, PrimitiveTensorElementType, TensorRef};
use prost::Message as _;

use crate::engine::{EngineError, Parameters};

/// A model to load, and the inputs of each run.
pub(super) struct PreparedGraph {
    pub(super) model: Vec<u8>,
    /// Views of the parameters that are inputs of the graph.
    pub(super) lent: Vec<(String, DynValueRef<'static>)>,
    /// True if parameters are left that the library copies.
    pub(super) external: bool,
}

/// Takes out of the graph the parameters that are inputs of it besides.
pub(super) fn prepare(graph: &[u8], parameters: Parameters) -> Result<PreparedGraph, EngineError> {
    let cannot = |reason: String| EngineError::Load { reason };
    let mut model = ModelProto::decode(graph).map_err(|e| cannot(e.to_string()))?;
    let mut lent = Vec::new();
    let mut external = false;
    if let Some(graph) = &mut model.graph {
        let inputs: HashSet<String> = graph.input.iter().filter_map(|i| i.name.clone()).collect();
        let (given, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut graph.initializer)
            .into_iter()
            .partition(|t| t.name.as_ref().is_some_and(|n| inputs.contains(n)));
        graph.initializer = kept;
        for tensor in given {
            let name = tensor.name.clone().unwrap_or_default();
            let value = view(&tensor, parameters)
                .ok_or_else(|| cannot(format!("parameter `{name}` cannot be read in place")))?;
            lent.push((name, value));
        }
        external = has_external(graph);
    }
    let model = if lent.is_empty() { graph.to_vec() } else { model.encode_to_vec() };
    Ok(PreparedGraph { model, lent, external })
}

fn has_external(graph: &GraphProto) -> bool {
    let is = |t: &TensorProto| t.data_location == Some(EXTERNAL);
    graph.initializer.iter().any(is)
        || graph.node.iter().flat_map(|n| &n.attribute).any(|a| {
            a.t.as_deref().is_some_and(is)
                || a.g.as_deref().is_some_and(has_external)
                || a.graphs.iter().any(has_external)
        })
}

fn view(tensor: &TensorProto, parameters: Parameters) -> Option<DynValueRef<'static>> {
    let entry = |key: &str| -> Option<usize> {
        let entry = tensor.external_data.iter().find(|e| e.key.as_deref() == Some(key))?;
        entry.value.as_deref()?.parse().ok()
    };
    let start = entry("offset")?;
    let location = tensor.external_data.iter().find(|e| e.key.as_deref() == Some("location"))?;
    let file = match location.value.as_deref()? {
        SHARED_FILE => parameters.shared(),
        _ => parameters.bytes,
    };
    let bytes = file.get(start..start.checked_add(entry("length")?)?)?;
    let dims = &tensor.dims;
    match DType::from_onnx(tensor.data_type?)? {
        DType::F32 => typed::<f32>(dims, bytes),
        DType::F64 => typed::<f64>(dims, bytes),
        DType::I8 => typed::<i8>(dims, bytes),
        DType::U8 => typed::<u8>(dims, bytes),
        DType::I16 => typed::<i16>(dims, bytes),
        DType::U16 => typed::<u16>(dims, bytes),
        DType::I32 => typed::<i32>(dims, bytes),
        DType::U32 => typed::<u32>(dims, bytes),
        DType::I64 => typed::<i64>(dims, bytes),
        DType::U64 => typed::<u64>(dims, bytes),
        // There is no form of these that could be looked at in place.
        DType::Bool | DType::F16 | DType::Bf16 => None,
    }
}

fn typed<T>(dims: &[i64], bytes: &'static [u8]) -> Option<DynValueRef<'static>>
where
    T: PrimitiveTensorElementType + bytemuck::AnyBitPattern + std::fmt::Debug,
{
    let elements: &'static [T] = bytemuck::try_cast_slice(bytes).ok()?;
    Some(TensorRef::from_array_view((dims.to_vec(), elements)).ok()?.into_dyn())
}
