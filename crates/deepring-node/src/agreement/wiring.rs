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
use commonware_consensus::marshal::core::Actor as Marshal;
use commonware_consensus::marshal::resolver::p2p as resolver;
use commonware_consensus::marshal::standard::{Inline, Standard};
use commonware_consensus::marshal::{self, Start};
use commonware_consensus::simplex::scheme::ed25519::Scheme;
use commonware_consensus::simplex::{self};
use commonware_consensus::types::{Epoch, Height, ViewDelta};
use commonware_cryptography::certificate::Verifier as _;
use commonware_cryptography::{Digested, Signer as _, ed25519};
use commonware_macros::select;
use commonware_p2p::utils::mux::prefixed;
use commonware_p2p::{Blocker, Provider, Receiver, Sender};
use commonware_parallel::Sequential;
use commonware_runtime::buffer::paged::CacheRef;
use commonware_runtime::{Clock, Handle, Metrics, Quota, Spawner, Storage};
use commonware_storage::archive::{Archive as _, prunable};
use commonware_storage::translator::EightCap;
use commonware_utils::channel::{mpsc, oneshot, watch};
use commonware_utils::{NZDuration, NZU16, NZU32, NZU64, NZUsize};
use deepring_ledger::Ledger;
use rand_core::CryptoRng;

use super::application::Voter;
use super::chamber::Chamber;
use super::committee::{Committee, Committees, voter_key};
use super::consent::Consent;
use super::cosigning::MAX_STATEMENT_BYTES;
use super::docket::{Docket, DocketDigest};
use super::error::AgreementError;
use super::gossip::{Gossip, MAX_GOSSIP_BYTES};
use super::join::JoinRecord;
use super::keeper::Keeper;
use super::keeping::{Ask, Keeping, LedgerProgress, Sink, UnprovenCopy};
use super::seating::Seating;
use super::term_store::TermStore;
use super::terms::Terms;
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

/// The network's channels, each a sender and a receiver.
#[derive(Debug)]
pub struct ValidatorChannels<S, R> {
    /// The engine's votes.
    pub votes: (S, R),
    /// The engine's certificates.
    pub certificates: (S, R),
    /// Certificates that are asked for.
    pub fetch: (S, R),
    /// Dockets as they are proposed.
    pub dockets: (S, R),
    /// Dockets that are asked for.
    pub backfill: (S, R),
    /// Submissions.
    pub submissions: (S, R),
    /// Cosignatures of checkpoints.
    pub cosignatures: (S, R),
}

/// The channels' numbers, in the order of [`ValidatorChannels`], and how many messages a second each takes of a
/// peer. Quotas decide how much memory the network's mailboxes reserve.
#[must_use]
pub fn channels() -> [(u64, Quota); 7] {
    let quota = |n: u32| Quota::per_second(std::num::NonZeroU32::new(n).unwrap_or(NZU32!(1)));
    [
        (0, quota(256)),
        (1, quota(256)),
        (2, quota(64)),
        (3, quota(64)),
        (4, quota(64)),
        (5, quota(128)),
        (6, quota(32)),
    ]
}

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

