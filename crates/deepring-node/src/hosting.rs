//! A host's part in queries over a network.
//!
//! ```text
//!  other hosts ──fragments──► Inbox ──► Driver ──► Outbox ──fragments──► other hosts
//!                                        │  ▲
//!            Asker ──queries────────────►│  └──results── workers (RingHost)
//!                        connections ────►├──receipts──► SignedJournal
//!                                        ├──notices───► whoever records them
//!                                        └──questions about copies──► CopyServer, and answers ──► Mender
//! ```
//!
//! What a host says and when is [`Participant`]'s business; this carries its bytes, computes, keeps time and remembers. The
//! attacker is the network and every other host: links lose what they like, and who sends what no host sends is cut off for a
//! while. Hosts are known to each other by the signing half of their own keys ([`host_identity`]): whom a message is from is
//! what the handshake proved.

mod driver;
mod error;
mod fragment;
mod handle;
mod inbox;
mod journal;
mod live_host;
mod marker;
mod mending;
mod outbox;
mod peers;
mod presence;
mod quarantine;
mod ring_copy;
mod worker;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use commonware_cryptography::ed25519;
use commonware_macros::select;
use commonware_p2p::{Blocker, Receiver, Sender};
use commonware_runtime::{Handle, Quota};
use commonware_utils::NZU32;
use commonware_utils::channel::mpsc;
use deepring::{AuthenticRing, Digest, Host, PublicKey, SecretKey};
use deepring_infer::engine::Engine;
use deepring_infer::participant::{Bounds, Participant, Patience};
use futures::future::select_all;
use futures::lock::Mutex;

use crate::agreement::Runtime;
use driver::{Counts, Driver, HostEvent};
pub use error::{HostingError, QueryError};
use fragment::MAX_FRAGMENT_BYTES;
pub use handle::{Asker, HostHandle, Notice};
use inbox::Inbox;
pub use journal::SignedJournalError;
use journal::{SignedBefore, SignedJournal};
pub use live_host::LiveHost;
use marker::SignedMarker;
pub use mending::{CopyExchange, CopyStanding, MendError, Mender, RecordError, RepairRecord};
use mending::{CopyServer, MAX_MEND_BYTES, Question};
use outbox::{Outbox, PeerSender};
use peers::HostPeers;
pub use peers::{host_identity, host_identity_key};
pub use presence::presence_channel;
pub use quarantine::Quarantine;
pub use ring_copy::RingCopy;
use worker::LegWork;

/// Events that wait for the driver.
const EVENTS: usize = 256;
/// Notices that wait to be taken.
const NOTICES: usize = 1024;

/// The channel that hosts meet in, and how many fragments a second it takes of a peer. The quota decides how much memory the
/// network's mailboxes reserve.
#[must_use]
pub fn channel() -> (u64, Quota) {
    (0, Quota::per_second(NZU32!(256)))
}

/// Bytes of the largest network message that a host sends. The network is to take it; sending a longer one would be the end of
/// the process.
#[must_use]
pub fn max_message_bytes() -> u32 {
    u32::try_from(MAX_FRAGMENT_BYTES).unwrap_or(u32::MAX)
}

/// A host's configuration.
#[derive(Debug, Clone)]
pub struct HostConfig {
    /// This host's key.
    pub key: SecretKey<Host>,
    /// The file that keeps what it signed.
    pub journal: PathBuf,
    /// The file beside its key that says of which rings it signed receipts: with it, a journal that is gone is not begun anew.
    pub signed_before: Option<PathBuf>,
    /// Whether a journal that is gone is begun anew all the same. A host that forgets what it signed can sign another receipt for
    /// the same leg, which is proof of a lie: only once every query that it took part in has ended.
    pub forget_signed: bool,
    /// How long it waits for others.
    pub patience: Patience,
    /// How much it keeps.
    pub bounds: Bounds,
    /// Legs that are computed at a time.
    pub workers: NonZeroUsize,
    /// Blocks that it must not use.
    pub quarantine: Quarantine,
    /// For whom what entered a disputed leg is sealed ([`Notice::Disputed`]); nobody without it.
    pub arbiter: Option<PublicKey<Host>>,
    /// Digest of the log whose entries of repairs by other hosts it countersigns; none without it.
    pub log: Option<Digest>,
}

