//! The seam to a tensor runtime: load a block's graph over a buffer of parameters, run it.
//!
//! An engine must read parameters where they lie. One that copies them at load would compute with
//! bytes that no check covers.

mod rten;

use deepring::{TensorSpec, TensorValue};
use thiserror::Error;

pub use rten::{Rten, RtenProgram};

/// What went wrong inside an engine.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The graph uses something that the engine cannot do.
    #[error("the engine cannot load this graph: {reason}")]
    Load {
        /// What the engine said; it names the operator.
        reason: String,
    },
    /// The engine refused to run the graph on these inputs.
    #[error("the engine stopped: {reason}")]
    Run {
        /// What the engine said.
        reason: String,
        /// Whether what was met is something the engine lacks, rather than a bad input.
        unsupported: bool,
    },
    /// The engine has no such element type, or the values do not fit it.
    #[error("tensor `{name}`: {reason}")]
    Value {
        /// The tensor.
        name: String,
        /// What does not fit.
        reason: String,
    },
    /// The loaded graph has no tensor of this name.
    #[error("the graph has no tensor `{name}`")]
    NoSuchTensor {
        /// Name asked for.
        name: String,
    },
}

pub(crate) mod sealed {
    /// Closed, since an engine is handed slices that live only as long as their owner (see
    /// `weights`); an implementation that kept one would read freed memory.
    pub trait Sealed {}
}

/// A tensor runtime.
pub trait Engine: sealed::Sealed + Send + Sync + 'static {
    /// A loaded graph.
    type Program: Send + Sync;
    /// A tensor in the engine's own form.
    type Value: Send;

    /// Loads a graph whose parameters are external data in `parameters`. The slice outlives the
    /// program; nothing else may keep it.
    fn load(
        &self,
        graph: &[u8],
        parameters: &'static [u8],
        inputs: &[TensorSpec],
        outputs: &[TensorSpec],
    ) -> Result<Self::Program, EngineError>;

    /// Runs a program. `inputs` are in the order given to [`load`](Self::load), and so are the outputs.
    fn run(
        &self,
        program: &Self::Program,
        inputs: Vec<Input<'_, Self::Value>>,
    ) -> Result<Vec<Self::Value>, EngineError>;

    /// Brings a tensor into the engine's form.
    fn import(&self, tensor: &TensorValue) -> Result<Self::Value, EngineError>;

    /// Brings a value back into the form that the network declares for it.
    fn export(&self, value: &Self::Value, spec: &TensorSpec) -> Result<TensorValue, EngineError>;

    /// Runs a whole query where the engine's threads are, so that checks happen on the core whose
    /// cache holds the data and no call hops threads.
    fn within<R: Send>(&self, query: impl FnOnce() -> R + Send) -> R;
}

/// An input: lent, if a later block needs it too; else given.
#[derive(Debug)]
pub enum Input<'a, V> {
    /// Stays with the caller.
    Lent(&'a V),
    /// The engine may overwrite it.
    Given(V),
}
