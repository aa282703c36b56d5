//! The owner of a block's live bytes: one aligned buffer that the engine reads in place.
//!
//! `unsafe` is allowed here and, for another reason, in `kernels/dispatch.rs`. The engine wants its
//! parameters as a `&'static [u8]`, which it keeps as long as the loaded program lives; a buffer that is
//! never freed would do, but sessions come and go. [`BoundPrograms`] therefore owns both, gives the slice to
//! nothing but the engine's `load` (the [`Engine`] trait is sealed, and our engines keep it only in the
//! program), and drops its programs before the buffer.
//!
//! An attacker who writes to the process's memory is outside what any language can describe; the
//! checks read the buffer through calls that the compiler cannot see through, so each one looks at the
//! bytes as they are then.
#![allow(unsafe_code)]

use std::ops::Range;

use deepring::Part;
use deepring_memory::{Protection, Region, Use};
use deepring_onnx::CutBlock;
use deepring_onnx::ImportError;

use crate::engine::names;
use crate::engine::{Engine, EngineError, Parameters};

/// Blocks with at most this many bytes of plaintext are kept in secret memory, where there is some left.
const SMALL: usize = 1 << 20;

/// Room for a block's plaintext, which an engine can read in place; `None` if the memory is not to be had.
pub(crate) fn room(len: usize) -> Option<Region> {
    Region::new(len, if len <= SMALL { Use::SmallParameters } else { Use::Bulk })
}

/// Room for a copy of parameters that lives for one use: in secret memory whatever its length, while there is some left, so
/// that who watches for it cannot write to it in time.
pub(crate) fn secret_room(len: usize) -> Option<Region> {
    Region::new(len, Use::SmallParameters)
}

/// Room for a plaintext that is sealed or exported, and not run: files are read into it, which the system does not do
/// into secret memory. `None` if the memory is not to be had.
pub(crate) fn scratch(len: usize) -> Option<Region> {
    Region::new(len, Use::Bulk)
}

/// Where in a block's plaintext what it shares with others begins: what a graph calls [`SHARED_FILE`](deepring_onnx::SHARED_FILE).
/// At its end where nothing is shared.
pub(crate) fn shared_from(parts: &[Part]) -> usize {
    let end = parts.last().map_or(0, Part::end);
    let first = parts.iter().find(|p| p.shared.is_some()).map_or(end, |p| p.offset);
    usize::try_from(first).unwrap_or(usize::MAX)
}

/// Loaded programs and the buffer that they read; dropped in this order.
pub(crate) struct BoundPrograms<E: Engine> {
    // Declared first, so dropped first: while a program lives, the buffer does.
    programs: Vec<E::Program>,
    buffer: Region,
    shared_from: usize,
}

/// A program to load: its graph, and the names of what is given in and given out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProgramSource<'a> {
    pub(crate) graph: &'a [u8],
    pub(crate) inputs: &'a [&'a str],
    pub(crate) outputs: &'a [&'a str],
}

impl<E: Engine> BoundPrograms<E> {
    /// A block that nobody has sealed.
    ///
    /// # Errors
    /// The outer one where its parameters cannot be read; the inner one where the engine, or memory, is at fault.
    pub(crate) fn of(
        engine: &E,
        block: &CutBlock,
    ) -> Result<Result<Self, EngineError>, ImportError> {
        let len = usize::try_from(block.params_len()).ok();
        let at = len.and_then(|len| len.checked_next_multiple_of(64));
        let end = at.and_then(|at| at.checked_add(block.graph.len()));
        let (Some(len), Some(at), Some(end), Some(mut buffer)) =
            (len, at, end, end.and_then(scratch))
        else {
            return Ok(Err(EngineError::Load { reason: "there is no memory for it".to_owned() }));
        };
        if let Some(parameters) = buffer.bytes_mut().get_mut(..len) {
            block.read_params(parameters)?;
        }
        if let Some(graph) = buffer.bytes_mut().get_mut(at..end) {
            graph.copy_from_slice(&block.graph);
        }
        let (inputs, outputs) = (names(&block.inputs), names(&block.outputs));
        Ok(Self::load(engine, (buffer, end), at..end, &inputs, &outputs))
    }

    /// Just the buffer, read-only from here on, with no program loaded yet; what is shared begins at `shared_from`.
    pub(crate) fn of_buffer(mut buffer: Region, shared_from: usize) -> Self {
        buffer.freeze();
        Self { programs: Vec::new(), buffer, shared_from }
    }

    /// Loads the graph that stands at `graph` in the buffer over the parameters in the same buffer.
    pub(crate) fn load(
        engine: &E,
        (buffer, shared_from): (Region, usize),
        graph: Range<usize>,
        inputs: &[&str],
        outputs: &[&str],
    ) -> Result<Self, EngineError> {
        let mut bound = Self::of_buffer(buffer, shared_from);
        let graph = bound.bytes().get(graph).map(<[u8]>::to_vec);
        let graph = graph.ok_or_else(|| EngineError::Load {
            reason: "the block has no graph where its header says".to_owned(),
        })?;
        bound.add(engine, ProgramSource { graph: &graph, inputs, outputs })?;
        Ok(bound)
    }

    /// Loads another program over the same parameters; returns its number.
    pub(crate) fn add(
        &mut self,
        engine: &E,
        source: ProgramSource<'_>,
    ) -> Result<usize, EngineError> {
        let bytes = self.buffer.bytes();
        // SAFETY: the slice points into the mapping of `buffer`, which does not move when `buffer` does, is not
        // resized (no method does), and is unmapped only when `buffer` drops. Programs are the only holders of the
        // slice; they live in `programs` alone, from where they are lent and never moved out, and `BoundPrograms` drops
        // them first; on an error of `load` there is no program. Nothing writes to the buffer through Rust while a
        // program lives: only `bytes()` is reachable from a `BoundPrograms`.
        let bytes: &'static [u8] =
            unsafe { std::slice::from_raw_parts(bytes.as_ptr(), bytes.len()) };
        let parameters = Parameters { bytes, shared_from: self.shared_from };
        let program = engine.load(source.graph, parameters, source.inputs, source.outputs)?;
        self.programs.push(program);
        Ok(self.programs.len() - 1)
    }

    /// The program of this number; the first is that of the block as it is.
    pub(crate) fn program(&self, number: usize) -> Option<&E::Program> {
        self.programs.get(number)
    }

    /// Unloads the programs; their buffer can be used again.
    pub(crate) fn into_buffer(self) -> Region {
        // The programs are the slice's only holders: they must be gone before anybody can write.
        drop(self.programs);
        self.buffer
    }

    /// The live bytes, as they are now.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.buffer.bytes()
    }

    /// The protection of the pages of the live bytes.
    pub(crate) fn protection(&self) -> Protection {
        self.buffer.protection()
    }
}
