//! The pages under a region: a mapping of the system where there is one, the heap elsewhere.

#[cfg(not(unix))]
mod heap;
#[cfg(target_os = "linux")]
mod secret;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
pub(crate) use heap::Pages;
#[cfg(unix)]
pub(crate) use unix::Pages;
#[cfg(all(unix, any(test, feature = "tamper")))]
pub(crate) use unix::tampering;

/// The kind of pages, whether or not they are read-only now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(unix), allow(dead_code, reason = "the heap has pages of one kind alone"))]
pub(crate) enum PageKind {
    /// Ordinary memory.
    Private,
    /// Never written to swap.
    Locked,
    /// Absent from the kernel's map of memory.
    Secret,
}
