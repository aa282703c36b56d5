//! How an agreement engine, and the network below it, know a node: by the first half of its key.

use zeroize::Zeroizing;

use super::{Node, PublicKey, SecretKey};

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
