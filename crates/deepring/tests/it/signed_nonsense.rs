//! Rings that the owner's key has signed and that are wrong in themselves: refused all the same.
//!
//! An owner's software may be faulty, and each of these checks also stands between an attacker
//! and a reader if another one fails.

use deepring::Verdict;

use crate::forge::RawRing;
use crate::small_ring::{
    HOST_A_SEED, OWNER_SEED, STRANGER_SEED, intact, places, refused, small_ring,
};

/// One defect, and the first finding that it must lead to.
pub(crate) struct Nonsense {
    pub(crate) name: &'static str,
    pub(crate) edit: fn(&mut RawRing),
    pub(crate) block: u32,
    pub(crate) part: &'static str,
}

const fn case(
    name: &'static str,
    block: u32,
    part: &'static str,
    edit: fn(&mut RawRing),
) -> Nonsense {
    Nonsense { name, edit, block, part }
}

/// Overwrites bytes of block 1's header at an offset that FORMAT.md gives without the name's length.
fn conv1(raw: &mut RawRing, after_name: usize, bytes: &[u8]) {
    let at = raw.after_name(1, after_name);
    raw.edit_header(1, at, bytes, &OWNER_SEED);
}

fn flip(raw: &mut RawRing, block: usize, at: usize) {
    let byte = raw.headers[block][at] ^ 1;
    raw.edit_header(block, at, &[byte], &OWNER_SEED);
}

// Fields of block 1's header, counted without its name: two tensor specs of 23 bytes come first.
const INPUTS: usize = 202;
const INPUT_NAME: usize = INPUTS + 6;
const INPUT_DTYPE: usize = INPUTS + 8;
pub(crate) const INPUT_RANK: usize = INPUTS + 9;
const INPUT_DIM_KIND: usize = INPUTS + 10;
const PARTS: usize = INPUTS + 2 * 27;
pub(crate) const WEIGHT_KIND: usize = PARTS + 4;
const WEIGHT_DIM: usize = WEIGHT_KIND + 1 + 14 + 2 + 1;
const WEIGHT_OFFSET: usize = WEIGHT_DIM + 8 + 9;
const BIAS_KIND: usize = WEIGHT_OFFSET + 16;
const BIAS_OFFSET: usize = BIAS_KIND + 1 + 12 + 2 + 9;
const GRAPH_KIND: usize = BIAS_OFFSET + 16;
pub(crate) const GRAPH_LEN: usize = GRAPH_KIND + 9;
const RECIPIENTS: usize = GRAPH_LEN + 8;
const OWNER_ROLE: usize = RECIPIENTS + 4;
const DEAL: usize = OWNER_ROLE + 2 * 145;
pub(crate) const CHUNKS: usize = DEAL + 4;
pub(crate) const SIGNATURE: usize = CHUNKS + 4 + 3 * 32;

/// Replaces some parts of block 1.
pub(crate) fn parts(raw: &mut RawRing, range: std::ops::Range<usize>, by: &[u8]) {
    let range = raw.after_name(1, range.start)..raw.after_name(1, range.end);
    raw.splice_header(1, range, by, &OWNER_SEED);
}

/// A part that is no parameter.
fn part(kind: u8, offset: u64, len: u64) -> Vec<u8> {
    [&[kind], offset.to_le_bytes().as_slice(), &len.to_le_bytes()].concat()
}

