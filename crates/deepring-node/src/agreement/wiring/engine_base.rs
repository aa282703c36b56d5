//! The steps in which the engine is put together: each opens or starts one of its parts.

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
use commonware_consensus::types::{Epoch, FixedEpocher};
use commonware_cryptography::certificate::Verifier as _;
use commonware_cryptography::{Digested, Signer as _, ed25519};
use commonware_p2p::{Blocker, Provider, Receiver, Sender};
use commonware_parallel::Sequential;
use commonware_runtime::Handle;
use commonware_runtime::buffer::paged::CacheRef;
use commonware_storage::archive::{Archive as _, prunable};
use commonware_storage::translator::EightCap;
use commonware_utils::acknowledgement::Exact;
use commonware_utils::channel::{mpsc, watch};
use commonware_utils::{NZDuration, NZU16, NZU64, NZUsize};

use super::{BUFFER, MAILBOX, Runtime, VIEWS};
use crate::agreement::application::Voter;
use crate::agreement::chamber::Chamber;
use crate::agreement::committee::{Committees, voter_key};
use crate::agreement::docket::{Docket, DocketDigest};
use crate::agreement::error::AgreementError;
use crate::agreement::gossip::Gossip;
use crate::agreement::join::{FinalDocket, JoinRecord};
use crate::agreement::keeper::Keeper;
use crate::agreement::keeping::{Ask, Keeping, LedgerProgress, Sink, UnprovenCopy};
use crate::agreement::seating::Seating;
use crate::agreement::submission::Submission;
use crate::agreement::term_store::TermStore;
use crate::agreement::terms::{NextTerm, Terms};
use crate::agreement::validator::Config;

/// Cached dockets of one peer.
const BUFFERED: usize = 16;
const PAGE: NonZeroU16 = NZU16!(4084);
const PAGES: NonZeroUsize = NZUsize!(1024);
/// Dockets that are delivered and not acknowledged yet.
const PENDING: NonZeroUsize = NZUsize!(16);
const REPAIRED: NonZeroUsize = NZUsize!(32);
/// Most heights in a file of an archive, which is deleted as a whole.
const SECTION: NonZeroU64 = NZU64!(1024);

/// The ledger and its terms as they were left, for the engine to go on from.
pub(super) struct Resumed<E: Runtime> {
    pub(super) keeper: Keeper,
    pub(super) height: u64,
    /// The record that the node begins with, until it is known whether the engine begins.
    join: Option<JoinRecord>,
    copied: Option<UnprovenCopy>,
    pub(super) terms: TermStore<E>,
    seating: Seating,
}

/// The engine's archives of what is finalised, and where it starts.
pub(super) struct EngineStorage<E: Runtime> {
    finalizations: prunable::Archive<EightCap, E, DocketDigest, FinalDocket>,
    dockets: prunable::Archive<EightCap, E, DocketDigest, Arc<Docket>>,
    start: Start<Scheme, DocketDigest, Digested<Docket>>,
}

/// The ends of the task that keeps the ledger: where it is told and asked, and tells how far it is.
pub(super) struct LedgerEnds {
    pub(super) chamber: Arc<Chamber>,
    pub(super) dockets: mpsc::UnboundedReceiver<(Digested<Docket>, Exact)>,
    pub(super) asks: mpsc::Receiver<Ask>,
    pub(super) told: watch::Sender<LedgerProgress>,
}

pub(super) type Backfill =
    (BackfillReceiver<DocketDigest>, resolver::Mailbox<DocketDigest, ed25519::PublicKey>);
pub(super) type DocketBuffer = buffered::Mailbox<ed25519::PublicKey, Docket>;
pub(super) type MarshalMailbox = Mailbox<Scheme, Standard<Docket>>;

/// Shared by all parts of the engine; each step starts or opens one of them.
pub(super) struct EngineBase<'a, E> {
    context: &'a E,
    config: &'a Config,
    me: ed25519::PublicKey,
    pages: CacheRef,
}

impl<'a, E: Runtime> EngineBase<'a, E> {
    pub(super) fn new(context: &'a E, config: &'a Config) -> Result<Self, AgreementError> {
        let me = voter_key(&config.node)?.public_key();
        Ok(Self { context, config, me, pages: CacheRef::new(PAGE, PAGES) })
    }

    /// Opens the schedule of terms beside the ledger, and seats the committees that it names.
    pub(super) async fn resume(
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
    pub(super) fn start_resolver<P, B, S, R>(
        &self,
        peers: P,
        blocker: B,
        channel: (S, R),
    ) -> Backfill
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
    pub(super) fn start_buffer<P, S, R>(
        &self,
        peers: P,
        channel: (S, R),
    ) -> (Handle<()>, DocketBuffer)
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
    pub(super) async fn open_storage(
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
    pub(super) async fn start_marshal(
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
    pub(super) fn start_keeping<S>(
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
    pub(super) fn start_gossip<S, R, B>(
        &self,
        chamber: &Arc<Chamber>,
        asks: &mpsc::Sender<Ask>,
        (submitted, channel): (mpsc::Receiver<Submission>, (S, R)),
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
    pub(super) fn start_hearing<R>(
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

    pub(super) fn voter(&self, chamber: Arc<Chamber>, asks: mpsc::Sender<Ask>) -> Voter {
        Voter {
            chamber,
            asks,
            timing: self.config.timing,
            #[cfg(feature = "tamper")]
            tamper: self.config.tamper.clone(),
        }
    }

    /// The engines of all terms, which ask this voter.
    pub(super) fn terms<B>(
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
