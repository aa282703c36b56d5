//! Receipts that someone changed, and signed again where the key was at hand.

use deepring::{Decision, Verdict, VerifiedRing};
use rayon::prelude::*;

use crate::forge::{Field, RECEIPTS, RawReceipts};
use crate::receipts::refusal;
use crate::small_query::{decision, decision_of};
use crate::small_ring::{
    HOST_A_SEED, HOST_B_SEED, HOST_C_SEED, host_b, host_c, intact, small_ring, two_versions,
};

fn raw(ring: &VerifiedRing) -> RawReceipts {
    RawReceipts::of(&decision(ring).encode())
}

/// Closed anew by host A: refused for this block and part, as tampering.
fn assert_refused(raw: RawReceipts, ring: &VerifiedRing, place: (Option<u32>, &str), what: &str) {
    let decision = Decision::decode(&raw.signed_by(&HOST_A_SEED)).unwrap();
    let (block, part, verdict) = refusal(&decision, ring);
    assert_eq!((block, part), place, "{what}");
    assert_eq!(verdict, Verdict::Tampered, "{what}");
}

#[test]
fn the_forge_makes_a_valid_file_when_nothing_is_edited() {
    let ring = intact(&small_ring());
    let decision = decision(&ring);
    let mut raw = RawReceipts::of(&decision.encode());
    assert_eq!(raw.file(), decision.encode());
    raw.sign_opening(&HOST_A_SEED);
    raw.sign_receipt(0, &HOST_A_SEED);
    raw.sign_receipt(1, &HOST_B_SEED);
    assert_eq!(raw.signed_by(&HOST_A_SEED), decision.encode());
}

#[test]
fn every_flipped_bit_of_a_receipt_file_is_refused() {
    let ring = intact(&small_ring());
    let file = decision(&ring).encode();
    (0..file.len() * 8).into_par_iter().for_each(|bit| {
        let mut flipped = file.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(decision) = Decision::decode(&flipped) {
            assert_eq!(refusal(&decision, &ring).2, Verdict::Tampered, "bit {bit}");
        }
    });
}

#[test]
fn a_receipt_file_cut_at_any_length_or_padded_is_malformed() {
    let file = decision(&intact(&small_ring())).encode();
    for len in 0..file.len() {
        assert!(Decision::decode(&file[..len]).is_err(), "{len}");
    }
    assert!(Decision::decode(&[file.as_slice(), &[0]].concat()).is_err());
}

#[test]
fn lengths_beyond_the_format_are_refused_without_reserving_memory() {
    let file = decision(&intact(&small_ring())).encode();
    let raw = RawReceipts::of(&file);
    let items = file.len() - 32 - 64 - 64 - 128 - 4;
    let first = RECEIPTS + 4;
    let validations = first + raw.receipts[0].len();
    // Receipts; of the first receipt its blocks, its coverage, and that of its block; validations; items.
    for at in [RECEIPTS, first + 68, first + 111, first + 115, validations, items] {
        for n in [u32::MAX, 1 << 31, 1 << 16] {
            let mut big = file.clone();
            big[at..at + 4].copy_from_slice(&n.to_le_bytes());
            assert!(Decision::decode(&big).is_err(), "{n} at {at}");
        }
    }
}

#[test]
fn a_field_of_the_last_receipt_that_its_host_signs_anew_is_refused() {
    let ring = intact(&small_ring());
    for field in Field::FREE {
        let mut raw = raw(&ring);
        let value = field.read(&raw.receipts[1], 1)[0] ^ 1;
        raw.edit_receipt(1, field, &[value]);
        raw.sign_receipt(1, &HOST_B_SEED);
        match field {
            Field::Block(_) => assert_refused(raw, &ring, (Some(2), "body"), "block"),
            Field::Outputs => assert_refused(raw, &ring, (None, "closure"), "outputs"),
            _ => assert_refused(raw, &ring, (Some(2), "file"), &format!("{field:?}")),
        }
    }
}

#[test]
fn a_field_of_the_first_receipt_that_its_host_signs_anew_breaks_the_chain() {
    let ring = intact(&small_ring());
    for field in Field::FREE {
        let mut raw = raw(&ring);
        let value = field.read(&raw.receipts[0], 1)[0] ^ 1;
        raw.edit_receipt(0, field, &[value]);
        raw.sign_receipt(0, &HOST_A_SEED);
        let place = match field {
            Field::Block(_) => (Some(1), "body"),
            // The receipt holds by itself, and host B's no longer follows it.
            Field::Outputs => (Some(2), "file"),
            _ => (Some(1), "file"),
        };
        assert_refused(raw, &ring, place, &format!("{field:?}"));
    }
}

#[test]
fn a_field_of_the_opening_that_its_host_signs_anew_is_refused() {
    let ring = intact(&small_ring());
    let fields = [
        ("query", 0, (Some(1), "file")),
        ("ring id", 32, (Some(0), "file")),
        ("ring digest", 48, (None, "file")),
        ("model version", 80, (Some(0), "file")),
        ("genesis", 88, (Some(0), "file")),
        ("nonce", 152, (Some(1), "file")),
        ("salt", 184, (Some(1), "file")),
        ("inputs", 216, (Some(1), "file")),
        ("opened at", 248, (Some(1), "file")),
        ("host", 256, (Some(0), "file")),
    ];
    for (what, at, place) in fields {
        let mut raw = raw(&ring);
        raw.opening[at] ^= 1;
        raw.sign_opening(&HOST_A_SEED);
        assert_refused(raw, &ring, place, what);
    }
    // A deal that this ring does not hold may be one of another revision.
    let mut raw = raw(&ring);
    raw.opening[120] ^= 1;
    raw.sign_opening(&HOST_A_SEED);
    let decision = Decision::decode(&raw.signed_by(&HOST_A_SEED)).unwrap();
    assert_eq!(refusal(&decision, &ring), (None, "file", Verdict::Stale));
}

