//! Where the chains of dockets leave off that are not committed yet.
//!
//! Every docket that this validator verified has a [`Position`] until a docket of its height is committed:
//! what it comes to, and which decisions it records. Below lies what the ledger holds: the *base*. A
//! docket that builds on nothing known here is not verified, which is no verdict about it.
//!
//! Bounded: a leader that makes many dockets for one view pushes out positions, which are computed
//! anew when they are needed. So it costs time, and no verdict changes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::docket::{Docket, DocketDigest};
use super::gate::ChainState;
use super::submission::DecisionKey;

/// Most positions that are kept.
const MAX_POSITIONS: usize = 512;

/// Where the chain that ends with a docket leaves off.
#[derive(Debug)]
pub(crate) struct Position {
    pub(crate) digest: DocketDigest,
    pub(crate) parent: DocketDigest,
    pub(crate) height: u64,
    pub(crate) state: ChainState,
    /// The decisions that the docket records.
    pub(crate) decided: BTreeSet<DecisionKey>,
}

impl Position {
    pub(crate) fn new(docket: &Docket, state: ChainState, decided: BTreeSet<DecisionKey>) -> Self {
        let (digest, parent, height) = (docket.digest(), docket.parent(), docket.height());
        Self { digest, parent, height, state, decided }
    }
}

/// The base, and the positions above it.
#[derive(Debug, Default)]
pub(crate) struct ChainStates {
    base: Option<Arc<Position>>,
    positions: BTreeMap<DocketDigest, Arc<Position>>,
    order: VecDeque<DocketDigest>,
}

impl ChainStates {
    /// The newest docket that the ledger holds; `None` before it is known which docket that is.
    pub(crate) fn base(&self) -> Option<&Arc<Position>> {
        self.base.as_ref()
    }

    /// The position of a docket that was verified, or committed last.
    pub(crate) fn get(&self, digest: &DocketDigest) -> Option<&Arc<Position>> {
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

    /// The ledger holds this docket now: nothing at its height or below is asked after any more.
    pub(crate) fn commit(&mut self, position: Arc<Position>) {
        self.positions.retain(|_, other| other.height > position.height);
        self.order.retain(|digest| self.positions.contains_key(digest));
        self.base = Some(position);
    }

    /// The dockets above the base that end with this one, newest first; `None` where one of them is not
    /// known, so that nothing can be said of all.
    pub(crate) fn above_base(&self, digest: &DocketDigest) -> Option<Vec<Arc<Position>>> {
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
