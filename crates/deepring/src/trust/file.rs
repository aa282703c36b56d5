//! The trust store's text: JSON of one form, and nothing else (docs/FORMAT.md, section 18).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::rotations::{Rotations, goes_around};
use super::{OwnedRing, unique};
use crate::keys::{Owner, PublicKey};
use crate::ring_id::RingId;

/// Version of the store's own format.
pub(super) const STORE_FORMAT: u32 = 4;
/// The versions before, which are read: without rotations; and without the deals of earlier versions.
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
    /// The key that came after each of a ring's owner, by ring id; left out where no owner rotated.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "unique::map_of_maps"
    )]
    pub(super) rotations: Rotations,
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

fn is_zero<T: Default + PartialEq>(number: &T) -> bool {
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

    /// Whether no more is known than can be.
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
}

impl Default for Data {
    fn default() -> Self {
        Self {
            format: STORE_FORMAT,
            owners: Vec::new(),
            rings: BTreeMap::new(),
            rotations: BTreeMap::new(),
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
        STORE_FORMAT | WITHOUT_ROTATIONS | WITHOUT_EARLIER_DEALS => {}
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
    /// A store of format 2 forgot a version's deal with the next version.
    fn of_this_format(mut self) -> Self {
        let before = std::mem::replace(&mut self.format, STORE_FORMAT);
        if before == WITHOUT_EARLIER_DEALS {
            for seen in self.rings.values_mut().flat_map(BTreeMap::values_mut) {
                seen.deals_since = seen.model_version;
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
        for (ring, next) in &self.rotations {
            let mut keys = next.iter().flat_map(|(old, new)| [old, new]);
            let fits = self.format == STORE_FORMAT && !next.is_empty() && !goes_around(next);
            if !fits || !is_hex(ring, 32) || !keys.all(|key| is_owner(key)) {
                return Some(format!("the rotations of ring `{ring}` are malformed"));
            }
        }
        let no_ring =
            |(_, bound): &(&String, &Bound)| !is_owner(&bound.owner) || !is_hex(&bound.ring, 32);
        if let Some((path, _)) = self.paths.iter().find(no_ring) {
            return Some(format!("the binding of `{path}` is malformed"));
        }
        let named = self.rings.values().flat_map(BTreeMap::values).flat_map(|seen| &seen.ledgers);
        let mut named = named.chain(self.ledger_paths.values());
        let unknown = named.find(|key| !self.ledgers.contains_key(*key));
        unknown.map(|key| format!("ledger `{key}` is named and not known"))
    }
}

fn is_owner(text: &str) -> bool {
    text.parse::<PublicKey<Owner>>().is_ok_and(|key| key.to_string() == *text)
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Parses a store's bytes and prints their meaning.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn reprint(bytes: &[u8]) -> Result<String, String> {
    let data = parse(bytes).map_err(|e| format!("{e:?}"))?;
    serde_json::to_string_pretty(&data).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(model_version: u64, deal: u32) -> RememberedRing {
        RememberedRing {
            model_version,
            digest: "00".repeat(32),
            deal,
            earlier_deals: BTreeMap::new(),
            deals_since: 0,
            ledgers: Vec::new(),
        }
    }

    #[test]
    fn the_deal_of_a_version_is_known_after_newer_ones_and_never_sinks() {
        let mut ring = first(1, 2);
        ring.see(3, "11".repeat(32), 0);
        ring.see(1, String::new(), 1);
        ring.see(2, String::new(), 4);
        let deals: Vec<_> = (0..4).map(|version| ring.deal_of(version)).collect();
        assert_eq!(deals, [Some(0), Some(2), Some(4), Some(0)]);
        assert_eq!((ring.model_version, ring.digest.as_str()), (3, "11".repeat(32).as_str()));
    }

    #[test]
    fn what_falls_out_is_forgotten_and_not_taken_for_undealt() {
        let mut ring = first(0, 1);
        for version in 1..=70 {
            ring.see(version, String::new(), 1);
        }
        assert_eq!(ring.earlier_deals.len(), MAX_EARLIER);
        assert_eq!((ring.deal_of(5), ring.deal_of(6)), (None, Some(1)));
        // Nor is it known again by a look at what came before its deal.
        ring.see(5, String::new(), 1);
        assert_eq!(ring.deal_of(5), None);
        assert!(ring.fits());
    }

    #[test]
    fn a_key_that_stands_twice_in_a_map_is_refused() {
        let owner = crate::keys::SecretKey::<Owner>::generate().unwrap().public().to_string();
        let digest = "00".repeat(32);
        let seen = |version: u64, deals: &str| {
            format!(
                r#"{{"model_version": {version}, "digest": "{digest}", "earlier_deals": {{{deals}}},
                     "ledgers": []}}"#
            )
        };
        let bound = format!(r#"{{"owner": "{owner}", "ring": "{}"}}"#, "00".repeat(16));
        let head = r#"{"size": 1, "checkpoint": ""}"#;
        let record = |name: &str, version| format!(r#""{name}": {}"#, seen(version, ""));
        let [a, b] = ["00", "11"].map(|digits| digits.repeat(16));
        let of = |rings: &[String]| format!(r#""{owner}": {{{}}}"#, rings.join(", "));
        let store = |rings: &str, paths: &str, ledgers: &str, ledger_paths: &str| {
            let text = format!(
                r#"{{"format": 3, "owners": [], "rings": {{{rings}}}, "paths": {{{paths}}},
                     "ledgers": {{{ledgers}}}, "ledger_paths": {{{ledger_paths}}}}}"#
            );
            parse(text.as_bytes()).is_ok()
        };
        let twice = |member: &str| format!("{member}, {member}");
        assert!(store(&of(&[record(&a, 2), record(&b, 1)]), "", "", ""));
        assert!(!store(&of(&[record(&a, 2), record(&a, 1)]), "", "", ""));
        assert!(!store(&format!("{}, {}", of(&[record(&a, 2)]), of(&[record(&b, 1)])), "", "", ""));
        let deals = |deals: &str| of(&[format!(r#""{a}": {}"#, seen(9, deals))]);
        assert!(store(&deals(r#""1": 1, "2": 1"#), "", "", ""));
        assert!(!store(&deals(r#""1": 2, "1": 1"#), "", "", ""));
        let paths = format!(r#""/a": {bound}"#);
        assert!(store("", &paths, "", "") && !store("", &twice(&paths), "", ""));
        let ledgers = format!(r#""k": {head}"#);
        assert!(store("", "", &ledgers, "") && !store("", "", &twice(&ledgers), ""));
        let at = r#""/l": "k""#;
        assert!(store("", "", &ledgers, at) && !store("", "", &ledgers, &twice(at)));
    }

    #[test]
    fn a_store_of_format_2_forgot_the_deals_of_earlier_versions() {
        let owner = crate::keys::SecretKey::<Owner>::generate().unwrap().public().to_string();
        let store = |format: u32, more: &str| {
            let (ring, digest) = ("00".repeat(16), "00".repeat(32));
            let seen = format!(
                r#"{{"model_version": 3, "digest": "{digest}", "deal": 1, "ledgers": []{more}}}"#
            );
            parse(
                format!(
                    r#"{{"format": {format}, "owners": [], "rings": {{"{owner}": {{"{ring}": {seen}}}}},
                         "paths": {{}}, "ledgers": {{}}, "ledger_paths": {{}}}}"#
                )
                .as_bytes(),
            )
        };
        let deals = |data: Data| {
            let ring = data.rings.into_values().flatten().next().unwrap().1;
            [2, 3].map(|version| ring.deal_of(version))
        };
        assert_eq!(deals(store(2, "").unwrap()), [None, Some(1)]);
        assert_eq!(deals(store(3, "").unwrap()), [Some(0), Some(1)]);
        assert_eq!(deals(store(4, "").unwrap()), [Some(0), Some(1)]);
        assert_eq!(deals(store(3, r#", "earlier_deals": {"2": 7}"#).unwrap()), [Some(7), Some(1)]);
        for (format, more) in [
            (2, r#", "deals_since": 1"#),
            (2, r#", "earlier_deals": {"1": 1}"#),
            (3, r#", "deals_since": 4"#),
            (3, r#", "earlier_deals": {"3": 1}"#),
            (3, r#", "earlier_deals": {"1": 0}"#),
            (3, r#", "earlier_deals": {"1": 1}, "deals_since": 2"#),
            (3, r#", "earlier_deals": {"01": 1}"#),
        ] {
            assert!(store(format, more).is_err(), "{format}{more}");
        }
    }
    #[test]
    fn rotations_are_of_format_4_and_lead_to_an_end() {
        let key = || crate::keys::SecretKey::<Owner>::generate().unwrap().public().to_string();
        let (one, two, ring) = (key(), key(), "00".repeat(16));
        let store = |format: u32, ring: &str, next: &str| {
            parse(
                format!(
                    r#"{{"format": {format}, "owners": [], "rings": {{}}, "rotations": {{"{ring}": {{{next}}}}},
                         "paths": {{}}, "ledgers": {{}}, "ledger_paths": {{}}}}"#
                )
                .as_bytes(),
            )
        };
        let next = format!(r#""{one}": "{two}""#);
        let read = store(4, &ring, &next).unwrap();
        assert_eq!(read.rotations[&ring][&one], two);
        for (format, ring, next) in [
            (3, ring.as_str(), next.as_str()),
            (4, "00", next.as_str()),
            (4, ring.as_str(), ""),
            (4, ring.as_str(), format!(r#""{one}": "{one}""#).as_str()),
            (4, ring.as_str(), format!(r#"{next}, "{two}": "{one}""#).as_str()),
            (4, ring.as_str(), next.to_uppercase().as_str()),
            (4, ring.as_str(), format!(r#""{one}": "me""#).as_str()),
        ] {
            assert!(store(format, ring, next).is_err(), "{format} {ring} {next}");
        }
    }
}
