//! The intact network, plain and as a ring, side by side: answers, accuracy, time.

use std::time::{Duration, Instant};

use deepring::{Check, TensorValue};
use deepring_attack::Predictions;
use deepring_infer::{PlainModel, RunError, Timings};

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
    let progress = Progress::items("answering", (2 * images * ROUNDS + 2 * ALONE) as u64);

    // Once unmeasured, so that neither side pays for the first touch of its memory.
    let warm = fixture.queries.first().cloned().unwrap_or_default();
    model.run(&warm)?;
    session.run(warm)?;
    let (mut plain, mut ring) = (Duration::MAX, Duration::MAX);
    let mut timings = Timings::default();
    let mut last = None;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let outputs = one_by_one(&model, &fixture.queries)?;
        plain = plain.min(start.elapsed());
        progress.add(images as u64);
        let batch = fixture.queries.clone();
        let start = Instant::now();
        let outcome = session.run_batch(batch)?;
        let spent = start.elapsed();
        if spent < ring {
            (ring, timings) = (spent, outcome.timings);
        }
        progress.add(images as u64);
        fixture.recorder.decision(&outcome.decision, images)?;
        last = Some((outputs, outcome.outputs));
    }
    let (mut plain_alone, mut ring_alone) = (Vec::new(), Vec::new());
    for query in fixture.queries.iter().take(ALONE) {
        let start = Instant::now();
        model.run(query)?;
        plain_alone.push(start.elapsed());
        let query = query.clone();
        let start = Instant::now();
        session.run(query)?;
        ring_alone.push(start.elapsed());
        progress.add(2);
    }
    let (plain_outputs, ring_outputs) = last.unwrap_or_default();
    let times = |batch: Duration, alone| Times {
        batch: batch.as_secs_f64() * 1e3 / images as f64,
        alone: median_ms(alone),
    };
    let share = |d: Duration| d.div_f64(images as f64);
    Ok(Comparison {
        plain: fixture.sample.answers(&plain_outputs)?,
        exported,
        ring: fixture.sample.answers(&ring_outputs)?,
        plain_time: times(plain, plain_alone),
        ring_time: times(ring, ring_alone),
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

fn median_ms(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times.get(times.len() / 2).map_or(0.0, |t| t.as_secs_f64() * 1e3)
}
