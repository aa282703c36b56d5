//! The command `deepring`: seals networks into rings, runs them, checks what they decided.
#![forbid(unsafe_code)]

mod cli;
mod commands;
mod error;
mod inputs;
mod output;
mod progress;
mod rings;
mod top;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(tracing_subscriber::EnvFilter::from_env("DEEPRING_LOG"))
        .init();
    let cli = cli::Cli::parse();
    match commands::dispatch(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            e.report();
            e.exit.into()
        }
    }
}
