//! A network of validators in virtual time: links that are slow, lossy or cut, and validators that die.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use commonware_cryptography::ed25519;
use commonware_p2p::simulated::{Config as NetworkConfig, Link, Network, Oracle, Receiver, Sender};
use commonware_runtime::{
    Clock as _, Metrics as _, Runner as _, Storage as _, Supervisor as _, deterministic,
};
use commonware_utils::{NZUsize, probability};
use deepring::keys::Node;
use deepring::{PublicKey, SecretKey};
use deepring_ledger::{Ledger, LedgerOptions, ValidatorSet};
use deepring_node::agreement::{
    AgreementError, Config, Submission, SubmitError, Ticket, Validator, ValidatorChannels,
    ValidatorHandle, channels, max_message_bytes, voter,
};
use deepring_testkit::rings::owner_key;
use tempfile::TempDir;

pub(crate) const ORIGIN: &str = "deepring.local/ledger/net";
/// The seeds of a run: three, or those of `DEEPRING_SEEDS` (`FIRST..END`), as `scripts/seeds` has it.
pub(crate) fn seeds() -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("DEEPRING_SEEDS") else { return 1..4 };
    let (first, end) = text.split_once("..").expect("DEEPRING_SEEDS is FIRST..END");
    let seeds = first.parse().unwrap()..end.parse().unwrap();
    assert!(!seeds.is_empty(), "no seed in {text}");
    seeds
}

/// Virtual time after which a test is given up.
const LIMIT: Duration = Duration::from_secs(1200);

pub(crate) type Context = deterministic::Context;
type Identity = ed25519::PublicKey;
/// What a node sends and hears.
pub(crate) type Channels = ValidatorChannels<Sender<Identity, Context>, Receiver<Identity>>;

pub(crate) fn node_key(n: u8) -> SecretKey<Node> {
    SecretKey::from_halves(&[n + 31; 32], &[n + 131; 32]).unwrap()
}

pub(crate) fn committee(nodes: u8) -> Vec<PublicKey<Node>> {
    (0..nodes).map(|n| node_key(n).public()).collect()
}

/// The set of all of them, which takes the rings of owners 0 and 1.
pub(crate) fn set() -> ValidatorSet {
    let mut owners = vec![owner_key(0).public(), owner_key(1).public()];
    owners.sort_by_key(|key| *key.as_bytes());
    let mut nodes = committee(4);
    nodes.sort_by_key(|key| *key.as_bytes());
    ValidatorSet { epoch: 1, origin: ORIGIN.to_owned(), owners, nodes }
}

/// 20 ms with jitter, and one message of twenty lost.
pub(crate) fn link() -> Link {
    Link {
        latency: Duration::from_millis(20),
        jitter: Duration::from_millis(10),
        success_rate: probability!(19, 20),
    }
}

/// Validators, four or as many as a test wants, and their network.
pub(crate) struct Net {
    context: Context,
    oracle: Oracle<ed25519::PublicKey, Context>,
    keys: Vec<ed25519::PublicKey>,
    dirs: Vec<TempDir>,
    pub(crate) up: BTreeMap<u8, ValidatorHandle>,
    starts: AtomicU64,
}

/// Every row of a ledger, and the body of its checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rows {
    pub(crate) entries: Vec<Vec<u8>>,
    pub(crate) body: String,
}

pub(crate) fn rows(ledger: &Ledger) -> Rows {
    let entries = ledger.iter(0..u64::MAX).map(|entry| entry.unwrap().1.as_bytes().to_vec());
    Rows { entries: entries.collect(), body: ledger.checkpoint().body().to_string() }
}

/// Runs a test in virtual time; returns what it returns and a digest of everything that happened.
pub(crate) fn run<T, F>(seed: u64, test: impl FnOnce(Net) -> F) -> (T, String)
where
    F: Future<Output = T>,
{
    run_with(4, seed, test)
}

/// The same with more nodes, of which the first four are of the set.
pub(crate) fn run_with<T, F>(nodes: u8, seed: u64, test: impl FnOnce(Net) -> F) -> (T, String)
where
    F: Future<Output = T>,
{
    let config = deterministic::Config::new().with_seed(seed).with_timeout(Some(LIMIT));
    deterministic::Runner::new(config).start(|context| async move {
        let net = Net::new(context.child("net"), nodes).await;
        let came = test(net).await;
        (came, context.auditor().state())
    })
}

