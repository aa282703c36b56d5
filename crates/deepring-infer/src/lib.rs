//! Sealing of networks into rings, and verified execution of sealed networks.
//!
//! [`Seal`] turns an ONNX file into a ring. [`Session`] opens a ring with the host keys at hand, stays
//! open, and answers queries; every answer comes with a [`Decision`](deepring::Decision) that others can
//! check. [`RingHost`] is one party of a session: the same code serves a process that plays all hosts and
//! one that plays a single one. [`PlainModel`] runs an unprotected file in the same engine, for comparison.
//! [`export_ring`](exporting::export_ring) gives back a plain ONNX file.
//!
//! Underneath: `deepring-onnx` makes blocks that are ONNX models of their own;
//! an [`Engine`](engine::Engine) loads them over a buffer of parameters that it reads in place, so that the bytes that a
//! check covers are the bytes that are multiplied.
//!
//! A query runs inside the engine's own pool of threads ([`SessionOptions::threads`]); sessions and hosts are `Send` and `Sync`, and
//! answer several queries at once. A session keeps each block that it runs in memory once for each host, decrypted, in read-only
//! pages of its own, and beside it what its check needs: under [`Check::Compute`](deepring::Check) and `Auto` secret sums of the weights.
//! Tensors have the element types of [`DType`](deepring::DType); the engine computes in `f32`, `i32`, `i8` and `u8`, and what a network
//! computes in others is written so, or refused when it is sealed.
//!
//! # Crate features
//!
//! - `ort`: [`Ort`](engine), a second engine: onnxruntime, whose shared library is loaded at run time.
//! - `tamper`: writing to live memory, and an engine that is raced, for attacks and tests. A host is built without it.
//!
//! # Example
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use deepring::receipt::Require;
//! use deepring::{DType, Host, Owner, SecretKey, TensorValue, Trust, UnverifiedRing};
//! use deepring_infer::{Seal, Session, SessionOptions};
//! use deepring_infer::sealing::Blocks;
//!
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("model.ring");
//! # let model = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../zoo/fashion-lenet5.onnx"));
//! let (owner, host) = (SecretKey::<Owner>::generate()?, SecretKey::<Host>::generate()?);
//! Seal::new(model, &owner).host(Blocks::All, host.public()).write(&path, &|_| ())?;
//!
//! let ring = UnverifiedRing::open(&path)?.authenticate(&Trust::owner(owner.public()))?;
//! let session = Session::open(ring, &[host], SessionOptions::default())?;
//! let input = TensorValue::new("image", DType::F32, vec![1, 1, 28, 28], vec![0; 4 * 784])?;
//! let outcome = session.run(vec![input])?;
//!
//! assert_eq!(outcome.outputs[0][0].dims(), [1, 10]);
//! let decision = outcome.decision.verify(session.ring().outline(), Require::AsDealt)?;
//! assert_eq!(decision.items().len(), 1);
//! # Ok(())
//! # }
//! ```
#![deny(unsafe_code)]
#![warn(clippy::missing_errors_doc)]
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests make and damage files of their own")
)]

pub mod arbitration;
pub mod audit;
mod checks;
mod dry_run;
pub mod engine;
mod error;
pub mod exporting;
mod host;
mod import;
mod kernels;
mod mac;
mod npy;
pub mod participant;
mod picture;
mod plain;
mod preprocess;
mod query_inputs;
pub mod sealing;
mod session;
mod tensor_json;
mod weights;

/// One block at a time: a use that is begun, run and verified, for whoever builds something else than [`Session`] of them.
pub mod block {
    pub use crate::checks::{Measure, PartMeasure};
    pub use crate::host::{
        BlockOutputs, BlockProtection, BlockUse, Computed, LoadedBlock, Unchecked, VerifiedOutputs,
    };
    pub use deepring_memory::Protection;
}

/// Inputs of a network: arrays, pictures by the sealed recipe, and what is refused of them.
pub mod inputs {
    pub use crate::error::{InputError, Rejected};
    pub use crate::npy::{NpyError, decode_npy, read_npy, write_npy};
    pub use crate::picture::{PictureError, decode_picture, read_picture};
    pub use crate::preprocess::{Color, Preprocess, PreprocessError, TensorLayout};
    pub use crate::tensor_json::{JsonTensor, TensorText, TensorTextError};
}

/// The cost of queries and of their checks, and how far right answers stay from being refused.
pub mod measure {
    pub use crate::host::{Floor, LayerMargin, Rehearsal, Timings};
}

/// The library's part of README.md compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

#[cfg(any(test, feature = "tamper"))]
pub use deepring_memory::tamper;
pub use deepring_onnx::CutPolicy;
#[cfg(feature = "ort")]
pub use engine::Ort;
pub use engine::Rten;
pub use error::RunError;
pub use host::RingHost;
pub use plain::{PlainError, PlainModel};
pub use sealing::Seal;
pub use session::{RunOutcome, Session, SessionOptions, Validate};
