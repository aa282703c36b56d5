//! The ring owner's part, from all requests: the deal, the validator set, and each node's files but for its keys.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use commonware_utils::sys_rng;
use deepring::deal::{Copies, DealPlan};
use deepring::files::{Replacement, open_plain, replace_file};
use deepring::maintenance::{deal_in, grant};
use deepring::seal::PlannedDeal;
use deepring::{
    AuthenticRing, Host, Owner, PublicKey, RingError, SecretKey, Trust, UnverifiedRing,
    VerifiedRing,
};
use deepring_ledger::log::is_log_name;
use deepring_ledger::{Binding, Entry, Event, ValidatorSet};
use rand_core::Rng as _;

use super::addresses::Addresses;
use super::error::ClusterError;
use super::legs;
use super::request::{JoinRequest, ParsedRequest};
use super::whole_folder::{WholeFolder, private_folder};
use crate::daemon::{HostSection, MAX_PEERS, NodeConfig, PeerSection, ValidatorSection};
use crate::gateway::GatewaySection;

/// The file that a node is started with, in its folder.
pub(super) const CONFIG: &str = "deepringd.toml";
const RING: &str = "model.ring";
const SET: &str = "validators.set";
/// The folder of the arbiter's ring.
const ARBITER: &str = "arbiter";

/// How a ring is dealt to nodes, and the log that they keep.
#[derive(Debug, Clone)]
pub struct NetworkPlan<'a> {
    /// The ring. It stays as it is: what is dealt is a copy of it.
    pub ring: &'a Path,
    /// Its owner's key.
    pub owner: &'a SecretKey<Owner>,
    /// Copies of each leg.
    pub copies: Copies,
    /// Whether a third copy computes each query.
    pub eager: bool,
    /// Name of the log.
    pub origin: &'a str,
    /// Who rules where copies contradict each other: it is granted every block, and the hosts keep disputed legs for it.
    pub arbiter: Option<PublicKey<Host>>,
}

/// A name for a log that no other has.
#[must_use]
pub fn new_origin() -> String {
    let mut drawn = [0; 16];
    sys_rng().fill_bytes(&mut drawn);
    let digits: String = drawn.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("deepring.local/ledger/{digits}")
}

/// The result of assembling a cluster.
#[derive(Debug, Clone)]
pub struct Assembled {
    /// Each node's folder, in the order of the requests.
    pub folders: Vec<String>,
    /// The legs, in words: blocks, and the nodes that hold them.
    pub legs: Vec<String>,
}

/// Makes a new folder with one folder for each node (its copy of the dealt ring, the validator set, the entries that the log
/// begins with, and [`NodeConfig`]), the owner's public key and the validator set. Who runs a node puts the files of its folder
/// beside its keys.
///
/// # Errors
/// [`ClusterError`]. Nothing is left behind.
pub fn assemble(
    plan: &NetworkPlan<'_>,
    requests: &[JoinRequest],
    folder: &Path,
) -> Result<Assembled, ClusterError> {
    refuse_origin(plan.origin)?;
    let joining = joining(requests, plan.copies)?;
    let whole = WholeFolder::begin(folder)?;
    let names = (1..=requests.len()).map(|n| format!("node-{n}")).collect();
    let assembled = write(plan, &joining, names, whole.path())?;
    whole.commit()?;
    Ok(assembled)
}

/// Refuses a name that no ledger can have: it would be signed here, and refused by every node.
pub(super) fn refuse_origin(origin: &str) -> Result<(), ClusterError> {
    match is_log_name(origin) {
        true => Ok(()),
        false => Err(ClusterError::Origin(origin.to_owned())),
    }
}

