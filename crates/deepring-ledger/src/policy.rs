//! The refusals of a ledger: a ring, owner or host that it revokes, a version older than it knows,
//! another ring of a version that it knows, a copy that is quarantined.
//!
//! A host that runs a ring asks [`Ledger::admit`]; a verifier of a decision asks
//! [`State::revoked_before`](crate::State::revoked_before) and [`Ledger::upgraded_before`]. The
//! answers are those of the whole ledger, also where they are "nothing" (see [`Ledger::state`]).

use std::cmp::Ordering;

use deepring::deal::Deal;
use deepring::keys::Author;
use deepring::outline::AuthenticOutline;
use deepring::{Host, Owner, PublicKey, RingId};
use thiserror::Error;

use crate::error::LedgerError;
use crate::ledger::Ledger;
use crate::state::{Quarantined, Revocation, Revoked, State, Version};

/// Why a ring must not be put to use.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The ring, its owner or a host is revoked.
    #[error("{} is revoked by entry {} of the ledger", match .0.what {
        Revoked::Ring => "this ring",
        Revoked::Owner => "the owner's key",
        Revoked::Host(_) => "a host's key",
    }, .0.entry)]
    Revoked(Revocation),
    /// The ledger knows no ring of this id, or not this version of it.
    #[error("this version of the ring is not registered in the ledger")]
    NotRegistered,
    /// The ledger knows the ring under another owner.
    #[error("the ledger knows this ring under another owner")]
    OtherOwner,
    /// The validator set does not name the owner.
    #[error("owner {} is not named by the ledger's validator set", .owner.short())]
    NotAdmitted {
        /// The owner.
        owner: PublicKey<Owner>,
    },
    /// The ledger knows a newer version.
    #[error("model version {version} is older than version {known}, which the ledger knows")]
    Older {
        /// Version of the ring.
        version: u64,
        /// The newest version that the ledger holds.
        known: u64,
    },
    /// The ledger knows a newer deal of this version: who hosts its legs, and validates them, is said
    /// there.
    #[error(
        "this is the ring under deal {dealt} (0: not dealt), and the ledger knows deal {known}"
    )]
    OlderDeal {
        /// Number of the ring's deal; 0 for none.
        dealt: u32,
        /// The newest deal's that the ledger holds.
        known: u32,
    },
    /// The ring is dealt anew since, and its owner has not registered that.
    #[error(
        "the ring's deal {dealt} is not registered in the ledger, which knows deal {known} (0: none)"
    )]
    NewerDeal {
        /// Number of the ring's deal.
        dealt: u32,
        /// The newest deal's that the ledger holds; 0 for none.
        known: u32,
    },
    /// The ledger knows a ring of the same version and another digest.
    #[error("the ledger knows another ring of the same version {version}")]
    Twin {
        /// The version.
        version: u64,
    },
    /// The ledger knows another deal of the same number.
    #[error("the ledger knows another deal of the same number {dealt}")]
    OtherDeal {
        /// The number.
        dealt: u32,
    },
    /// A copy that one of these hosts would use is quarantined.
    #[error("block {} of host {} is quarantined by entry {} of the ledger", .0.block, .0.host.short(), .0.entry)]
    Quarantined(Quarantined),
}

/// Why [`Ledger::admit`] does not admit a ring.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AdmitError {
    /// The ledger refuses it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The ledger could not be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// The facts about a ring that is admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Admitted {
    /// Quarantined copies of other hosts than those that asked.
    pub quarantined: Vec<Quarantined>,
}

impl Ledger {
    /// Checks that a ring may be put to use on these hosts. Give no hosts to make a ring whole
    /// again: then no copy's quarantine stands in the way.
    ///
    /// # Errors
    /// [`AdmitError::Refused`] where the ledger refuses it; [`AdmitError::Ledger`] as
    /// [`Ledger::state`].
    pub fn admit(
        &self,
        outline: &AuthenticOutline,
        hosts: impl IntoIterator<Item = PublicKey<Host>>,
    ) -> Result<Admitted, AdmitError> {
        Ok(self.state()?.admit(outline, hosts)?)
    }
}

impl State {
    /// As [`Ledger::admit`].
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn admit(
        &self,
        outline: &AuthenticOutline,
        hosts: impl IntoIterator<Item = PublicKey<Host>>,
    ) -> Result<Admitted, Refusal> {
        let hosts: Vec<PublicKey<Host>> = hosts.into_iter().collect();
        let (version, digest) = (outline.model_version(), outline.ring_digest());
        if let Some(revocation) = self.revoked_before(u64::MAX, outline, hosts.iter().copied()) {
            return Err(Refusal::Revoked(revocation));
        }
        let of = self.rings.get(&outline.ring_id()).ok_or(Refusal::NotRegistered)?;
        if of.owner != self.root(outline.owner().as_bytes()) {
            return Err(Refusal::OtherOwner);
        }
        let known = of.versions.last().map_or(0, Version::model_version);
        if known > version {
            return Err(Refusal::Older { version, known });
        }
        let twin = |v: &Version| v.model_version() == version && v.digest() != digest;
        if of.versions.iter().any(twin) {
            return Err(Refusal::Twin { version });
        }
        let same = of.versions.iter().find(|v| v.digest() == digest);
        let newest = same.and_then(Version::newest).ok_or(Refusal::NotRegistered)?;
        let (dealt, known) = (outline.deal_number(), newest.deal_number());
        match dealt.cmp(&known) {
            Ordering::Less => return Err(Refusal::OlderDeal { dealt, known }),
            Ordering::Greater => return Err(Refusal::NewerDeal { dealt, known }),
            Ordering::Equal => {}
        }
        let other = |deal: &Deal| newest.deal().map(Deal::digest) != Some(deal.digest());
        if outline.deal().is_some_and(other) {
            return Err(Refusal::OtherDeal { dealt });
        }
        let (own, quarantined): (Vec<_>, _) =
            self.quarantined(&digest).partition(|q| hosts.contains(&q.host));
        match own.first() {
            Some(first) => Err(Refusal::Quarantined(*first)),
            None => Ok(Admitted { quarantined }),
        }
    }

    /// Checks that an owner may seal the next version of a ring, for these hosts. A version that is
    /// revoked may be followed, a ring that is may not.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn admit_next(
        &self,
        ring: &RingId,
        owner: &PublicKey<Owner>,
        hosts: impl IntoIterator<Item = PublicKey<Host>>,
    ) -> Result<(), Refusal> {
        let of = self.rings.get(ring).ok_or(Refusal::NotRegistered)?;
        let revoked = |what, entry: Option<u64>| match entry {
            Some(entry) => Err(Refusal::Revoked(Revocation { what, entry })),
            None => Ok(()),
        };
        revoked(Revoked::Ring, of.revoked)?;
        if self.present(&of.owner) != *owner.as_bytes() {
            return Err(Refusal::OtherOwner);
        }
        revoked(Revoked::Owner, self.key_revoked(&Author::Owner(*owner)))?;
        for host in hosts {
            revoked(Revoked::Host(host), self.host_revoked(ring, &host))?;
        }
        match self.validators().is_some_and(|set| !self.admits(set, owner)) {
            true => Err(Refusal::NotAdmitted { owner: *owner }),
            false => Ok(()),
        }
    }
}
