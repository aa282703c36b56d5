//! Vectors of decisions under a deal: what validates a leg and what does not, what a reader may require, and nonces.

use deepring::receipt::{QueryStart, Receipt};
use deepring::replication::Evidence;
use deepring::{Check, VerifiedRing};

use crate::dealt_ring::{opened, outputs_of, settled_chain};
use crate::forge::{Field, RawReceipts, sign};
use crate::forge_record::{
    RecordField, claim_of, edit_record, receipt_digest, sign_receipt, sign_record,
};
use crate::small_query::{ran, start};
use crate::small_ring::{
    HOST_A_SEED, HOST_B_SEED, HOST_C_SEED, HOST_D_SEED, host_a, host_b, host_c, host_d,
};
use crate::validated::{close, undealt};
use crate::vectors::Expected;
use crate::vectors_dealt::{three, two, two_of_host_a};
use crate::vectors_records::{Made, Record, place};

/// Adds a receipt that is held against the outline of the ring in two copies.
pub(crate) fn receipt<'a>(
    made: &'a mut Made,
    name: &str,
    defect: &str,
    bytes: Vec<u8>,
    expected: Expected,
) -> &'a mut Record {
    let record = made.add((name, "receipt"), defect, bytes, expected);
    record.outline = Some("dealt_two.outline".into());
    record
}

pub(crate) fn file(block: u32) -> Expected {
    place("tampered", Some(block), "file")
}

fn malformed() -> Expected {
    place("tampered", None, "file")
}

pub(crate) fn decided(ring: &VerifiedRing, start: &QueryStart) -> Vec<u8> {
    close(ring, settled_chain(ring, start)).encode()
}

/// A receipt's bytes, out of records that carry two of it.
pub(crate) fn bytes_of(receipt: &Receipt) -> Vec<u8> {
    let twice = Box::new(receipt.clone());
    let both = Evidence::Equivocation { first: twice.clone(), second: twice }.to_bytes();
    both[1..=both.len() / 2].to_vec()
}

fn agreement(code: u8, largest: f32, bound: f32) -> Vec<u8> {
    [&[code][..], &largest.to_le_bytes(), &bound.to_le_bytes()].concat()
}

/// Edits host B's record of leg 1, and closes all anew.
fn with_record(honest: &[u8], edit: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut raw = RawReceipts::of(honest);
    edit(&mut raw.validations[0][0]);
    raw.signed_by(&HOST_A_SEED)
}

