//! The engine, put together: the one place that knows its parts, and where its generics are compiled.
//!
//! ```text
//!  votes, certificates, fetch ──► simplex ──propose, verify──► Voter ──► Chamber ◄── Gossip ◄── submissions
//!            (by term)          ▲    │                           ▲         ▲
//!  dockets ──► buffer ──► marshal ◄──│─┘ finalisations            │         │
//!  backfill ─► resolver ─►  │   Terms│                           │         │
//!                           │    ▲───┘ last docket of a term     │         │
//!                           └──finalised, in order──► Sink ──► Keeping ──► Ledger, cosignatures
//! ```
//!
//! Choices:
//! - **Archives** are prunable: an idle network makes dockets too, and one that never forgets fills its
//!   disk with heartbeats. [`Config::retained`] says for how long a validator may be away.
//! - **Timeouts**: a leader waits for a fifth of a heartbeat at most, so that its own is short and a dead one soon passed over; votes for
//!   an empty docket are kept back for the rest, which the time of certification holds. The skip policy passes over a leader that was silent
//!   for long, so that one dead validator costs its turns no more than at first, within a budget of one term a
//!   participant, after which ordinary timeouts hold, so that a partition does not run up views.
//! - **Forwarding** of dockets to silent voters: a lost docket would cost its view.
//! - Any error of storage stops the validator: votes that are not on disk must not be sent.

mod engine_base;

use std::num::NonZeroUsize;
use std::sync::Arc;

use commonware_consensus::marshal;
use commonware_consensus::marshal::standard::Standard;
use commonware_consensus::simplex;
use commonware_consensus::simplex::scheme::ed25519::Scheme;
use commonware_consensus::types::{Height, ViewDelta};
use commonware_cryptography::{Digested, Signer as _, ed25519};
use commonware_macros::select;
use commonware_p2p::utils::mux::prefixed;
use commonware_p2p::{Blocker, Provider, Receiver, Sender};
use commonware_runtime::{Clock, Handle, Metrics, Spawner, Storage};
use commonware_utils::NZUsize;
use commonware_utils::channel::{mpsc, oneshot, watch};
use deepring_ledger::Ledger;
use rand_core::CryptoRng;

use super::chamber::Chamber;
use super::channels::ValidatorChannels;
use super::committee::{Committee, Committees, voter_key};
use super::consent::Consent;
use super::cosigning::MAX_STATEMENT_BYTES;
use super::docket::{Docket, DocketDigest};
use super::error::AgreementError;
use super::gossip::MAX_GOSSIP_BYTES;
use super::keeper::Keeper;
use super::keeping::{Ask, LedgerProgress, Sink};
use super::validator::{AgreedLedger, Config, ValidatorHandle};
use engine_base::{EngineBase, LedgerEnds};

pub(crate) const MAILBOX: NonZeroUsize = NZUsize!(1024);
/// Questions to the ledger that wait.
const ASKS: usize = 256;
pub(crate) const VIEWS: ViewDelta = ViewDelta::new(64);
pub(crate) const BUFFER: NonZeroUsize = NZUsize!(1 << 20);

/// The capabilities of a runtime that a validator needs.
pub trait Runtime: Clock + CryptoRng + Spawner + Storage + Metrics {}
impl<E: Clock + CryptoRng + Spawner + Storage + Metrics> Runtime for E {}

/// Bytes of the largest message that a committee of this many sends. The network is to take
/// it; sending a longer one would be the end of the process.
#[must_use]
pub fn max_message_bytes(validators: u32) -> u32 {
    commonware_p2p::max_message_size(&[
        marshal::max_payload_size::<Standard<Docket>, Scheme>(validators, &()),
        // Each term's messages begin with its number.
        prefixed(simplex::max_payload_size::<Scheme, DocketDigest>(validators)),
        MAX_GOSSIP_BYTES,
        MAX_STATEMENT_BYTES,
    ])
}

/// Starts a validator.
#[derive(Debug)]
pub struct Validator;

impl Validator {
    /// Starts a validator over a network that knows its committee, and a ledger that is its alone. What
    /// is to be kept across restarts is in the ledger, and in the runtime's storage under
    /// [`Config::partition`]. **A validator whose storage is lost must not be started with the same
    /// key**: it could vote twice in one view.
    ///
    /// # Errors
    /// [`AgreementError`].
    pub async fn start<E, S, R, P, B>(
        context: E,
        channels: ValidatorChannels<S, R>,
        peers: P,
        blocker: B,
        ledger: Ledger,
        config: Config,
    ) -> Result<ValidatorHandle, AgreementError>
    where
        E: Runtime,
        S: Sender<PublicKey = ed25519::PublicKey>,
        R: Receiver<PublicKey = ed25519::PublicKey>,
        P: Provider<PublicKey = ed25519::PublicKey>,
        B: Blocker<PublicKey = ed25519::PublicKey>,
    {
        if ledger.key().origin() != config.set.origin {
            let (found, expected) = (ledger.key().origin().to_owned(), config.set.origin);
            return Err(AgreementError::OtherOrigin { found, expected });
        }
        Committee::new(&config.set.nodes)?;
        let keeper =
            Keeper::new(ledger, config.node.clone(), &config.set, config.evidence.clone())?;
        let (told, progress) = watch::channel(LedgerProgress::default());
        let (ask, asks) = mpsc::channel(ASKS);
        let (submit, submitted) = mpsc::channel(ASKS);
        let committees = Committees::default();
        let me = voter_key(&config.node)?.public_key();
        let (founding, approval) = (config.set.clone(), config.approval.clone());
        let consent = Consent::new(founding, me, approval, committees.clone());
        let chamber = Arc::new(Chamber::new(config.pool, consent));
        let (ready, started) = oneshot::channel();
        let parts = Parts {
            channels,
            peers,
            blocker,
            keeper,
            config,
            committees,
            chamber: chamber.clone(),
            ask: ask.clone(),
            asks,
            submitted,
            told,
            ready,
        };
        let task = context.child("validator").spawn(move |context| async move {
            match parts.run(context).await {
                Ok(ended) => ended,
                Err(e) => e,
            }
        });
        match started.await {
            Ok(()) => {
                let ledger = AgreedLedger { chamber, asks: ask, submitted: submit, progress };
                Ok(ValidatorHandle { ledger, task })
            }
            Err(_) => Err(task.await.unwrap_or(AgreementError::Ended { part: "runtime" })),
        }
    }
}

