//! Ring files: outline, closure, headers, bodies, under the owner key of `vectors/`.
#![no_main]

use std::sync::{Arc, LazyLock};

use deepring::{Owner, PublicKey, RingError, Trust, UnverifiedRing, Verdict};

static OWNER: LazyLock<PublicKey<Owner>> = LazyLock::new(|| {
    include_str!("../../vectors/keys/owner.pub").parse().expect("the vectors' owner key")
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let ring = UnverifiedRing::read(Arc::new(bytes.to_vec()));
    match ring.and_then(|r| r.verify(&Trust::owner(*OWNER), &|_| ())) {
        Ok(_) => {}
        Err(RingError::Refused(report)) => {
            assert_ne!(report.verdict, Verdict::Intact);
            assert!(!report.findings.is_empty());
        }
        Err(e) => panic!("a buffer can always be read: {e}"),
    }
});
