//! The tensors of a parcel, as they are after decryption.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| deepring::fuzzing::tensors(bytes));