pub(crate) const CASES: &[Nonsense] = &[
    case("link_wrong_but_signed", 2, "link", |raw| {
        let at = raw.after_name(2, 138);
        flip(raw, 2, at);
    }),
    case("link_to_next_wrong_but_signed", 2, "link", |raw| {
        let at = raw.after_name(2, 170);
        flip(raw, 2, at);
    }),
    case("last_link_not_to_genesis_but_signed", 3, "link", |raw| {
        let own_body = raw.body_digests[3];
        let at = raw.after_name(3, 170);
        raw.edit_header(3, at, &own_body, &OWNER_SEED);
    }),
    case("genesis_link_wrong_but_signed", 0, "link", |raw| {
        let at = raw.after_name(0, 138);
        flip(raw, 0, at);
    }),
    case("header_ring_id_wrong_but_signed", 1, "header", |raw| flip(raw, 1, 0)),
    case("header_version_wrong_but_signed", 1, "header", |raw| flip(raw, 1, 16)),
    case("header_index_wrong_but_signed", 1, "header", |raw| {
        raw.edit_header(1, 24, &2u32.to_le_bytes(), &OWNER_SEED);
    }),
    case("header_count_wrong_but_signed", 1, "header", |raw| flip(raw, 1, 28)),
    case("header_body_digest_wrong_but_signed", 1, "header", |raw| {
        let at = raw.after_name(1, 42);
        flip(raw, 1, at);
    }),
    case("chunk_digest_wrong_but_signed", 1, "header", |raw| {
        let at = raw.after_name(1, SIGNATURE - 1);
        flip(raw, 1, at);
    }),
    case("body_length_wrong_but_signed", 1, "header", |raw| raw.bodies[1].push(0)),
    case("header_signed_by_other_owner", 1, "header", |raw| raw.sign_header(1, &STRANGER_SEED)),
    case("header_signed_by_host", 1, "header", |raw| raw.sign_header(1, &HOST_A_SEED)),
    case("header_with_trailing_byte", 1, "header", |raw| {
        let at = raw.headers[1].len() - 64;
        raw.splice_header(1, at..at, &[0], &OWNER_SEED);
    }),
    case("header_without_signature", 1, "header", |raw| {
        let len = raw.headers[1].len();
        raw.headers[1].truncate(len - 64);
    }),
    case("header_empty", 1, "header", |raw| raw.headers[1].clear()),
    case("block_name_not_utf8", 1, "header", |raw| raw.edit_header(1, 34, &[0xff], &OWNER_SEED)),
    case("block_name_length_oversized", 1, "header", |raw| {
        raw.edit_header(1, 32, &u16::MAX.to_le_bytes(), &OWNER_SEED);
    }),
    case("inputs_count_oversized", 1, "header", |raw| {
        conv1(raw, INPUTS, &u32::MAX.to_le_bytes());
    }),
    case("element_type_unknown", 1, "header", |raw| conv1(raw, INPUT_DTYPE, &[8])),
    case("rank_too_high", 1, "header", |raw| conv1(raw, INPUT_RANK, &[33])),
    case("dimension_kind_unknown", 1, "header", |raw| conv1(raw, INPUT_DIM_KIND, &[2])),
    case("reads_tensor_that_nothing_gives", 1, "header", |raw| conv1(raw, INPUT_NAME, b"z9")),
    case("reads_tensor_of_other_type", 1, "header", |raw| conv1(raw, INPUT_DTYPE, &[6])),
    case("network_output_that_nothing_gives", 0, "header", |raw| {
        let at = raw.after_name(0, INPUT_NAME);
        raw.edit_header(0, at, b"z", &OWNER_SEED);
    }),
    case("parts_count_oversized", 1, "header", |raw| conv1(raw, PARTS, &u32::MAX.to_le_bytes())),
    case("part_kind_unknown", 1, "header", |raw| conv1(raw, GRAPH_KIND, &[4])),
    case("part_kind_of_older_versions", 1, "header", |raw| {
        parts(raw, BIAS_KIND..GRAPH_KIND, &part(3, 64, 16));
    }),
    case("parameter_after_graph", 1, "header", |raw| {
        let bias =
            raw.headers[1][raw.after_name(1, BIAS_KIND)..raw.after_name(1, BIAS_OFFSET)].to_vec();
        let bias = [bias.as_slice(), &128u64.to_le_bytes(), &16u64.to_le_bytes()].concat();
        parts(raw, BIAS_KIND..RECIPIENTS, &[part(1, 64, 21), bias].concat());
    }),
    case("two_graphs", 1, "header", |raw| {
        parts(raw, BIAS_KIND..RECIPIENTS, &[part(1, 64, 16), part(1, 128, 21)].concat());
    }),
    case("deal_in_layer_block", 1, "header", |raw| {
        parts(raw, DEAL..CHUNKS, &[1, 0, 0, 0, 7]);
    }),
    case("manifest_in_layer_block", 1, "header", |raw| conv1(raw, GRAPH_KIND, &[0])),
    case("graph_in_genesis", 0, "header", |raw| {
        // Genesis reads `y`, one letter shorter than `x0`.
        let at = raw.after_name(0, WEIGHT_KIND - 1);
        raw.edit_header(0, at, &[1], &OWNER_SEED);
    }),
    case("parameter_shape_wrong", 1, "header", |raw| conv1(raw, WEIGHT_DIM, &[4])),
    case("parameter_shape_overflows", 1, "header", |raw| conv1(raw, WEIGHT_DIM, &[0xff; 8])),
    case("part_overlaps", 1, "header", |raw| conv1(raw, BIAS_OFFSET, &[0])),
    case("part_after_gap", 1, "header", |raw| conv1(raw, BIAS_OFFSET, &[128])),
    case("part_length_oversized", 1, "header", |raw| conv1(raw, GRAPH_LEN, &[0xff; 8])),
    case("part_empty", 1, "header", |raw| conv1(raw, GRAPH_LEN, &[0; 8])),
    case("plaintext_length_wrong", 1, "header", |raw| {
        let at = raw.after_name(1, 34);
        flip(raw, 1, at);
    }),
    case("recipient_role_unknown", 1, "header", |raw| conv1(raw, OWNER_ROLE, &[2])),
    case("recipients_count_oversized", 1, "header", |raw| {
        conv1(raw, RECIPIENTS, &u32::MAX.to_le_bytes());
    }),
    case("chunk_count_wrong", 1, "header", |raw| conv1(raw, CHUNKS, &[2])),
    case("closure_body_digest_wrong_but_signed", 0, "link", |raw| raw.body_digests[1][0] ^= 1),
    case("closure_body_digests_swapped_but_signed", 0, "link", |raw| raw.body_digests.swap(1, 2)),
    case("last_block_dropped_but_signed", 0, "header", |raw| {
        raw.headers.pop();
        raw.bodies.pop();
        raw.body_digests.pop();
    }),
    case("blocks_swapped_but_signed", 0, "link", |raw| {
        raw.headers.swap(1, 2);
        raw.bodies.swap(1, 2);
        raw.body_digests.swap(1, 2);
    }),
];

