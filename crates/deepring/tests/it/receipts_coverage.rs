//! What a receipt says about checks, part by part: what holds, and what contradicts itself or the ring.

use deepring::{
    Check, Checked, Coverage, Decision, DecodeError, Receipt, Share, Verdict, VerifiedRing,
};

use crate::forge::{Field, RawReceipts};
use crate::receipts::refusal;
use crate::small_query::{batch_of, checked, content, decision, items, open_chain};
use crate::small_ring::{HOST_A_SEED, HOST_B_SEED, host_a, host_b, intact, small_ring};

use Coverage::{Bytes, Opened, Product, Rows, Unchecked};

const NONE: u8 = 0;
const LOAD: u8 = 1;
const SPOT: u8 = 2;
const RUN: u8 = 3;
const AUTO: u8 = 4;
const COMPUTE: u8 = 5;

/// A decision in which host A says this about block 1 and host B that about blocks 2 and 3.
pub(crate) fn decided(ring: &VerifiedRing, a: Checked, b: Checked) -> Decision {
    let mut chain = open_chain(ring, &host_a(), batch_of("x0", &[1]));
    chain.extend(&host_a(), content(ring, 1..2), a, batch_of("x1", &[1]));
    chain.extend(&host_b(), content(ring, 2..4), b, batch_of("y", &[101]));
    Decision::close(chain, items(&[1]), ring, &host_a()).unwrap()
}

/// Three parts of block 1; three and one of blocks 2 and 3.
pub(crate) fn layer_by_layer() -> (Checked, Checked) {
    let spot = Check::Spot(Share::new(0.25).unwrap());
    let a = Checked::new(Check::Compute, 16, vec![vec![Product, Rows, Bytes]]);
    let b = Checked::new(spot, 0, vec![vec![Rows, Bytes, Bytes], vec![Opened]]);
    (a.unwrap(), b.unwrap())
}

/// The honest decision with another claim in host B's receipt about blocks 2 and 3, signed and closed.
fn claimed(ring: &VerifiedRing, check: (u8, u32, u16), coverage: &[&[u8]]) -> Vec<u8> {
    let mut raw = RawReceipts::of(&decision(ring).encode());
    raw.claim(1, check, coverage);
    raw.sign_receipt(1, &HOST_B_SEED);
    raw.closed_by(&HOST_A_SEED)
}

#[test]
fn a_decision_tells_what_each_part_of_each_block_had() {
    let ring = intact(&small_ring());
    let (a, b) = layer_by_layer();
    let decision = decided(&ring, a.clone(), b.clone());
    let read = Decision::decode(&decision.encode()).unwrap().verify(&ring).unwrap();
    assert_eq!(read.check, b.check(), "the weaker of compute and spot");
    let said = |r: &Receipt| (r.check, r.rotation, r.coverage.clone());
    let meant = |c: &Checked| (c.check(), c.rotation(), c.coverage().to_vec());
    let receipts: Vec<_> = read.chain.receipts().iter().map(said).collect();
    assert_eq!(receipts, [meant(&a), meant(&b)]);
}

#[test]
fn of_two_spot_checks_the_smaller_share_counts() {
    let ring = intact(&small_ring());
    let spot = |q| Check::Spot(Share::new(q).unwrap());
    let of = |q, blocks| Checked::new(spot(q), 0, blocks).unwrap();
    let a = of(0.1, vec![vec![Bytes; 3]]);
    let b = of(0.5, vec![vec![Opened; 3], vec![Bytes]]);
    let verified = decided(&ring, a, b).verify(&ring).unwrap();
    assert_eq!(verified.check, spot(0.1));
}

#[test]
fn json_has_words() {
    let ring = intact(&small_ring());
    let (a, b) = layer_by_layer();
    let verified = decided(&ring, a, b).verify(&ring).unwrap();
    let json = serde_json::to_value(&verified).unwrap();
    assert_eq!(json["check"], "spot:0.25");
    let receipts = &json["chain"]["receipts"];
    assert_eq!(receipts[0]["check"], "compute");
    assert_eq!(receipts[0]["rotation"], 16);
    assert_eq!(receipts[0]["coverage"], serde_json::json!([["product", "rows", "bytes"]]));
    let b = serde_json::json!([["rows", "bytes", "bytes"], ["opened"]]);
    assert_eq!(receipts[1]["coverage"], b);
}

#[test]
fn how_a_host_checked_is_its_own_word_and_a_weaker_word_is_a_valid_receipt() {
    let ring = intact(&small_ring());
    let file = claimed(&ring, (NONE, 0, 0), &[&[0, 0, 0], &[0]]);
    let verified = Decision::decode(&file).unwrap().verify(&ring).unwrap();
    assert_eq!(verified.check, Check::None);
    assert_eq!(verified.chain.receipts()[1].coverage, [vec![Unchecked; 3], vec![Unchecked]]);
}

