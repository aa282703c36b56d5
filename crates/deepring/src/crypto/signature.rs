//! Ed25519 (RFC 8032) over labelled messages.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};

/// A signature's size.
pub(crate) const SIGNATURE_LEN: usize = 64;

/// Signs `label || 0x00 || message`. Labels contain no zero byte, so the split is unambiguous.
pub(crate) fn sign(key: &Ed25519KeyPair, label: &str, message: &[u8]) -> [u8; SIGNATURE_LEN] {
    let mut out = [0; SIGNATURE_LEN];
    out.copy_from_slice(key.sign(&labelled(label, message)).as_ref());
    out
}

/// Whether `signature` is `key`'s over `label || 0x00 || message`.
pub(crate) fn is_signed(key: &[u8; 32], label: &str, message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, key).verify(&labelled(label, message), signature).is_ok()
}

fn labelled(label: &str, message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(label.len() + 1 + message.len());
    out.extend_from_slice(label.as_bytes());
    out.push(0);
    out.extend_from_slice(message);
    out
}
