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

use std::alloc::{Layout, alloc_zeroed};
use std::ops::Range;
use std::sync::OnceLock;

use zeroize::Zeroize as _;

use crate::engine::{Engine, EngineError};

/// Enough for any tensor's alignment, and a cache line.
const ALIGNMENT: usize = 64;

/// A zeroed, 64-byte aligned buffer; wiped when dropped.
pub(crate) struct Buffer {
    /// Never grows, so its bytes never move.
    room: Vec<u8>,
    /// Where the aligned bytes begin.
    start: usize,
    len: usize,
}

impl Buffer {
    /// `None` if the memory is not to be had.
    ///
    /// The zeros are the system's: its pages come when they are first written, to the threads that open a
    /// block into them, and not to this one all at once.
    pub(crate) fn zeroed(len: usize) -> Option<Self> {
        let room = len.checked_add(ALIGNMENT)?;
        let layout = Layout::array::<u8>(room).ok()?;
        // SAFETY: the layout's size is at least `ALIGNMENT`, so not zero.
        let first = unsafe { alloc_zeroed(layout) };
        if first.is_null() {
            return None;
        }
        // SAFETY: allocated just now by the global allocator with the layout of `room` bytes, all of them
        // initialised to zero, and owned by nothing else.
        let room = unsafe { Vec::from_raw_parts(first, room, room) };
        let start = (room.as_ptr() as usize).wrapping_neg() % ALIGNMENT;
        Some(Self { room, start, len })
    }

    /// This buffer, its bytes as they are, with another length; a new one if it is too short for that.
    ///
    /// For one block after the other: fresh memory costs a page fault for each 4 KiB.
    pub(crate) fn reused(mut self, len: usize) -> Option<Self> {
        if len <= self.room.len().saturating_sub(ALIGNMENT) {
            self.len = len;
            return Some(self);
        }
        drop(self);
        Self::zeroed(len)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.room.get(self.start..self.start + self.len).unwrap_or_default()
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        self.room.get_mut(self.start..self.start + self.len).unwrap_or_default()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // All of it: it may have been longer before it was reused. `zeroize` makes one store of each
        // element, so in words: in bytes it takes as long as opening the block did.
        let (head, words, tail) = bytemuck::pod_align_to_mut::<u8, u64>(&mut self.room);
        head.zeroize();
        words.zeroize();
        tail.zeroize();
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Buffer").field("len", &self.len).finish_non_exhaustive()
    }
}

/// Programs that one buffer may have: the block as it is, and with some of its values given out.
const PROGRAMS: usize = 9;

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
        let resident = Self::hold(buffer);
        let graph = resident.bytes().get(graph).ok_or_else(|| EngineError::Load {
            reason: "the block has no graph where its header says".to_owned(),
        })?;
        resident.load_program(engine, 0, graph, inputs, outputs)?;
        Ok(resident)
    }

    /// Just the buffer, with no program loaded yet.
    pub(crate) fn hold(buffer: Buffer) -> Self {
        Self { programs: Default::default(), buffer }
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
            reason: "the block's graph cannot be given out for its check".to_owned(),
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
        // SAFETY: the slice points into the heap allocation of `buffer.room`, which does not move when
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

    /// Unloads the programs; their buffer can be used again.
    pub(crate) fn into_buffer(self) -> Buffer {
        // The programs are the slice's only holders: they must be gone before anybody can write.
        drop(self.programs);
        self.buffer
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

    #[test]
    fn a_buffer_is_reused_where_it_is_long_enough_and_made_anew_where_not() {
        let mut buffer = Buffer::zeroed(1000).unwrap();
        buffer.bytes_mut().fill(7);
        let first = buffer.bytes().as_ptr();
        for len in [65, 0, 1000] {
            buffer = buffer.reused(len).unwrap();
            assert_eq!((buffer.bytes().len(), buffer.bytes().as_ptr()), (len, first));
            assert!(buffer.bytes().iter().all(|b| *b == 7));
        }
        let buffer = buffer.reused(1001).unwrap();
        assert!(buffer.bytes().len() == 1001 && buffer.bytes().iter().all(|b| *b == 0));
        assert_eq!(buffer.bytes().as_ptr() as usize % 64, 0);
    }
}
