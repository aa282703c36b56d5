//! The command `deepringd`: runs one node of a network of hosts and validators, and sets such networks up.
#![forbid(unsafe_code)]

mod cli;
mod cluster;
mod said;

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::mpsc::channel;

use clap::Parser as _;
use deepring_node::daemon::{self, NodeConfig, NodeError, NodeProgress, StartOptions};

use cli::{NodeCli, NodeCommand, NodeRunArgs};
use said::Said;

fn main() -> ExitCode {
    // Before an argument is looked at, a key is read or a thread exists.
    let _ = deepring_memory::harden_process();
    let cli = match NodeCli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            let code = if e.use_stderr() { 2 } else { 0 };
            let _ = e.print();
            return code.into();
        }
    };
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_env_filter(log_filter())
        .log_internal_errors(false)
        .init();
    let done = match &cli.command {
        NodeCommand::Run(args) => run(args),
        NodeCommand::Check(args) => cluster::check(args),
        NodeCommand::Approve(args) => cluster::approve(args),
        NodeCommand::Init(args) => cluster::init_node(args),
        NodeCommand::Cluster(command) => cluster::dispatch(command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            said::complain(&format!("error: {e}"));
            e.code().into()
        }
    }
}

/// The filter of the log unless `RUST_LOG` says otherwise: the node at work, and of the engine what is wrong.
fn log_filter() -> tracing_subscriber::EnvFilter {
    let asked = std::env::var("RUST_LOG").unwrap_or_default();
    match asked.is_empty() {
        true => "warn,deepring_node=info,deepringd=info".into(),
        false => asked.into(),
    }
}

fn run(args: &NodeRunArgs) -> Result<(), Said> {
    let config = NodeConfig::read(&args.config).map_err(NodeError::from)?;
    if args.until_stdin_closes {
        stop_with_stdin();
    }
    let options = StartOptions { forget_signed_receipts: args.forget_signed_receipts };
    daemon::run(&config, options, &Told(Mutex::new(0)))?;
    Ok(())
}

/// Asks this process to stop when nobody holds the other end of its stdin any more.
fn stop_with_stdin() {
    let (begun, waits) = channel();
    std::thread::spawn(move || {
        let _ = begun.send(());
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        let me = rustix::process::getpid();
        // The signal that the node stops by in any case.
        let _ = rustix::process::kill_process(me, rustix::process::Signal::TERM);
    });
    let _ = waits.recv();
}

/// Logs the progress of a node that starts.
struct Told(Mutex<u64>);

impl NodeProgress for Told {
    fn opened(&self, bytes: u64) {
        let mut sum = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *sum = sum.saturating_add(bytes);
    }

    fn started(&self) {
        let sum = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        tracing::info!(opened_bytes = *sum, "the node takes part");
    }

    fn stopping(&self) {
        tracing::info!("the node stops");
    }
}
