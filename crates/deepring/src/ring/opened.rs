//! The results of an opening: a block decrypted, then a block whose content is confirmed.

use crate::block::Header;
use crate::crypto::Digest;
use crate::crypto::aead::BlockKey;
use crate::open::{OpenError, other_content};

/// A block of which every chunk was checked and decrypted, and the content digest not yet compared.
///
/// Holds the block's key until then, and wipes it when dropped.
#[must_use]
pub struct DecryptedBlock {
    name: String,
    /// The shared blocks that it uses, in order.
    shared: Vec<u32>,
    block: OpenedBlock,
    key: BlockKey,
}

impl DecryptedBlock {
    pub(super) fn of(header: &Header, key: BlockKey) -> Self {
        let block = OpenedBlock { index: header.index, content_digest: header.content_digest };
        Self { name: header.name.clone(), shared: header.shared_blocks().collect(), block, key }
    }

    /// Computes the content digest over `plaintext`, wherever it lives now, and compares it with
    /// the header's. `plaintext` is what the block's own body holds; `shared` are the blocks that
    /// hold the rest, opened and in the order of [`Header::shared_blocks`].
    ///
    /// # Errors
    /// [`OpenError::Tampered`] if the digests or the shared blocks differ; the caller must not keep
    /// the buffer.
    pub fn confirm(
        self,
        plaintext: &[u8],
        shared: &[OpenedBlock],
    ) -> Result<OpenedBlock, OpenError> {
        let contents: Vec<Digest> = shared.iter().map(|s| s.content_digest).collect();
        let known = shared.iter().map(|s| s.index).eq(self.shared.iter().copied());
        if known && self.key.content_digest(plaintext, &contents) == self.block.content_digest {
            return Ok(self.block);
        }
        Err(OpenError::Tampered(other_content(self.block.index, &self.name)))
    }
}

impl std::fmt::Debug for DecryptedBlock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DecryptedBlock").field("index", &self.block.index).finish_non_exhaustive()
    }
}

/// Evidence that a block was opened out of an authentic ring; holds no secret of it.
///
/// ```compile_fail,E0451
/// use deepring::OpenedBlock;
///
/// fn made(of: OpenedBlock) -> OpenedBlock {
///     OpenedBlock { ..of } // error: the fields are private
/// }
/// ```
#[derive(Debug, Clone)]
pub struct OpenedBlock {
    index: u32,
    content_digest: Digest,
}

impl OpenedBlock {
    /// Index of the block; Genesis is 0.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The digest over the opened bytes, equal to the header's.
    #[must_use]
    pub fn content_digest(&self) -> Digest {
        self.content_digest
    }
}
