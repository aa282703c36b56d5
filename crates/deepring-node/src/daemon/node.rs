//! A running node: networks, validator, host and gateway in one process, until one of them ends or the node is told to stop.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use commonware_macros::select;
use commonware_runtime::tokio::{Config, Context, Runner};
use commonware_runtime::{Metrics as _, Runner as _, Spawner as _, Supervisor as _};
use deepring::files::InLine;
use deepring::keys::Node;
use deepring::{AuthenticRing, Host, SecretKey};
use deepring_infer::Rten;
use deepring_ledger::{Binding, Entry, ValidatorSet};
use futures::future::{Either, pending};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::approving::{approved, follow};
use super::config::{CheckedConfig, MAX_PEERS, hosting_namespace};
use super::disputes::DisputeFolder;
use super::error::NodeError;
use super::material::{Material, Places};
use super::mending::AgreedRepairs;
use super::network;
use super::recording::{NoticeRecorder, begin_with};
use super::upkeep::{Condition, HostedRing, Upkeep};
use super::voted::Voted;
use crate::agreement::{
    self, AgreedLedger, JoinRecord, SetApproval, Validator, ValidatorChannels, ValidatorHandle,
    ViewTiming, voter_key,
};
use crate::certifying::Certifier;
use crate::gateway::{self, Gateway, Health};
use crate::hosting::{
    self, HostConfig, HostHandle, LiveHost, Mender, Quarantine, RingCopy, host_identity_key,
};

/// How long parts are given to end when the node is told to stop.
const STOPPING: Duration = Duration::from_secs(5);

/// Receives the progress of a node that starts and runs.
pub trait NodeProgress {
    /// Bytes of blocks that were just opened.
    fn opened(&self, bytes: u64);
    /// The node takes part now.
    fn started(&self);
    /// The node was told to stop, and does.
    fn stopping(&self);
}

/// Options that a node is started with, beside its file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StartOptions {
    /// Whether its host begins anew where the journal of the receipts that it signed is gone ([`HostConfig::forget_signed`]).
    pub forget_signed_receipts: bool,
}

/// Runs a node until it is told to stop (SIGTERM or SIGINT), or a part of it ends.
///
/// # Errors
/// [`NodeError`].
pub fn run(
    config: &CheckedConfig,
    options: StartOptions,
    progress: &dyn NodeProgress,
) -> Result<(), NodeError> {
    let material = Material::read(config, &|bytes| progress.opened(bytes))?;
    if let Voted::Elsewhere(marker) = &material.voted {
        let gone = NodeError::JournalGone { marker: marker.clone() };
        tracing::error!("{gone}; meanwhile it follows the others");
    }
    let state = material.places.state.clone();
    state.begin();
    let storage = material.places.engine.clone();
    let runtime = Config::new()
        .with_worker_threads(2)
        .with_storage_directory(&storage)
        // A panic of any task is one of `start`: a node of which a part is gone does not go on.
        .with_catch_panics(false);
    let ended = unless_it_gives_up(&storage, || {
        Runner::new(runtime).start(|context| async move {
            let parts = Parts::start(&context, config, options, material).await?;
            progress.started();
            let ended = parts.run(progress).await;
            // What is on stable storage is whole; what still runs then is not waited for.
            let _ = context.stop(0, Some(STOPPING)).await;
            ended
        })
    });
    state.end();
    ended
}

/// Makes an error of a panic: the engine's libraries have no other way to say that their storage fails. Nothing of what ran is used
/// afterwards.
fn unless_it_gives_up<T>(
    storage: &Path,
    run: impl FnOnce() -> Result<T, NodeError>,
) -> Result<T, NodeError> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<&str>().map(|said| (*said).to_owned());
        let said = said.or_else(|| panic.downcast_ref::<String>().cloned());
        let why = said.unwrap_or_else(|| "it did not say why".to_owned());
        Err(NodeError::GaveUp { storage: storage.to_owned(), why: InLine(&why).to_string() })
    })
}

/// The running parts of a node.
struct Parts {
    validator: ValidatorHandle,
    host: Option<HostHandle>,
    gateway: Option<GatewayTask>,
    stop: watch::Sender<bool>,
}

