//! The result of a ring's verification, for programs that know nothing of rings: an in-toto Simple
//! Verification Result, signed as DSSE, in a Sigstore bundle.
//!
//! An SVR says that whoever holds the signing key checked this ring, at this time, and which
//! properties held. It convinces as far as its reader trusts that key and no further: it holds
//! nothing by which the check could be made again, and it says nothing of a ring after its time.

mod key;
mod uri;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::ring::VerifiedRing;

use uri::is_uri;

pub use key::{AttestationError, AttestationKey};

/// in-toto attestation framework, Statement v1.
const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// in-toto attestation framework, predicate "Simple Verification Result" 0.1.
const PREDICATE_TYPE: &str = "https://in-toto.io/attestation/svr/v0.1";
/// The type that a DSSE envelope gives for a statement.
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// Sigstore's bundle of version 0.3.
const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// The name of the ring digest among a subject's digests. It is no digest of the file's bytes: a
/// grant changes those, and not the ring digest.
const DIGEST_NAME: &str = "deepringRingDigest";

/// Most bytes of a verifier's id.
const MAX_ID: usize = 2048;

/// A Simple Verification Result about a ring of which every byte was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Svr {
    subject: String,
    digest: String,
    properties: Vec<String>,
}

impl Svr {
    /// The result of this verification. There is none of a ring that was refused, or only
    /// authenticated: nothing but a whole verification makes a [`VerifiedRing`].
    ///
    /// Its properties are `DEEPRING_VERIFIED_ALL_BYTES`, `DEEPRING_OWNER_<public key>`,
    /// `DEEPRING_MODEL_VERSION_<n>` and `DEEPRING_REVISION_<n>`; its subject is the ring's id with
    /// the ring digest.
    #[must_use]
    pub fn of(ring: &VerifiedRing) -> Self {
        Self {
            subject: ring.ring_id().to_string(),
            digest: ring.digest().to_string(),
            properties: vec![
                "DEEPRING_VERIFIED_ALL_BYTES".to_owned(),
                format!("DEEPRING_OWNER_{}", ring.owner()),
                format!("DEEPRING_MODEL_VERSION_{}", ring.model_version()),
                format!("DEEPRING_REVISION_{}", ring.revision()),
            ],
        }
    }

    /// The properties that held.
    #[must_use]
    pub fn properties(&self) -> &[String] {
        &self.properties
    }

    /// The signed bundle, as text: what `at` (time since 1970) and `verifier` say is signed too.
    /// The verifier's id is a URI; without one it is the signing key's own name
    /// ([`AttestationKey::name`]).
    ///
    /// # Errors
    /// [`AttestationError::VerifierId`] and [`AttestationError::NotSigned`].
    pub fn sign(
        &self,
        key: &AttestationKey,
        verifier: Option<&str>,
        at: Duration,
    ) -> Result<String, AttestationError> {
        let id = match verifier {
            Some(id) => checked_id(id).ok_or(AttestationError::VerifierId)?,
            None => key.name(),
        };
        let payload = self.statement(id, at).to_string();
        let signature = key.sign(&pre_authentication_encoding(PAYLOAD_TYPE, payload.as_bytes()))?;
        let bundle = json!({
            "mediaType": MEDIA_TYPE,
            "verificationMaterial": { "publicKey": { "hint": key.hint() }, "tlogEntries": [] },
            "dsseEnvelope": {
                "payload": STANDARD.encode(&payload),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{ "sig": STANDARD.encode(signature), "keyid": "" }],
            },
        });
        Ok(format!("{bundle:#}\n"))
    }

    fn statement(&self, verifier: &str, at: Duration) -> Value {
        json!({
            "_type": STATEMENT_TYPE,
            "subject": [{ "name": self.subject, "digest": { DIGEST_NAME: self.digest } }],
            "predicateType": PREDICATE_TYPE,
            "predicate": {
                "verifier": { "id": verifier },
                "timeCreated": timestamp(at),
                "properties": self.properties,
            },
        })
    }
}

/// A URI of RFC 3986, and no longer than its readers take.
fn checked_id(id: &str) -> Option<&str> {
    (id.len() <= MAX_ID && is_uri(id)).then_some(id)
}

/// `"DSSEv1" SP length SP type SP length SP body` (DSSE protocol, "Signature Definition"): what is
/// signed, so that a body cannot be taken for one of another type.
fn pre_authentication_encoding(payload_type: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), body.len());
    [head.as_bytes(), body].concat()
}

/// A time since 1970 by RFC 3339, in UTC, to the second.
fn timestamp(at: Duration) -> String {
    let seconds = at.as_secs();
    let (mut year, mut day) = (1970_u64, seconds / 86_400);
    let leap = |y: u64| y.is_multiple_of(4) && (!y.is_multiple_of(100) || y.is_multiple_of(400));
    // RFC 3339 has years of four digits.
    while year < 9999 && day >= 365 + u64::from(leap(year)) {
        day -= 365 + u64::from(leap(year));
        year += 1;
    }
    let mut month = 1;
    for days in [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day < days || month == 12 {
            break;
        }
        day -= days;
        month += 1;
    }
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let day = (day + 1).min(31);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_is_the_encoding_of_the_specification() {
        // The example of the DSSE protocol's own test vectors.
        let encoded = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world");
        assert_eq!(encoded, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
        assert_eq!(pre_authentication_encoding("", b""), b"DSSEv1 0  0 ");
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_785_587_445, "2026-08-01T12:30:45Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(timestamp(Duration::from_secs(seconds)), text);
        }
        assert_eq!(timestamp(Duration::MAX).len(), "9999-12-31T23:59:59Z".len());
    }

    #[test]
    fn a_verifiers_id_is_a_uri_of_a_length_that_is_bounded() {
        let [longest, longer] = [2, 1].map(|n| format!("x:{}", "y".repeat(MAX_ID - n)));
        for id in ["https://example.com/verifier/v1", "urn:uuid:0", "a+b:c", &longest] {
            assert_eq!(checked_id(id), Some(id));
        }
        for id in ["", "verifier", "https://a b", "https://a\n", "x:<script>", &longer] {
            assert_eq!(checked_id(id), None, "{id:?}");
        }
    }
}
