//! The seam to a tensor runtime: load a block's graph over a buffer of parameters, run it.
//!
//! An engine that reads parameters where they lie computes with bytes that a check can compare. One that copies
//! them at load says so, and is offered those checks only that hold what came out against the sealed parameters.

#[cfg(feature = "ort")]
mod ort;
#[cfg(any(test, feature = "tamper"))]
mod racing;
mod rten;

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use deepring::receipt::ComputedWith;
use deepring::{Digest, TensorSpec, TensorValue};
use thiserror::Error;

#[cfg(feature = "ort")]
pub use ort::{Ort, OrtProgram};
#[cfg(any(test, feature = "tamper"))]
pub use racing::{Race, RacedProgram, Racing};
pub use rten::{Rten, RtenProgram};

/// States the engine, library, processor and threads of a run. The processor kind is as fine as kernels are chosen: what chooses
/// other kernels may give other bits.
fn described(engine: &str, version: &str, library: Digest, threads: u16) -> ComputedWith {
    let processor = format!("{} {}", std::env::consts::ARCH, crate::kernels::instruction_set());
    ComputedWith::clipped(&format!("{engine} {version}"), library, &processor, threads)
}

/// An error inside an engine.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The graph uses something that the engine cannot do.
    #[error("the engine cannot load this graph: {reason}")]
    Load {
        /// The engine's message; it names the operator.
        reason: String,
    },
    /// The engine's shared library could not be loaded.
    #[error("cannot load onnxruntime from `{}`: {reason}", path.display())]
    Library {
        /// The library.
        path: PathBuf,
        /// The message of the system or the library.
        reason: String,
    },
    /// The engine refused to run the graph on these inputs.
    #[error("the engine stopped: {reason}")]
    Run {
        /// The engine's message.
        reason: String,
        /// True if the engine lacks something, and no input is bad.
        unsupported: bool,
    },
    /// An integer of this query is beyond its type, or beyond the 32 bits that the engine has for one of 64.
    #[error("`{tensor}` would hold an integer beyond its type or beyond 32 bits")]
    Integer {
        /// The tensor.
        tensor: String,
    },
    /// The engine has no such element type, or the values do not fit it.
    #[error("tensor `{name}`: {reason}")]
    Value {
        /// The tensor.
        name: String,
        /// The reason.
        reason: String,
    },
    /// The loaded graph has no tensor of this name.
    #[error("the graph has no tensor `{name}`")]
    NoSuchTensor {
        /// Name asked for.
        name: String,
    },
}

/// The names of tensors, in order: what a program is loaded with.
pub(crate) fn names(specs: &[TensorSpec]) -> Vec<&str> {
    specs.iter().map(|s| s.name.as_str()).collect()
}

pub(crate) mod sealed {
    /// Closed, since an engine is handed slices that live only as long as their owner (see
    /// `weights`); an implementation that kept one would read freed memory.
    pub trait Sealed {}
}

/// A graph's external data.
#[derive(Debug, Clone, Copy)]
pub struct Parameters {
    /// All of it; the graph calls it [`PARAMS_FILE`](deepring_onnx::PARAMS_FILE).
    pub bytes: &'static [u8],
    /// Where in it the part begins that the graph calls [`SHARED_FILE`](deepring_onnx::SHARED_FILE).
    pub shared_from: usize,
}

impl Parameters {
    /// The file that the graph calls [`SHARED_FILE`](deepring_onnx::SHARED_FILE).
    #[must_use]
    pub fn shared(&self) -> &'static [u8] {
        self.bytes.get(self.shared_from..).unwrap_or_default()
    }
}

