//! Integration tests, in one binary.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests may fail loudly"
)]

mod cut;
mod graphs;
mod hostile;
mod import;
mod running;
