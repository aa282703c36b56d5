//! The unprotected run, for comparison: a network's plain file, in the same engine.

use std::num::NonZeroUsize;
use std::path::Path;

use deepring::{TensorSpec, TensorValue};
use deepring_onnx::{ImportError, canonicalise, read_onnx};

use crate::engine::names;
use crate::engine::{Engine, EngineError, Input, Rten};
use crate::error::{InputError, RunError};
use crate::import::import;
use crate::query_inputs::{check_inputs, list};
use crate::weights::BoundPrograms;

/// A network with nothing checked and nothing signed.
pub struct PlainModel<E: Engine = Rten> {
    // Declared first, so dropped before the engine.
    loaded: Loaded<E>,
    engine: E,
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
}

enum Loaded<E: Engine> {
    /// By our importer.
    Imported(BoundPrograms<E>),
    /// By the engine's own loader.
    Unaltered(E::Program),
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
    /// Loads an ONNX file in the default engine, as [`load_on`](Self::load_on) does.
    ///
    /// # Errors
    /// [`PlainError::Import`] where the file is no network that can be imported; [`PlainError::Engine`] where the engine does
    /// not load it.
    pub fn load(path: &Path, threads: Option<NonZeroUsize>) -> Result<Self, PlainError> {
        Self::load_on(Rten::new(threads), path)
    }

    /// Loads an ONNX file in the default engine, as [`unaltered_on`](Self::unaltered_on) does.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn unaltered(path: &Path, threads: Option<NonZeroUsize>) -> Result<Self, PlainError> {
        Self::unaltered_on(Rten::new(threads), path)
    }
}

impl<E: Engine> PlainModel<E> {
    /// Loads an ONNX file as it would be sealed, uncut: what the engine computes otherwise than ONNX says is written in
    /// other operators, or refused.
    ///
    /// # Errors
    /// [`PlainError::Import`] for what would not be sealed either; [`PlainError::Engine`] where the engine refuses it.
    pub fn load_on(engine: E, path: &Path) -> Result<Self, PlainError> {
        let model = import(path, &Rten::new(None))?;
        let (inputs, outputs) = (model.inputs(), model.outputs());
        let resident = BoundPrograms::of(&engine, &model.whole()?)??;
        Ok(Self { loaded: Loaded::Imported(resident), engine, inputs, outputs })
    }

    /// Leaves graph and weights to the engine's own loader, with what it computes wrongly: what somebody without this
    /// program has, for measurements beside it. Only the declared inputs and outputs come from our importer.
    ///
    /// # Errors
    /// As [`load_on`](Self::load_on).
    pub fn unaltered_on(engine: E, path: &Path) -> Result<Self, PlainError> {
        let declared = canonicalise(read_onnx(path)?)?;
        let (inputs, outputs) = (declared.inputs(), declared.outputs());
        drop(declared);
        let program = engine.load_file(path, &names(&inputs), &names(&outputs))?;
        Ok(Self { loaded: Loaded::Unaltered(program), engine, inputs, outputs })
    }

    fn program(&self) -> Result<&E::Program, EngineError> {
        let none = || EngineError::Load { reason: "no graph was loaded".to_owned() };
        match &self.loaded {
            Loaded::Unaltered(program) => Ok(program),
            Loaded::Imported(resident) => resident.program(0).ok_or_else(none),
        }
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
    ///
    /// # Errors
    /// [`RunError::Input`] where the inputs are not what the network declares; [`RunError::Value`] where they do not fit the
    /// engine; [`RunError::Engine`] where it stops.
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
                    given.push(Input::Owned(engine.import(value)?));
                }
            }
            let outputs = engine.run(self.program()?, given)?;
            let pairs = outputs.iter().zip(&self.outputs);
            Ok(pairs.map(|(v, spec)| engine.export(v, spec)).collect::<Result<_, _>>()?)
        })
    }
}
