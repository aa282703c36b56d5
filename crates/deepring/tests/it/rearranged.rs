//! Rings put together from authentic pieces, and files that are no rings at all.

use deepring::Verdict;

use crate::forge::RawRing;
use crate::small_ring::{
    OWNER_SEED, Places, STRANGER_SEED, owner, places, plan, refused, seal, small_ring, splice,
    two_versions,
};

/// Swaps blocks 1 and 2, which have the same size: their bodies, and on request their headers.
pub(crate) fn swapped(ring: &[u8], headers_too: bool) -> Vec<u8> {
    let at = Places::of(ring);
    let mut out = ring.to_vec();
    for (one, two) in at.block(1).into_iter().zip(at.block(2)).skip(usize::from(!headers_too)) {
        out[one.clone()].copy_from_slice(&ring[two.clone()]);
        out[two].copy_from_slice(&ring[one]);
    }
    out
}

/// Block 1 stands in the place of block 2, too.
pub(crate) fn duplicated(mut ring: Vec<u8>) -> Vec<u8> {
    let at = Places::of(&ring);
    for (one, two) in at.block(1).into_iter().zip(at.block(2)) {
        ring.copy_within(one, two.start);
    }
    ring
}

/// Block 2's header and body are cut out; nothing else is changed.
pub(crate) fn dropped(mut ring: Vec<u8>) -> Vec<u8> {
    let [header, body] = Places::of(&ring).block(2);
    ring.drain(body);
    ring.drain(header);
    ring
}

#[test]
fn swapped_blocks_are_refused_and_both_are_named() {
    let report = refused(&swapped(&small_ring(), true));
    assert_eq!(report.verdict, Verdict::Tampered);
    let named = [(Some(1), "header", None), (Some(2), "header", None)];
    assert_eq!(places(&report), named);
    assert!(report.findings[0].reason.contains("block 2 stands in the place of block 1"));
}

