//! What hosts of a dealt ring send each other.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| deepring_infer::participant::fuzzing::host_message(bytes));
