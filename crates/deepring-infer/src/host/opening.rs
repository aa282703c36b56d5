//! Opening a block's bytes so that their tags are of what was authenticated.

use std::sync::{Mutex, PoisonError};

use deepring::{
    AuthenticRing, DecryptedChunk, Header, Host, OpenError, OpenedBlock, OpeningKey, SecretKey,
};
use deepring_memory::Region;

use crate::checks::{BlockCheck, Draft, Mode};
use crate::error::RunError;
use crate::mac::{Mac, Piece, TagDomain, pieces_of};
use crate::weights::room;

/// A block's plaintext, read-only, and its check.
pub(super) struct Opening {
    pub(super) buffer: Region,
    pub(super) opened: OpenedBlock,
    /// `None` where nothing is compared later.
    pub(super) check: Option<BlockCheck>,
}

impl Opening {
    /// Decrypts a block. Each chunk is tagged in the copy that was authenticated, before it is put into its place; the pages
    /// are then made read-only, the content digest is computed over them, and they are compared with the tags once more.
    pub(super) fn of(
        ring: &AuthenticRing,
        key: &SecretKey<Host>,
        header: &Header,
        mode: Option<Mode>,
    ) -> Result<Self, RunError> {
        let too_large = || OpenError::TooLarge { bytes: header.plain_len };
        let pieces = pieces_of(&header.parts).ok_or_else(too_large)?;
        let len = usize::try_from(header.plain_len).map_err(|_| too_large())?;
        let mut buffer = room(len).ok_or_else(too_large)?;
        let tagging = match mode {
            Some(mode) => Some((mode, Tagging::new(&pieces).ok_or(RunError::NoRandomness)?)),
            None => None,
        };
        let observe = |chunk: &DecryptedChunk<'_>| {
            if let Some((_, tagging)) = &tagging {
                tagging.note(&pieces, chunk);
            }
        };
        let (index, opening) = (header.index, OpeningKey::Host(key));
        let decrypted = ring.decrypt_block(index, opening, buffer.bytes_mut(), &observe)?;
        buffer.freeze();
        let opened = decrypted.confirm(buffer.bytes())?;
        let check = tagging.map(|(mode, tagging)| {
            let draft = tagging.into_draft();
            BlockCheck::new(mode, &draft, pieces, buffer.bytes(), &header.parts)
                .map_err(|fault| super::fault::at_opening(header, fault))
        });
        Ok(Self { buffer, opened, check: check.transpose()? })
    }
}

/// Tags pieces as they are decrypted, by several threads.
struct Tagging {
    mac: Mac,
    draft: Mutex<Draft>,
}

impl Tagging {
    fn new(pieces: &[Piece]) -> Option<Self> {
        let draft = Draft::new(pieces.len())?;
        Some(Self { mac: draft.mac()?, draft: Mutex::new(draft) })
    }

    /// A piece whose tag is not noted never matches.
    fn note(&self, pieces: &[Piece], chunk: &DecryptedChunk<'_>) {
        let number = pieces.partition_point(|p| p.range.start < chunk.offset);
        let whole = chunk.offset..chunk.offset + chunk.bytes.len();
        if pieces.get(number).is_none_or(|p| p.range != whole) {
            return;
        }
        let domain = u32::try_from(number).map(TagDomain::Piece);
        let tag = domain.ok().and_then(|domain| self.mac.tag(domain, chunk.bytes));
        if let (Some(tag), Ok(mut draft)) = (tag, self.draft.lock()) {
            let _ = draft.note(number, &tag);
        }
    }

    fn into_draft(self) -> Draft {
        self.draft.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}
