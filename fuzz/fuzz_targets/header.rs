//! Headers, without the digest that guards them in a ring.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| deepring::fuzzing::header(bytes));
