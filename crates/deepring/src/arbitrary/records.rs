//! Strategies for the records of queries: chains, validations, messages of copies, evidence, parcels.

use proptest::collection::vec;
use proptest::prelude::*;

use super::{bytes, digest, dtype, key, ring_id};
use crate::encoding::Writer;
use crate::receipt::{
    Agreement, Chain, ChainLeg, Check, Checked, ComputedWith, Coverage, Opening, Receipt, Salt,
    SampleRate, TensorValue, Validation,
};
use crate::replication::Evidence;

fn opening() -> impl Strategy<Value = Opening> {
    (vec(digest(), 7), ring_id(), any::<[u64; 2]>(), key(), bytes()).prop_map(
        |(digests, ring_id, [model_version, opened_at], host, signature)| Opening {
            query: digests[0],
            ring_id,
            ring_digest: digests[1],
            model_version,
            genesis: digests[2],
            deal: digests[3],
            nonce: digests[4],
            salt: digests[5],
            inputs: digests[6],
            opened_at,
            host,
            signature,
        },
    )
}

fn check() -> impl Strategy<Value = Check> {
    prop_oneof![
        prop::sample::select(vec![Check::None, Check::Load, Check::Run]),
        prop::sample::select(vec![Check::Auto, Check::Compute]),
        (1..1_000_000u32).prop_map(|n| Check::Spot(SampleRate::from_millionths(n).unwrap())),
    ]
}

/// The coverage that the parts of one block may have under this check.
fn coverage(check: Check) -> BoxedStrategy<Vec<Coverage>> {
    use Coverage::{Both, Bytes, Either, Opened, Product, Recomputed, Rows, Unchecked};
    let of = |choices: &[Coverage]| vec(prop::sample::select(choices.to_vec()), 0..5);
    match check {
        Check::None => of(&[Unchecked]).boxed(),
        Check::Load => of(&Coverage::ALL[1..]).boxed(),
        Check::Spot(_) => prop_oneof![of(&[Opened]), of(&[Bytes])].boxed(),
        Check::Run => of(&[Bytes]).boxed(),
        Check::Auto | Check::Compute => {
            of(&[Rows, Product, Bytes, Either, Both, Recomputed]).boxed()
        }
    }
}

fn checked() -> impl Strategy<Value = Checked> {
    let blocks = |check| (Just(check), vec(coverage(check), 0..4), 1..=u16::MAX);
    check().prop_flat_map(blocks).prop_map(|(check, coverage, uses)| {
        let rotates = coverage.iter().flatten().any(|c| c.rotates());
        Checked::new(check, if rotates { uses } else { 0 }, coverage).unwrap()
    })
}

fn computed_with() -> impl Strategy<Value = ComputedWith> {
    ("[ -~]{1,64}", digest(), "[ -~]{1,64}", 1..=u16::MAX).prop_map(
        |(engine, library, processor, threads)| {
            ComputedWith::new(&engine, library, &processor, threads).unwrap()
        },
    )
}

fn receipt() -> impl Strategy<Value = Receipt> {
    let ran = (checked(), computed_with());
    (vec(digest(), 5), any::<u32>(), vec(digest(), 0..4), ran, key(), bytes()).prop_map(
        |(digests, first_block, blocks, (checked, computed_with), host, signature)| {
            let (check, rotation, coverage) = checked.into_parts();
            Receipt {
                query: digests[0],
                ring_digest: digests[1],
                first_block,
                blocks,
                check,
                rotation,
                coverage,
                computed_with,
                inputs: digests[2],
                outputs: digests[3],
                previous: digests[4],
                host,
                signature,
            }
        },
    )
}

/// Differences and bounds that say what the code says.
fn agreement() -> impl Strategy<Value = Agreement> {
    let positive = || (1..f32::INFINITY.to_bits()).prop_map(f32::from_bits);
    prop_oneof![
        Just(Agreement::Same),
        (positive(), positive())
            .prop_map(|(a, b)| Agreement::Near { largest: a.min(b), bound: a.max(b) }),
        positive().prop_map(|largest| Agreement::Differs { largest, bound: 0.0 }),
        positive().prop_map(|bound| Agreement::Differs { largest: f32::INFINITY, bound }),
    ]
}

pub(crate) fn validation() -> impl Strategy<Value = Validation> {
    let ran = (checked(), computed_with(), agreement());
    (vec(digest(), 4), any::<u32>(), vec(digest(), 0..4), ran, key(), bytes()).prop_map(
        |(digests, first_block, blocks, (checked, computed_with, agreement), host, signature)| {
            let (check, rotation, coverage) = checked.into_parts();
            Validation {
                query: digests[0],
                receipt: digests[1],
                first_block,
                blocks,
                check,
                rotation,
                coverage,
                computed_with,
                inputs: digests[2],
                outputs: digests[3],
                agreement,
                host,
                signature,
            }
        },
    )
}

