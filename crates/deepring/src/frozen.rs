//! Digests of encodings of fixed values: a test that fails here has detected a change of the
//! format.
//!
//! Replacing a digest approves such a change: it needs a new format version, FORMAT.md, new
//! vectors, and a reader for rings that were sealed before.

use crate::block::header::{body_digest, header_digest};
use crate::block::{Header, PartKind, Recipient, RecipientRole, lay_out, shared_at};
use crate::crypto::Digest;
use crate::crypto::aead::BlockKey;
use crate::deal::{Deal, DealtLeg};
use crate::keys::{Host, Owner, SecretKey};
use crate::manifest::Manifest;
use crate::outline::Outline;
use crate::receipt::{
    Agreement, Chain, Check, Checked, ComputedWith, Coverage, LegResult, Opening, Receipt, Salt,
    SampleRate, TensorValue, Validation, batch_digest, encode_contents, tensors_digest,
};
use crate::ring::closure::{Closure, ClosureRow};
use crate::ring::layout::Preamble;
use crate::ring_id::{RingId, RingKind};
use crate::tensor::{DType, Dim, TensorSpec};
use crate::weights::{Extent, FileKind, WeightsManifest};

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
        deal: None,
        chunks,
        signature: [0; 64],
    };
    header.body_digest = body_digest(&header, |_| None).unwrap();
    header.sign(&owner().into()).unwrap();
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
    header.sign(&owner().into()).unwrap();
    header
}

#[test]
fn a_header_with_shared_parameters_is_frozen_and_decodes() {
    let header = header_with_shared();
    let bytes = header.encode();
    assert_eq!(Header::decode(&bytes).unwrap(), header);
    frozen(&bytes, "606f2aa85b653d9a22fab9c1083fe9304765a3601c3ff9e24ae3b9921628524a");
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
    frozen(&bytes, "358143dd2cd47988e1ed44682126de11c3114ff6dd82836d973d508be8fdd094");
    frozen(
        &header_digest(&bytes).0,
        "c9e3902bc06de3a78244fefd935eedfcfaf37f31fea5488b3a2c34b821a5a1d8",
    );
}

fn closure() -> Closure {
    let row =
        |n| ClosureRow { header_len: n, body_len: u64::from(n) << 33, header_digest: filled(30) };
    let mut closure = Closure {
        ring_id: RingId([9; 16]),
        model_version: 7,
        kind: RingKind::Network,
        previous: filled(31),
        owner: owner().public(),
        sealed_at: 1_700_000_000,
        bodies: vec![filled(32), filled(33)],
        revision: 3,
        rows: vec![row(1000), row(2000)],
        outline_signature: [34; 64],
        signature: [0; 64],
    };
    closure.sign(&owner().into()).unwrap();
    closure
}

fn deal() -> Deal {
    let other = SecretKey::<Host>::from_halves(&[6; 32], &[7; 32]).unwrap();
    let (one, other) = (host().public(), other.public());
    let leg = |first, end, hosts| DealtLeg { first, end, hosts };
    let mut deal = Deal {
        ring_id: RingId([9; 16]),
        ring_digest: filled(35),
        revision: 2,
        dealt_at: 1_700_000_001,
        eager: false,
        genesis: vec![other],
        legs: vec![leg(1, 3, vec![one, other]), leg(3, 4, vec![other, one])],
        owner: owner().public(),
        signature: [0; 64],
    };
    deal.sign(&owner().into()).unwrap();
    deal
}

#[test]
fn a_deal_and_an_outline_and_their_digests_are_frozen() {
    let deal = deal();
    frozen(&deal.encode(), "60a259d1a4890838f1e1ed9c954872e112567b183a5696a187c0363d5a957dc4");
    frozen(&deal.digest().0, "fac757962d57d66c66cf06c2d1ea41d0cc0a6235801a790e107979b0ef58633e");
    let genesis = Header { index: 0, deal: Some(deal), ..header() };
    let mut outline = Outline::of(closure().stated(), &[&genesis, &header_with_shared()]);
    outline.sign(&owner().into()).unwrap();
    frozen(&outline.encode(), "53602ac90ef5dbe78de553aabd2fb7bc03a7a8acad1ceda531b46b3259562418");
    frozen(&outline.digest().0, "1b783de5fa4aeb968c4e0e8c1ba14d8898cbc0d0a914c5d1e1f190bbfcc2ea52");
}