/// A tensor runtime.
pub trait Engine: sealed::Sealed + Send + Sync + 'static {
    /// A loaded graph.
    type Program: Send + Sync;
    /// A tensor in the engine's own form.
    type Value: Send + Sync;

    /// True if programs multiply with the very bytes of `parameters`. Where they do not, a check of these
    /// bytes says nothing about a run, and only checks of what comes out do.
    const IN_PLACE: bool;

    /// True if operators give the same bits in whatever graph they stand. An engine that optimises a graph gives the
    /// same for the same graph, loaded twice; in a part of it, it may fuse others.
    const PARTS_ALIKE: bool;

    /// This engine with its library, processor and threads, as receipts state them. Two hosts that state the same give the same
    /// bits.
    fn computed_with(&self) -> ComputedWith;

    /// Loads a graph whose parameters are external data in `parameters`. The bytes outlive the
    /// program; nothing else may keep them. `outputs` must be outputs of the graph.
    ///
    /// A parameter that is an input of the graph besides must be read from `parameters` at each run, also by
    /// an engine that copies the others.
    ///
    /// # Errors
    /// [`EngineError::Load`] where the graph uses an operator that the engine lacks, or a parameter cannot be read in place.
    fn load(
        &self,
        graph: &[u8],
        parameters: Parameters,
        inputs: &[&str],
        outputs: &[&str],
    ) -> Result<Self::Program, EngineError>;

    /// Loads an ONNX file as the engine itself does, for comparison with a ring.
    ///
    /// # Errors
    /// [`EngineError::Load`] where the file cannot be read, or uses an operator that the engine lacks.
    fn load_file(
        &self,
        path: &Path,
        inputs: &[&str],
        outputs: &[&str],
    ) -> Result<Self::Program, EngineError>;

    /// Runs a program. `inputs` are in the order given to [`load`](Self::load), and so are the outputs.
    ///
    /// # Errors
    /// [`EngineError::Run`] where the engine stops; [`EngineError::Integer`] where an integer leaves what the engine holds.
    fn run(
        &self,
        program: &Self::Program,
        inputs: Vec<Input<'_, Self::Value>>,
    ) -> Result<Vec<Self::Value>, EngineError>;

    /// Brings a tensor into the engine's form.
    ///
    /// # Errors
    /// [`EngineError::Value`] where the engine has no such element type, or the values do not fit it.
    fn import(&self, tensor: &TensorValue) -> Result<Self::Value, EngineError>;

    /// Looks at a value's elements, row-major. `None` for a sequence.
    fn view<'a>(&self, value: &'a Self::Value) -> Option<View<'a>>;

    /// Returns whether two values have the same type, shape and bits; one NaN is as good as another. False for what the
    /// engine cannot look into.
    fn same(&self, a: &Self::Value, b: &Self::Value) -> bool {
        self.view(a).zip(self.view(b)).is_some_and(|(a, b)| a.has_bits_of(&b))
    }

    /// Brings a value back into the form that the network declares for it.
    ///
    /// # Errors
    /// [`EngineError::Value`] where the value is no tensor, or does not fit the type that the network declares.
    fn export(&self, value: &Self::Value, spec: &TensorSpec) -> Result<TensorValue, EngineError>;

    /// Runs a whole query where the engine's threads are, so that checks happen on the core whose
    /// cache holds the data and no call hops threads.
    fn within<R: Send>(&self, query: impl FnOnce() -> R + Send) -> R;
}

/// An input: lent, if a later block needs it too; else given.
#[derive(Debug)]
pub enum Input<'a, V> {
    /// Stays with the caller.
    Borrowed(&'a V),
    /// The engine may overwrite it.
    Owned(V),
}

/// The elements of a value, row-major; copied only where the engine holds them in another order.
#[derive(Debug, Clone, PartialEq)]
pub struct View<'a> {
    /// Dimensions, outermost first.
    pub dims: Vec<usize>,
    /// Elements.
    pub elements: Elements<'a>,
}

impl View<'_> {
    /// Returns whether both have the same shape and the same bits; one NaN is as good as another.
    pub(crate) fn has_bits_of(&self, other: &View<'_>) -> bool {
        self.dims == other.dims
            && match (&self.elements, &other.elements) {
                (Elements::F32(a), Elements::F32(b)) => same_floats(a, b),
                (Elements::I32(a), Elements::I32(b)) => a == b,
                (Elements::I8(a), Elements::I8(b)) => a == b,
                (Elements::U8(a), Elements::U8(b)) => a == b,
                _ => false,
            }
    }
}

fn same_floats(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len()
        // No early end: without one the comparison is made in vectors.
        && a.iter().zip(b).fold(true, |all, (a, b)| {
            all & ((a.to_bits() == b.to_bits()) | (a.is_nan() & b.is_nan()))
        })
}

/// Elements by type.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Elements<'a> {
    /// 32-bit floats.
    F32(Cow<'a, [f32]>),
    /// 32-bit integers, wider ones of the network among them.
    I32(Cow<'a, [i32]>),
    /// Signed bytes.
    I8(Cow<'a, [i8]>),
    /// Unsigned bytes.
    U8(Cow<'a, [u8]>),
}

/// Runs a piece of an engine, whose panics on unusual graphs and inputs are no more than errors here: nothing of
/// ours is half done when one unwinds.
fn unwinding<T>(piece: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(piece)).map_err(|panic| {
        let said = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
        let said = said.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        if said.contains("divide by zero") {
            // A number of elements is the only divisor that an operator takes without looking.
            "it does not compute this of a tensor without elements".to_owned()
        } else {
            format!("it panicked: {said}")
        }
    })
}

pub(crate) fn elements<const N: usize, T>(data: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    data.as_chunks().0.iter().map(|b| read(*b)).collect()
}

pub(crate) fn bytes<const N: usize, T>(
    values: impl Iterator<Item = T>,
    write: impl Fn(T) -> [u8; N],
) -> Vec<u8> {
    let mut out = Vec::with_capacity(values.size_hint().0 * N);
    values.for_each(|v| out.extend_from_slice(&write(v)));
    out
}
