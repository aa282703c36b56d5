//! Checkpoints: as they come, and with the text that the input says under a signature that is right.
#![no_main]

use deepring_fuzz::{LEDGER_KEY, signed};
use deepring_ledger::{Checkpoint, VerifierKey};

fn verify(text: &str) {
    if let Ok(checkpoint) = Checkpoint::verify(text, &LEDGER_KEY) {
        assert_eq!(checkpoint.as_str(), text);
        assert_eq!(checkpoint.origin(), LEDGER_KEY.origin());
        let size = text.lines().nth(1).and_then(|l| l.parse().ok());
        assert_eq!(Some(checkpoint.size()), size);
    }
}

libfuzzer_sys::fuzz_target!(|text: &str| {
    verify(text);
    if let Some(note) = signed(text) {
        verify(&note);
    }
    if let Ok(key) = VerifierKey::parse(text) {
        assert_eq!(key.as_str(), text.trim());
        assert_eq!(VerifierKey::parse(key.as_str()).as_ref(), Ok(&key));
        assert!(key.as_str().starts_with(key.origin()));
    }
});
