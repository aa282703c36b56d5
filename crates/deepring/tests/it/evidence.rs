//! Evidence that signed records contradict each other: each kind holds, and none of its twins does in which something
//! is as it must be between honest copies.

use deepring::deal::Copies;
use deepring::receipt::{Agreement, LegResult};
use deepring::replication::{CopyFault, Evidence, EvidenceError};
use deepring::{Host, PublicKey, VerifiedRing};
use rayon::prelude::*;

use crate::dealt_ring::{dealt, opened, right};
use crate::driver::{Driver, Liar, RECORD, kind};
use crate::forge_record::{
    RawEvidence, RecordField, edit_record, flip_record, receipt_digest, sign_receipt, sign_record,
};
use crate::small_query::{batch_of, start};
use crate::small_ring::{
    HOST_A_SEED, HOST_B_SEED, HOST_C_SEED, HOST_D_SEED, host_a, host_b, host_c, host_d, intact,
    small_ring,
};

fn wrong(ring: &VerifiedRing) -> LegResult {
    LegResult { outputs: batch_of("x1", &[66, 67]), ..right(ring, 1) }
}

/// The evidence that honest copies of leg 1 come to have in hand against host B.
fn found(ring: &VerifiedRing, lie: &Liar, kind: u8) -> Evidence {
    let chain = opened(ring, &start(1));
    let verified = chain.verify(ring.outline()).unwrap();
    let run = Driver::new(&verified, right(ring, 1), Some((1, lie)), 7).run();
    let named = run.ends.into_iter().flatten().flat_map(|(_, named)| named);
    let evidence = named.filter_map(|named| match named.fault {
        CopyFault::Disputed(e) | CopyFault::Outvoted(e) | CopyFault::Equivocated(e) => Some(e),
        _ => None,
    });
    let against_b = |e: &Evidence| e.to_bytes()[0] == kind && e.receipt().host == host_b().public();
    evidence.into_iter().find(against_b).unwrap()
}

/// Host B signs a right and a wrong receipt.
pub(crate) fn equivocation(ring: &VerifiedRing) -> Evidence {
    let lie = Liar::with(vec![wrong(ring), right(ring, 1)]).saying(|machine, to, _| machine == to);
    found(ring, &lie, 1)
}

/// Host B gets something else than host A, and there is no third.
pub(crate) fn contradiction(ring: &VerifiedRing) -> Evidence {
    found(ring, &Liar::with(vec![wrong(ring)]), 2)
}

/// Host B gets something else than the other two.
pub(crate) fn majority(ring: &VerifiedRing) -> Evidence {
    found(ring, &Liar::with(vec![wrong(ring)]), 3)
}

/// Host B signs a right receipt and objects to host A's.
pub(crate) fn perjury(ring: &VerifiedRing) -> Evidence {
    let lie = Liar::with(vec![right(ring, 1), wrong(ring)])
        .saying(|machine, _, message| (machine == 1) == (kind(message) == RECORD));
    found(ring, &lie, 4)
}

fn two() -> VerifiedRing {
    dealt(Copies::Two, false)
}

fn three() -> VerifiedRing {
    dealt(Copies::Three, true)
}

/// One of each kind, with its ring.
pub(crate) fn all() -> Vec<(VerifiedRing, Evidence)> {
    let (two, three) = (two(), three());
    let (of_two, of_three) = (contradiction(&two), majority(&three));
    let rings = [dealt(Copies::Three, true), dealt(Copies::Two, false)];
    let more = [equivocation(&rings[0]), perjury(&rings[1])];
    let more = rings.into_iter().zip(more);
    [(two, of_two), (three, of_three)].into_iter().chain(more).collect()
}

fn refused(ring: &VerifiedRing, raw: &RawEvidence) -> EvidenceError {
    Evidence::from_bytes(&raw.bytes()).unwrap().verify(ring.outline()).unwrap_err()
}

/// The reason why records do not contradict each other.
fn reason(ring: &VerifiedRing, raw: &RawEvidence) -> &'static str {
    match refused(ring, raw) {
        EvidenceError::NoContradiction(reason) => reason,
        other => panic!("{other}"),
    }
}

pub(crate) fn raw(evidence: &Evidence) -> RawEvidence {
    RawEvidence::of(&evidence.to_bytes())
}

