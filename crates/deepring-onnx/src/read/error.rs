//! Why a model could not be imported.

use std::io;
use std::path::PathBuf;

/// Lowest version of the default operator set that is read (below 9 is rewritten to 9).
pub const MIN_OPSET: i64 = 6;
/// Highest version of the default operator set that is read.
pub const MAX_OPSET: i64 = 28;

/// Why a model could not be imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The file is something else, or nothing at all.
    #[error("`{}` is not an ONNX model", path.display())]
    NotOnnx {
        /// The file.
        path: PathBuf,
    },
    /// The file holds no byte.
    #[error("`{}` is empty, and no ONNX model", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("cannot read `{}`", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Its reason.
        source: io::Error,
    },
    /// The file ends, or a message does, before what it announces.
    #[error("`{}` ends early: {field} at byte {offset} announces {announced} bytes, {left} are left", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// The field that announces it.
        field: &'static str,
        /// Where.
        offset: u64,
        /// Length that the file states.
        announced: u64,
        /// Length that remains.
        left: u64,
    },
    /// The bytes are no protocol buffer.
    #[error("`{}` is malformed at byte {offset}: {what}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// The reason.
        what: &'static str,
    },
    /// A message does not decode.
    #[error("message of the model does not decode")]
    Decode(#[from] prost::DecodeError),
    /// The model exceeds a bound that protects memory.
    #[error("{what} exceed the limit of {limit}")]
    TooLarge {
        /// The thing that there is too much of.
        what: &'static str,
        /// How much may be.
        limit: u64,
    },
    /// Graphs are nested too deeply.
    #[error("graphs nested more than {limit} deep")]
    TooDeep {
        /// How deep they may be.
        limit: u32,
    },
    /// The operator set is outside the range that is read.
    #[error("opset {found} is outside the supported range {MIN_OPSET} to {MAX_OPSET}")]
    Opset {
        /// Version that the model asks for.
        found: i64,
    },
    /// The model does not say which operator set it uses.
    #[error("model imports no default operator set")]
    NoOpset,
    /// Something in the model is valid ONNX and not supported.
    #[error("{feature} is not supported{}", called(name))]
    Unsupported {
        /// What.
        feature: &'static str,
        /// Where.
        name: String,
    },
    /// A node is not as its operator set has it, or its form is not computed as that says.
    #[error("{operator} `{node}`: {fault}")]
    Operator {
        /// The node.
        node: String,
        /// Its operator.
        operator: String,
        /// The reason.
        fault: OperatorFault,
    },
    /// An element type is not supported.
    #[error("element type {code} of `{name}` is not supported")]
    ElementType {
        /// The tensor.
        name: String,
        /// ONNX's number of the type.
        code: i32,
    },
    /// Dimensions are negative, too many, or their product does not fit.
    #[error("invalid dimensions of `{name}`")]
    Dims {
        /// The tensor.
        name: String,
    },
    /// The elements stored do not match the dimensions.
    #[error("`{name}` has {found} bytes where its type and dimensions need {expected}")]
    TensorLength {
        /// The tensor.
        name: String,
        /// Bytes needed.
        expected: u64,
        /// Bytes stored.
        found: u64,
    },
    /// External data lies where a model may not reach.
    #[error("external data `{location}` of `{name}` is not a file below the model's folder")]
    ExternalPath {
        /// The tensor.
        name: String,
        /// Path that the model states.
        location: String,
    },
    /// External data reaches beyond the end of its file.
    #[error(
        "external data of `{name}` at {offset}+{length} is outside `{location}` of {file} bytes"
    )]
    ExternalRange {
        /// The tensor.
        name: String,
        /// Path that the model states.
        location: String,
        /// Start.
        offset: u64,
        /// Length.
        length: u64,
        /// Length of the file.
        file: u64,
    },
    /// A field of the external data is missing or no number.
    #[error("external data of `{name}` has no valid `{key}`")]
    ExternalKey {
        /// The tensor.
        name: String,
        /// The key.
        key: &'static str,
    },
    /// A node uses a value that nothing produces.
    #[error("node `{node}` uses `{value}`, which nothing produces")]
    Undefined {
        /// The node, or `graph output`.
        node: String,
        /// The value.
        value: String,
    },
    /// Two things produce one value.
    #[error("`{value}` is produced twice")]
    Duplicate {
        /// The value.
        value: String,
    },
    /// Nodes wait for each other.
    #[error("node `{node}` depends on itself")]
    Cycle {
        /// One of them.
        node: String,
    },
    /// A region given for parameters has the wrong length.
    #[error("parameter region has {found} bytes where {expected} are needed")]
    RegionLength {
        /// Bytes needed.
        expected: u64,
        /// Bytes given.
        found: u64,
    },
}

/// Why an operator is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OperatorFault {
    /// The operator set does not have it.
    #[error("version {opset} of ONNX's operator set has no such operator")]
    Unknown {
        /// Version that the file states.
        opset: i64,
    },
    /// An attribute is not as ONNX says.
    #[error("attribute `{name}` {what}")]
    Attribute {
        /// Its name.
        name: String,
        /// The reason.
        what: &'static str,
    },
    /// The engine computes this form otherwise than ONNX says, or not at all.
    #[error("{what}: {engine} does not compute that as ONNX says")]
    Differs {
        /// The form.
        what: &'static str,
        /// The engine and its version.
        engine: &'static str,
    },
}

/// The text behind a colon; nothing where there is no name.
fn called(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!(": `{name}`") }
}
