//! A shared block in memory, as all blocks of a host that use it see it.

use std::sync::Arc;

use deepring::OpenedBlock;
use deepring_memory::Region;

use crate::checks::SharedTags;

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
    pub(super) fn new(region: Region, opened: OpenedBlock, tags: Option<SharedTags>) -> Self {
        Self(Arc::new(Memory { region: Arc::new(region), opened, tags: tags.map(Arc::new) }))
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
    pub(super) fn renew(&self) -> bool {
        self.tags().is_some_and(|tags| tags.renew(self.bytes()).is_ok())
    }
}
