//! Live memory that is tampered with while queries run, and put back: what each check sees of it.
//!
//! Two attackers. The blind one writes and restores at a pace of his own, and meets a gap between two looks by chance. The
//! synchronised one knows when the checks before a use are done and when the engine has read: his tampering is in place
//! for exactly that long, at every use. `docs/THREATS.md` says what each check promises against them.
//!
//! A refusal takes a block out of use, so a race is run in rounds: tampering from the first query of a round on, until one
//! is refused; then the block is opened anew.

mod blind;
mod synchronised;

use deepring::{Check, TensorValue};
use deepring_infer::engine::Engine;
use deepring_infer::{RunError, Session};
use serde::Serialize;

use super::{Reported, RingTrial, RingTrialError, Tampered, each_once, furthest};
use crate::samples::Samples;
pub use blind::ToctouTiming;
pub use synchronised::Bout;

/// Queries before a round under `auto`: the first uses of a block that was opened anew are under every check.
const SETTLING: usize = 8;

/// Who tampers, and with what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ToctouWriter {
    /// Parameters, at a pace that nothing of the queries determines.
    Blind,
    /// Parameters, for exactly as long as the engine reads them.
    Synchronised,
    /// The engine's outputs, after each run of a block: an edited operator behind the linear one. No parameter.
    SynchronisedTail,
}

/// The answers of a session that was raced against.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ToctouResult {
    /// Who raced.
    pub writer: ToctouWriter,
    /// How parameters were checked.
    pub check: Check,
    /// The changes that the attacker made and put back.
    pub touched: Vec<Tampered>,
    /// How often he did.
    pub writes: u64,
    /// Queries asked while he was at work; of the synchronised ones each is one tampered use of each block touched.
    pub queries: usize,
    /// Queries that were refused.
    pub refused: usize,
    /// Queries that got the clean answer, bit for bit.
    pub right: usize,
    /// Queries that got another answer, with a receipt: what the check did not see.
    pub wrong: usize,
    /// Accuracy of the answers given, 0 to 1; `None` if there was none.
    pub accuracy: Option<f64>,
    /// The largest difference of any score of the wrong ones from the clean one; infinite if it is not a number.
    pub furthest: f32,
    /// Queries of each round that ended with a refusal, the refused one included.
    pub until_refused: Vec<usize>,
    /// The places that refusals named, each once.
    pub named: Vec<Reported>,
}

impl ToctouResult {
    /// Mean of [`until_refused`](Self::until_refused); `None` if nothing was refused.
    #[must_use]
    pub fn mean_until_refused(&self) -> Option<f64> {
        let n = self.until_refused.len();
        (n > 0).then(|| self.until_refused.iter().sum::<usize>() as f64 / n as f64)
    }

    /// The race and its outcome, in a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let done = match self.writer {
            ToctouWriter::Blind => {
                format!("the first layer tampered with and put back {} times", self.writes)
            }
            ToctouWriter::Synchronised => {
                "the first layer tampered with while the engine reads it, at each use".to_owned()
            }
            ToctouWriter::SynchronisedTail => {
                "what the first block computed is negated at each use, no parameter changed"
                    .to_owned()
            }
        };
        let until = self.mean_until_refused().map_or_else(String::new, |mean| {
            format!("; {mean:.1} queries until one is refused, on average")
        });
        format!(
            "{done}, under `{}`: of {} queries {} refused, {} answered rightly, {} wrongly{until}",
            self.check, self.queries, self.refused, self.right, self.wrong
        )
    }
}

/// The outcome of a query.
enum QueryResult {
    Answered,
    /// The block that is out of use now, where one is.
    Refused(Option<u32>),
}

/// Asks the samples again and again, and counts what comes of it.
struct Tally<'t> {
    queries: Vec<Vec<TensorValue>>,
    clean: Vec<Vec<TensorValue>>,
    labels: &'t [usize],
    rows: usize,
    raced: ToctouResult,
    in_round: usize,
    correct: usize,
    scored: usize,
    named: Vec<Reported>,
}

