//! The onnxruntime engine: a shared library that is loaded at run time and copies parameters when it loads a graph.

mod graph;
mod library;
mod tensors;

use std::borrow::Cow;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use deepring::receipt::ComputedWith;
use deepring::{Digest, TensorSpec, TensorValue};
use deepring_onnx::{PARAMS_FILE, SHARED_FILE};
use ort::environment::Environment;
use ort::error::ErrorCode;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{Session, SessionInputValue};
use ort::value::{DynValue, DynValueRef};
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::{Engine, EngineError, Input, Parameters, View, sealed, unwinding};

/// onnxruntime, from a shared library.
///
/// It packs weights into copies of its own, so only checks of what comes out say anything of a run: of the
/// checks after opening there is `compute`, and no `run`, `auto` or `spot`.
#[derive(Clone)]
pub struct Ort {
    environment: Environment,
    threads: usize,
    /// True if sessions share the pool that the library was loaded with.
    shared_pool: bool,
    /// Where queries run, and the checks between blocks.
    pool: Arc<ThreadPool>,
    /// Of the library file, as it was read just before it was loaded.
    library: Digest,
}

/// A graph that onnxruntime has loaded.
pub struct OrtProgram {
    // A session does not run twice at a time.
    session: Mutex<Session>,
    inputs: Vec<String>,
    outputs: Vec<String>,
    /// Parameters that are read in place, as inputs of each run.
    lent: Vec<(String, DynValueRef<'static>)>,
}

impl std::fmt::Debug for Ort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ort").field("threads", &self.threads).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for OrtProgram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OrtProgram").finish_non_exhaustive()
    }
}

impl Ort {
    /// Loads the library (`libonnxruntime.so`, 1.24 or newer) and makes an engine with this many threads; `None`
    /// for one a core.
    ///
    /// The library's code runs in this process with all its rights: `path` must be trusted like this program.
    /// A process has one library; a second call with another one is refused. All sessions share the threads
    /// of the first call; an engine with another number of threads gets a pool for each block, which is slower.
    ///
    /// # Errors
    /// [`EngineError::Library`] where the library cannot be loaded, is too old, or another one is loaded already.
    pub fn load_library(path: &Path, threads: Option<NonZeroUsize>) -> Result<Self, EngineError> {
        let default = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let threads = threads.map_or_else(default, NonZeroUsize::get);
        let library = ComputedWith::library_digest(path).map_err(|e| EngineError::Library {
            path: path.to_path_buf(),
            reason: e.to_string(),
        })?;
        let (environment, pooled) = library::load(path, threads)?;
        let pool = ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = Arc::new(pool.map_err(|e| EngineError::Load { reason: e.to_string() })?);
        Ok(Self { environment, threads, shared_pool: pooled == threads, pool, library })
    }

    fn builder(&self) -> Result<SessionBuilder, EngineError> {
        let builder = Session::builder(&self.environment).map_err(refused)?;
        let builder =
            builder.with_optimization_level(GraphOptimizationLevel::All).map_err(refused)?;
        if self.shared_pool {
            // Threads that spin between two blocks would take the cores from the checks.
            return builder.with_config_entry("session.force_spinning_stop", "1").map_err(refused);
        }
        let builder = builder.with_independent_thread_pool().map_err(refused)?;
        let builder = builder.with_intra_threads(self.threads).map_err(refused)?;
        builder.with_intra_op_spinning(false).map_err(refused)
    }
}

impl sealed::Sealed for Ort {}

impl Engine for Ort {
    type Program = OrtProgram;
    type Value = DynValue;

    const IN_PLACE: bool = false;
    const PARTS_ALIKE: bool = false;

    fn computed_with(&self) -> ComputedWith {
        let threads = u16::try_from(self.threads).unwrap_or(u16::MAX);
        super::described("onnxruntime", "of this digest", self.library, threads)
    }

