//! Parcels: for one host only, bound to their chain, and checked before they are opened.

use deepring::receipt::{Parcel, ParcelError};
use deepring::{Check, TensorValue, VerifiedRing};
use rayon::prelude::*;

use crate::small_query::{batch_of, checked, content, open_chain, tensor};
use crate::small_ring::{host_a, host_b, host_c, intact, small_ring};

/// Host A has run block 1 and sends its output to host B; `sent` may be something else.
fn parcel(ring: &VerifiedRing, sent: &[Vec<TensorValue>]) -> Parcel {
    let mut chain = open_chain(ring, &host_a(), batch_of("x0", &[1]));
    chain.extend(
        &host_a(),
        content(ring, 1..2),
        checked(ring, 1..2, Check::Run),
        batch_of("x1", &[5]),
    );
    Parcel::seal(chain, sent, &host_b().public()).unwrap()
}

fn honest(ring: &VerifiedRing) -> Parcel {
    parcel(ring, &[vec![tensor("x1", 5)]])
}

#[test]
fn a_parcel_opens_for_its_host_only() {
    let ring = intact(&small_ring());
    let delivered = honest(&ring).open(&ring, &host_b()).unwrap();
    assert_eq!(delivered.batch, [[tensor("x1", 5)]]);
    for other in [host_a(), host_c()] {
        let err = honest(&ring).open(&ring, &other).unwrap_err();
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
        let err = parcel(&ring, &sent).open(&ring, &host_b()).unwrap_err();
        let ParcelError::Refused(f) = err else { panic!("{err}") };
        assert_eq!(f.block, Some(2), "the block whose inputs they would be");
    }
}

#[test]
fn sealed_tensors_cannot_be_moved_to_another_chain() {
    let ring = intact(&small_ring());
    let (one, two) = (honest(&ring), honest(&ring));
    let chain_len = one.encode().len() - 36 - sealed_len(&one);
    let moved = [&one.encode()[..chain_len], &two.encode()[chain_len..]].concat();
    let err = Parcel::decode(&moved).unwrap().open(&ring, &host_b()).unwrap_err();
    assert_eq!(err, ParcelError::NotForThisHost);
}

/// One tensor: counts 4 and 4, name 4, type 1, dimensions 20, data 20, tag 16.
fn sealed_len(_: &Parcel) -> usize {
    8 + 4 + 1 + 20 + 20 + 16
}

#[test]
fn a_parcel_with_a_chain_that_does_not_hold_is_not_opened() {
    let ring = intact(&small_ring());
    let mut chain = open_chain(&ring, &host_a(), batch_of("x0", &[1]));
    chain.extend(
        &host_c(),
        content(&ring, 1..2),
        checked(&ring, 1..2, Check::Run),
        batch_of("x1", &[5]),
    );
    let parcel = Parcel::seal(chain, &[vec![tensor("x1", 5)]], &host_b().public()).unwrap();
    let err = parcel.open(&ring, &host_b()).unwrap_err();
    assert!(matches!(err, ParcelError::Chain(e) if e.finding.block == Some(1)));
    let other = intact(&small_ring());
    let err = honest(&ring).open(&other, &host_b()).unwrap_err();
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
            assert!(parcel.open(&ring, &host_b()).is_err(), "bit {bit}");
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
    let err = Parcel::seal(chain, &[], &deepring::PublicKey::from_bytes([0; 64])).unwrap_err();
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
    use deepring::receipt::tensors_digest;
    let t = |name: &str, dtype, dims: &[u64], n: u8| {
        TensorValue::new(name, dtype, dims.into(), vec![n; 4]).unwrap()
    };
    let (a, b) = (t("a", DType::F32, &[1], 1), t("b", DType::F32, &[1], 2));
    let both = tensors_digest(&[a.clone(), b.clone()]);
    assert_eq!(both, tensors_digest(&[b.clone(), a.clone()]));
    let others = [
        tensors_digest(&[]),
        tensors_digest(std::slice::from_ref(&a)),
        tensors_digest(&[t("c", DType::F32, &[1], 1), b.clone()]),
        tensors_digest(&[t("a", DType::I32, &[1], 1), b.clone()]),
        tensors_digest(&[t("a", DType::F32, &[1, 1], 1), b.clone()]),
        tensors_digest(&[t("a", DType::F32, &[1], 3), b]),
    ];
    assert!(!others.contains(&both));
}
