//! The store's records of ledgers: where each lies, which rings it holds, and how far it had grown.
//!
//! Keys and checkpoints are texts here; the caller that records them has verified them
//! (`deepring-ledger`).

use std::path::Path;

use super::OwnedRing;
use super::error::TrustError;
use super::file::{Data, Head};
use super::store::{TrustStore, names};
use crate::ring_id::RingId;

/// A ledger as it was last seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownLedger {
    /// Its verifier key, `<origin>+<hash>+<key>`.
    pub key: String,
    /// Number of entries that its newest checkpoint commits to.
    pub size: u64,
    /// Its newest checkpoint, a signed note.
    pub checkpoint: String,
    /// True if the reader gave its key himself, once.
    pub pinned: bool,
}

impl Head {
    /// The record of a ledger in a store, as new as it was seen now.
    pub(super) fn grow<'a>(data: &'a mut Data, seen: &KnownLedger) -> &'a mut Self {
        let now = Self { size: seen.size, checkpoint: seen.checkpoint.clone(), pinned: false };
        let head = data.ledgers.entry(seen.key.clone()).or_insert_with(|| now.clone());
        if head.size < now.size {
            (head.size, head.checkpoint) = (now.size, now.checkpoint);
        }
        head
    }
}

impl TrustStore {
    /// The ledger of this verifier key, if it was remembered.
    #[must_use]
    pub fn ledger(&self, key: &str) -> Option<KnownLedger> {
        let Head { size, checkpoint, pinned } = self.data.ledgers.get(key)?.clone();
        Some(KnownLedger { key: key.to_owned(), size, checkpoint, pinned })
    }

    /// All ledgers that are remembered.
    pub fn ledgers(&self) -> impl Iterator<Item = KnownLedger> + '_ {
        self.data.ledgers.keys().filter_map(|key| self.ledger(key))
    }

    /// The paths at which a ledger was seen.
    pub fn paths_of_ledger(&self, key: &str) -> impl Iterator<Item = &str> + '_ {
        let key = key.to_owned();
        self.data.ledger_paths.iter().filter(move |(_, k)| **k == key).map(|(p, _)| p.as_str())
    }

    /// The verifier keys of the ledgers that were seen at a path, by the name given and by where it
    /// leads: one, unless a link was put there since.
    ///
    /// # Errors
    /// [`TrustError::Io`] where nobody can say where the path leads.
    pub fn ledgers_at(&self, dir: &Path) -> Result<Vec<&str>, TrustError> {
        let names = names(dir)?;
        let mut keys: Vec<_> = names
            .iter()
            .filter_map(|n| self.data.ledger_paths.get(n))
            .map(String::as_str)
            .collect();
        keys.dedup();
        Ok(keys)
    }

    /// The verifier keys of the ledgers that hold a ring, as far as is remembered.
    #[must_use]
    pub fn ledgers_of(&self, ring: &OwnedRing) -> Vec<&str> {
        self.seen(ring).map(|s| s.ledgers.iter().map(String::as_str).collect()).unwrap_or_default()
    }

    /// The verifier keys of the ledgers that hold a ring of this id, whoever's.
    #[must_use]
    pub fn ledgers_of_id(&self, ring: &RingId) -> Vec<&str> {
        let id = ring.to_string();
        let seen = self.data.rings.values().filter_map(|rings| rings.get(&id));
        let mut keys: Vec<&str> = seen.flat_map(|s| &s.ledgers).map(String::as_str).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// The ids of the rings that a ledger holds, or says something of the keys of, as far as is remembered.
    #[must_use]
    pub fn rings_in(&self, key: &str) -> Vec<RingId> {
        let records = self.data.rings.values().flatten();
        let held = records.filter(|(_, seen)| seen.ledgers.iter().any(|held| held == key));
        let spoken_of = self.data.given_up.get(key).into_iter().flatten().map(|(id, _)| id);
        let ids = held.map(|(id, _)| id).chain(spoken_of);
        let mut ids: Vec<RingId> = ids.filter_map(|id| RingId::from_hex(id)).collect();
        ids.sort_unstable_by_key(|id| id.0);
        ids.dedup();
        ids
    }

    /// The verifier keys that are remembered for an origin.
    #[must_use]
    pub fn ledgers_named(&self, origin: &str) -> Vec<&str> {
        let named = |key: &&str| key.strip_prefix(origin).is_some_and(|rest| rest.starts_with('+'));
        self.data.ledgers.keys().map(String::as_str).filter(named).collect()
    }

    /// Remembers a ledger, that it lies at `dir`, and that it holds `ring` (if its version is
    /// remembered). A checkpoint replaces a smaller one only, and a path at which another ledger
    /// was seen stays that one's. That the reader gave its key is remembered with what it says of keys
    /// ([`remember_rotations`](Self::remember_rotations)).
    ///
    /// # Errors
    /// As [`add_owner`](Self::add_owner).
    pub fn remember_ledger(
        &mut self,
        seen: &KnownLedger,
        dir: Option<&Path>,
        ring: Option<&OwnedRing>,
    ) -> Result<(), TrustError> {
        let names = dir.map(names).transpose()?.unwrap_or_default();
        let known = self.data.ledgers.get(&seen.key).is_some_and(|head| head.size >= seen.size)
            && names.iter().all(|name| self.data.ledger_paths.contains_key(name))
            && ring.is_none_or(|r| self.ledgers_of(r).contains(&seen.key.as_str()));
        if known {
            return Ok(());
        }
        self.update(|data| {
            Head::grow(data, seen);
            for name in names {
                data.ledger_paths.entry(name).or_insert_with(|| seen.key.clone());
            }
            if let Some(ring) = ring
                && let Some(rings) = data.rings.get_mut(&ring.owner.to_string())
                && let Some(record) = rings.get_mut(&ring.ring.to_string())
                && !record.ledgers.contains(&seen.key)
            {
                record.ledgers.push(seen.key.clone());
            }
        })
    }

    /// Forgets a ledger: where it lies, which rings it holds, how far it had grown, and which keys it said
    /// were given up. `false` if it was not known. A ledger that is put in its place afterwards is new, and is believed.
    ///
    /// # Errors
    /// As [`add_owner`](Self::add_owner).
    pub fn forget_ledger(&mut self, key: &str) -> Result<bool, TrustError> {
        self.update(|data| {
            data.ledger_paths.retain(|_, k| k != key);
            for record in data.rings.values_mut().flat_map(|rings| rings.values_mut()) {
                record.ledgers.retain(|k| k != key);
            }
            data.given_up.remove(key);
            data.outweigh();
            data.ledgers.remove(key).is_some()
        })
    }
}