impl HostConfig {
    /// A host with this key, whose journal is this file, and else what is usual.
    #[must_use]
    pub fn new(key: SecretKey<Host>, journal: PathBuf) -> Self {
        Self {
            key,
            journal,
            signed_before: None,
            forget_signed: false,
            patience: Patience::default(),
            bounds: Bounds::default(),
            workers: NonZeroUsize::MIN,
            quarantine: Quarantine::default(),
            arbiter: None,
            log: None,
        }
    }
}

/// Starts a host's part in the queries around a dealt ring, whose blocks `host` has opened. Notices come out of the receiver; who
/// does not take them loses them, and nothing else.
///
/// # Errors
/// [`HostingError`] where the ring is not dealt to this host, or what it signed before is not known.
pub fn start<R, S, C, B, E>(
    context: R,
    (sender, receiver): (S, C),
    blocker: B,
    (ring, host): (Arc<AuthenticRing>, LiveHost<E>),
    config: HostConfig,
) -> Result<(HostHandle, mpsc::Receiver<Notice>), HostingError>
where
    R: Runtime,
    S: Sender<PublicKey = ed25519::PublicKey>,
    C: Receiver<PublicKey = ed25519::PublicKey>,
    B: Blocker<PublicKey = ed25519::PublicKey>,
    E: Engine + 'static,
{
    let peers = HostPeers::of(&ring, &config.key)?;
    refuse_missing(&ring, &host)?;
    let (outbox, ends) = Outbox::new(&peers);
    let outbox = Arc::new(outbox);
    let before = SignedBefore {
        marker: config.signed_before.clone().map(SignedMarker::at),
        forget: config.forget_signed,
    };
    let remembered = config.bounds.remembered;
    let journal = SignedJournal::open(&config.journal, ring.digest(), remembered, &before)?;
    let (events, happens) = mpsc::channel(EVENTS);
    let (notices, noticed) = mpsc::channel(NOTICES);
    let (exchange, questions) = CopyExchange::new(outbox.clone(), notices);
    let known = (peers.clone(), events.clone(), exchange.clone());
    let network = HostNetwork { sender, receiver, blocker, peers, ends };
    let parts = Parts {
        network,
        ring,
        host,
        config,
        outbox,
        journal,
        events,
        happens,
        exchange,
        questions,
    };
    let task = context.child("host").dedicated().spawn(move |context| parts.run(context));
    let (peers, events, exchange) = known;
    Ok((HostHandle { peers, events, exchange, task }, noticed))
}

/// All that a host is put together from.
struct Parts<S, C, B, E: Engine> {
    network: HostNetwork<S, C, B>,
    ring: Arc<AuthenticRing>,
    host: LiveHost<E>,
    config: HostConfig,
    outbox: Arc<Outbox>,
    journal: SignedJournal,
    events: mpsc::Sender<HostEvent>,
    happens: mpsc::Receiver<HostEvent>,
    exchange: CopyExchange,
    questions: mpsc::Receiver<Question>,
}

