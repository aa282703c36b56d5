//! The store's words about keys that were given up: the reader's own, and those of ledgers.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::{Data, is_hex, is_zero};
use crate::trust::words::Words;

/// By key: the key that came after it, by the reader's own word.
pub(in super::super) type Successors = BTreeMap<String, String>;

/// A ledger's word about a key of a ring's owner that was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct GivenUp {
    /// The key after it.
    pub(in super::super) next: String,
    /// The newest version by the key that was given up; left out where the ledger records none.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "some")]
    pub(in super::super) last: Option<Last>,
}

/// A version, as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct Last {
    pub(in super::super) model_version: u64,
    pub(in super::super) digest: String,
    /// Number of its newest deal; left out for none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(in super::super) deal: u32,
}

/// A version that is not left out is there: null is none.
fn some<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Last>, D::Error> {
    Last::deserialize(from).map(Some)
}

impl GivenUp {
    pub(in super::super) fn of(next: String) -> Self {
        Self { next, last: None }
    }
}

impl Last {
    pub(in super::super) fn is_canonical(&self) -> bool {
        is_hex(&self.digest, 64)
    }
}

impl Data {
    /// The reader's own words.
    pub(in super::super) fn words_of_reader(&self) -> Words<'_> {
        let mut words = Words::default();
        self.successors.iter().for_each(|(old, new)| words.say(old, new));
        words
    }

    /// All words that are about a ring.
    pub(in super::super) fn words_of(&self, ring: &str) -> Words<'_> {
        self.words_by(ring, |_| true)
    }

    /// Those about a ring that others than this ledger say.
    pub(in super::super) fn words_of_others(&self, ring: &str, ledger: &str) -> Words<'_> {
        self.words_by(ring, |speaker| speaker != ledger)
    }

    fn words_by(&self, ring: &str, counts: impl Fn(&str) -> bool) -> Words<'_> {
        let mut words = self.words_of_reader();
        for (_, rings) in self.given_up.iter().filter(|(ledger, _)| counts(ledger)) {
            for (old, given) in rings.get(ring).into_iter().flatten() {
                words.say(old, &given.next);
            }
        }
        words
    }

    /// Takes these for the reader's own words, but what contradicts those that were taken before: of other rings, it may.
    pub(super) fn own_words(&mut self, next: Successors) {
        for (old, next) in next {
            let before = self.successors.clone();
            self.successors.entry(old).or_insert(next);
            if self.contradiction().is_some() {
                self.successors = before;
            }
        }
    }

    /// A ring of whose keys two words contradict each other, or nothing where the reader's own words alone do.
    pub(super) fn contradiction(&self) -> Option<Option<&str>> {
        if self.words_of_reader().contradiction().is_some() {
            return Some(None);
        }
        let mut rings = self.given_up.values().flat_map(BTreeMap::keys);
        rings
            .find(|ring| self.words_of(ring).contradiction().is_some())
            .map(|ring| Some(ring.as_str()))
    }

    /// Forgets what ledgers say of rings and the reader's own words contradict, or those of ledgers before them: what agreed by a word
    /// that is gone may part without it.
    pub(in super::super) fn outweigh(&mut self) {
        for (ledger, rings) in std::mem::take(&mut self.given_up) {
            for (ring, said) in rings {
                let mut words = self.words_of(&ring);
                said.iter().for_each(|(old, given)| words.say(old, &given.next));
                if words.contradiction().is_none() {
                    self.given_up.entry(ledger.clone()).or_default().insert(ring, said);
                }
            }
        }
    }
}
