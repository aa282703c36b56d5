//! Digests of encodings of fixed values: a test that fails here has detected a change of the
//! format.
//!
//! Replacing a digest approves such a change: it needs a new format version, FORMAT.md, new
//! vectors, and a reader for rings that were sealed before.

use crate::block::header::{body_digest, header_digest};
use crate::block::{Header, PartKind, Recipient, RecipientRole, lay_out, shared_at};
use crate::crypto::Digest;
use crate::crypto::aead::BlockKey;
use crate::keys::{Host, Owner, SecretKey};
use crate::manifest::Manifest;
use crate::receipt::{
    Chain, Check, Checked, Coverage, Opening, Receipt, SampleRate, TensorValue, batch_digest,
    encode_contents, tensors_digest,
};
use crate::ring::closure::{Closure, ClosureRow};
use crate::ring::layout::Preamble;
use crate::ring_id::RingId;
use crate::tensor::{DType, Dim, TensorSpec};

/// Compares the BLAKE3 hash of an encoding with the approved one.
#[track_caller]
fn frozen(bytes: &[u8], approved: &str) {
    assert_eq!(blake3::hash(bytes).to_hex().as_str(), approved, "the encoding has changed");
}

fn owner() -> SecretKey<Owner> {
    SecretKey::from_halves(&[1; 32], &[2; 32]).unwrap()
}

fn host() -> SecretKey<Host> {
    SecretKey::from_halves(&[3; 32], &[4; 32]).unwrap()
}

fn block_key() -> BlockKey {
    BlockKey::from_bytes(&[5; 32]).unwrap()
}

/// A digest field filled with one byte.
fn filled(n: u8) -> Digest {
    Digest([n; 32])
}

fn spec(name: &str, dtype: DType, dims: Option<Vec<Dim>>) -> TensorSpec {
    TensorSpec { name: name.into(), dtype, dims }
}

fn header() -> Header {
    let weight = spec("w", DType::I8, Some(vec![Dim::Fixed(300), Dim::Fixed(300)]));
    let weight = (PartKind::Parameter(weight), 90_000);
    let parts = vec![weight, (PartKind::Graph, 70_077)];
    let (parts, plain_len) = lay_out(parts).unwrap();
    let chunks = (20..24).map(filled).collect::<Vec<_>>();
    let ring_id = RingId([9; 16]);
    let roles = [RecipientRole::Owner(owner().public()), RecipientRole::Host(host().public())];
    let mut header = Header {
        ring_id,
        model_version: 7,
        index: 2,
        count: 5,
        name: "conv, \u{e9}".into(),
        plain_len,
        body_digest: Digest::NONE,
        content_digest: filled(12),
        commitment: block_key().commitment(),
        previous_body: filled(14),
        next_body: filled(15),
        inputs: vec![
            spec("x", DType::F32, Some(vec![Dim::Named("batch".into()), Dim::Fixed(3)])),
            spec("s", DType::I64, None),
        ],
        outputs: vec![spec("y", DType::Bf16, Some(Vec::new()))],
        parts,
        recipients: roles.map(|role| Recipient { role, enc: [16; 32], wrapped: [17; 48] }).into(),
        chunks,
        signature: [0; 64],
    };
    header.body_digest = body_digest(&header, |_| None).unwrap();
    header.sign(&owner());
    header
}

/// The header again, with parameters that blocks 3 and 4 hold.
fn header_with_shared() -> Header {
    let mut header = header();
    let spec = spec("t", DType::F32, Some(vec![Dim::Fixed(10)]));
    let (shared, _) = lay_out(vec![(PartKind::Parameter(spec), 40); 2]).unwrap();
    for block in [3, 4] {
        let end = header.parts.last().unwrap().end();
        header.parts.extend(shared_at(end, block, &shared).unwrap());
    }
    header.plain_len = header.parts.last().unwrap().end();
    header.body_digest = body_digest(&header, |i| Some(filled(u8::try_from(i).unwrap()))).unwrap();
    header.sign(&owner());
    header
}

