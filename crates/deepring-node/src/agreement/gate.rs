//! Whether an entry may follow, where a chain of dockets leaves off.
//!
//! A [`ChainState`] is what the ledger will say after a docket: its state, and its size. The [`Gate`]
//! admits a submission to one: the author has authority there, and evidence that is needed is the
//! whole of it: a decision that verifies under an outline registered there, validated as its deal
//! promises, that is the one the entry records, and by no host that is revoked there. The verdict is a function
//! of the chain alone: no clock, no randomness, no order of arrival. So honest validators agree about each
//! docket, and a proposer who makes an invalid one finds no quorum for it.
//!
//! What a clock, a network or a peer says is nowhere an argument. That a decision is not recorded
//! twice is for the caller to ask: it needs the ledger as well.

use std::sync::{Arc, Mutex, PoisonError};

use commonware_cryptography::sha256;
use deepring::Decision;
use deepring::receipt::{ReceiptError, Require};
use deepring_ledger::certificate::CertificateError;
use deepring_ledger::state::{NoAuthority, Revocation};
use deepring_ledger::{Entry, Event, State};
use thiserror::Error;

use super::recent::Recent;
use super::submission::OpenedSubmission;

/// Verified pairs of submission and outline that are remembered: those of some dockets.
const REMEMBERED: usize = 1 << 14;

/// Why a submission may not follow where it was to.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Inadmissible {
    /// The author may not say this now.
    #[error(transparent)]
    NoAuthority(#[from] NoAuthority),
    /// The decision does not verify, or is less validated than the ring's deal promises.
    #[error("the decision is not evidence: {0}")]
    Decision(#[source] ReceiptError),
    /// The entry does not record this decision.
    #[error("the decision is not evidence: {0}")]
    OtherEntry(#[source] CertificateError),
    /// No outline of this deal is registered.
    #[error("no registered outline has the deal under which the decision was made")]
    NoOutline,
    /// A host that opened, ran, validated or closed it is revoked.
    #[error("the decision rests on what entry {} revoked", .0.entry)]
    Revoked(Revocation),
    /// The decision is recorded already, or stands in an earlier submission.
    #[error("the decision is recorded already")]
    Recorded,
}

/// The state in which a chain of dockets leaves off. Cheap to clone, and to go on from where entries change nothing.
#[derive(Debug, Clone)]
pub(crate) struct ChainState {
    state: Arc<State>,
    /// Entries since, which change no more than the size.
    since: u64,
}

impl ChainState {
    pub(crate) fn new(state: State) -> Self {
        Self { state: Arc::new(state), since: 0 }
    }

    /// Number of entries.
    pub(crate) fn size(&self) -> u64 {
        self.state.size() + self.since
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// Adds an entry that has authority here; one that has none changes nothing.
    pub(crate) fn admit(&mut self, entry: &Entry) -> Result<(), NoAuthority> {
        if let Some(refused) = self.state.refuse(entry) {
            return Err(refused);
        }
        // Decisions change nothing, and are most of what a ledger holds: no state is copied for them.
        if entry.decision().is_some() {
            self.since += 1;
            return Ok(());
        }
        let state = Arc::make_mut(&mut self.state);
        state.skip(std::mem::take(&mut self.since));
        state.advance(entry)
    }
}

/// Verifies submissions, and remembers which evidence it verified.
#[derive(Debug)]
pub(crate) struct Gate {
    verified: Mutex<Recent<(sha256::Digest, [u8; 32])>>,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self { verified: Mutex::new(Recent::new(REMEMBERED)) }
    }

    /// Adds a submission to what a chain comes to, if it may follow there.
    pub(crate) fn admit(
        &self,
        state: &mut ChainState,
        opened: &OpenedSubmission,
    ) -> Result<(), Inadmissible> {
        if let Some(decision) = &opened.decision {
            // Authority is cheap to ask after, and evidence is not.
            if let Some(refused) = state.state().refuse(&opened.entry) {
                return Err(refused.into());
            }
            self.verify(state.state(), opened, decision)?;
        }
        Ok(state.admit(&opened.entry)?)
    }

    fn verify(
        &self,
        state: &State,
        opened: &OpenedSubmission,
        decision: &Decision,
    ) -> Result<(), Inadmissible> {
        let Event::Decisions { ring_digest, dealt, .. } = opened.entry.event() else {
            return Ok(());
        };
        let shown = opened.submission.digest();
        let mut refused = Inadmissible::NoOutline;
        // The newest revision first: a ring may have been granted to more hosts since.
        for outline in state.outlines(ring_digest).filter(|o| o.deal_number() == *dealt) {
            let key = (shown, outline.digest().0);
            if !self.is_verified(&key) {
                let verified = match decision.verify(outline, Require::AsDealt) {
                    Ok(verified) => verified,
                    Err(e) => {
                        refused = Inadmissible::Decision(e);
                        continue;
                    }
                };
                if let Err(e) = opened.entry.records(&verified, outline) {
                    refused = Inadmissible::OtherEntry(e);
                    continue;
                }
                self.remember(key);
            }
            let signers = decision.chain().signers().into_iter().chain([decision.closed_by()]);
            return match state.revoked_before(u64::MAX, outline, signers) {
                Some(revocation) => Err(Inadmissible::Revoked(revocation)),
                None => Ok(()),
            };
        }
        Err(refused)
    }

    fn is_verified(&self, key: &(sha256::Digest, [u8; 32])) -> bool {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner).contains(key)
    }

    fn remember(&self, key: (sha256::Digest, [u8; 32])) {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
    }
}