// Offsets of a receipt's fields, counted from the host's key backwards; the others as FORMAT.md has them.
const RING: usize = 32;
const FIRST_BLOCK: usize = 64;
const BLOCK: usize = 72;

pub(crate) fn from_end(receipt: &[u8], before_host: usize) -> usize {
    receipt.len() - 128 - before_host
}

/// Flips a bit of a receipt and signs it anew.
pub(crate) fn edited(receipt: &mut [u8], at: usize, seed: &[u8; 32]) {
    receipt[at] ^= 4;
    sign_receipt(receipt, seed);
}

/// The seed of the host that a receipt names.
pub(crate) fn seed_of(receipt: &[u8]) -> [u8; 32] {
    let at = from_end(receipt, 0);
    seed_of_host(&PublicKey::from_bytes(receipt[at..at + 64].try_into().unwrap()))
}

fn seed_of_host(host: &PublicKey<Host>) -> [u8; 32] {
    let keys = [
        (host_a(), HOST_A_SEED),
        (host_b(), HOST_B_SEED),
        (host_c(), HOST_C_SEED),
        (host_d(), HOST_D_SEED),
    ];
    keys.into_iter().find(|(key, _)| key.public() == *host).unwrap().1
}

#[test]
fn each_kind_verifies_names_its_hosts_and_survives_its_encoding() {
    let [a, b] = [host_a(), host_b()].map(|host| host.public());
    for (ring, evidence) in all() {
        evidence.verify(ring.outline()).unwrap();
        let bytes = evidence.to_bytes();
        assert_eq!(Evidence::from_bytes(&bytes).as_ref(), Ok(&evidence));
        assert_eq!(raw(&evidence).bytes(), bytes);
        assert_eq!(evidence.receipt().host, b);
        let disputed = matches!(evidence, Evidence::Contradiction { .. });
        assert_eq!(evidence.names(), if disputed { vec![b, a] } else { vec![b] });
        assert_eq!(evidence.is_proof(), !disputed);
        let json = serde_json::to_value(&evidence).unwrap();
        let word = ["equivocation", "contradiction", "majority", "perjury"];
        assert_eq!(json["evidence"], word[usize::from(bytes[0]) - 1]);
    }
}

#[test]
fn every_flipped_bit_of_evidence_is_refused() {
    for (ring, evidence) in all() {
        let bytes = evidence.to_bytes();
        (0..bytes.len() * 8).into_par_iter().for_each(|bit| {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(evidence) = Evidence::from_bytes(&flipped) {
                assert!(evidence.verify(ring.outline()).is_err(), "bit {bit} of {}", bytes[0]);
            }
        });
    }
}

#[test]
fn evidence_cut_at_any_length_or_padded_or_of_another_kind_is_malformed() {
    for (_, evidence) in all() {
        let bytes = evidence.to_bytes();
        assert!((0..bytes.len()).all(|len| Evidence::from_bytes(&bytes[..len]).is_err()));
        assert!(Evidence::from_bytes(&[bytes.as_slice(), &[0]].concat()).is_err());
        for kind in [0, 5, 255] {
            assert!(Evidence::from_bytes(&[&[kind], &bytes[1..]].concat()).is_err());
        }
    }
}

#[test]
fn a_record_whose_signature_does_not_fit_proves_nothing() {
    for (ring, evidence) in all() {
        for piece in 0..raw(&evidence).pieces.len() {
            let mut raw = raw(&evidence);
            *raw.pieces[piece].last_mut().unwrap() ^= 1;
            assert_eq!(refused(&ring, &raw), EvidenceError::Unsigned, "{piece}");
        }
    }
}

#[test]
fn records_of_another_ring_or_of_no_leg_of_its_deal_prove_nothing() {
    let plain = intact(&small_ring());
    for (ring, evidence) in all() {
        for other in [&plain, &two(), &three()] {
            assert_eq!(evidence.verify(other.outline()), Err(EvidenceError::OtherRing));
        }
        for at in [RING, FIRST_BLOCK] {
            let mut raw = raw(&evidence);
            let seed = seed_of(&raw.pieces[0]);
            edited(&mut raw.pieces[0], at, &seed);
            assert_eq!(refused(&ring, &raw), EvidenceError::OtherRing, "{at}");
        }
    }
}

