//! Arguments of `deepring bench`.

use std::fmt;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand, ValueEnum};
use deepring::Check;
use deepring_infer::CutPolicy;
use deepring_onnx::synthetic::SyntheticNetwork;

/// Measure what protection costs here: queries, plain and protected in turn; at rest; and how it grows
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Each protected query is paired with a plain one of the same inputs in the same process, first and
last by turns, so that whatever slows the machine affects both. Networks have random weights and the
shape of those that they are named after.

Examples:
  deepring bench
  deepring bench --network resnet50 --check load --check run --threads 1 --json
  deepring bench --model model.onnx --ledger -o results
  deepring bench rest --size 1G
  deepring bench growth --max-size 8G"
)]
pub(crate) struct Bench {
    #[command(subcommand)]
    pub(crate) part: Option<BenchPart>,
    #[command(flatten)]
    pub(crate) queries: BenchQueries,
}

impl Bench {
    pub(super) fn json(&self) -> bool {
        match &self.part {
            None => self.queries.output.json,
            Some(BenchPart::Rest(args)) => args.output.json,
            Some(BenchPart::Growth(args)) => args.output.json,
            Some(BenchPart::Products(args)) => args.output.json,
            Some(BenchPart::Step(_)) => false,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum BenchPart {
    Rest(BenchRest),
    Growth(BenchGrowth),
    Products(BenchProducts),
    #[command(hide = true)]
    Step(BenchStep),
}

#[derive(Debug, Args)]
pub(crate) struct BenchQueries {
    /// resnet50, efficientnet, minilm or lenet; repeat for more [default: all, or none with --model]
    #[arg(long, value_name = "NAME")]
    pub(crate) network: Vec<SyntheticNetwork>,
    /// An ONNX file; inputs are made up, open dimensions are 1; repeat for more
    #[arg(long, value_name = "MODEL.onnx")]
    pub(crate) model: Vec<PathBuf>,
    /// How parameters are checked; repeat for more
    #[arg(long, value_name = "CHECK", default_values_t = [Check::Run, Check::Auto, Check::Compute])]
    pub(crate) check: Vec<Check>,
    /// Compare bytes on a thread of its own beside the engine
    #[arg(long)]
    pub(crate) shadow: bool,
    /// Threads of the engine, plain and protected; repeat for more
    #[arg(long, value_name = "N", default_values = ["1", "2"], value_parser = super::run::threads)]
    pub(crate) threads: Vec<NonZeroUsize>,
    /// Where to cut: `auto`, `op` (before every linear operator) or a number of blocks
    #[arg(long, default_value = "auto", value_name = "auto|op|N")]
    pub(crate) cut: CutPolicy,
    /// Queries that share one chain of receipts
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) batch: NonZeroUsize,
    /// Measure the plain network beside itself too: how far ratios are off by chance
    #[arg(long)]
    pub(crate) control: bool,
    /// Measure lower bounds for each check: exporting the inspected values; plus comparing the due bytes; plus an eighth of
    /// verifying all outputs
    #[arg(long)]
    pub(crate) floor: bool,
    /// Measure each check a second time with every decision put on a ledger and on disk
    #[arg(long)]
    pub(crate) ledger: bool,
    /// Pairs of runs for each row; short queries get more
    #[arg(long, value_name = "N", default_value = "21")]
    pub(crate) repeat: NonZeroU32,
    #[command(flatten)]
    pub(crate) output: BenchOutput,
}

#[derive(Debug, Args)]
pub(crate) struct BenchOutput {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Write JSON and a table in Markdown into this folder
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
}

/// Sealing, verifying and opening, each beside the least that could be done instead; decisions a second
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deepring bench rest
  deepring bench rest --size 100M --size 1G --dir /mnt/disk --json")]
pub(crate) struct BenchRest {
    /// Bytes of parameters (K, M and G are powers of 1024); repeat for more
    #[arg(long, value_name = "BYTES", default_value = "1G")]
    pub(crate) size: Vec<Bytes>,
    /// Where the files of some three times the size go [default: the system's temporary folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Pairs of runs for each row
    #[arg(long, value_name = "N", default_value = "21")]
    pub(crate) repeat: NonZeroU32,
    #[command(flatten)]
    pub(crate) output: BenchOutput,
}

/// Time and memory over ring size, number of blocks and inputs in a batch; a process for each row
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deepring bench growth
  deepring bench growth --max-size 8G --repeat 5 -o results")]
pub(crate) struct BenchGrowth {
    /// Largest ring of 1M, 8M, 64M, 512M, 1G, 2G, 4G, 8G
    #[arg(long, value_name = "BYTES", default_value = "1G")]
    pub(crate) max_size: Bytes,
    /// Where the files of some twice the size go [default: the system's temporary folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Threads of the engine
    #[arg(long, value_name = "N", default_value = "1", value_parser = super::run::threads)]
    pub(crate) threads: NonZeroUsize,
    /// Runs for each row
    #[arg(long, value_name = "N", default_value = "21")]
    pub(crate) repeat: NonZeroU32,
    #[command(flatten)]
    pub(crate) output: BenchOutput,
}

/// How far right answers stay from being refused under `compute`, and the smallest edit of each layer that is certain to
/// be detected
#[derive(Debug, Args)]
#[command(after_help = "\
Inputs are random: normal, positive, faint, smooth and sparse ones by turns. New secrets are drawn
for each session, of which there is one for every hundred queries.

Examples:
  deepring bench products
  deepring bench products --network resnet50 --queries 1000 --json
  deepring bench products --model model.onnx")]
pub(crate) struct BenchProducts {
    /// resnet50, efficientnet, minilm or lenet; repeat for more [default: all, or none with --model]
    #[arg(long, value_name = "NAME")]
    pub(crate) network: Vec<SyntheticNetwork>,
    /// An ONNX file; inputs are made up, open dimensions are 1; repeat for more
    #[arg(long, value_name = "MODEL.onnx")]
    pub(crate) model: Vec<PathBuf>,
    /// Queries for each network
    #[arg(long, value_name = "N", default_value = "200")]
    pub(crate) queries: NonZeroU32,
    /// Threads of the engine [default: one a core]
    #[arg(long, value_name = "N", value_parser = super::run::threads)]
    pub(crate) threads: Option<NonZeroUsize>,
    #[command(flatten)]
    pub(crate) output: BenchOutput,
}

/// One row's work in a process of its own, so that the peak of memory is its own
#[derive(Debug, Args)]
pub(crate) struct BenchStep {
    #[arg(value_enum)]
    pub(crate) kind: StepKind,
    /// Folder with keys, model and ring
    #[arg(long)]
    pub(crate) folder: PathBuf,
    #[arg(long, default_value = "op")]
    pub(crate) cut: CutPolicy,
    #[arg(long, default_value = "1")]
    pub(crate) batch: NonZeroUsize,
    #[arg(long, default_value = "1", value_parser = super::run::threads)]
    pub(crate) threads: NonZeroUsize,
    #[arg(long, default_value = "1")]
    pub(crate) repeat: NonZeroU32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StepKind {
    Seal,
    Verify,
    Run,
}

/// A number of bytes: `4096`, `64K`, `512M`, `1G`, in powers of 1024.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bytes(pub(crate) u64);

const UNITS: [(char, u64); 3] = [('G', 1 << 30), ('M', 1 << 20), ('K', 1 << 10)];

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unit = UNITS.into_iter().find_map(|(c, n)| Some((text.strip_suffix(c)?, n)));
        let (number, unit) = unit.unwrap_or((text, 1));
        let bytes = number.parse::<u64>().ok().and_then(|n| n.checked_mul(unit));
        match bytes {
            Some(bytes) if bytes > 0 => Ok(Self(bytes)),
            _ => Err("write a number of bytes, with K, M or G behind it if need be".to_owned()),
        }
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.into_iter().find(|(_, n)| self.0 >= *n && self.0.is_multiple_of(*n)) {
            Some((c, n)) => write!(f, "{}{c}", self.0 / n),
            None => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_as_they_are_written() {
        for (text, bytes) in [("4097", 4097), ("64K", 65_536), ("3M", 3 << 20), ("8G", 8 << 30)] {
            assert_eq!(text.parse(), Ok(Bytes(bytes)));
            assert_eq!(Bytes(bytes).to_string(), text);
        }
        for text in ["", "0", "G", "-1", "1T", "1.5G", "99999999999G"] {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
    }
}
