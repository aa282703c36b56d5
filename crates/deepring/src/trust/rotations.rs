//! The store's records of rotations: by which key an owner signed before, by which one after, and by whose word.
//!
//! A ledger's word is about a ring, and the caller that records it has verified it: each key signed that the next one takes its
//! place (LEDGER.md). But whoever has a key can have it sign for two others, on two ledgers. So words are kept with who said
//! them, none of them is taken that contradicts another, and a ledger's goes with it. The reader's own word stands above.

use std::collections::BTreeMap;

use super::OwnedRing;
use super::contradiction::{Contradiction, Speaker};
use super::error::TrustError;
use super::file::{Data, GivenUp, Head, Last, RememberedRing};
use super::ledgers::KnownLedger;
use super::store::TrustStore;
use crate::crypto::Digest;
use crate::keys::{Owner, PublicKey};
use crate::ring_id::RingId;

impl GivenUp {
    fn last(&self) -> Option<LastVersion> {
        let Last { model_version, digest, deal } = self.last.as_ref()?;
        let (model_version, deal) = (*model_version, *deal);
        Some(LastVersion { model_version, digest: Digest::from_hex(digest)?, deal })
    }
}

/// A key of a ring's owner that was given up, as a ledger says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeySuccession {
    /// The key that was given up.
    pub from: PublicKey<Owner>,
    /// The key after it.
    pub to: PublicKey<Owner>,
    /// The newest version that the ledger records by the key that was given up.
    pub last: Option<LastVersion>,
}

/// A version of a ring, as a ledger records it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastVersion {
    /// Number of the version.
    pub model_version: u64,
    /// Its ring digest.
    pub digest: Digest,
    /// Number of its newest deal, 0 for none.
    pub deal: u32,
}

/// A rotation that is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownRotation {
    /// The one who said so.
    pub speaker: Speaker,
    /// The ring that it is about; `None` for all of the owner's.
    pub ring: Option<RingId>,
    /// The keys.
    pub keys: KeySuccession,
}

/// The limit up to which the versions by a key that was given up still count.
pub(super) struct Limit<'a> {
    /// The verifier key of the ledger that says so.
    pub(super) ledger: &'a str,
    /// The key after it.
    pub(super) next: &'a str,
    /// The newest version by the key that was given up, if there is one.
    pub(super) last: Option<LastVersion>,
}

impl TrustStore {
    /// Remembers a ledger, and what it says of the keys by which the owners of rings signed: of each ring, each key rotated to
    /// that of the next. A version seen under one of them counts for the keys before it; no key is trusted for that. What
    /// is remembered of the ledger's word about these rings is replaced. Gives what contradicts other words, and is not
    /// remembered. A ledger that says nothing is not remembered for it.
    ///
    /// # Errors
    /// As [`add_owner`](Self::add_owner).
    pub fn remember_rotations(
        &mut self,
        ledger: &KnownLedger,
        said: &[(RingId, Vec<KeySuccession>)],
    ) -> Result<Vec<Contradiction>, TrustError> {
        let mut now = self.data.clone();
        let contradictions = hear(&mut now, ledger, said);
        match now == self.data {
            true => Ok(contradictions),
            false => self.update(|data| hear(data, ledger, said)),
        }
    }

    /// The first contradiction between a ledger's words about a ring's keys and others, if there is one.
    #[must_use]
    pub fn contradicts(
        &self,
        ledger: &str,
        ring: &RingId,
        said: &[KeySuccession],
    ) -> Option<Contradiction> {
        contradicts(&self.data, ledger, &ring.to_string(), said)
    }

    /// Trusts an owner of whom the reader says that it took the place of another key, in all that this one signed; `false` if
    /// both was known. What ledgers say of rings and contradicts that is forgotten.
    ///
    /// # Errors
    /// [`TrustError::OtherSuccessor`] where the reader's own words say otherwise; as [`add_owner`](Self::add_owner).
    pub fn add_successor(
        &mut self,
        old: &PublicKey<Owner>,
        new: &PublicKey<Owner>,
    ) -> Result<bool, TrustError> {
        self.update(|data| {
            let before = data.clone();
            if let Err(e) = declare(data, old, new) {
                *data = before;
                return Err(e);
            }
            Ok(*data != before)
        })?
    }

