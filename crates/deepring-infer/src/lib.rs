//! Import, cutting and verified execution of sealed networks.
#![deny(unsafe_code)]

mod canonical;
mod cut;
mod engine;
mod error;
mod exporting;
mod host;
mod inputs;
mod mac;
mod npy;
pub mod onnx;
mod picture;
mod plain;
mod preprocess;
mod sealing;
mod session;
mod trial;
mod weights;

pub use canonical::{CanonicalModel, canonicalise};
pub use cut::{
    CutBlock, CutError, CutModel, CutPolicy, ExportError, JoinBlock, PARAMS_FILE, Param, ParseCutError,
    cut, export,
};
pub use engine::{Engine, EngineError, Input, Rten, RtenProgram};
pub use error::{InputError, RunError};
pub use exporting::{ExportRingError, export_ring};
pub use host::{RingHost, Split};
pub use npy::{NpyError, read_npy, write_npy};
pub use onnx::{ImportError, OnnxModel, ParamSource, looks_like_onnx, read_onnx};
pub use picture::{PictureError, read_picture};
pub use plain::{PlainError, PlainModel};
pub use preprocess::{Color, Layout, Preprocess, PreprocessError};
pub use sealing::{
    Blocks, ParseBlocksError, Seal, SealModelError, SealProgress, SealedModel,
};
pub use session::{Outcome, Session, SessionOptions};
