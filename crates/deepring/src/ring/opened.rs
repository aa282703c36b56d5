//! What an opening gives: a block decrypted, then a block whose content is confirmed.

use super::report::{Finding, PartName};
use crate::block::Header;
use crate::crypto::Digest;
use crate::crypto::aead::BlockKey;
use crate::open::OpenError;

/// A block of which every chunk was checked and decrypted, and the content digest not yet compared.
#[derive(Debug)]
#[must_use]
pub struct DecryptedBlock {
    name: String,
    block: OpenedBlock,
}

impl DecryptedBlock {
    pub(super) fn of(header: &Header, key: &BlockKey) -> Self {
        Self {
            name: header.name.clone(),
            block: OpenedBlock {
                index: header.index,
                content_digest: header.content_digest,
                hasher: key.content_hasher(),
            },
        }
    }

    /// Computes the content digest over `plaintext`, wherever it lives now, and compares it with the
    /// header's. If it differs, the caller must not keep the buffer.
    pub fn confirm(self, plaintext: &[u8]) -> Result<OpenedBlock, OpenError> {
        if self.block.still_holds(plaintext) {
            return Ok(self.block);
        }
        let reason = "the opened content is not what the header's content digest names";
        let finding = Finding::tampered(PartName::Body, reason);
        Err(OpenError::Tampered(finding.in_block(self.block.index, Some(&self.name))))
    }
}

/// Says that a block was opened out of an authentic ring, and can say later whether its bytes still
/// are what was opened.
#[derive(Clone)]
pub struct OpenedBlock {
    index: u32,
    content_digest: Digest,
    /// Keyed for this block; the key is wiped with it.
    hasher: blake3::Hasher,
}

impl OpenedBlock {
    /// Which block.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The digest over the opened bytes, equal to the header's.
    #[must_use]
    pub fn content_digest(&self) -> Digest {
        self.content_digest
    }

    /// Computes the content digest anew over `plaintext`, wherever it lives now, and compares.
    #[must_use]
    pub fn still_holds(&self, plaintext: &[u8]) -> bool {
        let mut hasher = self.hasher.clone();
        hasher.update_rayon(plaintext);
        hasher.finalize() == self.content_digest.0
    }
}

impl std::fmt::Debug for OpenedBlock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenedBlock").field("index", &self.index).finish_non_exhaustive()
    }
}

impl Drop for OpenedBlock {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.hasher);
    }
}