/// Validations that their host signed.
fn signed(made: &mut Made, honest: &[u8]) {
    use RecordField::{Agreement, Block, FirstBlock, Host, Inputs, Outputs, Query, Threads};
    let near = agreement(1, 0.25, 0.5);
    let differs = agreement(2, f32::INFINITY, 0.0);
    let mut other_chain = RawReceipts::of(honest).receipts[0].clone();
    let previous = crate::forge::host_at(&other_chain) - 32;
    other_chain[previous] ^= 1;
    let other_chain = receipt_digest(&other_chain);
    let own = host_a().public();
    let c = host_c().public();
    let d = host_d().public();
    type Edits<'a> = &'a [(RecordField, &'a [u8])];
    let b = HOST_B_SEED;
    let cases: [(&str, &str, Edits<'_>, [u8; 32], Expected); 23] = [
        (
            "by_other_leg",
            "by a host of other legs alone",
            &[(Host, c.as_bytes())],
            HOST_C_SEED,
            file(1),
        ),
        ("by_stranger", "by a host of nothing", &[(Host, d.as_bytes())], HOST_D_SEED, file(1)),
        ("of_itself", "by the receipt's own host", &[(Host, own.as_bytes())], HOST_A_SEED, file(1)),
        (
            "signed_by_other",
            "host A signed in the name of host B",
            &[(Query, &[1; 32])],
            HOST_A_SEED,
            file(1),
        ),
        ("of_other_query", "of another query", &[(Query, &[9])], b, file(1)),
        ("of_other_receipt", "of another receipt", &[(RecordField::Receipt, &[9])], b, file(1)),
        (
            "of_other_chain",
            "of a receipt that continues another chain",
            &[(RecordField::Receipt, &other_chain)],
            b,
            file(1),
        ),
        ("of_other_blocks", "of block 2", &[(FirstBlock, &[2])], b, file(1)),
        ("of_other_content", "another content ran", &[(Block, &[9])], b, file(1)),
        ("of_other_inputs", "computed from something else", &[(Inputs, &[9])], b, file(1)),
        ("same_of_other_outputs", "says the same of other outputs", &[(Outputs, &[9])], b, file(1)),
        (
            "near_of_same_outputs",
            "says near of the same outputs",
            &[(Agreement, &near)],
            b,
            file(1),
        ),
        (
            "near",
            "near, of a copy that computes with the same",
            &[(Outputs, &[9]), (Agreement, &near)],
            b,
            file(1),
        ),
        (
            "near_of_other_threads",
            "nothing; near, of a copy with other threads",
            &[(Outputs, &[9]), (Agreement, &near), (Threads, &[7, 0])],
            b,
            Expected::intact(),
        ),
        (
            "near_of_same_outputs_and_other_threads",
            "says near of the same outputs, with other threads",
            &[(Agreement, &near), (Threads, &[7, 0])],
            b,
            file(1),
        ),
        (
            "near_beyond_bound",
            "near, and the difference is above the bound",
            &[(Outputs, &[9]), (Agreement, &agreement(1, 0.5, 0.25))],
            b,
            malformed(),
        ),
        (
            "near_without_bound",
            "near, and the bound is infinite",
            &[(Outputs, &[9]), (Agreement, &agreement(1, 0.5, f32::INFINITY))],
            b,
            malformed(),
        ),
        (
            "same_with_difference",
            "same, and a difference",
            &[(Agreement, &agreement(0, 0.5, 0.0))],
            b,
            malformed(),
        ),
        (
            "same_with_negative_zero",
            "same, and a bound of -0",
            &[(Agreement, &agreement(0, 0.0, -0.0))],
            b,
            malformed(),
        ),
        (
            "agreement_unknown",
            "agreement 3",
            &[(Agreement, &agreement(3, 0.0, 0.0))],
            b,
            malformed(),
        ),
        (
            "objection",
            "an objection in the place of a validation",
            &[(Outputs, &[9]), (Agreement, &differs)],
            b,
            file(1),
        ),
        (
            "objection_to_same",
            "an objection that names the same outputs",
            &[(Agreement, &differs)],
            b,
            file(1),
        ),
        ("of_no_thread", "computed with 0 threads", &[(Threads, &[0, 0])], b, malformed()),
    ];
    for (name, defect, edits, seed, expected) in cases {
        let bytes = with_record(honest, |v| {
            edits.iter().for_each(|(field, bytes)| edit_record(v, *field, bytes, &seed));
        });
        receipt(made, &format!("validation_{name}"), defect, bytes, expected);
    }
}

/// A validator's claims of its own checks, and validations as a list.
fn coverage_and_lists(made: &mut Made, honest: &[u8]) {
    let body = || place("tampered", Some(1), "body");
    type Claim<'a> = (&'a str, &'a str, u8, &'a [&'a [u8]], Expected);
    let claims: [Claim<'_>; 7] = [
        ("covers_nothing", "coverage of no block", 1, &[], file(1)),
        ("covers_too_much", "coverage of two blocks", 1, &[&[1, 1, 1], &[1]], file(1)),
        ("covers_two_parts", "a part left out", 1, &[&[1, 1]], body()),
        ("graph_by_rows", "rows of the graph", 1, &[&[1, 1, 2]], body()),
        ("coverage_unknown", "coverage 9", 1, &[&[1, 1, 9]], malformed()),
        ("weaker_than_check", "run, and a tensor only opened", 3, &[&[1, 4, 4]], malformed()),
        (
            "checked_less",
            "nothing; the validator checked less",
            0,
            &[&[0, 0, 0]],
            Expected::intact(),
        ),
    ];
    for (name, defect, check, coverage, expected) in claims {
        let bytes = with_record(honest, |v| claim_of(v, check, coverage, &HOST_B_SEED));
        receipt(made, &format!("validation_{name}"), defect, bytes, expected);
    }
    let flipped = with_record(honest, |v| *v.last_mut().unwrap() ^= 1);
    let defect = "one bit of the signature";
    receipt(made, "validation_signature_flipped", defect, flipped, file(1));
    let relabelled = with_record(honest, |v| {
        let unsigned = v.len() - 64;
        let digest = crate::forge::derive("deepring v4 receipt digest", &v[..unsigned]);
        v[unsigned..].copy_from_slice(&sign(&HOST_B_SEED, "deepring v4 sign receipt", &digest));
    });
    let defect = "signed under the labels of a receipt";
    receipt(made, "validation_signed_as_receipt", defect, relabelled, file(1));

    let of_three = decided(three(), &start(1));
    type Edit<'a> = (&'a str, &'a str, fn(&mut Vec<Vec<u8>>));
    let lists: [Edit<'_>; 3] = [
        ("validations_out_of_order", "validations of leg 1 out of order", |v| v.swap(0, 1)),
        ("validation_twice", "one host validates leg 1 twice", |v| v[1] = v[0].clone()),
        ("three_validations", "three validations of leg 1", |v| v.push(v[1].clone())),
    ];
    for (name, defect, edit) in lists {
        let mut raw = RawReceipts::of(&of_three);
        edit(&mut raw.validations[0]);
        let record = receipt(made, name, defect, raw.signed_by(&HOST_A_SEED), malformed());
        record.outline = Some("dealt_three.outline".into());
    }
    let mut raw = RawReceipts::of(honest);
    raw.validations[1].clear();
    let defect = "nobody validated leg 2";
    receipt(made, "validation_missing", defect, raw.signed_by(&HOST_A_SEED), file(2)).require =
        Some("none".into());
}

/// Chain and closing under a deal.
fn chains(made: &mut Made, honest: &[u8]) {
    let ring = two();
    let raw = || RawReceipts::of(honest);
    let mut undealt = RawReceipts::of(&close(ring, undealt(ring)).encode());
    let mut validation = raw().validations[0][0].clone();
    let about = receipt_digest(&undealt.receipts[0]);
    edit_record(&mut validation, RecordField::Receipt, &about, &HOST_B_SEED);
    undealt.validations[0].push(validation);
    let defect = "a validation, and the query ran under no deal";
    let record =
        receipt(made, "undealt_validated", defect, undealt.signed_by(&HOST_A_SEED), file(1));
    record.require = Some("none".into());

    let mut by_c = raw();
    by_c.edit_receipt(0, Field::Host, host_c().public().as_bytes());
    sign_receipt(&mut by_c.receipts[0], &HOST_C_SEED);
    let defect = "host C, no copy of leg 1, signed its receipt";
    receipt(made, "leg_by_no_copy", defect, by_c.signed_by(&HOST_A_SEED), file(1));

    let mut no_leg = raw();
    let mut chain = opened(ring, &start(1));
    chain.extend(&host_b(), ran(ring, 1..3, Check::Run, outputs_of(2, &[1, 2])));
    no_leg.receipts[0] = bytes_of(chain.legs()[0].receipt());
    let defect = "blocks 1 and 2 in one receipt, which are two legs";
    receipt(made, "receipt_of_no_leg", defect, no_leg.signed_by(&HOST_A_SEED), file(1));

    let mut relaxed = raw();
    relaxed.claim(2, (1, 0, 0), &[&[1]]);
    sign_receipt(&mut relaxed.receipts[2], &HOST_C_SEED);
    let defect = "host C signed its receipt of leg 3 anew, and its validation is of the old one";
    receipt(made, "receipt_signed_anew", defect, relaxed.signed_by(&HOST_A_SEED), file(3));

    let closed_by = |host: [u8; 64], seed: &[u8; 32]| {
        let mut raw = raw();
        raw.closed_by = host;
        raw.signed_by(seed)
    };
    let b = closed_by(*host_b().public().as_bytes(), &HOST_B_SEED);
    let defect = "nothing; host B, of Genesis too, closed it";
    receipt(made, "closed_by_stand_in", defect, b, Expected::intact());
    let c = closed_by(*host_c().public().as_bytes(), &HOST_C_SEED);
    let defect = "closed by a host that the deal does not name for Genesis";
    let closure = || place("tampered", None, "closure");
    receipt(made, "closed_by_no_host_of_genesis", defect, c, closure());

    let of_a = two_of_host_a();
    made.add(
        ("dealt_to_host_a", "outline"),
        "nothing; host A alone is dealt Genesis",
        of_a.outline().as_outline().encode(),
        Expected::intact(),
    );
    let mut by_b = RawReceipts::of(&decided(&of_a, &start(1)));
    by_b.opening[256..320].copy_from_slice(host_b().public().as_bytes());
    by_b.sign_opening(&HOST_B_SEED);
    let defect = "opened by a host that the deal does not name for Genesis";
    let bytes = by_b.signed_by(&HOST_A_SEED);
    let record = receipt(made, "opened_by_no_host_of_genesis", defect, bytes, file(0));
    record.outline = Some("dealt_to_host_a.outline".into());

    for (outline, defect) in [
        ("dealt_three", "run under another deal of the ring"),
        ("plain", "run under a deal, and this revision has none"),
    ] {
        let stale = place("stale", None, "file");
        let record = receipt(made, "two_copies", defect, honest.to_vec(), stale);
        record.outline = Some(format!("{outline}.outline"));
    }
    let stale = place("stale", None, "file");
    let record = receipt(made, "two_copies", "of version 1", honest.to_vec(), stale);
    record.outline = Some("version_2_of_ring.outline".into());

    let mut bare = raw();
    bare.salt = [0; 32];
    let defect = "nothing; the salt is left out";
    receipt(made, "without_salt", defect, bare.file(), Expected::intact());
    bare.salt = [1; 32];
    receipt(made, "other_salt", "another salt than the opening's", bare.file(), closure());
}

pub(crate) fn add(made: &mut Made) {
    let honest = decided(two(), &start(1));
    let mut same = RawReceipts::of(&honest).validations[0][0].clone();
    sign_record(&mut same, &HOST_B_SEED);
    assert_eq!(same, RawReceipts::of(&honest).validations[0][0], "the forge signs as the crate");
    crate::vectors_required::add(made, &honest);
    signed(made, &honest);
    coverage_and_lists(made, &honest);
    chains(made, &honest);
}
