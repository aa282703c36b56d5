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

use std::num::{NonZeroU16, NonZeroU64, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use commonware_broadcast::buffered;
use commonware_consensus::marshal::core::{Actor as Marshal, Mailbox};
use commonware_consensus::marshal::resolver::handler::Receiver as BackfillReceiver;
use commonware_consensus::marshal::resolver::p2p as resolver;
use commonware_consensus::marshal::standard::{Inline, Standard};
use commonware_consensus::marshal::{self, Start};
use commonware_consensus::simplex::scheme::ed25519::Scheme;
use commonware_consensus::simplex::{self};
use commonware_consensus::types::{Epoch, FixedEpocher, Height, ViewDelta};
use commonware_cryptography::certificate::Verifier as _;
use commonware_cryptography::{Digested, Signer as _, ed25519};
use commonware_macros::select;
use commonware_p2p::utils::mux::prefixed;
use commonware_p2p::{Blocker, Provider, Receiver, Sender};
use commonware_parallel::Sequential;
use commonware_runtime::buffer::paged::CacheRef;
use commonware_runtime::{Clock, Handle, Metrics, Spawner, Storage};
use commonware_storage::archive::{Archive as _, prunable};
use commonware_storage::translator::EightCap;
use commonware_utils::acknowledgement::Exact;
use commonware_utils::channel::{mpsc, oneshot, watch};
use commonware_utils::{NZDuration, NZU16, NZU64, NZUsize};
use deepring_ledger::Ledger;
use rand_core::CryptoRng;

use super::application::Voter;
use super::chamber::Chamber;
use super::channels::ValidatorChannels;
use super::committee::{Committee, Committees, voter_key};
use super::consent::Consent;
use super::cosigning::MAX_STATEMENT_BYTES;
use super::docket::{Docket, DocketDigest};
use super::error::AgreementError;
use super::gossip::{Gossip, MAX_GOSSIP_BYTES};
use super::join::{FinalDocket, JoinRecord};
use super::keeper::Keeper;
use super::keeping::{Ask, Keeping, LedgerProgress, Sink, UnprovenCopy};
use super::seating::Seating;
use super::term_store::TermStore;
use super::terms::{NextTerm, Terms};
use super::validator::{AgreedLedger, Config, ValidatorHandle};

pub(crate) const MAILBOX: NonZeroUsize = NZUsize!(1024);
/// Questions to the ledger that wait.
const ASKS: usize = 256;
/// Cached dockets of one peer.
const BUFFERED: usize = 16;
pub(crate) const VIEWS: ViewDelta = ViewDelta::new(64);
const PAGE: NonZeroU16 = NZU16!(4084);
const PAGES: NonZeroUsize = NZUsize!(1024);
pub(crate) const BUFFER: NonZeroUsize = NZUsize!(1 << 20);
/// Dockets that are delivered and not acknowledged yet.
const PENDING: NonZeroUsize = NZUsize!(16);
const REPAIRED: NonZeroUsize = NZUsize!(32);
/// Most heights in a file of an archive, which is deleted as a whole.
const SECTION: NonZeroU64 = NZU64!(1024);

/// What a validator needs of the runtime.
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

/// The ledger and its terms as they were left, for the engine to go on from.
struct Resumed<E: Runtime> {
    keeper: Keeper,
    height: u64,
    /// The record that the node begins with, until it is known whether the engine begins.
    join: Option<JoinRecord>,
    copied: Option<UnprovenCopy>,
    terms: TermStore<E>,
    seating: Seating,
}

/// The engine's archives of what is finalised, and where it starts.
struct EngineStorage<E: Runtime> {
    finalizations: prunable::Archive<EightCap, E, DocketDigest, FinalDocket>,
    dockets: prunable::Archive<EightCap, E, DocketDigest, Arc<Docket>>,
    start: Start<Scheme, DocketDigest, Digested<Docket>>,
}

/// What comes to the task that keeps the ledger, and where it tells how far it is.
struct LedgerEnds {
    chamber: Arc<Chamber>,
    dockets: mpsc::UnboundedReceiver<(Digested<Docket>, Exact)>,
    asks: mpsc::Receiver<Ask>,
    told: watch::Sender<LedgerProgress>,
}

type Backfill =
    (BackfillReceiver<DocketDigest>, resolver::Mailbox<DocketDigest, ed25519::PublicKey>);
type DocketBuffer = buffered::Mailbox<ed25519::PublicKey, Docket>;
type MarshalMailbox = Mailbox<Scheme, Standard<Docket>>;

/// Shared by all parts of the engine; each step starts or opens one of them.
struct EngineBase<'a, E> {
    context: &'a E,
    config: &'a Config,
    me: ed25519::PublicKey,
    pages: CacheRef,
}

impl<'a, E: Runtime> EngineBase<'a, E> {
    fn new(context: &'a E, config: &'a Config) -> Result<Self, AgreementError> {
        let me = voter_key(&config.node)?.public_key();
        Ok(Self { context, config, me, pages: CacheRef::new(PAGE, PAGES) })
    }

