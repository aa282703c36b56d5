//! Which set stands for which term: a function of the dockets that were finalised, and of nothing else.
//!
//! A term is a fixed number of heights, so that everybody knows the term of a height from the height alone. The set
//! of a term is fixed by the last docket of the term before: the newest set that entries up to there
//! named, or the one that stood before. The first term's set is the one that the validator was
//! started with, which its operators agreed on outside of the log.
//!
//! It is kept in the engine's storage, since a ledger does not say at which height it took an entry: written
//! before a docket that changes it is acknowledged, so that a crash loses no change, and taken in
//! again without effect when the docket is delivered again.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;

use commonware_consensus::types::{Epoch, FixedEpocher};
use commonware_cryptography::sha256;
use deepring::codec::{DecodeError, Reader, Writer};
use deepring_ledger::entry::MAX_ENTRY_BYTES;
use deepring_ledger::{Entry, Event, ValidatorSet};

use super::docket::DocketDigest;
use super::error::AgreementError;

const VERSION: u8 = 1;
/// Most changes that are kept: more than one a term for as long as anybody asks for its dockets.
const MAX_CHANGES: usize = 1 << 14;

/// A set that an entry named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedSet {
    /// The entry, as its owner signed it.
    pub(crate) signed: Arc<[u8]>,
    pub(crate) set: Arc<ValidatorSet>,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TermSchedule {
    founding: Arc<ValidatorSet>,
    heights: NonZeroU64,
    newest: u64,
    floor: DocketDigest,
    votes_from: u64,
    next: Option<NamedSet>,
    changes: BTreeMap<u64, NamedSet>,
}

impl TermSchedule {
    /// The first term of a log, after its first docket.
    ///
    /// # Errors
    /// [`AgreementError::TermTooShort`] for terms of one height, of which the first would hold no vote.
    pub(crate) fn first(
        founding: &ValidatorSet,
        heights: NonZeroU64,
        first: DocketDigest,
    ) -> Result<Self, AgreementError> {
        if heights.get() < 2 {
            return Err(AgreementError::TermTooShort);
        }
        Ok(Self {
            founding: Arc::new(founding.clone()),
            heights,
            newest: 0,
            floor: first,
            votes_from: 0,
            next: None,
            changes: BTreeMap::new(),
        })
    }

    pub(crate) fn epocher(&self) -> FixedEpocher {
        FixedEpocher::new(self.heights)
    }

    /// The term that was entered last.
    pub(crate) fn newest(&self) -> Epoch {
        Epoch::new(self.newest)
    }

    /// The docket that the newest term builds on.
    pub(crate) fn floor(&self) -> DocketDigest {
        self.floor
    }

    /// Height of the docket that the newest term builds on.
    pub(crate) fn floor_height(&self) -> u64 {
        self.newest.saturating_mul(self.heights.get()).saturating_sub(1)
    }

    /// Height of the last docket of the newest term.
    pub(crate) fn last_height(&self) -> u64 {
        self.newest.saturating_add(1).saturating_mul(self.heights.get()).saturating_sub(1)
    }

    /// The terms, up to the newest, of which votes may be in storage.
    pub(crate) fn votes(&self) -> std::ops::Range<u64> {
        self.votes_from..self.newest
    }

    /// Of which terms votes are kept from now on.
    pub(crate) fn votes_are_kept_from(&mut self, term: u64) {
        self.votes_from = term;
    }

    /// The sets, each with the first term of which it is the set; the first one stands from the
    /// beginning, as far as it is asked for.
    pub(crate) fn sets(&self) -> impl Iterator<Item = (Epoch, &Arc<ValidatorSet>)> {
        let changes = self.changes.iter().map(|(term, named)| (Epoch::new(*term), &named.set));
        std::iter::once((Epoch::zero(), &self.founding)).chain(changes)
    }

    /// The set of the newest term.
    pub(crate) fn standing(&self) -> &Arc<ValidatorSet> {
        self.named().map_or(&self.founding, |named| &named.set)
    }

    /// Whether an entry of the newest term named a set for the next.
    pub(crate) fn names_next(&self) -> bool {
        self.next.is_some()
    }

    /// The set that stood in a term, as far as it is known.
    pub(crate) fn set_of(&self, term: Epoch) -> &Arc<ValidatorSet> {
        let named = self.changes.range(..=term.get()).next_back();
        named.map_or(&self.founding, |(_, named)| &named.set)
    }

