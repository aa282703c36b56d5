//! Ed25519 (RFC 8032) over labelled messages.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use super::stack;

/// Size of a signature, in bytes.
pub(crate) const SIGNATURE_LEN: usize = 64;

/// Signs a labelled message: `Ed25519.Sign[seed](label || 0x00 || message)` (RFC 8032, section
/// 5.1.6). Labels contain no zero byte, so the split is unambiguous.
///
/// The library's key pair, which holds the seed, is made for this one signature and freed (wiped)
/// after it. If that fails, which only a lack of memory can cause, the signature is zeros: nobody
/// accepts it.
pub(crate) fn sign(seed: &[u8; 32], label: &str, message: &[u8]) -> [u8; SIGNATURE_LEN] {
    sign_as_is(seed, &labelled(label, message))
}

/// Signs a message of another specification, without a label: for a key that signs nothing but these. Fails as [`sign`].
pub(crate) fn sign_as_is(seed: &[u8; 32], message: &[u8]) -> [u8; SIGNATURE_LEN] {
    stack::wiped(|| {
        let mut out = [0; SIGNATURE_LEN];
        if let Ok(pair) = Ed25519KeyPair::from_seed_unchecked(seed) {
            out.copy_from_slice(pair.sign(message).as_ref());
        }
        out
    })
}

/// The public key that belongs to a seed (RFC 8032, section 5.1.5); `None` only if memory is
/// lacking.
pub(crate) fn public_of(seed: &[u8; 32]) -> Option<[u8; 32]> {
    stack::wiped(|| {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
        pair.public_key().as_ref().try_into().ok()
    })
}

/// Returns whether `signature` is `key`'s over `label || 0x00 || message` (RFC 8032, section
/// 5.1.7).
///
/// A key of small order has signed nothing: one signature would verify for every message under it,
/// so the holder of such a key could deny everything that it ever signed.
pub(crate) fn is_signed(key: &[u8; 32], label: &str, message: &[u8], signature: &[u8]) -> bool {
    !has_small_order(key)
        && UnparsedPublicKey::new(&ED25519, key)
            .verify(&labelled(label, message), signature)
            .is_ok()
}

/// The y coordinates of the eight points of small order, little-endian: orders 4, 1, 8, 8, 2. The
/// library refuses other encodings of the same points, as RFC 8032 requires.
const SMALL_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    [
        1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0,
    ],
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
    [
        0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0x7f,
    ],
];

fn has_small_order(key: &[u8; 32]) -> bool {
    let mut y = *key;
    // The top bit is the sign of x.
    y[31] &= 0x7f;
    SMALL_ORDER.contains(&y)
}

/// The bytes that are signed: `label || 0x00 || message`.
pub(crate) fn labelled(label: &str, message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(label.len() + 1 + message.len());
    out.extend_from_slice(label.as_bytes());
    out.push(0);
    out.extend_from_slice(message);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R = B and S = 1: under the identity as key, this verifies for every message.
    fn fits_every_message() -> [u8; 64] {
        let mut signature = [0x66; 64];
        signature[0] = 0x58;
        signature[32..].fill(0);
        signature[32] = 1;
        signature
    }

    #[test]
    fn a_key_of_small_order_has_signed_nothing() {
        let signature = fits_every_message();
        let identity = SMALL_ORDER[1];
        let library = UnparsedPublicKey::new(&ED25519, &identity);
        assert!(library.verify(b"anything", &signature).is_ok(), "the library alone accepts it");
        assert!(!is_signed(&identity, "label", b"anything", &signature));
    }

    #[test]
    fn the_sign_of_x_does_not_hide_small_order() {
        for y in SMALL_ORDER {
            let mut negative = y;
            negative[31] |= 0x80;
            assert!(has_small_order(&y) && has_small_order(&negative));
        }
        assert!(!has_small_order(&public_of(&[7; 32]).unwrap()));
    }

    #[test]
    fn a_signature_under_another_label_key_or_message_does_not_fit() {
        let public = |n| public_of(&[n; 32]).unwrap();
        let signature = sign(&[1; 32], "label", b"message");
        assert!(is_signed(&public(1), "label", b"message", &signature));
        assert!(!is_signed(&public(2), "label", b"message", &signature));
        assert!(!is_signed(&public(1), "labe", b"l\0message", &signature));
        assert!(!is_signed(&public(1), "label", b"messag", &signature));
        assert!(!is_signed(&public(1), "label", b"message", &signature[..63]));
    }

    #[test]
    fn a_signature_with_s_not_below_the_group_order_does_not_fit() {
        // The group order, little-endian; S + order verifies where only the equation is checked.
        const ORDER: [u8; 32] = [
            0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9,
            0xde, 0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
        ];
        let mut signature = sign(&[1; 32], "label", b"message");
        let mut carry = 0u16;
        for (s, l) in signature[32..].iter_mut().zip(ORDER) {
            carry += u16::from(*s) + u16::from(l);
            *s = carry.to_le_bytes()[0];
            carry >>= 8;
        }
        assert!(!is_signed(&public_of(&[1; 32]).unwrap(), "label", b"message", &signature));
    }
}
