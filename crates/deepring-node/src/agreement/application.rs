//! Answers to the engine's two questions: to propose a docket, and to vote on one.
//!
//! `verify` says `false` of what is invalid for ever, and says nothing (it stays pending, until the
//! engine gives up) where something is missing that others may have: so a validator that is behind
//! abstains, and never votes against what is valid. Its verdict is [`Chamber::verify`]'s, a function of the
//! chain, and of the ledger below it; for a docket that names a validator set, also of what this node's operator approved.
//!
//! `propose` waits only for a fifth of a heartbeat, so that a leader that is silent is one that is gone, and is soon passed over. Where
//! nothing is to be said the docket is empty, which makes no leaf; the others keep back their votes for it until something is to be
//! said after it or the heartbeat is over, so that a network at rest makes few of them, and still some: the engine prunes its journal
//! only behind what is finalised. What comes while votes are kept back has to wait for one more height; under steady use nothing does.

use std::sync::Arc;
use std::time::SystemTime;

use commonware_consensus::Application;
use commonware_consensus::marshal::ancestry::Ancestry;
use commonware_consensus::simplex::scheme::ed25519::Scheme;
use commonware_consensus::simplex::types::Context;
use commonware_cryptography::{Digested, ed25519};
use commonware_macros::select;
use commonware_runtime::{Clock, Metrics, Spawner};
use commonware_utils::channel::{mpsc, oneshot};
use futures::StreamExt as _;

use super::chain_states::Position;
use super::chamber::{Chamber, Opinion};
use super::docket::{Docket, DocketDigest};
use super::keeping::Ask;
use super::submission::{DecisionKey, Submission};
use super::view_timing::ViewTiming;

/// Most dockets above the ledger's newest that are followed to verify one. Who is further behind is catching up, and abstains.
const MAX_FOLLOWED: usize = 256;

/// A test's function that replaces a validator's proposals: it is given the parent's height and what the validator
/// would propose, and returns what it proposes instead.
#[cfg(feature = "tamper")]
pub type Tamper = Arc<dyn Fn(u64, Vec<Submission>) -> Vec<Submission> + Send + Sync>;

/// See the module.
#[derive(Clone)]
pub(crate) struct Voter {
    pub(crate) chamber: Arc<Chamber>,
    pub(crate) asks: mpsc::Sender<Ask>,
    pub(crate) timing: ViewTiming,
    #[cfg(feature = "tamper")]
    pub(crate) tamper: Option<Tamper>,
}

impl Voter {
    /// Which of these decisions the ledger records below an index; `None` if nobody says.
    async fn recorded(&self, ask: Vec<DecisionKey>, below: u64) -> Option<Vec<DecisionKey>> {
        if ask.is_empty() {
            return Some(Vec::new());
        }
        let (reply, told) = oneshot::channel();
        self.asks.send(Ask::Recorded { ask, below, reply }).await.ok()?;
        told.await.ok()
    }

    /// Waits until it is known which docket the ledger's newest is.
    async fn based(&self) -> Option<Arc<Position>> {
        let mut changes = self.chamber.changes();
        loop {
            changes.borrow_and_update();
            if let Some(base) = self.chamber.base() {
                return Some(base);
            }
            changes.changed().await.ok()?;
        }
    }

    /// Finds where the chain that ends with `newest` leaves off; `None` where it cannot be said.
    async fn reach(
        &self,
        newest: &Digested<Docket>,
        mut ancestry: impl Ancestry<Docket>,
    ) -> Option<Arc<Position>> {
        let base = self.based().await?;
        let mut missing = Vec::new();
        let mut at = newest.clone();
        while self.chamber.position(&at.inner().digest()).is_none() {
            // At the ledger's height and below there is one chain, and this is not it.
            if at.inner().height() <= base.height || missing.len() == MAX_FOLLOWED {
                return None;
            }
            missing.push(at);
            at = ancestry.next().await?;
        }
        for docket in missing.iter().rev() {
            if let Err(why) = self.chamber.follow(docket.inner()) {
                tracing::warn!(height = docket.inner().height(), %why, "chain not followed");
                return None;
            }
        }
        self.chamber.position(&newest.inner().digest())
    }

