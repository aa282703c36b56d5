//! The store's records of rotations: by which key an owner signed a ring before, and by which one after.
//!
//! The caller that records one has verified it: each key signed that the next one takes its place (LEDGER.md). So nobody
//! can make his versions count for a ring of somebody else by taking its id.

use std::collections::{BTreeMap, HashSet};
use std::iter::successors;

use super::OwnedRing;
use super::store::{TrustError, TrustStore};
use crate::keys::{Owner, PublicKey};
use crate::ring_id::RingId;

/// By ring id: the keys of its owners that were given up.
pub(super) type Rotations = BTreeMap<String, NextKeys>;

/// By key: the key that came after it. No key comes after itself, by however many others.
pub(super) type NextKeys = BTreeMap<String, String>;

impl TrustStore {
    /// Remembers the keys by which a ring's owner signed, each rotated to the one behind it. A version
    /// seen under one of them counts for the keys before it; no key is trusted for that.
    /// What is known to come after a key stays so.
    ///
    /// # Errors
    /// As [`add_owner`](Self::add_owner).
    pub fn remember_rotations(
        &mut self,
        ring: &RingId,
        keys: &[PublicKey<Owner>],
    ) -> Result<(), TrustError> {
        let ring = ring.to_string();
        let keys: Vec<String> = keys.iter().map(PublicKey::to_string).collect();
        let none = NextKeys::new();
        let known = self.data.rotations.get(&ring).unwrap_or(&none);
        if with(known, &keys) == *known {
            return Ok(());
        }
        self.update(|data| {
            let next = with(data.rotations.get(&ring).unwrap_or(&none), &keys);
            data.rotations.insert(ring, next);
        })
    }

    /// The rotations that are remembered: the ring, the key that was given up, and the one after it.
    pub fn rotations(&self) -> impl Iterator<Item = (RingId, PublicKey<Owner>, PublicKey<Owner>)> {
        self.data.rotations.iter().flat_map(|(ring, next)| {
            let of = move |(old, new): (&String, &String)| {
                Some((RingId::from_hex(ring)?, old.parse().ok()?, new.parse().ok()?))
            };
            next.iter().filter_map(of)
        })
    }

    /// The keys after this one of the ring's owner, the last of them last.
    pub(super) fn later_keys<'a>(&'a self, ring: &OwnedRing) -> impl Iterator<Item = &'a str> {
        let next = self.data.rotations.get(&ring.ring.to_string());
        let first = next.and_then(|next| next.get(&ring.owner.to_string()));
        successors(first, move |key| next?.get(*key)).map(String::as_str)
    }
}

/// What is known, and what is new of these keys, each of which came after the one before it.
fn with(known: &NextKeys, keys: &[String]) -> NextKeys {
    let mut next = known.clone();
    for pair in keys.windows(2) {
        let [old, new] = pair else { continue };
        let goes_around = successors(Some(new), |key| next.get(*key)).any(|key| key == old);
        if !goes_around && !next.contains_key(old) {
            next.insert(old.clone(), new.clone());
        }
    }
    next
}

/// Returns whether some key comes after itself.
pub(super) fn goes_around(next: &NextKeys) -> bool {
    // Keys from which the way is known to end.
    let mut end: HashSet<&str> = HashSet::new();
    for start in next.keys() {
        let mut way: HashSet<&str> = HashSet::new();
        let mut key = Some(start.as_str());
        while let Some(here) = key.filter(|key| !end.contains(key)) {
            if !way.insert(here) {
                return true;
            }
            key = next.get(here).map(String::as_str);
        }
        end.extend(way);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_comes_after_a_key_stays_and_never_leads_back() {
        let next = with(&NextKeys::new(), &names(&["a", "b", "c"]));
        assert_eq!(next.len(), 2);
        for keys in [&["a", "x"][..], &["c", "a"], &["c", "b"], &["c", "c"], &["c"], &[]] {
            assert_eq!(with(&next, &names(keys)), next, "{keys:?}");
        }
        let next = with(&next, &names(&["a", "b", "c", "d"]));
        assert_eq!(next["c"], "d");
        assert!(!goes_around(&next));
    }

    #[test]
    fn a_key_after_itself_is_found_wherever_it_is() {
        let next = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(old, new)| ((*old).to_owned(), (*new).to_owned())).collect()
        };
        assert!(!goes_around(&next(&[("a", "z"), ("b", "z"), ("z", "y")])));
        assert!(goes_around(&next(&[("a", "a")])));
        assert!(goes_around(&next(&[("a", "c"), ("c", "d"), ("d", "c")])));
    }
}
