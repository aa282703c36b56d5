//! Where submissions are verified, wait, and are drafted into dockets: what a validator knows, without
//! network, clock or ledger.
//!
//! Everything here is synchronous, and is a function of what was put in. What must be asked of the
//! ledger (whether a decision is recorded below the base) is returned to the caller to ask; so no lock is
//! held meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use commonware_utils::channel::{oneshot, watch};
use deepring_ledger::{Entry, State};
use thiserror::Error;

use super::chain_states::{ChainStates, Position};
use super::consent::Consent;
use super::docket::{Docket, DocketDigest};
use super::gate::{ChainState, Gate, Inadmissible};
use super::pool::{Pool, PoolFull, PoolLimits};
use super::recent::Recent;
use super::submission::{DecisionKey, EntryId, OpenedSubmission, Submission, SubmissionError};

/// Ids of committed entries that are remembered, so that late gossip of them costs nothing.
const REMEMBERED: usize = 1 << 13;
/// Submissions whose authority is asked after anew with each docket that is committed.
const SWEPT: usize = 64;
/// Most callers that wait for one submission.
const MAX_WAITERS: usize = 64;

/// Why a submission is not taken.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// No ledger could ever take it.
    #[error(transparent)]
    Submission(#[from] SubmissionError),
    /// It may not follow where the ledger leaves off.
    #[error(transparent)]
    Inadmissible(#[from] Inadmissible),
    /// There is no room for it now.
    #[error("the pool is full: {0}")]
    Full(#[from] PoolFull),
    /// This validator does not know yet where the ledger leaves off.
    #[error("this validator is still catching up")]
    NotReady,
    /// This validator is no more.
    #[error("this validator has stopped")]
    Stopped,
}

/// Where an entry was committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// Index of the entry.
    pub index: u64,
    /// Height of its docket.
    pub height: u64,
    /// Size of the ledger's checkpoint after that docket.
    pub size: u64,
}

/// Why a submission that was taken will not be committed.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum Lost {
    /// It may not follow any more, after what was committed instead.
    #[error(transparent)]
    Inadmissible(Arc<Inadmissible>),
    /// The validator stopped; others may commit it.
    #[error("this validator has stopped; others may commit the entry")]
    Stopped,
}

/// A submission that was taken; tells what becomes of it.
#[derive(Debug)]
pub struct Ticket(oneshot::Receiver<Result<Committed, Lost>>);

impl Ticket {
    /// Waits until the entry is on stable storage here, under a checkpoint.
    ///
    /// # Errors
    /// [`Lost`].
    pub async fn committed(self) -> Result<Committed, Lost> {
        self.0.await.unwrap_or(Err(Lost::Stopped))
    }
}

/// The verdict on a proposal.
#[derive(Debug)]
pub(crate) enum Opinion {
    /// Nothing can be said: its parent is not known, or is history.
    Unknown,
    /// It is invalid, for ever.
    Invalid(DocketFault),
    /// It names a validator set that this node's operator did not approve: no vote of his, whatever others decide.
    Unapproved,
    /// It is valid if none of these decisions is recorded below an index.
    Sound { position: Position, ask: Vec<DecisionKey>, below: u64 },
}

/// A reason why a docket is invalid.
#[derive(Debug, Error)]
pub(crate) enum DocketFault {
    #[error("submission {at}: {source}")]
    Submission { at: usize, source: SubmissionError },
    #[error("submission {at}: {source}")]
    Inadmissible { at: usize, source: Inadmissible },
}

/// The submissions of a docket to be proposed, and the decisions that must be asked of the ledger before.
#[derive(Debug)]
pub(crate) struct DocketDraft {
    pub(crate) submissions: Vec<Submission>,
    pub(crate) ask: Vec<DecisionKey>,
    pub(crate) below: u64,
}

