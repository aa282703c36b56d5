//! The cost of protection for a query: the plain network and the ring in turn, on the same machine and threads.

use std::time::Duration;

use deepring::TensorValue;
use deepring_infer::{PlainError, PlainModel, SessionOptions};
use deepring_measure::{PairSummary, Rounds, in_turn, timed};
use serde::Serialize;
use thiserror::Error;

use super::trial::{RingTrial, RingTrialError};
use crate::network::{Network, NetworkError};
use crate::samples::Samples;

/// Milliseconds of one query, plain and protected.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Overhead {
    /// Median of the plain network's queries.
    pub plain_ms: f64,
    /// Median of the ring's.
    pub ring_ms: f64,
    /// Median of the differences of pairs that ran one after the other.
    pub added_ms: f64,
    /// That, in per cent of the plain network's median.
    pub added_percent: f64,
    /// Pairs that were measured.
    pub pairs: usize,
}

/// Why nothing was measured.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OverheadError {
    /// The ring could not be sealed or asked.
    #[error(transparent)]
    Ring(#[from] RingTrialError),
    /// The plain network could not be written.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The plain network could not be loaded.
    #[error(transparent)]
    Plain(#[from] PlainError),
    /// No temporary folder.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// Unmeasured queries at first: the automatic check looks at what its first uses cost before it chooses.
const WARM_UP: usize = 8;

/// Measures a network's queries, plain and as a ring, `rounds` times over the samples, in pairs.
///
/// # Errors
/// [`OverheadError`] where the ring cannot be sealed, or either network not be loaded or run.
pub fn overhead(
    network: &Network,
    samples: &Samples,
    options: SessionOptions,
    rounds: usize,
) -> Result<Overhead, OverheadError> {
    let trial = RingTrial::seal_with(network, options)?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("plain.onnx");
    network.write(&path)?;
    let plain = PlainModel::unaltered(&path, options.threads)?;
    let queries = trial.queries(samples)?;
    // Both are asked the same one after the other, whoever is first.
    let (mut to_plain, mut to_ring) = (queries.iter().cycle(), queries.iter().cycle());
    let mut run_plain = || -> Result<Duration, RingTrialError> {
        let query = to_plain.next().map_or(&[][..], Vec::as_slice);
        Ok(timed(|| plain.run(query))?.0)
    };
    let mut run_ring = || -> Result<Duration, RingTrialError> {
        let query: Vec<TensorValue> = to_ring.next().cloned().unwrap_or_default();
        Ok(timed(|| trial.run_query(query))?.0)
    };
    let pairs = rounds.saturating_mul(queries.len());
    let rounds = Rounds { warm_up: WARM_UP, pairs, more_of_short: false };
    let pairs = in_turn(&mut run_plain, &mut run_ring, rounds)?;
    let PairSummary { pairs, base_ms: plain_ms, measured_ms: ring_ms, added_ms, .. } =
        PairSummary::of(&pairs, 1);
    let added_percent = if plain_ms > 0.0 { 100.0 * added_ms / plain_ms } else { 0.0 };
    Ok(Overhead { plain_ms, ring_ms, added_ms, added_percent, pairs })
}
