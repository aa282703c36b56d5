//! Manifests of rings of weights, as they are after decryption.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| deepring::fuzzing::weights_manifest(bytes));
