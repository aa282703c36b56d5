//! The one comparison of a stored chunk with its digest in the header: verify, open and repair use
//! it.

use super::chunks::ChunkSpan;
use super::header::Header;
use crate::crypto::Digest;
use crate::finding::{Finding, Section};

impl Header {
    /// Checks that `sealed` is the chunk that was sealed here, in a body that begins at
    /// `body_start` in the file; else returns a finding that names block, tensor and bytes.
    /// `sealed` is `None` where the file has no such bytes.
    pub(crate) fn check_chunk(
        &self,
        span: &ChunkSpan,
        body_start: u64,
        sealed: Option<&[u8]>,
    ) -> Result<(), Finding> {
        let reason = match sealed {
            Some(bytes) if self.is_chunk(span, bytes) => return Ok(()),
            Some(_) => "the bytes are not those that were sealed",
            None => "truncated",
        };
        Err(self.finding_at_chunk(span, body_start, reason))
    }

    /// Returns whether these are the bytes that were sealed as this chunk.
    pub(crate) fn is_chunk(&self, span: &ChunkSpan, sealed: &[u8]) -> bool {
        let expected = usize::try_from(span.index).ok().and_then(|i| self.chunks.get(i));
        expected == Some(&Digest::of_chunk(sealed))
    }

    /// A finding about a chunk's bytes in the file.
    pub(crate) fn finding_at_chunk(
        &self,
        span: &ChunkSpan,
        body_start: u64,
        reason: &str,
    ) -> Finding {
        let mut finding = Finding::tampered(Section::Body, reason)
            .in_block(self.index, Some(&self.name))
            .at(body_start + span.body.start..body_start + span.body.end);
        finding.tensor = self.parts.get(span.part).map(|p| p.label().to_owned());
        finding
    }
}
