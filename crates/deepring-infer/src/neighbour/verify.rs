//! The receiving side: verification of the tensors and the witness that a host sent, with the check of its last block.

use std::collections::HashMap;
use std::ops::Range;

use deepring::codec::DecodeError;
use deepring::{Header, TensorSpec, TensorValue};

use super::check_encoding::{self, NeighbourCheck};
use super::compare::{near, same};
use super::public_subgraph::names_of;
use crate::checks::{Misfit, Products, fits_shape, reduction_passes};
use crate::engine::{Engine, EngineError, Input, View};
use crate::weights::{BoundPrograms, scratch};

/// The check of a neighbour that a block in memory carries.
pub(crate) struct Neighbour<E: Engine> {
    /// The block that is checked.
    pub(crate) of: u32,
    /// The part that holds the check.
    pub(crate) part: usize,
    range: Range<usize>,
    recomputed: Option<RecomputedProgram<E>>,
}

/// The block's graph without parameters, loaded.
struct RecomputedProgram<E: Engine> {
    program: BoundPrograms<E>,
    inputs: Vec<String>,
    outputs: Vec<String>,
}

/// One query's share of a parcel.
#[derive(Clone, Copy)]
pub(crate) struct Query<'a> {
    /// The live tensors after the block, as sent.
    pub(crate) sent: &'a [TensorValue],
    /// The sender's witness.
    pub(crate) witness: &'a [TensorValue],
}

/// The reason why a witness is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum VerifyError {
    /// The tensors sent do not follow from the witness; or an operator's output is not that of its sealed
    /// weights, which are this part.
    Wrong(Option<usize>),
    /// Something is not shown.
    NotInWitness,
    /// The witness is so large that nothing can be said of it; no fault of its host.
    OutOfRange,
    /// The check in memory is not one, though its bytes are those that were sealed.
    Malformed,
}

impl From<EngineError> for VerifyError {
    /// An engine that stops at what is shown was shown something that no run gives.
    fn from(_: EngineError) -> Self {
        Self::Wrong(None)
    }
}

impl<E: Engine> Neighbour<E> {
    /// Reads the check that stands at `range` of a block's plaintext, and loads the rest.
    pub(crate) fn load(
        engine: &E,
        of: u32,
        part: usize,
        bytes: &[u8],
        range: Range<usize>,
    ) -> Result<Self, LoadError> {
        let none = || DecodeError::Contradiction { field: "check", with: "layout" };
        let check = check_encoding::decode(bytes.get(range.clone()).ok_or_else(none)?)?;
        let recomputed = if check.recomputed.is_empty() {
            None
        } else {
            Some(RecomputedProgram::load(engine, &check.recomputed)?)
        };
        Ok(Self { of, part, range, recomputed })
    }