/// As [`assemble`], into a folder of the caller's; nodes' folders may be there.
pub(super) fn write(
    plan: &NetworkPlan<'_>,
    joining: &[ParsedRequest],
    names: Vec<String>,
    folder: &Path,
) -> Result<Assembled, ClusterError> {
    let dealt_at = folder.join(RING);
    let (ring, legs) = deal(plan, joining, &dealt_at)?;
    let entries = first_entries(plan, joining, &ring)?;
    let set = entries.first().map(|entry| entry.as_bytes().to_vec()).unwrap_or_default();
    let write =
        |path: PathBuf, bytes: &[u8]| replace_file(&path, bytes).map_err(ClusterError::io(&path));
    write(folder.join("owner.pub"), format!("{}\n", plan.owner.public()).as_bytes())?;
    write(folder.join(SET), &set)?;
    for (name, node) in names.iter().zip(joining) {
        let its = folder.join(name);
        private_folder(&its).map_err(ClusterError::io(&its))?;
        let copy = its.join(RING);
        copy_ring(&dealt_at, &copy).map_err(ClusterError::io(&copy))?;
        write(its.join(SET), &set)?;
        let mut begin_with = Vec::new();
        for (n, entry) in (1..).zip(&entries) {
            let name = format!("begin-with-{n}.entry");
            write(its.join(&name), entry.as_bytes())?;
            begin_with.push(PathBuf::from(name));
        }
        let config = config(plan, node, joining, &ring, begin_with);
        let text = toml::to_string(&config).unwrap_or_default();
        write(its.join(CONFIG), text.as_bytes())?;
    }
    if plan.arbiter.is_some() {
        let its = folder.join(ARBITER);
        private_folder(&its).map_err(ClusterError::io(&its))?;
        let copy = its.join(RING);
        copy_ring(&dealt_at, &copy).map_err(ClusterError::io(&copy))?;
    }
    fs::remove_file(&dealt_at).map_err(ClusterError::io(&dealt_at))?;
    Ok(Assembled { folders: names, legs })
}

fn copy_ring(from: &Path, to: &Path) -> io::Result<()> {
    let new = Replacement::of(to)?;
    io::copy(&mut open_plain(from)?, &mut new.as_file())?;
    new.commit()
}

/// Parses the requests, and refuses what they have in common, and addresses that lead nowhere.
pub(super) fn joining(
    requests: &[JoinRequest],
    copies: Copies,
) -> Result<Vec<ParsedRequest>, ClusterError> {
    let least = copies.count();
    if requests.len() < least || requests.len() > MAX_PEERS {
        return Err(ClusterError::Nodes { nodes: requests.len(), least, most: MAX_PEERS });
    }
    let mut joining = Vec::with_capacity(requests.len());
    let (mut keys, mut addresses) = (BTreeSet::new(), Addresses::default());
    for request in requests {
        let bad = |why| ClusterError::Request { path: request.node.clone().into(), why };
        let one = request.parsed().map_err(bad)?;
        for half in [one.node.voting_half(), one.node.cosigner(), one.host.network_half()] {
            if !keys.insert(*half) {
                let what = "half of a key";
                return Err(ClusterError::Twice { what, value: request.node.clone() });
            }
        }
        addresses.add_all((request.validator, request.hosting), request.gateway)?;
        joining.push(one);
    }
    Ok(joining)
}

