//! Proofs that a ledger only grew; those that verify, from the state that the input says.
#![no_main]

use deepring_fuzz::{LEDGER_KEY, signed};
use deepring_ledger::{Checkpoint, ExtensionProof};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let Ok(proof) = ExtensionProof::parse(text) else { return };
    assert_eq!(proof.to_string(), text, "accepted text is not canonical");
    // The earlier state: of the size that the proof names, with a root that is often its own.
    let mut lines = text.lines();
    let size = lines.next().and_then(|l| l.strip_prefix("old ")).unwrap_or_default();
    let root = lines.next().unwrap_or_default();
    let note = signed(&format!("{}\n{size}\n{root}\n", LEDGER_KEY.origin()));
    let Some(old) = note.and_then(|n| Checkpoint::verify(&n, &LEDGER_KEY).ok()) else { return };
    if let Ok(shown) = proof.verify(&old, &LEDGER_KEY) {
        assert_eq!(*shown.earlier(), old);
        assert!(old.size() <= shown.later().size());
        if old.size() == shown.later().size() {
            assert_eq!(old.root(), shown.later().root());
        }
    }
});
