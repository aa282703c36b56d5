//! Vectors of rings that the owner signed and that are wrong in themselves: those that `vectors/` has not, made of
//! `vectors/intact.ring`.

use crate::forge::{RawRing, derive};
use crate::signed_nonsense::{CASES, CHUNKS, GRAPH_LEN, INPUT_RANK, SIGNATURE, WEIGHT_KIND, parts};
use crate::small_ring::{OWNER_SEED, u32_at};
use crate::vectors::folder;
use crate::vectors_dealt::plain;
use crate::vectors_records::{Made, place};

/// Fields of a header, counted without its name.
const PLAINTEXT_LENGTH: usize = 34;
const BODY_DIGEST: usize = 42;
const PREVIOUS_BODY: usize = 138;
const NEXT_BODY: usize = 170;

/// Names a body digest of block 1 in the closure and in its neighbours.
fn linked(raw: &mut RawRing, digest: [u8; 32]) {
    raw.body_digests[1] = digest;
    for (block, field) in [(0, NEXT_BODY), (2, PREVIOUS_BODY)] {
        let at = raw.after_name(block, field);
        raw.edit_header(block, at, &digest, &OWNER_SEED);
    }
}

/// Gives block 1 the body digest of what its header says, everywhere: nothing but the edit before is wrong then.
fn consistent(raw: &mut RawRing) {
    let header = &raw.headers[1];
    let length = raw.after_name(1, PLAINTEXT_LENGTH);
    // An edit may have moved the list of chunks: it ends before the signature.
    let end = header.len() - 64;
    let n = (1..8).find(|n| u32_at(header, end - 32 * n - 4) as usize == *n).unwrap();
    let fields = [&header[..16], &header[24..28], &header[length..length + 8]].concat();
    let digest =
        derive("deepring v1 body digest", &[&fields, &header[end - 32 * n - 4..end]].concat());
    let at = raw.after_name(1, BODY_DIGEST);
    raw.edit_header(1, at, &digest, &OWNER_SEED);
    linked(raw, digest);
}

fn overwritten(raw: &mut RawRing, after_name: usize, bytes: &[u8]) {
    parts(raw, after_name..after_name + bytes.len(), bytes);
}

/// Its name, what is wrong, the edit.
type Case = (&'static str, &'static str, fn(&mut RawRing));

/// One rule broken in block 1, and everything else in order.
const ALONE: [Case; 6] = [
    ("chunk_too_many", "block 1 has a chunk more than its parts", |raw| {
        overwritten(raw, CHUNKS, &[4]);
        parts(raw, SIGNATURE..SIGNATURE, &[7; 32]);
        raw.bodies[1].extend([0; 16]);
        consistent(raw);
    }),
    ("plaintext_longer_than_parts", "the plaintext of block 1 ends behind its last part", |raw| {
        let at = raw.after_name(1, PLAINTEXT_LENGTH);
        let longer = raw.headers[1][at] + 64;
        raw.edit_header(1, at, &[longer], &OWNER_SEED);
        consistent(raw);
    }),
    ("part_without_bytes", "the graph of block 1 has no byte, and no chunk", |raw| {
        overwritten(raw, GRAPH_LEN, &[0; 8]);
        parts(raw, SIGNATURE - 32..SIGNATURE, &[]);
        overwritten(raw, CHUNKS, &[2]);
        let at = raw.after_name(1, PLAINTEXT_LENGTH);
        let shorter = raw.headers[1][at] - 21;
        raw.edit_header(1, at, &[shorter], &OWNER_SEED);
        let len = raw.bodies[1].len() - 21 - 16;
        raw.bodies[1].truncate(len);
        consistent(raw);
    }),
    ("rank_33", "an input of block 1 has 33 dimensions", |raw| {
        let more = [0, 1, 0, 0, 0, 0, 0, 0, 0].repeat(31);
        parts(raw, INPUT_RANK..INPUT_RANK + 1, &[&[33], more.as_slice()].concat());
    }),
    ("parameter_of_unknown_type", "a parameter of element type 8", |raw| {
        overwritten(raw, WEIGHT_KIND + 1 + 14, &[8]);
    }),
    ("closure_names_another_body", "the closure and the links name another body 1", |raw| {
        linked(raw, [7; 32]);
    }),
];

pub(crate) fn add(made: &mut Made) {
    for case in CASES {
        if folder().join(format!("{}.ring", case.name)).exists() {
            continue;
        }
        let mut raw = RawRing::of(plain());
        (case.edit)(&mut raw);
        let defect = case.name.replace('_', " ");
        let found = place("tampered", Some(case.block), case.part);
        made.add((case.name, "ring"), &defect, raw.close(&OWNER_SEED), found);
    }
    let mut honest = RawRing::of(plain());
    consistent(&mut honest);
    assert_eq!(honest.close(&OWNER_SEED), plain(), "as the crate names a body");
    for (name, defect, edit) in ALONE {
        let mut raw = RawRing::of(plain());
        edit(&mut raw);
        let found = place("tampered", Some(1), "header");
        made.add((name, "ring"), defect, raw.close(&OWNER_SEED), found);
    }
}