/// A finalised docket that does not follow the ledger: this validator must stop.
#[derive(Debug, Error)]
pub enum NotNext {
    /// It does not build on the newest docket that the ledger holds.
    #[error("docket {height} does not build on the newest docket of the ledger")]
    OtherParent {
        /// Its height.
        height: u64,
    },
    /// A quorum finalised an entry that may not follow.
    #[error("docket {height} was finalised with an entry that may not follow: {why}")]
    Invalid {
        /// Its height.
        height: u64,
        /// The reason.
        why: String,
    },
}

type Waiters = BTreeMap<EntryId, Vec<oneshot::Sender<Result<Committed, Lost>>>>;

#[derive(Debug)]
struct Inner {
    states: ChainStates,
    pool: Pool,
    committed: Recent<EntryId>,
    waiters: Waiters,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Chamber {
    gate: Gate,
    consent: Consent,
    inner: Mutex<Inner>,
    changed: watch::Sender<u64>,
}

impl Chamber {
    pub(crate) fn new(limits: PoolLimits, consent: Consent) -> Self {
        let inner = Inner {
            states: ChainStates::default(),
            pool: Pool::new(limits),
            committed: Recent::new(REMEMBERED),
            waiters: BTreeMap::new(),
        };
        let changed = watch::channel(0).0;
        Self { gate: Gate::new(), consent, inner: Mutex::new(inner), changed }
    }

