//! The trust store's text: JSON of one form, and nothing else (docs/FORMAT.md, section 18).

mod given_up;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::words::Words;
use super::{OwnedRing, unique};
use crate::keys::{Owner, PublicKey};
use crate::ring_id::RingId;
pub(super) use given_up::{GivenUp, Last, Successors};

/// Version of the store's own format.
pub(super) const STORE_FORMAT: u32 = 5;
/// The versions before, which are read: without who said that a key was given up; without rotations; and without the deals of
/// earlier versions.
const WITHOUT_SPEAKERS: u32 = 4;
const WITHOUT_ROTATIONS: u32 = 3;
const WITHOUT_EARLIER_DEALS: u32 = 2;
/// Most earlier versions of a ring whose deals are remembered.
pub(super) const MAX_EARLIER: usize = 64;

/// The store's records. Keys, ids and digests are compared as texts, so each is in its one
/// canonical form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Data {
    format: u32,
    /// The owners that are trusted for everything that they sign. Nothing else in the store gives
    /// trust.
    pub(super) owners: Vec<String>,
    /// The newest version seen of each ring, by owner and ring id.
    #[serde(deserialize_with = "unique::map_of_maps")]
    pub(super) rings: BTreeMap<String, BTreeMap<String, RememberedRing>>,
    /// Of a store of format 4: the key that came after each of a ring's owner, by ring id, whoever said so. Else empty.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "unique::map_of_maps"
    )]
    rotations: BTreeMap<String, Successors>,
    /// The key that came after each, by the reader's own word; left out where he said nothing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "unique::map")]
    pub(super) successors: Successors,
    /// The keys that a ring's owner gave up, by the ledger that says so and the ring's id; left out where none says so.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "unique::map_of_maps_of_maps"
    )]
    pub(super) given_up: BTreeMap<String, BTreeMap<String, BTreeMap<String, GivenUp>>>,
    /// The ring that each bound path must hold.
    #[serde(deserialize_with = "unique::map")]
    pub(super) paths: BTreeMap<String, Bound>,
    /// The newest checkpoint seen of each ledger, by its verifier key.
    #[serde(deserialize_with = "unique::map")]
    pub(super) ledgers: BTreeMap<String, Head>,
    /// The verifier key of the ledger that each path must hold.
    #[serde(deserialize_with = "unique::map")]
    pub(super) ledger_paths: BTreeMap<String, String>,
}

/// The record of a ring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RememberedRing {
    pub(super) model_version: u64,
    pub(super) digest: String,
    /// The highest number of its deal that was seen; left out for none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) deal: u32,
    /// The highest number of the deal that was seen of each version before it; none for 0.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "unique::map")]
    pub(super) earlier_deals: BTreeMap<u64, u32>,
    /// The deals of versions before this one are no longer known; left out for 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) deals_since: u64,
    /// Verifier keys of the ledgers that it is recorded in.
    pub(super) ledgers: Vec<String>,
}

pub(super) fn is_zero<T: Default + PartialEq>(number: &T) -> bool {
    *number == T::default()
}

impl RememberedRing {
    /// Remembers that a version was seen under this deal. Nothing that is forgotten becomes known again: an earlier deal that is
    /// seen later would pass for the newest.
    pub(super) fn see(&mut self, model_version: u64, digest: String, deal: u32) {
        if self.model_version < model_version {
            if self.deal != 0 {
                self.earlier_deals.insert(self.model_version, self.deal);
            }
            (self.model_version, self.digest, self.deal) = (model_version, digest, deal);
        } else if self.model_version == model_version {
            self.deal = self.deal.max(deal);
        } else if deal != 0 && model_version >= self.deals_since {
            let known = self.earlier_deals.entry(model_version).or_default();
            *known = deal.max(*known);
        }
        while self.earlier_deals.len() > MAX_EARLIER {
            if let Some((version, _)) = self.earlier_deals.pop_first() {
                self.deals_since = version.saturating_add(1);
            }
        }
    }

