//! A block in memory: opened so that its tags are of what was authenticated, loaded, and used under its check.

use std::ops::Range;
use std::sync::Arc;

use deepring::codec::DecodeError;
use deepring::opening::OpenError;
use deepring::{AuthenticRing, Check, Header, Host, OpenedBlock, PartKind, SecretKey};
use deepring_memory::Protection;

use super::alarms::Alarms;
use super::fault::at_opening;
use super::opening::BlockMemory;
use super::shared::SharedBlock;
use crate::checks::{
    Arithmetic, BlockCheck, CheckFault, Mode, Operators, PlanKind, Recomputed, exposing,
    names_parts_alone,
};
use crate::engine::names;
use crate::engine::{Engine, EngineError};
use crate::error::RunError;
use crate::weights::{BoundPrograms, ProgramSource, secret_room, shared_from};

/// An opened block: its parameters, read-only, the programs that read them, and its check.
///
/// A use of it is a value: [`begin`](Self::begin) compares what is due before, [`BlockUse::run`](super::BlockUse::run) computes,
/// [`Unchecked::verify`](super::Unchecked::verify) verifies and measures. A fault takes the block out of use until it is
/// opened anew.
pub struct LoadedBlock<E: Engine> {
    ring: Arc<AuthenticRing>,
    engine: Arc<E>,
    key: SecretKey<Host>,
    header: Header,
    bound: BoundPrograms<E>,
    programs: Programs,
    opened: OpenedBlock,
    check: Option<BlockCheck>,
    /// Inputs of the block that linear operators of floats read as they are.
    read_linearly: Vec<String>,
    /// Values that the engine gives out for the check, besides inputs and outputs.
    exposed: Vec<String>,
    alarms: Arc<Alarms>,
}

/// Which of the loaded programs does what; all are loaded when the block is opened, from a verified copy of its graph.
#[derive(Debug, Default, Clone, Copy)]
struct Programs {
    /// Gives out what the check looks at; for a host that looks at nothing, the block as it is.
    main: usize,
    recomputed: Option<usize>,
}

/// The protection of a block's bytes in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockProtection {
    /// The parameters' pages.
    pub parameters: Protection,
    /// The pages of keys, tags and secrets; `None` where nothing is compared.
    pub secrets: Option<Protection>,
}

impl<E: Engine> std::fmt::Debug for LoadedBlock<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadedBlock").field("index", &self.header.index).finish_non_exhaustive()
    }
}

impl<E: Engine> LoadedBlock<E> {
    pub(super) fn open(
        (ring, engine): (&Arc<AuthenticRing>, &Arc<E>),
        key: &SecretKey<Host>,
        index: u32,
        (check, shared): (Check, &[SharedBlock]),
        alarms: &Arc<Alarms>,
    ) -> Result<Self, RunError> {
        let count = ring.headers().len();
        let missing =
            || OpenError::NoSuchBlock { index, count: u32::try_from(count).unwrap_or(u32::MAX) };
        let header = ring.headers().get(index as usize).ok_or_else(missing)?;
        let BlockMemory { buffer, opened, check: made } =
            BlockMemory::of(ring, key, header, Mode::of(check, E::PARTS_ALIKE), shared)?;
        let graph = graph_of(header, buffer.bytes(), made.as_ref())?;
        if !names_parts_alone(&graph, &header.parts) {
            let source = DecodeError::Contradiction { field: "graph", with: "parts" };
            return Err(OpenError::Malformed { index, source }.into());
        }
        let mut block = Self {
            ring: Arc::clone(ring),
            engine: Arc::clone(engine),
            key: key.clone(),
            header: header.clone(),
            bound: BoundPrograms::of_buffer(buffer, shared_from(&header.parts)),
            programs: Programs::default(),
            opened,
            check: made,
            read_linearly: read_linearly(&graph, header),
            exposed: Vec::new(),
            alarms: Arc::clone(alarms),
        };
        let loaded = block.load_programs(&graph);
        loaded.map_err(|source| RunError::Engine { block: header.name.clone(), source })?;
        Ok(block)
    }

    /// Loads every program that a use may need.
    fn load_programs(&mut self, graph: &[u8]) -> Result<(), EngineError> {
        let header = self.header.clone();
        let outputs = names(&header.outputs);
        let Some(check) = self.check.as_ref() else {
            let source = ProgramSource { graph, inputs: &names(&header.inputs), outputs: &outputs };
            self.programs.main = self.bound.add(&self.engine, source)?;
            return Ok(());
        };
        self.exposed = check.operators().exposed(&header.inputs, &header.outputs);
        let lent = lent::<E>(check);
        let source = (graph, &self.exposed[..], &lent[..]);
        self.programs.main = add_exposing(&*self.engine, &mut self.bound, &self.header, source)?;
        self.load_rest()
    }

    /// The block once more: its parameters copied, and each piece of the copy compared with its tag; and the program of a use.
    pub(super) fn copied(&self) -> Result<(BoundPrograms<E>, usize), CheckFault> {
        let check = self.check.as_ref().ok_or(CheckFault::Structure)?;
        let mut buffer = secret_room(self.bytes().len()).ok_or(CheckFault::NoMemory)?;
        for (number, part) in self.header.parts.iter().enumerate() {
            let place = buffer.bytes_mut().get_mut(part.offset as usize..part.end() as usize);
            check.copy_into(self.bytes(), number, place.ok_or(CheckFault::Structure)?)?;
        }
        let mut copy = BoundPrograms::of_buffer(buffer, shared_from(&self.header.parts));
        let graph = check.graph(self.bytes())?.ok_or(CheckFault::Structure)?;
        let lent = lent::<E>(check);
        let source = (&graph[..], &self.exposed[..], &lent[..]);
        let program = add_exposing(&*self.engine, &mut copy, &self.header, source);
        Ok((copy, program.map_err(|e| CheckFault::Engine { reason: e.to_string() })?))
    }

