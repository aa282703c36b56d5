//! Memory that others cannot write or read: regions of whole pages, secrets, and the process
//! itself.
//!
//! A [`Region`] is a mapping of its own with an inaccessible guard page on both sides. It is
//! written once, then [frozen](Region::freeze): a stray write, or `process_vm_writev` of any user,
//! then fails. Where the kernel has `memfd_secret`, the pages of secrets are also absent from the
//! kernel's own map of memory, so that not even root reads or writes them through `/proc/PID/mem`
//! or `ptrace`. [`SecretBytes`] keeps one secret that way. [`harden_process`] closes the process to
//! its own user.
//!
//! `tests/it/attacks.rs` measures what each of these stops and what it does not. Root can load a
//! kernel module, change the program before it starts, or run code in it through `ptrace`; nothing
//! here stops that.
//!
//! A secret region is shared memory, and is not inherited by children that are forked and do not
//! call `exec`: they must not use or drop one.
//!
//! # Example
//!
//! ```
//! use deepring_memory::{Protection, Region, SecretBytes, Use};
//!
//! let mut region = Region::new(1000, Use::Bulk).unwrap();
//! region.bytes_mut().fill(7);
//! # #[cfg(unix)]
//! assert_eq!(region.freeze(), Protection::ReadOnly);
//! assert_eq!(region.bytes(), [7; 1000]);
//!
//! let key = SecretBytes::new(&[1; 32]).unwrap();
//! assert_eq!(key.expose(), [1; 32]);
//! ```
#![deny(unsafe_code)]
#![warn(clippy::missing_errors_doc)]
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests look at the system's own files")
)]

mod harden;
mod pages;
mod protection;
mod region;
mod scratch;
mod secret;
#[cfg(test)]
#[path = "../../deepring-testkit/src/skip.rs"]
mod skip;
#[cfg(any(test, feature = "tamper"))]
mod tamper;

pub use harden::{Hardening, harden_process};
pub use protection::{Protection, Use};
pub use region::Region;
pub use scratch::Scratch;
pub use secret::SecretBytes;
#[cfg(any(test, feature = "tamper"))]
pub use tamper::tamper;
