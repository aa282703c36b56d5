//! Reading of ONNX files in memory bounded by the graph, whatever the parameters weigh.
//!
//! A first pass copies the file's protocol buffer without the elements of large tensors; what is
//! left is decoded, and each tensor gets a [`ParamSource`] that produces its elements on demand.

mod error;
mod external;
mod load;
mod recipe;
mod skeleton;
mod source;
mod tensor;
mod wire;

pub use error::{ImportError, MAX_OPSET, MIN_OPSET, OperatorFault};
pub use load::{OnnxModel, looks_like_onnx, network_files, read_onnx};
pub use source::{ParamSource, Stored};

pub(crate) use recipe::{ChannelIndex, Recipe};
pub(crate) use tensor::{ElementStore, MAX_RANK, byte_len, unsupported};