#[test]
fn the_closure_the_ring_digest_and_the_signature_are_frozen() {
    let closure = closure();
    frozen(&closure.encode(), "1361647874064aa0d8010acc5f0a053db0588c3b504720063739ea5eed7c48b8");
    frozen(
        &closure.ring_digest().0,
        "161379b0e6fc2c42bba123c62693ab21541e6f575787041d80a986b0d98106df",
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

#[test]
fn the_manifest_of_weights_is_frozen() {
    let bytes = [
        b"\x01\0m\x02\0\0\0".as_slice(),
        b"\x01\0a\0\x02\0\0\0\0\0\0\0",
        &[6; 32],
        &[7; 32],
        b"\x01\0\0\0\x01",
        b"\x03\0b/c\x02\x2b\0\0\0\0\0\0\0",
        &[8; 32],
        &[9; 32],
        b"\x04\0\0\0\x01\0\x1f\0\x02",
        &[10; 32],
        b"\x03",
    ]
    .concat();
    let manifest = WeightsManifest::decode(&bytes).unwrap();
    assert_eq!(manifest.encode(), bytes);
    let [a, c] = manifest.files() else { panic!("two files") };
    assert_eq!((a.path().as_str(), a.kind(), a.size()), ("a", FileKind::Other, 2));
    assert_eq!((c.path().as_str(), c.kind(), c.size()), ("b/c", FileKind::Gguf, 43));
    assert_eq!((c.digests().digest, c.digests().sha256.0), (filled(8), [9; 32]));
    let zeros = Extent::Zeros(31.try_into().unwrap());
    assert_eq!(c.extents(), [Extent::Bytes, zeros, Extent::Tensor(filled(10)), Extent::More]);
}

fn salt() -> Salt {
    Salt::from_bytes([8; 32]).unwrap()
}

#[test]
fn the_commitment_to_a_salt_is_frozen() {
    frozen(
        &salt().commitment().0,
        "c56e493dc92fdc53138fab8d5817b80b0b75f020da5570a788e4e1c2baa64d54",
    );
}

fn tensor() -> TensorValue {
    TensorValue::new("x", DType::F16, vec![2, 3], (0..12).collect()).unwrap()
}

#[test]
fn tensors_and_their_digests_are_frozen() {
    let other = TensorValue::new("a", DType::U8, vec![], vec![1]).unwrap();
    let tensors = vec![tensor(), other];
    frozen(
        &tensors_digest(&salt(), &tensors).0,
        "318706bb5837c5d687c57eb042eaeb9fa8e8373d803399d1c41e612589d8ace9",
    );
    frozen(
        &batch_digest(&[filled(1), filled(2)]).0,
        "b937c79aa194b6a18a696a8560e9681120254ff58a9c49cd46332b58b393ef38",
    );
    frozen(
        &encode_contents(&salt(), &[tensors, Vec::new()]),
        "21f17a333b4c67c99bc63a0d2d584cbfa03c8554f3112235e12c247b266d0918",
    );
}

fn result(blocks: &[u8], checked: Checked, outputs: u8) -> LegResult {
    LegResult {
        blocks: blocks.iter().copied().map(filled).collect(),
        checked,
        computed_with: ComputedWith::new("engine 1.2.3", filled(54), "x86_64 avx2", 300).unwrap(),
        outputs: filled(outputs),
    }
}

fn begun() -> Chain {
    let mut opening = Opening {
        query: filled(40),
        ring_id: RingId([9; 16]),
        ring_digest: filled(41),
        model_version: 7,
        genesis: filled(42),
        deal: filled(55),
        nonce: filled(56),
        salt: salt().commitment(),
        inputs: filled(43),
        opened_at: 1_700_000_000_123,
        host: host().public(),
        signature: [0; 64],
    };
    opening.sign(&host());
    Chain { opening, legs: Vec::new() }
}

#[test]
fn the_chain_and_its_signatures_are_frozen() {
    let mut chain = begun();
    let (bytes, rows, product) = (Coverage::Bytes, Coverage::Rows, Coverage::Product);
    let opened = vec![Coverage::Opened; 2];
    let spot = Check::Spot(SampleRate::from_millionths(100_000).unwrap());
    let coverage = vec![vec![product, rows, bytes], vec![bytes]];
    let checked = Checked::new(Check::Compute, 16, coverage).unwrap();
    chain.extend(&host(), result(&[44, 45], checked, 46));
    let checked = Checked::uniform(Check::None, [1]).unwrap();
    chain.extend(&host(), result(&[47], checked, 48));
    let checked = Checked::new(spot, 0, vec![opened, vec![bytes, bytes]]).unwrap();
    chain.extend(&host(), result(&[49, 50], checked, 51));
    let coverage = vec![vec![Coverage::Either, Coverage::Both, Coverage::Recomputed]];
    let checked = Checked::new(Check::Auto, 64, coverage).unwrap();
    chain.extend(&host(), result(&[52], checked, 53));
    let mut w = crate::encoding::Writer::new();
    chain.encode(&mut w);
    frozen(&w.finish(), "53fcf9fa25f820f8fac824928851ef5b98566231fa61c4702f0c58765f08c6f6");
    frozen(&chain.head().0, "f29b34274a82454a998e259432263766efd5403ad1cca7e78ad49488657d09aa");
    let receipts: Vec<&Receipt> = chain.receipts().collect();
    assert_eq!(receipts[1].previous, receipts[0].digest());
}

#[test]
fn validations_and_objections_are_frozen() {
    let checked = || Checked::uniform(Check::Run, [3]).unwrap();
    let mut chain = begun();
    chain.extend(&host(), result(&[44], checked(), 46));
    let other = SecretKey::<Host>::from_halves(&[6; 32], &[7; 32]).unwrap();
    let mut theirs = begun();
    theirs.extend(&other, result(&[44], checked(), 57));
    let (about, own) = (chain.legs[0].receipt(), theirs.legs[0].receipt());
    let mut w = crate::encoding::Writer::new();
    for agreement in [
        Agreement::Same,
        Agreement::Near { largest: 0.25, bound: 0.5 },
        Agreement::Differs { largest: f32::INFINITY, bound: 0.0 },
        Agreement::Differs { largest: 2.0, bound: 0.5 },
    ] {
        Validation::sign(own, about, agreement, &other).encode(&mut w);
    }
    frozen(&w.finish(), "6b41becec496b6e5a3026918157c975dad400a5f9eb4d4a8762c598ab76931c0");
    frozen(
        &Validation::sign(own, about, Agreement::Same, &other).digest().0,
        "01202f3380aa46d4417b819b1d2c7cb8d71353932d3e4555e759303ff28a7aae",
    );
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
