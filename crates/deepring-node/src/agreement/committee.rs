//! Who votes, by epoch: the nodes of a validator set as the engine knows them.
//!
//! There is one epoch today. The seam for more: what the engine asks goes by epoch ([`Committees`], and the
//! epocher), the engine's journal lies in a partition of its epoch, and a committee is added before its
//! epoch begins.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::{Arc, PoisonError, RwLock};

use commonware_codec::{Copying, DecodeExt as _};
use commonware_consensus::simplex::scheme::ed25519::Scheme;
use commonware_consensus::types::{Epoch, FixedEpocher};
use commonware_cryptography::certificate::{Provider, Scoped};
use commonware_cryptography::ed25519;
use commonware_utils::ordered::Set;
use deepring::keys::{Node, log_digest};
use deepring::{PublicKey, SecretKey};

use super::error::AgreementError;

/// The epoch of the first committee.
pub(crate) const FIRST: Epoch = Epoch::zero();

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
        Ok(signer.unwrap_or_else(|| Scheme::verifier(&namespace, self.voters())))
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

/// The committees by their epochs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Committees(Arc<RwLock<BTreeMap<Epoch, Arc<Scheme>>>>);

impl Committees {
    /// Before the epoch begins.
    pub(crate) fn add(&self, epoch: Epoch, scheme: Scheme) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(epoch, Arc::new(scheme));
    }
}

impl Provider for Committees {
    type Scope = Epoch;
    type Scheme = Scheme;

    fn scoped(&self, epoch: Epoch) -> Option<Scoped<Scheme>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.get(&epoch).cloned().map(Scoped::scheme)
    }
}

/// Every height is in the first epoch.
pub(crate) fn epocher() -> FixedEpocher {
    FixedEpocher::new(NonZeroU64::MAX)
}
