//! Evidence against hosts, as alarms carry it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| deepring::fuzzing::evidence(bytes));
