//! Races in live memory: the signs of the first layer's weights are flipped, or what the first block computed is negated.

use std::time::Duration;

use deepring::Check;

use super::trial::{Bout, ToctouResult, ToctouTiming};
use super::{RingTrial, RingTrialError};
use crate::network::{Network, NetworkError};
use crate::samples::Samples;

/// Under these checks every race is run.
pub(crate) const RACED_CHECKS: [Check; 3] = [Check::Run, Check::Auto, Check::Compute];
/// The blind writer's pace: short enough to fall between two looks now and then.
const TIMING: ToctouTiming = ToctouTiming {
    there: Duration::from_micros(30),
    away: Duration::from_micros(150),
    writes: 200,
};
/// A synchronised race is long enough to see how rare an unnoticed use is, and ends soon where each is refused.
const BOUT: Bout = Bout { queries: 200, refusals: 25 };

/// A network that is sealed and run while its host's memory is written to.
#[derive(Debug, Clone, Copy)]
pub struct LiveRing<'a> {
    /// The network.
    pub network: &'a Network,
    /// The queries that are repeated.
    pub samples: &'a Samples,
}

/// `live-memory-blind`; `None` where memory cannot be written.
pub(crate) fn blind(
    ring: &LiveRing<'_>,
    check: Check,
) -> Result<Option<ToctouResult>, RingTrialError> {
    let mut trial = RingTrial::seal(ring.network, check)?;
    match first_layer_negated(ring.network)? {
        Some(tampered) => trial.race_blind(&tampered, ring.samples, TIMING),
        None => Ok(None),
    }
}

/// `live-memory-sync`; `None` where memory cannot be written.
pub(crate) fn synchronised(
    ring: &LiveRing<'_>,
    check: Check,
) -> Result<Option<ToctouResult>, RingTrialError> {
    let mut trial = RingTrial::seal(ring.network, check)?;
    match first_layer_negated(ring.network)? {
        Some(tampered) => trial.race_synchronised(&tampered, ring.samples, BOUT),
        None => Ok(None),
    }
}

/// `live-tail-sync`.
pub(crate) fn tail(
    ring: &LiveRing<'_>,
    check: Check,
) -> Result<Option<ToctouResult>, RingTrialError> {
    RingTrial::seal(ring.network, check)?.race_tail(ring.samples, BOUT)
}

/// The network with the highest bit of each weight of its first layer flipped: of a float, its sign.
fn first_layer_negated(network: &Network) -> Result<Option<Network>, NetworkError> {
    let Some(layer) = network.layers().into_iter().next() else { return Ok(None) };
    let mut tampered = network.clone();
    let weight = network.tensor(&layer.weight)?;
    let mut bytes = weight.bytes().to_vec();
    for element in bytes.chunks_mut(weight.dtype().size().max(1)) {
        if let Some(highest) = element.last_mut() {
            *highest ^= 0x80;
        }
    }
    tampered.set_bytes(&layer.weight, bytes)?;
    Ok(Some(tampered))
}
