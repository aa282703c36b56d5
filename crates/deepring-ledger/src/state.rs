//! The state that the entries of a ledger come to: who owns which ring, what is revoked, what is quarantined.
//!
//! A [`State`] is built from entries in their order and from nothing else, so whoever has the
//! entries has the same state. What an entry may change is for `authority` to judge; here is what
//! it changes. Effects begin with the entry's index, never with a clock: each question about what
//! is refused can be asked as of an earlier index.

mod authority;
mod codec;

use std::collections::BTreeMap;
use std::sync::Arc;

use deepring::keys::Author;
use deepring::outline::AuthenticOutline;
use deepring::trust::OwnedRing;
use deepring::{Digest, Host, Owner, PublicKey, RingId};
use serde::Serialize;

use crate::entry::{Binding, Entry, ValidatorSet};

pub use authority::NoAuthority;
use authority::{Admission, Effect};

/// A public key's bytes: what keys are ordered by.
pub(crate) type KeyBytes = [u8; 64];

/// Why a host's copy of a block is quarantined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cause {
    /// The host said so itself; its own repair, countersigned, lifts it.
    OwnAlarm,
    /// Signed records prove the host's fault; only the owner lifts it.
    Evidence,
}

/// A host's copy of a block that must not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Quarantined {
    /// The host.
    pub host: PublicKey<Host>,
    /// Index of the block; Genesis is 0.
    pub block: u32,
    /// Why.
    pub cause: Cause,
    /// Index of the entry that says so.
    pub entry: u64,
}

/// Alarms of one host about another that prove nothing; they are kept, and have no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Accusation {
    /// The host that is accused.
    pub accused: PublicKey<Host>,
    /// The host that accuses.
    pub author: PublicKey<Host>,
    /// How often.
    pub count: u64,
    /// Index of the newest of these entries.
    pub newest: u64,
}

/// The subject of a revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Revoked {
    /// The ring, or the version of it that was asked about.
    Ring,
    /// The key of its owner.
    Owner,
    /// This host: its key, or the owner's trust in it.
    Host(PublicKey<Host>),
}

/// A revocation that applies to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Revocation {
    /// Its subject.
    pub what: Revoked,
    /// Index of the entry.
    pub entry: u64,
}

/// One version of a ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    /// Its outlines with the entries that brought them, by ascending revision; at least one.
    pub(crate) outlines: Vec<(u64, Arc<AuthenticOutline>)>,
    pub(crate) revoked: Option<u64>,
}

/// A ring, through all its versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ring {
    /// The first key of its owner; [`State::present`] gives the one that signs now.
    pub(crate) owner: KeyBytes,
    /// By ascending model version; at least one.
    pub(crate) versions: Vec<Version>,
    pub(crate) revoked: Option<u64>,
}

/// An owner's key that gave its rings over to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyRotation {
    pub(crate) to: KeyBytes,
    pub(crate) entry: u64,
}

/// The facts that the first entries of a ledger come to; see the module's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    pub(crate) origin: String,
    pub(crate) size: u64,
    pub(crate) rings: BTreeMap<RingId, Ring>,
    pub(crate) digests: BTreeMap<Digest, RingId>,
    /// By the key that was given up.
    pub(crate) rotations: BTreeMap<KeyBytes, KeyRotation>,
    /// Of each key that was rotated to: the first key of the same owner.
    pub(crate) roots: BTreeMap<KeyBytes, KeyBytes>,
    /// By role (0 owner, 1 host, 2 node) and key.
    pub(crate) revoked_keys: BTreeMap<(u8, KeyBytes), u64>,
    /// By owner (first key), ring (none: all) and host.
    pub(crate) revoked_hosts: BTreeMap<(KeyBytes, Option<RingId>, KeyBytes), u64>,
    pub(crate) validators: Option<(u64, ValidatorSet)>,
    /// By ring digest, host and block.
    pub(crate) quarantines: BTreeMap<(Digest, KeyBytes, u32), (Cause, u64)>,
    /// Faults that evidence proved, by ring digest, host, query and first block of the leg: each has
    /// its effect once, also where it is told again after the owner lifted the quarantine.
    pub(crate) faults: BTreeMap<(Digest, KeyBytes, Digest, u32), u64>,
    /// By role and key: the newest sequence of that author.
    pub(crate) sequences: BTreeMap<(u8, KeyBytes), u64>,
    /// By ring digest, accused and author: count and newest entry.
    pub(crate) accusations: BTreeMap<(Digest, KeyBytes, KeyBytes), (u64, u64)>,
}

