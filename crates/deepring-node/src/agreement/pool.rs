//! Submissions that wait to be committed.
//!
//! What is in the pool had authority where the ledger left off when it came, and its evidence was
//! verified: so whoever fills it is a party of the ledger, not anybody who can make keys. One author
//! has at most a share of it, and the next docket takes from all authors in turn: an author that says more than
//! the network can record slows itself down. What does not fit is refused to whoever submits it, by name of
//! the bound: the network pushes back, and nothing that was taken is dropped for want of room.
//!
//! Each author's entries leave in the order of their sequence numbers, since one that comes late
//! comes never. A submission is dropped when it is committed, or when it can have no authority any more.

use std::collections::BTreeMap;
#[cfg(test)]
use std::collections::BTreeSet;

use thiserror::Error;

use super::docket::{DOCKET_ROOM, MAX_DOCKET_SUBMISSIONS};
use super::submission::{DecisionKey, EntryId, OpenedSubmission, Submission};

/// The bounds of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolLimits {
    /// Most submissions.
    pub submissions: usize,
    /// Most bytes of them.
    pub bytes: usize,
    /// Most submissions of one author.
    pub author_submissions: usize,
    /// Most bytes of one author.
    pub author_bytes: usize,
}

impl Default for PoolLimits {
    /// 4096 submissions and 64 MiB; of one author a quarter of both.
    fn default() -> Self {
        Self {
            submissions: 4096,
            bytes: 64 << 20,
            author_submissions: 1024,
            author_bytes: 16 << 20,
        }
    }
}

/// Which bound of a pool is reached. Later there may be room again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PoolFull {
    /// All authors together.
    #[error("{submissions} submissions of {bytes} bytes wait already")]
    Pool {
        /// Submissions that wait.
        submissions: usize,
        /// Their bytes.
        bytes: usize,
    },
    /// The entry's author.
    #[error("{submissions} submissions of {bytes} bytes by this author wait already")]
    Author {
        /// The author's submissions that wait.
        submissions: usize,
        /// Their bytes.
        bytes: usize,
    },
}

/// The order within an author's queue: by sequence (decisions have 0), then by arrival.
type Turn = (u64, u64);

#[derive(Debug)]
struct Waiting {
    opened: OpenedSubmission,
    author: [u8; 64],
    turn: Turn,
    /// Submitted here, so that it is for this validator to tell the others of it.
    own: bool,
}