    fn load_rest(&mut self) -> Result<(), EngineError> {
        let Some(check) = self.check.as_ref() else { return Ok(()) };
        let Some(recomputed) = check.recomputed().filter(|r| !r.graph.is_empty()) else {
            return Ok(());
        };
        let program = if E::PARTS_ALIKE {
            let inputs: Vec<&str> = recomputed.inputs.iter().map(String::as_str).collect();
            let outputs: Vec<&str> = recomputed.outputs.iter().map(String::as_str).collect();
            let source =
                ProgramSource { graph: &recomputed.graph, inputs: &inputs, outputs: &outputs };
            self.bound.add(&self.engine, source)?
        } else {
            // The program of a use once more: only the same graph gives the same bits.
            let lent = lent::<E>(check);
            let source = (&recomputed.graph[..], &self.exposed[..], &lent[..]);
            add_exposing(&*self.engine, &mut self.bound, &self.header, source)?
        };
        self.programs.recomputed = Some(program);
        Ok(())
    }

    /// The plan that is followed whatever was observed.
    pub(super) fn fixed_plan(&self) -> Option<PlanKind> {
        self.check.as_ref().and_then(BlockCheck::fixed_plan)
    }

    pub(super) fn check(&self) -> Option<&BlockCheck> {
        self.check.as_ref()
    }

    pub(super) fn engine(&self) -> &E {
        &self.engine
    }

    pub(super) fn ring(&self) -> &AuthenticRing {
        &self.ring
    }

    pub(super) fn key(&self) -> &SecretKey<Host> {
        &self.key
    }

    pub(super) fn alarms(&self) -> &Alarms {
        &self.alarms
    }

    /// The block's header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Returns whether a use must leave the block's inputs as they are, because its check looks at them.
    pub(super) fn keeps_inputs(&self) -> bool {
        self.check.as_ref().is_some_and(BlockCheck::looks_at_outputs)
    }

    /// Returns whether a linear operator of floats reads this input of the block as it is.
    pub(super) fn reads_linearly(&self, name: &str) -> bool {
        self.read_linearly.iter().any(|read| read == name)
    }

    pub(super) fn program(&self) -> Option<&E::Program> {
        self.bound.program(self.programs.main)
    }

    /// Names of what the program of a use gives out: outputs, and what the check looks at.
    pub(super) fn given_out(&self) -> Vec<&str> {
        let mut given_out = names(&self.header.outputs);
        given_out.extend(self.exposed.iter().map(String::as_str));
        given_out
    }

    /// The part that is computed a second time, and the program that does; no program where there is nothing to compute.
    pub(super) fn recomputed(&self) -> Option<(&Recomputed, Option<&E::Program>)> {
        let recomputed = self.check.as_ref()?.recomputed()?;
        Some((recomputed, self.programs.recomputed.and_then(|number| self.bound.program(number))))
    }

    pub(super) fn opened(&self) -> &OpenedBlock {
        &self.opened
    }

    /// The live bytes, as they are now, at the places that the header's parts name.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bound.bytes()
    }

    /// The protection of the block's bytes and of its check's secrets.
    #[must_use]
    pub fn protection(&self) -> BlockProtection {
        BlockProtection {
            parameters: self.bound.protection(),
            secrets: self.check.as_ref().map(BlockCheck::protection),
        }
    }
}

/// Where the parameters stand that are given to each run in place: of an engine that computes with copies, those that no
/// product covers.
fn lent<E: Engine>(check: &BlockCheck) -> Vec<u64> {
    if E::IN_PLACE { Vec::new() } else { check.read_in_place() }
}

/// Loads a block's graph over its parameters with these values given out besides its outputs, and these parameters given in.
fn add_exposing<E: Engine>(
    engine: &E,
    bound: &mut BoundPrograms<E>,
    header: &Header,
    (graph, exposed, lent): (&[u8], &[String], &[u64]),
) -> Result<usize, EngineError> {
    let mut given_out = names(&header.outputs);
    given_out.extend(exposed.iter().map(String::as_str));
    let graph =
        exposing(graph, exposed, (lent, &header.parts)).ok_or_else(|| EngineError::Load {
            reason: "the block's graph cannot be given out for its check".to_owned(),
        })?;
    let inputs = names(&header.inputs);
    bound.add(engine, ProgramSource { graph: &graph, inputs: &inputs, outputs: &given_out })
}

/// The same whatever is checked, so that the same inputs are taken.
fn read_linearly(graph: &[u8], header: &Header) -> Vec<String> {
    let linears = Operators::of(graph, &header.parts).linears;
    let floats = linears.into_iter().filter(|l| matches!(l.arithmetic, Arithmetic::Floats { .. }));
    let read = floats.map(|l| l.x.value);
    read.filter(|name| header.inputs.iter().any(|s| s.name == *name)).collect()
}

/// The block's graph: a verified copy, where there are tags to verify it with.
fn graph_of(
    header: &Header,
    bytes: &[u8],
    check: Option<&BlockCheck>,
) -> Result<Vec<u8>, RunError> {
    let graph = match check {
        Some(check) => check.graph(bytes),
        None => Ok(graph_range(header).and_then(|at| Some(bytes.get(at)?.to_vec()))),
    };
    let graph = graph.map_err(|fault| at_opening(header, fault))?;
    graph.ok_or(RunError::NoGraph { block: header.index })
}

fn graph_range(header: &Header) -> Option<Range<usize>> {
    let part = header.parts.iter().find(|p| p.kind == PartKind::Graph)?;
    Some(usize::try_from(part.offset).ok()?..usize::try_from(part.end()).ok()?)
}