impl Version {
    /// The outline of the newest revision that was known before this index.
    pub(crate) fn outline_before(&self, before: u64) -> Option<&Arc<AuthenticOutline>> {
        let known = self.outlines.iter().rev().find(|(entry, _)| *entry < before);
        known.map(|(_, outline)| outline)
    }

    pub(crate) fn newest(&self) -> Option<&Arc<AuthenticOutline>> {
        self.outlines.last().map(|(_, outline)| outline)
    }

    /// Index of the entry that registered it.
    pub(crate) fn entry(&self) -> u64 {
        self.outlines.first().map_or(u64::MAX, |(entry, _)| *entry)
    }

    pub(crate) fn digest(&self) -> Digest {
        self.newest().map_or(Digest::NONE, |outline| outline.ring_digest())
    }

    pub(crate) fn model_version(&self) -> u64 {
        self.newest().map_or(0, |outline| outline.model_version())
    }
}

impl State {
    /// The state of a ledger of this name without entries.
    #[must_use]
    pub fn new(origin: &str) -> Self {
        Self {
            origin: origin.to_owned(),
            size: 0,
            rings: BTreeMap::new(),
            digests: BTreeMap::new(),
            rotations: BTreeMap::new(),
            roots: BTreeMap::new(),
            revoked_keys: BTreeMap::new(),
            revoked_hosts: BTreeMap::new(),
            validators: None,
            quarantines: BTreeMap::new(),
            faults: BTreeMap::new(),
            sequences: BTreeMap::new(),
            accusations: BTreeMap::new(),
        }
    }

    /// Name of the log that it is the state of.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The log and number that the next entry of an author is bound to.
    #[must_use]
    pub fn binding(&self, author: &Author) -> Binding {
        let newest = self.sequences.get(&role_and_key(author)).copied().unwrap_or(0);
        Binding::new(&self.origin, newest.saturating_add(1))
    }

    /// Number of entries that it is the state after.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The outline of the newest version of a ring, in its newest revision.
    #[must_use]
    pub fn newest(&self, ring: &RingId) -> Option<&AuthenticOutline> {
        Some(self.rings.get(ring)?.versions.last()?.newest()?)
    }

    /// The outline of the newest version of a ring that this key signed, in its newest revision.
    #[must_use]
    pub fn newest_by(&self, ring: &RingId, owner: &PublicKey<Owner>) -> Option<&AuthenticOutline> {
        let newest_first = self.rings.get(ring)?.versions.iter().rev();
        newest_first.filter_map(Version::newest).map(|o| &**o).find(|o| o.owner() == *owner)
    }

    /// The outlines of a version of a ring: each revision that was registered, newest first.
    pub fn outlines(&self, ring_digest: &Digest) -> impl Iterator<Item = &AuthenticOutline> {
        let version = self.version(ring_digest).map(|(_, _, version)| version);
        version.into_iter().flat_map(|v| v.outlines.iter().rev().map(|(_, outline)| &**outline))
    }

    /// The key that signs for a ring now.
    #[must_use]
    pub fn owner_of(&self, ring: &RingId) -> Option<PublicKey<Owner>> {
        Some(PublicKey::from_bytes(self.present(&self.rings.get(ring)?.owner)))
    }

    /// The keys of a ring's owner, each rotated to the one behind it; the last signs now.
    #[must_use]
    pub fn keys_of(&self, ring: &RingId) -> Vec<PublicKey<Owner>> {
        let first = self.rings.get(ring).map(|of| of.owner);
        let next = |key: &KeyBytes| self.rotations.get(key).map(|rotation| rotation.to);
        std::iter::successors(first, next).map(PublicKey::from_bytes).collect()
    }

    /// The key by which the owner of this one signs now: the last that it was rotated to, or itself.
    #[must_use]
    pub fn present_key(&self, owner: &PublicKey<Owner>) -> PublicKey<Owner> {
        PublicKey::from_bytes(self.present(owner.as_bytes()))
    }

    /// Index of the entry by which an owner's key gave its rings over to another.
    #[must_use]
    pub fn rotated_away(&self, owner: &PublicKey<Owner>) -> Option<u64> {
        self.rotations.get(owner.as_bytes()).map(|rotation| rotation.entry)
    }

    /// Who keeps the ledger; `None` where nobody said.
    #[must_use]
    pub fn validators(&self) -> Option<&ValidatorSet> {
        self.validators.as_ref().map(|(_, set)| set)
    }

