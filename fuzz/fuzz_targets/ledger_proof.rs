//! Proofs that an entry is in a ledger; those that verify, under a key that is public.
#![no_main]

use deepring_fuzz::LEDGER_KEY;
use deepring_ledger::Proof;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let Ok(proof) = Proof::parse(text) else { return };
    assert_eq!(proof.to_string(), text, "accepted text is not canonical");
    if let Ok(shown) = proof.verify(&LEDGER_KEY) {
        assert_eq!(shown.index(), proof.index());
        assert!(shown.index() < shown.checkpoint().size());
        assert_eq!(Some(shown.entry().as_bytes()), proof.entry_bytes());
    }
});
