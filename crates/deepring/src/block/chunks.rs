//! How a body is cut into chunks: each part on its own, 64 KiB at a time.
//!
//! No chunk holds bytes of two parts, so a damaged chunk names one tensor, and the padding between
//! parts takes no room in the file.

use std::ops::Range;

use super::part::Part;
use crate::crypto::aead::{CHUNK_LEN, TAG_LEN};

/// One chunk: its part, its plaintext in the block, and its ciphertext and tag in the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChunkSpan {
    pub(crate) index: u64,
    pub(crate) part: usize,
    pub(crate) plain: Range<u64>,
    pub(crate) body: Range<u64>,
    pub(crate) last: bool,
}

/// Number of chunks of a body with these parts.
pub(crate) fn chunk_count(parts: &[Part]) -> u64 {
    parts.iter().map(|p| p.len.div_ceil(CHUNK_LEN as u64)).sum()
}

/// The chunks in their order. The parts' layout was checked, so no sum overflows: plaintext lengths
/// stay below 2^63, and tags add less than a thousandth.
pub(crate) fn chunk_spans(parts: &[Part]) -> impl Iterator<Item = ChunkSpan> + '_ {
    let total = chunk_count(parts);
    let mut index = 0;
    let mut body = 0;
    parts
        .iter()
        .enumerate()
        .flat_map(move |(part, p)| {
            (p.offset..p.end()).step_by(CHUNK_LEN).map(move |start| (part, start, p.end()))
        })
        .map(move |(part, start, part_end)| {
            let end = part_end.min(start + CHUNK_LEN as u64);
            let body_start = body;
            body += end - start + TAG_LEN as u64;
            index += 1;
            ChunkSpan {
                index: index - 1,
                part,
                plain: start..end,
                body: body_start..body,
                last: index == total,
            }
        })
}

/// A run of neighbouring chunks that are read together.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub(crate) spans: Vec<ChunkSpan>,
    /// Their bytes in the body.
    pub(crate) body: Range<u64>,
}

/// About 2 MiB: large enough to read at full speed, small enough for a buffer per thread.
const SEGMENT_LEN: u64 = 2 << 20;

/// The body's chunks, grouped into runs that are read at once.
pub(crate) fn segments(parts: &[Part]) -> Vec<Segment> {
    let mut out: Vec<Segment> = Vec::new();
    for span in chunk_spans(parts) {
        match out.last_mut() {
            Some(s) if span.body.end - s.body.start <= SEGMENT_LEN => {
                s.body.end = span.body.end;
                s.spans.push(span);
            }
            _ => out.push(Segment { body: span.body.clone(), spans: vec![span] }),
        }
    }
    out
}
