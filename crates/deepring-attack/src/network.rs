//! A plain ONNX network that can be edited and stays valid.

mod element;
mod layers;
#[cfg(test)]
pub(crate) mod made;
mod parameter;
mod tensors;
mod values;

use std::path::{Path, PathBuf};

use deepring::files::replace_file;
use deepring_onnx::proto::{GraphProto, ModelProto, NodeProto};
use deepring_onnx::{ImportError, read_onnx};
use prost::Message as _;
use thiserror::Error;

pub use element::Element;
pub use layers::{Layer, LinearOp};
pub(crate) use parameter::Parameter;
pub use tensors::Tensor;
pub(crate) use values::Values;

/// A network in memory: its nodes in the order of the file, and its parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// Always with a graph: `read` makes sure.
    proto: ModelProto,
}

/// Why a network could not be read, edited or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// The file is no network that can be imported.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The file could not be written.
    #[error("{}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's message.
        source: std::io::Error,
    },
    /// The graph has no such parameter tensor.
    #[error("the network has no parameter tensor `{name}`")]
    NoTensor {
        /// Name asked for.
        name: String,
    },
    /// A tensor has elements of another type than the edit needs.
    #[error("tensor `{name}` has {found} elements, and {wanted} are needed")]
    ElementType {
        /// The tensor.
        name: String,
        /// The element type that it has.
        found: String,
        /// The element type that the edit needs.
        wanted: &'static str,
    },
    /// An edit would change a tensor's size.
    #[error("tensor `{name}` has {expected} elements, and {found} were given")]
    Length {
        /// The tensor.
        name: String,
        /// Elements that it has.
        expected: usize,
        /// Elements that were given.
        found: usize,
    },
}

impl Network {
    /// Reads an ONNX file whole, with the parameters that lie in files beside it.
    ///
    /// Constants that the graph's nodes hold become parameters like others, so that an attack finds them.
    ///
    /// # Errors
    /// As [`read_onnx`], and if the parameters exceed what one protocol buffer can hold.
    pub fn read(path: &Path) -> Result<Self, NetworkError> {
        let mut proto = read_onnx(path)?.into_proto()?;
        tensors::lift_constants(proto.graph.get_or_insert_default());
        Ok(Self { proto })
    }

    /// Writes the network as one ONNX file, whole or not at all.
    ///
    /// # Errors
    /// [`NetworkError::Write`].
    pub fn write(&self, path: &Path) -> Result<(), NetworkError> {
        replace_file(path, &self.encode())
            .map_err(|source| NetworkError::Write { path: path.into(), source })
    }

    /// The bytes of the ONNX file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.proto.encode_to_vec()
    }

    /// Name of the graph.
    #[must_use]
    pub fn name(&self) -> &str {
        self.graph().name.as_deref().unwrap_or_default()
    }

    /// The nodes, in the order of the file, which is an order of execution.
    #[must_use]
    pub(crate) fn nodes(&self) -> &[NodeProto] {
        &self.graph().node
    }

    pub(crate) fn graph(&self) -> &GraphProto {
        // A default instance of a message is a constant that prost does not offer.
        static EMPTY: std::sync::LazyLock<GraphProto> =
            std::sync::LazyLock::new(GraphProto::default);
        self.proto.graph.as_ref().unwrap_or(&EMPTY)
    }

    pub(crate) fn graph_mut(&mut self) -> &mut GraphProto {
        self.proto.graph.get_or_insert_default()
    }

    /// Version of the file format.
    pub(crate) fn ir_version(&self) -> i64 {
        self.proto.ir_version.unwrap_or_default()
    }

    /// Version of the default operator set.
    pub(crate) fn opset(&self) -> i64 {
        let default = |d: &Option<String>| matches!(d.as_deref(), None | Some("" | "ai.onnx"));
        let import = self.proto.opset_import.iter().find(|o| default(&o.domain));
        import.and_then(|o| o.version).unwrap_or_default()
    }
}
