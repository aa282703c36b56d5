//! Cosignatures of a log's own validators: a checkpoint that a quorum of a validator set cosigned is the log's, whoever keeps
//! the copy that it comes from.
//!
//! They are C2SP cosignatures like any witness's, so that readers of others count them by a policy that names the nodes' keys.

use std::collections::HashSet;

use deepring::PublicKey;
use deepring::keys::Node;
use thiserror::Error;

use super::cosignature::{Cosignature, CosignatureError};
use super::key::WitnessKey;
use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::entry::ValidatorSet;

/// Why a checkpoint is not that of a validator set.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum QuorumError {
    /// It is no checkpoint of the set's log.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A cosignature by a node of the set is wrong.
    #[error(transparent)]
    Cosignature(#[from] CosignatureError),
    /// Too few nodes of the set cosigned it.
    #[error(
        "cosigned by {found} of the {nodes} nodes of validator set {epoch}; {needed} are needed"
    )]
    NoQuorum {
        /// Nodes that cosigned it, each once.
        found: usize,
        /// Nodes of the set.
        nodes: usize,
        /// Nodes that must have.
        needed: usize,
        /// Number of the set.
        epoch: u64,
    },
    /// A key of the set cannot cosign, or two of its nodes have half of a key in common.
    #[error("validator set {epoch} has a node that cannot be counted: {node}")]
    UncountableNode {
        /// Number of the set.
        epoch: u64,
        /// The node, in short form.
        node: String,
    },
}

impl QuorumError {
    /// Returns whether it is of a log, or kept by nodes, that the reader was not told to trust; else somebody changed it.
    #[must_use]
    pub fn is_untrusted(&self) -> bool {
        matches!(
            self,
            Self::NoQuorum { .. }
                | Self::UncountableNode { .. }
                | Self::Checkpoint(CheckpointError::OtherOrigin { .. })
        )
    }
}

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
    /// [`QuorumError::UncountableNode`] where a node has no usable cosigning key, or half of another node's key: who
    /// counts it would count one party twice.
    pub fn cosigners(&self) -> Result<Vec<WitnessKey>, QuorumError> {
        let mut keys: Vec<WitnessKey> = Vec::with_capacity(self.nodes.len());
        let uncountable = |node: &PublicKey<Node>| QuorumError::UncountableNode {
            epoch: self.epoch,
            node: node.short(),
        };
        if let Some(node) = self.counts_twice() {
            return Err(uncountable(node));
        }
        for node in &self.nodes {
            keys.push(WitnessKey::of_node(node).map_err(|_| uncountable(node))?);
        }
        Ok(keys)
    }

    /// A node that shares a half of its key with an earlier one, whichever half of each, or whose halves are equal: who has
    /// that half has both nodes' votes or cosignatures, and would count twice.
    pub(crate) fn counts_twice(&self) -> Option<&PublicKey<Node>> {
        let mut halves: HashSet<&[u8]> = HashSet::with_capacity(2 * self.nodes.len());
        self.nodes.iter().find(|node| {
            let (first, second) = node.as_bytes().split_at(32);
            let is_new = [halves.insert(first), halves.insert(second)];
            is_new.contains(&false)
        })
    }

    /// The cosignatures of its nodes on a checkpoint, one of each; at least a quorum.
    ///
    /// # Errors
    /// [`QuorumError::NoQuorum`]; [`QuorumError::Cosignature`] for a wrong one;
    /// [`QuorumError::UncountableNode`].
    pub fn count_cosignatures(
        &self,
        checkpoint: &Checkpoint,
    ) -> Result<Vec<Cosignature>, QuorumError> {
        let mut counted: Vec<Cosignature> = Vec::new();
        for cosignature in checkpoint.cosignatures(&self.cosigners()?)? {
            if counted.iter().all(|known| known.witness() != cosignature.witness()) {
                counted.push(cosignature);
            }
        }
        let (found, nodes, needed) = (counted.len(), self.nodes.len(), self.quorum());
        // A set without nodes has no quorum.
        if found < needed || nodes == 0 {
            return Err(QuorumError::NoQuorum { found, nodes, needed, epoch: self.epoch });
        }
        Ok(counted)
    }
}

impl Checkpoint {
    /// Verifies a checkpoint text under a validator set: of its `n` nodes, `n - (n - 1) / 3` cosigned it, each counted once.
    /// Whose key signed it as the log's does not matter.
    ///
    /// # Errors
    /// [`QuorumError`].
    pub fn verify_by_set(text: &str, set: &ValidatorSet) -> Result<Self, QuorumError> {
        Ok(Self::counted(text, set)?.0)
    }

    /// As [`verify_by_set`](Self::verify_by_set), with the cosignatures that were counted.
    pub(crate) fn counted(
        text: &str,
        set: &ValidatorSet,
    ) -> Result<(Self, Vec<Cosignature>), QuorumError> {
        let checkpoint = Self::of_note(text, &set.origin)?;
        let counted = set.count_cosignatures(&checkpoint)?;
        Ok((checkpoint, counted))
    }
}
