//! Who sits in a committee, and whether this node votes in it.

use std::sync::Arc;

use commonware_consensus::simplex::scheme::ed25519::Scheme;
use commonware_consensus::types::Epoch;
use deepring::SecretKey;
use deepring::keys::Node;
use deepring_ledger::ValidatorSet;

use super::committee::{Committee, Committees};
use super::error::AgreementError;

/// Seats the committees of sets.
#[derive(Debug, Clone)]
pub(crate) struct Seating {
    pub(crate) committees: Committees,
    /// This node's key.
    pub(crate) node: SecretKey<Node>,
    /// Whether it votes where it is a member.
    pub(crate) votes: bool,
}

impl Seating {
    /// Seats a set's nodes from this term on.
    ///
    /// # Errors
    /// [`AgreementError::Committee`].
    pub(crate) fn seat(&self, term: Epoch, set: &ValidatorSet) -> Result<(), AgreementError> {
        let committee = Committee::new(&set.nodes)?;
        let scheme = committee.scheme(&set.origin, &self.node, false)?;
        self.committees.seat(term, committee, scheme);
        Ok(())
    }

    /// The scheme by which a set's nodes vote; it signs where this node votes.
    ///
    /// # Errors
    /// [`AgreementError::Committee`].
    pub(crate) fn scheme(&self, set: &Arc<ValidatorSet>) -> Result<Scheme, AgreementError> {
        Committee::new(&set.nodes)?.scheme(&set.origin, &self.node, self.votes)
    }

    /// Whether this node votes in a set.
    pub(crate) fn votes_in(&self, set: &ValidatorSet) -> bool {
        self.votes && set.nodes.contains(&self.node.public())
    }
}
