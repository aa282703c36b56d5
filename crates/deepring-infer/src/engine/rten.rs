//! The rten engine: pure Rust, reads parameters in place.

mod bytes_exact;
mod mathematics;
mod prepared;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use deepring::receipt::ComputedWith;
use deepring::{DType, TensorSpec, TensorValue};
use deepring_onnx::complaint_of_guard;
use deepring_onnx::{PARAMS_FILE, SHARED_FILE};
use rten::{Model, ModelOptions, NodeId, RunErrorKind, RunOptions, ThreadPool, Value, ValueOrView};
use rten_tensor::{AsView as _, Layout as _, Tensor};

use super::{
    Elements, Engine, EngineError, Input, Parameters, View, bytes, elements, sealed, unwinding,
};

/// The rten runtime with a thread pool of its own.
#[derive(Debug, Clone)]
pub struct Rten {
    pool: Arc<ThreadPool>,
    threads: u16,
}

/// The version in this workspace's `Cargo.lock`; a test compares them. Of it are the words in [`failure`] and the differences in
/// `deepring-onnx`.
const RTEN_VERSION: &str = "0.27.0";

/// A graph that rten has loaded.
pub struct RtenProgram {
    model: Model,
    inputs: Vec<NodeId>,
    /// Stations of the planner, then the outputs.
    wanted: Vec<NodeId>,
    stations: usize,
}

impl std::fmt::Debug for RtenProgram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RtenProgram").finish_non_exhaustive()
    }
}

impl Rten {
    /// An engine with this many threads; `None` for one per available CPU.
    #[must_use]
    pub fn new(threads: Option<NonZeroUsize>) -> Self {
        let default = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let threads = threads.map_or_else(default, NonZeroUsize::get);
        let stated = u16::try_from(threads).unwrap_or(u16::MAX);
        Self { pool: Arc::new(ThreadPool::with_num_threads(threads)), threads: stated }
    }

    fn options(&self) -> RunOptions {
        RunOptions::default().with_thread_pool(Some(Arc::clone(&self.pool)))
    }

    fn program(
        model: Model,
        inputs: &[&str],
        stations: &[String],
        outputs: &[&str],
    ) -> Result<RtenProgram, EngineError> {
        let inputs = node_ids(&model, inputs)?;
        let outputs = node_ids(&model, outputs)?;
        // What the engine fused away is no station, and needs none.
        let found = stations.iter().filter_map(|name| model.find_node(name));
        let stations: Vec<NodeId> = found.filter(|id| !outputs.contains(id)).collect();
        let count = stations.len();
        let wanted = stations.into_iter().chain(outputs).collect();
        Ok(RtenProgram { model, inputs, wanted, stations: count })
    }
}

impl sealed::Sealed for Rten {}

impl Engine for Rten {
    type Program = RtenProgram;
    type Value = Value;

    const IN_PLACE: bool = true;
    const PARTS_ALIKE: bool = true;

    fn computed_with(&self) -> ComputedWith {
        super::described("rten", RTEN_VERSION, mathematics::digest(), self.threads)
    }

    fn load(
        &self,
        graph: &[u8],
        parameters: Parameters,
        inputs: &[&str],
        outputs: &[&str],
    ) -> Result<RtenProgram, EngineError> {
        let prepared = prepared::prepare(graph, bytes_exact::is_needed()).ok_or_else(|| {
            EngineError::Load {
                reason: "no graph, or a branch or loop of more than 256 nodes in a row".to_owned(),
            }
        })?;
        let load = || {
            ModelOptions::with_all_ops()
                // A packed weight is a copy, which no check would cover.
                .prepack_weights(false)
                // Nor one that optimisation makes of constants; and some of what it puts in the place of several
                // operators computes something else (docs/adr/0009).
                .enable_optimization(false)
                .external_data_static(PARAMS_FILE, parameters.bytes)
                .external_data_static(SHARED_FILE, parameters.shared())
                .load(prepared.graph)
                .map_err(|e| EngineError::Load { reason: e.to_string() })
        };
        let model = unwinding(load).unwrap_or_else(|reason| Err(EngineError::Load { reason }))?;
        Self::program(model, inputs, &prepared.stations, outputs)
    }

    fn load_file(
        &self,
        path: &Path,
        inputs: &[&str],
        outputs: &[&str],
    ) -> Result<RtenProgram, EngineError> {
        let load =
            || Model::load_file(path).map_err(|e| EngineError::Load { reason: e.to_string() });
        let model = unwinding(load).unwrap_or_else(|reason| Err(EngineError::Load { reason }))?;
        Self::program(model, inputs, &[], outputs)
    }

