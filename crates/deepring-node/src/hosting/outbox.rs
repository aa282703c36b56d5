//! Messages to other hosts: a queue and a task for each peer, so that a slow one keeps nobody waiting.
//!
//! Short messages pass long ones between their fragments. Fragments go at the pace that the channel's quota allows. What there
//! is no room for is dropped, as links drop what they like: who waits for it asks again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use commonware_cryptography::ed25519;
use commonware_macros::select;
use commonware_p2p::{CheckedSender as _, Recipients, Sender};
use commonware_runtime::Clock;
use commonware_utils::channel::mpsc;
use deepring::{Host, PublicKey};

use super::fragment::{FRAGMENT, fragment};
use super::peers::HostPeers;

/// Short messages that wait for one peer.
const SHORT: usize = 1024;
/// Long messages that wait for one peer.
const LONG: usize = 64;
/// After how long a fragment that the network had no room for is tried again, and how often.
const AGAIN: Duration = Duration::from_millis(5);
const TRIES: u32 = 200;

/// The queues.
#[derive(Debug)]
pub(crate) struct Outbox {
    queues: BTreeMap<[u8; 64], Queue>,
}

#[derive(Debug)]
struct Queue {
    short: mpsc::Sender<Arc<[u8]>>,
    long: mpsc::Sender<Arc<[u8]>>,
    /// Bytes of long messages that wait.
    waiting: Arc<AtomicUsize>,
}

/// The other end of a peer's queue, for the task that sends.
#[derive(Debug)]
pub(crate) struct PeerSender {
    pub(crate) peer: ed25519::PublicKey,
    short: mpsc::Receiver<Arc<[u8]>>,
    long: mpsc::Receiver<Arc<[u8]>>,
    waiting: Arc<AtomicUsize>,
}

impl Outbox {
    /// A queue for each peer.
    pub(crate) fn new(peers: &HostPeers) -> (Self, Vec<PeerSender>) {
        let mut queues = BTreeMap::new();
        let mut ends = Vec::new();
        for (identity, host) in peers.iter() {
            let ((short, shorts), (long, longs)) = (mpsc::channel(SHORT), mpsc::channel(LONG));
            let waiting = Arc::new(AtomicUsize::new(0));
            let peer = identity.clone();
            ends.push(PeerSender { peer, short: shorts, long: longs, waiting: waiting.clone() });
            queues.insert(*host.as_bytes(), Queue { short, long, waiting });
        }
        (Self { queues }, ends)
    }

    /// Whether a host is a peer.
    pub(crate) fn reaches(&self, to: &PublicKey<Host>) -> bool {
        self.queues.contains_key(to.as_bytes())
    }

    /// Puts a message into a peer's queue; whether there was room. `room` is the most bytes of long messages that wait for one
    /// peer beside the first.
    pub(crate) fn put(&self, to: &PublicKey<Host>, bytes: &Arc<[u8]>, room: usize) -> bool {
        let Some(queue) = self.queues.get(to.as_bytes()) else { return false };
        if bytes.len() <= FRAGMENT {
            return queue.short.try_send(bytes.clone()).is_ok();
        }
        let before = queue.waiting.fetch_add(bytes.len(), Ordering::Relaxed);
        let fits = before == 0 || before.saturating_add(bytes.len()) <= room;
        let put = fits && queue.long.try_send(bytes.clone()).is_ok();
        if !put {
            queue.waiting.fetch_sub(bytes.len(), Ordering::Relaxed);
        }
        put
    }
}

impl PeerSender {
    /// Sends what comes into the queue, until nobody puts anything into it any more.
    pub(crate) async fn run<E: Clock, S>(mut self, context: E, mut sender: S)
    where
        S: Sender<PublicKey = ed25519::PublicKey>,
    {
        loop {
            let message = select! {
                short = self.short.recv() => match short {
                    Some(short) => short,
                    None => return,
                },
                long = self.long.recv() => match long {
                    Some(long) => long,
                    None => return,
                },
            };
            self.send(&context, &mut sender, &message).await;
            if message.len() > FRAGMENT {
                self.waiting.fetch_sub(message.len(), Ordering::Relaxed);
            }
        }
    }

    async fn send<E: Clock, S>(&mut self, context: &E, sender: &mut S, message: &[u8])
    where
        S: Sender<PublicKey = ed25519::PublicKey>,
    {
        let mut at = 0;
        while let Some((bytes, next)) = fragment(message, at) {
            if at > 0 {
                while let Ok(short) = self.short.try_recv() {
                    if let Some((bytes, _)) = fragment(&short, 0) {
                        put_on_network(context, sender, &self.peer, bytes.into()).await;
                    }
                }
            }
            // Without one of its fragments a message is worth nothing.
            if !put_on_network(context, sender, &self.peer, bytes.into()).await {
                return;
            }
            at = next;
        }
    }
}

/// Gives a fragment to the network when the quota allows it; whether it was taken.
async fn put_on_network<E: Clock, S>(
    context: &E,
    sender: &mut S,
    peer: &ed25519::PublicKey,
    bytes: Bytes,
) -> bool
where
    S: Sender<PublicKey = ed25519::PublicKey>,
{
    for _ in 0..TRIES {
        let later = match sender.check(Recipients::One(peer.clone())) {
            Ok(checked) => match checked.send(bytes.clone(), false).accepted() {
                true => return true,
                false => None,
            },
            Err(later) => Some(later),
        };
        match later {
            Some(later) => context.sleep_until(later).await,
            None => context.sleep(AGAIN).await,
        }
    }
    false
}
