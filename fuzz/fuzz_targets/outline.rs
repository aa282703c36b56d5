//! Outlines of rings, which are all that a verifier of decisions has of them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| deepring::fuzzing::outline(bytes));
