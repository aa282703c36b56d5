//! The command `deepring`: seals networks into rings, runs them, checks what they decided.
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests make and damage files of their own")
)]

mod begun;
mod cli;
mod commands;
mod error;
mod hardening;
mod http;
mod inherited;
mod inputs;
mod ledgers;
mod named;
mod output;
mod own_names;
mod passphrase;
mod progress;
mod rings;
mod rotated;
mod sandbox;
mod secrets;
mod terminal;
mod top;
mod witnesses;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;
use deepring::files::InLine;

/// Activations are large, live as long as a layer, and are made and freed by the engine's threads: the system's allocator
/// gives their pages back and has each of them zeroed anew.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    hardening::harden();
    inherited::note_inherited();
    // A log that cannot be written is left out: told of on stderr, as it would be, it ends the process.
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(log_filter())
        .log_internal_errors(false)
        .init();
    quiet_caught_panics();
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => return misused(&e),
    };
    let json = cli.command.json();
    match output::end(
        without_settings_of_the_engine()
            .and_then(|()| with_threads())
            .and_then(|()| commands::dispatch(cli)),
        json,
    ) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            output::complain(format_args!("{}", e.text()));
            e.exit.into()
        }
    }
}

/// Refuses the environment's settings of the engine: by some of them it writes to stdout, or ends the process where it cannot.
fn without_settings_of_the_engine() -> Result<(), error::CliError> {
    let name = std::env::vars_os().map(|(name, _)| name);
    let mut of_the_engine = name.filter(|name| name.as_encoded_bytes().starts_with(b"RTEN_"));
    of_the_engine.next().map_or(Ok(()), |name| {
        let message = format!("{} is set in the environment", name.to_string_lossy());
        Err(error::CliError::usage(message).hint(
            "unset it: the engine would print on stdout, or compute otherwise than was asked for",
        ))
    })
}

/// Refuses to begin where no thread can be made, as under a limit on processes: those who need some would end the process
/// then, without a verdict.
fn with_threads() -> Result<(), error::CliError> {
    let tried = std::thread::Builder::new().spawn(|| ()).map(std::thread::JoinHandle::join);
    tried.map(drop).map_err(|e| {
        error::CliError::new(error::Exit::Failed, format!("no thread can be made: {e}"))
            .hint("a limit on processes or memory, as `ulimit -u` sets, is in the way")
    })
}

/// Ends a command whose arguments do not fit, or that was asked for help. An argument can come from somebody else, as a file
/// name does, so what it shows of one stays in its line.
fn misused(e: &clap::Error) -> ExitCode {
    if !e.use_stderr() {
        return match e.print() {
            Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => error::Exit::Failed.into(),
            // A reader that has gone away is no error.
            _ => ExitCode::SUCCESS,
        };
    }
    let shown = |argument: OsString| InLine(argument.to_string_lossy()).to_string();
    let text = match cli::Cli::try_parse_from(std::env::args_os().map(shown)) {
        Err(e) if e.use_stderr() => {
            let _ = e.print();
            e.to_string()
        }
        // What is wrong is only in what cannot be shown.
        _ => {
            let text = InLine(e).to_string();
            output::complain(format_args!("{text}\n"));
            text
        }
    };
    // What was asked for is not understood; whether it was JSON is plain to see.
    let json = std::env::args_os().any(|argument| argument == "--json");
    // What is missing or in conflict stands in the lines below the first.
    let lines: Vec<&str> =
        text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    let message = lines.join(" ");
    let error = error::CliError::usage(message.trim_start_matches("error: "))
        .hint("`deepring help` shows what there is");
    let _ = output::end(Err(error), json);
    error::Exit::Usage.into()
}

/// The filter that DEEPRING_LOG asks for; else errors. A command tells itself what it refuses, and attacks are refused by the hundred,
/// so alarms are logged only if asked for.
fn log_filter() -> tracing_subscriber::EnvFilter {
    let asked = std::env::var("DEEPRING_LOG").ok().filter(|asked| !asked.is_empty());
    let default = || "error,deepring::alarms=off".to_owned();
    tracing_subscriber::EnvFilter::new(asked.unwrap_or_else(default))
}

/// A panic inside the engine, or inside a ledger's database, is caught and reported as an error with its
/// text; the trace that the default hook prints would only repeat it. Any other panic is a bug of ours and is
/// shown in full.
fn quiet_caught_panics() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let in_engine = panic.location().is_some_and(|at| {
            at.file()
                .split(['/', '\\'])
                .any(|folder| folder == "rten" || folder.starts_with("rten-"))
        });
        if in_engine || deepring_ledger::in_database() {
            tracing::debug!("{panic}");
        } else {
            default(panic);
        }
    }));
}
