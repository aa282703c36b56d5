//! The command `deepring`: seals networks into rings, runs them, checks what they decided.
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests make and damage files of their own")
)]

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
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(log_filter()).init();
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

/// What DEEPRING_LOG asks for; else errors. A command tells itself what it refuses, and attacks are refused by the hundred,
/// so alarms are logged only if asked for.
fn log_filter() -> tracing_subscriber::EnvFilter {
    let asked = std::env::var("DEEPRING_LOG").ok().filter(|asked| !asked.is_empty());
    let default = || "error,deepring_infer::host::alarms=off".to_owned();
    tracing_subscriber::EnvFilter::new(asked.unwrap_or_else(default))
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