impl Parts {
    async fn start(
        context: &Context,
        config: &CheckedConfig,
        options: StartOptions,
        material: Material,
    ) -> Result<Self, NodeError> {
        let Material { node, set, signed_set, ring, copy, ledger, places, .. } = material;
        let votes = material.voted == Voted::Here;
        let origin: Arc<str> = set.origin.as_str().into();
        let agreement = agreement_config(config, (node, set), votes, material.join, &places)?;
        let approval = agreement.approval.clone();
        let validator = validator(context, config, agreement, material.validators, ledger).await?;
        let ledger = validator.ledger();
        say_entries(context, &ledger, (approval, &places.approved), material.begin_with);

        let (stop, stopped) = watch::channel(false);
        let quarantine = Quarantine::default();
        let live = material.host.as_ref().map(|(_, live)| live.clone());
        let fitness =
            Fitness { condition: Condition::new(), blocks_open: blocks_open(live, &quarantine) };
        let upkeep = Upkeep {
            context: context.child("clock"),
            ledger: ledger.clone(),
            condition: fitness.condition.clone(),
            heartbeat: config.heartbeat(),
            tiles: places.tiles.clone(),
            probe: places.probe.clone(),
            state: places.state.clone(),
            votes,
            blocks_open: fitness.blocks_open.clone(),
            hosted: material.host.as_ref().map(|(key, _)| HostedRing {
                ring: ring.digest(),
                host: key.public(),
                quarantine: quarantine.clone(),
            }),
            stop: stop.clone(),
        };
        context.child("upkeep").spawn(|_| upkeep.run());

        let Some((key, live)) = material.host else {
            return Ok(Self { validator, host: None, gateway: None, stop });
        };
        let own = OwnHost { context, config, places, ledger, origin, ring, key, live };
        let (host, notices) = own.start(options, quarantine, material.hosts)?;
        let certifier = own.certifier();
        own.start_mender(&host, copy);
        own.start_recorder(certifier.clone(), notices);
        let gateway = own.start_gateway(&host, certifier, fitness, signed_set, stopped)?;
        Ok(Self { validator, host: Some(host), gateway, stop })
    }

    async fn run(self, progress: &dyn NodeProgress) -> Result<(), NodeError> {
        let Self { validator, host, gateway, stop } = self;
        let mut stopped = stop.subscribe();
        let io = |source| NodeError::Io { path: "signals".into(), source };
        let mut terminate = signal(SignalKind::terminate()).map_err(io)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(io)?;
        let mut gateway = gateway.map_or(Either::Left(pending()), Either::Right);
        let hosting = match host {
            Some(host) => Either::Right(host.stopped()),
            None => Either::Left(pending()),
        };
        let mut hosting = pin!(hosting);
        let mut validating = pin!(validator.stopped());
        let told = select! {
            _ = terminate.recv() => Ok(()),
            _ = interrupt.recv() => Ok(()),
            _ = stopped.wait_for(|stop| *stop) => Ok(()),
            why = &mut validating => Err(NodeError::from(why)),
            why = &mut hosting => Err(NodeError::from(why)),
            ended = &mut gateway => match ended {
                Ok(Err(why)) => Err(NodeError::Gateway(why.to_string())),
                Ok(Ok(())) => Err(NodeError::Gateway("it ended".to_owned())),
                Err(why) => Err(NodeError::Gateway(why.to_string())),
            },
        };
        if told.is_ok() {
            progress.stopping();
            // Answers that are under way are given; nothing new is taken.
            let _ = stop.send(true);
            if let Either::Right(gateway) = gateway {
                let _ = tokio::time::timeout(STOPPING, gateway).await;
            }
        }
        told
    }
}

