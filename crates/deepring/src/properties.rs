//! Properties of every value: it survives its encoding, and no other bytes decode to it.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::arbitrary::{
    Damage, batch, chain, closure, damage, header, manifest, parcel, receipt_file, spec,
};
use crate::block::Header;
use crate::encoding::{Reader, Writer};
use crate::manifest::Manifest;
use crate::receipt::{Chain, Decision, Parcel, decode_contents, encode_contents, tensors_digest};
use crate::ring::closure::{Closure, closure_len};
use crate::ring::layout::Preamble;
use crate::tensor::TensorSpec;

fn seeded(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(20_261_123),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// For each decoder that accepts the bytes, the encoding of what it decoded.
fn encoded_again(bytes: &[u8]) -> [Option<Vec<u8>>; 7] {
    [
        Header::decode(bytes).ok().map(|v| v.encode()),
        Closure::decode(bytes).ok().map(|v| v.encode()),
        Manifest::decode(bytes).ok().map(|v| v.encode()),
        Decision::decode(bytes).ok().map(|v| v.encode()),
        Parcel::decode(bytes).ok().map(|v| v.encode()),
        decode_contents(bytes).ok().map(|batch| encode_contents(&batch)),
        Preamble::decode(bytes).ok().map(|v| v.encode()),
    ]
}

/// No decoder accepts bytes that its encoder would not have written.
fn only_canonical(bytes: &[u8]) {
    for again in encoded_again(bytes).into_iter().flatten() {
        assert_eq!(again, bytes);
    }
}

fn damaged(mut bytes: Vec<u8>, damages: &[Damage]) -> Vec<u8> {
    damages.iter().for_each(|d| d.to(&mut bytes));
    bytes
}

proptest! {
    #![proptest_config(seeded(256))]

    #[test]
    fn a_header_survives_its_encoding(header in header()) {
        prop_assert_eq!(Header::decode(&header.encode()), Ok(header));
    }

    #[test]
    fn a_closure_survives_its_encoding_and_is_as_long_as_its_count_says(closure in closure()) {
        let bytes = closure.encode();
        prop_assert_eq!(bytes.len() as u64, closure_len(closure.count()));
        prop_assert_eq!(Closure::decode(&bytes), Ok(closure));
    }

    #[test]
    fn a_manifest_survives_its_encoding(manifest in manifest()) {
        prop_assert_eq!(Manifest::decode(&manifest.encode()), Ok(manifest));
    }

    #[test]
    fn a_chain_survives_its_encoding(chain in chain()) {
        let mut w = Writer::new();
        chain.encode(&mut w);
        let bytes = w.finish();
        let mut r = Reader::new(&bytes);
        prop_assert_eq!(Chain::decode(&mut r), Ok(chain));
        prop_assert_eq!(r.finish(), Ok(()));
    }

    #[test]
    fn a_receipt_file_and_a_parcel_survive_decoding(file in receipt_file(), parcel in parcel()) {
        prop_assert_eq!(Decision::decode(&file).unwrap().encode(), file);
        prop_assert_eq!(Parcel::decode(&parcel).unwrap().encode(), parcel);
    }

    #[test]
    fn tensors_survive_their_encoding_and_keep_their_digest(batch in batch()) {
        let back = decode_contents(&encode_contents(&batch)).unwrap();
        for (one, other) in batch.iter().zip(&back) {
            prop_assert_eq!(tensors_digest(one), tensors_digest(other));
        }
        prop_assert_eq!(back, batch);
    }

    #[test]
    fn a_tensor_spec_survives_its_encoding(spec in spec()) {
        let mut w = Writer::new();
        spec.encode(&mut w);
        let bytes = w.finish();
        let mut r = Reader::new(&bytes);
        prop_assert_eq!(TensorSpec::decode(&mut r), Ok(spec));
        prop_assert_eq!(r.finish(), Ok(()));
    }
}

proptest! {
    #![proptest_config(seeded(2048))]

    #[test]
    fn no_decoder_panics_on_any_bytes_or_takes_bytes_that_are_not_canonical(
        bytes in vec(any::<u8>(), 0..600),
    ) {
        only_canonical(&bytes);
        let _ = crate::trust::reprint(&bytes);
    }

    #[test]
    fn no_decoder_takes_damaged_bytes_that_are_not_canonical(
        header in header(),
        closure in closure(),
        manifest in manifest(),
        file in receipt_file(),
        parcel in parcel(),
        batch in batch(),
        damages in vec(damage(), 1..4),
    ) {
        let encodings = [
            header.encode(),
            closure.encode(),
            manifest.encode(),
            file,
            parcel,
            encode_contents(&batch),
        ];
        for bytes in encodings {
            only_canonical(&damaged(bytes, &damages));
        }
    }
}
