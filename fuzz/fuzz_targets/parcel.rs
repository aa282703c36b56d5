//! Parcels, as they travel between hosts.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| deepring::fuzzing::parcel(bytes));