    /// Takes back the reader's own word about what came after a key, and gives the key that he had named. No owner is trusted
    /// for it, or trusted no more.
    ///
    /// # Errors
    /// As [`add_owner`](Self::add_owner).
    pub fn remove_successor(
        &mut self,
        old: &PublicKey<Owner>,
    ) -> Result<Option<PublicKey<Owner>>, TrustError> {
        let removed = self.update(|data| {
            let removed = data.successors.remove(&old.to_string());
            data.outweigh();
            removed
        })?;
        Ok(removed.and_then(|key| key.parse().ok()))
    }

    /// The rotations that are remembered, with who said so.
    pub fn rotations(&self) -> impl Iterator<Item = KnownRotation> {
        let told = self.data.successors.iter().filter_map(|(old, next)| {
            let keys =
                KeySuccession { from: old.parse().ok()?, to: next.parse().ok()?, last: None };
            Some(KnownRotation { speaker: Speaker::Reader, ring: None, keys })
        });
        let by_ledger =
            |(ledger, rings): (&'_ String, &'_ BTreeMap<String, _>)| -> Vec<KnownRotation> {
                rings.iter().flat_map(|(ring, said)| of_ring(ledger, ring, said)).collect()
            };
        told.chain(self.data.given_up.iter().flat_map(by_ledger))
    }

    /// The verifier keys of the ledgers that say something of this ring's keys.
    #[must_use]
    pub fn speakers_of(&self, ring: &RingId) -> Vec<&str> {
        let ring = ring.to_string();
        let said = self.data.given_up.iter().filter(|(_, rings)| rings.contains_key(&ring));
        said.map(|(ledger, _)| ledger.as_str()).collect()
    }

    /// The newest version of a ring that was seen under a key after its own, and that key.
    pub(super) fn seen_later(&self, ring: &OwnedRing) -> Option<(&str, &RememberedRing)> {
        let id = ring.ring.to_string();
        let words = self.data.words_of(&id);
        let later = words.after(&ring.owner.to_string());
        let seen = later.into_iter().filter_map(|key| Some((key, self.seen_under(key, ring)?)));
        seen.max_by_key(|(_, seen)| seen.model_version)
    }

    /// The limit that ledgers whose keys the reader gave set for the key that this ring names, where it was given up.
    pub(super) fn limit(&self, ring: &OwnedRing) -> Option<Limit<'_>> {
        let (owner, id) = (ring.owner.to_string(), ring.ring.to_string());
        let limits = self.data.given_up.iter().filter_map(|(ledger, rings)| {
            let pinned = self.data.ledgers.get(ledger).is_some_and(|head| head.pinned);
            let given = rings.get(&id)?.get(&owner).filter(|_| pinned)?;
            Some(Limit { ledger, next: &given.next, last: given.last() })
        });
        limits.max_by_key(|limit| limit.last.map(|last| (last.model_version, last.deal)))
    }

    /// The number of the newest deal, 0 for none, that such a ledger records of this version, where it is the newest by that key.
    pub(super) fn recorded_deal(&self, ring: &OwnedRing, model_version: u64) -> Option<u32> {
        let last = self.limit(ring)?.last?;
        (last.model_version == model_version).then_some(last.deal)
    }
}

fn of_ring<'a>(
    ledger: &'a str,
    ring: &'a str,
    said: &'a BTreeMap<String, GivenUp>,
) -> impl Iterator<Item = KnownRotation> + 'a {
    said.iter().filter_map(move |(old, given)| {
        let (from, to) = (old.parse().ok()?, given.next.parse().ok()?);
        let keys = KeySuccession { from, to, last: given.last() };
        let (speaker, ring) = (Speaker::Ledger(ledger.to_owned()), RingId::from_hex(ring));
        Some(KnownRotation { speaker, ring, keys })
    })
}

