//! The unprotected run, for comparison: the network's file as it is, in the same engine.

use std::num::NonZeroUsize;
use std::path::Path;

use deepring::{TensorSpec, TensorValue};

use crate::canonical::canonicalise;
use crate::engine::{Engine, EngineError, Input, Rten};
use crate::error::{InputError, RunError};
use crate::inputs::{check_inputs, list, names};
use crate::onnx::{ImportError, read_onnx};

/// A network loaded by the engine itself, with nothing checked and nothing signed.
pub struct PlainModel<E: Engine = Rten> {
    engine: E,
    program: E::Program,
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
}

impl<E: Engine> std::fmt::Debug for PlainModel<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlainModel")
            .field("inputs", &self.inputs)
            .field("outputs", &self.outputs)
            .finish_non_exhaustive()
    }
}

/// Why a plain network could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlainError {
    /// The file is no network that can be imported.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The engine cannot run it.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl PlainModel {
    /// Loads an ONNX file in the default engine.
    pub fn load(path: &Path, threads: Option<NonZeroUsize>) -> Result<Self, PlainError> {
        Self::load_on(Rten::new(threads), path)
    }
}

impl<E: Engine> PlainModel<E> {
    /// Loads an ONNX file. Only its declared inputs and outputs come from our importer; the graph and
    /// the weights are read by the engine's own loader.
    pub fn load_on(engine: E, path: &Path) -> Result<Self, PlainError> {
        let declared = canonicalise(read_onnx(path)?)?;
        let (inputs, outputs) = (declared.inputs(), declared.outputs());
        drop(declared);
        let program = engine.load_file(path, &names(&inputs), &names(&outputs))?;
        Ok(Self { engine, program, inputs, outputs })
    }

    /// The network's inputs.
    #[must_use]
    pub fn inputs(&self) -> &[TensorSpec] {
        &self.inputs
    }

    /// The network's outputs.
    #[must_use]
    pub fn outputs(&self) -> &[TensorSpec] {
        &self.outputs
    }

    /// Answers one query; outputs are in the order of the network's.
    pub fn run(&self, inputs: &[TensorValue]) -> Result<Vec<TensorValue>, RunError> {
        if inputs.is_empty() && !self.inputs.is_empty() {
            return Err(InputError::Nothing { expected: list(&self.inputs) }.into());
        }
        check_inputs(&self.inputs, inputs)?;
        let engine = &self.engine;
        engine.within(|| {
            let mut given = Vec::with_capacity(self.inputs.len());
            for spec in &self.inputs {
                if let Some(value) = inputs.iter().find(|v| v.name() == spec.name) {
                    given.push(Input::Given(engine.import(value)?));
                }
            }
            let outputs = engine.run(&self.program, given)?;
            let pairs = outputs.iter().zip(&self.outputs);
            Ok(pairs.map(|(v, spec)| engine.export(v, spec)).collect::<Result<_, _>>()?)
        })
    }
}
