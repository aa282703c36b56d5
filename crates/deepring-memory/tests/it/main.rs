//! Regions as the system sees them: faults, other processes, limits.
#![cfg(target_os = "linux")]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what a test needs is there, or the test has failed"
)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "children tell their parent, and tests say what they skip"
)]

mod attacker;
mod attacks;
mod child;
mod faults;
mod hardened;
mod limits;
#[path = "../../../deepring-testkit/src/skip.rs"]
mod skip;
