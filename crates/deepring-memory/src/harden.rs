//! Closes the process to other processes of its own user.

/// The protections that [`harden_process`] obtained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hardening {
    /// The process is not dumpable (`PR_SET_DUMPABLE` 0): no other process of its user may attach
    /// to it with `ptrace`, open its `/proc/PID/mem`, or use `process_vm_readv` and
    /// `process_vm_writev` on it, and the kernel writes no core file of it, also not through a
    /// pipe. Linux only.
    pub not_dumpable: bool,
    /// The limit of core files is zero, and cannot be raised without privilege.
    pub no_core: bool,
}

/// Makes this process neither dumpable nor traceable by its own user, and forbids core files.
///
/// Call it first in `main`: a process that attached earlier stays attached. Does not bind root,
/// does not survive `exec`, and is undone by nothing else. A protection that the system refuses is
/// reported as not obtained.
///
/// A process that is not dumpable cannot open its own `/proc/self/mem` either, unless root runs it.
pub fn harden_process() -> Hardening {
    Hardening { not_dumpable: make_not_dumpable(), no_core: forbid_core() }
}

#[cfg(target_os = "linux")]
fn make_not_dumpable() -> bool {
    use rustix::process::{DumpableBehavior, dumpable_behavior, set_dumpable_behavior};

    set_dumpable_behavior(DumpableBehavior::NotDumpable).is_ok()
        && dumpable_behavior().is_ok_and(|is| is == DumpableBehavior::NotDumpable)
}

#[cfg(not(target_os = "linux"))]
fn make_not_dumpable() -> bool {
    false
}

#[cfg(unix)]
fn forbid_core() -> bool {
    use rustix::process::{Resource, Rlimit, setrlimit};

    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).is_ok()
}

#[cfg(not(unix))]
fn forbid_core() -> bool {
    false
}