    fn run(
        &self,
        program: &RtenProgram,
        inputs: Vec<Input<'_, Value>>,
    ) -> Result<Vec<Value>, EngineError> {
        let inputs = program
            .inputs
            .iter()
            .zip(inputs)
            .map(|(id, input)| {
                let value = match input {
                    Input::Borrowed(value) => ValueOrView::View(value.as_view()),
                    Input::Owned(value) => ValueOrView::Value(value),
                };
                (*id, value)
            })
            .collect();
        let run = || program.model.run(inputs, &program.wanted, Some(self.options()));
        let ran =
            unwinding(run).map_err(|reason| EngineError::Run { reason, unsupported: false })?;
        let ran = ran.map(|mut values| values.split_off(program.stations.min(values.len())));
        ran.map_err(|e| failure(e.kind() == RunErrorKind::OperatorError, e.to_string()))
    }

    fn import(&self, tensor: &TensorValue) -> Result<Value, EngineError> {
        let refuse = |reason: &str| EngineError::Value {
            name: tensor.name().to_owned(),
            reason: reason.to_owned(),
        };
        let shape: Vec<usize> = tensor
            .dims()
            .iter()
            .map(|d| usize::try_from(*d))
            .collect::<Result<_, _>>()
            .map_err(|_| refuse("a dimension does not fit this machine"))?;
        let data = tensor.data();
        let wide = || refuse("the engine holds signed integers of 32 bits, and one does not fit");
        let value = match tensor.dtype() {
            DType::F32 => shaped(shape, elements(data, f32::from_le_bytes)),
            // Exact: every number of half precision is one of single precision.
            DType::F16 => shaped(shape, elements(data, |b| half::f16::from_le_bytes(b).to_f32())),
            DType::Bf16 => shaped(shape, elements(data, |b| half::bf16::from_le_bytes(b).to_f32())),
            DType::U16 => shaped(shape, elements(data, |b| i32::from(u16::from_le_bytes(b)))),
            DType::I16 => shaped(shape, elements(data, |b| i32::from(i16::from_le_bytes(b)))),
            DType::F64 => {
                let wide = elements(data, f64::from_le_bytes);
                if wide.iter().any(|v| v.is_finite() && !(*v as f32).is_finite()) {
                    return Err(refuse("the engine holds floats of 32 bits, and one is too large"));
                }
                shaped(shape, wide.into_iter().map(|v| v as f32).collect())
            }
            DType::I32 => shaped(shape, elements(data, i32::from_le_bytes)),
            DType::I64 => shaped(
                shape,
                narrow::<_, i32>(elements(data, i64::from_le_bytes)).ok_or_else(wide)?,
            ),
            DType::U32 => shaped(
                shape,
                narrow::<_, i32>(elements(data, u32::from_le_bytes)).ok_or_else(wide)?,
            ),
            DType::U64 => shaped(
                shape,
                narrow::<_, i32>(elements(data, u64::from_le_bytes)).ok_or_else(wide)?,
            ),
            DType::Bool => shaped(shape, elements(data, |[b]| i32::from(b != 0))),
            DType::U8 => shaped(shape, data.to_vec()),
            DType::I8 => shaped(shape, elements(data, i8::from_le_bytes)),
        };
        value.ok_or_else(|| refuse("shape and data do not fit each other"))
    }

