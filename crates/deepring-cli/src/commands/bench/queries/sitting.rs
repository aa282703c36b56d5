//! A sitting: both networks loaded anew, and some pairs of runs.

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::time::Duration;

use serde::Serialize;

use super::super::WARM_UP;
use super::super::pairs::{Pair, Timed, in_turn, timed};
use super::super::summary::{Sorted, milliseconds};
use super::super::workshop::{Subject, Workshop};
use super::asked::{Asked, Spent, Way};
use super::likeness::Likeness;
use crate::error::CliError;

/// Two copies of one network were seen to differ by a tenth for as long as they were loaded. What they differ
/// in is where they lie in memory, so pairs are spread over so many loadings.
pub(super) const SITTINGS: usize = 7;

/// What was seen in some sittings.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) pairs: Vec<Pair>,
    spent: Vec<Spent>,
    /// The least alike of all sittings; `None` before the first.
    pub(super) outputs: Option<Likeness>,
}

/// Medians, in milliseconds a query.
#[derive(Debug, Serialize)]
pub(super) struct Parts {
    pub(super) engine: f64,
    pub(super) check: f64,
    pub(super) receipt: f64,
    pub(super) ledger: f64,
}

pub(super) fn sit(
    workshop: &Workshop,
    subject: &Subject,
    threads: NonZeroUsize,
    way: Way,
    number: usize,
    pairs: usize,
) -> Result<Seen, CliError> {
    let load = |way| Asked::load(workshop, subject, threads, way);
    // Which of the two is loaded into untouched memory goes by turns.
    let (plain, asked) = if number.is_multiple_of(2) {
        let plain = load(Way::Plain)?;
        (plain, load(way)?)
    } else {
        let asked = load(way)?;
        (load(Way::Plain)?, asked)
    };
    let (expected, _) = plain.ask(subject.batch.clone())?;
    let (answers, _) = asked.ask(subject.batch.clone())?;
    let outputs = Likeness::of(&expected, &answers);
    drop((expected, answers));

    let mut base: Timed<'_> = Box::new(|| {
        let given = subject.batch.clone();
        Ok(timed(|| plain.ask(given))?.0)
    });
    let spent = RefCell::new(Vec::new());
    let mut measured: Timed<'_> = Box::new(|| {
        let given = subject.batch.clone();
        let (took, by_ring) = asked.took(given)?;
        let mut by_plain = Spent::default();
        by_plain.timings.engine = took;
        spent.borrow_mut().push(by_ring.unwrap_or(by_plain));
        Ok(took)
    });
    let pairs = in_turn(&mut base, &mut measured, pairs)?;
    drop(measured);
    let spent = spent.into_inner().split_off(WARM_UP);
    Ok(Seen { pairs, spent, outputs: Some(outputs) })
}

impl Seen {
    pub(super) fn add(&mut self, more: Self) {
        self.pairs.extend(more.pairs);
        self.spent.extend(more.spent);
        self.outputs = match (self.outputs, more.outputs) {
            (Some(a), Some(b)) => Some(a.or_worse(b)),
            (a, b) => a.or(b),
        };
    }

    /// Where the time of the measured runs went, of which each answered `batch` queries.
    pub(super) fn parts(&self, batch: usize) -> Parts {
        let part = |f: fn(&Spent) -> Duration| {
            let each = self.spent.iter().map(|s| milliseconds(f(s)) / batch.max(1) as f64);
            Sorted::new(each).median()
        };
        Parts {
            engine: part(|s| s.timings.engine),
            check: part(|s| s.timings.check),
            receipt: part(|s| s.timings.receipt),
            ledger: part(|s| s.ledger),
        }
    }
}