#[test]
fn a_header_with_shared_parameters_is_frozen_and_decodes() {
    let header = header_with_shared();
    let bytes = header.encode();
    assert_eq!(Header::decode(&bytes).unwrap(), header);
    frozen(&bytes, "d3c95dd4c0322873c09468cea597781ab16c4848db9941cff2ff83460991bdf0");
    frozen(
        &block_key().content_digest(b"plaintext", &[filled(3), filled(4)]).0,
        "963ed9618ad5c8b3e8b63734a77af0d9dd2c791a42c7d7b025cea66f2692ddb8",
    );
}

#[test]
fn the_preamble_is_frozen() {
    let bytes = Preamble { count: 5, file_len: 123_456 }.encode();
    assert_eq!(bytes, b"DEEPRING\x04\0\x01\0\x05\0\0\0\x40\xe2\x01\0\0\0\0\0");
}

#[test]
fn the_header_its_digest_and_its_signature_are_frozen() {
    let bytes = header().encode();
    frozen(&bytes, "48750a9eb9dcf46670ee7a9f3673a5d830c7b5f1dcb95e508643e663f30fe3b4");
    frozen(
        &header_digest(&bytes).0,
        "ea9b1cf7514016fd586cc7b2c8430ce540bc7827f0902c6486d9c625749a1056",
    );
}

#[test]
fn the_closure_the_ring_digest_and_the_signature_are_frozen() {
    let row =
        |n| ClosureRow { header_len: n, body_len: u64::from(n) << 33, header_digest: filled(30) };
    let mut closure = Closure {
        ring_id: RingId([9; 16]),
        model_version: 7,
        previous: filled(31),
        owner: owner().public(),
        sealed_at: 1_700_000_000,
        bodies: vec![filled(32), filled(33)],
        revision: 3,
        rows: vec![row(1000), row(2000)],
        signature: [0; 64],
    };
    closure.sign(&owner());
    frozen(&closure.encode(), "7ad445fee01b8bde955e05c32f0523818c72544e177581fce66fef809c17a686");
    frozen(
        &closure.ring_digest().0,
        "86dc0ab463e5572ef6736119770021a70afcf0da7ffacc38257d85d0ad01724d",
    );
}

#[test]
fn chunks_commitment_and_content_digest_are_frozen() {
    let key = block_key();
    let cipher = key.cipher(header().context()).unwrap();
    let mut out = Vec::new();
    for (index, last) in [(0, false), (1, false), (1 << 40, true)] {
        cipher.seal(index, last, b"plaintext", &mut out).unwrap();
    }
    frozen(&out, "c75c3a18ca21b59710f5c20900db088b546be8957e6fce6316e0daef5c80ac32");
    frozen(
        &Digest::of_chunk(&out).0,
        "a7da0eeba9f989889832a01efd6b4d72a532e0da4e76984780df418e5efeaa99",
    );
    frozen(&key.commitment().0, "30129d4177a222ce3f4699c18d43aff162aea0aad5efae22ca91c6d14350f4a8");
    frozen(
        &key.content_digest(b"plaintext", &[]).0,
        "9d05753643995f854ced1efe53a9979d41ee41be1685ea0842511f080f81c827",
    );
}

#[test]
fn a_key_wrapped_before_still_unwraps() {
    // HPKE draws a key for each wrapping, so the wrapped bytes are frozen, not made anew.
    const ENC: &str = "349a7e570cb28748b09f4e337ca1d239aa6b453540b9f7d1cf575912cf3fbf4d";
    const WRAPPED: &str = concat!(
        "636469d4de422fd7eb90d0ab987c0cab48ca981f55ddd75b",
        "71bbc716688de1c6b2aba6b10185e45c3eae67d2c3453f6a",
    );
    let mut header = header();
    header.recipients[1].enc = unhex(ENC).try_into().unwrap();
    header.recipients[1].wrapped = unhex(WRAPPED).try_into().unwrap();
    let key = crate::block::header::unwrap_key(&header, &host()).unwrap();
    assert_eq!(key.as_bytes(), block_key().as_bytes());
}

