//! The trust store's text: JSON of one form, and nothing else (docs/FORMAT.md, section 18).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::OwnedRing;
use crate::keys::{Owner, PublicKey};
use crate::ring_id::RingId;

/// Version of the store's own format.
pub(super) const STORE_FORMAT: u32 = 2;

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
    pub(super) rings: BTreeMap<String, BTreeMap<String, RememberedRing>>,
    /// The ring that each bound path must hold.
    pub(super) paths: BTreeMap<String, Bound>,
    /// The newest checkpoint seen of each ledger, by its verifier key.
    pub(super) ledgers: BTreeMap<String, Head>,
    /// The verifier key of the ledger that each path must hold.
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
    /// Verifier keys of the ledgers that it is recorded in.
    pub(super) ledgers: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(deal: &u32) -> bool {
    *deal == 0
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
        STORE_FORMAT => {}
        1 => return Err(NoStore::Old),
        other => return Err(NoStore::Damaged(format!("format {other} is not known"))),
    }
    let data: Data = serde_json::from_slice(bytes).map_err(damaged)?;
    match data.malformed() {
        Some(what) => Err(NoStore::Damaged(what)),
        None => Ok(data),
    }
}

impl Data {
    /// Describes a value that is not in its canonical form, if there is one.
    fn malformed(&self) -> Option<String> {
        let no_owner = |text: &&String| !is_owner(text);
        if let Some(owner) = self.owners.iter().chain(self.rings.keys()).find(no_owner) {
            return Some(format!("`{owner}` is no owner key"));
        }
        for (ring, seen) in self.rings.values().flatten() {
            if !is_hex(ring, 32) || !is_hex(&seen.digest, 64) {
                return Some(format!("the record of ring `{ring}` is malformed"));
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
#[cfg(any(test, fuzzing))]
pub(crate) fn reprint(bytes: &[u8]) -> Result<String, String> {
    let data = parse(bytes).map_err(|e| format!("{e:?}"))?;
    serde_json::to_string_pretty(&data).map_err(|e| e.to_string())
}