impl Net {
    async fn new(context: Context, nodes: u8) -> Self {
        let keys: Vec<_> = committee(nodes).iter().map(|node| voter(node).unwrap()).collect();
        let config = NetworkConfig {
            max_size: max_message_bytes(nodes.into()),
            max_peers_per_set: NonZeroUsize::new(nodes.into()).unwrap(),
            disconnect_on_block: true,
            tracked_peer_sets: NZUsize!(1),
        };
        let (network, oracle) =
            Network::new_with_peers(context.child("network"), config, keys.clone()).await;
        network.start();
        let dirs = keys.iter().map(|_| tempfile::tempdir().unwrap()).collect();
        let net =
            Self { context, oracle, keys, dirs, up: BTreeMap::new(), starts: AtomicU64::new(0) };
        net.relink(&[&(0..nodes).collect::<Vec<_>>()]).await;
        net
    }

    /// Links the members of each group to each other, and nobody else.
    pub(crate) async fn relink(&self, groups: &[&[u8]]) {
        self.relink_by(groups, &link()).await;
    }

    /// The same, by links like this one.
    pub(crate) async fn relink_by(&self, groups: &[&[u8]], link: &Link) {
        let nodes = u8::try_from(self.keys.len()).unwrap();
        for a in 0..nodes {
            for b in (0..nodes).filter(|b| *b != a) {
                let [from, to] = [a, b].map(|n| self.keys[usize::from(n)].clone());
                // There may be none to remove.
                let _ = self.oracle.remove_link(from.clone(), to.clone()).await;
                if groups.iter().any(|group| group.contains(&a) && group.contains(&b)) {
                    self.oracle.add_link(from, to, link.clone()).await.unwrap();
                }
            }
        }
    }

    pub(crate) fn config(n: u8) -> Config {
        let mut config = Config::new(node_key(n), set());
        config.partition = format!("validator-{n}");
        config
    }

    pub(crate) fn ledger(&self, n: u8) -> Ledger {
        LedgerOptions::new().origin(ORIGIN).open_or_create(self.folder(n)).unwrap()
    }

    /// The channels of a node, for whoever is to speak in its place.
    pub(crate) async fn channels(&self, n: u8) -> Channels {
        let control = self.oracle.control(self.keys[usize::from(n)].clone());
        let mut made = Vec::new();
        for (channel, quota) in channels() {
            made.push(control.register(channel, quota).await.unwrap());
        }
        let mut made = made.into_iter();
        let mut next = || made.next().unwrap();
        ValidatorChannels {
            votes: next(),
            certificates: next(),
            fetch: next(),
            dockets: next(),
            backfill: next(),
            submissions: next(),
            cosignatures: next(),
        }
    }

    /// A context for what is no validator.
    pub(crate) fn context(&self, label: &'static str) -> Context {
        self.context.child(label)
    }

    /// The nodes that cut this one off, for what it sent.
    pub(crate) async fn cut_off(&self, n: u8) -> Vec<u8> {
        let blocked = self.oracle.blocked().await.unwrap();
        let place = |key| self.keys.iter().position(|known| known == key);
        let by = blocked.iter().filter(|(_, whom)| *whom == self.keys[usize::from(n)]);
        let mut by: Vec<u8> = by.filter_map(|(who, _)| place(who)?.try_into().ok()).collect();
        by.sort_unstable();
        by
    }

    /// How many messages a node has sent on a channel.
    pub(crate) fn sent(&self, n: u8, channel: u64) -> u64 {
        let (from, on) =
            (format!("origin=\"{}\"", self.keys[usize::from(n)]), format!("channel=\"{channel}\""));
        let metrics = self.context.encode();
        let of = |line: &&str| {
            line.contains("messages_sent") && line.contains(&from) && line.contains(&on)
        };
        let counts = metrics.lines().filter(of).filter_map(|line| line.rsplit(' ').next());
        counts.map(|count| count.parse::<u64>().unwrap()).sum()
    }

    /// Starts a validator, for the first time or again.
    pub(crate) async fn start(&mut self, n: u8, config: Config) {
        let started = self.try_start(n, config).await;
        self.up.insert(n, started.unwrap());
    }

    pub(crate) async fn try_start(
        &self,
        n: u8,
        config: Config,
    ) -> Result<ValidatorHandle, AgreementError> {
        let control = self.oracle.control(self.keys[usize::from(n)].clone());
        let channels = self.channels(n).await;
        let starts = self.starts.fetch_add(1, Ordering::Relaxed);
        let context =
            self.context.child("node").with_attribute("n", n).with_attribute("start", starts);
        let ledger = self.ledger(n);
        let manager = self.oracle.manager();
        Validator::start(context, channels, manager, control, ledger, config).await
    }