    fn view<'a>(&self, value: &'a Value) -> Option<View<'a>> {
        let (dims, elements) = match value {
            Value::FloatTensor(t) => {
                let (dims, elements) = viewed(t);
                (dims, Elements::F32(elements))
            }
            Value::Int32Tensor(t) => {
                let (dims, elements) = viewed(t);
                (dims, Elements::I32(elements))
            }
            Value::Int8Tensor(t) => {
                let (dims, elements) = viewed(t);
                (dims, Elements::I8(elements))
            }
            Value::UInt8Tensor(t) => {
                let (dims, elements) = viewed(t);
                (dims, Elements::U8(elements))
            }
            _ => return None,
        };
        Some(View { dims, elements })
    }

    fn export(&self, value: &Value, spec: &TensorSpec) -> Result<TensorValue, EngineError> {
        let refuse = |reason: String| EngineError::Value { name: spec.name.clone(), reason };
        let beyond = || refuse(format!("an integer is none of {}", spec.dtype.name()));
        let (shape, data) = match (value, spec.dtype) {
            (Value::FloatTensor(t), DType::F32) => {
                (t.shape().to_vec(), bytes(t.iter().copied(), f32::to_le_bytes))
            }
            (Value::FloatTensor(t), DType::F16) => {
                let halves = t.iter().map(|v| half::f16::from_f32(*v));
                (t.shape().to_vec(), bytes(halves, half::f16::to_le_bytes))
            }
            (Value::FloatTensor(t), DType::Bf16) => {
                let halves = t.iter().map(|v| half::bf16::from_f32(*v));
                (t.shape().to_vec(), bytes(halves, half::bf16::to_le_bytes))
            }
            (Value::FloatTensor(t), DType::F64) => {
                (t.shape().to_vec(), bytes(t.iter().map(|v| f64::from(*v)), f64::to_le_bytes))
            }
            (Value::Int32Tensor(t), DType::I32) => {
                (t.shape().to_vec(), bytes(t.iter().copied(), i32::to_le_bytes))
            }
            (Value::Int32Tensor(t), DType::I64) => {
                (t.shape().to_vec(), bytes(t.iter().map(|v| i64::from(*v)), i64::to_le_bytes))
            }
            (Value::Int32Tensor(t), DType::U16) => {
                let fitting = narrow(t.iter().copied()).ok_or_else(beyond)?;
                (t.shape().to_vec(), bytes(fitting.into_iter(), u16::to_le_bytes))
            }
            (Value::Int32Tensor(t), DType::I16) => {
                let fitting = narrow(t.iter().copied()).ok_or_else(beyond)?;
                (t.shape().to_vec(), bytes(fitting.into_iter(), i16::to_le_bytes))
            }
            (Value::Int32Tensor(t), DType::U32) => {
                let fitting = narrow(t.iter().copied()).ok_or_else(beyond)?;
                (t.shape().to_vec(), bytes(fitting.into_iter(), u32::to_le_bytes))
            }
            (Value::Int32Tensor(t), DType::U64) => {
                let fitting = narrow(t.iter().copied()).ok_or_else(beyond)?;
                (t.shape().to_vec(), bytes(fitting.into_iter(), u64::to_le_bytes))
            }
            (Value::Int32Tensor(t), DType::Bool) => {
                (t.shape().to_vec(), t.iter().map(|v| u8::from(*v != 0)).collect())
            }
            (Value::Int8Tensor(t), DType::I8) => {
                (t.shape().to_vec(), bytes(t.iter().copied(), i8::to_le_bytes))
            }
            (Value::UInt8Tensor(t), DType::U8) => (t.shape().to_vec(), t.iter().copied().collect()),
            (Value::Sequence(_), _) => {
                return Err(refuse("a sequence cannot cross a cut".to_owned()));
            }
            (other, declared) => {
                let reason =
                    format!("declared {}, the engine gave {:?}", declared.name(), other.dtype());
                return Err(refuse(reason));
            }
        };
        let dims = shape.iter().map(|d| *d as u64).collect();
        TensorValue::new(&spec.name, spec.dtype, dims, data).map_err(|e| refuse(e.to_string()))
    }

    fn within<R: Send>(&self, query: impl FnOnce() -> R + Send) -> R {
        self.pool.run(query)
    }
}

/// The error of a failed run. The engine's errors have no kinds for it, so its words are looked for: here and nowhere else,
/// and they are those of [`RTEN_VERSION`].
fn failure(of_operator: bool, reason: String) -> EngineError {
    if let Some(tensor) = complaint_of_guard(&reason) {
        return EngineError::Integer { tensor: tensor.to_owned() };
    }
    let said = reason.to_lowercase();
    // A rank does not depend on what the inputs hold: one that is refused always will be.
    let rank = said.contains("must have") && said.contains(" dims");
    // Nor does a type.
    let kind = said.contains("expected tensor with type");
    let unsupported = of_operator && (rank || kind || said.contains("unsupported"));
    EngineError::Run { reason, unsupported }
}

fn node_ids(model: &Model, names: &[&str]) -> Result<Vec<NodeId>, EngineError> {
    names
        .iter()
        .map(|name| {
            let missing = || EngineError::NoSuchTensor { name: (*name).to_owned() };
            model.find_node(name).ok_or_else(missing)
        })
        .collect()
}

fn viewed<T: Clone>(tensor: &Tensor<T>) -> (Vec<usize>, Cow<'_, [T]>) {
    let elements = tensor.data().map_or_else(|| Cow::Owned(tensor.to_vec()), Cow::Borrowed);
    (tensor.shape().to_vec(), elements)
}

/// `None` if one does not fit.
fn narrow<T, U: TryFrom<T>>(wide: impl IntoIterator<Item = T>) -> Option<Vec<U>> {
    wide.into_iter().map(|v| U::try_from(v).ok()).collect()
}

fn shaped<T>(shape: Vec<usize>, data: Vec<T>) -> Option<Value>
where
    Value: From<Tensor<T>>,
{
    Tensor::try_from_data(&shape, data).ok().map(Value::from)
}