#[test]
fn swapped_bodies_are_refused_and_every_tensor_is_named() {
    let report = refused(&swapped(&small_ring(), false));
    assert_eq!(report.verdict, Verdict::Tampered);
    let named = |n| {
        [format!("conv{n}.weight"), format!("conv{n}.bias"), "graph".into()]
            .map(|tensor| (Some(n), "body", tensor))
    };
    let expected = [named(1), named(2)].concat();
    let found: Vec<_> =
        places(&report).into_iter().map(|(b, p, t)| (b, p, t.unwrap().to_owned())).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_block_in_two_places_is_refused_in_the_wrong_one() {
    let report = refused(&duplicated(small_ring()));
    assert_eq!(report.verdict, Verdict::Tampered);
    assert_eq!(places(&report), [(Some(2), "header", None)]);
}

#[test]
fn a_body_in_two_places_is_refused_in_the_wrong_one() {
    let mut ring = small_ring();
    let at = Places::of(&ring);
    ring.copy_within(at.bodies[1].clone(), at.bodies[2].start);
    let report = refused(&ring);
    assert!(report.findings.iter().all(|f| f.block == Some(2)), "{report}");
    assert_eq!(report.findings.len(), 3);
}

#[test]
fn a_dropped_block_is_refused_and_named() {
    let report = refused(&dropped(small_ring()));
    assert_eq!(report.verdict, Verdict::Tampered);
    assert!(places(&report).contains(&(Some(2), "header", None)), "{report}");
    assert!(places(&report).contains(&(None, "file", None)), "{report}");
}

#[test]
fn a_block_dropped_from_the_closure_as_well_needs_the_owners_signature() {
    let mut raw = RawRing::of(&small_ring());
    raw.headers.remove(2);
    raw.bodies.remove(2);
    raw.body_digests.remove(2);
    // The attacker signs with a key of its own; the closure still names the owner.
    let report = refused(&raw.close(&STRANGER_SEED));
    assert_eq!(report.verdict, Verdict::Tampered);
    assert_eq!(places(&report), [(None, "closure", None)]);
}

#[test]
fn a_duplicated_block_in_the_closure_as_well_needs_the_owners_signature() {
    let mut raw = RawRing::of(&small_ring());
    raw.headers.insert(2, raw.headers[1].clone());
    raw.bodies.insert(2, raw.bodies[1].clone());
    raw.body_digests.insert(2, raw.body_digests[1]);
    assert_eq!(places(&refused(&raw.close(&STRANGER_SEED))), [(None, "closure", None)]);
}

#[test]
fn an_old_authentic_block_in_a_newer_ring_is_stale() {
    let (first, second) = two_versions();
    let mut mixed = second;
    for range in Places::of(&mixed).block(1) {
        splice(&mut mixed, &first, &range);
    }
    let report = refused(&mixed);
    assert_eq!(report.verdict, Verdict::Stale, "{report}");
    assert_eq!(places(&report), [(Some(1), "header", None)]);
    let reason = "an authentic block of model version 1, in a ring of version 2";
    assert_eq!(report.findings[0].reason, reason);
}

#[test]
fn an_old_body_under_the_new_header_is_tampering() {
    let (first, second) = two_versions();
    let mut mixed = second;
    let body = Places::of(&mixed).bodies[2].clone();
    splice(&mut mixed, &first, &body);
    let report = refused(&mixed);
    assert_eq!(report.verdict, Verdict::Tampered);
    assert!(report.findings.iter().all(|f| f.block == Some(2)), "{report}");
}

#[test]
fn an_old_closure_over_new_blocks_is_refused_in_every_block() {
    let (first, second) = two_versions();
    let mut mixed = second;
    let closure = Places::of(&mixed).closure;
    splice(&mut mixed, &first, &closure);
    let report = refused(&mixed);
    let expected: Vec<_> = (0..4).map(|i| (Some(i), "header", None)).collect();
    assert_eq!(places(&report), expected);
    assert_eq!(report.verdict, Verdict::Stale, "blocks of version 2 in a ring of version 1");
}

#[test]
fn a_block_of_another_sealing_of_the_same_version_is_stale() {
    let (first, second) = two_versions();
    let first = crate::small_ring::intact(&first);
    let again = seal(&crate::small_ring::next_version(&first), &owner());
    let mut mixed = second;
    for range in Places::of(&mixed).block(3) {
        splice(&mut mixed, &again, &range);
    }
    let report = refused(&mixed);
    assert_eq!(report.verdict, Verdict::Stale);
    assert_eq!(places(&report), [(Some(3), "header", None)]);
}

#[test]
fn an_authentic_block_of_another_ring_is_tampering() {
    let mut ring = small_ring();
    let other = seal(&plan(), &owner());
    for range in Places::of(&ring).block(1) {
        splice(&mut ring, &other, &range);
    }
    let report = refused(&ring);
    assert_eq!(report.verdict, Verdict::Tampered);
    assert_eq!(places(&report), [(Some(1), "header", None)]);
    assert!(report.findings[0].reason.starts_with("an authentic block of another ring"));
}

#[test]
fn a_block_sealed_by_someone_else_under_the_rings_id_is_tampering() {
    let mut raw = RawRing::of(&small_ring());
    let honest = raw.close(&OWNER_SEED);
    raw.edit_header(1, 16, &7u64.to_le_bytes(), &STRANGER_SEED);
    let mut ring = honest;
    let header = Places::of(&ring).headers[1].clone();
    ring[header].copy_from_slice(&raw.headers[1]);
    let report = refused(&ring);
    assert_eq!(report.verdict, Verdict::Tampered, "its owner did not sign it, so it is not old");
}

#[test]
fn lengths_and_counts_beyond_the_format_are_refused_without_reserving_memory() {
    let ring = small_ring();
    let at = Places::of(&ring);
    let row = at.closure.start + 138 + 32 * 4;
    // Count of the preamble, count of the closure, a row's header length and body length.
    for (offset, part) in [(12, "file"), (48, "closure"), (row, "closure")] {
        for value in [u32::MAX, 65_537, 65_536, 1 << 31] {
            let mut big = ring.clone();
            big[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
            let report = refused(&big);
            assert_eq!(places(&report), [(None, part, None)], "{value} at {offset}: {report}");
        }
    }
    for value in [u64::MAX, 1 << 63, i64::MAX as u64] {
        let mut big = ring.clone();
        big[row + 4..row + 12].copy_from_slice(&value.to_le_bytes());
        assert_eq!(places(&refused(&big)), [(None, "closure", None)]);
    }
}

#[test]
fn the_largest_count_that_the_file_could_hold_is_read_as_such() {
    // 65536 blocks of nothing: decodes, and then its signature does not fit.
    let mut ring = small_ring()[..24 + 134].to_vec();
    ring[12..16].copy_from_slice(&65_536u32.to_le_bytes());
    ring[48..52].copy_from_slice(&65_536u32.to_le_bytes());
    ring.resize(24 + 266 + 76 * 65_536, 0);
    let report = refused(&ring);
    assert_eq!(places(&report), [(None, "closure", None)]);
    assert_eq!(report.blocks, Some(65_536));
}

#[test]
fn foreign_files_are_tampering_and_name_the_file() {
    let onnx = b"\x08\x08\x12\x07pytorch".repeat(40);
    let text = b"This is not a ring. ".repeat(40);
    let magic_only = [b"DEEPRING".as_slice(), &[0; 400]].concat();
    for foreign in [Vec::new(), vec![0; 4096], vec![0xff; 4096], onnx, text, magic_only] {
        let report = refused(&foreign);
        assert_eq!(report.verdict, Verdict::Tampered);
        assert_eq!(places(&report), [(None, "file", None)], "{report}");
    }
}

#[test]
fn a_ring_of_another_format_version_or_suite_is_refused() {
    for (at, found) in [(8, 1), (8, 2), (8, 3), (8, 5), (10, 2)] {
        let mut ring = small_ring();
        ring[at] = found;
        assert_eq!(places(&refused(&ring)), [(None, "file", None)]);
    }
}
