//! The engine, one for each term: the next is begun when the last docket of a term is on stable storage, and
//! the one before is stopped, with a journal of votes of its own for each.
//!
//! ```text
//!  last docket of term e ──► ledger, schedule ──► engine of e + 1 begins ──► engine of e stops ──► docket acknowledged
//! ```
//!
//! Terms share the network's channels: each message begins with its term. One of a term that has not begun here is
//! a hint that its sender is ahead, and no more: the last docket of this term is then asked of that
//! peer, and counts if this term's committee finalised it. So a validator that was away follows term by term,
//! and a liar costs a question.

use std::time::Duration;

use commonware_consensus::marshal::core::Mailbox;
use commonware_consensus::marshal::standard::{Inline, Standard};
use commonware_consensus::simplex;
use commonware_consensus::simplex::config::{Floor, ForwardPolicy, SkipBudget, SkipPolicy};
use commonware_consensus::simplex::elector::RoundRobin;
use commonware_consensus::simplex::scheme::ed25519::Scheme;
use commonware_consensus::types::{Epoch, Epocher as _, FixedEpocher};
use commonware_cryptography::{Sha256, ed25519};
use commonware_macros::select;
use commonware_p2p::utils::mux::{Builder as _, MuxHandle, Muxer};
use commonware_p2p::{Blocker, Channel, Receiver, Sender};
use commonware_parallel::Sequential;
use commonware_runtime::Handle;
use commonware_runtime::buffer::paged::CacheRef;
use commonware_utils::NZDuration;
use commonware_utils::channel::{mpsc, oneshot};
use commonware_utils::vec::NonEmptyVec;

use super::application::Voter;
use super::docket::{Docket, DocketDigest};
use super::error::AgreementError;
use super::term_store::votes_partition;
use super::view_timing::ViewTiming;
use super::wiring::{BUFFER, MAILBOX, Runtime, VIEWS};

/// A term that is to begin.
#[derive(Debug)]
pub(crate) struct NextTerm {
    pub(crate) term: Epoch,
    /// By which its committee votes; it signs where this validator does.
    pub(crate) scheme: Scheme,
    /// The docket that it builds on.
    pub(crate) floor: DocketDigest,
    /// Told when it has begun, and the one before is stopped.
    pub(crate) begun: oneshot::Sender<()>,
}

/// See the module.
pub(crate) struct Terms<E: Runtime, B> {
    pub(crate) context: E,
    pub(crate) inline: Inline<E, Scheme, Voter, Docket, FixedEpocher>,
    pub(crate) marshal: Mailbox<Scheme, Standard<Docket>>,
    pub(crate) epocher: FixedEpocher,
    pub(crate) blocker: B,
    pub(crate) partition: String,
    pub(crate) pages: CacheRef,
    pub(crate) timing: ViewTiming,
}

/// The channels of all terms.
struct Shared<S: Sender> {
    votes: MuxHandle<S>,
    certificates: MuxHandle<S>,
    fetch: MuxHandle<S>,
}

/// An engine at work; it stops when this is dropped.
struct Running {
    term: Epoch,
    engine: Handle<()>,
    /// Who waits until it has begun, and the one before is stopped.
    begun: Option<oneshot::Sender<()>>,
}