    /// The same with its entry, where an entry named it.
    pub(crate) fn named(&self) -> Option<&NamedSet> {
        self.changes.last_key_value().map(|(_, named)| named)
    }

    /// Takes in an entry of a finalised docket of the newest term; returns whether it changes who stands in the next.
    pub(crate) fn take(&mut self, entry: &Entry) -> bool {
        let Event::ValidatorSet(set) = entry.event() else { return false };
        // The log says once who keeps it from the beginning. What was taken before is delivered again
        // after a crash.
        let known = self.next.as_ref().or_else(|| self.named());
        if *set == *self.founding || known.is_some_and(|known| set.epoch <= known.set.epoch) {
            return false;
        }
        let set = Arc::new(set.clone());
        self.next = Some(NamedSet { signed: entry.as_bytes().into(), set });
        true
    }

    /// Goes over to the next term, which builds on the last docket of this one; returns whether another set stands in it.
    pub(crate) fn enter_next(&mut self, floor: DocketDigest, retained: NonZeroU64) -> bool {
        self.newest = self.newest.saturating_add(1);
        self.floor = floor;
        let next = self.next.take();
        let changed = next.is_some();
        if let Some(named) = next {
            self.changes.insert(self.newest, named);
        }
        // Of dockets that are pruned nobody asks who voted for them.
        let oldest = self.floor_height().saturating_sub(retained.get()) / self.heights.get();
        let stood = self.changes.range(..=oldest).next_back().map(|(term, _)| *term);
        self.changes.retain(|term, _| stood.is_none_or(|stood| *term >= stood));
        changed
    }

    /// `version 1 | heights u64 | newest u64 | floor 32 | votes from u64 | next: list of bytes (one at most) |
    /// changes: list of (term u64, entry: bytes)`
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(VERSION)
            .u64(self.heights.get())
            .u64(self.newest)
            .raw(&self.floor)
            .u64(self.votes_from);
        w.count(usize::from(self.next.is_some()));
        self.next.iter().for_each(|named| _ = w.bytes(&named.signed));
        w.count(self.changes.len());
        self.changes.iter().for_each(|(term, named)| _ = w.u64(*term).bytes(&named.signed));
        w.finish()
    }

    /// Reads what [`encode`](Self::encode) wrote for the same log.
    ///
    /// # Errors
    /// [`AgreementError::Terms`] for anything else, and [`AgreementError::OtherTerms`] where terms have another length.
    pub(crate) fn decode(
        bytes: &[u8],
        founding: &ValidatorSet,
        heights: NonZeroU64,
    ) -> Result<Self, AgreementError> {
        let malformed = |e: DecodeError| AgreementError::Terms(e.to_string());
        let mut r = Reader::new(bytes);
        match r.u8("version").map_err(malformed)? {
            VERSION => {}
            found => return Err(AgreementError::Terms(format!("version {found} is unknown"))),
        }
        let found = r.u64("heights").map_err(malformed)?;
        if found != heights.get() {
            return Err(AgreementError::OtherTerms { found, expected: heights.get() });
        }
        let newest = r.u64("newest").map_err(malformed)?;
        let floor = sha256::Digest(r.array("floor").map_err(malformed)?);
        let mut this = Self::first(founding, heights, floor)?;
        (this.newest, this.votes_from) = (newest, r.u64("votes from").map_err(malformed)?);
        if r.count("next", 1, 4).map_err(malformed)? == 1 {
            this.next = Some(named(&mut r)?);
        }
        for _ in 0..r.count("changes", MAX_CHANGES, 12).map_err(malformed)? {
            let term = r.u64("term").map_err(malformed)?;
            let before = this.changes.last_key_value().map_or(0, |(term, _)| *term);
            if term <= before || term > newest {
                return Err(AgreementError::Terms(format!("term {term} is out of order")));
            }
            this.changes.insert(term, named(&mut r)?);
        }
        r.finish().map_err(malformed)?;
        Ok(this)
    }
}

fn named(r: &mut Reader<'_>) -> Result<NamedSet, AgreementError> {
    let signed = r.bytes("entry", MAX_ENTRY_BYTES);
    let signed = signed.map_err(|e| AgreementError::Terms(e.to_string()))?;
    let set = ValidatorSet::decode_signed(signed);
    let set = Arc::new(set.map_err(|e| AgreementError::Terms(e.to_string()))?);
    Ok(NamedSet { signed: signed.into(), set })
}

#[cfg(test)]
mod tests;
