//! Properties of every value: it survives its encoding, and no other bytes decode to it.

use std::path::Path;
use std::sync::LazyLock;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::arbitrary::{
    Damage, batch, chain, closure, damage, deal, evidence, header, manifest, message, outline,
    parcel, receipt_file, salt, spec, validation,
};
use crate::block::Header;
use crate::deal::Deal;
use crate::encoding::{Reader, Writer};
use crate::fuzzing;
use crate::manifest::Manifest;
use crate::outline::Outline;
use crate::receipt::{
    Chain, Decision, Parcel, Validation, decode_contents, encode_contents, tensors_digest,
};
use crate::replication::{Evidence, Message};
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
fn encoded_again(bytes: &[u8]) -> [Option<Vec<u8>>; 11] {
    [
        Header::decode(bytes).ok().map(|v| v.encode()),
        Closure::decode(bytes).ok().map(|v| v.encode()),
        Manifest::decode(bytes).ok().map(|v| v.encode()),
        Decision::decode(bytes).ok().map(|v| v.encode()),
        Parcel::decode(bytes).ok().map(|v| v.encode()),
        decode_contents(bytes).ok().map(|(salt, batch)| encode_contents(&salt, &batch)),
        Deal::decode(bytes).ok().map(|v| v.encode()),
        Outline::decode(bytes).ok().map(|v| v.encode()),
        Message::decode(bytes).ok().map(|v| v.encode()),
        Evidence::from_bytes(bytes).ok().map(|v| v.to_bytes()),
        Preamble::decode(bytes).ok().map(|v| v.encode()),
    ]
}

/// No decoder accepts bytes that its encoder would not have written.
fn only_canonical(bytes: &[u8]) {
    for again in encoded_again(bytes).into_iter().flatten() {
        assert_eq!(again, bytes);
    }
}

/// Texts that people edit by hand: the key files of `vectors/`, and the trust stores of its readers.
fn texts() -> &'static [(bool, Vec<u8>)] {
    static TEXTS: LazyLock<Vec<(bool, Vec<u8>)>> = LazyLock::new(|| {
        let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors");
        let index: serde_json::Value =
            serde_json::from_slice(&std::fs::read(vectors.join("index.json")).unwrap()).unwrap();
        let stores = index["vectors"].as_array().unwrap().iter().map(|vector| &vector["store"]);
        let stores = stores.filter(|store| !store.is_null()).map(|s| (false, s.to_string().into()));
        let keys = std::fs::read_dir(vectors.join("keys")).unwrap();
        let keys = keys.map(|entry| (true, std::fs::read(entry.unwrap().path()).unwrap()));
        stores.chain(keys).collect()
    });
    &TEXTS
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
    fn tensors_survive_their_encoding_and_keep_their_digest(salt in salt(), batch in batch()) {
        let (kept, back) = decode_contents(&encode_contents(&salt, &batch)).unwrap();
        prop_assert_eq!(kept, salt);
        for (one, other) in batch.iter().zip(&back) {
            prop_assert_eq!(tensors_digest(&salt, one), tensors_digest(&salt, other));
        }
        prop_assert_eq!(back, batch);
    }

    #[test]
    fn a_deal_and_an_outline_survive_their_encoding(deal in deal(), outline in outline()) {
        prop_assert_eq!(Deal::decode(&deal.encode()), Ok(deal));
        prop_assert_eq!(Outline::decode(&outline.encode()), Ok(outline));
    }

    #[test]
    fn a_validation_survives_its_encoding(validation in validation()) {
        let mut w = Writer::new();
        validation.encode(&mut w);
        let bytes = w.finish();
        let mut r = Reader::new(&bytes);
        prop_assert_eq!(Validation::decode(&mut r), Ok(validation));
        prop_assert_eq!(r.finish(), Ok(()));
    }

    #[test]
    fn messages_and_evidence_survive_their_encoding(bytes in message(), evidence in evidence()) {
        prop_assert_eq!(Message::decode(&bytes).unwrap().encode(), bytes);
        prop_assert_eq!(Evidence::from_bytes(&evidence.to_bytes()), Ok(evidence));
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
        fuzzing::trust_store(&bytes);
        fuzzing::weights_manifest(&bytes);
        fuzzing::key_text(&bytes);
    }

    #[test]
    fn a_damaged_key_or_store_is_refused_or_says_the_same_again(
        which in any::<prop::sample::Index>(),
        damages in vec(damage(), 1..4),
    ) {
        let (is_key, text) = which.get(texts());
        let text = damaged(text.clone(), &damages);
        match is_key {
            true => fuzzing::key_text(&text),
            false => fuzzing::trust_store(&text),
        }
    }

    #[test]
    fn no_decoder_takes_damaged_bytes_that_are_not_canonical(
        header in header(),
        closure in closure(),
        manifest in manifest(),
        file in receipt_file(),
        parcel in parcel(),
        tensors in (salt(), batch()),
        dealt in (deal(), outline()),
        copies in (message(), evidence()),
        damages in vec(damage(), 1..4),
    ) {
        let encodings = [
            header.encode(),
            closure.encode(),
            manifest.encode(),
            file,
            parcel,
            encode_contents(&tensors.0, &tensors.1),
            dealt.0.encode(),
            dealt.1.encode(),
            copies.0,
            copies.1.to_bytes(),
        ];
        for bytes in encodings {
            only_canonical(&damaged(bytes, &damages));
        }
    }
}