    /// Holds one query against the check, decoded anew from the block's bytes as they are now.
    pub(crate) fn verify(
        &self,
        engine: &E,
        bytes: &[u8],
        checked: &Header,
        queries: &[Query<'_>],
    ) -> Result<(), VerifyError> {
        let bytes = bytes.get(self.range.clone()).ok_or(VerifyError::Malformed)?;
        let check = check_encoding::decode(bytes).map_err(|_| VerifyError::Malformed)?;
        queries.iter().try_for_each(|query| self.verify_one(engine, &check, checked, *query))
    }

    fn verify_one(
        &self,
        engine: &E,
        check: &NeighbourCheck,
        checked: &Header,
        Query { sent, witness }: Query<'_>,
    ) -> Result<(), VerifyError> {
        let in_witness = |name: &str| {
            checked.inputs.iter().any(|s| s.name == name)
                || check.linears.iter().any(|l| l.y == name)
                || check.opaque.iter().any(|o| o == name)
        };
        // What may not be shown is not believed: it would pass in place of what must be computed.
        let mut values: Values<'_, E> = HashMap::new();
        for tensor in witness.iter().filter(|t| in_witness(t.name())) {
            values.insert(tensor.name(), engine.import(tensor)?);
        }
        let computed = match &self.recomputed {
            Some(recomputed) => recomputed.run(engine, &values)?,
            None => HashMap::new(),
        };
        verify_values(engine, check, checked, sent, &values, &computed)
    }
}

type Values<'a, E> = HashMap<&'a str, <E as Engine>::Value>;

/// Holds what was sent, what was shown and what was computed from it against each other.
fn verify_values<'v, E: Engine>(
    engine: &E,
    check: &NeighbourCheck,
    checked: &Header,
    sent: &[TensorValue],
    values: &'v Values<'_, E>,
    computed: &'v Values<'_, E>,
) -> Result<(), VerifyError> {
    let value = |name: &str| -> Option<View<'v>> {
        engine.view(computed.get(name).or_else(|| values.get(name))?)
    };
    for spec in &checked.inputs {
        fits_spec(&value(&spec.name).ok_or(VerifyError::NotInWitness)?, spec)?;
    }
    for spec in &checked.outputs {
        // What nothing after it reads is not sent.
        let Some(tensor) = sent.iter().find(|t| t.name() == spec.name) else { continue };
        let imported = engine.import(tensor)?;
        let sent = engine.view(&imported).ok_or(VerifyError::Wrong(None))?;
        fits_spec(&sent, spec)?;
        let given = value(&spec.name).ok_or(VerifyError::NotInWitness)?;
        let fits = if computed.contains_key(spec.name.as_str()) { near } else { same };
        if !fits(&sent, &given) {
            return Err(VerifyError::Wrong(None));
        }
    }
    for linear in &check.linears {
        let (x, y) = (value(&linear.x.value), value(&linear.y));
        if !fits_shape(
            linear,
            &x.ok_or(VerifyError::NotInWitness)?.dims,
            &y.ok_or(VerifyError::NotInWitness)?.dims,
        ) {
            return Err(VerifyError::Wrong(Some(linear.weight)));
        }
    }
    let all: Vec<usize> = (0..check.linears.len()).collect();
    let projection = |i: usize| check.projections.get(i);
    Products::new(&check.linears)
        .verify(&reduction_passes(&check.linears, &all), &all, &projection, &value)
        .map_err(|Misfit(linear)| VerifyError::Wrong(check.linears.get(linear).map(|l| l.weight)))
        .and_then(|compared| {
            // A neighbour has no weights to look at term by term.
            if let Some(wrong) = compared.iter().find(|c| !c.differing.is_empty()) {
                return Err(VerifyError::Wrong(check.linears.get(wrong.linear).map(|l| l.weight)));
            }
            let beyond = compared.iter().any(|c| !c.open.is_empty());
            if beyond { Err(VerifyError::OutOfRange) } else { Ok(()) }
        })
}

/// Why a check was not loaded.
#[derive(Debug)]
pub(crate) enum LoadError {
    Malformed(DecodeError),
    Engine(EngineError),
}

impl From<DecodeError> for LoadError {
    fn from(e: DecodeError) -> Self {
        Self::Malformed(e)
    }
}

impl From<EngineError> for LoadError {
    fn from(e: EngineError) -> Self {
        Self::Engine(e)
    }
}

impl<E: Engine> RecomputedProgram<E> {
    fn load(engine: &E, recomputed: &[u8]) -> Result<Self, EngineError> {
        let unreadable = || EngineError::Load { reason: "the rest cannot be read".to_owned() };
        let (inputs, outputs) = names_of(recomputed).ok_or_else(unreadable)?;
        let mut buffer = scratch(recomputed.len()).ok_or_else(unreadable)?;
        buffer.bytes_mut().copy_from_slice(recomputed);
        let given_in: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let given_out: Vec<&str> = outputs.iter().map(String::as_str).collect();
        let program = BoundPrograms::load(
            engine,
            (buffer, recomputed.len()),
            0..recomputed.len(),
            &given_in,
            &given_out,
        )?;
        Ok(Self { program, inputs, outputs })
    }

    fn run(&self, engine: &E, values: &Values<'_, E>) -> Result<Values<'_, E>, VerifyError> {
        let inputs = self
            .inputs
            .iter()
            .map(|name| {
                values.get(name.as_str()).map(Input::Borrowed).ok_or(VerifyError::NotInWitness)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let program = self.program.program(0).ok_or(VerifyError::Malformed)?;
        let outputs = engine.run(program, inputs)?;
        Ok(self.outputs.iter().map(String::as_str).zip(outputs).collect())
    }
}

/// Verifies that a value has the dimensions that the ring states for it.
fn fits_spec(view: &View<'_>, spec: &TensorSpec) -> Result<(), VerifyError> {
    let Some(dims) = &spec.dims else { return Ok(()) };
    let one = |(found, stated): (&usize, &deepring::Dim)| match stated {
        deepring::Dim::Fixed(n) => *found as u64 == *n,
        deepring::Dim::Named(_) => true,
    };
    let fits = view.dims.len() == dims.len() && view.dims.iter().zip(dims).all(one);
    if fits { Ok(()) } else { Err(VerifyError::Wrong(None)) }
}
