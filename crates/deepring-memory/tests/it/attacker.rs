//! An attacker on memory: one write or read by each way there is.
#![allow(unsafe_code)]

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt as _;

/// A way to another process's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WriteMethod {
    /// `/proc/PID/mem`, which overrides the protection of pages.
    ProcMem,
    /// `process_vm_readv` and `process_vm_writev`, which do not.
    ProcessVm,
    /// `ptrace`: attach, peek and poke.
    Ptrace,
}

pub(crate) const METHODS: [WriteMethod; 3] =
    [WriteMethod::ProcMem, WriteMethod::ProcessVm, WriteMethod::Ptrace];

impl WriteMethod {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ProcMem => "/proc/PID/mem",
            Self::ProcessVm => "process_vm",
            Self::Ptrace => "ptrace",
        }
    }

    /// The eight bytes at an address of a process.
    pub(crate) fn read(self, pid: i32, address: usize) -> io::Result<u64> {
        let mut bytes = [0; 8];
        match self {
            Self::ProcMem => {
                let memory = OpenOptions::new().read(true).open(format!("/proc/{pid}/mem"))?;
                memory.read_exact_at(&mut bytes, address as u64)?;
            }
            Self::ProcessVm => {
                let (local, remote) = vectors(&mut bytes, address);
                // SAFETY: `local` describes the array above, which nobody else uses meanwhile.
                let n = unsafe {
                    libc::process_vm_readv(pid, &raw const local, 1, &raw const remote, 1, 0)
                };
                all(n)?;
            }
            Self::Ptrace => return attached(pid, || peek(pid, address)),
        }
        Ok(u64::from_ne_bytes(bytes))
    }

    /// Writes eight bytes there.
    pub(crate) fn write(self, pid: i32, address: usize, value: u64) -> io::Result<()> {
        let mut bytes = value.to_ne_bytes();
        match self {
            Self::ProcMem => {
                let memory = OpenOptions::new().write(true).open(format!("/proc/{pid}/mem"))?;
                memory.write_all_at(&bytes, address as u64)
            }
            Self::ProcessVm => {
                let (local, remote) = vectors(&mut bytes, address);
                // SAFETY: `local` describes the array above, which is only read.
                let n = unsafe {
                    libc::process_vm_writev(pid, &raw const local, 1, &raw const remote, 1, 0)
                };
                all(n)
            }
            Self::Ptrace => attached(pid, || poke(pid, address, value)),
        }
    }
}

fn vectors(local: &mut [u8; 8], remote: usize) -> (libc::iovec, libc::iovec) {
    let vector = |at: *mut libc::c_void| libc::iovec { iov_base: at, iov_len: 8 };
    (vector(local.as_mut_ptr().cast()), vector(remote as *mut libc::c_void))
}

fn all(n: isize) -> io::Result<()> {
    match n {
        8 => Ok(()),
        n if n < 0 => Err(io::Error::last_os_error()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Attaches to a process, waits until it stands, does something and lets it go.
fn attached<T>(pid: i32, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let null = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: attaching takes no memory of ours.
    if unsafe { libc::ptrace(libc::PTRACE_ATTACH, pid, null, null) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut status = 0;
    // SAFETY: `status` is written by the call alone.
    if unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) } != pid {
        return Err(io::Error::last_os_error());
    }
    let done = act();
    // SAFETY: as attaching.
    unsafe { libc::ptrace(libc::PTRACE_DETACH, pid, null, null) };
    done
}

fn peek(pid: i32, address: usize) -> io::Result<u64> {
    // SAFETY: `errno` is this thread's.
    unsafe { *libc::__errno_location() = 0 };
    let null = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: the address is one of the other process.
    let word =
        unsafe { libc::ptrace(libc::PTRACE_PEEKDATA, pid, address as *mut libc::c_void, null) };
    let error = io::Error::last_os_error();
    if error.raw_os_error() == Some(0) { Ok(word.cast_unsigned()) } else { Err(error) }
}

fn poke(pid: i32, address: usize, value: u64) -> io::Result<()> {
    let (at, value) = (address as *mut libc::c_void, value as *mut libc::c_void);
    // SAFETY: the address is one of the other process, the value a number.
    match unsafe { libc::ptrace(libc::PTRACE_POKEDATA, pid, at, value) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A write inside this process that goes astray.
pub(crate) fn stray_write(address: usize) {
    let at = address as *mut u8;
    // SAFETY: none; that the pages refuse it is what a test is about. It is called in children only, on
    // addresses of regions and their guards.
    unsafe { at.write_volatile(0x55) };
}
