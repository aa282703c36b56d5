//! The shared blocks of a host: each opened once for all blocks that use it.

use std::collections::BTreeMap;

use deepring::{AuthenticRing, Header, Host, SecretKey};

use super::fault::at_opening;
use super::opening::Decrypted;
use super::shared::SharedBlock;
use crate::checks::SharedTags;
use crate::error::RunError;

/// The shared blocks that a host has opened so far, by index.
#[derive(Default)]
pub(super) struct SharedBlocks(BTreeMap<u32, SharedBlock>);

impl SharedBlocks {
    /// Those that a block uses, in order; opened where they are not yet.
    pub(super) fn of(
        &mut self,
        from: (&AuthenticRing, &SecretKey<Host>),
        user: Option<&Header>,
        tagged: bool,
    ) -> Result<Vec<SharedBlock>, RunError> {
        let mut used = Vec::new();
        for index in user.into_iter().flat_map(Header::shared_blocks) {
            if let Some(known) = self.0.get(&index) {
                used.push(known.clone());
                continue;
            }
            // An authentic ring has every block that another names.
            if let Some(header) = from.0.headers().get(index as usize) {
                let block = opened(from, header, tagged)?;
                self.0.insert(index, block.clone());
                used.push(block);
            }
        }
        Ok(used)
    }

    /// One that was opened.
    pub(super) fn get(&self, index: u32) -> Option<&SharedBlock> {
        self.0.get(&index)
    }

    /// Has other keys and tags made of these, for a block that is opened anew: what tried to pass under the old ones learned
    /// nothing of the new. Forgets those that are not known to be what was opened, by their tags and by the owner's digest, which
    /// `is_sealed` compares: tags can have been changed with the bytes. Returns which.
    pub(super) fn renew(&mut self, of: &[u32], is_sealed: impl Fn(u32, &[u8]) -> bool) -> Vec<u32> {
        let is_known = |i: u32, block: &SharedBlock| block.renew() && is_sealed(i, block.bytes());
        let changed = |i: &u32| self.0.get(i).is_some_and(|block| !is_known(*i, block));
        let changed: Vec<u32> = of.iter().copied().filter(|i| changed(i)).collect();
        changed.iter().for_each(|i| _ = self.0.remove(i));
        changed
    }
}

/// Opens a shared block, with tags if it is to be `tagged`.
fn opened(
    from: (&AuthenticRing, &SecretKey<Host>),
    header: &Header,
    tagged: bool,
) -> Result<SharedBlock, RunError> {
    let Decrypted { buffer, opened, pieces, draft } = Decrypted::shared(from, header, tagged)?;
    let tags = draft.map(|draft| SharedTags::new(&draft, pieces, buffer.bytes()));
    let tags = tags.transpose().map_err(|fault| at_opening(header, fault))?;
    Ok(SharedBlock::new(buffer, opened, tags))
}