/// A leg whose validations are in order, of different hosts.
fn leg() -> impl Strategy<Value = ChainLeg> {
    (receipt(), vec(validation(), 0..3)).prop_map(|(receipt, mut validations)| {
        validations.sort_by_key(|v| *v.host.as_bytes());
        validations.dedup_by_key(|v| v.host);
        ChainLeg { receipt, validations }
    })
}

pub(crate) fn chain() -> impl Strategy<Value = Chain> {
    (opening(), vec(leg(), 0..4)).prop_map(|(opening, legs)| Chain { opening, legs })
}

/// The bytes of a receipt file.
pub(crate) fn receipt_file() -> impl Strategy<Value = Vec<u8>> {
    (chain(), vec([digest(), digest()], 0..5), (bytes::<64>(), bytes::<64>()), bytes::<32>())
        .prop_map(|(chain, items, (closed_by, signature), salt)| {
            let mut w = Writer::new();
            w.raw(b"DRECEIPT").u16(4);
            chain.encode(&mut w);
            w.count(items.len());
            items.iter().flatten().for_each(|d| _ = w.raw(&d.0));
            w.raw(&closed_by).raw(&signature).raw(&salt);
            w.finish()
        })
}

/// The bytes of a parcel.
pub(crate) fn parcel() -> impl Strategy<Value = Vec<u8>> {
    (chain(), vec((bytes::<64>(), bytes::<80>()), 0..4), vec(any::<u8>(), 0..200)).prop_map(
        |(chain, recipients, sealed)| {
            let mut w = Writer::new();
            chain.encode(&mut w);
            w.count(recipients.len());
            recipients.iter().for_each(|(host, key)| _ = w.raw(host).raw(key));
            w.bytes(&sealed);
            w.finish()
        },
    )
}

/// The bytes of a message between copies.
pub(crate) fn message() -> impl Strategy<Value = Vec<u8>> {
    let head = (digest(), digest(), 1..=4u8);
    let record = (validation(), proptest::option::of(receipt()));
    (head, digest(), receipt(), record).prop_map(
        |((query, head, kind), digest, receipt, (record, about))| {
            let mut w = Writer::new();
            w.raw(&query.0).raw(&head.0).u8(kind);
            match kind {
                1 => _ = w.raw(&digest.0),
                2 => {
                    w.raw(&digest.0);
                    receipt.encode(&mut w);
                }
                3 => {
                    record.encode(&mut w);
                    w.count(usize::from(about.is_some()));
                    about.iter().for_each(|receipt| receipt.encode(&mut w));
                }
                _ => {}
            }
            w.finish()
        },
    )
}

pub(crate) fn evidence() -> impl Strategy<Value = Evidence> {
    let equivocation = (receipt(), receipt()).prop_map(|(first, second)| Evidence::Equivocation {
        first: Box::new(first),
        second: Box::new(second),
    });
    let contradiction = (receipt(), validation()).prop_map(|(receipt, objection)| {
        Evidence::Contradiction { receipt: Box::new(receipt), objection: Box::new(objection) }
    });
    let majority = (receipt(), [validation(), validation()]).prop_map(|(receipt, objections)| {
        Evidence::Majority { receipt: Box::new(receipt), objections: Box::new(objections) }
    });
    let perjury = (receipt(), validation(), receipt()).prop_map(|(receipt, record, about)| {
        let (receipt, about) = (Box::new(receipt), Box::new(about));
        Evidence::Perjury { receipt, record: Box::new(record), about }
    });
    prop_oneof![equivocation, contradiction, majority, perjury]
}

fn tensor() -> impl Strategy<Value = TensorValue> {
    (any::<String>(), dtype(), vec(0..5u64, 0..4), any::<u8>()).prop_map(
        |(name, dtype, dims, fill)| {
            let len = dims.iter().product::<u64>() * dtype.size() as u64;
            let data = vec![fill; usize::try_from(len).unwrap()];
            TensorValue::new(name, dtype, dims, data).unwrap()
        },
    )
}

/// A batch of queries with their tensors.
pub(crate) fn batch() -> impl Strategy<Value = Vec<Vec<TensorValue>>> {
    vec(vec(tensor(), 0..4), 0..4)
}

pub(crate) fn salt() -> impl Strategy<Value = Salt> {
    bytes().prop_filter_map("zero stands for none", Salt::from_bytes)
}
