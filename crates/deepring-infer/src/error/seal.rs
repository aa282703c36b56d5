//! Why a network was not sealed.

use deepring::seal::SealError;
use deepring_onnx::{CutError, ImportError};
use thiserror::Error;

use crate::engine::EngineError;

/// Longest label, model or producer name, in bytes.
pub(crate) const MAX_TEXT: usize = 4096;

/// Why a network was not sealed. The target file is untouched in every case.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SealModelError {
    /// The network could not be read.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The network could not be cut as asked.
    #[error(transparent)]
    Cut(#[from] CutError),
    /// The engine lacks something that a block needs.
    #[error("block {block} ({name}; {operators}) cannot be run: {source}")]
    Engine {
        /// The block.
        block: usize,
        /// Its name.
        name: String,
        /// Its operators, with commas between.
        operators: String,
        /// The engine's message; it names the operator.
        source: EngineError,
    },
    /// The ring could not be written.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// No host was named, or a block has none.
    #[error("block {block} has no host: nobody could run it")]
    NoHost {
        /// The block.
        block: usize,
    },
    /// A host is named for a block that the ring has not.
    #[error("a host is named for block {block}, but the network is cut into {count} blocks")]
    NoSuchBlock {
        /// The block.
        block: u32,
        /// Blocks without Genesis.
        count: usize,
    },
    /// The version does not follow the previous one.
    #[error("model version {given} does not follow version {previous}")]
    Version {
        /// Version asked for.
        given: u64,
        /// Version of the previous ring.
        previous: u64,
    },
    /// The previous ring is another owner's.
    #[error("the previous ring is signed by another owner")]
    ForeignPrevious,
    /// A label or name is longer than the format writes.
    #[error("{what} is longer than {MAX_TEXT} bytes")]
    TooLong {
        /// The thing that is too long.
        what: String,
    },
    /// A block does not fit this machine's memory.
    #[error("block {block} of {bytes} bytes does not fit this machine's memory")]
    TooLarge {
        /// The block.
        block: usize,
        /// Its bytes.
        bytes: u64,
    },
}