#[test]
fn records_of_who_is_no_copy_of_the_leg_prove_nothing() {
    let ring = two();
    // Host C is a copy of the two other legs.
    let mut of_c = raw(&contradiction(&ring));
    let at = from_end(&of_c.pieces[0], 0);
    of_c.pieces[0][at..at + 64].copy_from_slice(host_c().public().as_bytes());
    sign_receipt(&mut of_c.pieces[0], &HOST_C_SEED);
    assert_eq!(refused(&ring, &of_c), EvidenceError::NotACopy);

    let mut of_c = raw(&contradiction(&ring));
    edit_record(&mut of_c.pieces[1], RecordField::Host, host_c().public().as_bytes(), &HOST_C_SEED);
    assert_eq!(refused(&ring, &of_c), EvidenceError::NotACopy);

    let mut about_d = raw(&perjury(&ring));
    let at = from_end(&about_d.pieces[2], 0);
    about_d.pieces[2][at..at + 64].copy_from_slice(host_d().public().as_bytes());
    sign_receipt(&mut about_d.pieces[2], &HOST_D_SEED);
    let digest = receipt_digest(&about_d.pieces[2]);
    edit_record(&mut about_d.pieces[1], RecordField::Receipt, &digest, &HOST_B_SEED);
    assert_eq!(refused(&ring, &about_d), EvidenceError::NotACopy);
}

#[test]
fn two_receipts_are_an_equivocation_only_of_one_host_about_one_leg_with_different_outputs() {
    let ring = three();
    let honest = equivocation(&ring);
    let with = |edit: &dyn Fn(&mut RawEvidence)| {
        let mut raw = raw(&honest);
        edit(&mut raw);
        reason(&ring, &raw)
    };
    assert_eq!(with(&|r| r.pieces[1] = r.pieces[0].clone()), "the receipts name the same outputs");
    let of_a = with(&|r| {
        let at = from_end(&r.pieces[1], 0);
        r.pieces[1][at..at + 64].copy_from_slice(host_a().public().as_bytes());
        sign_receipt(&mut r.pieces[1], &HOST_A_SEED);
    });
    assert_eq!(of_a, "the receipts are of two hosts");
    let second = |field: &dyn Fn(&[u8]) -> usize| {
        with(&|r| {
            let at = field(&r.pieces[1]);
            edited(&mut r.pieces[1], at, &HOST_B_SEED);
        })
    };
    assert_eq!(second(&|_| 0), "the receipts are of two queries");
    assert_eq!(second(&|_| RING), "the receipts are of two queries");
    assert_eq!(second(&|_| FIRST_BLOCK), "the receipts are of two legs");
    assert_eq!(second(&|_| BLOCK), "the receipts are of two legs");
    assert_eq!(second(&|r| from_end(r, 32)), "the receipts continue two records", "previous");
    assert_eq!(second(&|r| from_end(r, 96)), "the receipts continue two records", "inputs");
}

#[test]
fn what_is_no_objection_to_the_receipt_is_no_contradiction() {
    for (ring, evidence) in [two(), three()].map(|ring| {
        let evidence = match ring.outline().deal().unwrap().copies() {
            Copies::Two => contradiction(&ring),
            Copies::Three => majority(&ring),
        };
        (ring, evidence)
    }) {
        let honest = raw(&evidence);
        let with = |edit: &dyn Fn(&mut Vec<u8>, [u8; 32])| {
            let mut raw = honest.clone();
            let last = raw.pieces.last_mut().unwrap();
            let host = RecordField::Host.at(last);
            let own = last[host..host + 64] == *host_a().public().as_bytes();
            edit(last, if own { HOST_A_SEED } else { HOST_C_SEED });
            reason(&ring, &raw)
        };
        let near = [&[1][..], &0.25f32.to_le_bytes(), &0.5f32.to_le_bytes()].concat();
        let outputs = &honest.pieces[0][from_end(&honest.pieces[0], 64)..][..32];
        let validates = with(&|v, seed| edit_record(v, RecordField::Agreement, &near, &seed));
        assert_eq!(validates, "a validation is no objection");
        let same = with(&|v, seed| {
            edit_record(v, RecordField::Outputs, outputs, &seed);
            edit_record(v, RecordField::Agreement, &[0; 9], &seed);
        });
        assert_eq!(same, "a validation is no objection");
        let empty = with(&|v, seed| edit_record(v, RecordField::Outputs, outputs, &seed));
        assert_eq!(empty, "the validation names the same outputs and says something else");
        let other = with(&|v, seed| flip_record(v, RecordField::Receipt, &seed));
        assert_eq!(other, "the validation is about another receipt");
        let other = with(&|v, seed| flip_record(v, RecordField::Query, &seed));
        assert_eq!(other, "the validation is about another receipt");
        let other = with(&|v, seed| flip_record(v, RecordField::Block, &seed));
        assert_eq!(other, "the validation is of other blocks than the receipt");
        let other = with(&|v, seed| flip_record(v, RecordField::Inputs, &seed));
        assert_eq!(other, "the validation is of other inputs than the receipt");
        let own = with(&|v, _| {
            edit_record(v, RecordField::Host, host_b().public().as_bytes(), &HOST_B_SEED);
        });
        assert_eq!(own, "a host validates its own receipt");
    }
}

