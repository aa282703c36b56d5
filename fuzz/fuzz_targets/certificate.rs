//! Certificates, under an owner's and a log's keys that are public.
#![no_main]

use deepring::receipt::Require;
use deepring::{Owner, PublicKey};
use deepring_fuzz::LEDGER_KEY;
use deepring_ledger::certificate::Expected;
use deepring_ledger::{Certificate, LogTrust};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(certificate) = Certificate::decode(bytes) else { return };
    assert_eq!(certificate.encode(), bytes, "accepted bytes are not canonical");
    let _ = certificate.claimed_origin();
    // Whoever its outline names as owner, so that the fuzzer gets behind the first comparison: magic, version and length, then
    // the outline's own head of 100 bytes.
    let Some(owner) = bytes.get(114..178).and_then(|b| b.try_into().ok()) else { return };
    let expected = Expected {
        owner: PublicKey::<Owner>::from_bytes(owner),
        log: LogTrust::Key(&LEDGER_KEY),
        require: Require::None,
        nonce: None,
    };
    let _ = certificate.verify(&expected);
});