#[derive(Debug, Default)]
struct Queue {
    turns: BTreeMap<Turn, EntryId>,
    bytes: usize,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Pool {
    limits: PoolLimits,
    waiting: BTreeMap<EntryId, Waiting>,
    authors: BTreeMap<[u8; 64], Queue>,
    decided: BTreeMap<DecisionKey, EntryId>,
    bytes: usize,
    arrivals: u64,
    /// The author after whom the next draft begins.
    served: [u8; 64],
    /// The submission after which the next sweep begins.
    swept: Option<EntryId>,
}

impl Pool {
    pub(crate) fn new(limits: PoolLimits) -> Self {
        Self {
            limits,
            waiting: BTreeMap::new(),
            authors: BTreeMap::new(),
            decided: BTreeMap::new(),
            bytes: 0,
            arrivals: 0,
            served: [0; 64],
            swept: None,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn get(&self, id: &EntryId) -> Option<&OpenedSubmission> {
        self.waiting.get(id).map(|waiting| &waiting.opened)
    }

    /// Whether another entry of the same decision waits.
    pub(crate) fn has_decided(&self, opened: &OpenedSubmission) -> bool {
        let known = opened.decided().and_then(|decided| self.decided.get(&decided));
        known.is_some_and(|id| *id != opened.submission.id())
    }

    /// Whether there is room for it, or it waits already.
    pub(crate) fn room(&self, opened: &OpenedSubmission) -> Result<(), PoolFull> {
        if self.waiting.contains_key(&opened.submission.id()) {
            return Ok(());
        }
        let more = opened.submission.encoded_len();
        let (submissions, bytes) = (self.waiting.len(), self.bytes);
        if submissions >= self.limits.submissions || bytes + more > self.limits.bytes {
            return Err(PoolFull::Pool { submissions, bytes });
        }
        let queue = self.authors.get(opened.author().as_bytes());
        let (submissions, bytes) = queue.map_or((0, 0), |queue| (queue.turns.len(), queue.bytes));
        let full = submissions >= self.limits.author_submissions
            || bytes + more > self.limits.author_bytes;
        match full {
            true => Err(PoolFull::Author { submissions, bytes }),
            false => Ok(()),
        }
    }

    /// Takes what was verified to have authority; returns whether it is new here.
    ///
    /// # Errors
    /// [`PoolFull`].
    pub(crate) fn insert(&mut self, opened: OpenedSubmission, own: bool) -> Result<bool, PoolFull> {
        let id = opened.submission.id();
        if let Some(known) = self.waiting.get_mut(&id) {
            known.own |= own;
            return Ok(false);
        }
        self.room(&opened)?;
        let author = *opened.author().as_bytes();
        self.arrivals += 1;
        let turn = (opened.entry.binding().sequence, self.arrivals);
        let bytes = opened.submission.encoded_len();
        let queue = self.authors.entry(author).or_default();
        queue.turns.insert(turn, id);
        queue.bytes += bytes;
        self.bytes += bytes;
        if let Some(decided) = opened.decided() {
            self.decided.insert(decided, id);
        }
        self.waiting.insert(id, Waiting { opened, author, turn, own });
        Ok(true)
    }

    pub(crate) fn remove(&mut self, id: &EntryId) -> Option<OpenedSubmission> {
        let Waiting { opened, author, turn, .. } = self.waiting.remove(id)?;
        let bytes = opened.submission.encoded_len();
        self.bytes -= bytes;
        if let Some(queue) = self.authors.get_mut(&author) {
            queue.turns.remove(&turn);
            queue.bytes -= bytes;
            if queue.turns.is_empty() {
                self.authors.remove(&author);
            }
        }
        if let Some(decided) = opened.decided() {
            self.decided.remove(&decided);
        }
        Some(opened)
    }

    /// Drops another entry of a decision that is recorded now.
    pub(crate) fn remove_decided(&mut self, decided: &DecisionKey) -> Option<EntryId> {
        let id = *self.decided.get(decided)?;
        self.remove(&id).map(|_| id)
    }

    /// Drafts a docket's submissions: of each author in turn one, until the docket is full; `fits` says
    /// whether it may follow those that were taken. Nothing leaves the pool.
    pub(crate) fn draft(
        &mut self,
        mut fits: impl FnMut(&OpenedSubmission) -> bool,
    ) -> Vec<Submission> {
        let mut room = DOCKET_ROOM;
        let mut taken = Vec::new();
        // Authors in the order of their keys, from the one after whom the last docket ended.
        let served = self.served;
        let after = self.authors.keys().filter(|author| **author > served);
        let order: Vec<_> = after.chain(self.authors.keys().filter(|a| **a <= served)).collect();
        let mut queues: Vec<_> = order
            .into_iter()
            .filter_map(|author| Some((*author, self.authors.get(author)?.turns.values())))
            .collect();
        let mut last = None;
        'full: while !queues.is_empty() {
            let mut left = Vec::with_capacity(queues.len());
            for (author, mut queue) in queues {
                let next = queue.by_ref().find_map(|id| {
                    let opened = &self.waiting.get(id)?.opened;
                    // What is too large for the rest of this docket waits, and so does what comes after
                    // it by its author.
                    let room = opened.submission.encoded_len() <= room;
                    (!room || fits(opened)).then_some(room.then_some(opened))
                });
                let Some(Some(opened)) = next else { continue };
                room -= opened.submission.encoded_len();
                taken.push(opened.submission.clone());
                last = Some(author);
                if taken.len() == MAX_DOCKET_SUBMISSIONS {
                    break 'full;
                }
                left.push((author, queue));
            }
            queues = left;
        }
        if let Some(last) = last {
            self.served = last;
        }
        taken
    }

    /// Whether a docket would hold anything. Whose turn it is stays as it is.
    pub(crate) fn has_draft(&self, mut fits: impl FnMut(&OpenedSubmission) -> bool) -> bool {
        let mut ids = self.authors.values().flat_map(|author| author.turns.values());
        ids.any(|id| self.waiting.get(id).is_some_and(|waiting| fits(&waiting.opened)))
    }

    /// The oldest submissions of this validator's own, within `room` bytes.
    pub(crate) fn own(&self, mut room: usize) -> Vec<Submission> {
        let mut own: Vec<_> = self.waiting.values().filter(|waiting| waiting.own).collect();
        own.sort_unstable_by_key(|waiting| waiting.turn.1);
        let fits = own.into_iter().map(|waiting| &waiting.opened.submission).take_while(|s| {
            let fits = s.encoded_len() <= room;
            room = room.saturating_sub(s.encoded_len());
            fits
        });
        fits.cloned().collect()
    }

    /// Some submissions, others each time, until all had their turn.
    pub(crate) fn sweep(&mut self, count: usize) -> Vec<OpenedSubmission> {
        let from = self.swept.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let some = self.waiting.range((from, std::ops::Bound::Unbounded)).take(count);
        let some: Vec<OpenedSubmission> = some.map(|(_, waiting)| waiting.opened.clone()).collect();
        self.swept = match some.len() == count {
            true => some.last().map(|opened| opened.submission.id()),
            false => None,
        };
        some
    }

    /// Ids of what waits; for tests of what a pool holds.
    #[cfg(test)]
    pub(crate) fn ids(&self) -> BTreeSet<EntryId> {
        self.waiting.keys().copied().collect()
    }
}

#[cfg(test)]
mod tests;
