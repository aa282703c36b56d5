//! A witness's key, on the first line, and what it replied to a checkpoint, on the others.
#![no_main]

use deepring_fuzz::{LEDGER_KEY, signed};
use deepring_ledger::Checkpoint;
use deepring_ledger::witness::WitnessKey;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let Some((key, reply)) = text.split_once('\n') else { return };
    let Ok(key) = WitnessKey::parse(key) else { return };
    assert_eq!(WitnessKey::parse(key.as_str()).as_ref(), Ok(&key));
    let text = format!("{}\n7\n{}=\n", LEDGER_KEY.origin(), "A".repeat(43));
    let Some(note) = signed(&text) else { return };
    let Ok(checkpoint) = Checkpoint::verify(&note, &LEDGER_KEY) else { return };
    let Ok(cosigned) = checkpoint.cosigned(reply, std::slice::from_ref(&key)) else { return };
    // What is kept is a checkpoint that says the same, and the cosignatures are found in it again.
    let kept = Checkpoint::verify(cosigned.checkpoint().as_str(), &LEDGER_KEY).expect("a note");
    assert_eq!(kept.body(), checkpoint.body());
    assert_eq!(kept.cosignatures(&[key]).as_deref(), Ok(cosigned.added()));
});
