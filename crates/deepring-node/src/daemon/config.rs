//! The one file that a node is started with: TOML, in which unknown keys are refused and every bound has a default.
//!
//! Paths are relative to the folder that the file lies in. Secrets stand in key files of their own.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use deepring::files::read_plain_text;
use deepring::keys::Node;
use deepring::{Check, Host, Owner, PublicKey, RingId};
use deepring_infer::participant::{Bounds, Patience};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::gateway::{CONNECTIONS, GatewaySection};

/// Most bytes of a configuration.
const MAX_CONFIG: u64 = 1 << 20;
/// Most nodes of a network: those that a validator set can have.
pub const MAX_PEERS: usize = 100;

/// Why a node is not started with a file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// It cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// It is no configuration.
    #[error("{}: {why}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The reason, and where it is wrong.
        why: String,
    },
    /// A value is outside of its bounds, or contradicts another.
    #[error("{}: {key}: {why}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// The reason.
        why: String,
    },
}

/// A configuration as it is written. [`read`](Self::read) checks it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    /// This node's copy of the ring.
    pub ring: PathBuf,
    /// The public key of the ring's owner.
    pub owner: String,
    /// The signed validator set (`ledger validator-set -o` writes it).
    pub validators: PathBuf,
    /// The folder that this node keeps its ledger and the engine's storage in.
    pub data: PathBuf,
    /// The secret key of this node.
    pub node_key: PathBuf,
    /// Signed entries that the ledger begins with: whoever has them submits them until they are recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub begin_with: Vec<PathBuf>,
    /// The signed set that stands, where the node begins with a copy of a ledger (`data/begin-from`) and it is another than
    /// `validators`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing_set: Option<PathBuf>,
    /// How it keeps the ledger with the others.
    pub validator: ValidatorSection,
    /// The legs that it hosts; none without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostSection>,
    /// Where clients ask it; nowhere without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<GatewaySection>,
    /// The other nodes.
    #[serde(default, rename = "peer")]
    pub peers: Vec<PeerSection>,
}

/// See [`NodeConfig::validator`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidatorSection {
    /// Where it listens to other validators.
    pub listen: SocketAddr,
    /// How long a height without entries takes, in milliseconds: about the same at all nodes, or those with a short one pass over what
    /// those with a long one keep back.
    #[serde(default = "a_second")]
    pub heartbeat_ms: u64,
}

/// See [`NodeConfig::host`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostSection {
    /// The host's secret key.
    pub key: PathBuf,
    /// Where it listens to other hosts.
    pub listen: SocketAddr,
    /// The check of parameters at each use: `none`, `load`, `run`, `auto` or `compute`.
    #[serde(default = "auto")]
    pub check: String,
    /// Threads of the engine.
    #[serde(default = "one")]
    pub threads: NonZeroUsize,
    /// Legs that are computed at a time.
    #[serde(default = "one")]
    pub workers: NonZeroUsize,
    /// The least time that another copy is waited for, in milliseconds.
    #[serde(default = "under_a_second")]
    pub patience_ms: u64,
    /// The time that a query is given, in milliseconds.
    #[serde(default = "a_minute")]
    pub query_ms: u64,
    /// Queries under way at a time.
    #[serde(default = "queries")]
    pub queries: usize,
    /// Queries of one batch.
    #[serde(default = "batch")]
    pub batch: usize,
    /// Megabytes (2^20) of tensors that are kept for all queries.
    #[serde(default = "megabytes")]
    pub megabytes: usize,
    /// Seconds between two audits of one block each, in memory and on disk; 0 for none.
    #[serde(default = "a_minute_between")]
    pub audit_seconds: u64,
    /// Public key of the host that rules where two copies contradict each other. What entered such a leg is kept in `data/disputes`,
    /// sealed for it (`deepring arbitrate`); nothing is kept without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arbiter: Option<String>,
}

/// Another node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerSection {
    /// Its public key.
    pub node: String,
    /// Where its validator listens.
    pub validator: SocketAddr,
    /// Its host's public key, if it hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Where its host listens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosting: Option<SocketAddr>,
}

impl ValidatorSection {
    /// Listening there, and else as usual.
    #[must_use]
    pub fn listening(listen: SocketAddr) -> Self {
        Self { listen, heartbeat_ms: a_second() }
    }
}

impl HostSection {
    /// Listening there with this key, and else as usual.
    #[must_use]
    pub fn listening(listen: SocketAddr, key: PathBuf) -> Self {
        Self {
            key,
            listen,
            check: auto(),
            threads: one(),
            workers: one(),
            patience_ms: under_a_second(),
            query_ms: a_minute(),
            queries: queries(),
            batch: batch(),
            megabytes: megabytes(),
            audit_seconds: a_minute_between(),
            arbiter: None,
        }
    }
}

