//! A query over the small ring: host A opens it and runs block 1, host B runs blocks 2 and 3.

use deepring::receipt::{Chain, Checked, Item, batch_digest, tensors_digest};
use deepring::{Check, DType, Decision, Digest, Host, SecretKey, TensorValue, VerifiedRing};

use crate::small_ring::{host_a, host_b};

/// A tensor of one row, filled with `n`.
pub(crate) fn tensor(name: &str, n: u8) -> TensorValue {
    TensorValue::new(name, DType::F32, vec![1, 4], vec![n; 16]).unwrap()
}

/// Digest of a batch of queries with one tensor each.
pub(crate) fn batch_of(name: &str, values: &[u8]) -> Digest {
    let digests: Vec<_> = values.iter().map(|n| tensors_digest(&[tensor(name, *n)])).collect();
    batch_digest(&digests)
}

pub(crate) fn content(ring: &VerifiedRing, blocks: std::ops::Range<usize>) -> Vec<Digest> {
    ring.headers()[blocks].iter().map(|h| h.content_digest).collect()
}

/// A check that treats all parts of these blocks alike.
pub(crate) fn checked(
    ring: &VerifiedRing,
    blocks: std::ops::Range<usize>,
    check: Check,
) -> Checked {
    Checked::uniform(check, ring.headers()[blocks].iter().map(|h| h.parts.len())).unwrap()
}

/// Opens Genesis and a chain with it.
pub(crate) fn open_chain(ring: &VerifiedRing, host: &SecretKey<Host>, inputs: Digest) -> Chain {
    let mut out = vec![0; ring.genesis().plain_len as usize];
    // Genesis is opened with a key that can, whoever signs.
    let genesis = ring.open_block(0, (&host_a()).into(), &mut out).unwrap();
    Chain::begin(ring, &genesis, host, inputs, 1_700_000_000_000).unwrap()
}

/// A batch of queries: inputs `values`, outputs 100 more.
pub(crate) fn items(values: &[u8]) -> Vec<Item> {
    let digest = |name, n| tensors_digest(&[tensor(name, n)]);
    values
        .iter()
        .map(|n| Item { inputs: digest("x0", *n), outputs: digest("y", n + 100) })
        .collect()
}

/// The whole chain of a batch.
pub(crate) fn chain(ring: &VerifiedRing, values: &[u8]) -> Chain {
    let outputs: Vec<u8> = values.iter().map(|n| n + 100).collect();
    let mut chain = open_chain(ring, &host_a(), batch_of("x0", values));
    chain.extend(
        &host_a(),
        content(ring, 1..2),
        checked(ring, 1..2, Check::Run),
        batch_of("x1", values),
    );
    chain.extend(
        &host_b(),
        content(ring, 2..4),
        checked(ring, 2..4, Check::Load),
        batch_of("y", &outputs),
    );
    chain
}

/// A decision about two queries.
pub(crate) fn decision(ring: &VerifiedRing) -> Decision {
    Decision::close(chain(ring, &[1, 2]), items(&[1, 2]), ring, &host_a()).unwrap()
}
