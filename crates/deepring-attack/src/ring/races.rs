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

#[cfg(test)]
mod tests {
    use deepring::DType;

    use super::*;
    use crate::network::made::{made, node, tensor};

    #[test]
    fn the_highest_bit_of_each_weight_of_the_first_layer_is_flipped() {
        for dtype in [DType::F32, DType::F16, DType::I8] {
            let weight = |name| tensor(name, dtype, &[2, 2], vec![1; 4 * dtype.size()]);
            let nodes = vec![node("MatMul", &["x", "a"], "h"), node("MatMul", &["h", "b"], "y")];
            let network = made(&[0, 2], nodes, vec![weight("a"), weight("b")]);
            let after = first_layer_negated(&network).unwrap().unwrap();
            let found = crate::Differences::between(&network, &after);
            assert_eq!((found.tensors.len(), found.values()), (1, 4), "{dtype:?}");
            let highest = 1u64 << (8 * dtype.size() - 1);
            let elements = found.tensors[0].elements.iter();
            assert!(elements.into_iter().all(|e| e.before.bits() ^ e.after.bits() == highest));
        }
        let none = made(&[0, 2], vec![node("Relu", &["x"], "y")], vec![]);
        assert_eq!(first_layer_negated(&none).unwrap(), None);
    }
}