fn a_second() -> u64 {
    1_000
}
/// A host that is down is waited for twice in a query of four legs, and the answer is to come within two seconds.
fn under_a_second() -> u64 {
    800
}
fn a_minute() -> u64 {
    Patience::default().query
}
fn one() -> NonZeroUsize {
    NonZeroUsize::MIN
}
fn auto() -> String {
    "auto".to_owned()
}
fn queries() -> usize {
    Bounds::default().queries
}
fn batch() -> usize {
    Bounds::default().batch
}
fn a_minute_between() -> u64 {
    60
}
fn megabytes() -> usize {
    Bounds::default().all_bytes >> 20
}

/// A configuration that was checked: what it names is of its type, every number within its bounds, and every path complete.
#[derive(Debug, Clone)]
pub struct CheckedConfig {
    /// As it was written, with complete paths.
    pub file: NodeConfig,
    /// The ring's owner.
    pub owner: PublicKey<Owner>,
    /// The check that the host runs under.
    pub check: Check,
    /// How long the host waits for others.
    pub patience: Patience,
    /// How much the host keeps.
    pub bounds: Bounds,
    /// For whom disputed legs are kept.
    pub arbiter: Option<PublicKey<Host>>,
    /// The other nodes.
    pub peers: Vec<CheckedPeer>,
}

/// See [`CheckedConfig::peers`].
#[derive(Debug, Clone)]
pub struct CheckedPeer {
    /// Its key.
    pub node: PublicKey<Node>,
    /// Where its validator listens.
    pub validator: SocketAddr,
    /// Its host, and where that listens.
    pub host: Option<(PublicKey<Host>, SocketAddr)>,
}