/// Whether the node is fit to answer, as its parts know it.
struct Fitness {
    condition: Arc<Condition>,
    blocks_open: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl Fitness {
    fn health(&self) -> Health {
        Health {
            caught_up: self.condition.caught_up(),
            blocks_open: (self.blocks_open)(),
            disk_writable: self.condition.disk_writable(),
        }
    }
}

/// Whether every block of the node's host is in use; so it is where there is none.
fn blocks_open(
    live: Option<LiveHost<Rten>>,
    quarantine: &Quarantine,
) -> Arc<dyn Fn() -> bool + Send + Sync> {
    let quarantine = quarantine.clone();
    Arc::new(move || {
        // While a block is opened anew, one is not in use.
        let open = |host: &LiveHost<Rten>| {
            host.try_read().is_some_and(|host| host.out_of_use().is_empty())
        };
        quarantine.is_empty() && live.as_ref().is_none_or(open)
    })
}

fn agreement_config(
    config: &CheckedConfig,
    (node, set): (SecretKey<Node>, ValidatorSet),
    votes: bool,
    join: Option<JoinRecord>,
    places: &Places,
) -> Result<agreement::Config, NodeError> {
    let mut agreement = agreement::Config::new(node, set);
    agreement.timing = ViewTiming::of(config.heartbeat());
    agreement.votes = votes;
    agreement.approval.set(approved(&places.approved)?.map(|submission| submission.id()));
    agreement.evidence = Some(places.evidence.clone());
    agreement.join = join;
    agreement.join_file = Some(places.join.clone());
    Ok(agreement)
}

/// Puts on the ledger what the node's folder says: the set that its operator approved, and the entries that the log begins with.
fn say_entries(
    context: &Context,
    ledger: &AgreedLedger,
    (approval, path): (SetApproval, &Path),
    first: Vec<Entry>,
) {
    let following = follow(context.child("clock"), ledger.clone(), approval, path.to_owned());
    context.child("approving").spawn(|_| following);
    let first = begin_with(context.child("clock"), ledger.clone(), first);
    context.child("beginning").spawn(|_| first);
}

async fn validator(
    context: &Context,
    config: &CheckedConfig,
    agreement: agreement::Config,
    others: Vec<(network::Identity, std::net::SocketAddr)>,
    ledger: deepring_ledger::Ledger,
) -> Result<ValidatorHandle, NodeError> {
    // Any set that may follow, so that nobody sends what another does not take.
    let nodes = u32::try_from(MAX_PEERS).unwrap_or(u32::MAX);
    let (mut net, peers) = network::join(
        &context.child("agreement"),
        voter_key(&agreement.node)?,
        &agreement::network_namespace(&agreement.set.origin),
        config.file.validator.listen,
        others,
        agreement::max_message_bytes(nodes),
    );
    let [votes, certificates, fetch, dockets, backfill, submissions, cosignatures] =
        agreement::channels().map(|(channel, quota)| net.register(channel, quota));
    let channels = ValidatorChannels {
        votes,
        certificates,
        fetch,
        dockets,
        backfill,
        submissions,
        cosignatures,
    };
    net.start();
    let (provider, blocker) = (peers.clone(), peers);
    let context = context.child("validating");
    Ok(Validator::start(context, channels, provider, blocker, ledger, agreement).await?)
}

type Notices = commonware_utils::channel::mpsc::Receiver<hosting::Notice>;
type GatewayTask = tokio::task::JoinHandle<Result<(), gateway::GatewayError>>;

/// The node's own host, with all that takes part in its name.
struct OwnHost<'a> {
    context: &'a Context,
    config: &'a CheckedConfig,
    places: Places,
    ledger: AgreedLedger,
    origin: Arc<str>,
    ring: Arc<AuthenticRing>,
    key: SecretKey<Host>,
    live: LiveHost<Rten>,
}

