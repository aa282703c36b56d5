//! How long a participant waits, how much it keeps, and how large a message can be.

use std::ops::Range;

use deepring::deal::{Deal, DealtLeg};
use deepring::receipt::SealedTensors;
use deepring::{AuthenticRing, Host, PublicKey, TensorSpec};

use super::action::Batch;
use super::not_accepted::NotAccepted;
use crate::error::InputError;
use crate::query_inputs::{check_inputs, list};

/// How long a participant waits, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// The least time that another copy is waited for, from when this host gave its own result.
    pub floor: u64,
    /// As many times this host's own computing time, where that is more. Copies that state other engines compute a leg seven
    /// times, so that less than 8 gives them up for nothing.
    pub times: u32,
    /// The time that a whole query is given by the host that opened it.
    pub query: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Self { floor: 2_000, times: 10, query: 60_000 }
    }
}

impl Patience {
    /// The time that another copy is waited for, where this host computed for so long.
    pub(super) fn with_copy(&self, took: u64) -> u64 {
        self.floor.max(took.saturating_mul(u64::from(self.times))).max(1)
    }

    /// The time in which a connection that was lost is made again, if both live.
    pub(super) fn reconnecting(&self) -> u64 {
        (self.floor / 2).max(1)
    }

    /// The time after which what was said is said again, doubled with each try.
    pub(super) fn repeat(&self, tries: u32) -> u64 {
        (self.floor / 4).max(1) << tries.min(6)
    }
}

/// How much a participant keeps; beyond, a message is refused, or the oldest is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Queries at a time.
    pub queries: usize,
    /// Of these, opened by one host.
    pub queries_of_one: usize,
    /// Queries of one batch, which count as one above.
    pub batch: usize,
    /// Bytes of tensors that are kept for one query.
    pub query_bytes: usize,
    /// Bytes of tensors that are kept for all.
    pub all_bytes: usize,
    /// Messages of one peer that are kept for a leg that did not begin here.
    pub aside: usize,
    /// Chains by which one leg of one query begins anew.
    pub chains: usize,
    /// Queries that ended and are still known as such: what is sent for them is not looked at.
    pub ended: usize,
    /// Receipts that this host is known to have signed.
    pub remembered: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            queries: 64,
            queries_of_one: 32,
            batch: 64,
            query_bytes: 256 << 20,
            all_bytes: 1 << 30,
            aside: 32,
            chains: 8,
            ended: 1024,
            remembered: 1 << 16,
        }
    }
}

/// How large what a ring's hosts send each other can be: by the shapes of its tensors and the blocks of its legs.
#[derive(Debug)]
pub(super) struct Sizes {
    /// For what enters each leg, and for what returns to Genesis.
    cuts: Vec<Cut>,
    /// Most bytes of a message of a leg.
    pub(super) record: usize,
    /// Most bytes of a chain.
    pub(super) chain: usize,
}

/// The tensors that cross between two legs, and bounds of their bytes.
#[derive(Debug)]
pub(super) struct Cut {
    /// The tensors that each query has there.
    specs: Vec<TensorSpec>,
    /// Bytes of their elements for one query; `None` where queries decide.
    elements: Option<usize>,
    /// Most bytes of a sealed body.
    body: usize,
}

impl Cut {
    fn of(specs: Vec<TensorSpec>, bounds: &Bounds) -> Self {
        let elements = specs.iter().try_fold(0_usize, |sum, spec| {
            let bytes = usize::try_from(spec.len()?).ok()?.checked_mul(spec.dtype.size())?;
            sum.checked_add(bytes)
        });
        let head =
            |spec: &TensorSpec| spec.name.len() + 11 + 8 * spec.dims.as_ref().map_or(32, Vec::len);
        let heads: usize = specs.iter().map(head).sum();
        let one = elements.map(|bytes| bytes.saturating_add(heads).saturating_add(4));
        let all = one.map_or(usize::MAX, |bytes| bytes.saturating_mul(bounds.batch));
        let plain = all.min(bounds.query_bytes).saturating_add(36);
        Self { specs, elements, body: SealedTensors::body_len_of(plain) }
    }

    /// Refuses a sealed body that is longer than any batch makes it.
    pub(super) fn refuse_body(&self, found: usize) -> Result<(), NotAccepted> {
        match found <= self.body {
            true => Ok(()),
            false => Err(NotAccepted::TooLong { found, limit: self.body }),
        }
    }

    /// Refuses tensors that are not what crosses here.
    pub(super) fn refuse_batch(&self, batch: &Batch, limit: usize) -> Result<(), NotAccepted> {
        if batch.len() > limit {
            return Err(NotAccepted::LongBatch { limit });
        }
        if batch.is_empty() {
            return Err(InputError::Nothing { expected: list(&self.specs) }.into());
        }
        Ok(batch.iter().try_for_each(|tensors| check_inputs(&self.specs, tensors))?)
    }

    /// Bytes of the elements of a batch; `known` where queries decide.
    pub(super) fn batch_len(&self, queries: usize, known: usize) -> usize {
        self.elements.map_or(known, |bytes| bytes.saturating_mul(queries))
    }
}

impl Sizes {
    pub(super) fn of(ring: &AuthenticRing, deal: &Deal, bounds: &Bounds) -> Self {
        let after = |leg: &DealtLeg| {
            ring.live_after(leg.end.saturating_sub(1)).into_iter().cloned().collect()
        };
        let entering = Cut::of(ring.inputs().to_vec(), bounds);
        let later = deal.legs.iter().map(|leg| Cut::of(after(leg), bounds));
        let cuts = std::iter::once(entering).chain(later).collect();
        let record = |leg: &DealtLeg| record_len(ring, leg.first..leg.end);
        let widest = deal.legs.iter().map(record).max().unwrap_or(0);
        // An opening, and a receipt with two validations for each leg.
        let chain = deal.legs.iter().map(|leg| 3 * record(leg) + 8).sum::<usize>() + 1024;
        Self { cuts, record: 2 * widest + 256, chain }
    }

    /// The tensors that enter a leg; behind the last, those that return to Genesis.
    pub(super) fn cut(&self, leg: usize) -> Option<&Cut> {
        self.cuts.get(leg)
    }

    /// Most bytes of any message: checked before anything is decoded.
    pub(super) fn message(&self, genesis: &[PublicKey<Host>], bounds: &Bounds) -> usize {
        let body = self.cuts.iter().map(|cut| cut.body).max().unwrap_or(0);
        let recipients = 160_usize.saturating_mul(genesis.len().saturating_add(4));
        let report = self.record.saturating_mul(8).saturating_add(1 << 16);
        let parcel = body.saturating_add(self.chain).saturating_add(recipients).saturating_add(64);
        let decision =
            bounds.batch.saturating_mul(64).saturating_add(self.chain).saturating_add(512);
        parcel.max(report).max(decision)
    }
}

/// Most bytes of a receipt or a record about one.
fn record_len(ring: &AuthenticRing, blocks: Range<u32>) -> usize {
    let parts = |block: u32| ring.headers().get(block as usize).map_or(0, |h| h.parts.len());
    1024 + blocks.map(|block| 64 + parts(block)).sum::<usize>()
}
