//! Vectors of decisions in whose chain one thing is wrong, and nothing else: whatever follows it is signed anew.

use deepring::receipt::{Item, Receipt, batch_digest, tensors_digest};
use deepring::{Check, VerifiedRing};

use crate::dealt_ring::{opened, outputs_of, right};
use crate::forge::{Field, RawReceipts, after_computed_with, host_at};
use crate::forge_record::{receipt_digest, sign_receipt, sign_record};
use crate::small_query::{decision, ran, salt, start, tensor};
use crate::small_ring::{HOST_A_SEED, HOST_B_SEED, HOST_C_SEED, host_a, host_b, host_c, intact};
use crate::vectors::Expected;
use crate::vectors_dealt::{plain, three};
use crate::vectors_records::{Made, place};
use crate::vectors_validated::{bytes_of, decided, file, receipt};

/// The decision of the ring that is not dealt: host A runs block 1, host B blocks 2 and 3.
fn undealt() -> RawReceipts {
    RawReceipts::of(&decision(&intact(plain())).encode())
}

const SEEDS: [[u8; 32]; 2] = [HOST_A_SEED, HOST_B_SEED];

/// Signs the opening and the receipts anew, each naming the record before.
fn chained(raw: &mut RawReceipts) {
    raw.sign_opening(&HOST_A_SEED);
    let mut previous = raw.opening_digest();
    for (i, seed) in SEEDS.iter().enumerate() {
        raw.edit_receipt(i, Field::Previous, &previous);
        sign_receipt(&mut raw.receipts[i], seed);
        previous = receipt_digest(&raw.receipts[i]);
    }
}

fn add_one(made: &mut Made, name: &str, defect: &str, raw: RawReceipts, expected: Expected) {
    let record = receipt(made, name, defect, raw.signed_by(&HOST_A_SEED), expected);
    record.outline = Some("plain.outline".into());
}

fn openings(made: &mut Made) {
    let edits: [(&str, &str, usize, Expected); 4] = [
        ("opening_of_other_ring_id", "another ring id, of the ring's digest", 32, file(0)),
        ("opening_of_other_version", "another model version, of the ring's digest", 80, file(0)),
        ("opening_of_other_genesis", "another content of Genesis", 88, file(0)),
        ("opening_of_other_digest", "another ring digest", 48, place("tampered", None, "file")),
    ];
    for (name, defect, at, expected) in edits {
        let mut raw = undealt();
        raw.opening[at] ^= 4;
        chained(&mut raw);
        add_one(made, name, defect, raw, expected);
    }
}

fn receipts(made: &mut Made) {
    type Edit<'a> = (&'a str, &'a str, usize, Field, &'a [u8], Expected);
    let edits: [Edit<'_>; 4] = [
        (
            "leg_of_other_query",
            "the last receipt is of another query",
            1,
            Field::Query,
            &[9],
            file(2),
        ),
        (
            "leg_of_other_ring",
            "the last receipt is of another ring digest",
            1,
            Field::Ring,
            &[9],
            file(2),
        ),
        (
            "leg_of_other_record",
            "the last receipt names another record before",
            1,
            Field::Previous,
            &[9],
            file(2),
        ),
        (
            "leg_begins_later",
            "the first receipt begins with block 2",
            0,
            Field::FirstBlock,
            &[2],
            file(1),
        ),
    ];
    for (name, defect, i, field, bytes, expected) in edits {
        let mut raw = undealt();
        raw.edit_receipt(i, field, bytes);
        sign_receipt(&mut raw.receipts[i], &SEEDS[i]);
        add_one(made, name, defect, raw, expected);
    }
    let mut raw = undealt();
    let mut beyond = raw.receipts[1].clone();
    let outputs = Field::Outputs.read(&beyond, 32);
    raw.receipts.push(std::mem::take(&mut beyond));
    raw.edit_receipt(2, Field::FirstBlock, &[4]);
    raw.edit_receipt(2, Field::Inputs, &outputs);
    let previous = receipt_digest(&raw.receipts[1]);
    raw.edit_receipt(2, Field::Previous, &previous);
    sign_receipt(&mut raw.receipts[2], &HOST_B_SEED);
    let expected = place("tampered", None, "file");
    add_one(made, "leg_too_many", "a receipt of blocks 4 and 5 of 3", raw, expected);
}

