//! Who may say what: each kind of entry against the state that it meets.
//!
//! [`State::refuse`] and what an entry changes come from one judgement, so that they cannot
//! disagree. `docs/LEDGER.md`, "Authority", is the same in words.

mod checks;
mod owners;
mod refusal;

use deepring::keys::{Author, log_digest};
use deepring::outline::{AuthenticOutline, Outline};
use deepring::replication::Evidence;
use deepring::{Digest, Host, Owner, PublicKey, RingId};

use super::{Cause, KeyBytes, Ring, State, Version, role_and_key};
use crate::entry::{Audit, Binding, Entry, Event, ValidatorSet};

use checks::{
    authentic, host, is_host, is_host_of, is_same_ring, not_registered, owner, verify_evidence,
};
pub use refusal::NoAuthority;

/// The change that an entry with authority makes.
#[derive(Debug)]
pub(crate) enum Effect {
    None,
    /// A new version of a ring, the first of a new one among them.
    Version(Box<AuthenticOutline>),
    Revision(Box<AuthenticOutline>),
    RevokeRing {
        ring: RingId,
        digest: Option<Digest>,
    },
    Accuse {
        digest: Digest,
        accused: KeyBytes,
        author: KeyBytes,
    },
    Quarantine {
        digest: Digest,
        host: KeyBytes,
        blocks: Vec<u32>,
        cause: Cause,
        /// The query that evidence is about.
        query: Option<Digest>,
    },
    Repair {
        digest: Digest,
        host: KeyBytes,
        blocks: Vec<u32>,
    },
    Lift {
        digest: Digest,
        host: KeyBytes,
        blocks: Vec<u32>,
    },
    RevokeKey(Author),
    RevokeHost {
        owner: KeyBytes,
        ring: Option<RingId>,
        host: KeyBytes,
    },
    Validators(ValidatorSet),
    Rotate {
        old: KeyBytes,
        new: KeyBytes,
    },
}

/// The change that an entry with authority makes, and the number that it takes from its author.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) effect: Effect,
    /// `None` for decisions.
    pub(crate) counted: Option<((u8, KeyBytes), u64)>,
}

/// How far an author's number may lie above the one before. Whoever signs with a stolen key cannot use
/// the numbers up, and its owner's next one is taken.
const MAX_JUMP: u64 = 1 << 20;

impl Admission {
    pub(crate) fn is_none(&self) -> bool {
        matches!(self.effect, Effect::None) && self.counted.is_none()
    }
}

impl State {
    /// Why an entry has no authority where this state is; `None` where it has.
    #[must_use]
    pub fn refuse(&self, entry: &Entry) -> Option<NoAuthority> {
        self.verify_entry(entry).err()
    }

    /// Why an entry of decisions has no authority at this index; `None` where it has. Needs no more
    /// than the state of today, since each fact has the index that it begins with.
    pub(crate) fn refuse_decisions(
        &self,
        entry: &Entry,
        (ring_digest, dealt): (&Digest, u32),
        before: u64,
    ) -> Option<NoAuthority> {
        let bound = self.verify_log(entry);
        bound.and_then(|()| self.verify_decisions(entry.author(), ring_digest, dealt, before)).err()
    }

    /// The change that an entry makes.
    pub(crate) fn verify_entry(&self, entry: &Entry) -> Result<Admission, NoAuthority> {
        let author = entry.author();
        self.verify_log(entry)?;
        self.verify_author(author, u64::MAX)?;
        let key = role_and_key(author);
        let sequence = entry.binding().sequence;
        let newest = self.sequences.get(&key).copied().unwrap_or(0);
        // Decisions have no number; said again, they say nothing new. Nor does a key's own revocation,
        // which nobody who had the key for a moment must be able to keep out.
        let counted =
            entry.decision().is_none() && !matches!(entry.event(), Event::KeyRevoked { .. });
        if counted && sequence <= newest {
            return Err(NoAuthority::Repeated { sequence, newest });
        }
        if counted && sequence - newest > MAX_JUMP {
            return Err(NoAuthority::TooFarAhead { sequence, newest });
        }
        let effect = self.verify_event(author, entry.event(), entry.binding())?;
        Ok(Admission { effect, counted: counted.then_some((key, sequence)) })
    }

    /// An entry is said in the log that it was signed for.
    fn verify_log(&self, entry: &Entry) -> Result<(), NoAuthority> {
        match entry.binding().log == log_digest(&self.origin) {
            true => Ok(()),
            false => Err(NoAuthority::OtherLog),
        }
    }

