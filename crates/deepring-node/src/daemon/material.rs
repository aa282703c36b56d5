//! Everything that a node is started with, read and verified before the first byte goes over a network.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use commonware_cryptography::ed25519;
use deepring::files::read_plain;
use deepring::keys::{Node, Role};
use deepring::{AuthenticRing, Host, SecretKey, Trust, UnverifiedRing};
use deepring_infer::{RingHost, Rten};
use deepring_ledger::entry::{MAX_ENTRY_BYTES, UnverifiedEntry};
use deepring_ledger::{Entry, Ledger, LedgerOptions, Proof, ValidatorSet};

use super::approving::every_node_has_an_address;
use super::config::CheckedConfig;
use super::error::NodeError;
use super::joining::{join, may_have_voted, refuse_record_alone};
use super::state::StateFiles;
use super::voted::{Voted, may_vote};
use crate::agreement::{JoinRecord, voter};
use crate::hosting::{LiveHost, RingCopy, host_identity};

/// A node's keys, ring, blocks and ledger.
pub(crate) struct Material {
    pub(crate) node: SecretKey<Node>,
    pub(crate) set: ValidatorSet,
    /// The signed set, as its file.
    pub(crate) signed_set: Arc<[u8]>,
    pub(crate) ring: Arc<AuthenticRing>,
    /// The ring's file, which it is read through.
    pub(crate) copy: Arc<RingCopy>,
    pub(crate) host: Option<(SecretKey<Host>, LiveHost<Rten>)>,
    pub(crate) ledger: Ledger,
    pub(crate) begin_with: Vec<Entry>,
    pub(crate) voted: Voted,
    pub(crate) join: Option<JoinRecord>,
    pub(crate) places: Places,
    pub(crate) validators: Vec<(ed25519::PublicKey, SocketAddr)>,
    pub(crate) hosts: Vec<(ed25519::PublicKey, SocketAddr)>,
}

/// The paths of the files and folders in a node's data folder.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// The engine's storage.
    pub(crate) engine: PathBuf,
    pub(crate) ledger: PathBuf,
    /// Split views.
    pub(crate) evidence: PathBuf,
    /// The log as static files.
    pub(crate) tiles: PathBuf,
    /// The receipts that the host signed.
    pub(crate) signed: PathBuf,
    /// Disputed legs, sealed for the arbiter.
    pub(crate) disputes: PathBuf,
    /// The next validator set, as the operator approved it.
    pub(crate) approved: PathBuf,
    /// The record that another node gave this one to begin with.
    pub(crate) begin_from: PathBuf,
    /// Which of it was verified.
    pub(crate) verified: PathBuf,
    /// Says that the copy was proven since.
    pub(crate) proven: PathBuf,
    /// The record that this node gives others to begin with.
    pub(crate) join: PathBuf,
    /// Written to try the disk.
    pub(crate) probe: PathBuf,
    pub(crate) state: StateFiles,
}

impl Places {
    pub(super) fn below(data: &Path) -> Self {
        let at = |name| data.join(name);
        Self {
            engine: at("engine"),
            ledger: at("ledger"),
            evidence: at("split-views"),
            tiles: at("tiles"),
            signed: at("signed-receipts"),
            disputes: at("disputes"),
            approved: at("approved-set"),
            begin_from: at("begin-from"),
            verified: at("begin-from.verified"),
            proven: at("begin-from.proven"),
            join: at("join"),
            probe: at("disk-probe"),
            state: StateFiles::in_folder(data),
        }
    }

    pub(super) fn make(&self) -> Result<(), NodeError> {
        for path in [&self.engine, &self.evidence] {
            std::fs::create_dir_all(path)
                .map_err(|source| NodeError::Io { path: path.clone(), source })?;
        }
        Ok(())
    }
}

impl Material {
    /// Reads and verifies it all: opening the blocks takes the longest, and `progress` is called with the number of bytes just
    /// opened.
    pub(crate) fn read(config: &CheckedConfig, progress: &dyn Fn(u64)) -> Result<Self, NodeError> {
        let file = &config.file;
        let node: SecretKey<Node> = key(&file.node_key)?;
        let (signed_set, set) = validators(&file.validators)?;
        if !set.owners.contains(&config.owner) {
            return Err(NodeError::NotItsOwner(config.owner));
        }
        let (ring, copy) = ring(config)?;
        let ring = Arc::new(ring);
        let hosts = hosts_of(config, &ring)?;
        let host = match &file.host {
            Some(section) => {
                let key: SecretKey<Host> = key(&section.key)?;
                let engine = Arc::new(Rten::new(Some(section.threads)));
                let host = open_host(config, &ring, engine, key.clone(), progress)?;
                Some((key, LiveHost::new(host)))
            }
            None => None,
        };
        let begin_with =
            file.begin_with.iter().map(|path| entry(path)).collect::<Result<_, _>>()?;
        let places = Places::below(&file.data);
        places.make()?;
        refuse_record_alone(&places)?;
        let ledger = LedgerOptions::new().origin(&set.origin).open_or_create(&places.ledger)?;
        let grown = ledger.height()?.is_some_and(|height| height > 0);
        if !grown {
            // Later another set may stand, and nodes of this one may be gone.
            every_node_has_an_address(config, &set, &node)?;
        }
        let validators = validators_of(config, &node)?;
        let join = join(config, &set, &places, &ledger)?;
        // Of what came by a copy, a key that was of no set until then has voted for nothing.
        let took_part = match &join {
            Some(join) => may_have_voted(join, &ledger, &node.public())?,
            None => true,
        };
        let voted = may_vote(&file.node_key, &places.engine, grown && took_part)?;
        Ok(Self {
            node,
            set,
            signed_set,
            ring,
            copy,
            host,
            ledger,
            begin_with,
            voted,
            join,
            places,
            validators,
            hosts,
        })
    }
}

