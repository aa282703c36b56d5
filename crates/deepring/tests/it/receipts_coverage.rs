//! A receipt's claims of checks, part by part: those that hold, and those that contradict themselves or the ring.

use deepring::codec::DecodeError;
use deepring::receipt::SampleRate;
use deepring::receipt::{Checked, Receipt, Require};
use deepring::{Check, Coverage, Decision, Verdict, VerifiedRing};

use crate::forge::{Field, RawReceipts};
use crate::receipts::refusal;
use crate::small_query::{batch_of, checked, decision, items, open_chain, ran_as, salt};
use crate::small_ring::{HOST_A_SEED, HOST_B_SEED, host_a, host_b, intact, small_ring};

use Coverage::{Both, Bytes, Derived, Either, Opened, Product, Recomputed, Rows, Unchecked};

const NONE: u8 = 0;
const LOAD: u8 = 1;
const SPOT: u8 = 2;
const RUN: u8 = 3;
const AUTO: u8 = 4;
const COMPUTE: u8 = 5;

/// A decision in which host A says this about block 1 and host B that about blocks 2 and 3.
pub(crate) fn decided(ring: &VerifiedRing, a: Checked, b: Checked) -> Decision {
    let mut chain = open_chain(ring, &host_a(), batch_of("x0", &[1]));
    chain.extend(&host_a(), ran_as(ring, 1..2, a, batch_of("x1", &[1])));
    chain.extend(&host_b(), ran_as(ring, 2..4, b, batch_of("y", &[101])));
    Decision::close(chain, items(&[1]), salt(), ring.outline(), &host_a()).unwrap()
}

/// Three parts of block 1; three and one of blocks 2 and 3.
pub(crate) fn layer_by_layer() -> (Checked, Checked) {
    let spot = Check::Spot(SampleRate::new(0.25).unwrap());
    let a = Checked::new(Check::Compute, 16, vec![vec![Product, Rows, Bytes]]);
    let b = Checked::new(spot, 0, vec![vec![Bytes, Bytes, Bytes], vec![Opened]]);
    (a.unwrap(), b.unwrap())
}

/// As [`layer_by_layer`], with what a batch under `auto` comes to, and tensors that had bytes and product.
pub(crate) fn of_a_batch() -> (Checked, Checked) {
    let a = Checked::new(Check::Auto, 64, vec![vec![Either, Both, Recomputed]]);
    let b = Checked::new(Check::Compute, 0, vec![vec![Both, Bytes, Recomputed], vec![Recomputed]]);
    (a.unwrap(), b.unwrap())
}

/// The honest decision with another claim in host B's receipt about blocks 2 and 3, signed and closed.
fn claimed(ring: &VerifiedRing, check: (u8, u32, u16), coverage: &[&[u8]]) -> Vec<u8> {
    let mut raw = RawReceipts::of(&decision(ring).encode());
    raw.claim(1, check, coverage);
    raw.sign_receipt(1, &HOST_B_SEED);
    raw.signed_by(&HOST_A_SEED)
}

#[test]
fn a_decision_tells_what_each_part_of_each_block_had() {
    let ring = intact(&small_ring());
    for ((a, b), weaker) in [
        (layer_by_layer(), Check::Spot(SampleRate::new(0.25).unwrap())),
        (of_a_batch(), Check::Auto),
        (derived_at_loading(), Check::Load),
    ] {
        let decision = decided(&ring, a.clone(), b.clone());
        let read = Decision::decode(&decision.encode())
            .unwrap()
            .verify(ring.outline(), Require::AsDealt)
            .unwrap();
        assert_eq!(read.check(), weaker);
        let said = |r: &Receipt| (r.check, r.rotation, r.coverage.clone());
        let meant = |c: &Checked| (c.check(), c.rotation(), c.coverage().to_vec());
        let receipts: Vec<_> = read.chain().receipts().map(said).collect();
        assert_eq!(receipts, [meant(&a), meant(&b)]);
    }
}

#[test]
fn of_two_spot_checks_the_smaller_share_counts() {
    let ring = intact(&small_ring());
    let spot = |q| Check::Spot(SampleRate::new(q).unwrap());
    let of = |q, blocks| Checked::new(spot(q), 0, blocks).unwrap();
    let a = of(0.1, vec![vec![Bytes; 3]]);
    let b = of(0.5, vec![vec![Opened; 3], vec![Bytes]]);
    let verified = decided(&ring, a, b).verify(ring.outline(), Require::AsDealt).unwrap();
    assert_eq!(verified.check(), spot(0.1));
}