#[test]
fn one_host_that_objects_twice_is_no_majority() {
    let ring = three();
    let mut twice = raw(&majority(&ring));
    twice.pieces[2] = twice.pieces[1].clone();
    assert_eq!(reason(&ring, &twice), "one host objects twice");
    // The same host with another number: two records, one voice.
    let other = [&[2][..], &3f32.to_le_bytes(), &1f32.to_le_bytes()].concat();
    let host = RecordField::Host.at(&twice.pieces[2]);
    let of_a = twice.pieces[2][host..host + 64] == *host_a().public().as_bytes();
    let seed = if of_a { HOST_A_SEED } else { HOST_C_SEED };
    edit_record(&mut twice.pieces[2], RecordField::Agreement, &other, &seed);
    assert_eq!(reason(&ring, &twice), "one host objects twice");
}

#[test]
fn two_that_object_and_do_not_agree_with_each_other_are_no_majority() {
    // Two liars that do not even collude would frame the honest third.
    let ring = three();
    let mut apart = raw(&majority(&ring));
    let last = &mut apart.pieces[2];
    let host = RecordField::Host.at(last);
    let of_a = last[host..host + 64] == *host_a().public().as_bytes();
    let seed = if of_a { HOST_A_SEED } else { HOST_C_SEED };
    edit_record(last, RecordField::Outputs, &[9; 32], &seed);
    assert_eq!(reason(&ring, &apart), "those who object do not agree with each other");
}

#[test]
fn a_receipt_and_a_record_are_a_perjury_only_of_one_host_about_one_leg_with_different_outputs() {
    let ring = two();
    let honest = perjury(&ring);
    let with = |edit: &dyn Fn(&mut RawEvidence)| {
        let mut raw = raw(&honest);
        edit(&mut raw);
        reason(&ring, &raw)
    };
    // Host A's receipt is not contradicted by what host B says.
    let of_two = with(&|r| r.pieces[0] = r.pieces[2].clone());
    assert_eq!(of_two, "the records are of two hosts");
    let same = with(&|r| {
        let outputs = r.pieces[0][from_end(&r.pieces[0], 64)..][..32].to_vec();
        edit_record(&mut r.pieces[1], RecordField::Outputs, &outputs, &HOST_B_SEED);
    });
    assert_eq!(same, "the records name the same outputs");
    let elsewhere = with(&|r| edited(&mut r.pieces[2], 0, &HOST_A_SEED));
    assert_eq!(elsewhere, "the validation is about another receipt");
    // About a receipt that continues another record; the host may have computed on other inputs there.
    for (before_host, field) in [(32, None), (96, Some(RecordField::Inputs))] {
        let other = with(&|r| {
            let at = from_end(&r.pieces[2], before_host);
            edited(&mut r.pieces[2], at, &HOST_A_SEED);
            let inputs = r.pieces[2][at..at + 32].to_vec();
            let digest = receipt_digest(&r.pieces[2]);
            edit_record(&mut r.pieces[1], RecordField::Receipt, &digest, &HOST_B_SEED);
            if let Some(field) = field {
                edit_record(&mut r.pieces[1], field, &inputs, &HOST_B_SEED);
            }
        });
        assert_eq!(other, "the receipts continue two records");
    }
}

