//! The further results that attacks of some families give an evaluation.

use std::sync::Arc;

use crate::evaluator::Evaluator;
use crate::graph::apply_trigger;
use crate::network::Network;
use crate::quantise::quantise;

/// The samples with the trigger on them.
pub(super) fn with_trigger(test: &Evaluator) -> Evaluator {
    Evaluator::new(Arc::new(apply_trigger(test.samples())), 1)
}

/// The network with 8-bit weights; `None` if it cannot have them.
pub(super) fn quantised(network: &Network) -> Option<Network> {
    quantise(network).ok()
}
