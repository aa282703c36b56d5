//! The gateway of a node: clients ask over HTTP, and are given answers with their certificates.
//!
//! ```text
//!  client ──TLS──► Connections ──► guard ──► decide ──► Question ──► Asker ──► Certifier ──► answer, certificate
//!                                  key, rate, room      (json, npy, picture)       no certificate: no answer
//! ```
//!
//! A client need not trust its gateway: what it is given is verified with the owner's key and the validator set
//! (`deepring query`, docs/GATEWAY.md). The attacker here is whoever reaches the address: who has no key learns nothing but that a
//! gateway is there, and nobody has more memory, time or requests than its bounds. Nothing of inputs, outputs or keys is logged.

mod access;
mod answers;
mod connections;
mod decisions;
mod entry_page;
mod front;
mod openapi;
mod page;
mod pages;
mod problem;
mod question;
mod rates;
mod seats;
mod section;
mod tiles;
mod tls;
mod view;
mod walks;

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use commonware_utils::channel::watch;
use deepring::{AuthenticRing, Host, PublicKey};
use deepring_infer::inputs::Preprocess;
use deepring_ledger::certificate::CertificateError;
use serde::Serialize;
use thiserror::Error;
use utoipa::ToSchema;

use crate::agreement::{AgreedLedger, LedgerProgress};
use crate::certifying::Certifier;
use crate::hosting::Asker;
use answers::Recording;
use front::Front;
pub(crate) use section::CONNECTIONS;
pub use section::{GatewaySection, TlsSection};

/// The parts of a node that its gateway answers from.
pub struct Gateway {
    /// Opens queries.
    pub asker: Asker,
    /// Records their decisions.
    pub certifier: Certifier,
    /// The ring.
    pub ring: Arc<AuthenticRing>,
    /// How pictures become inputs, as Genesis seals it; without it there are none.
    pub recipe: Option<Preprocess>,
    /// The ledger, for those who look at it.
    pub ledger: AgreedLedger,
    /// This node's host.
    pub host: PublicKey<Host>,
    /// How far the ledger is.
    pub progress: watch::Receiver<LedgerProgress>,
    /// Whether this node is fit to answer; may block.
    pub health: Arc<dyn Fn() -> Health + Send + Sync>,
    /// All metrics, as text.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// The signed validator set, as its file.
    pub validators: Arc<[u8]>,
    /// Folder of the ledger's static files (tlog-tiles).
    pub tiles: PathBuf,
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("ring", &self.ring.ring_id()).finish_non_exhaustive()
    }
}

/// Whether a node is fit to answer. It is ready where all of it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Health {
    /// Its ledger is as far as the others', and has the ring that it hosts.
    pub caught_up: bool,
    /// The blocks that the deal gives it are open.
    pub blocks_open: bool,
    /// Its disk can keep what it signs.
    pub disk_writable: bool,
}

/// Why a gateway does not start, or stops.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GatewayError {
    /// The address cannot be listened on, or no longer.
    #[error("the gateway at {at}: {source}")]
    Listen {
        /// The address.
        at: SocketAddr,
        /// The system's error.
        source: std::io::Error,
    },
    /// A file of its TLS cannot be used.
    #[error("{}: {why}", path.display())]
    Tls {
        /// The file.
        path: PathBuf,
        /// The reason.
        why: String,
    },
    /// The validator set is none.
    #[error("the validator set: {0}")]
    Validators(#[from] CertificateError),
    /// An API key is configured otherwise than by its digest.
    #[error("an API key is not given by the 64 hexadecimal digits of its BLAKE3")]
    ApiKey,
}

/// Listens and answers until `stop` is ready; then requests under way have some seconds to end.
///
/// # Errors
/// [`GatewayError`].
pub async fn serve(
    gateway: Gateway,
    section: GatewaySection,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), GatewayError> {
    let at = section.listen;
    let tls = section.tls.as_ref().map(tls::server_config).transpose()?;
    let Gateway { asker, certifier, ring, .. } = &gateway;
    let recording = Recording::new(asker.clone(), certifier.clone(), Arc::clone(ring));
    let front = Front::new(Arc::new(recording), gateway, &section)?;
    let failed = |source| GatewayError::Listen { at, source };
    let listener = TcpListener::bind(at).map_err(failed)?;
    connections::serve(listener, front, tls, stop).await.map_err(failed)
}