#[test]
fn the_manifest_is_frozen() {
    let manifest = Manifest {
        model_name: "m".into(),
        producer: "p".into(),
        opset: 17,
        preprocess: "resize=224".into(),
        labels: vec!["cat".into(), String::new()],
    };
    frozen(&manifest.encode(), "b3d317bfec151a70b9cd02558f643ea8b109f0572494f480baef72dd2d906bcf");
}

fn tensor() -> TensorValue {
    TensorValue::new("x", DType::F16, vec![2, 3], (0..12).collect()).unwrap()
}

#[test]
fn tensors_and_their_digests_are_frozen() {
    let other = TensorValue::new("a", DType::U8, vec![], vec![1]).unwrap();
    let tensors = vec![tensor(), other];
    frozen(
        &tensors_digest(&tensors).0,
        "e104bb4922b6c990018db752040c156c2a2bdbd0480ec4bb40fb2a13fe95a0c3",
    );
    frozen(
        &batch_digest(&[filled(1), filled(2)]).0,
        "b937c79aa194b6a18a696a8560e9681120254ff58a9c49cd46332b58b393ef38",
    );
    frozen(
        &encode_contents(&[tensors, Vec::new()]),
        "8152ab7a9a532b618952befcfca2c2c23b38394dececd0bb770db0f391ab765b",
    );
}

#[test]
fn the_chain_and_its_signatures_are_frozen() {
    let mut opening = Opening {
        query: filled(40),
        ring_id: RingId([9; 16]),
        ring_digest: filled(41),
        model_version: 7,
        genesis: filled(42),
        inputs: filled(43),
        opened_at: 1_700_000_000_123,
        host: host().public(),
        signature: [0; 64],
    };
    opening.sign(&host());
    let mut chain = Chain { opening, receipts: Vec::new() };
    let (bytes, rows, product) = (Coverage::Bytes, Coverage::Rows, Coverage::Product);
    let opened = vec![Coverage::Opened; 2];
    let spot = Check::Spot(SampleRate::from_millionths(100_000).unwrap());
    let coverage = vec![vec![product, rows, bytes], vec![bytes]];
    let checked = Checked::new(Check::Compute, 16, coverage).unwrap();
    chain.extend(&host(), vec![filled(44), filled(45)], checked, filled(46));
    let checked = Checked::uniform(Check::None, [1]).unwrap();
    chain.extend(&host(), vec![filled(47)], checked, filled(48));
    let checked = Checked::new(spot, 0, vec![opened, vec![bytes, bytes]]).unwrap();
    chain.extend(&host(), vec![filled(49), filled(50)], checked, filled(51));
    let coverage = vec![vec![Coverage::Either, Coverage::Both, Coverage::Recomputed]];
    let checked = Checked::new(Check::Auto, 64, coverage).unwrap();
    chain.extend(&host(), vec![filled(52)], checked, filled(53));
    let mut w = crate::encoding::Writer::new();
    chain.encode(&mut w);
    frozen(&w.finish(), "4d0af7e047694e36b83df95065b8de0e1eb1d5a89c8b9c96d6163200d80c4360");
    frozen(&chain.head().0, "b15f47cabdd9ea974364b0ff5f2861550cd7c23170d5741dc63d761d5b216310");
    let receipts: &[Receipt] = chain.receipts();
    assert_eq!(receipts[1].previous, receipts[0].digest());
}

#[test]
fn key_texts_are_frozen() {
    let texts = [owner().public().to_string(), host().public().to_string()];
    frozen(
        texts.join("\n").as_bytes(),
        "51947aa1b9dbcff3db07f9278727e676ef934d75f08e4062dd9a4b5cf0088402",
    );
    let secrets = [owner().to_secret_text(), host().to_secret_text()];
    frozen(
        secrets.iter().map(|s| s.as_str()).collect::<String>().as_bytes(),
        "0d747eb501e3f788417ccf95270966eb2c50795bbecd22727ff8861f57734e42",
    );
}

fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}
