//! Parcels: for one host only, bound to their chain, and checked before they are opened.

use deepring::receipt::{Parcel, ParcelError, Salt, batch_digest, tensors_digest};
use deepring::{Check, TensorValue, VerifiedRing};
use rayon::prelude::*;

use crate::small_query::{batch_of, open_chain, open_chain_with, ran, salt, start, tensor};
use crate::small_ring::{host_a, host_b, host_c, intact, small_ring};

/// Host A has run block 1 and sends its output to host B; `sent` may be something else.
fn parcel(ring: &VerifiedRing, sent: &[Vec<TensorValue>]) -> Parcel {
    parcel_of(ring, 1, sent)
}

/// The same of query `n`.
fn parcel_of(ring: &VerifiedRing, n: u8, sent: &[Vec<TensorValue>]) -> Parcel {
    let mut chain = open_chain_with(ring, &host_a(), batch_of("x0", &[1]), &start(n));
    chain.extend(&host_a(), ran(ring, 1..2, Check::Run, batch_of("x1", &[5])));
    Parcel::seal(chain, &salt(), sent, &[host_b().public()]).unwrap()
}

fn honest(ring: &VerifiedRing) -> Parcel {
    parcel(ring, &[vec![tensor("x1", 5)]])
}

#[test]
fn a_parcel_opens_for_its_host_only() {
    let ring = intact(&small_ring());
    let delivered = honest(&ring).open(ring.outline(), &host_b()).unwrap();
    assert_eq!(delivered.batch, [[tensor("x1", 5)]]);
    for other in [host_a(), host_c()] {
        let err = honest(&ring).open(ring.outline(), &other).unwrap_err();
        assert_eq!(err, ParcelError::NotForThisHost);
    }
}

#[test]
fn a_parcel_with_other_tensors_than_the_last_receipt_names_is_refused() {
    let ring = intact(&small_ring());
    let one = || vec![tensor("x1", 5)];
    let wrong = [
        vec![vec![tensor("x1", 6)]],
        vec![vec![tensor("x2", 5)]],
        vec![],
        vec![vec![]],
        vec![one(), one()],
        vec![vec![tensor("x1", 5), tensor("x2", 5)]],
    ];
    for sent in wrong {
        let err = parcel(&ring, &sent).open(ring.outline(), &host_b()).unwrap_err();
        let ParcelError::Refused(f) = err else { panic!("{err}") };
        assert_eq!(f.block, Some(2), "the block whose inputs they would be");
    }
}

#[test]
fn sealed_tensors_cannot_be_moved_to_another_chain() {
    let ring = intact(&small_ring());
    let [one, two] = [1, 2].map(|n| parcel_of(&ring, n, &[vec![tensor("x1", 5)]]));
    let chain_len = one.encode().len() - RECIPIENTS - 4 - SEALED;
    let moved = [&one.encode()[..chain_len], &two.encode()[chain_len..]].concat();
    let err = Parcel::decode(&moved).unwrap().open(ring.outline(), &host_b()).unwrap_err();
    assert_eq!(err, ParcelError::Damaged);
}

/// One recipient: count 4, host 64, encapsulated key 32, wrapped key 48.
const RECIPIENTS: usize = 4 + 64 + 32 + 48;
/// One tensor: salt 32, counts 4 and 4, name 4, type 1, dimensions 20, data 20, tag 16.
const SEALED: usize = 32 + 8 + 4 + 1 + 20 + 20 + 16;

#[test]
fn a_parcel_for_two_hosts_opens_for_both_and_is_sealed_once() {
    let ring = intact(&small_ring());
    let chain = honest(&ring).chain().clone();
    let (batch, next) = (vec![vec![tensor("x1", 5)]], [host_b().public(), host_c().public()]);
    let parcel = Parcel::seal(chain, &salt(), &batch, &next).unwrap();
    assert_eq!(parcel.recipients().collect::<Vec<_>>(), next);
    assert_eq!(parcel.encode().len(), honest(&ring).encode().len() + 144);
    for host in [host_b(), host_c()] {
        let delivered = parcel.clone().open(ring.outline(), &host).unwrap();
        assert_eq!((delivered.batch, delivered.salt), (batch.clone(), salt()));
    }
    let refused = parcel.open(ring.outline(), &host_a()).unwrap_err();
    assert_eq!(refused, ParcelError::NotForThisHost);
}

#[test]
fn a_parcel_with_another_salt_than_the_opening_commits_to_is_refused() {
    let ring = intact(&small_ring());
    let chain = honest(&ring).chain().clone();
    let other = Salt::from_bytes([1; 32]).unwrap();
    let batch = [vec![tensor("x1", 5)]];
    let parcel = Parcel::seal(chain, &other, &batch, &[host_b().public()]).unwrap();
    let err = parcel.open(ring.outline(), &host_b()).unwrap_err();
    assert!(matches!(&err, ParcelError::Refused(f) if f.reason.contains("salt")), "{err}");
}

