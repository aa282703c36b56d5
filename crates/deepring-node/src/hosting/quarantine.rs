//! The blocks of this host that must not be used, by the word of the ledger.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};

/// Blocks whose copy at this host is quarantined, shared by who reads the ledger and who computes. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Quarantine(Arc<RwLock<BTreeSet<u32>>>);

impl Quarantine {
    /// From now on these blocks are quarantined, and no others.
    pub fn set(&self, blocks: BTreeSet<u32>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = blocks;
    }

    /// Whether any block is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Whether this block is.
    pub(crate) fn has(&self, block: u32) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains(&block)
    }

    /// The first of these blocks that is quarantined.
    pub(crate) fn among(&self, blocks: &Range<u32>) -> Option<u32> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.range(blocks.clone()).next().copied()
    }
}
