//! Closures, without the signature that guards them in a ring.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| deepring::fuzzing::closure(bytes));
