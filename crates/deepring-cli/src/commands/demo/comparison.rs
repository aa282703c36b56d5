//! The intact network, plain and as a ring, side by side: answers, accuracy, time.

use std::time::Duration;

use deepring::{Check, TensorValue};
use deepring_attack::Predictions;
use deepring_infer::measure::Timings;
use deepring_infer::{PlainModel, RunError};
use deepring_measure::{Pair, PairSummary, Rounds, in_turn, milliseconds, timed};

use super::fixture::{Fixture, MODEL};
use crate::error::CliError;
use crate::progress::Progress;

/// How often all images are asked, plain and ring in turn, so that both meet the same machine.
pub(super) const ROUNDS: usize = 5;
/// Images that are also asked alone, each with a receipt of its own.
pub(super) const ALONE: usize = 50;

#[derive(Debug)]
pub(super) struct Comparison {
    /// The network's file as it was trained.
    pub(super) plain: Predictions,
    /// The plain file that the ring was exported to, which the attacks edit.
    pub(super) exported: Predictions,
    pub(super) ring: Predictions,
    pub(super) plain_time: Times,
    pub(super) ring_time: Times,
    /// Where an image's time went in the ring, in the fastest round.
    pub(super) timings: Timings,
}

/// Milliseconds an image.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// Many images in one call; the fastest of the rounds.
    pub(super) batch: f64,
    /// One image a call; the median.
    pub(super) alone: f64,
}

/// Step 2.
pub(super) fn compare(fixture: &mut Fixture) -> Result<Comparison, CliError> {
    let images = fixture.queries.len();
    let model = PlainModel::load(&fixture.folder.path(MODEL), None)?;
    let exported = fixture.sample.evaluator().evaluate(&fixture.exported)?;
    let session = fixture.open(Check::Run)?;
    let progress =
        Progress::items("answering", 2 * (images * ROUNDS + ALONE.min(images) + 1) as u64);

    let (queries, recorder) = (&fixture.queries, &mut fixture.recorder);
    let (mut plain_outputs, mut ring_outputs) = (Vec::new(), Vec::new());
    let (mut fastest, mut timings) = (Duration::MAX, Timings::default());
    let mut plain_batch = || -> Result<Duration, CliError> {
        let (took, outputs) = timed(|| one_by_one(&model, queries))?;
        plain_outputs = outputs;
        progress.add(images as u64);
        Ok(took)
    };
    let mut ring_batch = || -> Result<Duration, CliError> {
        let batch = queries.clone();
        let (took, outcome) = timed(|| session.run_batch(batch))?;
        if took < fastest {
            (fastest, timings) = (took, outcome.timings);
        }
        recorder.decision(&outcome.decision, session.ring().outline())?;
        ring_outputs = outcome.outputs;
        progress.add(images as u64);
        Ok(took)
    };
    let batches = in_turn(&mut plain_batch, &mut ring_batch, rounds(0, ROUNDS))?;
    let (mut to_plain, mut to_ring) = (queries.iter().cycle(), queries.iter().cycle());
    let mut plain_alone = || -> Result<Duration, CliError> {
        let query = to_plain.next().map_or(&[][..], Vec::as_slice);
        Ok(timed(|| model.run(query))?.0)
    };
    let mut ring_alone = || -> Result<Duration, CliError> {
        let query = to_ring.next().cloned().unwrap_or_default();
        progress.add(2);
        Ok(timed(|| session.run(query))?.0)
    };
    let alone = in_turn(&mut plain_alone, &mut ring_alone, rounds(1, ALONE.min(images)))?;
    let alone = PairSummary::of(&alone, 1);
    let fastest = |of: fn(&Pair) -> Duration| batches.iter().map(of).min().unwrap_or_default();
    let times = |batch, alone| Times { batch: milliseconds(batch) / images as f64, alone };
    let share = |d: Duration| d.div_f64(images as f64);
    Ok(Comparison {
        plain: fixture.sample.answers(&plain_outputs)?,
        exported,
        ring: fixture.sample.answers(&ring_outputs)?,
        plain_time: times(fastest(|p| p.base), alone.base_ms),
        ring_time: times(fastest(|p| p.measured), alone.measured_ms),
        timings: Timings {
            engine: share(timings.engine),
            check: share(timings.check),
            receipt: share(timings.receipt),
        },
    })
}

/// One query an image, one after the other.
fn one_by_one(
    model: &PlainModel,
    queries: &[Vec<TensorValue>],
) -> Result<Vec<Vec<TensorValue>>, RunError> {
    queries.iter().map(|query| model.run(query)).collect()
}

/// So many pairs, however short they are: the demo is not to take longer on a faster machine.
fn rounds(warm_up: usize, pairs: usize) -> Rounds {
    Rounds { warm_up, pairs, more_of_short: false }
}
