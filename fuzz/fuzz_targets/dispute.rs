//! Disputes, as a node keeps them for an arbiter.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| deepring::fuzzing::dispute(bytes));