    fn verify_event(
        &self,
        author: &Author,
        event: &Event,
        binding: Binding,
    ) -> Result<Effect, NoAuthority> {
        match event {
            Event::RingRegistered { outline } => self.verify_registered(author, outline),
            Event::RingUpgraded { outline } => self.verify_upgraded(author, outline),
            Event::Deal { outline } => self.verify_deal(author, outline),
            Event::RingRevoked { ring_id, ring_digest, .. } => {
                let ring = self.ring_of(owner(author)?, ring_id)?;
                let knows = |d: &Digest| ring.versions.iter().any(|v| v.digest() == *d);
                match ring_digest.filter(|d| !knows(d)) {
                    Some(digest) => Err(not_registered(&digest)),
                    None => Ok(Effect::RevokeRing { ring: *ring_id, digest: *ring_digest }),
                }
            }
            Event::Decisions { ring_digest, dealt, .. } => {
                self.verify_decisions(author, ring_digest, *dealt, u64::MAX)
            }
            Event::Alarm { ring_id, ring_digest, accused, block, evidence, .. } => {
                let version = self.version_of(ring_id, ring_digest)?;
                self.verify_alarm(author, ring_id, version, accused, *block, evidence.as_deref())
            }
            Event::Repair { ring_id, ring_digest, blocks, audit, .. } => {
                let version = self.version_of(ring_id, ring_digest)?;
                self.verify_repair(author, ring_id, version, (blocks, audit, binding))
            }
            Event::KeyRevoked { .. } => Ok(Effect::RevokeKey(*author)),
            Event::ValidatorSet(set) => self.verify_validators(author, set),
            Event::HostRevoked { host, ring_id, .. } => {
                let owner = owner(author)?;
                match ring_id {
                    Some(ring) => _ = self.ring_of(owner, ring)?,
                    None => self.verify_known(owner)?,
                }
                let host = *host.as_bytes();
                let owner = self.root(owner.as_bytes());
                Ok(Effect::RevokeHost { owner, ring: *ring_id, host })
            }
            Event::OwnerRotated { new_owner, signature } => {
                self.verify_rotation(owner(author)?, new_owner, signature)
            }
            Event::QuarantineLifted { ring_id, ring_digest, host, blocks, .. } => {
                self.ring_of(owner(author)?, ring_id)?;
                self.version_of(ring_id, ring_digest)?;
                let (digest, host) = (*ring_digest, *host.as_bytes());
                let free = |b: &&u32| !self.quarantines.contains_key(&(digest, host, **b));
                match blocks.iter().find(free) {
                    Some(block) => Err(NoAuthority::NotQuarantined { block: *block }),
                    None => Ok(Effect::Lift { digest, host, blocks: blocks.clone() }),
                }
            }
        }
    }