impl<'t> Tally<'t> {
    fn new(
        trial: &mut RingTrial,
        samples: &'t Samples,
        (writer, touched): (ToctouWriter, Vec<Tampered>),
    ) -> Result<Self, RingTrialError> {
        Ok(Self {
            queries: trial.queries(samples)?,
            clean: trial.clean_answers(samples)?,
            labels: samples.labels(),
            rows: trial.rows(samples.len()),
            raced: ToctouResult {
                writer,
                check: trial.options.check,
                touched,
                writes: 0,
                queries: 0,
                refused: 0,
                right: 0,
                wrong: 0,
                accuracy: None,
                furthest: 0.0,
                until_refused: Vec::new(),
                named: Vec::new(),
            },
            in_round: 0,
            correct: 0,
            scored: 0,
            named: Vec::new(),
        })
    }

    /// Asks until `auto` has settled on what is cheaper. Nobody tampers meanwhile.
    fn run_until_settled<E: Engine>(&self, session: &Session<E>) -> Result<(), RingTrialError> {
        if self.raced.check == Check::Auto {
            for query in self.queries.iter().cycle().take(SETTLING) {
                session.run(query.clone())?;
            }
        }
        Ok(())
    }

    /// Asks the next query.
    fn run_query<E: Engine>(
        &mut self,
        session: &Session<E>,
    ) -> Result<QueryResult, RingTrialError> {
        let at = self.raced.queries % self.queries.len().max(1);
        let Some((query, right)) = self.queries.get(at).zip(self.clean.get(at)) else {
            return Ok(QueryResult::Refused(None));
        };
        self.raced.queries += 1;
        self.in_round += 1;
        let block = match session.run(query.clone()) {
            Ok(outcome) => {
                let given = outcome.outputs.into_iter().next().unwrap_or_default();
                match given == *right {
                    true => self.raced.right += 1,
                    false => {
                        self.raced.wrong += 1;
                        self.raced.furthest = self.raced.furthest.max(furthest(&given, right));
                    }
                }
                self.score(at, &given);
                return Ok(QueryResult::Answered);
            }
            Err(RunError::OutOfUse { block, .. }) => Some(block),
            // A network of tampered weights may compute what no check bounds, or what the engine rejects.
            Err(RunError::Input(_) | RunError::Engine { .. }) => None,
            Err(e) => {
                let Some(finding) = e.finding() else { return Err(e.into()) };
                self.named.push(Reported::of(finding));
                finding.block
            }
        };
        self.raced.refused += 1;
        self.raced.until_refused.push(std::mem::take(&mut self.in_round));
        Ok(QueryResult::Refused(block))
    }

    fn score(&mut self, at: usize, given: &[TensorValue]) {
        let bytes = given.first().map_or(&[][..], |t| t.data().as_chunks().0);
        let scores: Vec<f32> = bytes.iter().map(|b| f32::from_le_bytes(*b)).collect();
        let width = (scores.len() / self.rows).max(1);
        let labels = self.labels.iter().skip(at * self.rows).take(self.rows);
        for (row, label) in scores.chunks(width).zip(labels) {
            // The first of equal ones.
            let ranked = row.iter().enumerate().rev().max_by(|a, b| a.1.total_cmp(b.1));
            let highest = ranked.map(|(class, _)| class);
            let comparable = row.iter().all(|score| !score.is_nan());
            self.correct += usize::from(comparable && highest == Some(*label));
            self.scored += 1;
        }
    }

    fn finish(mut self, writes: u64) -> ToctouResult {
        let some = self.scored > 0;
        self.raced.accuracy = some.then(|| self.correct as f64 / self.scored as f64);
        self.raced.writes = writes;
        self.raced.named = each_once(self.named);
        self.raced
    }
}
