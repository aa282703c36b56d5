//! What attacks of some families give an evaluation beside the attack.

use std::sync::Arc;

use crate::graph::stamp;
use crate::judge::Judge;
use crate::network::Network;
use crate::quantise::quantise;

/// The samples with the trigger on them.
pub(super) fn stamped(test: &Judge) -> Judge {
    Judge::new(Arc::new(stamp(test.samples())), 1)
}

/// The network with 8-bit weights; `None` if it cannot have them.
pub(super) fn quantised(network: &Network) -> Option<Network> {
    quantise(network).ok()
}