    /// The copies of a version's blocks that are quarantined.
    pub fn quarantined(&self, ring_digest: &Digest) -> impl Iterator<Item = Quarantined> + '_ {
        let (from, to) = ((*ring_digest, [0; 64], 0), (*ring_digest, [0xff; 64], u32::MAX));
        self.quarantines.range(from..=to).map(|((_, host, block), (cause, entry))| Quarantined {
            host: PublicKey::from_bytes(*host),
            block: *block,
            cause: *cause,
            entry: *entry,
        })
    }

    /// The alarms about a version that prove nothing.
    pub fn accusations(&self, ring_digest: &Digest) -> impl Iterator<Item = Accusation> + '_ {
        let from = (*ring_digest, [0; 64], [0; 64]);
        let to = (*ring_digest, [0xff; 64], [0xff; 64]);
        self.accusations.range(from..=to).map(|((_, accused, author), (count, newest))| {
            Accusation {
                accused: PublicKey::from_bytes(*accused),
                author: PublicKey::from_bytes(*author),
                count: *count,
                newest: *newest,
            }
        })
    }

    /// Index of the entry by which a key revoked itself.
    #[must_use]
    pub fn key_revoked(&self, key: &Author) -> Option<u64> {
        self.revoked_keys.get(&role_and_key(key)).copied()
    }

    /// Index of the first entry that revokes a host for a ring: by its own key, or by the owner.
    #[must_use]
    pub fn host_revoked(&self, ring: &RingId, host: &PublicKey<Host>) -> Option<u64> {
        let key = *host.as_bytes();
        let by_owner = self.rings.get(ring).map(|of| of.owner).into_iter().flat_map(|owner| {
            [Some(*ring), None].map(|ring| self.revoked_hosts.get(&(owner, ring, key)).copied())
        });
        by_owner.flatten().chain(self.key_revoked(&Author::Host(*host))).min()
    }

    /// Index of the entry by which an owner revoked a host for all of its rings.
    #[must_use]
    pub fn host_revoked_by(&self, owner: &PublicKey<Owner>, host: &PublicKey<Host>) -> Option<u64> {
        let place = (self.root(owner.as_bytes()), None, *host.as_bytes());
        self.revoked_hosts.get(&place).copied()
    }

    /// Index of the first entry that revokes a ring, or this version of it.
    #[must_use]
    pub fn ring_revoked(&self, ring: &RingId, ring_digest: &Digest) -> Option<u64> {
        let of = self.rings.get(ring)?;
        let version = of.versions.iter().find(|v| v.digest() == *ring_digest);
        of.revoked.into_iter().chain(version.and_then(|v| v.revoked)).min()
    }

    /// The first revocation before index `before` that applies to work of these hosts with this
    /// version of a ring: of the ring, of its owner, of a host, looked for in this order. What was
    /// recorded before a revocation stays as it was.
    #[must_use]
    pub fn revoked_before(
        &self,
        before: u64,
        outline: &AuthenticOutline,
        hosts: impl IntoIterator<Item = PublicKey<Host>>,
    ) -> Option<Revocation> {
        let (ring, digest) = (outline.ring_id(), outline.ring_digest());
        let found = |what, entry: Option<u64>| {
            entry.filter(|entry| *entry < before).map(|entry| Revocation { what, entry })
        };
        let owners = [Some(outline.owner()), self.owner_of(&ring)];
        let owner = owners.iter().flatten().filter_map(|o| self.key_revoked(&Author::Owner(*o)));
        found(Revoked::Ring, self.ring_revoked(&ring, &digest))
            .or_else(|| found(Revoked::Owner, owner.min()))
            .or_else(|| {
                let mut hosts = hosts.into_iter();
                hosts.find_map(|h| found(Revoked::Host(h), self.host_revoked(&ring, &h)))
            })
    }

    /// The first key of the owner who holds this one.
    pub(crate) fn root(&self, key: &KeyBytes) -> KeyBytes {
        self.roots.get(key).copied().unwrap_or(*key)
    }

    /// The key by which an owner signs now, by any earlier one.
    pub(crate) fn present(&self, key: &KeyBytes) -> KeyBytes {
        let mut present = *key;
        // Each key is rotated away once, and to a new one, so this ends.
        while let Some(rotation) = self.rotations.get(&present) {
            present = rotation.to;
        }
        present
    }

    /// A version by its digest, with its ring.
    pub(crate) fn version(&self, ring_digest: &Digest) -> Option<(RingId, &Ring, &Version)> {
        let id = *self.digests.get(ring_digest)?;
        let ring = self.rings.get(&id)?;
        let version = ring.versions.iter().rev().find(|v| v.digest() == *ring_digest)?;
        Some((id, ring, version))
    }

    /// A ring by its id, if it is this owner's, by whichever of his keys.
    pub(crate) fn ring_of_key(&self, owned: &OwnedRing) -> Option<&Ring> {
        let ring = self.rings.get(&owned.ring)?;
        (ring.owner == self.root(owned.owner.as_bytes())).then_some(ring)
    }

    /// Adds an entry that has authority here; one without changes nothing, and is not counted. For
    /// whoever must know what a ledger will say before it is written, as those who vote on entries do.
    ///
    /// # Errors
    /// [`NoAuthority`], as [`State::refuse`].
    pub fn advance(&mut self, entry: &Entry) -> Result<(), NoAuthority> {
        let change = self.verify_entry(entry)?;
        self.push(Some(change));
        Ok(())
    }

    /// Counts entries that change nothing, which those of decisions are: after
    /// [`State::refuse`] found that they have authority, this and [`State::advance`] come to the same.
    pub fn skip(&mut self, entries: u64) {
        self.size += entries;
    }

    /// Adds an entry that changes this; one without authority changes nothing.
    pub(crate) fn push(&mut self, change: Option<Admission>) {
        let entry = self.size;
        self.size += 1;
        let Some(Admission { effect, counted }) = change else { return };
        if let Some((author, sequence)) = counted {
            self.sequences.insert(author, sequence);
        }
        self.apply(entry, effect);
    }

    fn apply(&mut self, entry: u64, effect: Effect) {
        match effect {
            Effect::None => {}
            Effect::Version(outline) => self.add_version(entry, *outline),
            Effect::Revision(outline) => {
                let digest = outline.ring_digest();
                if let Some(version) = self.version_mut(&outline.ring_id(), &digest) {
                    version.outlines.push((entry, Arc::new(*outline)));
                }
            }
            Effect::RevokeRing { ring, digest: None } => {
                if let Some(ring) = self.rings.get_mut(&ring) {
                    ring.revoked.get_or_insert(entry);
                }
            }
            Effect::RevokeRing { ring, digest: Some(digest) } => {
                if let Some(version) = self.version_mut(&ring, &digest) {
                    version.revoked.get_or_insert(entry);
                }
            }
            Effect::Accuse { digest, accused, author } => {
                let kept = self.accusations.entry((digest, accused, author)).or_insert((0, entry));
                *kept = (kept.0 + 1, entry);
            }
            Effect::Quarantine { digest, host, blocks, cause, query } => {
                if let (Some(query), Some(first)) = (query, blocks.first()) {
                    self.faults.entry((digest, host, query, *first)).or_insert(entry);
                }
                for block in blocks {
                    let kept = self.quarantines.entry((digest, host, block));
                    let kept = kept.or_insert((cause, entry));
                    if cause == Cause::Evidence && kept.0 == Cause::OwnAlarm {
                        *kept = (cause, entry);
                    }
                }
            }
            Effect::Repair { digest, host, blocks } => {
                for block in blocks {
                    let place = (digest, host, block);
                    if matches!(self.quarantines.get(&place), Some((Cause::OwnAlarm, _))) {
                        self.quarantines.remove(&place);
                    }
                }
            }
            Effect::Lift { digest, host, blocks } => {
                for block in blocks {
                    self.quarantines.remove(&(digest, host, block));
                }
            }
            Effect::RevokeKey(author) => {
                self.revoked_keys.entry(role_and_key(&author)).or_insert(entry);
            }
            Effect::RevokeHost { owner, ring, host } => {
                self.revoked_hosts.entry((owner, ring, host)).or_insert(entry);
            }
            Effect::Validators(set) => self.validators = Some((entry, set)),
            Effect::Rotate { old, new } => {
                self.roots.insert(new, self.root(&old));
                self.rotations.insert(old, KeyRotation { to: new, entry });
            }
        }
    }

    fn add_version(&mut self, entry: u64, outline: AuthenticOutline) {
        let (ring, digest) = (outline.ring_id(), outline.ring_digest());
        let owner = self.root(outline.owner().as_bytes());
        let version = Version { outlines: vec![(entry, Arc::new(outline))], revoked: None };
        self.digests.insert(digest, ring);
        let new = || Ring { owner, versions: Vec::new(), revoked: None };
        self.rings.entry(ring).or_insert_with(new).versions.push(version);
    }

    fn version_mut(&mut self, ring: &RingId, digest: &Digest) -> Option<&mut Version> {
        let versions = &mut self.rings.get_mut(ring)?.versions;
        versions.iter_mut().find(|v| v.digest() == *digest)
    }
}

/// The role of a key, as an entry encodes it, and its bytes.
pub(crate) fn role_and_key(author: &Author) -> (u8, KeyBytes) {
    let role = match author {
        Author::Owner(_) => 0,
        Author::Host(_) => 1,
        Author::Node(_) => 2,
    };
    (role, *author.as_bytes())
}
