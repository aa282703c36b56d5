//! This process' live parameters, written behind their pages' protection.

use std::io;

use deepring_infer::tamper;

/// True if this system has pages that can be written so.
pub(crate) const WRITABLE: bool = cfg!(unix);

/// Writes `bytes` over a stretch of `live` that begins at `at`, which must hold `before`.
pub(crate) fn replace(live: &[u8], at: usize, before: &[u8], bytes: &[u8]) -> io::Result<()> {
    if before.len() != bytes.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let end = at.checked_add(before.len());
    // The bytes were changed behind the compiler's back.
    let present = end.and_then(|end| std::hint::black_box(live).get(at..end));
    if present != Some(before) {
        return Err(io::Error::other("the bytes are not where they should be"));
    }
    write(live, at, bytes)
}

/// Writes from `at` on, whatever is there.
pub(crate) fn write(live: &[u8], at: usize, bytes: &[u8]) -> io::Result<()> {
    match tamper(live, at, bytes) {
        true => Ok(()),
        false => Err(io::Error::other("live memory cannot be written on this system")),
    }
}