    /// The highest number of a version's deal that was seen, 0 for none; `None` where it is forgotten.
    pub(super) fn deal_of(&self, model_version: u64) -> Option<u32> {
        if model_version == self.model_version {
            return Some(self.deal);
        }
        (model_version >= self.deals_since)
            .then(|| self.earlier_deals.get(&model_version).copied().unwrap_or(0))
    }

    /// Returns whether no more is known than can be.
    fn fits(&self) -> bool {
        let known = |(version, deal): (&u64, &u32)| {
            (self.deals_since..self.model_version).contains(version) && *deal != 0
        };
        self.deals_since <= self.model_version
            && self.earlier_deals.len() <= MAX_EARLIER
            && self.earlier_deals.iter().all(known)
    }
}

/// A ring by owner and id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Bound {
    pub(super) owner: String,
    pub(super) ring: String,
}

/// A ledger's checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    /// Number of entries that it commits to.
    pub(super) size: u64,
    /// The signed note.
    pub(super) checkpoint: String,
    /// True if the reader gave the ledger's key himself; left out if not.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) pinned: bool,
}

impl Default for Data {
    fn default() -> Self {
        Self {
            format: STORE_FORMAT,
            owners: Vec::new(),
            rings: BTreeMap::new(),
            rotations: BTreeMap::new(),
            successors: BTreeMap::new(),
            given_up: BTreeMap::new(),
            paths: BTreeMap::new(),
            ledgers: BTreeMap::new(),
            ledger_paths: BTreeMap::new(),
        }
    }
}

impl Bound {
    pub(super) fn of(ring: &OwnedRing) -> Self {
        Self { owner: ring.owner.to_string(), ring: ring.ring.to_string() }
    }

    pub(super) fn ring(&self) -> Option<OwnedRing> {
        owned(&self.owner, &self.ring)
    }
}

/// The ring of these texts; `None` only for texts that [`parse`] refuses.
pub(super) fn owned(owner: &str, ring: &str) -> Option<OwnedRing> {
    Some(OwnedRing { owner: owner.parse().ok()?, ring: RingId::from_hex(ring)? })
}

/// Why bytes are not a trust store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoStore {
    /// Of format 1.
    Old,
    /// Anything else, described.
    Damaged(String),
}

/// Parses the store's text, or returns why it is none.
pub(super) fn parse(bytes: &[u8]) -> Result<Data, NoStore> {
    #[derive(Deserialize)]
    struct Any {
        format: u32,
    }
    let damaged = |e: serde_json::Error| NoStore::Damaged(e.to_string());
    match serde_json::from_slice::<Any>(bytes).map_err(damaged)?.format {
        STORE_FORMAT | WITHOUT_SPEAKERS | WITHOUT_ROTATIONS | WITHOUT_EARLIER_DEALS => {}
        1 => return Err(NoStore::Old),
        other => return Err(NoStore::Damaged(format!("format {other} is not known"))),
    }
    let data: Data = serde_json::from_slice(bytes).map_err(damaged)?;
    match data.malformed() {
        Some(what) => Err(NoStore::Damaged(what)),
        None => Ok(data.of_this_format()),
    }
}

impl Data {
    /// A store of format 2 forgot a version's deal with the next version; one of format 4, who said that a key was given up: that
    /// counts as said by the ledger that holds the ring, where one alone is known to, and as the reader's own word elsewhere.
    fn of_this_format(mut self) -> Self {
        let before = std::mem::replace(&mut self.format, STORE_FORMAT);
        if before == WITHOUT_EARLIER_DEALS {
            for seen in self.rings.values_mut().flat_map(BTreeMap::values_mut) {
                seen.deals_since = seen.model_version;
            }
        }
        for (ring, next) in std::mem::take(&mut self.rotations) {
            let held = self.rings.values().filter_map(|rings| rings.get(&ring));
            let mut ledgers: Vec<String> = held.flat_map(|seen| seen.ledgers.clone()).collect();
            ledgers.sort_unstable();
            ledgers.dedup();
            match ledgers.as_slice() {
                [ledger] => {
                    let said = next.into_iter().map(|(old, next)| (old, GivenUp::of(next)));
                    self.given_up.entry(ledger.clone()).or_default().insert(ring, said.collect());
                }
                _ => self.own_words(next),
            }
        }
        self
    }

