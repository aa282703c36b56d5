//! Bodies that are read and written in several runs of chunks: nothing is lost where one run ends.

use std::sync::atomic::{AtomicU64, Ordering};

use deepring::opening::OpenError;
use deepring::seal::RingPlan;
use deepring::{DType, Dim, OpeningKey, Part, PartKind, TensorSpec, Trust, UnverifiedRing};

use crate::small_ring::{Places, intact, owner, plan, refused, seal};

const CHUNK: u64 = 64 * 1024;
/// Plaintext of a full run.
const RUN: u64 = 8 * CHUNK;
const TAG: u64 = 16;

/// The small ring with a first block of parts that end just before, at and just after the end of a run.
fn large_plan() -> RingPlan {
    let mut plan = plan();
    let lens = [1, CHUNK - 1, CHUNK, CHUNK + 1, RUN - 1, RUN, RUN + 1, 2 * RUN + 100, 3];
    let bytes = |(i, len): (usize, u64)| {
        let dims = Some(vec![Dim::Fixed(len)]);
        let spec = TensorSpec { name: format!("p{i}"), dtype: DType::U8, dims };
        (PartKind::Parameter(spec), len)
    };
    plan.blocks[1].parts = lens.into_iter().enumerate().map(bytes).collect();
    plan.blocks[1].parts.push((PartKind::Graph, 21));
    plan
}

fn at(place: u64) -> usize {
    usize::try_from(place).unwrap()
}

/// The plaintext of block 1 by `small_ring::plaintext`: zero where there is no part.
fn expected(parts: &[Part]) -> Vec<u8> {
    let mut out = vec![0; at(parts.last().unwrap().end())];
    for part in parts {
        for place in part.offset..part.end() {
            out[at(place)] = (31 + place * 7 + 1).to_le_bytes()[0];
        }
    }
    out
}

/// Each chunk's part and its bytes in the body, counted as `docs/FORMAT.md` says.
fn chunks(parts: &[Part]) -> Vec<(String, std::ops::Range<u64>)> {
    let mut out = Vec::new();
    let mut end = 0;
    for part in parts {
        for start in (0..part.len).step_by(at(CHUNK)) {
            let begin = end;
            end += CHUNK.min(part.len - start) + TAG;
            out.push((part.label().to_owned(), begin..end));
        }
    }
    out
}

#[test]
fn a_block_of_many_runs_opens_to_what_was_sealed_whatever_the_buffer_held() {
    let ring = intact(&seal(&large_plan(), &owner()));
    let expected = expected(&ring.headers()[1].parts);
    let mut out = vec![0xff; expected.len()];
    ring.open_block(1, OpeningKey::Owner(&owner()), &mut out).unwrap();
    assert!(out == expected);
}

#[test]
fn a_changed_byte_of_any_chunk_names_this_chunk_and_no_other() {
    let bytes = seal(&large_plan(), &owner());
    let body = Places::of(&bytes).bodies[1].start;
    let parts = intact(&bytes).headers()[1].parts.clone();
    let chunks = chunks(&parts);
    assert_eq!(body + at(chunks.last().unwrap().1.end), Places::of(&bytes).bodies[1].end);
    for (i, (tensor, range)) in chunks.iter().enumerate() {
        let mut bad = bytes.clone();
        // First byte, last byte, and one of the middle in turn.
        let within = [range.start, range.end - 1, (range.start + range.end) / 2][i % 3];
        bad[body + at(within)] ^= 0x40;
        let report = refused(&bad);
        let place = [body as u64 + range.start, body as u64 + range.end];
        let found: Vec<_> =
            report.findings.iter().map(|f| (f.tensor.as_deref(), f.bytes)).collect();
        assert_eq!(found, [(Some(tensor.as_str()), Some(place))]);
    }
}

#[test]
fn findings_come_in_the_order_of_the_file_and_neighbours_are_one() {
    let mut bytes = seal(&large_plan(), &owner());
    let places = Places::of(&bytes);
    let body = places.bodies[1].start;
    let parts = intact(&bytes).headers()[1].parts.clone();
    // All of `p7`, which lies in several runs, the last byte of `p0`, and the first of block 2.
    let range = |label: &str| {
        let mine = chunks(&parts).into_iter().filter(|(l, _)| l == label);
        let ranges: Vec<_> = mine.map(|(_, range)| range).collect();
        ranges.first().unwrap().start..ranges.last().unwrap().end
    };
    let p7 = range("p7");
    for place in p7.clone().step_by(at(CHUNK + TAG)).chain([p7.end - 1, range("p0").end - 1]) {
        bytes[body + at(place)] ^= 1;
    }
    bytes[places.bodies[2].start] ^= 1;
    let report = refused(&bytes);
    let found: Vec<_> =
        report.findings.iter().map(|f| (f.block, f.tensor.as_deref().unwrap())).collect();
    assert_eq!(found, [(Some(1), "p0"), (Some(1), "p7"), (Some(2), "conv2.weight")]);
    let place = [body as u64 + p7.start, body as u64 + p7.end];
    assert_eq!(report.findings[1].bytes, Some(place));
}

#[test]
fn every_byte_of_every_body_is_reported_as_progress_once() {
    let bytes = seal(&large_plan(), &owner());
    let bodies: usize = Places::of(&bytes).bodies.iter().map(|b| b.len()).sum();
    let ring = UnverifiedRing::read(std::sync::Arc::new(bytes)).unwrap();
    assert_eq!(ring.body_bytes(), bodies as u64);
    let seen = AtomicU64::new(0);
    let trust = Trust::owner(owner().public());
    ring.verify(&trust, &|n| _ = seen.fetch_add(n, Ordering::Relaxed)).unwrap();
    assert_eq!(seen.into_inner(), bodies as u64);
}

#[test]
fn a_change_between_decryption_and_confirmation_is_refused() {
    let ring = intact(&seal(&large_plan(), &owner()));
    let parts = &ring.headers()[1].parts;
    let mut out = vec![0xff; expected(parts).len()];
    // Content, and the padding behind `p0`, which no chunk holds.
    for place in [0, 1, 63, parts[7].offset, parts[9].end() - 1] {
        let key = owner();
        let decrypted = ring.decrypt_block(1, OpeningKey::Owner(&key), &mut out, &|_| ()).unwrap();
        out[at(place)] ^= 1;
        let err = decrypted.confirm(&out, &[]).unwrap_err();
        assert!(matches!(err, OpenError::Tampered(f) if f.block == Some(1)));
        let decrypted = ring.decrypt_block(1, OpeningKey::Owner(&key), &mut out, &|_| ()).unwrap();
        assert_eq!(decrypted.confirm(&out, &[]).unwrap().index(), 1);
    }
}
