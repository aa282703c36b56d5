//! The ONNX compiler: reads a network, rewrites it to what an engine computes as ONNX says, and cuts it into blocks.
//!
//! ```text
//! model.onnx ──read_onnx──► OnnxModel ──canonicalise──► CanonicalModel ──cut──► CutModel ──► blocks, each an ONNX model
//! ```
//!
//! [`read_onnx`] decodes the graph and leaves the elements of large tensors in the file. [`canonicalise`] rewrites what the
//! engine would compute otherwise than the standard, or refuses it by name ([`ImportError`]). [`cut()`] and [`cut_sharing`]
//! make blocks, each of which is an ONNX model of its own with its parameters as external data. [`export`] goes back: blocks become
//! one plain file. [`synthetic`] makes networks of known size, for measuring.
//!
//! Nothing here knows an engine, a key or a ring; what only an engine can compute, the caller computes
//! ([`CanonicalModel::fold_with_engine`]). The messages of ONNX are public in [`proto`], and in no other crate.
//!
//! # Example
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use deepring_onnx::{CutPolicy, canonicalise, cut, read_onnx};
//!
//! # let file = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../zoo/fashion-lenet5.onnx"));
//! let network = canonicalise(read_onnx(file)?)?;
//! let cut = cut(network, CutPolicy::Op)?;
//! assert_eq!(cut.blocks.len(), 5);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]
#![warn(clippy::missing_errors_doc)]
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests make and damage files of their own")
)]

mod attributes;
mod canonical;
mod cut;
mod fold_with_engine;
mod operators;
pub mod proto;
mod read;
mod scope;
pub mod synthetic;

pub use canonical::{CanonicalModel, canonicalise, complaint_of_guard};
pub use cut::{
    CutBlock, CutError, CutModel, CutPolicy, ExportError, JoinBlock, PARAMS_FILE, Param,
    ParseCutError, SHARED_FILE, SharedParams, begin_export, cut, cut_sharing, export, export_into,
};
pub use fold_with_engine::Folded;
pub use read::{
    ImportError, MAX_OPSET, MIN_OPSET, OnnxModel, OperatorFault, ParamSource, Stored,
    looks_like_onnx, network_files, read_onnx,
};
pub use scope::{needs, subgraphs, subgraphs_mut};