/// An engine computed from what it derived of the blocks, and one tensor had its product besides.
pub(crate) fn derived_at_loading() -> (Checked, Checked) {
    let a = Checked::new(Check::Load, 0, vec![vec![Derived; 3]]);
    let b = Checked::new(Check::Load, 16, vec![vec![Product, Derived, Derived], vec![Derived]]);
    (a.unwrap(), b.unwrap())
}

#[test]
fn json_has_words() {
    let ring = intact(&small_ring());
    let (a, b) = layer_by_layer();
    let verified = decided(&ring, a, b).verify(ring.outline(), Require::AsDealt).unwrap();
    let json = serde_json::to_value(&verified).unwrap();
    assert_eq!(json["check"], "spot:0.25");
    let receipts = [0, 1].map(|leg| &json["chain"]["legs"][leg]["receipt"]);
    assert_eq!(receipts[0]["check"], "compute");
    assert_eq!(receipts[0]["rotation"], 16);
    assert_eq!(receipts[0]["coverage"], serde_json::json!([["product", "rows", "bytes"]]));
    let b = serde_json::json!([["bytes", "bytes", "bytes"], ["opened"]]);
    assert_eq!(receipts[1]["coverage"], b);
    let (a, b) = of_a_batch();
    let verified = decided(&ring, a, b).verify(ring.outline(), Require::AsDealt).unwrap();
    let json = serde_json::to_value(&verified).unwrap();
    let a = serde_json::json!([["either", "both", "recomputed"]]);
    assert_eq!(json["chain"]["legs"][0]["receipt"]["coverage"], a);
    let (a, b) = derived_at_loading();
    let verified = decided(&ring, a, b).verify(ring.outline(), Require::AsDealt).unwrap();
    let json = serde_json::to_value(&verified).unwrap();
    assert_eq!(
        json["check"], "load",
        "what they had at each use does not make another check of it"
    );
    let b = serde_json::json!([["product", "derived", "derived"], ["derived"]]);
    assert_eq!(json["chain"]["legs"][1]["receipt"]["coverage"], b);
}

#[test]
fn how_a_host_checked_is_its_own_word_and_a_weaker_word_is_a_valid_receipt() {
    let ring = intact(&small_ring());
    let file = claimed(&ring, (NONE, 0, 0), &[&[0, 0, 0], &[0]]);
    let verified =
        Decision::decode(&file).unwrap().verify(ring.outline(), Require::AsDealt).unwrap();
    assert_eq!(verified.check(), Check::None);
    assert_eq!(
        verified.chain().legs()[1].receipt().coverage,
        [vec![Unchecked; 3], vec![Unchecked]]
    );
}

#[test]
fn a_claim_that_another_host_signed_on_cannot_be_changed() {
    let ring = intact(&small_ring());
    let mut raw = RawReceipts::of(&decision(&ring).encode());
    raw.claim(0, (LOAD, 0, 0), &[&[1, 1, 1]]);
    raw.sign_receipt(0, &HOST_A_SEED);
    let decision = Decision::decode(&raw.signed_by(&HOST_A_SEED)).unwrap();
    assert_eq!(refusal(&decision, &ring), (Some(2), "file", Verdict::Tampered));
}

