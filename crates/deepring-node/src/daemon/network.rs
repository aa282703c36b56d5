//! The two networks of a node: one in which validators agree, one in which hosts pass tensors, so that votes never wait behind
//! a batch.
//!
//! Both know each peer by its own key, proven in the handshake (commonware's SAKE, then ChaCha20-Poly1305), and let in nobody
//! who is not configured. The namespaces tie a handshake to one log, and to one ring.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use commonware_cryptography::{ChaCha20Poly1305, Signer as _, ed25519};
use commonware_p2p::authenticated::lookup::{Config, Network, Oracle};
use commonware_p2p::{Address, AddressableManager as _};
use commonware_runtime::{Quota, Supervisor as _, tokio::Context};
use commonware_stream::cups::{self, Cups};
use commonware_stream::sake::{self, Sake};
use commonware_utils::ordered::Map;
use commonware_utils::{NZU32, NZUsize};

/// How far ahead a peer's clock may be, and how old its handshake.
const CLOCK_AHEAD: Duration = Duration::from_secs(5);
const HANDSHAKE_AGE: Duration = Duration::from_secs(10);
/// How long a peer is cut off that sent what no honest one sends.
const CUT_OFF: Duration = Duration::from_mins(10);

/// A network before it starts: channels are registered first.
pub(crate) type UnstartedNetwork =
    Network<Context, Cups<Sake<ed25519::PrivateKey>, ChaCha20Poly1305>>;
/// Who its peers are, and who is cut off.
pub(crate) type Peers = Oracle<ed25519::PublicKey>;
/// How a network knows a peer.
pub(crate) type Identity = ed25519::PublicKey;

/// Joins the peers at these addresses.
pub(crate) fn join(
    context: &Context,
    identity: ed25519::PrivateKey,
    namespace: &[u8],
    listen: SocketAddr,
    peers: Vec<(ed25519::PublicKey, SocketAddr)>,
    max_message: u32,
) -> (UnstartedNetwork, Peers) {
    let me = identity.public_key();
    let handshake = Cups::<_, ChaCha20Poly1305>::new(
        Sake {
            signer: identity,
            synchrony_bound: CLOCK_AHEAD,
            max_handshake_age: HANDSHAKE_AGE,
            version: sake::Version::V1,
        },
        cups::Version::V1,
    );
    let count = NonZeroUsize::MIN.saturating_add(peers.len());
    let config = Config {
        // Peers stand in a file with their addresses; whether these are private is its writer's business.
        allow_private_ips: true,
        allow_dns: false,
        send_batch_size: NZUsize!(8),
        handshake_timeout: Duration::from_secs(5),
        dial_timeout: Duration::from_secs(10),
        // A peer that was restarted is let in again soon, also where both dial at once and neither gets through; several may have one
        // address.
        peer_connection_cooldown: Duration::from_millis(250),
        max_concurrent_handshakes: NZU32!(64),
        allowed_handshake_rate_per_ip: Quota::per_second(NZU32!(32)),
        allowed_handshake_rate_per_subnet: Quota::per_second(NZU32!(64)),
        ping_frequency: Duration::from_secs(5),
        dial_frequency: Duration::from_millis(100),
        // Mailboxes are reserved for each peer of each set.
        tracked_peer_sets: NZUsize!(1),
        block_duration: CUT_OFF,
        ..Config::recommended(handshake, namespace, listen, count, max_message, NZUsize!(1024))
    };
    let (network, mut oracle) = Network::new(context.child("network"), config);
    let all = peers.into_iter().chain([(me, listen)]);
    let all: Map<_, Address> = Map::from_iter_dedup(all.map(|(key, at)| (key, at.into())));
    oracle.track(0, all);
    (network, oracle)
}
