//! A block's graph names the parameters of its header, and nothing else.

use deepring::{Dim, Part, PartKind};
use deepring_onnx::proto::{EXTERNAL, GraphProto, ModelProto, TensorProto};
use prost::Message as _;

use super::operators::offset_of;

/// Returns whether each tensor of a graph that stands elsewhere, in branches too, is one parameter of the block: its place, length, type
/// and dimensions. What begins within one, or in no part, no tag would cover.
pub(crate) fn names_parts_alone(graph: &[u8], parts: &[Part]) -> bool {
    let model = ModelProto::decode(graph).ok();
    model.and_then(|m| m.graph).is_some_and(|graph| has_parts_alone(&graph, parts))
}

fn has_parts_alone(graph: &GraphProto, parts: &[Part]) -> bool {
    let external =
        |t: &TensorProto| t.data_location == Some(EXTERNAL) || !t.external_data.is_empty();
    let is_part = |t: &TensorProto| {
        let len = t.external_data.iter().find(|e| e.key.as_deref() == Some("length"));
        let len: Option<u64> = len.and_then(|e| e.value.as_deref()?.parse().ok());
        let at = offset_of(t, parts);
        parts.iter().any(|p| match &p.kind {
            PartKind::Parameter(spec) => {
                let dims = spec.dims.iter().flatten().map(|d| match d {
                    Dim::Fixed(n) => i64::try_from(*n).ok(),
                    Dim::Named(_) => None,
                });
                (at, len) == (Some(p.offset), Some(p.len))
                    && t.dtype() == Some(spec.dtype)
                    && dims.eq(t.dims.iter().map(|d| Some(*d)))
            }
            _ => false,
        })
    };
    let within = graph.node.iter().flat_map(|n| &n.attribute);
    let mut inside = within.clone().flat_map(|a| a.t.as_deref().into_iter().chain(&a.tensors));
    graph.initializer.iter().all(|t| !external(t) || is_part(t))
        && inside.all(|t| !external(t))
        && within
            .flat_map(|a| a.g.as_deref().into_iter().chain(&a.graphs))
            .all(|graph| has_parts_alone(graph, parts))
}

#[cfg(test)]
mod tests {
    use deepring::{DType, TensorSpec};

    use super::*;
    use deepring_onnx::proto::StringStringEntryProto;
    use deepring_onnx::{PARAMS_FILE, SHARED_FILE};

    fn graph(location: &str, offset: u64, len: u64, dims: &[i64], dtype: DType) -> Vec<u8> {
        let entry = |key: &str, value: String| StringStringEntryProto {
            key: Some(key.to_owned()),
            value: Some(value),
        };
        let tensor = TensorProto {
            name: Some("w".to_owned()),
            dims: dims.to_vec(),
            data_type: Some(dtype.onnx()),
            data_location: Some(EXTERNAL),
            external_data: vec![
                entry("location", location.to_owned()),
                entry("offset", offset.to_string()),
                entry("length", len.to_string()),
            ],
            ..TensorProto::default()
        };
        let graph = GraphProto { initializer: vec![tensor], ..GraphProto::default() };
        ModelProto { graph: Some(graph), ..ModelProto::default() }.encode_to_vec()
    }

    #[test]
    fn a_graph_names_whole_parameters_and_nothing_else() {
        let part = |offset, shared| {
            let dims = Some(vec![Dim::Fixed(2), Dim::Fixed(8)]);
            let spec = TensorSpec { name: "w".to_owned(), dtype: DType::F32, dims };
            Part { kind: PartKind::Parameter(spec), offset, len: 64, shared }
        };
        let parts = [part(0, None), part(64, None), part(65_536, Some(3))];
        let fits = |location, offset, len, dims: &[i64], dtype| {
            names_parts_alone(&graph(location, offset, len, dims, dtype), &parts)
        };
        assert!(fits(PARAMS_FILE, 64, 64, &[2, 8], DType::F32));
        assert!(fits(SHARED_FILE, 0, 64, &[2, 8], DType::F32));
        for (location, offset, len, dims, dtype) in [
            (PARAMS_FILE, 4, 60, &[15][..], DType::F32),
            (PARAMS_FILE, 0, 128, &[4, 8], DType::F32),
            (PARAMS_FILE, 128, 64, &[2, 8], DType::F32),
            (SHARED_FILE, 64, 64, &[2, 8], DType::F32),
            (PARAMS_FILE, 0, 64, &[8, 2], DType::F32),
            (PARAMS_FILE, 0, 64, &[2, 8], DType::I32),
        ] {
            assert!(!fits(location, offset, len, dims, dtype), "{location} {offset} {dims:?}");
        }
        assert!(!names_parts_alone(b"no graph", &parts));
    }
}
