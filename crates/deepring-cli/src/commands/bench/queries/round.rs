//! A round: both networks loaded anew, and some pairs of runs.

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::time::Duration;

use deepring_measure::{Pair, in_turn, median, milliseconds};
use serde::Serialize;

use super::super::fixture::{BenchFixture, BenchNetwork};
use super::super::{Timed, WARM_UP, rounds, timed};
use super::executor::{Executor, Spent, Variant};
use super::output_diff::OutputDiff;
use crate::error::CliError;

/// Two copies of one network were seen to differ by a tenth for as long as they were loaded. What they differ
/// in is where they lie in memory, so pairs are spread over so many loadings.
pub(super) const ROUNDS: usize = 7;

/// The measurements of some rounds.
#[derive(Debug, Default)]
pub(super) struct Measurements {
    pub(super) pairs: Vec<Pair>,
    spent: Vec<Spent>,
    /// The least alike of all rounds; `None` before the first.
    pub(super) outputs: Option<OutputDiff>,
}

/// Medians, in milliseconds a query.
#[derive(Debug, Serialize)]
pub(super) struct QueryTimes {
    pub(super) engine: f64,
    pub(super) check: f64,
    pub(super) receipt: f64,
    pub(super) ledger: f64,
}

pub(super) fn run_round(
    fixture: &BenchFixture,
    subject: &BenchNetwork,
    threads: NonZeroUsize,
    variant: Variant,
    number: usize,
    pairs: usize,
) -> Result<Measurements, CliError> {
    let load = |variant| Executor::load(fixture, subject, threads, variant);
    // Which of the two is loaded into untouched memory goes by turns.
    let (plain, executor) = if number.is_multiple_of(2) {
        let plain = load(Variant::Plain)?;
        (plain, load(variant)?)
    } else {
        let executor = load(variant)?;
        (load(Variant::Plain)?, executor)
    };
    let (expected, _) = plain.run(subject.batch.clone())?;
    let (answers, _) = executor.run(subject.batch.clone())?;
    let outputs = OutputDiff::of(&expected, &answers);
    drop((expected, answers));

    let mut base: Timed<'_> = Box::new(|| {
        let given = subject.batch.clone();
        Ok(timed(|| plain.run(given))?.0)
    });
    let spent = RefCell::new(Vec::new());
    let mut measured: Timed<'_> = Box::new(|| {
        let given = subject.batch.clone();
        let (took, by_ring) = executor.took(given)?;
        let mut by_plain = Spent::default();
        by_plain.timings.engine = took;
        spent.borrow_mut().push(by_ring.unwrap_or(by_plain));
        Ok(took)
    });
    let pairs = in_turn(&mut base, &mut measured, rounds(pairs))?;
    drop(measured);
    let spent = spent.into_inner().split_off(WARM_UP);
    Ok(Measurements { pairs, spent, outputs: Some(outputs) })
}

impl Measurements {
    pub(super) fn add(&mut self, more: Self) {
        self.pairs.extend(more.pairs);
        self.spent.extend(more.spent);
        self.outputs = match (self.outputs, more.outputs) {
            (Some(a), Some(b)) => Some(a.or_worse(b)),
            (a, b) => a.or(b),
        };
    }

    /// Where the time of the measured runs went, of which each answered `batch` queries.
    pub(super) fn parts(&self, batch: usize) -> QueryTimes {
        let part = |f: fn(&Spent) -> Duration| {
            median(self.spent.iter().map(|s| milliseconds(f(s)) / batch.max(1) as f64))
        };
        QueryTimes {
            engine: part(|s| s.timings.engine),
            check: part(|s| s.timings.check),
            receipt: part(|s| s.timings.receipt),
            ledger: part(|s| s.ledger),
        }
    }
}