    /// The approvals of operators.
    pub(crate) fn consent(&self) -> &Consent {
        &self.consent
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here is left half changed by a panic that matters more than this one.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes when something came into the pool, or was committed.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn tell(&self) {
        self.changed.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// Number of submissions that wait, and their bytes.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let inner = self.inner();
        (inner.pool.len(), inner.pool.bytes())
    }

    /// The ledger holds the docket of this digest, and this is its state.
    pub(crate) fn set_base(&self, height: u64, digest: DocketDigest, state: State) {
        let position = Position {
            digest,
            parent: digest,
            height,
            state: ChainState::new(state),
            decided: BTreeSet::new(),
        };
        self.inner().states.commit(Arc::new(position));
        self.tell();
    }

    pub(crate) fn base(&self) -> Option<Arc<Position>> {
        self.inner().states.base().cloned()
    }

    pub(crate) fn position(&self, digest: &DocketDigest) -> Option<Arc<Position>> {
        self.inner().states.get(digest).cloned()
    }

    /// Verifies a submission where the ledger leaves off. `None` where it waits already.
    pub(crate) fn verify_submission(
        &self,
        submission: &Submission,
    ) -> Result<Option<OpenedSubmission>, SubmitError> {
        let id = submission.id();
        let mut state = {
            let inner = self.inner();
            if inner.committed.contains(&id) {
                return Err(Inadmissible::Recorded.into());
            }
            if inner.pool.get(&id).is_some() {
                return Ok(None);
            }
            inner.states.base().ok_or(SubmitError::NotReady)?.state.clone()
        };
        let opened = submission.open()?;
        {
            // A full pool does not make this validator work.
            let inner = self.inner();
            if inner.pool.has_decided(&opened) {
                return Err(Inadmissible::Recorded.into());
            }
            inner.pool.room(&opened)?;
        }
        self.gate.admit(&mut state, &opened)?;
        Ok(Some(opened))
    }

    /// Lets what was verified wait; whether it is new.
    pub(crate) fn take(&self, opened: OpenedSubmission, own: bool) -> Result<bool, SubmitError> {
        let mut inner = self.inner();
        if inner.committed.contains(&opened.submission.id()) || inner.pool.has_decided(&opened) {
            return Err(Inadmissible::Recorded.into());
        }
        let new = inner.pool.insert(opened, own)?;
        drop(inner);
        if new {
            self.tell();
        }
        Ok(new)
    }

    /// Tells what becomes of a submission that waits; `None` if it does not.
    pub(crate) fn ticket(&self, id: &EntryId) -> Option<Ticket> {
        let mut inner = self.inner();
        inner.pool.get(id)?;
        let (told, ticket) = oneshot::channel();
        let waiters = inner.waiters.entry(*id).or_default();
        waiters.retain(|waiter| !waiter.is_closed());
        if waiters.len() < MAX_WAITERS {
            waiters.push(told);
        }
        Some(Ticket(ticket))
    }

    /// Verifies a docket after its parent.
    pub(crate) fn verify(&self, docket: &Docket) -> Opinion {
        let (parent, above, known) = {
            let inner = self.inner();
            let Some(parent) = inner.states.get(&docket.parent()).cloned() else {
                return Opinion::Unknown;
            };
            let Some(above) = inner.states.above_base(&docket.parent()) else {
                return Opinion::Unknown;
            };
            let known: Vec<Option<OpenedSubmission>> =
                docket.submissions().iter().map(|s| inner.pool.get(&s.id()).cloned()).collect();
            (parent, above, known)
        };
        let mut state = parent.state.clone();
        let mut decided = BTreeSet::new();
        for (at, (submission, known)) in docket.submissions().iter().zip(known).enumerate() {
            // What waits here was looked into already; the id does not speak for the evidence.
            let known = known.filter(|opened| opened.submission == *submission);
            let opened = match known.map_or_else(|| submission.open(), Ok) {
                Ok(opened) => opened,
                Err(source) => return Opinion::Invalid(DocketFault::Submission { at, source }),
            };
            let of = opened.decided();
            let repeated = |d: &DecisionKey| {
                decided.contains(d) || above.iter().any(|p| p.decided.contains(d))
            };
            let verified = match of.as_ref().is_some_and(repeated) {
                true => Err(Inadmissible::Recorded),
                false => self.gate.admit(&mut state, &opened),
            };
            if let Err(source) = verified {
                return Opinion::Invalid(DocketFault::Inadmissible { at, source });
            }
            if !self.consent.votes_for(&opened) {
                return Opinion::Unapproved;
            }
            decided.extend(of);
        }
        let ask = decided.iter().copied().collect();
        let below = parent.state.size();
        Opinion::Sound { position: Position::new(docket, state, decided), ask, below }
    }

    /// Remembers what a docket comes to.
    pub(crate) fn remember(&self, position: Position) {
        self.inner().states.insert(position);
    }

    /// Follows a certified docket, whose evidence a quorum verified, to its position: authority alone is asked
    /// after, so that chains can be followed whose voting this validator missed.
    pub(crate) fn follow(&self, docket: &Docket) -> Result<Arc<Position>, NotNext> {
        let height = docket.height();
        let parent = {
            let inner = self.inner();
            if let Some(known) = inner.states.get(&docket.digest()) {
                return Ok(known.clone());
            }
            inner.states.get(&docket.parent()).cloned()
        };
        let parent = parent.ok_or(NotNext::OtherParent { height })?;
        let invalid = |why: String| NotNext::Invalid { height, why };
        let mut state = parent.state.clone();
        let mut decided = BTreeSet::new();
        for submission in docket.submissions() {
            let opened = submission.open().map_err(|e| invalid(e.to_string()))?;
            state.admit(&opened.entry).map_err(|e| invalid(e.to_string()))?;
            decided.extend(opened.decided());
        }
        Ok(self.inner().states.insert(Position::new(docket, state, decided)))
    }

    /// The entries of a docket that a quorum finalised.
    pub(crate) fn entries(&self, docket: &Docket) -> Result<Vec<Entry>, NotNext> {
        let height = docket.height();
        let entry = |submission: &Submission| {
            // The same id is the same entry, and what waits here was verified.
            let known = self.inner().pool.get(&submission.id()).map(|opened| opened.entry.clone());
            match known {
                Some(entry) => Ok(entry),
                None => submission
                    .open()
                    .map(|opened| opened.entry)
                    .map_err(|e| NotNext::Invalid { height, why: e.to_string() }),
            }
        };
        docket.submissions().iter().map(entry).collect()
    }

    /// Drafts a docket after `parent`; `None` where it is not known what may follow.
    pub(crate) fn draft(&self, parent: &DocketDigest) -> Option<DocketDraft> {
        let (submissions, ask, below) = self.look(parent, |pool, fits| pool.draft(fits))?;
        Some(DocketDraft { submissions, ask, below })
    }

    /// Whether a docket after `parent` would hold anything, as far as can be said without asking the ledger; `None` where that is not
    /// known. Unlike by a draft, no author's turn is over.
    pub(crate) fn has_draft(&self, parent: &DocketDigest) -> Option<bool> {
        self.look(parent, |pool, fits| pool.has_draft(fits)).map(|(has, ..)| has)
    }

    /// Looks at the pool by what may follow `parent`, one after the other: with what came of it, the decisions among those that may,
    /// and the size below which the ledger is to be asked for them.
    fn look<T>(
        &self,
        parent: &DocketDigest,
        of: impl FnOnce(&mut Pool, &mut dyn FnMut(&OpenedSubmission) -> bool) -> T,
    ) -> Option<(T, Vec<DecisionKey>, u64)> {
        let mut inner = self.inner();
        let Inner { states, pool, .. } = &mut *inner;
        let above = states.above_base(parent)?;
        let parent = states.get(parent)?.clone();
        let mut state = parent.state.clone();
        let below = state.size();
        let proposes = self.consent.proposes(parent.height);
        let mut decided = BTreeSet::new();
        let mut fits = |opened: &OpenedSubmission| {
            let of = opened.decided();
            let repeated = |d: &DecisionKey| {
                decided.contains(d) || above.iter().any(|p| p.decided.contains(d))
            };
            if of.as_ref().is_some_and(repeated) {
                return false;
            }
            // It waits for approvals, and nothing else waits for it.
            if self.consent.is_needed(opened) && proposes != Some(opened.submission.id()) {
                return false;
            }
            let fits = self.gate.admit(&mut state, opened).is_ok();
            decided.extend(of.filter(|_| fits));
            fits
        };
        let came = of(pool, &mut fits);
        Some((came, decided.into_iter().collect(), below))
    }

    /// The oldest of this validator's own submissions that still wait, within `room` bytes.
    pub(crate) fn own(&self, room: usize) -> Vec<Submission> {
        self.inner().pool.own(room)
    }

    /// Drops what records a decision that the ledger holds.
    pub(crate) fn drop_recorded(&self, decided: &[DecisionKey]) {
        let mut inner = self.inner();
        for decided in decided {
            if let Some(id) = inner.pool.remove_decided(decided) {
                lose(&mut inner.waiters, &id, Inadmissible::Recorded);
            }
        }
    }

    /// The ledger holds a docket now, whose entries begin at `first`: they wait no more, and what has no
    /// authority after them is dropped.
    pub(crate) fn commit(&self, docket: &Docket, position: Arc<Position>, first: u64) {
        let mut inner = self.inner();
        let Inner { states, pool, committed, waiters } = &mut *inner;
        let (height, size) = (position.height, position.state.size());
        for (index, submission) in (first..).zip(docket.submissions()) {
            let id = submission.id();
            committed.insert(id);
            pool.remove(&id);
            for waiter in waiters.remove(&id).into_iter().flatten() {
                // Who waited may be gone.
                let _ = waiter.send(Ok(Committed { index, height, size }));
            }
        }
        for decided in &position.decided {
            if let Some(id) = pool.remove_decided(decided) {
                lose(waiters, &id, Inadmissible::Recorded);
            }
        }
        for opened in pool.sweep(SWEPT) {
            let mut state = position.state.clone();
            if let Err(why) = self.gate.admit(&mut state, &opened) {
                let id = opened.submission.id();
                pool.remove(&id);
                lose(waiters, &id, why);
            }
        }
        states.commit(position);
        drop(inner);
        self.tell();
    }
}

fn lose(waiters: &mut Waiters, id: &EntryId, why: Inadmissible) {
    let why = Arc::new(why);
    for waiter in waiters.remove(id).into_iter().flatten() {
        let _ = waiter.send(Err(Lost::Inadmissible(why.clone())));
    }
}

#[cfg(test)]
mod tests;
