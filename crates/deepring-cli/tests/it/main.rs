//! The built command, run from end to end, in one binary.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests may fail loudly, and say what they skip"
)]

mod arbitrated;
mod at_once;
#[cfg(feature = "attacks")]
mod attack;
mod attested;
mod audited;
mod bench;
mod certificates;
mod dealt;
mod disk_full;
mod end_to_end;
mod exit_codes;
mod gateway;
mod hardened;
mod hostile_files;
mod hostile_ledgers;
mod json;
mod json_refused;
mod killed;
mod ledgers;
mod live_memory;
mod memory;
mod names;
mod output;
mod over_tls;
mod passphrases;
mod paths;
mod pictures;
mod quarantined;
mod queries;
mod registered;
mod rejected;
mod reported;
mod revoked;
mod rotated;
mod sandboxed;
mod secrets;
#[path = "../../../deepring-testkit/src/skip.rs"]
mod skip;
mod synthetic;
mod targets;
mod tiles;
mod turned;
mod weights;
mod witness;
mod witnessed;
mod workspace;
