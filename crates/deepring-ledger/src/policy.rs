//! The refusals of a ledger: a ring, owner or host that it revokes, a version older than it knows,
//! another ring of a version that it knows.
//!
//! A host that runs or repairs a ring asks [`Ledger::admit`]; a verifier of a decision asks
//! [`Ledger::revocation`] and [`Ledger::upgraded_before`]. The answers are those of the whole
//! ledger, also where they are "nothing" (see [`Ledger::about_ring`]). Registrations by another
//! owner than the ring's say nothing about it: ids are public, and anybody can seal under one.

use std::collections::BTreeSet;

use deepring::trust::OwnedRing;
use deepring::{AuthenticRing, Digest, Host, Owner, PublicKey};
use thiserror::Error;

use crate::entry::Event;
use crate::error::LedgerError;
use crate::ledger::Ledger;

/// The subject of a revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Revoked {
    /// The version of the ring that was asked about.
    Ring,
    /// The key of its owner.
    Owner,
    /// The key of this host.
    Host(PublicKey<Host>),
}

/// A revocation that applies to the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Revocation {
    /// Its subject.
    pub what: Revoked,
    /// Index of the entry.
    pub entry: u64,
}

/// Why a ring must not be put to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The ring, its owner or a host is revoked.
    #[error("{} is revoked by entry {} of the ledger", match .0.what {
        Revoked::Ring => "this ring",
        Revoked::Owner => "the owner's key",
        Revoked::Host(_) => "a host's key",
    }, .0.entry)]
    Revoked(Revocation),
    /// The ledger knows a newer version.
    #[error("model version {version} is older than version {known}, which the ledger knows")]
    Older {
        /// Version of the ring.
        version: u64,
        /// The first newer version that the ledger holds.
        known: u64,
    },
    /// The ledger knows a ring of the same version and another digest.
    #[error("the ledger knows another ring of the same version {version}")]
    Twin {
        /// The version.
        version: u64,
    },
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
    /// Indices of blocks that raised an alarm and of which no repair is recorded since; Genesis is
    /// 0.
    pub quarantined: BTreeSet<u32>,
}

/// A registration of a ring by its owner.
pub(crate) struct Registration {
    pub(crate) entry: u64,
    pub(crate) model_version: u64,
    pub(crate) ring_digest: [u8; 32],
}

impl Ledger {
    /// Checks that a ring may be put to use on these hosts.
    ///
    /// # Errors
    /// [`AdmitError::Refused`] where the ledger refuses it; [`AdmitError::Ledger`] as
    /// [`Ledger::entry`].
    pub fn admit(
        &self,
        ring: &AuthenticRing,
        hosts: impl IntoIterator<Item = PublicKey<Host>>,
    ) -> Result<Admitted, AdmitError> {
        if let Some(revocation) = self.revocation(&ring.digest(), &ring.owner(), hosts)? {
            return Err(Refusal::Revoked(revocation).into());
        }
        let (version, digest) = (ring.model_version(), ring.digest().0);
        let registrations = self.registrations(&ring.owned())?;
        if let Some(newer) = registrations.iter().find(|r| r.model_version > version) {
            return Err(Refusal::Older { version, known: newer.model_version }.into());
        }
        let twin = |r: &Registration| r.model_version == version && r.ring_digest != digest;
        if registrations.iter().any(twin) {
            return Err(Refusal::Twin { version }.into());
        }
        Ok(Admitted { quarantined: self.quarantined(&digest)? })
    }

    /// The first revocation of this version of a ring, of its owner or of one of these hosts, asked
    /// in this order.
    ///
    /// # Errors
    /// As [`Ledger::entry`].
    pub fn revocation(
        &self,
        ring_digest: &Digest,
        owner: &PublicKey<Owner>,
        hosts: impl IntoIterator<Item = PublicKey<Host>>,
    ) -> Result<Option<Revocation>, LedgerError> {
        if let Some(entry) = self.ring_revocation(&ring_digest.0)? {
            return Ok(Some(Revocation { what: Revoked::Ring, entry }));
        }
        if let Some(entry) = self.key_revocation(owner.as_bytes())? {
            return Ok(Some(Revocation { what: Revoked::Owner, entry }));
        }
        for host in hosts {
            if let Some(entry) = self.key_revocation(host.as_bytes())? {
                return Ok(Some(Revocation { what: Revoked::Host(host), entry }));
            }
        }
        Ok(None)
    }

    /// The first entry before index `before` in which the ring's owner has a newer version of it
    /// than `version`, and that version: a host that decided with `version` after it used an old
    /// one.
    ///
    /// # Errors
    /// As [`Ledger::entry`].
    pub fn upgraded_before(
        &self,
        ring: &OwnedRing,
        version: u64,
        before: u64,
    ) -> Result<Option<(u64, u64)>, LedgerError> {
        let registrations = self.registrations(ring)?;
        let mut earlier = registrations.iter().take_while(|r| r.entry < before);
        let newer = earlier.find(|r| r.model_version > version);
        Ok(newer.map(|r| (r.entry, r.model_version)))
    }

    /// Every registration of a ring by its owner, in the order recorded.
    pub(crate) fn registrations(&self, ring: &OwnedRing) -> Result<Vec<Registration>, LedgerError> {
        let entries = self.about_ring(&ring.ring.0)?;
        let of_its_owner = entries.into_iter().filter_map(|(entry, it)| match it.event {
            Event::RingRegistered { owner, model_version, ring_digest, .. }
            | Event::RingUpgraded { owner, model_version, ring_digest, .. }
                if owner == *ring.owner.as_bytes() =>
            {
                Some(Registration { entry, model_version, ring_digest })
            }
            _ => None,
        });
        Ok(of_its_owner.collect())
    }
}
