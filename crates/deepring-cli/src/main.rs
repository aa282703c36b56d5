//! The command `deepring`: seals networks into rings, runs them, checks what they decided.
#![forbid(unsafe_code)]

mod cli;
mod commands;
mod error;
mod hardening;
mod inputs;
mod ledgers;
mod output;
mod progress;
mod rings;
mod sandbox;
mod top;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    hardening::harden();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(tracing_subscriber::EnvFilter::from_env("DEEPRING_LOG"))
        .init();
    quiet_engine_panics();
    let cli = cli::Cli::parse();
    match commands::dispatch(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            e.report();
            e.exit.into()
        }
    }
}

/// A panic inside the engine is caught and reported as an error with its text; the trace that the default
/// hook prints would only repeat it. Any other panic is a bug of ours and is shown in full.
fn quiet_engine_panics() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let in_engine = panic.location().is_some_and(|at| {
            at.file()
                .split(['/', '\\'])
                .any(|folder| folder == "rten" || folder.starts_with("rten-"))
        });
        if in_engine {
            tracing::debug!("{panic}");
        } else {
            default(panic);
        }
    }));
}
