//! A host that takes part in queries over a network, as those see it who use it.

use std::fmt;

use commonware_cryptography::ed25519;
use commonware_p2p::{LimitedSender, Receiver};
use commonware_runtime::Handle;
use commonware_utils::channel::{mpsc, oneshot};
use deepring::replication::{Dispute, FailedCopy};
use deepring::{Digest, Finding};
use deepring_infer::participant::{Batch, Closed};

use crate::agreement::Runtime;

use super::driver::HostEvent;
use super::error::{HostingError, QueryError};
use super::mending::CopyExchange;
use super::peers::HostPeers;
use super::presence;

/// News that a host tells of its own accord.
#[derive(Debug)]
pub enum Notice {
    /// A copy of a leg failed, as this host saw it. What shows it goes onto a ledger.
    Named {
        /// The query.
        query: Digest,
        /// First block of the leg.
        first_block: u32,
        /// The copy and its fault.
        failed: FailedCopy,
    },
    /// Copies of a leg contradict each other, and nothing proves who is wrong: what an arbiter needs, sealed for it.
    Disputed {
        /// The query.
        query: Digest,
        /// First block of the leg.
        first_block: u32,
        /// The dispute.
        dispute: Box<Dispute>,
    },
    /// A check or an audit of this host found tampering in its own copy of a block, which is out of use from then on. It goes onto a ledger as
    /// this host's alarm about itself.
    Tampered(Finding),
    /// This host closed a query that nobody waits for here: it stood in for the host that opened it, or who asked has left.
    Closed(Box<Closed>),
}

/// A running host. It runs on when this is dropped, until the runtime ends.
pub struct HostHandle {
    pub(crate) peers: HostPeers,
    pub(crate) events: mpsc::Sender<HostEvent>,
    pub(crate) exchange: CopyExchange,
    pub(crate) task: Handle<HostingError>,
}

impl fmt::Debug for HostHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostHandle").finish_non_exhaustive()
    }
}

/// Opens queries at a running host; cheap to clone.
#[derive(Debug, Clone)]
pub struct Asker(mpsc::Sender<HostEvent>);

impl Asker {
    /// Opens a query as a host of Genesis, and waits until it is closed: a batch of at most as many inputs as the host's bounds
    /// allow. `nonce` is the client's, which the opening signs.
    ///
    /// # Errors
    /// [`QueryError`]; [`QueryError::Busy`] passes.
    pub async fn decide(&self, batch: Batch, nonce: Option<Digest>) -> Result<Closed, QueryError> {
        let (reply, told) = oneshot::channel();
        self.0.try_send(HostEvent::Ask { batch, nonce, reply }).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => QueryError::Busy,
            mpsc::error::TrySendError::Closed(_) => QueryError::Stopped,
        })?;
        told.await.map_err(|_| QueryError::Stopped)?
    }
}

impl HostHandle {
    /// The way to open queries here.
    #[must_use]
    pub fn asker(&self) -> Asker {
        Asker(self.events.clone())
    }

    /// The way to other hosts' copies, for a [`Mender`](super::Mender).
    #[must_use]
    pub fn exchange(&self) -> CopyExchange {
        self.exchange.clone()
    }

    /// Has the host wait less for those with which the network has no connection, as [a channel of its own](super::presence_channel)
    /// knows it.
    pub fn follow_connections<R, S, C>(&self, context: R, channel: (S, C))
    where
        R: Runtime,
        S: LimitedSender<PublicKey = ed25519::PublicKey>,
        C: Receiver<PublicKey = ed25519::PublicKey>,
    {
        let peers = self.peers.iter().map(|(identity, host)| (identity.clone(), *host)).collect();
        let events = self.events.clone();
        context.spawn(|context| presence::watch(context, channel, peers, events));
    }

    /// Stops it at once, as if the process had died.
    pub fn abort(&self) {
        self.task.abort();
    }

    /// Waits until it stops by itself, which it does where something is wrong.
    pub async fn stopped(self) -> HostingError {
        self.task.await.unwrap_or(HostingError::Ended { part: "runtime" })
    }
}
