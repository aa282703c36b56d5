//! A ledger's state, as it is kept beside the entries.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| deepring_ledger::fuzzing::state(bytes));
