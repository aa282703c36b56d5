//! Arguments of `deepring run`, and of the engine and process that any command runs a network in.

use std::ffi::OsString;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use deepring::Check;

use super::{OwnerArg, PassphraseArg, RequireArg};

/// Run a ring (or, with --plain, an unprotected network) on inputs
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deepring run model.ring --owner keys/owner.pub --key keys/host.key --input cat.jpg
  deepring run model.ring --owner keys/owner.pub --key a.key --key b.key --input x.npy --receipt x.receipt
  deepring run model.ring --key keys/host.key --input ids=ids.npy --input mask=mask.npy --ledger ledger
  deepring run model.onnx --plain --input x.npy")]
pub(crate) struct RunArgs {
    /// MODEL.ring, or MODEL.onnx with --plain
    pub(crate) model: PathBuf,
    #[command(flatten)]
    pub(crate) owner: OwnerArg,
    /// Secret key of a host; several keys play several hosts
    #[arg(long, value_name = "host.key")]
    pub(crate) key: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArg,
    /// An input: a .npy file as it is, or a picture by the sealed recipe; repeat for more inputs or queries
    #[arg(long, required = true, value_name = "[NAME=]X.npy|IMAGE")]
    pub(crate) input: Vec<OsString>,
    /// Validation of each leg of a dealt ring by its other copies, whose keys are needed: as the deal promises, or at
    /// least so much; `none` runs it unvalidated, by whichever key goes furthest
    #[arg(long, value_enum, default_value_t = RequireArg::AsDealt, value_name = "WHAT", conflicts_with = "plain")]
    pub(crate) require: RequireArg,
    /// A nonce, 64 hexadecimal digits, that the decision answers to: it proves that the answer was made after the
    /// nonce was given
    #[arg(long, value_name = "HEX", conflicts_with = "plain")]
    pub(crate) nonce: Option<String>,
    /// How parameters are checked: none, load (when opened), spot:Q (at each query each block with probability
    /// Q), run (every byte in memory at each use), compute (what came out, against secret projections), or
    /// auto (the cheaper of these two for each layer)
    #[arg(long, default_value_t = Check::Auto)]
    pub(crate) check: Check,
    /// Compare bytes on a thread of its own while the engine computes; with --threads below the cores
    #[arg(long, conflicts_with = "plain")]
    pub(crate) shadow: bool,
    /// Run the inputs this many times in one session
    #[arg(long, default_value = "1", value_name = "N")]
    pub(crate) repeat: NonZeroU32,
    /// Record decisions, alarms and evidence in this ledger, which knows the ring by `ledger register`; signed by
    /// the hosts whose keys are given
    #[arg(long, value_name = "DIR", conflicts_with = "plain")]
    pub(crate) ledger: Option<PathBuf>,
    /// Public key of the ledger; without it, the key that the trust store remembers
    #[arg(long, value_name = "log.pub", requires = "ledger")]
    pub(crate) ledger_key: Option<PathBuf>,
    /// Write the (last) decision's receipts here
    #[arg(long, value_name = "FILE", conflicts_with = "plain")]
    pub(crate) receipt: Option<PathBuf>,
    /// Write each output as NAME.npy into this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) output_dir: Option<PathBuf>,
    /// Write each input, as the network was given it, as NAME.npy into this folder, for `receipt verify --input`
    #[arg(long, value_name = "DIR", conflicts_with = "plain")]
    pub(crate) save_inputs: Option<PathBuf>,
    /// How many of the highest elements to show
    #[arg(long, default_value_t = 5, value_name = "K")]
    pub(crate) top: usize,
    /// What computes: the built-in engine, or onnxruntime, with which only the checks none, load and compute
    /// are possible
    #[arg(long, value_enum, default_value_t = EngineName::Rten, value_name = "rten|ort")]
    pub(crate) engine: EngineName,
    /// With --engine ort: the shared library of onnxruntime, whose code runs in this process [default: what the
    /// environment's DEEPRING_ORT_LIBRARY names]
    #[arg(long, value_name = "PATH")]
    pub(crate) ort_library: Option<PathBuf>,
    /// Threads of the engine, 1024 at most [default: one a core]
    #[arg(long, value_name = "N", value_parser = threads)]
    pub(crate) threads: Option<NonZeroUsize>,
    /// Run a plain ONNX file in the same engine, with no protection
    #[arg(long)]
    pub(crate) plain: bool,
    /// How pictures become inputs; only with --plain, since a ring has its own recipe
    #[arg(long, value_name = "SPEC", requires = "plain")]
    pub(crate) preprocess: Option<deepring_infer::inputs::Preprocess>,
    /// Class labels, one a line; only with --plain
    #[arg(long, value_name = "FILE", requires = "plain")]
    pub(crate) labels: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) process: ProcessOptions,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ProcessOptions {
    /// Report on stderr what keeps others out of this process
    #[arg(long, short)]
    pub(crate) verbose: bool,
    /// Before reading anything except passphrases, drop access to the network, to other programs and processes, and to
    /// all files but those that are read and the whole folders that are written to: of ledger, outputs, saved
    /// inputs, receipt and trust store (Linux 6.2 or newer); fails where the system does not offer this
    #[arg(long)]
    pub(crate) sandbox: bool,
}

/// Most threads of an engine. Each has a stack and is started at once; what has more cores has other tools.
pub(crate) const MAX_THREADS: usize = 1024;

/// A number of threads that can be started in a reasonable time.
pub(super) fn threads(text: &str) -> Result<NonZeroUsize, String> {
    let number: NonZeroUsize = text.parse().map_err(|e: std::num::ParseIntError| e.to_string())?;
    match number.get() {
        1..=MAX_THREADS => Ok(number),
        _ => Err(format!("an engine has {MAX_THREADS} threads at most")),
    }
}

/// Engines by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EngineName {
    /// Pure Rust, built in
    Rten,
    /// onnxruntime, loaded from a shared library
    Ort,
}
