//! Integration tests, in one binary.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests may fail loudly"
)]

mod audit;
mod differences;
mod differences_found;
mod differences_sought;
mod fuzz_seeds;
mod hostile;
mod hosts;
mod live_memory;
mod networks_found;
mod numbers;
mod participants;
mod preprocess_npy;
mod products;
mod racing;
mod replicated;
mod sealing;
mod second_run;
mod session;
mod shared;
mod synthetic;
mod transfer;
mod unlike;

use deepring_testkit::{graphs, zoo};
