//! The small ring, dealt to three hosts: block 1 to host A, block 2 to host B, block 3 to host C, each to those that
//! follow around the ring, too.

use std::ops::Range;

use deepring::deal::{Copies, Deal, DealPlan};
use deepring::files::Replacement;
use deepring::maintenance::{GrantError, deal_in};
use deepring::receipt::{Chain, LegResult, QueryStart};
use deepring::replication::{LegCopy, LegOutcome, Settled};
use deepring::seal::PlannedDeal;
use deepring::{Check, Digest, Host, PublicKey, SecretKey, VerifiedRing};

use crate::small_query::{batch_of, open_chain_with, ran, start};
use crate::small_ring::{host_a, host_b, host_c, intact, owner, small_ring};

/// The hosts of the three legs.
pub(crate) fn hosts() -> [SecretKey<Host>; 3] {
    [host_a(), host_b(), host_c()]
}

/// One block to each host.
pub(crate) fn legs() -> Vec<(Range<u32>, PublicKey<Host>)> {
    (1..).zip(hosts()).map(|(block, host)| (block..block + 1, host.public())).collect()
}

pub(crate) fn planned(copies: Copies, eager: bool) -> PlannedDeal {
    let plan = DealPlan { copies, eager, genesis: Vec::new(), dealt_at: 1_700_000_100 };
    PlannedDeal { legs: legs(), plan }
}

/// Deals a ring, in a folder of its own; returns the deal and the file's bytes.
pub(crate) fn deal_out(
    ring: &VerifiedRing,
    key: &SecretKey<deepring::Owner>,
    planned: &PlannedDeal,
) -> Result<(Deal, Vec<u8>), GrantError> {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("dealt.ring");
    let dealt = deal_in(Replacement::of(&target).unwrap(), ring, key, planned);
    assert_eq!(target.exists(), dealt.is_ok(), "nothing is written by halves");
    dealt.map(|deal| (deal, std::fs::read(&target).unwrap()))
}

/// The bytes of the small ring with its deal.
pub(crate) fn dealt_bytes(copies: Copies, eager: bool) -> Vec<u8> {
    deal_out(&intact(&small_ring()), &owner(), &planned(copies, eager)).unwrap().1
}

pub(crate) fn dealt(copies: Copies, eager: bool) -> VerifiedRing {
    intact(&dealt_bytes(copies, eager))
}

/// The right outputs of a block, for inputs `values`.
pub(crate) fn outputs_of(block: u32, values: &[u8]) -> Digest {
    match block {
        3 => batch_of("y", &values.iter().map(|n| n + 100).collect::<Vec<_>>()),
        block => batch_of(&format!("x{block}"), values),
    }
}

/// The right result of a block.
pub(crate) fn right(ring: &VerifiedRing, block: u32) -> LegResult {
    let at = block as usize;
    ran(ring, at..at + 1, Check::Run, outputs_of(block, &[1, 2]))
}

/// Opens a query of two inputs, by host A.
pub(crate) fn opened(ring: &VerifiedRing, start: &QueryStart) -> Chain {
    open_chain_with(ring, &host_a(), batch_of("x0", &[1, 2]), start)
}

/// The leg as honest copies settle it, if all of them compute; the results by their places.
pub(crate) fn conclude(
    ring: &VerifiedRing,
    chain: &Chain,
    result: impl Fn(usize) -> LegResult,
) -> Settled {
    let verified = chain.verify(ring.outline()).unwrap();
    let leg = verified.next_leg().unwrap();
    let key = |host: &PublicKey<Host>| hosts().into_iter().find(|k| k.public() == *host).unwrap();
    let mut copies: Vec<LegCopy<'_>> =
        leg.hosts.iter().map(|host| LegCopy::new(&verified, key(host)).unwrap()).collect();
    let mut sent = std::collections::VecDeque::new();
    for (place, copy) in copies.iter_mut().enumerate() {
        let nonce = [u8::try_from(place).unwrap() + 1; 32];
        sent.extend(copy.computed(result(place), nonce).into_iter().map(|out| (place, out)));
    }
    while let Some((from, out)) = sent.pop_front() {
        let to = leg.place_of(&out.to).unwrap();
        let more = copies[to].receive(&leg.hosts[from], &out.bytes).unwrap();
        sent.extend(more.into_iter().map(|out| (to, out)));
    }
    match copies[0].outcome() {
        Some(LegOutcome::Settled(settled)) => *settled,
        other => panic!("{other:?}"),
    }
}

/// The chain of a whole query, each leg settled by all of its copies.
pub(crate) fn settled_chain(ring: &VerifiedRing, start: &QueryStart) -> Chain {
    let mut chain = opened(ring, start);
    for block in 1..4 {
        let settled = conclude(ring, &chain, |_| right(ring, block));
        chain.extend_settled(settled.receipt, settled.validations);
    }
    chain
}

/// The same of query 1.
pub(crate) fn whole_chain(ring: &VerifiedRing) -> Chain {
    settled_chain(ring, &start(1))
}
