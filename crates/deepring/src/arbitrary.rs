//! Strategies for values of the format: everything that an encoder may be given.

mod records;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::block::chunks::chunk_count;
use crate::block::{Header, PartKind, Recipient, RecipientRole, lay_out, shared_at};
use crate::crypto::Digest;
use crate::deal::{Deal, DealtLeg};
use crate::keys::{Host, PublicKey, Role};
use crate::manifest::Manifest;
use crate::outline::Outline;
use crate::ring::closure::{Closure, ClosureRow};
use crate::ring_id::{RingId, RingKind};
use crate::tensor::{DType, Dim, TensorSpec};

pub(crate) use records::{batch, chain, evidence, message, parcel, receipt_file, salt, validation};

fn bytes<const N: usize>() -> impl Strategy<Value = [u8; N]> {
    vec(any::<u8>(), N).prop_map(|v| v.try_into().unwrap())
}

pub(crate) fn digest() -> impl Strategy<Value = Digest> {
    bytes().prop_map(Digest)
}

fn ring_id() -> impl Strategy<Value = RingId> {
    bytes().prop_map(RingId)
}

fn key<R: Role>() -> impl Strategy<Value = PublicKey<R>> {
    bytes().prop_map(PublicKey::from_bytes)
}

fn dtype() -> impl Strategy<Value = DType> {
    prop::sample::select((1..=16).filter_map(DType::from_onnx).collect::<Vec<_>>())
}

fn dim() -> impl Strategy<Value = Dim> {
    prop_oneof![any::<u64>().prop_map(Dim::Fixed), any::<String>().prop_map(Dim::Named)]
}

pub(crate) fn spec() -> impl Strategy<Value = TensorSpec> {
    (any::<String>(), dtype(), option::of(vec(dim(), 0..6)))
        .prop_map(|(name, dtype, dims)| TensorSpec { name, dtype, dims })
}

fn parameter() -> impl Strategy<Value = (PartKind, u64)> {
    (any::<String>(), dtype(), vec(1..40u64, 0..4)).prop_map(|(name, dtype, dims)| {
        let dims = Some(dims.into_iter().map(Dim::Fixed).collect());
        let spec = TensorSpec { name, dtype, dims };
        let len = spec.len().unwrap() * dtype.size() as u64;
        (PartKind::Parameter(spec), len)
    })
}

fn parts(index: u32) -> BoxedStrategy<Vec<(PartKind, u64)>> {
    if index == 0 {
        return (1..200_000u64).prop_map(|len| vec![(PartKind::Manifest, len)]).boxed();
    }
    (vec(parameter(), 0..5), 1..200_000u64)
        .prop_map(|(mut parts, len)| {
            parts.push((PartKind::Graph, len));
            parts
        })
        .boxed()
}

/// The shared parts of a block of this index: how far each shared block is behind the one before
/// it, and its parts.
fn shared() -> impl Strategy<Value = Vec<(u32, Vec<(PartKind, u64)>)>> {
    vec((1..3u32, vec(parameter(), 1..4)), 0..3)
}

fn recipient() -> impl Strategy<Value = Recipient> {
    let role =
        prop_oneof![key().prop_map(RecipientRole::Owner), key().prop_map(RecipientRole::Host)];
    (role, bytes(), bytes()).prop_map(|(role, enc, wrapped)| Recipient { role, enc, wrapped })
}

/// A header that decodes: laid out well, with as many chunk digests as its parts have chunks.
pub(crate) fn header() -> impl Strategy<Value = Header> {
    let index = prop_oneof![0..4u32, any::<u32>()];
    let count = prop_oneof![1..4u32, any::<u32>()];
    let rest = (index, count).prop_flat_map(|(index, count)| {
        (
            Just((index, count)),
            (parts(index), shared(), any::<bool>()),
            vec(recipient(), 0..4),
            vec(digest(), 5),
            (digest(), option::of(deal())),
        )
    });
    let place = (ring_id(), any::<u64>(), any::<String>());
    let tensors = (vec(spec(), 0..4), vec(spec(), 0..4));
    (place, rest, tensors, bytes()).prop_map(|(place, rest, (inputs, outputs), signature)| {
        let ((index, count), parts, recipients, digests, (chunk, deal)) = rest;
        let (parts, shared, is_shared) = parts;
        // A block that computes, or one of parameters alone.
        let only = |parts: Vec<(PartKind, u64)>| {
            let parameter = |p: &(PartKind, u64)| matches!(p.0, PartKind::Parameter(_));
            parts.into_iter().filter(parameter).collect::<Vec<_>>()
        };
        let alone = only(parts.clone());
        let is_shared = is_shared && index != 0 && !alone.is_empty();
        let (mut parts, mut plain_len) = lay_out(if is_shared { alone } else { parts }).unwrap();
        let mut block = index;
        for (further, of_it) in shared.into_iter().filter(|_| index != 0 && !is_shared) {
            block = block.saturating_add(further);
            if block < count {
                parts.extend(shared_at(plain_len, block, &lay_out(of_it).unwrap().0).unwrap());
                plain_len = parts.last().unwrap().end();
            }
        }
        let chunks = usize::try_from(chunk_count(&parts)).unwrap();
        Header {
            ring_id: place.0,
            model_version: place.1,
            index,
            count,
            name: place.2,
            plain_len,
            body_digest: digests[0],
            content_digest: digests[1],
            commitment: digests[2],
            previous_body: digests[3],
            next_body: digests[4],
            inputs,
            outputs,
            parts,
            recipients,
            deal: deal.filter(|_| index == 0),
            chunks: vec![chunk; chunks],
            signature,
        }
    })
}