impl NodeConfig {
    /// Reads a file, and checks it.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn read(path: &Path) -> Result<CheckedConfig, ConfigError> {
        let failed = |source| ConfigError::Io { path: path.to_owned(), source };
        let text = read_plain_text(path, MAX_CONFIG).map_err(failed)?;
        let path_of_file = std::path::absolute(path).map_err(failed)?;
        let folder = path_of_file.parent().unwrap_or(Path::new("/"));
        Self::parse(&text, path, folder)
    }

    /// As [`read`](Self::read), of text whose paths are relative to a folder. `path` is named in errors.
    ///
    /// # Errors
    /// [`ConfigError::Malformed`] and [`ConfigError::Value`].
    pub fn parse(text: &str, path: &Path, folder: &Path) -> Result<CheckedConfig, ConfigError> {
        let mut file: Self = toml::from_str(text).map_err(|e| ConfigError::Malformed {
            path: path.to_owned(),
            why: e.to_string().trim_end().to_owned(),
        })?;
        file.complete(folder);
        file.check(path)
    }

    fn complete(&mut self, folder: &Path) {
        let Self {
            ring, validators, data, node_key, begin_with, standing_set, host, gateway, ..
        } = self;
        let host = host.iter_mut().map(|host| &mut host.key);
        let tls = gateway.iter_mut().filter_map(|gateway| gateway.tls.as_mut());
        let tls = tls.flat_map(|tls| {
            [Some(&mut tls.certificates), Some(&mut tls.key), tls.client_ca.as_mut()]
        });
        let all = [ring, validators, data, node_key].into_iter();
        let all = all.chain(begin_with).chain(standing_set).chain(host);
        all.chain(tls.flatten()).for_each(|path| *path = folder.join(&path));
        if let Some(gateway) = &mut self.gateway {
            gateway.requests_per_client = Some(gateway.share_of_requests());
        }
    }

    fn check(self, path: &Path) -> Result<CheckedConfig, ConfigError> {
        let wrong =
            |key: &'static str, why: String| ConfigError::Value { path: path.to_owned(), key, why };
        let within = |key, value: u64, least: u64, most: u64| match (least..=most).contains(&value)
        {
            true => Ok(value),
            false => Err(wrong(key, format!("{value} is not from {least} to {most}"))),
        };
        let owner = key_of(&self.owner).map_err(|why| wrong("owner", why))?;
        within("validator.heartbeat_ms", self.validator.heartbeat_ms, 100, 7_000)?;
        let (mut patience, mut bounds) = (Patience::default(), Bounds::default());
        let (mut check, mut arbiter) = (Check::Auto, None);
        if let Some(host) = &self.host {
            check = Check::from_str(&host.check).map_err(|e| wrong("host.check", e.to_string()))?;
            patience.floor = within("host.patience_ms", host.patience_ms, 50, 600_000)?;
            patience.query = within("host.query_ms", host.query_ms, 1_000, 3_600_000)?;
            within("host.threads", host.threads.get() as u64, 1, 1024)?;
            within("host.workers", host.workers.get() as u64, 1, 256)?;
            within("host.queries", host.queries as u64, 1, 4096)?;
            within("host.batch", host.batch as u64, 1, 1024)?;
            within("host.megabytes", host.megabytes as u64, 16, 1 << 20)?;
            within("host.audit_seconds", host.audit_seconds, 0, 86_400)?;
            let named = host.arbiter.as_deref().map(key_of).transpose();
            arbiter = named.map_err(|why| wrong("host.arbiter", why))?;
            bounds.queries = host.queries;
            bounds.queries_of_one = host.queries.div_ceil(2);
            bounds.batch = host.batch;
            bounds.all_bytes = host.megabytes << 20;
            bounds.query_bytes = bounds.query_bytes.min(bounds.all_bytes / 4);
        }
        if let Some(gateway) = &self.gateway {
            if self.host.is_none() {
                let why = "a gateway opens queries as a host of Genesis: `[host]` is missing";
                return Err(wrong("gateway", why.to_owned()));
            }
            let digits = |key: &String| {
                key.len() == 64
                    && key.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
            };
            if let Some(bad) = gateway.api_keys.iter().find(|key| !digits(key)) {
                let why = format!("`{bad}` is not 64 small hexadecimal digits");
                return Err(wrong("gateway.api_keys", why));
            }
            let client_ca = gateway.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
            let open = gateway.api_keys.is_empty() && !client_ca;
            if open && !gateway.listen.ip().is_loopback() {
                let why = format!(
                    "whoever reaches {} could ask: name API keys or `tls.client_ca`",
                    gateway.listen
                );
                return Err(wrong("gateway.api_keys", why));
            }
            if !gateway.api_keys.is_empty()
                && gateway.tls.is_none()
                && !gateway.listen.ip().is_loopback()
            {
                let why =
                    "API keys would cross the network in the clear: `[gateway.tls]` is missing";
                return Err(wrong("gateway.tls", why.to_owned()));
            }
            within("gateway.requests", gateway.requests as u64, 1, 4096)?;
            let share = gateway.share_of_requests() as u64;
            within("gateway.requests_per_client", share, 1, gateway.requests as u64)?;
            let connections = gateway.connections_per_address as u64;
            within("gateway.connections_per_address", connections, 1, CONNECTIONS as u64)?;
            within("gateway.requests_a_second", gateway.requests_a_second.into(), 1, 1 << 20)?;
            within("gateway.body_megabytes", gateway.body_megabytes as u64, 1, 1024)?;
        }
        within("peer", self.peers.len() as u64, 0, MAX_PEERS as u64)?;
        let mut peers = Vec::with_capacity(self.peers.len());
        for peer in &self.peers {
            let node = key_of(&peer.node).map_err(|why| wrong("peer.node", why))?;
            let host = match (&peer.host, peer.hosting) {
                (Some(host), Some(at)) => {
                    Some((key_of(host).map_err(|why| wrong("peer.host", why))?, at))
                }
                (None, None) => None,
                _ => {
                    let why = format!("`host` and `hosting` of {} go together", peer.node);
                    return Err(wrong("peer.host", why));
                }
            };
            peers.push(CheckedPeer { node, validator: peer.validator, host });
        }
        let twice = |key: &'static str| wrong(key, "one key stands twice".to_owned());
        let nodes: Vec<_> = peers.iter().map(|peer| *peer.node.voting_half()).collect();
        refuse_twice(nodes).map_err(|()| twice("peer.node"))?;
        let hosts = peers.iter().filter_map(|peer| Some(*peer.host.as_ref()?.0.network_half()));
        refuse_twice(hosts.collect()).map_err(|()| twice("peer.host"))?;
        Ok(CheckedConfig { owner, check, patience, bounds, arbiter, peers, file: self })
    }
}

impl CheckedConfig {
    /// The time between two audits, of a node that hosts and makes any.
    #[must_use]
    pub fn audits(&self) -> Option<Duration> {
        let seconds = self.file.host.as_ref().map(|host| host.audit_seconds);
        seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs)
    }

    /// How long a height without entries takes.
    #[must_use]
    pub fn heartbeat(&self) -> Duration {
        Duration::from_millis(self.file.validator.heartbeat_ms)
    }
}

fn key_of<T>(text: &str) -> Result<T, String>
where
    T: FromStr<Err: std::fmt::Display>,
{
    text.parse().map_err(|e: T::Err| e.to_string())
}

fn refuse_twice(mut keys: Vec<[u8; 32]>) -> Result<(), ()> {
    let count = keys.len();
    keys.sort_unstable();
    keys.dedup();
    if keys.len() == count { Ok(()) } else { Err(()) }
}

/// The ring's name in the folders and namespaces of a node.
#[must_use]
pub(crate) fn hosting_namespace(ring: &RingId) -> Vec<u8> {
    [b"deepring v1 hosting ".as_slice(), &ring.0].concat()
}

#[cfg(test)]
mod tests;
