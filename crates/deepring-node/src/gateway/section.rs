//! The part of a node's file that is about its gateway.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Connections at a time, of all clients.
pub(crate) const CONNECTIONS: usize = 1024;

/// Where clients ask a node, and within which bounds. `NodeConfig` checks it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewaySection {
    /// Where it listens to clients.
    pub listen: SocketAddr,
    /// BLAKE3 of each API key that is let in, in hexadecimal digits. Without any, whoever reaches the address may ask; that is
    /// taken on loopback addresses only.
    #[serde(default)]
    pub api_keys: Vec<String>,
    /// Certificate chain (PEM) and secret key of a gateway over TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSection>,
    /// Requests under way at a time.
    #[serde(default = "requests")]
    pub requests: usize,
    /// Of these, as many as one client may have under way (by its API key, or by its certificate); a quarter by default, at least one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_client: Option<usize>,
    /// Connections of one address at a time, of the 1024 of all.
    #[serde(default = "connections_per_address")]
    pub connections_per_address: usize,
    /// Requests a second of one client (by its API key, else by its certificate, else by its address).
    #[serde(default = "requests_a_second")]
    pub requests_a_second: u32,
    /// Megabytes (2^20) of one request's body.
    #[serde(default = "body_megabytes")]
    pub body_megabytes: usize,
}

/// See [`GatewaySection::tls`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSection {
    /// The chain, in PEM, the gateway's own first.
    pub certificates: PathBuf,
    /// Its secret key, in PEM.
    pub key: PathBuf,
    /// Certificates (PEM) of which each client must have one below; without it clients need none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<PathBuf>,
}

impl GatewaySection {
    /// Listening there, and else as usual.
    #[must_use]
    pub fn listening(listen: SocketAddr) -> Self {
        Self {
            listen,
            api_keys: Vec::new(),
            tls: None,
            requests: requests(),
            requests_per_client: None,
            connections_per_address: connections_per_address(),
            requests_a_second: requests_a_second(),
            body_megabytes: body_megabytes(),
        }
    }

    /// [`requests_per_client`](Self::requests_per_client), or its default.
    #[must_use]
    pub fn share_of_requests(&self) -> usize {
        self.requests_per_client.unwrap_or_else(|| (self.requests / 4).max(1))
    }
}

fn requests() -> usize {
    64
}
fn connections_per_address() -> usize {
    64
}
fn requests_a_second() -> u32 {
    64
}
fn body_megabytes() -> usize {
    16
}
