//! Messages from other hosts: fragments are put together, within bounds for each peer, and given to the driver.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use commonware_cryptography::ed25519;
use commonware_p2p::{Blocker, Receiver, block};
use commonware_runtime::Metrics;
use commonware_runtime::telemetry::metrics::MetricsExt as _;
use commonware_utils::channel::mpsc;
use deepring::{Host, PublicKey};

use super::driver::HostEvent;
use super::fragment::Reassembly;
use super::peers::HostPeers;

/// A message of another host that waits for the driver. While it does, it counts against its sender.
#[derive(Debug)]
pub(crate) struct Came {
    pub(crate) from: PublicKey<Host>,
    pub(crate) bytes: Vec<u8>,
    waiting: Arc<AtomicUsize>,
}

impl Drop for Came {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}

struct Peer {
    host: PublicKey<Host>,
    reassembly: Reassembly,
    waiting: Arc<AtomicUsize>,
}

/// The task that receives.
pub(crate) struct Inbox<E, R, B> {
    pub(crate) context: E,
    pub(crate) receiver: R,
    pub(crate) blocker: B,
    pub(crate) peers: HostPeers,
    pub(crate) events: mpsc::Sender<HostEvent>,
    /// Most bytes of a message; of one peer's, twice as many wait.
    pub(crate) limit: usize,
}

impl<E, R, B> Inbox<E, R, B>
where
    E: Metrics,
    R: Receiver<PublicKey = ed25519::PublicKey>,
    B: Blocker<PublicKey = ed25519::PublicKey>,
{
    /// Runs until the network or the driver ends.
    pub(crate) async fn run(mut self) {
        let dropped =
            self.context.counter("dropped", "Messages of hosts for which there was no room");
        let peer = |host: &PublicKey<Host>| Peer {
            host: *host,
            reassembly: Reassembly::new(self.limit),
            waiting: Arc::default(),
        };
        let mut peers: BTreeMap<ed25519::PublicKey, Peer> =
            self.peers.iter().map(|(identity, host)| (identity.clone(), peer(host))).collect();
        while let Ok((from, bytes)) = self.receiver.recv().await {
            let Some(peer) = peers.get_mut(&from) else { continue };
            let bytes = match peer.reassembly.take(bytes.as_ref()) {
                Ok(Some(bytes)) => bytes,
                Ok(None) => continue,
                Err(why) => {
                    block!(self.blocker, from, %why, "a fragment that no host sends");
                    continue;
                }
            };
            let before = peer.waiting.fetch_add(bytes.len(), Ordering::Relaxed);
            let came = Came { from: peer.host, bytes, waiting: peer.waiting.clone() };
            if before > self.limit {
                dropped.inc();
                continue;
            }
            if self.events.send(HostEvent::Came(came)).await.is_err() {
                return;
            }
        }
    }
}
