//! Vectors of evidence.

use deepring::VerifiedRing;

use crate::evidence::{
    contradiction, edited, equivocation, from_end, majority, perjury, raw, seed_of,
};
use crate::forge_record::{
    RawEvidence, RecordField, edit_record, receipt_digest, sign_receipt, sign_record,
};
use crate::small_ring::{
    HOST_A_SEED, HOST_B_SEED, HOST_C_SEED, HOST_D_SEED, host_a, host_b, host_c, host_d,
};
use crate::vectors::Expected;
use crate::vectors_dealt::{three, two};
use crate::vectors_records::{Made, tampered};

const RING: usize = 32;
const FIRST_BLOCK: usize = 64;
const BLOCK: usize = 72;

type Edit<'a> = &'a dyn Fn(&mut RawEvidence);

/// Evidence of one kind, by the name that its vectors begin with.
struct Kind {
    name: &'static str,
    outline: &'static str,
    honest: RawEvidence,
}

impl Kind {
    fn of(
        name: &'static str,
        copies: &'static str,
        honest: &deepring::replication::Evidence,
    ) -> Self {
        let outline = if copies == "two" { "dealt_two.outline" } else { "dealt_three.outline" };
        Self { name, outline, honest: raw(honest) }
    }

    fn add(&self, made: &mut Made, name: &str, defect: &str, bytes: Vec<u8>, expected: Expected) {
        let name = if name.is_empty() { self.name.into() } else { format!("{}_{name}", self.name) };
        let record = made.add((&name, "evidence"), defect, bytes, expected);
        record.outline = Some(self.outline.into());
    }