#[test]
fn the_forge_makes_an_intact_ring_when_nothing_is_edited() {
    let ring = small_ring();
    let raw = RawRing::of(&ring);
    assert_eq!(raw.headers[1].len(), raw.after_name(1, SIGNATURE + 64), "the offsets are right");
    assert_eq!(raw.close(&OWNER_SEED), ring, "Ed25519 signs the same bytes alike");
    let mut resigned = raw.clone();
    (0..4).for_each(|i| resigned.sign_header(i, &OWNER_SEED));
    assert_eq!(resigned.close(&OWNER_SEED), ring);
    intact(&ring);
}

#[test]
fn every_signed_defect_is_refused_as_tampering_in_its_block_and_part() {
    let ring = small_ring();
    for case in CASES {
        let mut raw = RawRing::of(&ring);
        (case.edit)(&mut raw);
        let report = refused(&raw.close(&OWNER_SEED));
        assert_eq!(report.verdict, Verdict::Tampered, "{}: {report}", case.name);
        let first = places(&report)[0];
        assert_eq!(first, (Some(case.block), case.part, None), "{}: {report}", case.name);
    }
}

#[test]
fn a_wrong_body_digest_in_the_closure_breaks_the_block_and_both_links_to_it() {
    let mut raw = RawRing::of(&small_ring());
    raw.body_digests[2][0] ^= 1;
    let report = refused(&raw.close(&OWNER_SEED));
    let expected = [(Some(1), "link", None), (Some(2), "header", None), (Some(3), "link", None)];
    assert_eq!(places(&report), expected, "{report}");
}

#[test]
fn each_field_that_header_and_closure_share_is_compared_by_itself() {
    // Ring id, model version, index, count: a wrong id or index also breaks the body digest.
    for at in [0, 16, 24, 28] {
        let mut raw = RawRing::of(&small_ring());
        let byte = raw.headers[1][at] ^ 2;
        raw.edit_header(1, at, &[byte], &OWNER_SEED);
        let report = refused(&raw.close(&OWNER_SEED));
        let reason = "header and closure disagree on ring, version, index or count";
        assert_eq!(report.findings[0].reason, reason, "offset {at}: {report}");
    }
}