/// Longer than a chunk, so that the order and the end of the chunks count.
#[test]
fn a_parcel_of_several_chunks_opens_and_none_of_them_can_be_dropped_or_moved() {
    let ring = intact(&small_ring());
    let large =
        TensorValue::new("x1", deepring::DType::U8, vec![150_000], vec![3; 150_000]).unwrap();
    let batch = vec![vec![large.clone()]];
    let digest = batch_digest(&[tensors_digest(&salt(), &batch[0])]);
    let mut chain = open_chain(&ring, &host_a(), batch_of("x0", &[1]));
    chain.extend(&host_a(), ran(&ring, 1..2, Check::Run, digest));
    let parcel = Parcel::seal(chain, &salt(), &batch, &[host_b().public()]).unwrap();
    let bytes = parcel.encode();
    assert_eq!(parcel.open(ring.outline(), &host_b()).unwrap().batch, batch);
    const CHUNK: usize = 65_536 + 16;
    let body = bytes.len() - (32 + 8 + 4 + 1 + 12 + 4 + 150_000 + 3 * 16);
    let mut moved = bytes.clone();
    moved[body..body + 2 * CHUNK].rotate_left(CHUNK);
    let mut cut = bytes.clone();
    cut.truncate(body + 2 * CHUNK);
    cut[body - 4..body].copy_from_slice(&u32::try_from(2 * CHUNK).unwrap().to_le_bytes());
    for changed in [moved, cut] {
        let parcel = Parcel::decode(&changed).unwrap();
        let err = parcel.open(ring.outline(), &host_b()).unwrap_err();
        assert_eq!(err, ParcelError::Damaged);
    }
}

#[test]
fn a_parcel_with_a_chain_that_does_not_hold_is_not_opened() {
    let ring = intact(&small_ring());
    let mut chain = open_chain(&ring, &host_a(), batch_of("x0", &[1]));
    chain.extend(&host_c(), ran(&ring, 1..2, Check::Run, batch_of("x1", &[5])));
    let parcel =
        Parcel::seal(chain, &salt(), &[vec![tensor("x1", 5)]], &[host_b().public()]).unwrap();
    let err = parcel.open(ring.outline(), &host_b()).unwrap_err();
    assert!(matches!(err, ParcelError::Chain(e) if e.finding.block == Some(1)));
    let other = intact(&small_ring());
    let err = honest(&ring).open(other.outline(), &host_b()).unwrap_err();
    assert!(matches!(err, ParcelError::Chain(_)));
}

#[test]
fn every_flipped_bit_of_a_parcel_is_refused() {
    let ring = intact(&small_ring());
    let bytes = honest(&ring).encode();
    (0..bytes.len() * 8).into_par_iter().for_each(|bit| {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(parcel) = Parcel::decode(&flipped) {
            assert!(parcel.open(ring.outline(), &host_b()).is_err(), "bit {bit}");
        }
    });
}

#[test]
fn a_parcel_cut_at_any_length_or_padded_is_malformed() {
    let bytes = honest(&intact(&small_ring())).encode();
    for len in 0..bytes.len() {
        assert!(Parcel::decode(&bytes[..len]).is_err(), "{len}");
    }
    assert!(Parcel::decode(&[bytes.as_slice(), &[0]].concat()).is_err());
}

#[test]
fn a_recipient_whose_key_is_no_curve_point_is_refused() {
    let ring = intact(&small_ring());
    let chain = open_chain(&ring, &host_a(), batch_of("x0", &[1]));
    let unusable = deepring::PublicKey::from_bytes([0; 64]);
    let err = Parcel::seal(chain, &salt(), &[], &[unusable]).unwrap_err();
    assert_eq!(err, ParcelError::UnusableRecipient);
}

#[test]
fn tensors_whose_bytes_do_not_fit_their_shape_are_refused() {
    use deepring::DType;
    use deepring::receipt::ValueError;
    let new = |dims: &[u64], len| TensorValue::new("t", DType::I64, dims.into(), vec![0; len]);
    new(&[], 8).unwrap();
    new(&[3, 0, 2], 0).unwrap();
    new(&[2, 2], 32).unwrap();
    for (dims, len) in [(&[2, 2][..], 31), (&[2], 8), (&[], 0), (&[u64::MAX, 2], 16)] {
        assert!(matches!(new(dims, len), Err(ValueError::Length { .. })), "{dims:?} {len}");
    }
    assert!(matches!(new(&[1; 33], 8), Err(ValueError::TooLarge { .. })));
    let long = TensorValue::new("n".repeat(4097), DType::U8, vec![0], vec![]);
    assert!(matches!(long, Err(ValueError::TooLarge { .. })));
}

#[test]
fn the_tensors_digest_depends_on_every_field_and_not_on_the_order() {
    use deepring::DType;
    let t = |name: &str, dtype, dims: &[u64], n: u8| {
        TensorValue::new(name, dtype, dims.into(), vec![n; 4]).unwrap()
    };
    let (a, b) = (t("a", DType::F32, &[1], 1), t("b", DType::F32, &[1], 2));
    let both = tensors_digest(&salt(), &[a.clone(), b.clone()]);
    assert_eq!(both, tensors_digest(&salt(), &[b.clone(), a.clone()]));
    let others = [
        tensors_digest(&salt(), &[]),
        tensors_digest(&salt(), std::slice::from_ref(&a)),
        tensors_digest(&salt(), &[t("c", DType::F32, &[1], 1), b.clone()]),
        tensors_digest(&salt(), &[t("a", DType::I32, &[1], 1), b.clone()]),
        tensors_digest(&salt(), &[t("a", DType::F32, &[1, 1], 1), b.clone()]),
        tensors_digest(&salt(), &[t("a", DType::F32, &[1], 3), b.clone()]),
        tensors_digest(&Salt::from_bytes([1; 32]).unwrap(), &[a, b]),
    ];
    assert!(!others.contains(&both));
}