fn row() -> impl Strategy<Value = ClosureRow> {
    (0..=64u32 << 20, any::<u64>(), digest()).prop_map(|(header_len, body_len, header_digest)| {
        ClosureRow { header_len, body_len, header_digest }
    })
}

pub(crate) fn closure() -> impl Strategy<Value = Closure> {
    let head = (ring_id(), any::<u64>(), digest(), key(), any::<u64>(), any::<u32>(), kind());
    let signatures = (bytes(), bytes());
    (head, vec((digest(), row()), 0..6), signatures).prop_map(|(head, blocks, signatures)| {
        let (bodies, rows) = blocks.into_iter().unzip();
        Closure {
            ring_id: head.0,
            model_version: head.1,
            kind: head.6,
            previous: head.2,
            owner: head.3,
            sealed_at: head.4,
            bodies,
            revision: head.5,
            rows,
            outline_signature: signatures.0,
            signature: signatures.1,
        }
    })
}

fn kind() -> impl Strategy<Value = RingKind> {
    prop::sample::select(vec![RingKind::Network, RingKind::Weights])
}

/// Hosts of different keys.
fn hosts(range: std::ops::Range<usize>) -> impl Strategy<Value = Vec<PublicKey<Host>>> {
    vec(bytes::<64>(), range).prop_map(|keys| {
        let numbered = |(i, mut key): (u8, [u8; 64])| {
            key[0] = i;
            PublicKey::from_bytes(key)
        };
        (0..).zip(keys).map(numbered).collect()
    })
}

/// A deal that decodes: legs that follow each other, of as many hosts each.
pub(crate) fn deal() -> impl Strategy<Value = Deal> {
    let head = (ring_id(), digest(), any::<u32>(), any::<u64>(), any::<bool>());
    let legs = (2..4usize).prop_flat_map(|copies| vec((1..9u32, hosts(copies..copies + 1)), 1..5));
    (head, hosts(1..5), legs, key(), bytes()).prop_map(|(head, genesis, legs, owner, signature)| {
        let mut end = 1;
        let legs: Vec<DealtLeg> = legs
            .into_iter()
            .map(|(blocks, hosts)| {
                let first = end;
                end += blocks;
                DealtLeg { first, end, hosts }
            })
            .collect();
        Deal {
            ring_id: head.0,
            ring_digest: head.1,
            revision: head.2,
            dealt_at: head.3,
            eager: head.4 && legs[0].hosts.len() == 3,
            genesis,
            legs,
            owner,
            signature,
        }
    })
}

/// An outline that decodes: of any closure, and of headers that need not fit it.
pub(crate) fn outline() -> impl Strategy<Value = Outline> {
    (closure(), vec(header(), 2..4)).prop_map(|(closure, headers)| {
        let headers: Vec<&Header> = headers.iter().collect();
        Outline::of(closure.stated(), &headers)
    })
}

pub(crate) fn manifest() -> impl Strategy<Value = Manifest> {
    (any::<[String; 3]>(), any::<u64>(), vec(any::<String>(), 0..6)).prop_map(
        |([model_name, producer, preprocess], opset, labels)| Manifest {
            model_name,
            producer,
            opset,
            preprocess,
            labels,
        },
    )
}

/// A change that damage or an attacker may make to some bytes.
#[derive(Debug, Clone)]
pub(crate) enum Damage {
    Set(prop::sample::Index, u8),
    Insert(prop::sample::Index, Vec<u8>),
    Remove(prop::sample::Index),
    Cut(prop::sample::Index),
}

pub(crate) fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        4 => (at(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        2 => (at(), vec(any::<u8>(), 1..5)).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        1 => at().prop_map(Damage::Remove),
        1 => at().prop_map(Damage::Cut),
    ]
}

impl Damage {
    /// Damages bytes; an empty slice stays as it is.
    pub(crate) fn to(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        match self {
            Self::Set(at, byte) => *at.get_mut(bytes) = *byte,
            Self::Insert(at, new) => {
                let at = at.index(bytes.len());
                bytes.splice(at..at, new.iter().copied());
            }
            Self::Remove(at) => _ = bytes.remove(at.index(bytes.len())),
            Self::Cut(at) => bytes.truncate(at.index(bytes.len())),
        }
    }
}