    /// Describes a value that is not in its canonical form, if there is one.
    fn malformed(&self) -> Option<String> {
        let no_owner = |text: &&String| !is_owner(text);
        if let Some(owner) = self.owners.iter().chain(self.rings.keys()).find(no_owner) {
            return Some(format!("`{owner}` is no owner key"));
        }
        for (ring, seen) in self.rings.values().flatten() {
            let is_newer = seen.deals_since != 0 || !seen.earlier_deals.is_empty();
            let fits = seen.fits() && (self.format != WITHOUT_EARLIER_DEALS || !is_newer);
            if !is_hex(ring, 32) || !is_hex(&seen.digest, 64) || !fits {
                return Some(format!("the record of ring `{ring}` is malformed"));
            }
        }
        if let Some(what) = self.malformed_rotations() {
            return Some(what);
        }
        let no_ring =
            |(_, bound): &(&String, &Bound)| !is_owner(&bound.owner) || !is_hex(&bound.ring, 32);
        if let Some((path, _)) = self.paths.iter().find(no_ring) {
            return Some(format!("the binding of `{path}` is malformed"));
        }
        let named = self.rings.values().flat_map(BTreeMap::values).flat_map(|seen| &seen.ledgers);
        let mut named = named.chain(self.ledger_paths.values()).chain(self.given_up.keys());
        let unknown = named.find(|key| !self.ledgers.contains_key(*key));
        unknown.map(|key| format!("ledger `{key}` is named and not known"))
    }

    /// Describes what is malformed about the keys that owners gave up.
    fn malformed_rotations(&self) -> Option<String> {
        let of_ring = |ring: &str| Some(format!("the rotations of ring `{ring}` are malformed"));
        for (ring, next) in &self.rotations {
            let fits = self.format == WITHOUT_SPEAKERS && are_keys(next.iter());
            let mut words = Words::default();
            next.iter().for_each(|(old, new)| words.say(old, new));
            if !fits || !is_hex(ring, 32) || words.contradiction().is_some() {
                return of_ring(ring);
            }
        }
        let is_newer = !self.successors.is_empty()
            || !self.given_up.is_empty()
            || self.ledgers.values().any(|head| head.pinned);
        if is_newer && self.format != STORE_FORMAT {
            return Some(format!("format {} has no words about keys", self.format));
        }
        if !self.successors.is_empty() && !are_keys(self.successors.iter()) {
            return Some("the successors of keys are malformed".to_owned());
        }
        for (ring, said) in self.given_up.values().flatten() {
            let last = |of: &GivenUp| of.last.as_ref().is_none_or(Last::is_canonical);
            let fits = is_hex(ring, 32) && said.values().all(last);
            if !fits || !are_keys(said.iter().map(|(old, given)| (old, &given.next))) {
                return of_ring(ring);
            }
        }
        if self.given_up.values().any(BTreeMap::is_empty) {
            return Some("a ledger that says nothing is named for it".to_owned());
        }
        self.contradiction().map(|ring| match ring {
            Some(ring) => format!("the rotations of ring `{ring}` contradict each other"),
            None => "the successors of keys contradict each other".to_owned(),
        })
    }
}

/// Returns whether these are pairs of owners' keys, and there are some.
fn are_keys<'a>(pairs: impl Iterator<Item = (&'a String, &'a String)>) -> bool {
    let mut keys = pairs.flat_map(|(old, new)| [old, new]).peekable();
    keys.peek().is_some() && keys.all(|key| is_owner(key))
}

fn is_owner(text: &str) -> bool {
    text.parse::<PublicKey<Owner>>().is_ok_and(|key| key.to_string() == *text)
}

pub(super) fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Parses a store's bytes and prints their meaning.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn reprint(bytes: &[u8]) -> Result<String, String> {
    let data = parse(bytes).map_err(|e| format!("{e:?}"))?;
    serde_json::to_string_pretty(&data).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests;
