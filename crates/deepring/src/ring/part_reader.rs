//! One part of a block at a time, without the rest: its chunks are compared and decrypted, and no other byte is read.

use std::io;
use std::ops::Range;

use zeroize::Zeroizing;

use crate::block::Header;
use crate::block::chunks::{ChunkSpan, chunk_spans};
use crate::crypto::aead::{CHUNK_LEN, ChunkCipher, TAG_LEN};
use crate::finding::{Finding, Section};
use crate::open::OpenError;
use crate::storage::Storage;

/// Reads parts of one block, whose key was unwrapped once.
///
/// Each chunk is compared with its digest in the header, which the owner signed, and decrypted; the content digest, which is
/// of the whole block, is not asked.
pub struct PartReader<'r> {
    storage: &'r dyn Storage,
    header: &'r Header,
    body: Range<u64>,
    cipher: ChunkCipher,
}

impl std::fmt::Debug for PartReader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PartReader").field("index", &self.header.index).finish_non_exhaustive()
    }
}

impl<'r> PartReader<'r> {
    pub(super) fn new(
        storage: &'r dyn Storage,
        header: &'r Header,
        body: Range<u64>,
        cipher: ChunkCipher,
    ) -> Self {
        Self { storage, header, body, cipher }
    }

    /// Index of the block.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.header.index
    }

    /// Gives out the bytes of part number `part` of the block's own, in order and chunk by chunk. Each was authenticated before
    /// it is given out; memory is that of one chunk.
    ///
    /// # Errors
    /// [`OpenError::Tampered`] where a chunk is not what was sealed; [`OpenError::Io`] where the file cannot be read, or `sink`
    /// fails; [`OpenError::NoSuchPart`].
    pub fn read(
        &self,
        part: usize,
        sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), OpenError> {
        let mut spans = chunk_spans(&self.header.parts).skip_while(|s| s.part < part).peekable();
        if spans.peek().is_none_or(|span| span.part != part) {
            return Err(OpenError::NoSuchPart { index: self.header.index, part });
        }
        let mut sealed = Vec::with_capacity(CHUNK_LEN + TAG_LEN);
        let mut plain = Zeroizing::new(vec![0; CHUNK_LEN]);
        for span in spans.take_while(|span| span.part == part) {
            let len = usize::try_from(span.plain.end - span.plain.start).unwrap_or(usize::MAX);
            // A chunk is never longer than its room.
            let plain = plain.get_mut(..len).unwrap_or_default();
            self.open(&span, &mut sealed, plain)?;
            sink(plain)?;
        }
        Ok(())
    }

    fn open(
        &self,
        span: &ChunkSpan,
        sealed: &mut Vec<u8>,
        plain: &mut [u8],
    ) -> Result<(), OpenError> {
        let (header, start) = (self.header, self.body.start);
        sealed.resize(usize::try_from(span.body.end - span.body.start).unwrap_or(0), 0);
        match self.storage.read_at(start + span.body.start, sealed) {
            Ok(()) => {}
            // The file was truncated since it was authenticated.
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                let finding = Finding::tampered(Section::Body, "truncated")
                    .in_block(header.index, Some(&header.name))
                    .at(start + span.body.start..start + span.body.end);
                return Err(OpenError::Tampered(finding));
            }
            Err(e) => return Err(e.into()),
        }
        header.check_chunk(span, start, Some(sealed)).map_err(OpenError::Tampered)?;
        self.cipher.open(span.index, span.last, sealed, plain).map_err(|_| {
            OpenError::Tampered(header.finding_at_chunk(span, start, "the chunk does not decrypt"))
        })
    }
}
