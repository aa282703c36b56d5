//! Work on secrets, and overwriting the copies that it leaves on the stack.
//!
//! A library that is given a secret copies it into its frames and, at best, wipes the variables
//! that it knows of; moves and spilled registers remain until something else happens to overwrite
//! them. `tests/it/copies.rs` counts the copies that remain.

use std::hint::black_box;

use zeroize::Zeroize as _;

/// Deeper than any work here goes, in eight-byte words; a microsecond to overwrite.
const DEPTH: usize = 32 * 1024 / 8;

/// Does the work below this frame, and overwrites the stack there before it returns.
///
/// The returned value is not wiped, so it must be public, or lie on the heap in something that
/// wipes itself.
pub(crate) fn wiped<T>(work: impl FnOnce() -> T) -> T {
    let out = below(work);
    overwrite();
    out
}

#[inline(never)]
fn below<T>(work: impl FnOnce() -> T) -> T {
    work()
}

#[inline(never)]
fn overwrite() {
    let mut words = [0_u64; DEPTH];
    words.zeroize();
    black_box(&words);
}
