//! The cost of protection for a query: the plain network and the ring in turn, on the same machine and threads.

use std::time::Instant;

use deepring_infer::{PlainError, PlainModel, SessionOptions};
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

/// Unmeasured queries at first: the automatic check looks at what its first uses cost before it chooses, and
/// neither side is to pay for the first touch of its memory.
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
    let (mut plain_ms, mut ring_ms, mut added) = (Vec::new(), Vec::new(), Vec::new());
    for query in queries.iter().cycle().take(WARM_UP) {
        plain.run(query).map_err(RingTrialError::from)?;
        trial.run_query(query.clone())?;
    }
    for round in 0..rounds {
        for (at, query) in queries.iter().enumerate() {
            let theirs = query.clone();
            let run_plain = || -> Result<f64, RingTrialError> {
                let start = Instant::now();
                plain.run(query)?;
                Ok(start.elapsed().as_secs_f64() * 1e3)
            };
            let run_ring = |query| -> Result<f64, RingTrialError> {
                let start = Instant::now();
                trial.run_query(query)?;
                Ok(start.elapsed().as_secs_f64() * 1e3)
            };
            // Who goes first finds the caches as the other left them.
            let (p, r) = if (at + round) % 2 == 0 {
                let p = run_plain()?;
                (p, run_ring(theirs)?)
            } else {
                let r = run_ring(theirs)?;
                (run_plain()?, r)
            };
            plain_ms.push(p);
            ring_ms.push(r);
            added.push(r - p);
        }
    }
    let pairs = added.len();
    let (plain_ms, ring_ms, added_ms) = (median(plain_ms), median(ring_ms), median(added));
    let added_percent = if plain_ms > 0.0 { 100.0 * added_ms / plain_ms } else { 0.0 };
    Ok(Overhead { plain_ms, ring_ms, added_ms, added_percent, pairs })
}

/// The middle of some numbers; zero of none.
pub(super) fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    let (low, high) = (of.get(of.len().saturating_sub(1) / 2), of.get(of.len() / 2));
    low.zip(high).map_or(0.0, |(a, b)| a.midpoint(*b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(vec![]), 0.0);
    }
}
