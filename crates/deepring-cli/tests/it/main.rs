//! The built command, run from end to end, in one binary.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests may fail loudly, and say what they skip"
)]

mod at_once;
#[cfg(feature = "attacks")]
mod attack;
mod bench;
mod desk;
mod disks;
mod exit_codes;
mod hardened;
mod json;
mod json_refused;
mod killed;
mod ledgers;
mod live_memory;
mod memory;
mod names;
mod output;
mod paths;
mod pictures;
mod planted;
mod rejected;
mod road;
mod sandboxed;
mod secrets;
mod synthetic;
mod targets;
mod turned;
