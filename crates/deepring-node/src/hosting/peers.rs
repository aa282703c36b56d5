//! The hosts of a deal, and the key by which the network knows each.

use std::collections::BTreeMap;

use commonware_codec::{Copying, DecodeExt as _};
use commonware_cryptography::{Signer as _, ed25519};
use deepring::{AuthenticRing, Host, PublicKey, SecretKey};

use super::error::HostingError;

/// The network's key of a host: the signing half of the host's own.
///
/// # Errors
/// [`HostingError::NoIdentity`] for a key that is no point of the curve.
pub fn host_identity(host: &PublicKey<Host>) -> Result<ed25519::PublicKey, HostingError> {
    ed25519::PublicKey::decode(Copying(host.network_half().as_slice()))
        .map_err(|_| HostingError::NoIdentity { host: host.short() })
}

/// The network's secret key of a host: for whoever opens the network that hosts meet in.
///
/// # Errors
/// [`HostingError::NoIdentity`] where the network does not take it.
pub fn host_identity_key(host: &SecretKey<Host>) -> Result<ed25519::PrivateKey, HostingError> {
    let seed = host.expose_seed();
    ed25519::PrivateKey::decode(Copying(seed.as_slice()))
        .map_err(|_| HostingError::NoIdentity { host: host.public().short() })
}

/// The other hosts of a ring's deal.
#[derive(Debug, Clone)]
pub(crate) struct HostPeers {
    by_identity: BTreeMap<ed25519::PublicKey, PublicKey<Host>>,
}

impl HostPeers {
    /// The hosts that the ring is dealt to, but for this one.
    pub(crate) fn of(ring: &AuthenticRing, me: &SecretKey<Host>) -> Result<Self, HostingError> {
        let deal = ring.outline().deal().ok_or(HostingError::NotDealt)?;
        let mine = host_identity_key(me)?.public_key();
        let mut by_identity = BTreeMap::new();
        for host in deal.legs.iter().flat_map(|leg| &leg.hosts).chain(&deal.genesis) {
            let identity = host_identity(host)?;
            // Two hosts that sign alike would be one peer.
            if *by_identity.entry(identity).or_insert(*host) != *host {
                return Err(HostingError::SignAlike { host: host.short() });
            }
        }
        if by_identity.remove(&mine) != Some(me.public()) {
            return Err(HostingError::NotInDeal);
        }
        Ok(Self { by_identity })
    }

    /// Each with the key by which the network knows it.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&ed25519::PublicKey, &PublicKey<Host>)> {
        self.by_identity.iter()
    }
}
