//! Key texts and key files.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| deepring::fuzzing::key_text(bytes));
