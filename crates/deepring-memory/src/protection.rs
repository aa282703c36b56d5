//! The uses of a region, the protection that its pages have, and the limit of secret memory for
//! parameters.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The protection that the system granted the pages of a region, from the weakest to the strongest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protection {
    /// Writable memory.
    Plain,
    /// Read-only pages: a write from inside the process faults, `process_vm_writev` is refused.
    ReadOnly,
    /// Read-only, and never written to swap.
    Locked,
    /// Read-only `memfd_secret`: neither read nor written from outside the process by any system
    /// call.
    Secret,
}

impl Protection {
    /// Returns its name in text and JSON: `plain`, `read-only`, `locked` or `secret`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::ReadOnly => "read-only",
            Self::Locked => "locked",
            Self::Secret => "secret",
        }
    }
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The use of a region, which decides the protection that it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Keys, tags, secrets of checks: `memfd_secret`, else locked, else read-only.
    ///
    /// No system call reads or writes these pages (`EFAULT`): fill them in the process, never with
    /// `read`.
    Secrets,
    /// Parameters that fit in what is left over: as [`Use::Secrets`] while all regions of this use
    /// together stay under half of the limit of locked memory (`RLIMIT_MEMLOCK`, which does not
    /// bind a process with `CAP_IPC_LOCK`) and under 64 MiB; else as [`Use::Bulk`].
    SmallParameters,
    /// Parameters: a mapping of its own, read-only when frozen, not locked.
    Bulk,
    /// Parameters that appear in several regions
    /// ([`Region::with_shared`](crate::Region::with_shared)): as [`Use::Bulk`], on pages that are
    /// in memory once.
    Shared,
}

/// Limit in bytes of the secret memory for parameters, whatever the system allows: no page of it
/// can be swapped out.
const MOST: usize = 64 << 20;

/// Bytes that regions of [`Use::SmallParameters`] hold in this process.
static TAKEN: AtomicUsize = AtomicUsize::new(0);

/// A part of the secret memory that parameters may take; returned when dropped.
#[derive(Debug)]
pub(crate) struct SecretQuota(usize);

impl SecretQuota {
    /// Takes a share of `len` bytes; `None` if all shares together would exceed the limit for
    /// parameters.
    pub(crate) fn take(len: usize) -> Option<Self> {
        let most = limit().map_or(MOST, |limit| MOST.min(limit / 2));
        let taken = |taken: usize| taken.checked_add(len).filter(|sum| *sum <= most);
        TAKEN.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).ok().map(|_| Self(len))
    }
}

impl Drop for SecretQuota {
    fn drop(&mut self) {
        TAKEN.fetch_sub(self.0, Ordering::Relaxed);
    }
}

/// Bytes that this process may lock; `None` where there is no limit.
#[cfg(target_os = "linux")]
fn limit() -> Option<usize> {
    use rustix::process::{Resource, getrlimit};
    use rustix::thread::{CapabilitySet, capabilities};

    let free =
        capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::IPC_LOCK));
    let limit = getrlimit(Resource::Memlock).current.filter(|_| !free)?;
    Some(usize::try_from(limit).unwrap_or(usize::MAX))
}

/// Without `memfd_secret` there is nothing to share out.
#[cfg(not(target_os = "linux"))]
fn limit() -> Option<usize> {
    Some(0)
}
