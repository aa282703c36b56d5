//! Key files under a passphrase.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| deepring::fuzzing::encrypted_key(bytes));
