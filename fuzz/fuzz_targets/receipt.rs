//! Receipt files.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| deepring::fuzzing::receipt(bytes));
