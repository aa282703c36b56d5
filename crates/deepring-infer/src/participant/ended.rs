//! The queries that ended here, of which nothing is looked at again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use deepring::Digest;

use super::query::QueryEnd;
use super::scene::QueryKey;

/// Most answers to what is sent for one query after its end: who did not hear of it asks a few times.
const MAX_ANSWERS: u32 = 64;

/// The newest queries that ended, the oldest forgotten first.
#[derive(Debug)]
pub(super) struct Ended {
    of: BTreeMap<QueryKey, (QueryEnd, u32)>,
    order: VecDeque<QueryKey>,
    limit: usize,
}

impl Ended {
    pub(super) fn new(limit: usize) -> Self {
        Self { of: BTreeMap::new(), order: VecDeque::new(), limit: limit.max(1) }
    }

    pub(super) fn has(&self, key: &QueryKey) -> bool {
        self.of.contains_key(key)
    }

    pub(super) fn add(&mut self, key: QueryKey, end: QueryEnd) {
        if self.of.insert(key, (end, 0)).is_none() {
            self.order.push_back(key);
        }
        while self.order.len() > self.limit {
            if let Some(oldest) = self.order.pop_front() {
                self.of.remove(&oldest);
            }
        }
    }

    /// Whether a query of this id ended; of one that was closed, the message that says so.
    pub(super) fn answer(&mut self, query: Digest) -> Option<Option<Arc<[u8]>>> {
        let (_, (end, answers)) =
            self.of.range_mut((query, [0; 64])..=(query, [0xff; 64])).next()?;
        *answers = answers.saturating_add(1);
        Some(match end {
            QueryEnd::Decided(bytes) if *answers <= MAX_ANSWERS => Some(Arc::clone(bytes)),
            _ => None,
        })
    }
}
