//! SVRs as a stranger reads them: JSON, base64, the encoding of DSSE, and an ECDSA key.

use std::time::Duration;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use deepring::attestation::{AttestationError, AttestationKey, Svr};
use serde_json::{Value, json};

use crate::small_ring::{intact, owner, small_ring};

/// Made for these tests with `openssl genpkey`.
const KEY: &str = "\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgBc//TNcKZ/SwZLF5
fGsX2/2FANQiDvqdDkMzHcag7DChRANCAARyBChrttCcE+F1fFPxUPvDg+Mkqavv
QeotC5KdesF1ofop5njCKsOW5BPcnieWNORKrRxJ8nC9bhD5zrDaIaMO
-----END PRIVATE KEY-----
";

/// The same key's public half, by `openssl pkey -pubout`.
const PUBLIC: &str = "\
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEcgQoa7bQnBPhdXxT8VD7w4PjJKmr
70HqLQuSnXrBdaH6KeZ4wirDluQT3J4nljTkSq0cSfJwvW4Q+c6w2iGjDg==
-----END PUBLIC KEY-----
";

fn key() -> AttestationKey {
    AttestationKey::from_pem(KEY).unwrap()
}

fn bytes(base64: &Value) -> Vec<u8> {
    STANDARD.decode(base64.as_str().unwrap()).unwrap()
}

/// Verifies the envelope of a bundle as the specifications of DSSE and X.509 have it.
fn verified(bundle: &Value) -> Option<Value> {
    let envelope = &bundle["dsseEnvelope"];
    let (payload, kind) = (bytes(&envelope["payload"]), envelope["payloadType"].as_str().unwrap());
    let signed =
        [format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).as_bytes(), payload.as_slice()]
            .concat();
    let der: String = PUBLIC.lines().filter(|line| !line.starts_with('-')).collect();
    let der = STANDARD.decode(der).unwrap();
    // An uncompressed point is the last 65 bytes.
    let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &der[der.len() - 65..]);
    public.verify(&signed, &bytes(&envelope["signatures"][0]["sig"])).ok()?;
    serde_json::from_slice(&payload).ok()
}

#[test]
fn an_svr_says_what_was_verified_and_is_signed_as_it_says() {
    let ring = intact(&small_ring());
    let text = Svr::of(&ring).sign(&key(), None, Duration::from_secs(1_785_587_445)).unwrap();
    let bundle: Value = serde_json::from_str(&text).unwrap();
    let statement = verified(&bundle).unwrap();
    let expected = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{
            "name": ring.ring_id().to_string(),
            "digest": { "deepringRingDigest": ring.digest().to_string() },
        }],
        "predicateType": "https://in-toto.io/attestation/svr/v0.1",
        "predicate": {
            "verifier": { "id": key().name() },
            "timeCreated": "2026-08-01T12:30:45Z",
            "properties": [
                "DEEPRING_VERIFIED_ALL_BYTES",
                format!("DEEPRING_OWNER_{}", owner().public()),
                "DEEPRING_MODEL_VERSION_1",
                "DEEPRING_REVISION_0",
            ],
        },
    });
    assert_eq!(statement, expected);
    assert_eq!(bundle["mediaType"], "application/vnd.dev.sigstore.bundle.v0.3+json");
    assert_eq!(bundle["verificationMaterial"]["publicKey"]["hint"], key().hint());
    assert_eq!(key().public_pem(), PUBLIC);
}

#[test]
fn a_changed_byte_of_an_svr_is_noticed() {
    let ring = intact(&small_ring());
    let text = Svr::of(&ring).sign(&key(), Some("urn:x:y"), Duration::ZERO).unwrap();
    let bundle: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(verified(&bundle).unwrap()["predicate"]["verifier"]["id"], "urn:x:y");
    let payload = bytes(&bundle["dsseEnvelope"]["payload"]);
    for at in 0..payload.len() {
        let mut changed = payload.clone();
        changed[at] ^= 1;
        let mut bundle = bundle.clone();
        bundle["dsseEnvelope"]["payload"] = json!(STANDARD.encode(changed));
        assert_eq!(verified(&bundle), None, "byte {at}");
    }
    let mut other_type = bundle.clone();
    other_type["dsseEnvelope"]["payloadType"] = json!("application/json");
    assert_eq!(verified(&other_type), None);
}

#[test]
fn a_verifiers_id_that_is_no_uri_signs_nothing() {
    let ring = intact(&small_ring());
    for id in ["", "me", "https://two words"] {
        let refused = Svr::of(&ring).sign(&key(), Some(id), Duration::ZERO);
        assert!(matches!(refused, Err(AttestationError::VerifierId)), "{id:?}");
    }
}
