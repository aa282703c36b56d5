//! Cutting a body into chunks: each part on its own, 64 KiB at a time.
//!
//! No chunk holds bytes of two parts, so a damaged chunk names one tensor, and the padding between
//! parts takes no room in the file.

use std::ops::Range;

use super::part::{Part, own};
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

/// Number of chunks of a body with these parts, without those that another body holds.
pub(crate) fn chunk_count(parts: &[Part]) -> u64 {
    own(parts).iter().map(|p| p.len.div_ceil(CHUNK_LEN as u64)).sum()
}

/// The chunks in their order. The parts' layout was checked, so no sum overflows: plaintext lengths
/// stay below 2^63, and tags add less than a thousandth.
pub(crate) fn chunk_spans(parts: &[Part]) -> impl Iterator<Item = ChunkSpan> + '_ {
    let total = chunk_count(parts);
    let mut index = 0;
    let mut body = 0;
    own(parts)
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

/// A run of neighbouring chunks that are read and written together.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub(crate) spans: Vec<ChunkSpan>,
    /// Their byte range in the body.
    pub(crate) body: Range<u64>,
}

impl Segment {
    /// Number of bytes in the body: a few chunks, so the conversion loses nothing.
    pub(crate) fn body_len(&self) -> usize {
        usize::try_from(self.body.end - self.body.start).unwrap_or(usize::MAX)
    }
}

/// A segment takes chunks up to 512 KiB of body. The bytes read are then hashed and decrypted while
/// they are in a core's own cache, and one more system call for each half MiB cannot be measured.
const SEGMENT_LEN: u64 = 8 * (CHUNK_LEN + TAG_LEN) as u64;

/// The body's chunks, grouped into runs that are read at once; computed lazily, because a large
/// ring has many.
pub(crate) fn segments(parts: &[Part]) -> impl Iterator<Item = Segment> + '_ {
    let mut spans = chunk_spans(parts).peekable();
    std::iter::from_fn(move || {
        let first = spans.next()?;
        let start = first.body.start;
        let mut segment = Segment { body: first.body.clone(), spans: vec![first] };
        while let Some(span) = spans.next_if(|s| s.body.end - start <= SEGMENT_LEN) {
            segment.body.end = span.body.end;
            segment.spans.push(span);
        }
        Some(segment)
    })
}

/// The ranges of the plaintext between a block's own parts: they are zero, and not stored.
pub(crate) fn gaps(parts: &[Part]) -> impl Iterator<Item = Range<usize>> + '_ {
    own(parts).windows(2).map(|pair| match pair {
        [a, b] => a.end() as usize..b.offset as usize,
        _ => 0..0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::{PartKind, lay_out};

    #[test]
    fn segments_hold_every_chunk_once_in_order_and_no_more_than_a_buffer() {
        let chunk = CHUNK_LEN as u64;
        for lens in [
            vec![1],
            vec![chunk],
            vec![8 * chunk - 1],
            vec![8 * chunk],
            vec![8 * chunk + 1],
            vec![3, 7 * chunk, chunk - 1, 16 * chunk, 1, 1, 9 * chunk],
            vec![1; 5000],
        ] {
            let planned = lens.into_iter().map(|len| (PartKind::Graph, len)).collect();
            let (parts, _) = lay_out(planned).unwrap_or_default();
            let segments: Vec<_> = segments(&parts).collect();
            for segment in &segments {
                let spans = &segment.spans;
                assert!(segment.body.end - segment.body.start <= SEGMENT_LEN);
                assert_eq!(spans.first().map(|s| s.body.start), Some(segment.body.start));
                assert_eq!(spans.last().map(|s| s.body.end), Some(segment.body.end));
            }
            // Each could not have taken the next one's first chunk.
            for pair in segments.windows(2) {
                assert!(pair[1].spans[0].body.end - pair[0].body.start > SEGMENT_LEN);
            }
            let spans: Vec<_> = segments.into_iter().flat_map(|s| s.spans).collect();
            assert_eq!(spans, chunk_spans(&parts).collect::<Vec<_>>());
            assert_eq!(spans.len() as u64, chunk_count(&parts));
        }
    }
}
