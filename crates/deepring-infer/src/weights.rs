//! The owner of a block's live bytes: one aligned buffer that the engine reads in place.
//!
//! `unsafe` is allowed here and, for another reason, in `kernels/dispatch.rs`. The engine wants its
//! parameters as a `&'static [u8]`, which it keeps as long as the loaded program lives; a buffer that is
//! never freed would do, but sessions come and go. [`Resident`] therefore owns both, gives the slice to
//! nothing but the engine's `load` (the [`Engine`] trait is sealed, and our engines keep it only in the
//! program), and drops its programs before the buffer.
//!
//! An attacker who writes to the process's memory is outside what any language can describe; the
//! checks read the buffer through calls that the compiler cannot see through, so each one looks at the
//! bytes as they are then.
#![allow(unsafe_code)]

use std::ops::Range;
use std::sync::OnceLock;

use zeroize::Zeroize as _;

use crate::engine::{Engine, EngineError};

/// Enough for any tensor's alignment, and a cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// A zeroed, 64-byte aligned buffer; wiped when dropped.
pub(crate) struct Buffer {
    lines: Vec<Line>,
    len: usize,
}

impl Buffer {
    /// `None` if the memory is not to be had.
    pub(crate) fn zeroed(len: usize) -> Option<Self> {
        let mut lines = Vec::new();
        lines.try_reserve_exact(len.div_ceil(64)).ok()?;
        lines.resize(len.div_ceil(64), Line([0; 64]));
        Some(Self { lines, len })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: `lines` holds at least `len` initialised bytes (`Line` is `repr(C)`, 64 bytes without
        // padding), `u8` has no alignment, and the borrow is that of `self`.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above; the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.bytes_mut().zeroize();
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Buffer").field("len", &self.len).finish_non_exhaustive()
    }
}

/// Programs that one buffer may have: the block as it is, and with some of its values given out.
const PROGRAMS: usize = 8;

/// Loaded programs and the buffer that they read; dropped in this order.
pub(crate) struct Resident<E: Engine> {
    // Declared first, so dropped first: while a program lives, the buffer does.
    programs: [OnceLock<E::Program>; PROGRAMS],
    buffer: Buffer,
}

impl<E: Engine> Resident<E> {
    /// Loads the graph that stands at `graph` in the buffer over the parameters in the same buffer.
    pub(crate) fn load(
        engine: &E,
        buffer: Buffer,
        graph: Range<usize>,
        inputs: &[&str],
        outputs: &[&str],
    ) -> Result<Self, EngineError> {
        let resident = Self { programs: Default::default(), buffer };
        let graph = resident.bytes().get(graph).ok_or_else(|| EngineError::Load {
            reason: "the block has no graph where its header says".to_owned(),
        })?;
        resident.load_program(engine, 0, graph, inputs, outputs)?;
        Ok(resident)
    }

    /// The program of a slot; loads another graph over the same parameters if the slot is empty.
    pub(crate) fn program_or_load(
        &self,
        engine: &E,
        slot: usize,
        graph: impl FnOnce() -> Option<Vec<u8>>,
        inputs: &[&str],
        outputs: &[&str],
    ) -> Result<&E::Program, EngineError> {
        if let Some(program) = self.programs.get(slot).and_then(OnceLock::get) {
            return Ok(program);
        }
        let graph = graph().ok_or_else(|| EngineError::Load {
            reason: "the block's graph cannot be read".to_owned(),
        })?;
        self.load_program(engine, slot, &graph, inputs, outputs)
    }

    fn load_program(
        &self,
        engine: &E,
        slot: usize,
        graph: &[u8],
        inputs: &[&str],
        outputs: &[&str],
    ) -> Result<&E::Program, EngineError> {
        let bytes = self.buffer.bytes();
        // SAFETY: the slice points into the heap allocation of `buffer.lines`, which does not move when
        // `buffer` does, is not resized (no method does), and is freed only when `buffer` drops. Programs
        // are the only holders of the slice; they live in `programs` alone, from where they are lent and
        // never moved, and `Resident` drops them first; on an error of `load` there is no program. Nothing
        // writes to the buffer through Rust while a program lives: only `bytes()` is reachable from a
        // `Resident`.
        let parameters: &'static [u8] =
            unsafe { std::slice::from_raw_parts(bytes.as_ptr(), bytes.len()) };
        let program = engine.load(graph, parameters, inputs, outputs)?;
        let place = self
            .programs
            .get(slot)
            .ok_or_else(|| EngineError::Load { reason: format!("there is no program {slot}") })?;
        // Where another thread was faster, its program is as good.
        Ok(place.get_or_init(|| program))
    }

    /// The block as it is.
    pub(crate) fn program(&self) -> Option<&E::Program> {
        self.programs.first().and_then(OnceLock::get)
    }

    /// The live bytes, as they are now.
    pub(crate) fn bytes(&self) -> &[u8] {
        std::hint::black_box(self.buffer.bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_zeroed_aligned_and_just_as_long_as_asked() {
        for len in [0, 1, 63, 64, 65, 1000] {
            let mut buffer = Buffer::zeroed(len).unwrap();
            assert_eq!(buffer.bytes().len(), len);
            assert!(buffer.bytes().iter().all(|b| *b == 0));
            assert_eq!(buffer.bytes().as_ptr() as usize % 64, 0);
            buffer.bytes_mut().fill(7);
            assert!(buffer.bytes().iter().all(|b| *b == 7));
        }
    }
}