fn items(made: &mut Made) {
    let closure = || place("tampered", None, "closure");
    let mut raw = undealt();
    raw.items[0][0] ^= 1;
    add_one(made, "item_of_other_inputs", "an item of other inputs", raw, closure());

    let mut raw = undealt();
    raw.receipts.pop();
    let digest = |name, n| tensors_digest(&salt(), &[tensor(name, n)]);
    let item = |n| Item { inputs: digest("x0", n), outputs: digest("x1", n) };
    let bytes = |item: Item| [item.inputs.0, item.outputs.0].concat().try_into().unwrap();
    raw.items = [1, 2].map(item).map(bytes).to_vec();
    let defect = "the last receipt is missing, and the items are of what it was given";
    add_one(made, "leg_missing", defect, raw, closure());

    let mut raw = undealt();
    raw.items.clear();
    let nothing = batch_digest(&[]);
    raw.opening[216..248].copy_from_slice(&nothing.0);
    raw.edit_receipt(0, Field::Inputs, &nothing.0);
    raw.edit_receipt(1, Field::Outputs, &nothing.0);
    chained(&mut raw);
    add_one(made, "no_item", "no item, and the chain is of no query", raw, closure());

    let raw = undealt();
    let mut bytes = raw.signed_by(&HOST_A_SEED);
    let at = bytes.len() - 96;
    bytes[at] ^= 1;
    let record =
        receipt(made, "closing_bit_flipped", "one bit of the closing signature", bytes, closure());
    record.outline = Some("plain.outline".into());
}

/// Another copy's validation of a receipt, as it would say it.
fn validation_of(receipt: &[u8], host: [u8; 64], seed: &[u8; 32]) -> Vec<u8> {
    let mut record = receipt[..32].to_vec();
    record.extend(receipt_digest(receipt));
    record.extend(&receipt[64..after_computed_with(receipt)]);
    record.extend(&receipt[host_at(receipt) - 96..host_at(receipt) - 32]);
    record.extend([0; 9]);
    record.extend(host);
    record.extend([0; 64]);
    sign_record(&mut record, seed);
    record
}

/// One receipt over two legs of the deal, which another copy validated; all that follows fits.
fn legs(made: &mut Made, ring: &VerifiedRing) {
    let mut raw = RawReceipts::of(&decided(ring, &start(1)));
    let mut chain = opened(ring, &start(1));
    chain.extend(&host_b(), ran(ring, 1..3, Check::Run, outputs_of(2, &[1, 2])));
    chain.extend(&host_c(), right(ring, 3));
    let receipts: Vec<Vec<u8>> = chain.receipts().map(|r: &Receipt| bytes_of(r)).collect();
    let a = *host_a().public().as_bytes();
    raw.validations = receipts.iter().map(|r| vec![validation_of(r, a, &HOST_A_SEED)]).collect();
    raw.receipts = receipts;
    let defect = "one receipt of two legs of the deal, validated";
    let bytes = raw.signed_by(&HOST_A_SEED);
    receipt(made, "legs_joined", defect, bytes, file(1)).outline =
        Some("dealt_three.outline".into());

    // The forge says what the crate does.
    let honest = RawReceipts::of(&decided(ring, &start(1)));
    let by_c = honest.validations[0]
        .iter()
        .find(|v| v.windows(64).any(|w| w == host_c().public().as_bytes()));
    let again = validation_of(&honest.receipts[0], *host_c().public().as_bytes(), &HOST_C_SEED);
    assert_eq!(by_c, Some(&again));
}

pub(crate) fn add(made: &mut Made) {
    openings(made);
    receipts(made);
    items(made);
    legs(made, three());
}