/// All that a validator is put together from.
struct Parts<S, R, P, B> {
    channels: ValidatorChannels<S, R>,
    peers: P,
    blocker: B,
    keeper: Keeper,
    config: Config,
    committees: Committees,
    chamber: Arc<Chamber>,
    ask: mpsc::Sender<Ask>,
    asks: mpsc::Receiver<Ask>,
    submitted: mpsc::Receiver<super::Submission>,
    told: watch::Sender<LedgerProgress>,
    ready: oneshot::Sender<()>,
}

impl<S, R, P, B> Parts<S, R, P, B>
where
    S: Sender<PublicKey = ed25519::PublicKey>,
    R: Receiver<PublicKey = ed25519::PublicKey>,
    P: Provider<PublicKey = ed25519::PublicKey>,
    B: Blocker<PublicKey = ed25519::PublicKey>,
{
    /// Runs until a part ends; whatever this context spawned ends with it.
    async fn run<E: Runtime>(mut self, context: E) -> Result<AgreementError, AgreementError> {
        let join = self.config.join.take();
        let base = EngineBase::new(&context, &self.config)?;
        let genesis = Docket::genesis(&self.config.set.origin);
        let genesis_digest = genesis.digest();
        let genesis = Digested::precomputed(genesis, genesis_digest);
        let committees = self.committees.clone();
        let mut resumed = base.resume(self.keeper, join, committees, genesis_digest).await?;
        let epocher = resumed.terms.schedule().epocher();

        let (peers, blocker, channels) = (self.peers, self.blocker, self.channels);
        let backfill = base.start_resolver(peers.clone(), blocker.clone(), channels.backfill);
        let (buffering, buffer) = base.start_buffer(peers.clone(), channels.dockets);
        let storage = base.open_storage(&mut resumed, genesis).await?;
        let (finalised, dockets) = mpsc::unbounded_channel();
        let sink = Sink { dockets: finalised, progress: self.told.clone() };
        let sets = (self.committees.clone(), epocher.clone());
        let started = base.start_marshal(storage, sets, sink, buffer, backfill).await;
        let (marshaling, marshal) = started;

        // What the ledger's newest docket is: the first of all, or one that the engine still holds. If
        // neither, the next that is delivered says what it builds on.
        if resumed.height == 0 {
            let state = resumed.keeper.ledger().state()?.clone();
            self.chamber.set_base(0, genesis_digest, state);
        } else if let Some(docket) = marshal.get_block(Height::new(resumed.height)).await {
            let _ = self.ask.try_send(Ask::Newest(docket.inner().clone()));
        }

        let (statements, heard) = channels.cosignatures;
        let (chamber, ask, asks) = (self.chamber, self.ask, self.asks);
        let ends = LedgerEnds { chamber: chamber.clone(), dockets, asks, told: self.told };
        let (keeping, turns) = base.start_keeping(resumed, ends, marshal.clone(), statements);
        let submissions = (self.submitted, channels.submissions);
        let gossip = base.start_gossip(&chamber, &ask, submissions, blocker.clone());
        let hearing = base.start_hearing(heard, self.committees, ask.clone());
        let terms = base.terms(base.voter(chamber, ask), marshal, epocher, blocker);
        let (votes, certificates, fetch) = (channels.votes, channels.certificates, channels.fetch);
        let engines = context
            .child("engines")
            .spawn(move |_| async move { terms.run(votes, certificates, fetch, turns).await });
        // Who waited for this may be gone.
        let _ = self.ready.send(());
        Ok(Tasks { keeping, gossip, hearing, buffering, marshaling, engines }.ended().await)
    }
}

/// The tasks of a validator.
struct Tasks {
    keeping: Handle<AgreementError>,
    gossip: Handle<()>,
    hearing: Handle<()>,
    buffering: Handle<()>,
    marshaling: Handle<()>,
    engines: Handle<AgreementError>,
}

impl Tasks {
    /// Waits for the first that ends.
    async fn ended(mut self) -> AgreementError {
        select! {
            why = &mut self.keeping => why.unwrap_or(AgreementError::Ended { part: "ledger" }),
            _ = &mut self.gossip => AgreementError::Ended { part: "gossip" },
            _ = &mut self.hearing => AgreementError::Ended { part: "hearing" },
            _ = &mut self.buffering => AgreementError::Ended { part: "buffer" },
            _ = &mut self.marshaling => AgreementError::Ended { part: "marshal" },
            why = &mut self.engines => why.unwrap_or(AgreementError::Ended { part: "engine" }),
        }
    }
}
