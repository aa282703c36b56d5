//! From a file to a model whose large tensors are still in that file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use prost::Message;

use super::error::{ImportError, MAX_OPSET, MIN_OPSET};
use super::external::ExternalFiles;
use super::skeleton;
use super::tensor::{ElementStore, Normaliser, unsupported};
use super::wire::SharedFile;
use crate::proto::{FunctionName, GraphProto, ModelProto, TensorProto};

/// Most bytes of parameters in one message: a protocol buffer ends at 2 GiB.
const EMBED_LIMIT: u64 = 1_900_000_000;

/// A model as it was read: nothing is changed yet, large tensors are still in their files.
#[derive(Debug, Clone)]
pub struct OnnxModel {
    pub(crate) proto: ModelProto,
    pub(crate) graph: GraphProto,
    pub(crate) opset: i64,
    pub(crate) store: ElementStore,
    files: Vec<PathBuf>,
}

/// The files that a network is read from: its own, and those beside it that hold its parameters, as far as it can be read.
#[must_use]
pub fn network_files(path: &Path) -> Vec<PathBuf> {
    read_onnx(path).map_or_else(|_| vec![path.to_path_buf()], |model| model.files)
}

/// Reads the model in `path`.
///
/// # Errors
/// [`ImportError::NotOnnx`] and [`ImportError::Empty`] for another kind of file; otherwise what is wrong, or not supported.
pub fn read_onnx(path: &Path) -> Result<OnnxModel, ImportError> {
    let file = Arc::new(SharedFile::open(path)?);
    if std::fs::metadata(path).is_ok_and(|m| m.len() == 0) {
        return Err(ImportError::Empty { path: path.to_path_buf() });
    }
    if !skeleton::has_model_fields(&file) {
        return Err(ImportError::NotOnnx { path: path.to_path_buf() });
    }
    let (bytes, payloads) = skeleton::read(&file)?;
    let mut proto = ModelProto::decode(bytes.as_slice())?;
    drop(bytes);
    let mut graph =
        proto.graph.take().ok_or_else(|| ImportError::NotOnnx { path: path.to_path_buf() })?;
    if let Some(function) = proto.functions.first() {
        let name = FunctionName::decode(&function[..]).ok().and_then(|function| function.name);
        return Err(unsupported("a function that the model itself defines", name.as_deref()));
    }
    if !proto.training_info.is_empty() {
        return Err(unsupported("training information", proto.producer_name.as_deref()));
    }
    let opset = default_opset(&proto)?;
    let external = ExternalFiles::beside(path);
    let mut normaliser = Normaliser { file, payloads, external, store: ElementStore::default() };
    normaliser.graph(&mut graph)?;
    let beside = normaliser.external.paths();
    let files = std::iter::once(path.to_path_buf()).chain(beside).collect();
    Ok(OnnxModel { proto, graph, opset, store: normaliser.store, files })
}

/// Returns whether the file has the outer structure of an ONNX model, whatever is inside.
///
/// It tells a plain network from a ring and from other files. Reads a few bytes only.
#[must_use]
pub fn looks_like_onnx(path: &Path) -> bool {
    SharedFile::open(path).is_ok_and(|file| skeleton::has_model_fields(&file))
}

impl OnnxModel {
    /// The whole file as one message with its elements in it, for whoever edits a plain network.
    ///
    /// Everything that `onnx.proto` has beyond the fields of [`ModelProto`] (documentation strings, annotations) is gone.
    ///
    /// # Errors
    /// If the elements are more than a protocol buffer can hold, or a file cannot be read any more.
    pub fn into_proto(self) -> Result<ModelProto, ImportError> {
        let Self { mut proto, mut graph, store, .. } = self;
        let mut left = EMBED_LIMIT;
        embed(&mut graph, &store, &mut left)?;
        proto.graph = Some(graph);
        Ok(proto)
    }
}

fn embed(graph: &mut GraphProto, store: &ElementStore, left: &mut u64) -> Result<(), ImportError> {
    let nodes = graph.node.iter_mut().flat_map(|n| &mut n.attribute);
    for attribute in nodes {
        let tensors = attribute.t.as_deref_mut().into_iter();
        for tensor in tensors.chain(&mut attribute.tensors) {
            embed_tensor(tensor, store, left)?;
        }
        let graphs = attribute.g.as_deref_mut().into_iter();
        for graph in graphs.chain(&mut attribute.graphs) {
            embed(graph, store, left)?;
        }
    }
    graph.initializer.iter_mut().try_for_each(|tensor| embed_tensor(tensor, store, left))
}

fn embed_tensor(
    tensor: &mut TensorProto,
    store: &ElementStore,
    left: &mut u64,
) -> Result<(), ImportError> {
    let Some(source) = store.of(tensor) else { return Ok(()) };
    let too_large =
        || ImportError::TooLarge { what: "bytes of parameters in one file", limit: EMBED_LIMIT };
    *left = left.checked_sub(source.len()).ok_or_else(too_large)?;
    tensor.raw_data = Some(source.read()?);
    tensor.payload = None;
    Ok(())
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