pub(super) fn key<R: Role>(path: &Path) -> Result<SecretKey<R>, NodeError> {
    let failed = |e: deepring::files::KeyFileError| NodeError::Key {
        path: path.to_owned(),
        why: e.to_string(),
    };
    SecretKey::read(path).map_err(failed)
}

pub(super) fn read(path: &Path, limit: usize) -> Result<Vec<u8>, NodeError> {
    let limit = limit as u64;
    read_plain(path, limit).map_err(|source| NodeError::Io { path: path.to_owned(), source })
}

pub(super) fn validators(path: &Path) -> Result<(Arc<[u8]>, ValidatorSet), NodeError> {
    let bytes = read(path, MAX_ENTRY_BYTES)?;
    let set = ValidatorSet::decode_signed(&bytes);
    let set = set.map_err(|source| NodeError::Validators {
        path: path.to_owned(),
        source: Box::new(source),
    })?;
    Ok((bytes.into(), set))
}

/// An entry in its file, or in the proof that another copy of the ledger has it (`deepring ledger prove`): the entry's own signature
/// counts, and what the proof shows does not matter here.
fn entry(path: &Path) -> Result<Entry, NodeError> {
    let failed = |e: &dyn std::fmt::Display| NodeError::BeginWith {
        path: path.to_owned(),
        why: e.to_string(),
    };
    let mut bytes = read(path, 2 * MAX_ENTRY_BYTES)?;
    if bytes.starts_with(b"c2sp.org/tlog-proof") {
        let text = std::str::from_utf8(&bytes).map_err(|e| failed(&e))?;
        let proof = Proof::parse(text).map_err(|e| failed(&e))?;
        bytes = proof.entry_bytes().ok_or_else(|| failed(&"the proof carries no entry"))?.to_vec();
    }
    UnverifiedEntry::decode(&bytes).and_then(UnverifiedEntry::verify).map_err(|e| failed(&e))
}

/// Where the other nodes' validators are: those of the set that stands, and those that are to follow.
fn validators_of(
    config: &CheckedConfig,
    node: &SecretKey<Node>,
) -> Result<Vec<(ed25519::PublicKey, SocketAddr)>, NodeError> {
    let me = node.public();
    let others = config.peers.iter().filter(|peer| peer.node != me);
    others.map(|peer| Ok((voter(&peer.node)?, peer.validator))).collect()
}

fn ring(config: &CheckedConfig) -> Result<(AuthenticRing, Arc<RingCopy>), NodeError> {
    let path = &config.file.ring;
    let failed = |source| NodeError::Ring { path: path.clone(), source: Box::new(source) };
    let copy = RingCopy::open(path).map_err(|e| failed(e.into()))?;
    let ring = UnverifiedRing::read(copy.clone()).map_err(failed)?;
    Ok((ring.authenticate(&Trust::owner(config.owner)).map_err(failed)?, copy))
}

/// Where the other hosts of the deal are; each is one of a peer, or this one's.
fn hosts_of(
    config: &CheckedConfig,
    ring: &AuthenticRing,
) -> Result<Vec<(ed25519::PublicKey, SocketAddr)>, NodeError> {
    let Some(section) = &config.file.host else { return Ok(Vec::new()) };
    let me = key::<Host>(&section.key)?.public();
    let deal = ring.outline().deal().ok_or(crate::hosting::HostingError::NotDealt)?;
    let mut hosts = Vec::new();
    let mut seen = BTreeSet::new();
    for host in deal.legs.iter().flat_map(|leg| &leg.hosts).chain(&deal.genesis) {
        if *host == me || !seen.insert(*host.as_bytes()) {
            continue;
        }
        let mut at = config.peers.iter().filter_map(|peer| peer.host.as_ref());
        let at = at.find(|(known, _)| known == host).map(|(_, at)| *at);
        let at = at.ok_or_else(|| NodeError::NoPeerHost { host: host.short() })?;
        hosts.push((host_identity(host)?, at));
    }
    Ok(hosts)
}

/// Opens Genesis, where it was dealt to this host, and its legs' blocks.
fn open_host(
    config: &CheckedConfig,
    ring: &Arc<AuthenticRing>,
    engine: Arc<Rten>,
    key: SecretKey<Host>,
    progress: &dyn Fn(u64),
) -> Result<RingHost<Rten>, NodeError> {
    let me = key.public();
    let mut host = RingHost::open(ring.clone(), engine, key, 0..0, config.check, progress)?;
    let deal = ring.outline().deal().ok_or(crate::hosting::HostingError::NotDealt)?;
    for leg in deal.legs.iter().filter(|leg| leg.hosts.contains(&me)) {
        for block in leg.first..leg.end {
            host.load_block(block)?;
            let header = ring.headers().get(block as usize);
            progress(header.map_or(0, |header| header.plain_len));
        }
    }
    Ok(host)
}