impl<S, C, B, E> Parts<S, C, B, E>
where
    S: Sender<PublicKey = ed25519::PublicKey>,
    C: Receiver<PublicKey = ed25519::PublicKey>,
    B: Blocker<PublicKey = ed25519::PublicKey>,
    E: Engine + 'static,
{
    /// Runs until a part ends; whatever this context spawned ends with it.
    async fn run<R: Runtime>(self, context: R) -> HostingError {
        let Self { ring, host, config, journal, events, exchange, .. } = self;
        let mut source = context.child("random");
        let random = Box::new(move |out: &mut [u8]| {
            source.fill_bytes(out);
            Ok(())
        });
        let patience = (config.patience, config.bounds);
        let signed: Vec<_> = journal.remembered().collect();
        let server = CopyServer {
            context: context.child("copies"),
            ring: ring.clone(),
            live: host.clone(),
            key: config.key.clone(),
            quarantine: config.quarantine.clone(),
            log: config.log,
            exchange: exchange.clone(),
            questions: self.questions,
        };
        let participant = match Participant::new(&ring, config.key, patience, signed, random) {
            Ok(participant) => participant.with_arbiter(config.arbiter),
            Err(e) => return e.into(),
        };
        let limit = participant.max_message().max(MAX_MEND_BYTES);
        let mut parts = vec![context.child("serving").dedicated().spawn(|_| server.run())];
        parts.extend(self.network.start(&context, &events, limit));
        let computing = (host.clone(), config.quarantine.clone());
        let (jobs, workers) = start_workers(&context, config.workers, computing, &events);
        parts.extend(workers);
        drop(events);
        let counts = Counts::of(&context);
        let driver = Driver {
            context: context.child("driver"),
            host,
            participant,
            journal,
            outbox: self.outbox,
            exchange,
            quarantine: config.quarantine,
            limit,
            events: self.happens,
            jobs,
            counts,
            asked: BTreeMap::new(),
        };
        select! {
            ended = driver.run() => ended,
            _ = select_all(parts) => HostingError::Ended { part: "network" },
        }
    }
}

/// A host's end of the network that hosts meet in.
struct HostNetwork<S, C, B> {
    sender: S,
    receiver: C,
    blocker: B,
    peers: HostPeers,
    /// The queues of messages to the peers.
    ends: Vec<PeerSender>,
}

impl<S, C, B> HostNetwork<S, C, B>
where
    S: Sender<PublicKey = ed25519::PublicKey>,
    C: Receiver<PublicKey = ed25519::PublicKey>,
    B: Blocker<PublicKey = ed25519::PublicKey>,
{
    /// Starts the tasks that send, one for each peer, and the one that receives.
    fn start<R: Runtime>(
        self,
        context: &R,
        events: &mpsc::Sender<HostEvent>,
        limit: usize,
    ) -> Vec<Handle<()>> {
        let mut tasks = Vec::new();
        for outgoing in self.ends {
            let sender = self.sender.clone();
            tasks.push(context.child("outgoing").spawn(|c| outgoing.run(c, sender)));
        }
        let inbox = Inbox {
            context: context.child("inbox"),
            receiver: self.receiver,
            blocker: self.blocker,
            peers: self.peers,
            events: events.clone(),
            limit,
        };
        tasks.push(context.child("receiving").spawn(|_| inbox.run()));
        tasks
    }
}

/// Starts the tasks that compute, and returns where they take their work from.
fn start_workers<R: Runtime, E: Engine + 'static>(
    context: &R,
    count: NonZeroUsize,
    computing: (LiveHost<E>, Quarantine),
    events: &mpsc::Sender<HostEvent>,
) -> (mpsc::UnboundedSender<LegWork>, Vec<Handle<()>>) {
    let (jobs, queue) = mpsc::unbounded_channel();
    let queue = Arc::new(Mutex::new(queue));
    let start = |_| {
        let working = worker::work(computing.clone(), queue.clone(), events.clone());
        context.child("worker").dedicated().spawn(|_| working)
    };
    (jobs, (0..count.get()).map(start).collect())
}

/// Every block that the deal gives this host must be open.
fn refuse_missing<E: Engine>(ring: &AuthenticRing, host: &LiveHost<E>) -> Result<(), HostingError> {
    let host = host.read();
    let deal = ring.outline().deal().ok_or(HostingError::NotDealt)?;
    let me = host.public();
    let legs = deal.legs.iter().filter(|leg| leg.hosts.contains(&me));
    let genesis = deal.genesis.contains(&me).then_some(0);
    let missing = legs.flat_map(|leg| leg.first..leg.end).chain(genesis).find(|b| !host.holds(*b));
    missing.map_or(Ok(()), |block| Err(HostingError::NotLoaded { block }))
}