    fn load(
        &self,
        graph: &[u8],
        parameters: Parameters,
        inputs: &[&str],
        outputs: &[&str],
    ) -> Result<OrtProgram, EngineError> {
        let load = || {
            let graph::PreparedGraph { model, lent, external } = graph::prepare(graph, parameters)?;
            let mut builder = self.builder()?;
            if external {
                // The session has copied what it needs when it is made; these copies end with the builder.
                let own = parameters.bytes.get(..parameters.shared_from).unwrap_or_default();
                for (name, bytes) in [(PARAMS_FILE, own), (SHARED_FILE, parameters.shared())] {
                    if !bytes.is_empty() {
                        let file = Arc::from(bytes);
                        let with = builder.with_external_initializer_file_in_memory(name, file);
                        builder = with.map_err(refused)?;
                    }
                }
            }
            let session = builder.commit_from_memory(&model).map_err(refused)?;
            OrtProgram::new(session, inputs, outputs, lent)
        };
        unwinding(load).unwrap_or_else(|reason| Err(EngineError::Load { reason }))
    }

    fn load_file(
        &self,
        path: &Path,
        inputs: &[&str],
        outputs: &[&str],
    ) -> Result<OrtProgram, EngineError> {
        let load = || {
            let session = self.builder()?.commit_from_file(path).map_err(refused)?;
            OrtProgram::new(session, inputs, outputs, Vec::new())
        };
        unwinding(load).unwrap_or_else(|reason| Err(EngineError::Load { reason }))
    }

    fn run(
        &self,
        program: &OrtProgram,
        inputs: Vec<Input<'_, DynValue>>,
    ) -> Result<Vec<DynValue>, EngineError> {
        let given = program.inputs.iter().zip(inputs).map(|(name, input)| {
            let value = match input {
                Input::Borrowed(value) => SessionInputValue::from(value),
                Input::Owned(value) => SessionInputValue::from(value),
            };
            (Cow::Borrowed(name.as_str()), value)
        });
        let lent = program
            .lent
            .iter()
            .map(|(name, value)| (Cow::Borrowed(name.as_str()), SessionInputValue::from(&**value)));
        let given: Vec<(Cow<'_, str>, SessionInputValue<'_>)> = given.chain(lent).collect();
        let run = || {
            // A run that unwound has left nothing half done in a session.
            let mut session = program.session.lock().unwrap_or_else(PoisonError::into_inner);
            let mut ran = session.run(given).map_err(|e| EngineError::Run {
                unsupported: e.code() == ErrorCode::NotImplemented,
                reason: e.to_string(),
            })?;
            let taken = program.outputs.iter().map(|name| {
                ran.remove(name).ok_or_else(|| EngineError::NoSuchTensor { name: name.clone() })
            });
            taken.collect()
        };
        let stopped = |reason| Err(EngineError::Run { reason, unsupported: false });
        unwinding(run).unwrap_or_else(stopped)
    }

    fn import(&self, tensor: &TensorValue) -> Result<DynValue, EngineError> {
        tensors::import(tensor)
    }

    fn view<'a>(&self, value: &'a DynValue) -> Option<View<'a>> {
        tensors::view(value)
    }

    fn same(&self, a: &DynValue, b: &DynValue) -> bool {
        tensors::same(a, b)
    }

    fn export(&self, value: &DynValue, spec: &TensorSpec) -> Result<TensorValue, EngineError> {
        tensors::export(value, spec)
    }

    fn within<R: Send>(&self, query: impl FnOnce() -> R + Send) -> R {
        self.pool.install(query)
    }
}

impl OrtProgram {
    fn new(
        session: Session,
        inputs: &[&str],
        outputs: &[&str],
        lent: Vec<(String, DynValueRef<'static>)>,
    ) -> Result<Self, EngineError> {
        let missing = |name: &str| Err(EngineError::NoSuchTensor { name: name.to_owned() });
        for name in inputs {
            if name.is_empty() || !session.inputs().iter().any(|i| i.name() == *name) {
                return missing(name);
            }
        }
        for name in outputs {
            if name.is_empty() || !session.outputs().iter().any(|o| o.name() == *name) {
                return missing(name);
            }
        }
        let owned = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
        let (inputs, outputs) = (owned(inputs), owned(outputs));
        Ok(Self { session: Mutex::new(session), inputs, outputs, lent })
    }
}

fn refused<R>(e: ort::Error<R>) -> EngineError {
    EngineError::Load { reason: e.to_string() }
}