#[test]
fn a_claim_that_contradicts_itself_is_malformed() {
    let ring = intact(&small_ring());
    let malformed = |check, coverage: &[&[u8]]| {
        Decision::decode(&claimed(&ring, check, coverage)).expect_err("decoded")
    };
    let value = |field, found| DecodeError::BadValue { field, found };
    let contradiction = |field, with| DecodeError::Contradiction { field, with };
    let bytes: &[&[u8]] = &[&[4, 4, 4], &[4]];
    let product: &[&[u8]] = &[&[3, 4, 4], &[4]];
    let either: &[&[u8]] = &[&[5, 4, 4], &[4]];
    let both: &[&[u8]] = &[&[6, 4, 7], &[7]];
    let derived: &[&[u8]] = &[&[8, 8, 8], &[8]];
    let cases = [
        ((6, 0, 0), bytes, value("check", 6)),
        ((255, 0, 0), bytes, value("check", 255)),
        ((RUN, 1, 0), bytes, value("share", 1)),
        ((NONE, 1, 0), &[&[0, 0, 0], &[0]], value("share", 1)),
        ((SPOT, 0, 0), bytes, value("share", 0)),
        ((SPOT, 1_000_000, 0), bytes, value("share", 1_000_000)),
        ((RUN, 0, 0), &[&[4, 9, 4], &[4]], value("coverage", 9)),
        ((AUTO, 0, 16), &[&[5, 255, 4], &[4]], value("coverage", 255)),
        ((COMPUTE, 0, 0), product, contradiction("rotation", "coverage")),
        ((AUTO, 0, 16), bytes, contradiction("rotation", "coverage")),
        ((RUN, 0, 1), bytes, contradiction("rotation", "coverage")),
        ((AUTO, 0, 0), either, contradiction("rotation", "coverage")),
        ((LOAD, 0, 0), either, contradiction("rotation", "coverage")),
        ((COMPUTE, 0, 16), both, contradiction("rotation", "coverage")),
        ((NONE, 0, 0), &[&[0, 0, 0], &[1]], contradiction("coverage", "check")),
        ((LOAD, 0, 0), &[&[1, 1, 0], &[1]], contradiction("coverage", "check")),
        ((SPOT, 1, 0), &[&[1, 1, 4], &[1]], contradiction("coverage", "check")),
        ((SPOT, 1, 0), &[&[4, 4, 1], &[1]], contradiction("coverage", "check")),
        ((RUN, 0, 0), &[&[4, 4, 4], &[1]], contradiction("coverage", "check")),
        ((RUN, 0, 16), product, contradiction("coverage", "check")),
        ((AUTO, 0, 16), &[&[3, 4, 4], &[1]], contradiction("coverage", "check")),
        ((COMPUTE, 0, 16), &[&[3, 4, 4], &[0]], contradiction("coverage", "check")),
        ((RUN, 0, 16), either, contradiction("coverage", "check")),
        ((RUN, 0, 0), both, contradiction("coverage", "check")),
        ((RUN, 0, 0), &[&[4, 4, 4], &[7]], contradiction("coverage", "check")),
        ((SPOT, 1, 0), &[&[4, 4, 7], &[4]], contradiction("coverage", "check")),
        ((SPOT, 1, 16), &[&[5, 4, 4], &[4]], contradiction("coverage", "check")),
        ((NONE, 0, 0), both, contradiction("coverage", "check")),
        ((NONE, 0, 0), derived, contradiction("coverage", "check")),
        ((LOAD, 0, 1), derived, contradiction("rotation", "coverage")),
        ((SPOT, 1, 0), derived, contradiction("coverage", "check")),
        ((RUN, 0, 0), derived, contradiction("coverage", "check")),
        ((AUTO, 0, 0), derived, contradiction("coverage", "check")),
        ((COMPUTE, 0, 0), derived, contradiction("coverage", "check")),
    ];
    for (check, coverage, wanted) in cases {
        assert_eq!(malformed(check, coverage), wanted, "{check:?} {coverage:?}");
    }
    // What each of them was but for the one defect.
    for (check, coverage) in [
        ((RUN, 0, 0), bytes),
        ((SPOT, 1, 0), bytes),
        ((SPOT, 999_999, 0), &[&[1, 1, 1], &[4]]),
        ((LOAD, 0, 0), &[&[1, 1, 1], &[1]]),
        ((AUTO, 0, 0), bytes),
        ((COMPUTE, 0, 16), product),
        ((AUTO, 0, u16::MAX), &[&[3, 2, 4], &[4]]),
        ((AUTO, 0, 16), either),
        ((COMPUTE, 0, 16), either),
        ((AUTO, 0, 0), both),
        ((COMPUTE, 0, 0), both),
        ((LOAD, 0, 1), &[&[5, 6, 7], &[1]]),
        ((LOAD, 0, 0), derived),
        ((LOAD, 0, 0), &[&[8, 1, 8], &[7]]),
    ] {
        let file = claimed(&ring, check, coverage);
        Decision::decode(&file).unwrap().verify(ring.outline(), Require::AsDealt).unwrap();
    }
}