    fn refused(&self, made: &mut Made, edits: &[(&str, &str, Edit<'_>)]) {
        for (name, defect, edit) in edits {
            let mut raw = self.honest.clone();
            edit(&mut raw);
            assert_ne!(raw.bytes(), self.honest.bytes(), "{name}");
            self.add(made, name, defect, raw.bytes(), tampered());
        }
    }
}

/// Another host in a receipt, which signs it.
fn by(receipt: &mut [u8], host: &[u8; 64], seed: &[u8; 32]) {
    let at = from_end(receipt, 0);
    receipt[at..at + 64].copy_from_slice(host);
    sign_receipt(receipt, seed);
}

/// The seed of the host that a record names: A or C, where B is accused.
fn objector(record: &[u8]) -> [u8; 32] {
    let host = RecordField::Host.at(record);
    if record[host..host + 64] == *host_a().public().as_bytes() { HOST_A_SEED } else { HOST_C_SEED }
}

/// Vectors that each kind has.
fn every(made: &mut Made, kind: &Kind, other: &str) {
    kind.add(made, "", "nothing", kind.honest.bytes(), Expected::intact());
    for piece in 0..kind.honest.pieces.len() {
        let defect = format!("one bit of the signature of record {}", piece + 1);
        let mut raw = kind.honest.clone();
        *raw.pieces[piece].last_mut().unwrap() ^= 1;
        kind.add(made, &format!("unsigned_{}", piece + 1), &defect, raw.bytes(), tampered());
    }
    for (name, defect, at) in [
        ("of_other_ring", "the receipt is of another ring", RING),
        ("of_no_leg", "the receipt is of no leg", FIRST_BLOCK),
    ] {
        let mut raw = kind.honest.clone();
        let seed = seed_of(&raw.pieces[0]);
        edited(&mut raw.pieces[0], at, &seed);
        kind.add(made, name, defect, raw.bytes(), tampered());
    }
    let bytes = kind.honest.bytes();
    let outline = [
        ("plain.outline", "the ring has no deal"),
        ("version_2_of_ring.outline", "of another version"),
    ];
    for (outline, defect) in outline {
        let record = made.add((kind.name, "evidence"), defect, bytes.clone(), tampered());
        record.outline = Some(outline.into());
    }
    kind.add(
        made,
        "cut",
        "the last byte is missing",
        bytes[..bytes.len() - 1].to_vec(),
        tampered(),
    );
    let padded = [bytes.as_slice(), &[0]].concat();
    kind.add(made, "padded", "a byte follows the end", padded, tampered());
    let relabelled = [other.as_bytes(), &bytes[1..]].concat();
    let defect = format!("kind {}", other.as_bytes()[0]);
    kind.add(made, "of_other_kind", &defect, relabelled, tampered());
}

fn equivocations(made: &mut Made, ring: &VerifiedRing) {
    let kind = Kind::of("equivocation", "three", &equivocation(ring));
    every(made, &kind, "\u{5}");
    let second = |at: &'static dyn Fn(&[u8]) -> usize| {
        move |r: &mut RawEvidence| {
            let at = at(&r.pieces[1]);
            edited(&mut r.pieces[1], at, &HOST_B_SEED);
        }
    };
    kind.refused(
        made,
        &[
            ("of_same_outputs", "the same receipt twice", &|r| r.pieces[1] = r.pieces[0].clone()),
            ("of_two_hosts", "the second receipt is host A's", &|r| {
                by(&mut r.pieces[1], host_a().public().as_bytes(), &HOST_A_SEED);
            }),
            ("of_two_queries", "the receipts are of two queries", &second(&|_| 0)),
            ("of_two_rings", "the receipts are of two rings", &second(&|_| RING)),
            ("of_two_legs", "the receipts begin with two blocks", &second(&|_| FIRST_BLOCK)),
            ("of_two_contents", "the receipts are of two contents", &second(&|_| BLOCK)),
            ("of_two_chains", "the receipts continue two records", &second(&|r| from_end(r, 32))),
            ("of_two_inputs", "the receipts have two inputs", &second(&|r| from_end(r, 96))),
            ("of_no_leg_both", "both receipts are of no leg", &|r| {
                r.pieces.iter_mut().for_each(|p| edited(p, FIRST_BLOCK, &HOST_B_SEED));
            }),
            ("of_other_ring_both", "both receipts are of another ring", &|r| {
                r.pieces.iter_mut().for_each(|p| edited(p, RING, &HOST_B_SEED));
            }),
            ("by_no_copy", "both receipts are host D's", &|r| {
                for receipt in &mut r.pieces {
                    by(receipt, host_d().public().as_bytes(), &HOST_D_SEED);
                }
            }),
        ],
    );
}

/// Vectors of what an objection must say, of the last record.
fn objections(made: &mut Made, kind: &Kind) {
    let near = [&[1][..], &0.25f32.to_le_bytes(), &0.5f32.to_le_bytes()].concat();
    let negative = [&[2][..], &1f32.to_le_bytes(), &(-0f32).to_le_bytes()].concat();
    let within = [&[2][..], &0.25f32.to_le_bytes(), &0.5f32.to_le_bytes()].concat();
    let first = &kind.honest.pieces[0];
    let outputs = first[from_end(first, 64)..][..32].to_vec();
    let last = |field: RecordField, bytes: Vec<u8>| {
        move |r: &mut RawEvidence| {
            let record = r.pieces.last_mut().unwrap();
            let seed = objector(record);
            edit_record(record, field, &bytes, &seed);
        }
    };
    kind.refused(
        made,
        &[
            (
                "by_validation",
                "a validation, near, for an objection",
                &last(RecordField::Agreement, near),
            ),
            (
                "within_bound",
                "differs, and within its bound",
                &last(RecordField::Agreement, within),
            ),
            (
                "negative_zero",
                "differs, and a bound of -0",
                &last(RecordField::Agreement, negative),
            ),
            (
                "same_outputs",
                "the objection names the same outputs",
                &last(RecordField::Outputs, outputs),
            ),
            ("about_other_receipt", "about another receipt", &last(RecordField::Receipt, vec![9])),
            ("about_other_query", "about another query", &last(RecordField::Query, vec![9])),
            ("of_other_first_block", "of block 2", &last(RecordField::FirstBlock, vec![2])),
            ("of_other_content", "of another content", &last(RecordField::Block, vec![9])),
            ("of_other_inputs", "of other inputs", &last(RecordField::Inputs, vec![9])),
            ("by_own_host", "the receipt's own host objects", &|r| {
                let record = r.pieces.last_mut().unwrap();
                edit_record(record, RecordField::Host, host_b().public().as_bytes(), &HOST_B_SEED);
            }),
            ("by_no_copy", "host D, of no leg, objects", &|r| {
                let record = r.pieces.last_mut().unwrap();
                edit_record(record, RecordField::Host, host_d().public().as_bytes(), &HOST_D_SEED);
            }),
        ],
    );
}

fn contradictions(made: &mut Made, ring: &VerifiedRing) {
    let kind = Kind::of("contradiction", "two", &contradiction(ring));
    every(made, &kind, "\0");
    objections(made, &kind);
    let of_other_leg = |r: &mut RawEvidence| {
        edit_record(
            &mut r.pieces[1],
            RecordField::Host,
            host_c().public().as_bytes(),
            &HOST_C_SEED,
        );
    };
    let accused = |r: &mut RawEvidence| {
        by(&mut r.pieces[0], host_c().public().as_bytes(), &HOST_C_SEED);
    };
    kind.refused(
        made,
        &[
            ("by_copy_of_other_leg", "host C, of the other legs, objects", &of_other_leg),
            ("against_copy_of_other_leg", "the receipt is host C's, of the other legs", &accused),
        ],
    );
}

fn majorities(made: &mut Made, ring: &VerifiedRing) {
    let kind = Kind::of("majority", "three", &majority(ring));
    let outputs = |record: &[u8]| record[RecordField::Outputs.at(record)..][..32].to_vec();
    assert_eq!(outputs(&kind.honest.pieces[1]), outputs(&kind.honest.pieces[2]));
    every(made, &kind, "\u{2}");
    objections(made, &kind);
    let larger = [&[2][..], &3f32.to_le_bytes(), &1f32.to_le_bytes()].concat();
    kind.refused(
        made,
        &[
            ("of_one_objection", "one objection twice", &|r| r.pieces[2] = r.pieces[1].clone()),
            ("of_one_host", "one host objects twice, with another number", &|r| {
                r.pieces[2] = r.pieces[1].clone();
                let seed = objector(&r.pieces[2]);
                edit_record(&mut r.pieces[2], RecordField::Agreement, &larger, &seed);
            }),
            ("of_unequal_outputs", "the two objections name different outputs", &|r| {
                let seed = objector(&r.pieces[2]);
                edit_record(&mut r.pieces[2], RecordField::Outputs, &[9], &seed);
            }),
        ],
    );
}

fn perjuries(made: &mut Made, ring: &VerifiedRing) {
    let kind = Kind::of("perjury", "two", &perjury(ring));
    every(made, &kind, "\u{3}");
    // The same of a validation: host B says that host A's outputs, which are not its receipt's, are its own.
    let mut validates = kind.honest.clone();
    let about = validates.pieces[2].clone();
    let outputs = &about[from_end(&about, 64)..][..32];
    let differs_from_its_own =
        outputs != &validates.pieces[0][from_end(&validates.pieces[0], 64)..][..32];
    if !differs_from_its_own {
        edited_outputs(&mut validates.pieces[0]);
    }
    edit_record(&mut validates.pieces[1], RecordField::Outputs, outputs, &HOST_B_SEED);
    edit_record(&mut validates.pieces[1], RecordField::Agreement, &[0; 9], &HOST_B_SEED);
    let defect = "nothing; a validation that contradicts its host's own receipt";
    let mut threads = kind.honest.clone();
    edit_record(&mut threads.pieces[1], RecordField::Threads, &[9], &HOST_B_SEED);
    let bytes = threads.bytes();
    kind.add(made, "of_other_threads", "nothing; it proves no fault", bytes, Expected::intact());
    kind.add(made, "by_validation", defect, validates.bytes(), Expected::intact());

    let elsewhere = |before_host: usize, field: Option<RecordField>| {
        move |r: &mut RawEvidence| {
            let at = from_end(&r.pieces[2], before_host);
            edited(&mut r.pieces[2], at, &HOST_A_SEED);
            let inputs = r.pieces[2][at..at + 32].to_vec();
            let digest = receipt_digest(&r.pieces[2]);
            edit_record(&mut r.pieces[1], RecordField::Receipt, &digest, &HOST_B_SEED);
            if let Some(field) = field {
                edit_record(&mut r.pieces[1], field, &inputs, &HOST_B_SEED);
            }
        }
    };
    kind.refused(
        made,
        &[
            ("of_two_hosts", "the record is not of the receipt's host", &|r| {
                r.pieces[0] = r.pieces[2].clone();
            }),
            ("of_honest_host", "the record objects in the name of its host's own receipt", &|r| {
                let own = r.pieces[1][RecordField::Outputs.at(&r.pieces[1])..][..32].to_vec();
                let at = from_end(&r.pieces[0], 64);
                r.pieces[0][at..at + 32].copy_from_slice(&own);
                sign_receipt(&mut r.pieces[0], &HOST_B_SEED);
            }),
            ("of_same_outputs", "the record names the receipt's outputs", &|r| {
                let outputs = r.pieces[0][from_end(&r.pieces[0], 64)..][..32].to_vec();
                edit_record(&mut r.pieces[1], RecordField::Outputs, &outputs, &HOST_B_SEED);
            }),
            ("about_other_receipt", "the record is about another receipt", &|r| {
                edited(&mut r.pieces[2], 0, &HOST_A_SEED);
            }),
            (
                "of_two_chains",
                "about a receipt that continues another record",
                &elsewhere(32, None),
            ),
            (
                "of_two_inputs",
                "about a receipt of other inputs",
                &elsewhere(96, Some(RecordField::Inputs)),
            ),
            ("about_no_copy", "about a receipt of host D, of no leg", &|r| {
                by(&mut r.pieces[2], host_d().public().as_bytes(), &HOST_D_SEED);
                let digest = receipt_digest(&r.pieces[2]);
                edit_record(&mut r.pieces[1], RecordField::Receipt, &digest, &HOST_B_SEED);
            }),
        ],
    );
}

/// Flips a bit of a receipt's outputs; host B signs it anew.
fn edited_outputs(receipt: &mut [u8]) {
    let at = from_end(receipt, 64);
    edited(receipt, at, &HOST_B_SEED);
}

pub(crate) fn add(made: &mut Made) {
    let mut same = raw(&contradiction(two())).pieces[1].clone();
    let seed = objector(&same);
    sign_record(&mut same, &seed);
    assert_eq!(same, raw(&contradiction(two())).pieces[1], "the forge signs as the crate");
    equivocations(made, three());
    contradictions(made, two());
    majorities(made, three());
    perjuries(made, two());
}
