//! A trial while sealing: each block is loaded by the engine, and run once where inputs can be made up.
//!
//! Operators that the engine lacks are found here, by name, and not at the first query. Inputs of which the network
//! leaves nothing open (floats of fixed dimensions) must run. Others can be unsuitable when made up; with
//! them only what the engine says it does not support counts, and any other failure just ends the trial.

use std::collections::HashMap;

use deepring::{DType, Dim, TensorSpec, TensorValue};
use deepring_memory::Region;
use deepring_onnx::CutModel;

use crate::engine::names;
use crate::engine::{Engine as _, EngineError, Input, Rten};
use crate::weights::BoundPrograms;

/// Larger inputs than this are not made up.
const MAX_ELEMENTS: u64 = 1 << 25;

pub(crate) struct DryRun<'a> {
    engine: Rten,
    model: &'a CutModel,
    /// True if the network leaves nothing about its inputs open that could make a run fail.
    exact: bool,
    /// The values that blocks gave so far; `None` once the trial run has ended.
    values: Option<HashMap<String, <Rten as crate::engine::Engine>::Value>>,
}

impl<'a> DryRun<'a> {
    pub(crate) fn new(engine: Rten, model: &'a CutModel) -> Self {
        let made_up = model.inputs.iter().map(|spec| {
            let value = engine.import(&made_up(spec)?).ok()?;
            Some((spec.name.clone(), value))
        });
        let values = made_up.collect();
        let fixed = |spec: &TensorSpec| {
            let dims = spec.dims.as_ref();
            matches!(spec.dtype, DType::F32 | DType::F64)
                && dims.is_some_and(|d| d.iter().all(|d| matches!(d, Dim::Fixed(_))))
        };
        let exact = model.inputs.iter().all(fixed);
        Self { engine, model, exact, values }
    }

    /// Loads block `index` (from 0) out of its plaintext, where that is shared from, and runs it if all before it ran.
    pub(crate) fn load(
        &mut self,
        index: usize,
        plaintext: (Region, usize),
        graph: std::ops::Range<usize>,
    ) -> Result<BoundPrograms<Rten>, EngineError> {
        let Some(block) = self.model.blocks.get(index) else {
            return Err(EngineError::Load { reason: format!("there is no block {index}") });
        };
        let bound = BoundPrograms::load(
            &self.engine,
            plaintext,
            graph,
            &names(&block.inputs),
            &names(&block.outputs),
        )?;
        if let Some(mut values) = self.values.take() {
            let inputs: Option<Vec<_>> =
                block.inputs.iter().map(|t| values.get(&t.name).map(Input::Borrowed)).collect();
            let (Some(inputs), Some(program)) = (inputs, bound.program(0)) else {
                return Ok(bound);
            };
            let ran = self.engine.within(|| self.engine.run(program, inputs));
            match ran {
                Ok(outputs) => {
                    values.extend(block.outputs.iter().map(|t| t.name.clone()).zip(outputs));
                    let later = self.model.blocks.get(index + 1..).unwrap_or_default();
                    let needed = |name: &String| {
                        later.iter().any(|b| b.inputs.iter().any(|t| t.name == *name))
                    };
                    values.retain(|name, _| needed(name));
                    self.values = Some(values);
                }
                Err(EngineError::Run { reason, unsupported }) if unsupported || self.exact => {
                    return Err(EngineError::Run { reason, unsupported });
                }
                Err(e @ EngineError::Integer { .. }) if self.exact => return Err(e),
                Err(e) => tracing::debug!(block = %block.name, "trial run ended: {e}"),
            }
        }
        Ok(bound)
    }
}

/// An input with 1 for every dimension that a query decides, zeros for integers, halves for floats.
fn made_up(spec: &TensorSpec) -> Option<TensorValue> {
    let dims: Vec<u64> = spec
        .dims
        .as_ref()?
        .iter()
        .map(|d| match d {
            Dim::Fixed(n) => *n,
            Dim::Named(_) => 1,
        })
        .collect();
    let count =
        dims.iter().try_fold(1u64, |n, d| n.checked_mul(*d)).filter(|n| *n <= MAX_ELEMENTS)?;
    let element = match spec.dtype {
        DType::F32 => 0.5f32.to_le_bytes().to_vec(),
        DType::F64 => 0.5f64.to_le_bytes().to_vec(),
        other => vec![0; other.size()],
    };
    TensorValue::new(&spec.name, spec.dtype, dims, element.repeat(usize::try_from(count).ok()?))
        .ok()
}
