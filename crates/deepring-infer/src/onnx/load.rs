//! From a file to a model whose large tensors are still in that file.

use std::path::Path;
use std::sync::Arc;

use prost::Message;

use super::error::{ImportError, MAX_OPSET, MIN_OPSET};
use super::external::ExternalFiles;
use super::proto::{GraphProto, ModelProto};
use super::skeleton;
use super::tensor::{Normaliser, Store, unsupported};
use super::wire::SharedFile;

/// A model as it was read: nothing is changed yet, large tensors are still in their files.
#[derive(Debug, Clone)]
pub struct OnnxModel {
    pub(crate) proto: ModelProto,
    pub(crate) graph: GraphProto,
    pub(crate) opset: i64,
    pub(crate) store: Store,
}

/// Reads the model in `path`.
///
/// # Errors
/// [`ImportError::NotOnnx`] for another kind of file; otherwise what is wrong, or not supported.
pub fn read_onnx(path: &Path) -> Result<OnnxModel, ImportError> {
    let file = Arc::new(SharedFile::open(path)?);
    if !skeleton::has_model_fields(&file) {
        return Err(ImportError::NotOnnx { path: path.to_path_buf() });
    }
    let (bytes, payloads) = skeleton::read(&file)?;
    let mut proto = ModelProto::decode(bytes.as_slice())?;
    drop(bytes);
    let mut graph =
        proto.graph.take().ok_or_else(|| ImportError::NotOnnx { path: path.to_path_buf() })?;
    if !proto.functions.is_empty() {
        return Err(unsupported("model-local function", proto.producer_name.as_deref()));
    }
    if !proto.training_info.is_empty() {
        return Err(unsupported("training information", proto.producer_name.as_deref()));
    }
    let opset = default_opset(&proto)?;
    let external = ExternalFiles::beside(path);
    let mut normaliser = Normaliser { file, payloads, external, store: Store::default() };
    normaliser.graph(&mut graph)?;
    Ok(OnnxModel { proto, graph, opset, store: normaliser.store })
}

/// Whether the file has the outer structure of an ONNX model, whatever is inside.
///
/// It tells a plain network from a ring and from other files. Reads a few bytes only.
#[must_use]
pub fn looks_like_onnx(path: &Path) -> bool {
    SharedFile::open(path).is_ok_and(|file| skeleton::has_model_fields(&file))
}

fn default_opset(proto: &ModelProto) -> Result<i64, ImportError> {
    let default =
        |domain: &Option<String>| matches!(domain.as_deref(), None | Some("" | "ai.onnx"));
    let import = proto.opset_import.iter().find(|o| default(&o.domain));
    let found = import.and_then(|o| o.version).ok_or(ImportError::NoOpset)?;
    if (MIN_OPSET..=MAX_OPSET).contains(&found) {
        Ok(found)
    } else {
        Err(ImportError::Opset { found })
    }
}
