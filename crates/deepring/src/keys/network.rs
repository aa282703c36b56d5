//! How a network, and an agreement engine above it, know a node or a host: by the first half of its key.

use zeroize::Zeroizing;

use super::{Host, Node, PublicKey, SecretKey};

impl SecretKey<Node> {
    /// The Ed25519 seed of the first half, for the engine and the transport that sign votes and
    /// handshakes with it. Whoever is given it can sign anything in the node's name, but for
    /// cosignatures, which the second half signs. What they sign must not begin with `deepring v`, as
    /// this format's labels do: a namespace whose length is put before it, and is below 99, sees to that.
    #[must_use]
    pub fn expose_seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(*self.seed())
    }
}

impl PublicKey<Node> {
    /// The Ed25519 key by which the engine knows the node.
    #[must_use]
    pub fn voting_half(&self) -> &[u8; 32] {
        self.signing_half()
    }
}

impl SecretKey<Host> {
    /// The Ed25519 seed of the first half, for the transport that signs handshakes with it. Whoever is given it can sign
    /// anything in the host's name, and opens nothing: the second half does. What the transport signs must not begin with
    /// `deepring v`, as with [a node's](SecretKey::<Node>::expose_seed).
    #[must_use]
    pub fn expose_seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(*self.seed())
    }
}

impl PublicKey<Host> {
    /// The Ed25519 key by which the network knows the host.
    #[must_use]
    pub fn network_half(&self) -> &[u8; 32] {
        self.signing_half()
    }
}
