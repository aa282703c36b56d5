//! A query over the small ring: host A opens it and runs block 1, host B runs blocks 2 and 3.

use std::ops::Range;

use deepring::receipt::{
    Chain, Checked, ComputedWith, Item, LegResult, QueryStart, Salt, batch_digest, tensors_digest,
};
use deepring::{Check, DType, Decision, Digest, Host, SecretKey, TensorValue, VerifiedRing};

use crate::small_ring::{host_a, host_b};

/// A tensor of one row, filled with `n`.
pub(crate) fn tensor(name: &str, n: u8) -> TensorValue {
    TensorValue::new(name, DType::F32, vec![1, 4], vec![n; 16]).unwrap()
}

/// The salt of every query here.
pub(crate) fn salt() -> Salt {
    Salt::from_bytes([0x5a; 32]).unwrap()
}

/// Digest of a batch of queries with one tensor each.
pub(crate) fn batch_of(name: &str, values: &[u8]) -> Digest {
    let digests: Vec<_> =
        values.iter().map(|n| tensors_digest(&salt(), &[tensor(name, *n)])).collect();
    batch_digest(&digests)
}

pub(crate) fn content(ring: &VerifiedRing, blocks: Range<usize>) -> Vec<Digest> {
    ring.headers()[blocks].iter().map(|h| h.content_digest).collect()
}

/// A check that treats all parts of these blocks alike.
pub(crate) fn checked(ring: &VerifiedRing, blocks: Range<usize>, check: Check) -> Checked {
    Checked::uniform(check, ring.headers()[blocks].iter().map(|h| h.parts.len())).unwrap()
}

/// Engine, library, processor kind and threads that every host here states.
pub(crate) fn computed_with() -> ComputedWith {
    ComputedWith::new("engine 1.2.3", Digest::NONE, "x86_64 avx2", 4).unwrap()
}

/// The result of a host that ran these blocks and says this of its checks.
pub(crate) fn ran_as(
    ring: &VerifiedRing,
    blocks: Range<usize>,
    checked: Checked,
    outputs: Digest,
) -> LegResult {
    let blocks = content(ring, blocks);
    LegResult { blocks, checked, computed_with: computed_with(), outputs }
}

/// The result of a host that ran these blocks, with a check that treats all parts alike.
pub(crate) fn ran(
    ring: &VerifiedRing,
    blocks: Range<usize>,
    check: Check,
    outputs: Digest,
) -> LegResult {
    ran_as(ring, blocks.clone(), checked(ring, blocks, check), outputs)
}

/// The start of query `n`.
pub(crate) fn start(n: u8) -> QueryStart {
    QueryStart { query: Digest([n; 32]), salt: salt(), nonce: None, opened_at: 1_700_000_000_000 }
}

/// Opens Genesis and a chain with it, of query 1, under the ring's deal if there is one.
pub(crate) fn open_chain(ring: &VerifiedRing, host: &SecretKey<Host>, inputs: Digest) -> Chain {
    open_chain_with(ring, host, inputs, &start(1))
}

pub(crate) fn open_chain_with(
    ring: &VerifiedRing,
    host: &SecretKey<Host>,
    inputs: Digest,
    start: &QueryStart,
) -> Chain {
    let mut out = vec![0; ring.genesis().plain_len as usize];
    // Genesis is opened with a key that can, whoever signs.
    let genesis = ring.open_block(0, (&host_a()).into(), &mut out).unwrap();
    Chain::begin(ring.outline(), &genesis, host, inputs, start, true)
}

/// A batch of queries: inputs `values`, outputs 100 more.
pub(crate) fn items(values: &[u8]) -> Vec<Item> {
    let digest = |name, n| tensors_digest(&salt(), &[tensor(name, n)]);
    values
        .iter()
        .map(|n| Item { inputs: digest("x0", *n), outputs: digest("y", n + 100) })
        .collect()
}

/// The whole chain of a batch.
pub(crate) fn chain(ring: &VerifiedRing, values: &[u8]) -> Chain {
    chain_of(ring, values, &start(1))
}

fn chain_of(ring: &VerifiedRing, values: &[u8], start: &QueryStart) -> Chain {
    let outputs: Vec<u8> = values.iter().map(|n| n + 100).collect();
    let mut chain = open_chain_with(ring, &host_a(), batch_of("x0", values), start);
    chain.extend(&host_a(), ran(ring, 1..2, Check::Run, batch_of("x1", values)));
    chain.extend(&host_b(), ran(ring, 2..4, Check::Load, batch_of("y", &outputs)));
    chain
}

/// A decision about two queries.
pub(crate) fn decision(ring: &VerifiedRing) -> Decision {
    decision_of(ring, 1)
}

/// The same decision of query `n`.
pub(crate) fn decision_of(ring: &VerifiedRing, n: u8) -> Decision {
    let chain = chain_of(ring, &[1, 2], &start(n));
    Decision::close(chain, items(&[1, 2]), salt(), ring.outline(), &host_a()).unwrap()
}
