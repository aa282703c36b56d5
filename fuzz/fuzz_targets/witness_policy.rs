//! Policy files: read or refused; one that is read judges a checkpoint.
#![no_main]

use deepring_fuzz::{LEDGER_KEY, signed};
use deepring_ledger::Checkpoint;
use deepring_ledger::witness::WitnessPolicy;

libfuzzer_sys::fuzz_target!(|file: &[u8]| {
    let Ok(policy) = WitnessPolicy::parse(file) else { return };
    let text = format!("{}\n7\n{}=\n", LEDGER_KEY.origin(), "A".repeat(43));
    let Some(note) = signed(&text) else { return };
    let Ok(checkpoint) = Checkpoint::verify(&note, &LEDGER_KEY) else { return };
    // Nobody cosigned it, so it is enough for who asks for nobody.
    if let Ok(witnessed) = policy.check(&checkpoint) {
        assert!(witnessed.cosignatures().is_empty());
        assert!(String::from_utf8_lossy(file).contains("none"));
    }
});