#[test]
fn coverage_of_other_blocks_than_ran_is_refused() {
    let ring = intact(&small_ring());
    let cases: [&[&[u8]]; 3] = [&[], &[&[4, 4, 4]], &[&[4, 4, 4], &[4], &[4]]];
    for coverage in cases {
        let decision = Decision::decode(&claimed(&ring, (RUN, 0, 0), coverage)).unwrap();
        assert_eq!(refusal(&decision, &ring), (Some(2), "file", Verdict::Tampered));
    }
    // The same where a host says it by mistake: nobody closes or continues the chain.
    for blocks in [1..2, 1..4] {
        let mut chain = open_chain(&ring, &host_a(), batch_of("x0", &[1]));
        let said = checked(&ring, blocks.start..blocks.end, Check::Run);
        chain.extend(&host_a(), ran_as(&ring, 1..2, said, batch_of("x1", &[1])));
        assert_eq!(chain.verify(ring.outline()).is_ok(), blocks == (1..2));
    }
}

#[test]
fn coverage_of_other_parts_than_the_block_has_is_refused() {
    let ring = intact(&small_ring());
    let cases: [(&[&[u8]], u32); 5] = [
        (&[&[], &[4]], 2),
        (&[&[4, 4], &[4]], 2),
        (&[&[4, 4, 4, 4], &[4]], 2),
        (&[&[4, 4, 4], &[]], 3),
        (&[&[4, 4, 4], &[4, 4]], 3),
    ];
    for (coverage, block) in cases {
        let decision = Decision::decode(&claimed(&ring, (RUN, 0, 0), coverage)).unwrap();
        assert_eq!(refusal(&decision, &ring), (Some(block), "body", Verdict::Tampered));
    }
}

#[test]
fn a_graph_has_neither_rows_nor_a_product_and_nothing_else_is_recomputed() {
    let ring = intact(&small_ring());
    let cases: [(_, &[&[u8]], u32); 10] = [
        ((COMPUTE, 0, 16), &[&[3, 4, 3], &[4]], 2),
        ((AUTO, 0, 0), &[&[4, 4, 2], &[4]], 2),
        ((COMPUTE, 0, 16), &[&[3, 4, 4], &[3]], 3),
        ((LOAD, 0, 0), &[&[1, 1, 1], &[2]], 3),
        ((AUTO, 0, 16), &[&[4, 4, 5], &[4]], 2),
        ((AUTO, 0, 16), &[&[4, 4, 4], &[5]], 3),
        ((COMPUTE, 0, 0), &[&[4, 4, 6], &[4]], 2),
        ((COMPUTE, 0, 0), &[&[4, 4, 4], &[6]], 3),
        ((COMPUTE, 0, 0), &[&[7, 4, 4], &[4]], 2),
        ((LOAD, 0, 0), &[&[1, 7, 1], &[1]], 2),
    ];
    for (check, coverage, block) in cases {
        let decision = Decision::decode(&claimed(&ring, check, coverage)).unwrap();
        let found = refusal(&decision, &ring);
        assert_eq!(found, (Some(block), "body", Verdict::Tampered), "{coverage:?}");
    }
}

#[test]
fn a_receipt_of_another_format_version_is_malformed() {
    let file = decision(&intact(&small_ring())).encode();
    assert_eq!(file[8..10], [4, 0]);
    for version in [0, 1, 2, 3, 5] {
        let mut other = file.clone();
        other[8] = version;
        let wanted = DecodeError::OtherVersion { found: u16::from(version), known: 4 };
        assert_eq!(Decision::decode(&other), Err(wanted));
    }
}

#[test]
fn a_receipt_signed_under_the_labels_of_an_older_version_is_refused() {
    let ring = intact(&small_ring());
    let signed_as = |version: &str| {
        let mut raw = RawReceipts::of(&decision(&ring).encode());
        let host = Field::Host.read(&raw.receipts[1], 64);
        assert_eq!(host, host_b().public().as_bytes());
        raw.sign_receipt_as(version, 1, &HOST_B_SEED);
        Decision::decode(&raw.signed_by(&HOST_A_SEED)).unwrap()
    };
    for version in ["v1", "v2", "v3"] {
        let found = refusal(&signed_as(version), &ring);
        assert_eq!(found, (Some(2), "file", Verdict::Tampered), "{version}");
    }
    signed_as("v4").verify(ring.outline(), Require::AsDealt).unwrap();
}