/// Takes what a ledger says into the store, but for what is contradicted.
fn hear(
    data: &mut Data,
    ledger: &KnownLedger,
    said: &[(RingId, Vec<KeySuccession>)],
) -> Vec<Contradiction> {
    let mut contradictions = Vec::new();
    for (ring, said) in said.iter().filter(|(_, said)| !said.is_empty()) {
        let ring = ring.to_string();
        if let Some(found) = contradicts(data, &ledger.key, &ring, said) {
            contradictions.push(found);
            continue;
        }
        let given = said.iter().map(|keys| {
            let last = keys.last.map(|LastVersion { model_version, digest, deal }| Last {
                model_version,
                digest: digest.to_hex(),
                deal,
            });
            (keys.from.to_string(), GivenUp { next: keys.to.to_string(), last })
        });
        data.given_up.entry(ledger.key.clone()).or_default().insert(ring, given.collect());
    }
    if data.ledgers.contains_key(&ledger.key) || data.given_up.contains_key(&ledger.key) {
        Head::grow(data, ledger).pinned |= ledger.pinned;
    }
    contradictions
}

/// A contradiction between a ledger's words about a ring's keys and others, if there is one. What it said before does not count.
fn contradicts(
    data: &Data,
    ledger: &str,
    ring: &str,
    said: &[KeySuccession],
) -> Option<Contradiction> {
    let mut words = data.words_of_others(ring, ledger);
    let named: Vec<_> = said.iter().map(|k| (k.from.to_string(), k.to.to_string())).collect();
    for (old, new) in &named {
        words.say(old, new);
    }
    let key = words.contradiction()?;
    // The one of these keys at which the words part, or else the first that leads back to itself.
    let at = said.iter().zip(&named).find_map(|(keys, (old, new))| {
        let parts = *old == key || words.after(new).contains(old.as_str());
        parts.then_some((keys, old, new))
    });
    let (keys, old, new) = at.or_else(|| {
        let ((old, new), keys) = (named.first()?, said.first()?);
        Some((keys, old, new))
    })?;
    let (known, by) = match words.other_next(old, new) {
        Some(other) => (other.parse().ok()?, speaker(data, ring, ledger, old, Some(other))),
        None => (keys.from, speaker(data, ring, ledger, new, None)),
    };
    let speaker = Speaker::Ledger(ledger.to_owned());
    Some(Contradiction { key: keys.from, said: keys.to, speaker, known, by })
}

/// The one who says that a key was given up, for this one where one is named; not this ledger.
fn speaker(data: &Data, ring: &str, but: &str, old: &str, next: Option<&str>) -> Speaker {
    let named = |found: &str| next.is_none_or(|next| next == found);
    if data.successors.get(old).is_some_and(|found| named(found)) {
        return Speaker::Reader;
    }
    let mut others = data.given_up.iter().filter(|(ledger, _)| *ledger != but);
    let says = others.find(|(_, rings)| {
        rings.get(ring).and_then(|said| said.get(old)).is_some_and(|given| named(&given.next))
    });
    says.map_or(Speaker::Reader, |(ledger, _)| Speaker::Ledger(ledger.clone()))
}

/// Takes the reader's own word, which stands above those of ledgers.
fn declare(
    data: &mut Data,
    old: &PublicKey<Owner>,
    new: &PublicKey<Owner>,
) -> Result<(), TrustError> {
    let (from, to) = (old.to_string(), new.to_string());
    let refused = |known: &PublicKey<Owner>| {
        let (key, said, known) = (*old, *new, *known);
        let (speaker, by) = (Speaker::Reader, Speaker::Reader);
        let contradiction = Contradiction { key, said, speaker, known, by };
        Err(TrustError::OtherSuccessor(Box::new(contradiction)))
    };
    let own = data.words_of_reader();
    let follows = own.after(&from).contains(to.as_str());
    if from == to || own.after(&to).contains(from.as_str()) {
        return refused(old);
    }
    if let Some(known) = data.successors.get(&from).filter(|_| !follows) {
        return refused(&known.parse().unwrap_or(*old));
    }
    if !follows {
        data.successors.insert(from, to.clone());
        data.outweigh();
    }
    if !data.owners.contains(&to) {
        data.owners.push(to);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
