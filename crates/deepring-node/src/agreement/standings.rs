//! What the chains of blocks come to that are not committed yet.
//!
//! Every block that this validator judged has a [`Position`] until a block of its height is committed:
//! what it comes to, and which decisions it records. Below lies what the ledger holds: the *base*. A
//! block that builds on nothing known here is not judged, which is no verdict about it.
//!
//! Bounded: a leader that makes many blocks for one view pushes out positions, which are computed
//! anew when they are needed. So it costs time, and no verdict changes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::block::{Block, BlockDigest};
use super::judge::Standing;
use super::submission::Decided;

/// Most positions that are kept.
const MAX_POSITIONS: usize = 512;

/// Where the chain that ends with a block leaves off.
#[derive(Debug)]
pub(crate) struct Position {
    pub(crate) digest: BlockDigest,
    pub(crate) parent: BlockDigest,
    pub(crate) height: u64,
    pub(crate) standing: Standing,
    /// What the block records.
    pub(crate) decided: BTreeSet<Decided>,
}

impl Position {
    pub(crate) fn new(block: &Block, standing: Standing, decided: BTreeSet<Decided>) -> Self {
        let (digest, parent, height) = (block.digest(), block.parent(), block.height());
        Self { digest, parent, height, standing, decided }
    }
}

/// The base, and the positions above it.
#[derive(Debug, Default)]
pub(crate) struct Standings {
    base: Option<Arc<Position>>,
    positions: BTreeMap<BlockDigest, Arc<Position>>,
    order: VecDeque<BlockDigest>,
}

impl Standings {
    /// The newest block that the ledger holds; `None` before it is known which block that is.
    pub(crate) fn base(&self) -> Option<&Arc<Position>> {
        self.base.as_ref()
    }

    /// The position of a block that was judged, or committed last.
    pub(crate) fn get(&self, digest: &BlockDigest) -> Option<&Arc<Position>> {
        let base = self.base.as_ref().filter(|base| base.digest == *digest);
        base.or_else(|| self.positions.get(digest))
    }

    /// Remembers a position above the base.
    pub(crate) fn insert(&mut self, position: Position) -> Arc<Position> {
        if let Some(known) = self.get(&position.digest) {
            return known.clone();
        }
        let position = Arc::new(position);
        self.positions.insert(position.digest, position.clone());
        self.order.push_back(position.digest);
        while self.order.len() > MAX_POSITIONS {
            if let Some(oldest) = self.order.pop_front() {
                self.positions.remove(&oldest);
            }
        }
        position
    }

    /// The ledger holds this block now: nothing at its height or below is asked after any more.
    pub(crate) fn commit(&mut self, position: Arc<Position>) {
        self.positions.retain(|_, other| other.height > position.height);
        self.order.retain(|digest| self.positions.contains_key(digest));
        self.base = Some(position);
    }

    /// The blocks above the base that end with this one, newest first; `None` where one of them is not
    /// known, so that nothing can be said of all.
    pub(crate) fn above_base(&self, digest: &BlockDigest) -> Option<Vec<Arc<Position>>> {
        let base = self.base.as_ref()?;
        let mut chain = Vec::new();
        let mut at = *digest;
        while at != base.digest {
            let position = self.positions.get(&at)?;
            at = position.parent;
            chain.push(position.clone());
        }
        Some(chain)
    }
}
