//! Who votes, by term: the nodes of a validator set as the engine knows them.
//!
//! The engine calls a term an epoch, and asks by it. A committee is seated before its term begins, and stays known for as
//! long as somebody may ask for dockets that it finalised. Of a term that has not begun nothing is known, whatever a
//! peer says of it.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use commonware_codec::{Copying, DecodeExt as _};
use commonware_consensus::simplex::scheme::ed25519::Scheme;
use commonware_consensus::types::Epoch;
use commonware_cryptography::certificate::{Provider, Scoped};
use commonware_cryptography::ed25519;
use commonware_utils::ordered::Set;
use deepring::keys::{Node, log_digest};
use deepring::{PublicKey, SecretKey};

use super::error::AgreementError;

/// A set's nodes, and the key by which the engine and the network know each.
#[derive(Debug, Clone)]
pub(crate) struct Committee {
    nodes: Arc<[PublicKey<Node>]>,
    voters: Arc<[ed25519::PublicKey]>,
}

/// The engine's key of a node.
///
/// # Errors
/// [`AgreementError::Committee`] for a key that is no point of the curve.
pub fn voter(node: &PublicKey<Node>) -> Result<ed25519::PublicKey, AgreementError> {
    ed25519::PublicKey::decode(Copying(node.voting_half().as_slice()))
        .map_err(|_| AgreementError::Committee)
}

/// The engine's secret key of a node: for whoever opens the network that validators meet in.
///
/// # Errors
/// [`AgreementError::Committee`] where the engine does not take it.
pub fn voter_key(node: &SecretKey<Node>) -> Result<ed25519::PrivateKey, AgreementError> {
    let seed = node.expose_seed();
    ed25519::PrivateKey::decode(Copying(seed.as_slice())).map_err(|_| AgreementError::Committee)
}

impl Committee {
    pub(crate) fn new(nodes: &[PublicKey<Node>]) -> Result<Self, AgreementError> {
        let voters = nodes.iter().map(voter).collect::<Result<Vec<_>, _>>()?;
        // Two keys that sign alike are one party with two votes.
        if voters.is_empty() || Set::from_iter_dedup(voters.iter().cloned()).len() != voters.len() {
            return Err(AgreementError::Committee);
        }
        Ok(Self { nodes: nodes.into(), voters: voters.into() })
    }

    /// The node that the network knows by this key.
    pub(crate) fn node(&self, voter: &ed25519::PublicKey) -> Option<&PublicKey<Node>> {
        let at = self.voters.iter().position(|known| known == voter)?;
        self.nodes.get(at)
    }

    pub(crate) fn voters(&self) -> Set<ed25519::PublicKey> {
        Set::from_iter_dedup(self.voters.iter().cloned())
    }

    /// The scheme by which this committee votes about the log of this name; it signs where `key` is one
    /// of its members' and `votes`. Votes for one log are none for another.
    pub(crate) fn scheme(
        &self,
        origin: &str,
        key: &SecretKey<Node>,
        votes: bool,
    ) -> Result<Scheme, AgreementError> {
        let namespace = namespace(origin);
        let signer = match votes {
            true => Scheme::signer(&namespace, self.voters(), voter_key(key)?),
            false => None,
        };
        Ok(signer.unwrap_or_else(|| self.verifier(origin)))
    }

    /// The scheme by which this committee's votes about the log of this name are verified.
    pub(crate) fn verifier(&self, origin: &str) -> Scheme {
        Scheme::verifier(&namespace(origin), self.voters())
    }
}

/// The engine puts its length before it, which is below 99: see `SecretKey::<Node>::expose_seed`.
pub(crate) fn namespace(origin: &str) -> Vec<u8> {
    [b"deepring v1 agreement ".as_slice(), &log_digest(origin).0].concat()
}

/// The namespace of the network that validators of the log of this name meet in: a handshake for one log is none for another, and
/// no vote.
#[must_use]
pub fn network_namespace(origin: &str) -> Vec<u8> {
    [b"deepring v1 validators ".as_slice(), &log_digest(origin).0].concat()
}

/// The committees by the first of their terms, and the newest term.
#[derive(Debug, Clone, Default)]
pub(crate) struct Committees(Arc<RwLock<Seats>>);

#[derive(Debug, Default)]
struct Seats {
    by_term: BTreeMap<Epoch, (Committee, Arc<Scheme>)>,
    newest: Epoch,
}

impl Committees {
    /// Seats a committee from this term on. Its scheme need not sign.
    pub(crate) fn seat(&self, term: Epoch, committee: Committee, scheme: Scheme) {
        let mut seats = self.0.write().unwrap_or_else(PoisonError::into_inner);
        seats.by_term.insert(term, (committee, Arc::new(scheme)));
    }

    /// Terms up to this one have begun, or are about to.
    pub(crate) fn begin(&self, term: Epoch) {
        let mut seats = self.0.write().unwrap_or_else(PoisonError::into_inner);
        seats.newest = term;
    }

    /// Whether those of the newest committee of whom something is so are a quorum of it.
    pub(crate) fn has_quorum(&self, so: impl Fn(&ed25519::PublicKey) -> bool) -> bool {
        let seats = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some((committee, _)) = seats.of(seats.newest) else { return false };
        let voters = &committee.voters;
        voters.iter().filter(|voter| so(voter)).count() >= voters.len() - (voters.len() - 1) / 3
    }

    /// The node of the newest committee that the network knows by this key.
    pub(crate) fn node(&self, voter: &ed25519::PublicKey) -> Option<PublicKey<Node>> {
        let seats = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let (committee, _) = seats.of(seats.newest)?;
        committee.node(voter).copied()
    }
}

impl Seats {
    fn of(&self, term: Epoch) -> Option<&(Committee, Arc<Scheme>)> {
        let begun = self.by_term.range(..=term).next_back();
        begun.filter(|_| term <= self.newest).map(|(_, seated)| seated)
    }
}

impl Provider for Committees {
    type Scope = Epoch;
    type Scheme = Scheme;

    fn scoped(&self, term: Epoch) -> Option<Scoped<Scheme>> {
        let seats = self.0.read().unwrap_or_else(PoisonError::into_inner);
        seats.of(term).map(|(_, scheme)| scheme.clone()).map(Scoped::scheme)
    }
}

#[cfg(test)]
mod tests {
    use commonware_cryptography::certificate::Scheme as _;

    use super::*;
    use crate::agreement::fixtures::{ORIGIN, node_key, set};

    #[test]
    fn a_term_has_the_committee_that_was_seated_last_and_none_before_it_begins() {
        let committees = Committees::default();
        for (term, nodes) in [(0, 4), (3, 7)] {
            let committee = Committee::new(&set(nodes).nodes).unwrap();
            let scheme = committee.scheme(ORIGIN, &node_key(0), false).unwrap();
            committees.seat(Epoch::new(term), committee, scheme);
        }
        committees.begin(Epoch::new(2));
        let of = |term| {
            let scoped = committees.scoped(Epoch::new(term));
            scoped.and_then(Scoped::into_scheme).map(|scheme| scheme.participants().len())
        };
        let fifth = voter(&node_key(4).public()).unwrap();
        assert_eq!([0, 2, 3].map(of), [Some(4), Some(4), None]);
        assert_eq!(committees.node(&fifth), None);
        committees.begin(Epoch::new(5));
        assert_eq!([0, 2, 3, 5, 6].map(of), [Some(4), Some(4), Some(7), Some(7), None]);
        assert_eq!(committees.node(&fifth), Some(node_key(4).public()));
    }
}