#[test]
fn what_an_honest_copy_signs_is_never_evidence_against_it() {
    let ring = three();
    let chain = opened(&ring, &start(1));
    let verified = chain.verify(ring.outline()).unwrap();
    let run = Driver::new(&verified, right(&ring, 1), None, 3).run();
    // Receipts and records of all three, as they were sent.
    let records: Vec<Vec<u8>> = run.delivered.into_iter().map(|(_, _, m)| m).collect();
    let revealed = records.iter().filter(|m| kind(m) == 2).map(|m| m[97..].to_vec());
    let mut receipts: Vec<Vec<u8>> = revealed.collect();
    receipts.sort();
    receipts.dedup();
    assert_eq!(receipts.len(), 3);
    let said = records.iter().filter(|m| kind(m) == RECORD).map(|m| &m[65..]);
    let mut said: Vec<Vec<u8>> =
        said.map(|m| m[..crate::forge::validation_len(m)].to_vec()).collect();
    said.sort();
    said.dedup();
    assert_eq!(said.len(), 3, "of B about A, of C about A and B");
    let mut tried = 0;
    let mut proves_nothing = |kind, pieces: Vec<&Vec<u8>>| {
        let raw = RawEvidence { kind, pieces: pieces.into_iter().cloned().collect() };
        assert!(matches!(refused(&ring, &raw), EvidenceError::NoContradiction(_)));
        tried += 1;
    };
    for one in &receipts {
        for other in &receipts {
            proves_nothing(1, vec![one, other]);
            for record in &said {
                proves_nothing(2, vec![one, record]);
                proves_nothing(4, vec![one, record, other]);
                for further in &said {
                    proves_nothing(3, vec![one, record, further]);
                }
            }
        }
    }
    assert_eq!(tried, 9 * (1 + 2 * 3 + 9));
}

#[test]
fn a_difference_that_a_copy_states_is_part_of_what_it_signs() {
    let ring = two();
    let mut raw = raw(&contradiction(&ring));
    let stated = Agreement::Differs { largest: f32::INFINITY, bound: 0.0 };
    let Evidence::Contradiction { objection, .. } = Evidence::from_bytes(&raw.bytes()).unwrap()
    else {
        panic!()
    };
    assert_eq!(objection.agreement, stated);
    let at = RecordField::Agreement.at(&raw.pieces[1]);
    raw.pieces[1][at + 1..at + 5].copy_from_slice(&3f32.to_le_bytes());
    assert_eq!(refused(&ring, &raw), EvidenceError::Unsigned);
    // Numbers that contradict the code do not decode: no difference, a bound above it, none at all.
    for (largest, bound) in [(0f32, 0f32), (1.0, 2.0), (f32::NAN, 0.0), (1.0, -1.0), (2.0, -0.0)] {
        let mut raw = raw.clone();
        raw.pieces[1][at + 1..at + 5].copy_from_slice(&largest.to_le_bytes());
        raw.pieces[1][at + 5..at + 9].copy_from_slice(&bound.to_le_bytes());
        sign_record(&mut raw.pieces[1], &HOST_A_SEED);
        assert!(Evidence::from_bytes(&raw.bytes()).is_err(), "{largest} {bound}");
    }
}

/// A host that computes with other threads may get other last bits, and is no liar.
#[test]
fn records_of_different_engines_or_threads_prove_nothing() {
    for (ring, evidence) in all() {
        let kind = evidence.to_bytes()[0];
        let mut other = raw(&evidence);
        let last = &mut other.pieces[1];
        if kind == 1 {
            let seed = seed_of(last);
            let threads = from_end(last, 98);
            last[threads] = 9;
            sign_receipt(last, &seed);
        } else {
            let host = RecordField::Host.at(last);
            let host = PublicKey::from_bytes(last[host..host + 64].try_into().unwrap());
            edit_record(last, RecordField::Threads, &[9, 0], &seed_of_host(&host));
        }
        let edited = Evidence::from_bytes(&other.bytes()).unwrap();
        edited.verify(ring.outline()).unwrap_or_else(|e| panic!("{kind}: {e}"));
        assert!(!edited.is_proof(), "{kind}");
    }
}