    /// Nothing is said by a key that revoked itself, or that gave its rings over.
    fn verify_author(&self, author: &Author, before: u64) -> Result<(), NoAuthority> {
        if let Some(entry) = self.key_revoked(author).filter(|entry| *entry < before) {
            return Err(NoAuthority::AuthorRevoked { author: *author, entry });
        }
        match author {
            Author::Owner(owner) => match self.rotations.get(owner.as_bytes()) {
                Some(rotation) if rotation.entry < before => {
                    Err(NoAuthority::RotatedAway { owner: *owner, entry: rotation.entry })
                }
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn verify_registered(&self, author: &Author, outline: &Outline) -> Result<Effect, NoAuthority> {
        let owner = owner(author)?;
        let outline = authentic(outline)?;
        let ring = outline.ring_id();
        if outline.owner() != *owner {
            return Err(NoAuthority::OutlineOfAnother { named: outline.owner() });
        }
        if self.rings.contains_key(&ring) {
            self.ring_of(owner, &ring)?;
            return Err(NoAuthority::AlreadyRegistered { ring });
        }
        self.verify_new(owner, outline)
    }

    fn verify_upgraded(&self, author: &Author, outline: &Outline) -> Result<Effect, NoAuthority> {
        let owner = owner(author)?;
        let outline = authentic(outline)?;
        if outline.owner() != *owner {
            return Err(NoAuthority::OutlineOfAnother { named: outline.owner() });
        }
        let ring = self.ring_of(owner, &outline.ring_id())?;
        if let Some(entry) = ring.revoked {
            return Err(NoAuthority::RingRevoked { entry });
        }
        let newest = ring.versions.last();
        let kind = newest.and_then(Version::newest).map(|outline| outline.kind());
        let expected = newest.map_or(Digest::NONE, Version::digest);
        let newest = newest.map_or(0, Version::model_version);
        let version = outline.model_version();
        if version <= newest {
            return Err(NoAuthority::NotNewer { version, newest });
        }
        if outline.previous() != Some(expected) {
            return Err(NoAuthority::OtherPrevious { expected });
        }
        if kind.is_some_and(|kind| kind != outline.kind()) {
            return Err(NoAuthority::OtherKind { kind: outline.kind() });
        }
        self.verify_new(owner, outline)
    }

    /// The rules for each new version, the first among them.
    fn verify_new(
        &self,
        owner: &PublicKey<Owner>,
        outline: AuthenticOutline,
    ) -> Result<Effect, NoAuthority> {
        let digest = outline.ring_digest();
        if self.digests.contains_key(&digest) {
            return Err(NoAuthority::DigestInUse { digest });
        }
        if self.validators().is_some_and(|set| !self.admits(set, owner)) {
            return Err(NoAuthority::NotAdmitted { owner: *owner });
        }
        Ok(Effect::Version(Box::new(outline)))
    }

    fn verify_deal(&self, author: &Author, outline: &Outline) -> Result<Effect, NoAuthority> {
        let owner = owner(author)?;
        let outline = authentic(outline)?;
        let ring = outline.ring_id();
        self.ring_of(owner, &ring)?;
        let version = self.version_of(&ring, &outline.ring_digest())?;
        // A ring that was sealed under an earlier key keeps that key; the present one speaks for it.
        let named = outline.owner();
        if self.root(named.as_bytes()) != self.root(owner.as_bytes()) {
            return Err(NoAuthority::OutlineOfAnother { named });
        }
        let newest = version.newest().ok_or_else(|| not_registered(&outline.ring_digest()))?;
        if !is_same_ring(newest, &outline) {
            return Err(NoAuthority::OtherRing);
        }
        let (revision, newest) = (outline.revision(), newest.revision());
        if revision <= newest {
            return Err(NoAuthority::NotNewerRevision { revision, newest });
        }
        Ok(Effect::Revision(Box::new(outline)))
    }

    fn verify_decisions(
        &self,
        author: &Author,
        ring_digest: &Digest,
        dealt: u32,
        before: u64,
    ) -> Result<Effect, NoAuthority> {
        self.verify_author(author, before)?;
        let host = host(author)?;
        let known = self.version(ring_digest).filter(|(_, _, v)| v.entry() < before);
        let (ring, _, version) = known.ok_or_else(|| not_registered(ring_digest))?;
        let revoked = self.ring_revoked(&ring, ring_digest).filter(|entry| *entry < before);
        if let Some(entry) = revoked {
            return Err(NoAuthority::RingRevoked { entry });
        }
        let outline = version.outline_before(before).ok_or_else(|| not_registered(ring_digest))?;
        if !outline.genesis().has_host(host) {
            return Err(NoAuthority::NotAHost { host: *host, block: Some(0) });
        }
        if outline.deal_number() != dealt {
            let newest = outline.deal_number();
            return Err(NoAuthority::OtherDeal { dealt, newest });
        }
        match self.host_revoked(&ring, host).filter(|entry| *entry < before) {
            Some(entry) => Err(NoAuthority::HostRevoked { entry }),
            None => Ok(Effect::None),
        }
    }

    fn verify_alarm(
        &self,
        author: &Author,
        ring: &RingId,
        version: &Version,
        accused: &PublicKey<Host>,
        block: Option<u32>,
        evidence: Option<&Evidence>,
    ) -> Result<Effect, NoAuthority> {
        let outline = version.newest().ok_or_else(|| not_registered(&version.digest()))?;
        let author = self.host_of(author, ring, outline)?;
        match block {
            Some(block) => is_host_of(outline, block, accused)?,
            None if !is_host(outline, accused) => {
                return Err(NoAuthority::NotAHost { host: *accused, block: None });
            }
            None => {}
        }
        let (digest, host) = (outline.ring_digest(), *accused.as_bytes());
        if let Some(evidence) = evidence {
            verify_evidence(evidence, version)?;
            let receipt = evidence.receipt();
            let leg = receipt.first_block..receipt.end_block();
            if !evidence.names().contains(accused) || block.is_some_and(|b| !leg.contains(&b)) {
                return Err(NoAuthority::EvidenceOfAnother);
            }
            let query = receipt.query;
            let known = self.faults.contains_key(&(digest, host, query, receipt.first_block));
            // Two keys that were revoked, as stolen ones are, and one host that passes their records on must not name
            // an honest third; records carry no date by which they could be from before.
            let revoked = |of: &PublicKey<Host>| {
                self.host_revoked(ring, of).is_some()
                    || self.key_revoked(&Author::Host(*of)).is_some()
            };
            if evidence.is_proof() && !known && !evidence.rests_on().iter().any(revoked) {
                return Ok(Effect::Quarantine {
                    digest,
                    host,
                    blocks: leg.collect(),
                    cause: Cause::Evidence,
                    query: Some(query),
                });
            }
            // What proves nothing, or nothing new, is no admission either.
            return Ok(Effect::Accuse { digest, accused: host, author: *author.as_bytes() });
        }
        Ok(match block {
            _ if author != accused => {
                Effect::Accuse { digest, accused: host, author: *author.as_bytes() }
            }
            Some(block) => {
                let (blocks, cause) = (vec![block], Cause::OwnAlarm);
                Effect::Quarantine { digest, host, blocks, cause, query: None }
            }
            None => Effect::None,
        })
    }

    fn verify_repair(
        &self,
        author: &Author,
        ring: &RingId,
        version: &Version,
        (blocks, audit, binding): (&[u32], &Audit, Binding),
    ) -> Result<Effect, NoAuthority> {
        let outline = version.newest().ok_or_else(|| not_registered(&version.digest()))?;
        let digest = outline.ring_digest();
        let author = self.host_of(author, ring, outline)?;
        for block in blocks {
            is_host_of(outline, *block, author)?;
        }
        let hosts = |block: u32| outline.blocks().get(block as usize).map(|b| b.hosts.as_slice());
        match &audit.countersignature {
            None => {
                let other =
                    |h: &PublicKey<Host>| h != author && self.host_revoked(ring, h).is_none();
                let shared = |block: &&u32| hosts(**block).is_some_and(|all| all.iter().any(other));
                if let Some(block) = blocks.iter().find(shared) {
                    return Err(NoAuthority::NotCountersigned { block: *block });
                }
            }
            Some(by) => {
                let sound = |block: u32| {
                    by.host != *author
                        && hosts(block).is_some_and(|all| all.contains(&by.host))
                        && self.host_revoked(ring, &by.host).is_none()
                        && !self.quarantines.contains_key(&(digest, *by.host.as_bytes(), block))
                };
                if let Some(block) = blocks.iter().find(|b| !sound(**b)) {
                    return Err(NoAuthority::Countersigner { block: *block });
                }
                if !by.is_over(&audit.statement(binding, &digest, blocks, author)) {
                    return Err(NoAuthority::Countersignature);
                }
            }
        }
        Ok(Effect::Repair { digest, host: *author.as_bytes(), blocks: blocks.to_vec() })
    }

    /// A ring of this owner's.
    fn ring_of(&self, owner: &PublicKey<Owner>, ring: &RingId) -> Result<&Ring, NoAuthority> {
        let of = self.rings.get(ring).ok_or_else(|| not_registered(ring))?;
        match of.owner == self.root(owner.as_bytes()) {
            true => Ok(of),
            false => Err(NoAuthority::NotTheOwner { ring: *ring }),
        }
    }

    /// A registered version of a ring, neither of them revoked.
    fn version_of(&self, ring: &RingId, digest: &Digest) -> Result<&Version, NoAuthority> {
        let found = self.version(digest).filter(|(id, _, _)| id == ring);
        let (_, _, version) = found.ok_or_else(|| not_registered(digest))?;
        match self.ring_revoked(ring, digest) {
            Some(entry) => Err(NoAuthority::RingRevoked { entry }),
            None => Ok(version),
        }
    }

    /// The author as a host of some block of a ring.
    fn host_of<'a>(
        &self,
        author: &'a Author,
        ring: &RingId,
        outline: &AuthenticOutline,
    ) -> Result<&'a PublicKey<Host>, NoAuthority> {
        let host = host(author)?;
        if !is_host(outline, host) {
            return Err(NoAuthority::NotAHost { host: *host, block: None });
        }
        match self.host_revoked(ring, host) {
            Some(entry) => Err(NoAuthority::HostRevoked { entry }),
            None => Ok(host),
        }
    }
}