#[test]
fn a_claim_that_another_host_signed_on_cannot_be_changed() {
    let ring = intact(&small_ring());
    let mut raw = RawReceipts::of(&decision(&ring).encode());
    raw.claim(0, (LOAD, 0, 0), &[&[1, 1, 1]]);
    raw.sign_receipt(0, &HOST_A_SEED);
    let decision = Decision::decode(&raw.closed_by(&HOST_A_SEED)).unwrap();
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
    let cases = [
        ((6, 0, 0), bytes, value("check", 6)),
        ((255, 0, 0), bytes, value("check", 255)),
        ((RUN, 1, 0), bytes, value("share", 1)),
        ((NONE, 1, 0), &[&[0, 0, 0], &[0]], value("share", 1)),
        ((SPOT, 0, 0), bytes, value("share", 0)),
        ((SPOT, 1_000_000, 0), bytes, value("share", 1_000_000)),
        ((RUN, 0, 0), &[&[4, 5, 4], &[4]], value("coverage", 5)),
        ((COMPUTE, 0, 0), product, contradiction("rotation", "coverage")),
        ((AUTO, 0, 16), bytes, contradiction("rotation", "coverage")),
        ((RUN, 0, 1), bytes, contradiction("rotation", "coverage")),
        ((NONE, 0, 0), &[&[0, 0, 0], &[1]], contradiction("coverage", "check")),
        ((LOAD, 0, 0), &[&[1, 1, 0], &[1]], contradiction("coverage", "check")),
        ((SPOT, 1, 0), &[&[1, 1, 4], &[1]], contradiction("coverage", "check")),
        ((SPOT, 1, 0), &[&[4, 4, 1], &[1]], contradiction("coverage", "check")),
        ((RUN, 0, 0), &[&[4, 4, 4], &[1]], contradiction("coverage", "check")),
        ((RUN, 0, 16), product, contradiction("coverage", "check")),
        ((AUTO, 0, 16), &[&[3, 4, 4], &[1]], contradiction("coverage", "check")),
        ((COMPUTE, 0, 16), &[&[3, 4, 4], &[0]], contradiction("coverage", "check")),
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
    ] {
        let file = claimed(&ring, check, coverage);
        Decision::decode(&file).unwrap().verify(&ring).unwrap();
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
        chain.extend(&host_a(), content(&ring, 1..2), said, batch_of("x1", &[1]));
        assert_eq!(chain.verify(&ring).is_ok(), blocks == (1..2));
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
fn a_graph_has_neither_rows_nor_a_product() {
    let ring = intact(&small_ring());
    let cases: [(_, &[&[u8]], u32); 4] = [
        ((COMPUTE, 0, 16), &[&[3, 4, 3], &[4]], 2),
        ((RUN, 0, 0), &[&[4, 4, 2], &[4]], 2),
        ((COMPUTE, 0, 16), &[&[3, 4, 4], &[3]], 3),
        ((LOAD, 0, 0), &[&[1, 1, 1], &[2]], 3),
    ];
    for (check, coverage, block) in cases {
        let decision = Decision::decode(&claimed(&ring, check, coverage)).unwrap();
        assert_eq!(refusal(&decision, &ring), (Some(block), "body", Verdict::Tampered));
    }
}

#[test]
fn a_receipt_of_format_version_1_is_malformed() {
    let file = decision(&intact(&small_ring())).encode();
    assert_eq!(file[8..10], [2, 0]);
    for version in [0, 1, 3] {
        let mut other = file.clone();
        other[8] = version;
        let wanted = DecodeError::BadValue { field: "format version", found: u64::from(version) };
        assert_eq!(Decision::decode(&other), Err(wanted));
    }
}

#[test]
fn a_receipt_signed_under_the_labels_of_version_1_is_refused() {
    let ring = intact(&small_ring());
    let mut raw = RawReceipts::of(&decision(&ring).encode());
    let host = Field::Host.read(&raw.receipts[1], 64);
    assert_eq!(host, host_b().public().as_bytes());
    let unsigned = raw.receipts[1].len() - 64;
    let digest = crate::forge::derive("deepring v1 receipt digest", &raw.receipts[1][..unsigned]);
    let signature = crate::forge::sign(&HOST_B_SEED, "deepring v1 sign receipt", &digest);
    raw.receipts[1][unsigned..].copy_from_slice(&signature);
    let decision = Decision::decode(&raw.closed_by(&HOST_A_SEED)).unwrap();
    assert_eq!(refusal(&decision, &ring), (Some(2), "file", Verdict::Tampered));
}
