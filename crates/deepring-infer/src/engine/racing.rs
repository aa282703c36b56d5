//! An engine that is raced: an attacker who knows to the instruction when a block's check ends and its use begins.
//!
//! For attacks and tests (feature `tamper`). Whatever an attacker from outside gets by polling and real-time priority, or
//! with a debugger's breakpoints, this one has every time: it is called right before and right after each run of each
//! program, with the live parameters that the program reads, and may change what the run computed.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use deepring::receipt::ComputedWith;
use deepring::{TensorSpec, TensorValue};

use super::{Engine, EngineError, Input, Parameters, View, sealed};

/// The argument of an attacker's call.
#[derive(Debug)]
pub enum Race<'r, V> {
    /// The checks before are done, and the engine is about to read.
    Before {
        /// Which program, in the order in which they were loaded.
        program: usize,
        /// The parameters that it reads.
        live: &'r [u8],
    },
    /// The engine has read, and nothing is verified yet.
    After {
        /// Which program, in the order in which they were loaded.
        program: usize,
        /// The parameters that it read.
        live: &'r [u8],
        /// The outputs that it computed, to be changed at will.
        outputs: &'r mut Vec<V>,
    },
}

type Attacker<V> = Box<dyn FnMut(Race<'_, V>) + Send>;

/// An engine with an attacker inside.
pub struct Racing<E: Engine> {
    engine: E,
    attacker: Mutex<Attacker<E::Value>>,
    loaded: AtomicUsize,
    states: Option<ComputedWith>,
}

/// A program of an engine that is raced.
#[derive(Debug)]
pub struct RacedProgram<P> {
    program: P,
    number: usize,
    live: &'static [u8],
}

impl<E: Engine> std::fmt::Debug for Racing<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Racing").finish_non_exhaustive()
    }
}

impl<E: Engine> Racing<E> {
    /// Races `engine` with this attacker.
    pub fn new(engine: E, attacker: impl FnMut(Race<'_, E::Value>) + Send + 'static) -> Self {
        let attacker = Mutex::new(Box::new(attacker) as Attacker<E::Value>);
        Self { engine, attacker, loaded: AtomicUsize::new(0), states: None }
    }

    /// The same, stating in its receipts that it computes with something else.
    #[must_use]
    pub fn stating(self, computed_with: ComputedWith) -> Self {
        Self { states: Some(computed_with), ..self }
    }

    fn attack(&self, race: Race<'_, E::Value>) {
        (self.attacker.lock().unwrap_or_else(PoisonError::into_inner))(race);
    }
}

impl<E: Engine> sealed::Sealed for Racing<E> {}

impl<E: Engine> Engine for Racing<E> {
    type Program = RacedProgram<E::Program>;
    type Value = E::Value;

    fn computed_with(&self) -> ComputedWith {
        self.states.clone().unwrap_or_else(|| self.engine.computed_with())
    }

    const IN_PLACE: bool = E::IN_PLACE;
    const PARTS_ALIKE: bool = E::PARTS_ALIKE;

    fn load(
        &self,
        graph: &[u8],
        parameters: Parameters,
        inputs: &[&str],
        outputs: &[&str],
    ) -> Result<Self::Program, EngineError> {
        let program = self.engine.load(graph, parameters, inputs, outputs)?;
        // Kept in the program alone, as the trait asks.
        let number = self.loaded.fetch_add(1, Ordering::Relaxed);
        Ok(RacedProgram { program, number, live: parameters.bytes })
    }

    fn load_file(
        &self,
        path: &Path,
        inputs: &[&str],
        outputs: &[&str],
    ) -> Result<Self::Program, EngineError> {
        let program = self.engine.load_file(path, inputs, outputs)?;
        let number = self.loaded.fetch_add(1, Ordering::Relaxed);
        Ok(RacedProgram { program, number, live: &[] })
    }

    fn run(
        &self,
        program: &Self::Program,
        inputs: Vec<Input<'_, Self::Value>>,
    ) -> Result<Vec<Self::Value>, EngineError> {
        let RacedProgram { program, number, live } = program;
        self.attack(Race::Before { program: *number, live });
        let mut ran = self.engine.run(program, inputs);
        // Also after a run that failed: what was put in place is to be taken back.
        let mut nothing = Vec::new();
        let outputs = ran.as_mut().unwrap_or(&mut nothing);
        self.attack(Race::After { program: *number, live, outputs });
        ran
    }

    fn import(&self, tensor: &TensorValue) -> Result<Self::Value, EngineError> {
        self.engine.import(tensor)
    }

    fn view<'a>(&self, value: &'a Self::Value) -> Option<View<'a>> {
        self.engine.view(value)
    }

    fn same(&self, a: &E::Value, b: &E::Value) -> bool {
        self.engine.same(a, b)
    }

    fn export(&self, value: &Self::Value, spec: &TensorSpec) -> Result<TensorValue, EngineError> {
        self.engine.export(value, spec)
    }

    fn within<R: Send>(&self, query: impl FnOnce() -> R + Send) -> R {
        self.engine.within(query)
    }
}