    /// Opens the schedule of terms beside the ledger, and seats the committees that it names.
    async fn resume(
        &self,
        mut keeper: Keeper,
        join: Option<JoinRecord>,
        committees: Committees,
        genesis: DocketDigest,
    ) -> Result<Resumed<E>, AgreementError> {
        let config = self.config;
        let height = keeper.height()?;
        // With a ledger that is not as far yet it is somebody else's, or of another time.
        let join = join.filter(|join| join.floor_height() <= height);
        let proof = |join: &JoinRecord| match &join.proof {
            Some(proof) if proof.exists() => None,
            proof => Some(UnprovenCopy {
                size: keeper.ledger().len(),
                votes: config.votes,
                proof: proof.clone(),
            }),
        };
        let copied = join.as_ref().and_then(proof);
        let terms = TermStore::open(
            self.context.child("schedule"),
            &config.partition,
            &config.set,
            (config.term_heights, config.retained),
            genesis,
            join.as_ref(),
        )
        .await?;
        let schedule = terms.schedule();
        let floor = schedule.floor_height();
        if schedule.newest() > Epoch::zero() && height < floor {
            return Err(AgreementError::LedgerBehind { height, floor });
        }
        keeper.seat(schedule.standing())?;
        let votes = config.votes && copied.is_none();
        let seating = Seating { committees, node: config.node.clone(), votes };
        for (term, set) in schedule.sets() {
            seating.seat(term, set)?;
        }
        // Before anything is verified by who sat before.
        seating.committees.begin(schedule.newest());
        Ok(Resumed { keeper, height, join, copied, terms, seating })
    }

    /// Asks others for dockets, and answers them.
    fn start_resolver<P, B, S, R>(&self, peers: P, blocker: B, channel: (S, R)) -> Backfill
    where
        P: Provider<PublicKey = ed25519::PublicKey>,
        B: Blocker<PublicKey = ed25519::PublicKey>,
        S: Sender<PublicKey = ed25519::PublicKey>,
        R: Receiver<PublicKey = ed25519::PublicKey>,
    {
        resolver::init(
            self.context.child("resolver"),
            resolver::Config {
                public_key: self.me.clone(),
                peer_provider: peers,
                blocker,
                mailbox_size: MAILBOX,
                fetch_timeout: NZDuration!(Duration::from_secs(2)),
                fetch_retry_delay: Duration::from_millis(100),
                priority_requests: false,
                priority_responses: false,
            },
            channel,
        )
    }

    /// Sends and receives dockets as they are proposed.
    fn start_buffer<P, S, R>(&self, peers: P, channel: (S, R)) -> (Handle<()>, DocketBuffer)
    where
        P: Provider<PublicKey = ed25519::PublicKey>,
        S: Sender<PublicKey = ed25519::PublicKey>,
        R: Receiver<PublicKey = ed25519::PublicKey>,
    {
        let (engine, buffer) = buffered::Engine::new(
            self.context.child("buffer"),
            buffered::Config {
                public_key: self.me.clone(),
                mailbox_size: MAILBOX,
                deque_size: BUFFERED,
                priority: true,
                codec_config: (),
                peer_provider: peers,
                strategy: Sequential,
            },
        );
        (engine.start(channel), buffer)
    }

    /// Opens the archives, and begins a schedule that is new.
    async fn open_storage(
        &self,
        resumed: &mut Resumed<E>,
        genesis: Digested<Docket>,
    ) -> Result<EngineStorage<E>, AgreementError> {
        let storage =
            |e: commonware_storage::archive::Error| AgreementError::Storage(e.to_string());
        let certified = Scheme::certificate_codec_config_unbounded();
        let finalizations = self.archive("finalizations", certified);
        let finalizations =
            prunable::Archive::init(self.context.child("finalizations"), finalizations).await;
        let dockets = self.archive("dockets", ());
        let dockets = prunable::Archive::init(self.context.child("dockets"), dockets).await;
        let dockets: prunable::Archive<_, _, _, Arc<Docket>> = dockets.map_err(storage)?;
        let grown = dockets.last_index().is_some_and(|height| height > 0);
        resumed.terms.begin(grown).await?;
        // What the engine has processed since counts, and this no more.
        let term = resumed.terms.schedule().newest().get();
        let join = resumed.join.take();
        if join.as_ref().is_some_and(|join| join.term() > term) && !grown {
            let why =
                "the engine began with an older record than the one that is given, and got nowhere";
            return Err(AgreementError::Terms(why.to_owned()));
        }
        let start = match join.filter(|join| join.term() <= term) {
            Some(JoinRecord { last, .. }) => Start::Floor(last),
            None => Start::Genesis(genesis),
        };
        let finalizations = finalizations.map_err(storage)?;
        Ok(EngineStorage { finalizations, dockets, start })
    }

    /// An archive that can be pruned, of what is finalised, by height and digest.
    fn archive<C>(&self, name: &str, codec_config: C) -> prunable::Config<EightCap, C> {
        let partition = &self.config.partition;
        prunable::Config {
            translator: EightCap,
            metadata_partition: format!("{partition}-{name}-metadata"),
            key_partition: format!("{partition}-{name}-key"),
            key_page_cache: self.pages.clone(),
            value_partition: format!("{partition}-{name}-value"),
            compression: None,
            codec_config,
            items_per_section: self.section(),
            key_write_buffer: BUFFER,
            value_write_buffer: BUFFER,
            replay_buffer: BUFFER,
        }
    }