#[test]
fn another_closing_host_that_signs_is_refused() {
    let ring = intact(&small_ring());
    let mut raw = raw(&ring);
    raw.closed_by = *host_b().public().as_bytes();
    let decision = Decision::decode(&raw.signed_by(&HOST_B_SEED)).unwrap();
    assert_eq!(refusal(&decision, &ring), (None, "closure", Verdict::Tampered));
}

#[test]
fn a_receipt_of_another_query_is_refused() {
    let ring = intact(&small_ring());
    let other = RawReceipts::of(&decision_of(&ring, 2).encode());
    for i in [0, 1] {
        let mut raw = raw(&ring);
        raw.receipts[i] = other.receipts[i].clone();
        assert_refused(raw, &ring, (Some(1 + i as u32), "file"), "replayed");
    }
}

#[test]
fn an_opening_of_another_query_is_refused() {
    let ring = intact(&small_ring());
    let mut raw_one = raw(&ring);
    raw_one.opening = RawReceipts::of(&decision_of(&ring, 2).encode()).opening;
    assert_refused(raw_one, &ring, (Some(1), "file"), "replayed opening");
}

#[test]
fn swapped_outputs_of_a_batch_are_refused() {
    let ring = intact(&small_ring());
    let mut raw = raw(&ring);
    let (one, two) = (raw.items[0], raw.items[1]);
    raw.items[0][32..].copy_from_slice(&two[32..]);
    raw.items[1][32..].copy_from_slice(&one[32..]);
    assert_refused(raw, &ring, (None, "closure"), "swapped outputs");
}

#[test]
fn dropped_reordered_and_repeated_receipts_are_refused() {
    let ring = intact(&small_ring());
    let edited = |edit: fn(&mut Vec<Vec<u8>>)| {
        let mut raw = raw(&ring);
        edit(&mut raw.receipts);
        raw
    };
    assert_refused(edited(|r| _ = r.pop()), &ring, (None, "closure"), "last dropped");
    assert_refused(edited(|r| _ = r.remove(0)), &ring, (Some(1), "file"), "first dropped");
    assert_refused(edited(Vec::clear), &ring, (None, "closure"), "all dropped");
    assert_refused(edited(|r| r.reverse()), &ring, (Some(1), "file"), "reordered");
    assert_refused(edited(|r| r.push(r[1].clone())), &ring, (None, "file"), "last repeated");
    assert_refused(edited(|r| r.insert(0, r[0].clone())), &ring, (Some(2), "file"), "repeated");
}

#[test]
fn dropped_items_are_refused() {
    let ring = intact(&small_ring());
    for keep in [0, 1] {
        let mut raw = raw(&ring);
        raw.items.truncate(keep);
        assert_refused(raw, &ring, (None, "closure"), "dropped items");
    }
}

#[test]
fn a_receipt_taken_over_by_a_key_that_is_no_host_is_refused() {
    let ring = intact(&small_ring());
    let mut raw = raw(&ring);
    raw.edit_receipt(1, Field::Host, host_c().public().as_bytes());
    raw.sign_receipt(1, &HOST_C_SEED);
    let decision = Decision::decode(&raw.signed_by(&HOST_A_SEED)).unwrap();
    assert_eq!(refusal(&decision, &ring), (Some(2), "body", Verdict::Stale));
}

#[test]
fn a_signature_by_another_key_is_refused() {
    let ring = intact(&small_ring());
    let mut forged = raw(&ring);
    forged.sign_opening(&HOST_B_SEED);
    assert_refused(forged, &ring, (Some(0), "file"), "opening");
    let mut forged = raw(&ring);
    forged.sign_receipt(1, &HOST_A_SEED);
    assert_refused(forged, &ring, (Some(2), "file"), "receipt");
    let closed_by_b = raw(&ring).signed_by(&HOST_B_SEED);
    let place = refusal(&Decision::decode(&closed_by_b).unwrap(), &ring);
    assert_eq!(place, (None, "closure", Verdict::Tampered));
}

#[test]
fn a_receipt_without_blocks_is_refused() {
    let ring = intact(&small_ring());
    let mut raw = raw(&ring);
    raw.receipts[0].splice(68..104, 0u32.to_le_bytes());
    raw.sign_receipt(0, &HOST_A_SEED);
    assert_refused(raw, &ring, (Some(1), "file"), "no blocks");
}

#[test]
fn an_unsigned_claim_to_be_about_another_version_is_tampering_and_not_stale() {
    let (first, second) = two_versions();
    let (first, second) = (intact(&first), intact(&second));
    let mut forged = raw(&second);
    forged.opening[48..80].copy_from_slice(&first.digest().0);
    forged.opening[80] = 1;
    let decision = Decision::decode(&forged.file()).unwrap();
    assert_eq!(refusal(&decision, &second), (Some(0), "file", Verdict::Tampered));
}
