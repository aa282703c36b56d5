//! Whose rings a ledger takes, and the key that an owner goes over to.

use deepring::keys::Author;
use deepring::{Owner, PublicKey};

use super::super::{Ring, State};
use super::checks::owner;
use super::{Effect, NoAuthority};
use crate::entry::ValidatorSet;

/// Highest epoch of a ledger's first validator set.
const MAX_FIRST_EPOCH: u64 = (1 << 32) - 1;

impl State {
    pub(super) fn verify_validators(
        &self,
        author: &Author,
        set: &ValidatorSet,
    ) -> Result<Effect, NoAuthority> {
        let owner = owner(author)?;
        if set.origin != self.origin {
            let expected = self.origin.clone();
            return Err(NoAuthority::OtherOrigin { found: set.origin.clone(), expected });
        }
        if let Some(node) = set.counts_twice() {
            return Err(NoAuthority::CountsTwice { node: node.short() });
        }
        for node in &set.nodes {
            if let Some(entry) = self.key_revoked(&Author::Node(*node)) {
                return Err(NoAuthority::NodeRevoked { node: node.short(), entry });
            }
        }
        let present = self.validators();
        if !self.admits(present.unwrap_or(set), owner) {
            return Err(NoAuthority::NotOfTheSet { owner: *owner });
        }
        if present.is_none() && !self.rings.is_empty() {
            // Whose rings are here already brings the first set, and leaves none of them out.
            let root = self.root(owner.as_bytes());
            let owns = self.rings.values().any(|ring| ring.owner == root);
            let left_out =
                |ring: &&Ring| !self.admits(set, &PublicKey::from_bytes(self.present(&ring.owner)));
            if !owns {
                return Err(NoAuthority::NoRing { owner: *owner });
            }
            if let Some(ring) = self.rings.values().find(left_out) {
                let owner = PublicKey::from_bytes(self.present(&ring.owner));
                return Err(NoAuthority::LeftOut { owner });
            }
        }
        match present {
            // Every set has one after it: a ledger's first owner cannot use the numbers up.
            None if set.epoch > MAX_FIRST_EPOCH => {
                return Err(NoAuthority::FirstEpoch { found: set.epoch, most: MAX_FIRST_EPOCH });
            }
            Some(present) if present.epoch.checked_add(1) != Some(set.epoch) => {
                let expected = present.epoch.saturating_add(1);
                return Err(NoAuthority::OtherEpoch { found: set.epoch, expected });
            }
            _ => {}
        }
        Ok(Effect::Validators(set.clone()))
    }

    pub(super) fn verify_rotation(
        &self,
        old: &PublicKey<Owner>,
        new: &PublicKey<Owner>,
        signature: &[u8; 64],
    ) -> Result<Effect, NoAuthority> {
        self.verify_known(old)?;
        let author = Author::Owner(*new);
        let (old_key, key) = (*old.as_bytes(), *new.as_bytes());
        let in_use = old == new
            || self.roots.contains_key(&key)
            || self.rotations.contains_key(&key)
            || self.key_revoked(&author).is_some()
            || self.rings.values().any(|ring| ring.owner == key)
            || self.validators().is_some_and(|set| set.owners.contains(new))
            || self.revoked_hosts.keys().any(|(owner, _, _)| *owner == key);
        if in_use {
            return Err(NoAuthority::KeyInUse);
        }
        if !author.has_signed_rotation(old, signature) {
            return Err(NoAuthority::RotationNotSigned);
        }
        Ok(Effect::Rotate { old: old_key, new: key })
    }

    /// An owner with a ring here, or of the validator set.
    pub(super) fn verify_known(&self, owner: &PublicKey<Owner>) -> Result<(), NoAuthority> {
        let root = self.root(owner.as_bytes());
        let owns = self.rings.values().any(|ring| ring.owner == root);
        match owns || self.validators().is_some_and(|set| self.admits(set, owner)) {
            true => Ok(()),
            false => Err(NoAuthority::NoRing { owner: *owner }),
        }
    }

    pub(crate) fn admits(&self, set: &ValidatorSet, owner: &PublicKey<Owner>) -> bool {
        let root = self.root(owner.as_bytes());
        set.owners.iter().any(|named| self.root(named.as_bytes()) == root)
    }
}