    fn section(&self) -> NonZeroU64 {
        SECTION.min(self.config.retained)
    }

    /// Puts finalised dockets in order, and gives them to the sink.
    async fn start_marshal(
        &self,
        storage: EngineStorage<E>,
        (provider, epocher): (Committees, FixedEpocher),
        sink: Sink,
        buffer: DocketBuffer,
        backfill: Backfill,
    ) -> (Handle<()>, MarshalMailbox) {
        let (marshal, mailbox, _) = Marshal::<_, Standard<Docket>, _, _, _, _, _>::init(
            self.context.child("marshal"),
            storage.finalizations,
            storage.dockets,
            marshal::Config {
                provider,
                epocher,
                start: storage.start,
                partition_prefix: format!("{}-marshal", self.config.partition),
                mailbox_size: MAILBOX,
                view_retention: VIEWS,
                prunable_items_per_section: self.section(),
                page_cache: self.pages.clone(),
                replay_buffer: BUFFER,
                key_write_buffer: BUFFER,
                value_write_buffer: BUFFER,
                block_codec_config: (),
                max_repair: REPAIRED,
                max_pending_acks: PENDING,
                strategy: Sequential,
            },
        )
        .await;
        (marshal.start(sink, buffer, backfill), mailbox)
    }

    /// Keeps the ledger; the terms that are to begin come out of the receiver.
    fn start_keeping<S>(
        &self,
        resumed: Resumed<E>,
        ends: LedgerEnds,
        marshal: MarshalMailbox,
        statements: S,
    ) -> (Handle<AgreementError>, mpsc::Receiver<NextTerm>)
    where
        S: Sender<PublicKey = ed25519::PublicKey>,
    {
        let (turn, turns) = mpsc::channel(1);
        let keeping = Keeping {
            context: self.context.child("ledger"),
            keeper: resumed.keeper,
            chamber: ends.chamber,
            dockets: ends.dockets,
            asks: ends.asks,
            statements,
            progress: ends.told,
            marshal,
            retained: self.config.retained,
            repeat: self.config.timing.heartbeat(),
            terms: resumed.terms,
            seating: resumed.seating,
            turn,
            join_file: self.config.join_file.clone(),
            copied: resumed.copied,
            reseated: false,
        };
        let context = self.context.child("keeping").dedicated();
        (context.spawn(move |_| async move { keeping.run().await }), turns)
    }

    /// Sends and receives submissions.
    fn start_gossip<S, R, B>(
        &self,
        chamber: &Arc<Chamber>,
        asks: &mpsc::Sender<Ask>,
        (submitted, channel): (mpsc::Receiver<super::Submission>, (S, R)),
        blocker: B,
    ) -> Handle<()>
    where
        S: Sender<PublicKey = ed25519::PublicKey>,
        R: Receiver<PublicKey = ed25519::PublicKey>,
        B: Blocker<PublicKey = ed25519::PublicKey>,
    {
        let (sender, receiver) = channel;
        let gossip = Gossip {
            context: self.context.child("submissions"),
            chamber: chamber.clone(),
            asks: asks.clone(),
            submitted,
            sender,
            receiver,
            blocker,
            repeat: self.config.repeat,
        };
        let context = self.context.child("gossip").dedicated();
        context.spawn(move |_| async move { gossip.run().await })
    }

    /// Gives the ledger what other validators cosigned.
    fn start_hearing<R>(
        &self,
        mut heard: R,
        committees: Committees,
        asks: mpsc::Sender<Ask>,
    ) -> Handle<()>
    where
        R: Receiver<PublicKey = ed25519::PublicKey>,
    {
        self.context.child("hearing").spawn(move |_| async move {
            while let Ok((from, bytes)) = heard.recv().await {
                let Some(node) = committees.node(&from) else { continue };
                let bytes = bytes.as_ref().to_vec();
                // What the ledger has no time for is sent again.
                let _ = asks.try_send(Ask::Statement { from: node, bytes });
            }
        })
    }

    fn voter(&self, chamber: Arc<Chamber>, asks: mpsc::Sender<Ask>) -> Voter {
        Voter {
            chamber,
            asks,
            timing: self.config.timing,
            #[cfg(feature = "tamper")]
            tamper: self.config.tamper.clone(),
        }
    }

    /// The engines of all terms, which ask this voter.
    fn terms<B>(
        &self,
        voter: Voter,
        marshal: MarshalMailbox,
        epocher: FixedEpocher,
        blocker: B,
    ) -> Terms<E, B> {
        let application = self.context.child("application");
        let inline = Inline::new(application, voter, marshal.clone(), epocher.clone());
        Terms {
            context: self.context.child("terms"),
            inline,
            marshal,
            epocher,
            blocker,
            partition: self.config.partition.clone(),
            pages: self.pages.clone(),
            timing: self.config.timing,
        }
    }
}
