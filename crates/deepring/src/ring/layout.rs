//! The layout of a ring file: preamble, closure, headers, bodies, and nothing else.
//!
//! ```text
//! 0        24          24+closure
//! | preamble | closure | header 0 | … | header n | body 0 | … | body n |
//! ```
//!
//! The preamble only helps to find the closure; it states nothing that the closure does not bind.

use std::ops::Range;

use super::closure::{Closure, closure_len};
use crate::encoding::{DecodeError, Reader, Writer};
use crate::ring_id::MAX_BLOCKS;

pub(crate) const MAGIC: [u8; 8] = *b"DEEPRING";
const FORMAT_VERSION: u16 = 4;
const SUITE: u16 = 1;
pub(crate) const PREAMBLE_LEN: u64 = 24;

/// The first 24 bytes: `magic 8 | format version 2 | suite 2 | count 4 | file length 8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Preamble {
    pub(crate) count: u32,
    pub(crate) file_len: u64,
}

impl Preamble {
    pub(crate) fn encode(self) -> Vec<u8> {
        let mut w = Writer::new();
        w.raw(&MAGIC).u16(FORMAT_VERSION).u16(SUITE).u32(self.count).u64(self.file_len);
        w.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        r.header(&MAGIC, FORMAT_VERSION)?;
        let suite = r.u16("suite")?;
        if suite != SUITE {
            return Err(DecodeError::BadValue { field: "suite", found: u64::from(suite) });
        }
        let count = r.u32("block count")?;
        if !(2..=MAX_BLOCKS).contains(&count) {
            return Err(DecodeError::BadValue { field: "block count", found: u64::from(count) });
        }
        let file_len = r.u64("file length")?;
        r.finish()?;
        Ok(Self { count, file_len })
    }

    pub(crate) fn closure_range(self) -> Range<u64> {
        PREAMBLE_LEN..PREAMBLE_LEN + closure_len(self.count)
    }
}

/// Byte ranges of headers and bodies, from a closure's rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) headers: Vec<Range<u64>>,
    pub(crate) bodies: Vec<Range<u64>>,
    pub(crate) file_len: u64,
}

impl Layout {
    /// `None` if the lengths do not add up within 63 bits.
    pub(crate) fn of(closure: &Closure) -> Option<Self> {
        let mut at = PREAMBLE_LEN.checked_add(closure_len(closure.count()))?;
        let mut place = |len: u64| {
            let start = at;
            at = at.checked_add(len).filter(|end| *end <= i64::MAX as u64)?;
            Some(start..at)
        };
        let headers =
            closure.rows.iter().map(|r| place(u64::from(r.header_len))).collect::<Option<_>>()?;
        let bodies = closure.rows.iter().map(|r| place(r.body_len)).collect::<Option<_>>()?;
        Some(Self { headers, bodies, file_len: at })
    }
}
