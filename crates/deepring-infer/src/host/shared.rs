//! Shared blocks in memory: each opened once for all blocks of a host that use it.

use std::collections::BTreeMap;
use std::sync::Arc;

use deepring::{AuthenticRing, Header, Host, OpenedBlock, SecretKey};
use deepring_memory::Region;

use super::opening::BlockMemory;
use crate::checks::{BlockCheck, Mode};
use crate::error::RunError;

/// A shared block, opened and read-only. What uses it shows its pages, and keeps tags of its own of them.
#[derive(Clone)]
pub(super) struct SharedBlock(Arc<Memory>);

struct Memory {
    region: Arc<Region>,
    opened: OpenedBlock,
    /// With tags of what was decrypted; `None` where nothing is compared later.
    check: Option<BlockCheck>,
}

impl SharedBlock {
    fn open(
        (ring, key): (&AuthenticRing, &SecretKey<Host>),
        header: &Header,
        tagged: bool,
    ) -> Result<Self, RunError> {
        let mode = tagged.then_some(Mode::Bytes);
        let BlockMemory { buffer, opened, check } = BlockMemory::of(ring, key, header, mode, &[])?;
        Ok(Self(Arc::new(Memory { region: Arc::new(buffer), opened, check })))
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

    pub(super) fn check(&self) -> Option<&BlockCheck> {
        self.0.check.as_ref()
    }

    /// Whether it is known that every byte is what was opened.
    fn fits(&self) -> bool {
        self.check().is_some_and(|check| check.bytes_fit(self.bytes()).is_ok())
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

    /// Forgets those of these that are not known to be what was opened; returns which.
    pub(super) fn remove_changed(&mut self, of: &[u32]) -> Vec<u32> {
        let changed = |i: &u32| self.0.get(i).is_some_and(|block| !block.fits());
        let changed: Vec<u32> = of.iter().copied().filter(|i| changed(i)).collect();
        changed.iter().for_each(|i| _ = self.0.remove(i));
        changed
    }
}
