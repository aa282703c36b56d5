//! NumPy files.
#![no_main]

use deepring_fuzz::file_of;
use deepring_infer::inputs::{NpyError, read_npy, write_npy};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let path = file_of(bytes);
    let Ok(tensor) = read_npy(path, "x") else { return };
    // A tensor that was read can be written, and reads back as it was.
    match write_npy(path, &tensor) {
        Ok(()) => assert_eq!(read_npy(path, "x").expect("what was written"), tensor),
        Err(NpyError::Io { source, .. }) => panic!("a tensor can be written: {source}"),
        Err(e) => panic!("{e}"),
    }
});