    /// Drafts the submissions of a docket after `parent`, without those that the ledger holds already.
    async fn draft(&self, parent: &DocketDigest) -> Option<Vec<Submission>> {
        loop {
            let draft = self.chamber.draft(parent)?;
            let recorded = self.recorded(draft.ask, draft.below).await?;
            if recorded.is_empty() {
                return Some(draft.submissions);
            }
            self.chamber.drop_recorded(&recorded);
        }
    }
}

impl<E: Clock + Spawner + Metrics> Application<E> for Voter {
    type SigningScheme = Scheme;
    type Context = Context<DocketDigest, ed25519::PublicKey>;
    type Block = Docket;
    type Input = ();

    async fn propose(
        &mut self,
        (context, _): (E, Self::Context),
        mut ancestry: impl Ancestry<Docket>,
        (): (),
    ) -> Option<Digested<Docket>> {
        let due = context.current() + self.timing.leader_waits();
        let newest = ancestry.next().await?;
        let parent = self.reach(&newest, ancestry).await?;
        self.until_something_waits(&context, &parent.digest, due).await;
        let submissions = self.draft(&parent.digest).await?;
        #[cfg(feature = "tamper")]
        let submissions = match &self.tamper {
            Some(tamper) => tamper(parent.height, submissions),
            None => submissions,
        };
        self.chamber.consent().proposed(&submissions, parent.height);
        let since = context.current().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        match Docket::new(parent.digest, parent.height + 1, now, submissions) {
            Ok(docket) => {
                let digest = docket.digest();
                Some(Digested::precomputed(docket, digest))
            }
            Err(why) => {
                tracing::error!(%why, "a draft does not fit a docket");
                None
            }
        }
    }

    async fn verify(
        &mut self,
        (context, _): (E, Self::Context),
        mut ancestry: impl Ancestry<Docket>,
    ) -> bool {
        match self.verified(&context, &mut ancestry).await {
            Some(valid) => valid,
            None => futures::future::pending().await,
        }
    }
}

impl Voter {
    /// Whether the newest docket of a chain is valid; `None` where it cannot be said.
    async fn verified<E: Clock + Spawner + Metrics>(
        &self,
        context: &E,
        ancestry: &mut impl Ancestry<Docket>,
    ) -> Option<bool> {
        let due = context.current() + (self.timing.heartbeat() - self.timing.leader_waits());
        let docket = ancestry.next().await?;
        let parent = ancestry.next().await?;
        self.reach(&parent, ancestry.clone()).await?;
        let (chamber, verified) = (self.chamber.clone(), docket.inner().clone());
        // Hundreds of signatures: not on a thread that answers others.
        let apart = context.child("verifying").shared(true);
        let verifying = apart.spawn(move |_| async move { chamber.verify(&verified) });
        let height = docket.inner().height();
        match verifying.await.ok()? {
            Opinion::Unknown => None,
            Opinion::Invalid(why) => {
                tracing::warn!(height, %why, "an invalid docket was proposed");
                Some(false)
            }
            Opinion::Unapproved => {
                tracing::info!(height, "a validator set was proposed that is not approved here");
                Some(false)
            }
            Opinion::Sound { position, ask, below } => {
                let recorded = self.recorded(ask, below).await?;
                if !recorded.is_empty() {
                    tracing::warn!(
                        height,
                        "a docket was proposed with a decision that is recorded"
                    );
                    return Some(false);
                }
                self.chamber.remember(position);
                if docket.inner().submissions().is_empty() {
                    self.until_something_waits(context, &docket.inner().digest(), due).await;
                }
                Some(true)
            }
        }
    }

    /// Waits until something is to be said after a docket, or it is `due`.
    async fn until_something_waits<E: Clock>(
        &self,
        context: &E,
        after: &DocketDigest,
        due: SystemTime,
    ) {
        let mut changes = self.chamber.changes();
        while context.current() < due {
            changes.borrow_and_update();
            if self.chamber.has_draft(after).unwrap_or(true) {
                return;
            }
            select! {
                changed = changes.changed() => if changed.is_err() { return },
                _ = context.sleep_until(due) => {},
            }
        }
    }
}
