//! What the copies of a leg send each other.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| deepring::fuzzing::message(bytes));
