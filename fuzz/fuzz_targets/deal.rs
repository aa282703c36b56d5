//! Deals, as they stand in Genesis' header and beside a ring.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| deepring::fuzzing::deal(bytes));
