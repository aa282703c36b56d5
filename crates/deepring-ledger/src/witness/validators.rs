//! Cosignatures of a log's own validators: a checkpoint that a quorum of a validator set cosigned is the log's, whoever keeps
//! the copy that it comes from.
//!
//! They are C2SP cosignatures like any witness's, so that readers of others count them by a policy that names the nodes' keys.

use super::cosignature::Cosignature;
use super::key::WitnessKey;
use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::entry::ValidatorSet;

impl ValidatorSet {
    /// Nodes that must agree: of `n`, all but the `(n - 1) / 3` that may be faulty.
    #[must_use]
    pub fn quorum(&self) -> usize {
        let nodes = self.nodes.len();
        nodes - nodes.saturating_sub(1) / 3
    }

    /// The keys under which its nodes cosign, in the order of the nodes.
    ///
    /// # Errors
    /// [`CheckpointError::UncountableNode`] where a node has no usable cosigning key, or another node's: who counts it
    /// would count one party twice.
    pub fn cosigners(&self) -> Result<Vec<WitnessKey>, CheckpointError> {
        let mut keys: Vec<WitnessKey> = Vec::with_capacity(self.nodes.len());
        for (place, node) in self.nodes.iter().enumerate() {
            let uncountable =
                || CheckpointError::UncountableNode { epoch: self.epoch, node: node.short() };
            let key = WitnessKey::of_node(node).map_err(|_| uncountable())?;
            let earlier = self.nodes.iter().take(place);
            if keys.iter().any(|known| known.has_key_of(&key))
                || earlier.into_iter().any(|known| known.signs_as(node))
            {
                return Err(uncountable());
            }
            keys.push(key);
        }
        Ok(keys)
    }

    /// The cosignatures of its nodes on a checkpoint, one of each; at least a quorum.
    ///
    /// # Errors
    /// [`CheckpointError::NoQuorum`]; [`CheckpointError::Cosignature`] for a wrong one;
    /// [`CheckpointError::UncountableNode`].
    pub fn count_cosignatures(
        &self,
        checkpoint: &Checkpoint,
    ) -> Result<Vec<Cosignature>, CheckpointError> {
        let mut counted: Vec<Cosignature> = Vec::new();
        for cosignature in checkpoint.cosignatures(&self.cosigners()?)? {
            if counted.iter().all(|known| known.witness() != cosignature.witness()) {
                counted.push(cosignature);
            }
        }
        let (found, nodes, needed) = (counted.len(), self.nodes.len(), self.quorum());
        // A set without nodes has no quorum.
        if found < needed || nodes == 0 {
            return Err(CheckpointError::NoQuorum { found, nodes, needed, epoch: self.epoch });
        }
        Ok(counted)
    }
}
