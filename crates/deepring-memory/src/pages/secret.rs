//! `memfd_secret`: files whose pages the kernel takes out of its own map of memory.
//!
//! <https://man7.org/linux/man-pages/man2/memfd_secret.2.html>; rustix does not call it.
#![allow(unsafe_code)]

use std::fs::File;
use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};

/// A secret file of `len` bytes; `None` where the kernel has none (before 5.14, or not enabled at
/// boot before 6.5, or not on this kind of processor).
pub(super) fn file(len: usize) -> Option<File> {
    let fd = create()?;
    let file = File::from(fd);
    file.set_len(u64::try_from(len).ok()?).ok()?;
    Some(file)
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
fn create() -> Option<OwnedFd> {
    // SAFETY: the call takes flags alone and reads no memory of ours.
    let fd = unsafe { libc::syscall(libc::SYS_memfd_secret, libc::O_CLOEXEC) };
    let fd = RawFd::try_from(fd).ok().filter(|fd| *fd >= 0)?;
    // SAFETY: a descriptor that was opened just now, and that nobody else has.
    Some(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
fn create() -> Option<OwnedFd> {
    None
}