    pub(crate) async fn start_all(&mut self) {
        for n in 0..4 {
            self.start(n, Self::config(n)).await;
        }
    }

    /// Kills a validator. What was in its memory is gone.
    pub(crate) async fn kill(&mut self, n: u8) {
        self.up.remove(&n).unwrap().abort();
        self.pause(Duration::from_millis(50)).await;
    }

    pub(crate) fn now(&self) -> SystemTime {
        self.context.current()
    }

    pub(crate) async fn pause(&self, time: Duration) {
        self.context.sleep(time).await;
    }

    /// Waits until something is so.
    pub(crate) async fn until(&self, what: &str, so: impl Fn(&Self) -> bool) {
        for _ in 0..6000 {
            if so(self) {
                return;
            }
            self.pause(Duration::from_millis(100)).await;
        }
        let heights: Vec<_> =
            self.up.iter().map(|(n, v)| (*n, v.height(), self.size(*n))).collect();
        panic!("waited in vain until {what}: {heights:?}");
    }

    /// The folder of a validator's ledger.
    pub(crate) fn folder(&self, n: u8) -> PathBuf {
        self.dirs[usize::from(n)].path().join("ledger")
    }

    /// Whether votes of a term are in a validator's storage.
    pub(crate) async fn keeps_votes(&self, n: u8, term: u64) -> bool {
        let blobs = self.context.scan(&format!("validator-{n}-votes-{term}")).await;
        blobs.is_ok_and(|blobs| !blobs.is_empty())
    }

    /// Loses a partition of a validator's storage.
    pub(crate) async fn lose(&self, n: u8, partition: &str) {
        self.context.remove(&format!("validator-{n}-{partition}"), None).await.unwrap();
    }

    /// Number of the term that a validator agrees in.
    pub(crate) fn term(&self, n: u8) -> u64 {
        self.up[&n].subscribe().borrow().term
    }

    /// Waits until this term has begun at all that are up.
    pub(crate) async fn term_begun(&self, term: u64) {
        self.until(&format!("term {term} began"), |net| {
            net.up.keys().all(|n| net.term(*n) >= term)
        })
        .await;
    }

    pub(crate) fn size(&self, n: u8) -> u64 {
        self.up[&n].subscribe().borrow().size
    }

    /// Waits until all that are up have this many entries.
    pub(crate) async fn grown(&self, size: u64) {
        self.until(&format!("there are {size} entries"), |net| {
            net.up.keys().all(|n| net.size(*n) >= size)
        })
        .await;
    }

    /// Waits until a quorum cosigned this many entries, at all that are up.
    pub(crate) async fn certified(&self, size: u64) {
        self.until(&format!("{size} entries are certified"), |net| {
            net.up.values().all(|validator| {
                let progress = validator.subscribe();
                let progress = progress.borrow();
                progress.certified.as_ref().is_some_and(|c| c.checkpoint().size() >= size)
            })
        })
        .await;
    }

    pub(crate) async fn submit(&self, n: u8, submission: &Submission) -> Ticket {
        self.up[&n].submit(submission.clone()).await.unwrap()
    }

    /// Submits and waits until it is committed there.
    pub(crate) async fn record(&self, n: u8, submission: &Submission) -> u64 {
        self.submit(n, submission).await.committed().await.unwrap().index
    }

    /// The same, of a validator that may not know yet where its ledger leaves off.
    pub(crate) async fn record_when_ready(&self, n: u8, submission: &Submission) -> u64 {
        loop {
            match self.up[&n].submit(submission.clone()).await {
                Err(SubmitError::NotReady) => self.pause(Duration::from_millis(100)).await,
                taken => return taken.unwrap().committed().await.unwrap().index,
            }
        }
    }

    pub(crate) async fn rows(&self, n: u8) -> Rows {
        self.up[&n].look(rows).await.unwrap()
    }

    /// The rows of all that are up, which are equal.
    pub(crate) async fn equal_rows(&self) -> Rows {
        let mut all = Vec::new();
        for n in self.up.keys() {
            all.push(self.rows(*n).await);
        }
        assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "ledgers differ: {all:?}");
        all.pop().unwrap()
    }
}
