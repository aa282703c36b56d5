//! Entries of a ledger.
#![no_main]

use deepring_ledger::Entry;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(entry) = Entry::decode(bytes) {
        assert_eq!(entry.encode(), bytes, "accepted bytes are not canonical");
    }
});