impl OwnHost<'_> {
    /// Starts the host, in a network of its own.
    fn start(
        &self,
        options: StartOptions,
        quarantine: Quarantine,
        others: Vec<(network::Identity, std::net::SocketAddr)>,
    ) -> Result<(HostHandle, Notices), NodeError> {
        let host = self.host_config(options, quarantine);
        let listen = self.config.file.host.as_ref().map(|host| host.listen);
        let (mut net, peers) = network::join(
            &self.context.child("hosts"),
            host_identity_key(&host.key)?,
            &hosting_namespace(&self.ring.ring_id()),
            listen.unwrap_or(self.config.file.validator.listen),
            others,
            hosting::max_message_bytes(),
        );
        let (channel, quota) = hosting::channel();
        let channel = net.register(channel, quota);
        let (presence, quota) = hosting::presence_channel();
        let presence = net.register(presence, quota);
        net.start();
        let of = (self.ring.clone(), self.live.clone());
        let context = self.context.child("hosting");
        let (handle, notices) = hosting::start(context, channel, peers, of, host)?;
        handle.follow_connections(self.context.child("presence"), presence);
        Ok((handle, notices))
    }

    fn host_config(&self, options: StartOptions, quarantine: Quarantine) -> HostConfig {
        let section = self.config.file.host.as_ref();
        HostConfig {
            patience: self.config.patience,
            bounds: self.config.bounds,
            workers: section.map_or(NonZeroUsize::MIN, |host| host.workers),
            quarantine,
            signed_before: section.map(|host| marker_of(&host.key)),
            forget_signed: options.forget_signed_receipts,
            arbiter: self.config.arbiter,
            log: Some(Binding::new(&self.origin, 0).log),
            ..HostConfig::new(self.key.clone(), self.places.signed.clone())
        }
    }

    fn certifier(&self) -> Certifier {
        Certifier::new(self.ledger.clone(), self.key.clone(), &self.origin)
    }

    /// Keeps the host's copies whole.
    fn start_mender(&self, host: &HostHandle, copy: Arc<RingCopy>) {
        let mender = Mender {
            exchange: host.exchange(),
            ring: self.ring.clone(),
            file: copy,
            live: self.live.clone(),
            key: self.key.clone(),
            record: AgreedRepairs {
                ledger: self.ledger.clone(),
                ring: self.ring.clone(),
                key: self.key.clone(),
            },
            audits: self.config.audits(),
        };
        self.context.child("mending").dedicated().spawn(|context| mender.run(context));
    }

    /// Puts on the ledger what the host notices.
    fn start_recorder(&self, certifier: Certifier, notices: Notices) {
        let recording = NoticeRecorder {
            context: self.context.child("clock"),
            ledger: self.ledger.clone(),
            certifier,
            key: self.key.clone(),
            ring: self.ring.clone(),
            disputes: DisputeFolder::at(self.places.disputes.clone()),
            origin: self.origin.clone(),
        };
        // It writes files.
        self.context.child("recording").dedicated().spawn(|_| recording.run(notices));
    }

    /// Starts the gateway, where one is configured.
    fn start_gateway(
        self,
        host: &HostHandle,
        certifier: Certifier,
        fitness: Fitness,
        validators: Arc<[u8]>,
        mut stopped: watch::Receiver<bool>,
    ) -> Result<Option<GatewayTask>, NodeError> {
        let Some(section) = self.config.file.gateway.clone() else { return Ok(None) };
        let metrics = self.context.child("metrics");
        let recipe = match self.live.read().manifest()?.preprocess.as_str() {
            "" => None,
            text => Some(text.parse().map_err(NodeError::Recipe)?),
        };
        let gateway = Gateway {
            asker: host.asker(),
            certifier,
            ring: self.ring,
            recipe,
            progress: self.ledger.subscribe(),
            ledger: self.ledger,
            host: self.key.public(),
            health: Arc::new(move || fitness.health()),
            metrics: Arc::new(move || metrics.encode()),
            validators,
            tiles: self.places.tiles,
        };
        let stop = async move {
            // Where the sender is gone, the node is.
            let _ = stopped.wait_for(|stop| *stop).await;
        };
        Ok(Some(tokio::spawn(gateway::serve(gateway, section, stop))))
    }
}

/// The file beside a host's key that says of which rings it signed receipts.
fn marker_of(key: &Path) -> PathBuf {
    let mut name = key.as_os_str().to_owned();
    name.push(".signed");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_that_names_the_storage_in_one_line() {
        let storage = Path::new("/var/lib/deepring/data/engine");
        for panics in [|| panic!("no space\nleft: {}", 28), || panic!("no space")] {
            let ended: Result<(), _> = unless_it_gives_up(storage, panics);
            let said = ended.unwrap_err().to_string();
            assert!(said.contains("no space") && said.contains("data/engine"), "{said}");
            assert_eq!(said.lines().count(), 1, "{said}");
        }
        let ended: Result<(), _> =
            unless_it_gives_up(storage, || std::panic::resume_unwind(Box::new(7_u8)));
        let Err(NodeError::GaveUp { why, .. }) = ended else { panic!("it is none") };
        assert_eq!(why, "it did not say why");
        assert_eq!(unless_it_gives_up(storage, || Ok(7)).unwrap(), 7);
    }
}