/// Deals a copy of the ring: as many legs as nodes, as far as there are blocks.
fn deal(
    plan: &NetworkPlan<'_>,
    joining: &[ParsedRequest],
    to: &Path,
) -> Result<(AuthenticRing, Vec<String>), ClusterError> {
    let failed = |path: &Path, source: RingError| ClusterError::Ring {
        path: path.to_owned(),
        source: Box::new(source),
    };
    let trust = Trust::owner(plan.owner.public());
    let from = UnverifiedRing::open(plan.ring).and_then(|ring| ring.verify(&trust, &|_| ()));
    let ring: VerifiedRing = from.map_err(|e| failed(plan.ring, e))?;
    let sizes: Vec<u64> = ring.layers().iter().map(|header| header.plain_len).collect();
    let ranges = legs::cut(&sizes, joining.len());
    let hosts = joining.iter().map(|node| node.host);
    let in_words = ranges.iter().enumerate().map(|(n, blocks)| {
        let copies = (0..plan.copies.count()).map(|k| (n + k) % ranges.len() + 1);
        let copies: Vec<String> = copies.map(|k| format!("node-{k}")).collect();
        let last = blocks.end.saturating_sub(1);
        let blocks = match blocks.start == last {
            true => format!("block {last}"),
            false => format!("blocks {}-{last}", blocks.start),
        };
        format!("leg {}: {blocks} by {}", n + 1, copies.join(", "))
    });
    let in_words = in_words.collect();
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let planned = PlannedDeal {
        legs: ranges.into_iter().zip(hosts).collect(),
        plan: DealPlan {
            copies: plan.copies,
            eager: plan.eager,
            genesis: Vec::new(),
            dealt_at: since.as_secs(),
        },
    };
    let file = Replacement::of(to).map_err(ClusterError::io(to))?;
    deal_in(file, &ring, plan.owner, &planned)?;
    if let Some(arbiter) = &plan.arbiter {
        let dealt = UnverifiedRing::open(to).and_then(|ring| ring.verify(&trust, &|_| ()));
        grant(&dealt.map_err(|e| failed(to, e))?, plan.owner, arbiter, None, to)?;
    }
    let dealt = UnverifiedRing::open(to).and_then(|ring| ring.authenticate(&trust));
    Ok((dealt.map_err(|e| failed(to, e))?, in_words))
}

/// The validator set and the ring's registration, signed by the owner for the log.
fn first_entries(
    plan: &NetworkPlan<'_>,
    joining: &[ParsedRequest],
    ring: &AuthenticRing,
) -> Result<Vec<Entry>, ClusterError> {
    let mut nodes: Vec<_> = joining.iter().map(|node| node.node).collect();
    nodes.sort_by_key(|node| *node.as_bytes());
    let owner = plan.owner.public();
    let set = ValidatorSet { epoch: 1, origin: plan.origin.to_owned(), owners: vec![owner], nodes };
    let outline = Box::new(ring.outline().as_outline().clone());
    let events = [Event::ValidatorSet(set), Event::RingRegistered { outline }];
    let author = plan.owner.clone().into();
    let entries = (1..).zip(&events).map(|(sequence, event)| {
        Ok(Entry::now(Binding::new(plan.origin, sequence), event, &author)?)
    });
    entries.collect()
}

fn config(
    plan: &NetworkPlan<'_>,
    node: &ParsedRequest,
    all: &[ParsedRequest],
    ring: &AuthenticRing,
    begin_with: Vec<PathBuf>,
) -> NodeConfig {
    let deal = ring.outline().deal();
    let hosts = |of: &ParsedRequest| {
        deal.is_some_and(|deal| deal.legs.iter().any(|leg| leg.hosts.contains(&of.host)))
    };
    let opens = deal.is_some_and(|deal| deal.genesis.contains(&node.host));
    let peers = all.iter().filter(|other| other.node != node.node);
    let peer = |other: &ParsedRequest| PeerSection {
        node: other.request.node.clone(),
        validator: other.request.validator,
        host: hosts(other).then(|| other.request.host.clone()),
        hosting: hosts(other).then_some(other.request.hosting),
    };
    NodeConfig {
        ring: RING.into(),
        owner: plan.owner.public().to_string(),
        validators: SET.into(),
        data: "data".into(),
        node_key: "node.key".into(),
        begin_with,
        standing_set: None,
        validator: ValidatorSection::listening(node.request.validator),
        host: hosts(node).then(|| HostSection {
            arbiter: plan.arbiter.map(|arbiter| arbiter.to_string()),
            ..HostSection::listening(node.request.hosting, "host.key".into())
        }),
        gateway: node.request.gateway.filter(|_| opens).map(GatewaySection::listening),
        peers: peers.map(peer).collect(),
    }
}
