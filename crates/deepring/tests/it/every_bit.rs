//! Every single bit of a ring file, flipped: refused, and the right place named.

use deepring::Section;
use deepring::{PartKind, Verdict};
use rayon::prelude::*;

use crate::small_ring::{Places, chunks_of, f32_spec, owner, plan, refused, seal, small_ring};

/// The finding that a flip at `at` must give: block, part, tensor, byte range.
fn expected(places: &Places, at: usize) -> (Option<u32>, Section, Option<String>, [u64; 2]) {
    let range = |r: &std::ops::Range<usize>| [r.start as u64, r.end as u64];
    if at < places.closure.start {
        // Magic to suite: no ring at all. Then the count, then the file length.
        let field = [0..12, 12..16, 16..24].into_iter().find(|f| f.contains(&at)).unwrap();
        return (None, Section::File, None, range(&field));
    }
    if places.closure.contains(&at) {
        return (None, Section::Closure, None, range(&places.closure));
    }
    let holds = |ranges: &[std::ops::Range<usize>]| ranges.iter().position(|r| r.contains(&at));
    if let Some(i) = holds(&places.headers) {
        return (Some(i as u32), Section::Header, None, range(&places.headers[i]));
    }
    let i = holds(&places.bodies).expect("every byte belongs to something");
    let mut start = places.bodies[i].start;
    for (tensor, len) in chunks_of(i) {
        if (start..start + len).contains(&at) {
            let chunk = [start as u64, (start + len) as u64];
            return (Some(i as u32), Section::Body, Some(tensor), chunk);
        }
        start += len;
    }
    panic!("byte {at} is in no chunk");
}

#[test]
fn every_flipped_bit_is_refused_and_its_block_part_tensor_and_bytes_are_named() {
    let ring = small_ring();
    let places = Places::of(&ring);
    assert_eq!(places.bodies.last().unwrap().end, ring.len());
    (0..ring.len() * 8).into_par_iter().for_each(|bit| {
        let at = bit / 8;
        let mut flipped = ring.clone();
        flipped[at] ^= 1 << (bit % 8);
        let report = refused(&flipped);
        assert_eq!(report.verdict, Verdict::Tampered, "bit {bit}: {report}");
        let [finding] = report.findings.as_slice() else { panic!("bit {bit}: {report}") };
        let (block, part, tensor, bytes) = expected(&places, at);
        assert_eq!((finding.block, finding.part), (block, part), "bit {bit}: {report}");
        assert_eq!(finding.tensor, tensor, "bit {bit}: {report}");
        let [start, end] = finding.bytes.unwrap();
        assert!((start..end).contains(&(at as u64)), "bit {bit}: {report}");
        // What cannot be told from a foreign file is named as the preamble as a whole.
        if finding.bytes != Some([0, 24]) {
            assert_eq!(finding.bytes, Some(bytes), "bit {bit}: {report}");
        }
    });
}

#[test]
fn in_a_large_tensor_the_chunk_is_named_and_neighbouring_chunks_are_joined() {
    let mut plan = plan();
    let weight = PartKind::Parameter(f32_spec("w", &[60_000]));
    plan.blocks[1].parts = vec![(weight, 240_000), (PartKind::Graph, 9)];
    let ring = seal(&plan, &owner());
    let start = Places::of(&ring).bodies[1].start;
    // Four chunks of `w` (three of 65536 bytes and a tag), one of the graph.
    let edges = [0, 65_552, 131_104, 196_656, 240_064, 240_089].map(|at| start + at);
    let ranges = |damaged: &[usize]| {
        let mut bytes = ring.clone();
        damaged.iter().for_each(|at| bytes[*at] ^= 0x10);
        let report = refused(&bytes);
        report
            .findings
            .into_iter()
            .map(|f| (f.tensor.unwrap(), f.bytes.unwrap()))
            .collect::<Vec<_>>()
    };
    let named = |tensor: &str, first: usize, end: usize| {
        (tensor.to_owned(), [edges[first] as u64, edges[end] as u64])
    };
    for chunk in 0..4 {
        for at in [edges[chunk], edges[chunk + 1] - 1] {
            assert_eq!(ranges(&[at]), [named("w", chunk, chunk + 1)]);
        }
    }
    assert_eq!(ranges(&[edges[4]]), [named("graph", 4, 5)]);
    assert_eq!(ranges(&[edges[1], edges[2]]), [named("w", 1, 3)]);
    assert_eq!(ranges(&[edges[0], edges[2]]), [named("w", 0, 1), named("w", 2, 3)]);
    let both = [named("w", 3, 4), named("graph", 4, 5)];
    assert_eq!(ranges(&[edges[3], edges[4]]), both, "not joined over two tensors");
}
