//! Shared blocks in memory: each opened once for all blocks of a host that use it.

use std::collections::BTreeMap;
use std::sync::Arc;

use deepring::{AuthenticRing, Header, Host, OpenedBlock, SecretKey};
use deepring_memory::Region;

use super::fault::at_opening;
use super::opening::Decrypted;
use crate::checks::SharedTags;
use crate::error::RunError;

/// A shared block, opened and read-only. What uses it shows its pages, and compares them with its tags.
#[derive(Clone)]
pub(super) struct SharedBlock(Arc<Memory>);

struct Memory {
    region: Arc<Region>,
    opened: OpenedBlock,
    /// Of what was decrypted; `None` where nothing is compared later.
    tags: Option<Arc<SharedTags>>,
}

impl SharedBlock {
    fn open(
        (ring, key): (&AuthenticRing, &SecretKey<Host>),
        header: &Header,
        tagged: bool,
    ) -> Result<Self, RunError> {
        let Decrypted { buffer, opened, pieces, draft } =
            Decrypted::shared((ring, key), header, tagged)?;
        let tags = draft.map(|draft| SharedTags::new(&draft, pieces, buffer.bytes()));
        let tags = tags.transpose().map_err(|fault| at_opening(header, fault))?.map(Arc::new);
        Ok(Self(Arc::new(Memory { region: Arc::new(buffer), opened, tags })))
    }

    pub(super) fn index(&self) -> u32 {
        self.0.opened.index()
    }

    pub(super) fn region(&self) -> Arc<Region> {
        Arc::clone(&self.0.region)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.0.region.bytes()
    }

    pub(super) fn opened(&self) -> &OpenedBlock {
        &self.0.opened
    }

    pub(super) fn tags(&self) -> Option<&Arc<SharedTags>> {
        self.0.tags.as_ref()
    }

    /// Has another key and other tags, if it is known that every byte is what was opened; whether it is.
    fn renew(&self) -> bool {
        self.tags().is_some_and(|tags| tags.renew(self.bytes()).is_ok())
    }
}

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
                let opened = SharedBlock::open(from, header, tagged)?;
                self.0.insert(index, opened.clone());
                used.push(opened);
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