/// An archive that can be pruned, of what is finalised, by height and digest.
fn archive<C>(
    partition: &str,
    name: &str,
    (pages, section): (&CacheRef, NonZeroU64),
    codec_config: C,
) -> prunable::Config<EightCap, C> {
    prunable::Config {
        translator: EightCap,
        metadata_partition: format!("{partition}-{name}-metadata"),
        key_partition: format!("{partition}-{name}-key"),
        key_page_cache: pages.clone(),
        value_partition: format!("{partition}-{name}-value"),
        compression: None,
        codec_config,
        items_per_section: section,
        key_write_buffer: BUFFER,
        value_write_buffer: BUFFER,
        replay_buffer: BUFFER,
    }
}

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
    async fn run<E: Runtime>(self, context: E) -> Result<AgreementError, AgreementError> {
        let Self { channels, config, committees, mut keeper, chamber, .. } = self;
        let me = voter_key(&config.node)?.public_key();
        let pages = CacheRef::new(PAGE, PAGES);
        let genesis = Docket::genesis(&config.set.origin);
        let genesis_digest = genesis.digest();
        let partition = &config.partition;
        let terms = (config.term_heights, config.retained);
        let height = keeper.height()?;
        // With a ledger that is not as far yet it is somebody else's, or of another time.
        let join = config.join.filter(|join| join.floor_height() <= height);
        let proof = |join: &JoinRecord| match &join.proof {
            Some(proof) if proof.exists() => None,
            proof => Some(UnprovenCopy {
                size: keeper.ledger().len(),
                votes: config.votes,
                proof: proof.clone(),
            }),
        };
        let copied = join.as_ref().and_then(proof);
        let mut terms = TermStore::open(
            context.child("schedule"),
            partition,
            &config.set,
            terms,
            genesis_digest,
            join.as_ref(),
        )
        .await?;
        let schedule = terms.schedule();
        let floor = schedule.floor_height();
        if schedule.newest() > Epoch::zero() && height < floor {
            return Err(AgreementError::LedgerBehind { height, floor });
        }
        keeper.seat(schedule.standing())?;
        let epocher = schedule.epocher();
        let seating = Seating {
            committees: committees.clone(),
            node: config.node.clone(),
            votes: config.votes && copied.is_none(),
        };
        for (term, set) in schedule.sets() {
            seating.seat(term, set)?;
        }
        // Before anything is verified by who sat before.
        committees.begin(schedule.newest());

        let backfill = resolver::init(
            context.child("resolver"),
            resolver::Config {
                public_key: me.clone(),
                peer_provider: self.peers.clone(),
                blocker: self.blocker.clone(),
                mailbox_size: MAILBOX,
                fetch_timeout: NZDuration!(Duration::from_secs(2)),
                fetch_retry_delay: Duration::from_millis(100),
                priority_requests: false,
                priority_responses: false,
            },
            channels.backfill,
        );
        let (buffer_engine, buffer) = buffered::Engine::new(
            context.child("buffer"),
            buffered::Config {
                public_key: me.clone(),
                mailbox_size: MAILBOX,
                deque_size: BUFFERED,
                priority: true,
                codec_config: (),
                peer_provider: self.peers.clone(),
                strategy: Sequential,
            },
        );
        let buffering = buffer_engine.start(channels.dockets);

        let storage =
            |e: commonware_storage::archive::Error| AgreementError::Storage(e.to_string());
        let section = SECTION.min(config.retained);
        let certified = Scheme::certificate_codec_config_unbounded();
        let finalizations = archive(partition, "finalizations", (&pages, section), certified);
        let finalizations =
            prunable::Archive::init(context.child("finalizations"), finalizations).await;
        let dockets = archive(partition, "dockets", (&pages, section), ());
        let dockets = prunable::Archive::init(context.child("dockets"), dockets).await;
        let dockets = dockets.map_err(storage)?;
        let grown = dockets.last_index().is_some_and(|height| height > 0);
        terms.begin(grown).await?;
        // What the engine has processed since counts, and this no more.
        let term = terms.schedule().newest().get();
        if join.as_ref().is_some_and(|join| join.term() > term) && !grown {
            let why =
                "the engine began with an older record than the one that is given, and got nowhere";
            return Err(AgreementError::Terms(why.to_owned()));
        }
        let join = join.filter(|join| join.term() <= term);
        let start = match join {
            Some(JoinRecord { last, .. }) => Start::Floor(last),
            None => Start::Genesis(Digested::precomputed(genesis.clone(), genesis_digest)),
        };

        let (marshal, mailbox, _) = Marshal::<_, Standard<Docket>, _, _, _, _, _>::init(
            context.child("marshal"),
            finalizations.map_err(storage)?,
            dockets,
            marshal::Config {
                provider: seating.committees.clone(),
                epocher: epocher.clone(),
                start,
                partition_prefix: format!("{partition}-marshal"),
                mailbox_size: MAILBOX,
                view_retention: VIEWS,
                prunable_items_per_section: section,
                page_cache: pages.clone(),
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
        let (finalised, delivered) = mpsc::unbounded_channel();
        let sink = Sink { dockets: finalised, progress: self.told.clone() };
        let marshaling = marshal.start(sink, buffer, backfill);

        // What the ledger's newest docket is: the first of all, or one that the engine still holds. If
        // neither, the next that is delivered says what it builds on.
        if height == 0 {
            let state = keeper.ledger().state()?.clone();
            chamber.set_base(0, genesis_digest, state);
        } else if let Some(docket) = mailbox.get_block(Height::new(height)).await {
            let newest = Ask::Newest(docket.inner().clone());
            let _ = self.ask.try_send(newest);
        }

        let (statements, mut heard) = channels.cosignatures;
        let (turn, turns) = mpsc::channel(1);
        let keeping = Keeping {
            context: context.child("ledger"),
            keeper,
            chamber: chamber.clone(),
            dockets: delivered,
            asks: self.asks,
            statements,
            progress: self.told,
            marshal: mailbox.clone(),
            retained: config.retained,
            repeat: config.timing.heartbeat(),
            terms,
            seating,
            turn,
            join_file: config.join_file,
            copied,
            reseated: false,
        };
        let mut keeping =
            context.child("keeping").dedicated().spawn(move |_| async move { keeping.run().await });

        let (sender, receiver) = channels.submissions;
        let gossip = Gossip {
            context: context.child("submissions"),
            chamber: chamber.clone(),
            asks: self.ask.clone(),
            submitted: self.submitted,
            sender,
            receiver,
            blocker: self.blocker.clone(),
            repeat: config.repeat,
        };
        let mut gossip =
            context.child("gossip").dedicated().spawn(move |_| async move { gossip.run().await });

        let hearing_asks = self.ask.clone();
        let mut hearing = context.child("hearing").spawn(move |_| async move {
            while let Ok((from, bytes)) = heard.recv().await {
                let Some(node) = committees.node(&from) else { continue };
                let bytes = bytes.as_ref().to_vec();
                // What the ledger has no time for is sent again.
                let _ = hearing_asks.try_send(Ask::Statement { from: node, bytes });
            }
        });

        let voter = Voter {
            chamber,
            asks: self.ask,
            timing: config.timing,
            #[cfg(feature = "tamper")]
            tamper: config.tamper,
        };
        let inline =
            Inline::new(context.child("application"), voter, mailbox.clone(), epocher.clone());
        let terms = Terms {
            context: context.child("terms"),
            inline,
            marshal: mailbox,
            epocher,
            blocker: self.blocker,
            partition: partition.clone(),
            pages,
            timing: config.timing,
        };
        let (votes, certificates, fetch) = (channels.votes, channels.certificates, channels.fetch);
        let mut engines = context
            .child("engines")
            .spawn(move |_| async move { terms.run(votes, certificates, fetch, turns).await });
        // Who waited for this may be gone.
        let _ = self.ready.send(());
        let (mut buffering, mut marshaling): (Handle<()>, Handle<()>) = (buffering, marshaling);
        Ok(select! {
            why = &mut keeping => why.unwrap_or(AgreementError::Ended { part: "ledger" }),
            _ = &mut gossip => AgreementError::Ended { part: "gossip" },
            _ = &mut hearing => AgreementError::Ended { part: "hearing" },
            _ = &mut buffering => AgreementError::Ended { part: "buffer" },
            _ = &mut marshaling => AgreementError::Ended { part: "marshal" },
            why = &mut engines => why.unwrap_or(AgreementError::Ended { part: "engine" }),
        })
    }
}
