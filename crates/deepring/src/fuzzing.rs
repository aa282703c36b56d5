//! Entry points of the fuzz targets: each feeds one decoder and asserts its guarantees.
//!
//! Exists only under the feature `fuzzing`, and in unit tests, which feed each of them for a moment
//! (`properties.rs`); no part of the interface.
#![allow(missing_docs, reason = "each function feeds the decoder that it names")]

use crate::block::Header;
use crate::deal::Deal;
use crate::outline::{AuthenticOutline, Outline};
use crate::receipt::{Parcel, tensors_digest};
use crate::replication::{Dispute, Evidence, Message};
use crate::ring::closure::Closure;
use crate::ring::layout::{Layout, Preamble};
use crate::weights::WeightsManifest;
use crate::{Decision, Host, Manifest, Owner, PublicKey, SecretKey};

/// Accepted bytes are encoded to the same bytes again.
macro_rules! assert_canonical {
    ($decoded:expr, $bytes:expr) => {
        if let Ok(value) = $decoded {
            assert_eq!(value.encode(), $bytes, "accepted bytes are not canonical");
        }
    };
}

pub fn header(bytes: &[u8]) {
    let decoded = Header::decode(bytes);
    if let Ok(header) = &decoded {
        // None of these may overflow for a header that was accepted.
        let own = header.parts.iter().filter(|p| p.shared.is_none());
        let tags = header.body_len() - own.map(|p| p.len).sum::<u64>();
        assert_eq!(tags, 16 * header.chunks.len() as u64);
        assert!(header.parameter_bytes() <= header.plain_len);
    }
    assert_canonical!(decoded, bytes);
}

pub fn closure(bytes: &[u8]) {
    let decoded = Closure::decode(bytes);
    if let Ok(closure) = &decoded {
        let _ = (closure.ring_digest(), Layout::of(closure));
    }
    assert_canonical!(decoded, bytes);
}

pub fn preamble(bytes: &[u8]) {
    assert_canonical!(Preamble::decode(bytes), bytes);
}

pub fn manifest(bytes: &[u8]) {
    assert_canonical!(Manifest::decode(bytes), bytes);
}

/// Of a manifest that is accepted every path can be written.
pub fn weights_manifest(bytes: &[u8]) {
    let decoded = WeightsManifest::decode(bytes);
    for file in decoded.iter().flat_map(WeightsManifest::files) {
        let path = std::path::Path::new(file.path().as_str());
        let normal = |c| matches!(c, std::path::Component::Normal(_));
        assert!(path.components().all(normal), "{path:?} leads elsewhere");
    }
    assert_canonical!(decoded, bytes);
}

pub fn receipt(bytes: &[u8]) {
    assert_canonical!(Decision::decode(bytes), bytes);
}

pub fn parcel(bytes: &[u8]) {
    assert_canonical!(Parcel::decode(bytes), bytes);
}

/// The plaintext of a parcel.
pub fn tensors(bytes: &[u8]) {
    if let Ok((salt, batch)) = crate::receipt::decode_contents(bytes) {
        assert_eq!(crate::receipt::encode_contents(&salt, &batch), bytes);
        for tensors in &batch {
            let _ = tensors_digest(&salt, tensors);
        }
    }
}

pub fn deal(bytes: &[u8]) {
    let decoded = Deal::decode(bytes);
    if let Ok(deal) = &decoded {
        let _ = (deal.digest(), deal.copies(), deal.leg_of(1), deal.is_signed());
    }
    assert_canonical!(decoded, bytes);
}

/// An outline that is accepted answers every question.
pub fn outline(bytes: &[u8]) {
    let decoded = Outline::decode(bytes);
    if let Ok(outline) = &decoded {
        let _ = (outline.digest(), outline.refuse_blocks(), outline.refuse_deal());
        let outline = AuthenticOutline::of_checked(outline.clone());
        let _ = (outline.genesis(), outline.layers(), outline.inputs(), outline.outputs());
    }
    assert_canonical!(decoded, bytes);
}

/// A message between the copies of a leg.
pub fn message(bytes: &[u8]) {
    assert_canonical!(Message::decode(bytes), bytes);
}

pub fn evidence(bytes: &[u8]) {
    if let Ok(evidence) = Evidence::from_bytes(bytes) {
        assert_eq!(evidence.to_bytes(), bytes, "accepted bytes are not canonical");
        let _ = (evidence.names(), evidence.is_proof());
    }
}

pub fn dispute(bytes: &[u8]) {
    assert_canonical!(Dispute::decode(bytes), bytes);
}

pub fn key_text(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let line = text.lines().map(str::trim).find(|l| !l.is_empty() && !l.starts_with('#'));
    let line = line.unwrap_or_default().to_lowercase();
    if let Ok(key) = text.parse::<PublicKey<Owner>>() {
        assert_eq!(key.to_string(), line);
    }
    if let Ok(key) = text.parse::<PublicKey<Host>>() {
        assert_eq!(key.to_string(), line);
    }
    if let Ok(key) = SecretKey::<Owner>::from_secret_text(text) {
        assert_eq!(key.to_secret_text().to_lowercase(), line);
    }
    if let Ok(key) = SecretKey::<Host>::from_secret_text(text) {
        assert_eq!(key.to_secret_text().to_lowercase(), line);
    }
}

/// A key file under a passphrase, with little work allowed. Whatever it says, it is opened or refused.
#[cfg(feature = "passphrase")]
pub fn encrypted_key(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(passphrase) = crate::keys::Passphrase::new(String::from("fuzz").into()) else { return };
    if let Ok(plain) = crate::keys::encrypted::decrypt_within(text, &passphrase, 4) {
        assert!(plain.len() <= 16 * 1024, "more than a key file holds");
    }
}

pub fn trust_store(bytes: &[u8]) {
    if let Ok(text) = crate::trust::reprint(bytes) {
        let again = crate::trust::reprint(text.as_bytes());
        assert_eq!(again.as_ref(), Ok(&text), "what was printed reads back");
    }
}
