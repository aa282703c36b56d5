//! Entries of owners: revocations, lifted quarantines, other keys, and who keeps the ledger.

use deepring::keys::{AuthorKey, Node, SigningOwner};
use deepring::{Digest, Host, Owner, PublicKey, RingId};

use crate::entry::{EntryError, Event, ValidatorSet};
use crate::error::LedgerError;
use crate::ledger::Ledger;
use crate::state::State;
use crate::witness::QuorumError;

impl Ledger {
    /// Revokes a version of a ring, or all that there are and will be if `ring_digest` is `None`;
    /// returns the entry's index. `reason` is for people. Signed by the owner.
    ///
    /// # Errors
    /// As [`Ledger::record`].
    pub fn revoke_ring(
        &mut self,
        ring_id: RingId,
        ring_digest: Option<Digest>,
        reason: String,
        owner: &AuthorKey,
    ) -> Result<u64, LedgerError> {
        self.record(&Event::RingRevoked { ring_id, ring_digest, reason }, owner)
    }

    /// Revokes the key that signs this, of an owner, a host or a node; returns the entry's index.
    /// `reason` is for people.
    ///
    /// # Errors
    /// As [`Ledger::record`].
    pub fn revoke_key(&mut self, reason: String, key: &AuthorKey) -> Result<u64, LedgerError> {
        self.record(&Event::KeyRevoked { reason }, key)
    }

    /// Revokes a host for a ring, or for all rings of the owner if `ring_id` is `None`; returns the
    /// entry's index. `reason` is for people. Signed by the owner.
    ///
    /// # Errors
    /// As [`Ledger::record`].
    pub fn revoke_host(
        &mut self,
        host: PublicKey<Host>,
        ring_id: Option<RingId>,
        reason: String,
        owner: &AuthorKey,
    ) -> Result<u64, LedgerError> {
        self.record(&Event::HostRevoked { host, ring_id, reason }, owner)
    }

    /// Lifts the quarantine of a host's copies of blocks of a version, each of which must be
    /// quarantined; returns the entry's index. `reason` is for people. Signed by the owner.
    ///
    /// # Errors
    /// As [`Ledger::record`].
    pub fn lift_quarantine(
        &mut self,
        (ring_id, ring_digest): (RingId, Digest),
        host: PublicKey<Host>,
        blocks: Vec<u32>,
        reason: String,
        owner: &AuthorKey,
    ) -> Result<u64, LedgerError> {
        let event = Event::QuarantineLifted { ring_id, ring_digest, host, blocks, reason };
        self.record(&event, owner)
    }

    /// Gives the rings of an owner's key over to another key of the same owner; returns the entry's
    /// index. Both keys sign it.
    ///
    /// # Errors
    /// [`EntryError::Signer`] in [`LedgerError::Entry`] where one of them does not; else as
    /// [`Ledger::record`].
    pub fn rotate_owner(
        &mut self,
        old: impl Into<SigningOwner>,
        new: impl Into<SigningOwner>,
    ) -> Result<u64, LedgerError> {
        let old = old.into();
        let rotation = Event::rotation(&old.public(), new).map_err(EntryError::from)?;
        self.record(&rotation, &old.into())
    }

    /// Puts the ledger into the care of a validator set, which [`State::next_validators`] makes;
    /// returns the entry's index. Signed by an owner whom the present set names; of a first set, by
    /// one whom it names itself.
    ///
    /// # Errors
    /// As [`Ledger::record`].
    pub fn set_validators(
        &mut self,
        set: ValidatorSet,
        owner: &AuthorKey,
    ) -> Result<u64, LedgerError> {
        self.record(&Event::ValidatorSet(set), owner)
    }
}

impl State {
    /// The validator set of these owners and nodes that may follow the present one, or may be the
    /// first. Both are given in ascending order of their keys' bytes, each key once.
    ///
    /// # Errors
    /// [`QuorumError::UncountableNode`]: no certificate of such a set would be accepted.
    pub fn next_validators(
        &self,
        owners: Vec<PublicKey<Owner>>,
        nodes: Vec<PublicKey<Node>>,
    ) -> Result<ValidatorSet, QuorumError> {
        let epoch = self.validators().map_or(0, |set| set.epoch).saturating_add(1);
        let set = ValidatorSet { epoch, origin: self.origin().to_owned(), owners, nodes };
        set.cosigners()?;
        Ok(set)
    }
}
