//! What a node signs beside entries: cosignatures of checkpoints, and, by an engine, votes.

use zeroize::Zeroizing;

use super::{Node, PublicKey, SecretKey};
use crate::crypto::signature::{SIGNATURE_LEN, sign_bytes};

impl SecretKey<Node> {
    /// Cosigns a checkpoint's text (`c2sp.org/tlog-cosignature`, type 0x04), at a time in seconds since
    /// the Unix epoch: `Ed25519.Sign["cosignature/v1\ntime " timestamp "\n" note text]`. No message
    /// of this format begins so: those begin with a label `deepring v…` and a zero byte.
    #[must_use]
    pub fn cosign(&self, timestamp: u64, note_text: &str) -> [u8; SIGNATURE_LEN] {
        let message = format!("cosignature/v1\ntime {timestamp}\n{note_text}");
        sign_bytes(self.seed(), message.as_bytes())
    }

    /// The Ed25519 seed, for the engine and the transport that sign votes and handshakes with this key.
    /// Whoever is given it can sign anything in the node's name. What they sign must begin neither with
    /// `deepring v` nor with `cosignature/`; a namespace whose length is put before it, and is below
    /// 99, sees to that.
    #[must_use]
    pub fn expose_seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(*self.seed())
    }
}

impl PublicKey<Node> {
    /// The Ed25519 half, by which the engine knows the node.
    #[must_use]
    pub fn voting_half(&self) -> &[u8; 32] {
        self.signing_half()
    }
}