impl Running {
    fn tell(&mut self) {
        if let Some(begun) = self.begun.take() {
            // Who waited for this may be gone.
            let _ = begun.send(());
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.engine.abort();
    }
}

impl<E, B> Terms<E, B>
where
    E: Runtime,
    B: Blocker<PublicKey = ed25519::PublicKey>,
{
    /// Runs the engines of the terms that are to begin, one after the other, until one ends by itself.
    pub(crate) async fn run<S, R>(
        mut self,
        votes: (S, R),
        certificates: (S, R),
        fetch: (S, R),
        mut turns: mpsc::Receiver<NextTerm>,
    ) -> AgreementError
    where
        S: Sender<PublicKey = ed25519::PublicKey>,
        R: Receiver<PublicKey = ed25519::PublicKey>,
    {
        let ended = |part| AgreementError::Ended { part };
        let (mux, votes, mut voted_ahead) =
            Muxer::builder(self.context.child("votes"), votes.0, votes.1).with_backup().build();
        mux.start();
        let (mux, certificates, mut certified_ahead) =
            Muxer::builder(self.context.child("certificates"), certificates.0, certificates.1)
                .with_backup()
                .build();
        mux.start();
        let (mux, fetch) = Muxer::new(self.context.child("fetch"), fetch.0, fetch.1);
        mux.start();
        let mut shared = Shared { votes, certificates, fetch };
        let Some(turn) = turns.recv().await else { return ended("ledger") };
        let Some(mut running) = self.begin(turn, &mut shared).await else {
            return ended("network");
        };
        running.tell();
        loop {
            select! {
                turn = turns.recv() => {
                    let Some(turn) = turn else { return ended("ledger") };
                    let Some(next) = self.begin(turn, &mut shared).await else {
                        return ended("network");
                    };
                    // The one before stops here, before anybody is told.
                    running = next;
                },
                _ = &mut running.engine => return ended("engine"),
                ahead = voted_ahead.recv() => {
                    let Some((term, (from, _))) = ahead else { return ended("network") };
                    self.catch_up(running.term, term, from);
                },
                ahead = certified_ahead.recv() => {
                    let Some((term, (from, _))) = ahead else { return ended("network") };
                    self.catch_up(running.term, term, from);
                },
            }
            running.tell();
        }
    }

    /// Somebody speaks of a later term than this validator's: the last docket of this one is asked of him.
    fn catch_up(&self, term: Epoch, theirs: Channel, from: ed25519::PublicKey) {
        if theirs <= term.get() {
            return;
        }
        if let Some(last) = self.epocher.last(term) {
            self.marshal.hint_finalized(last, NonEmptyVec::new(from));
        }
    }

    /// Begins a term; `None` where the network is gone.
    async fn begin<S>(&mut self, turn: NextTerm, shared: &mut Shared<S>) -> Option<Running>
    where
        S: Sender<PublicKey = ed25519::PublicKey>,
    {
        let NextTerm { term, scheme, floor, begun } = turn;
        let engine = simplex::Engine::new(
            self.context.child("engine").with_attribute("term", term),
            simplex::Config {
                scheme,
                elector: RoundRobin::<Sha256>::default(),
                blocker: self.blocker.clone(),
                automaton: self.inline.clone(),
                relay: self.inline.clone(),
                reporter: self.inline.clone(),
                track_historical_votes: false,
                strategy: Sequential,
                partition: votes_partition(&self.partition, term.get()),
                mailbox_size: MAILBOX,
                epoch: term,
                floor: Floor::Genesis(floor),
                replay_buffer: BUFFER,
                write_buffer: BUFFER,
                page_cache: self.pages.clone(),
                leader_timeout: self.timing.leader_timeout(),
                certification_timeout: self.timing.certification_timeout(),
                timeout_retry: self.timing.leader_timeout(),
                view_retention: VIEWS,
                skip: SkipPolicy::Enabled {
                    timeout: self.timing.skip_timeout(),
                    budget: SkipBudget::Participants,
                },
                fetch_timeout: NZDuration!(Duration::from_secs(2)),
                fetch_retry_delay: Duration::from_millis(100),
                forward: ForwardPolicy::SilentVoters,
            },
        );
        let votes = shared.votes.register(term.get()).await.ok()?;
        let certificates = shared.certificates.register(term.get()).await.ok()?;
        let fetch = shared.fetch.register(term.get()).await.ok()?;
        let engine = engine.start(votes, certificates, fetch);
        Some(Running { term, engine, begun: Some(begun) })
    }
}
