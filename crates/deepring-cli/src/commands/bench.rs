//! `deepring bench`: what protection costs on this machine, measured beside what it is compared with.

mod fixture;
mod growth;
mod machine;
mod products;
mod queries;
mod report;
mod rest;
mod step;
mod table;

use std::io;
use std::path::Path;
use std::time::Duration;

use deepring_measure::Rounds;

use crate::cli::{Bench, BenchPart};
use crate::error::{CliError, Exit};

#[cfg(feature = "attacks")]
pub(super) use machine::Machine;

/// Runs of each kind that nobody counts: caches, pools and lazily made buffers settle.
const WARM_UP: usize = 3;
/// Networks and inputs are drawn from it, so that all runs everywhere are about the same ones.
const SEED: u64 = 20_190_617;

/// Something that is timed.
type Timed<'a> = deepring_measure::Timed<'a, CliError>;

/// How long `work` takes, and what it returned.
fn timed<T>(work: impl FnOnce() -> Result<T, CliError>) -> Result<(Duration, T), CliError> {
    deepring_measure::timed(work)
}

/// So many pairs, of short runs more.
fn rounds(pairs: usize) -> Rounds {
    Rounds { warm_up: WARM_UP, pairs, more_of_short: true }
}

pub(crate) fn bench(args: &Bench, trust: Option<&Path>) -> Result<(), CliError> {
    match &args.part {
        None => {
            let args = &args.queries;
            report::before_measuring(&args.output, "queries", &args.model, trust)?;
            queries::queries(args)
        }
        Some(BenchPart::Rest(args)) => {
            report::before_measuring(&args.output, "rest", &[], trust)?;
            rest::rest(args)
        }
        Some(BenchPart::Growth(args)) => {
            report::before_measuring(&args.output, "growth", &[], trust)?;
            growth::growth(args)
        }
        Some(BenchPart::Products(args)) => {
            report::before_measuring(&args.output, "products", &args.model, trust)?;
            products::products(args)
        }
        Some(BenchPart::Step(args)) => step::step(args),
    }
}

/// A failure to read or write `path`.
fn at(path: &Path) -> impl Fn(io::Error) -> CliError + '_ {
    move |e| CliError::new(Exit::Failed, format!("{}: {e}", path.display()))
}
