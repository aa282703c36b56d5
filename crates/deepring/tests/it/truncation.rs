//! Files that end too early, or too late.

use deepring::Verdict;
use rayon::prelude::*;

use crate::small_ring::{Places, chunks_of, places, refused, small_ring};

/// All that is missing from the first `len` bytes of the ring.
fn missing(ring: &Places, len: usize) -> Vec<(Option<u32>, &'static str, Option<String>)> {
    if len < ring.closure.start {
        return vec![(None, "file", None)];
    }
    if len < ring.closure.end {
        return vec![(None, "closure", None)];
    }
    let mut out = Vec::new();
    for (i, header) in ring.headers.iter().enumerate() {
        let block = Some(i as u32);
        if header.end > len {
            out.push((block, "header", None));
            continue;
        }
        let mut end = ring.bodies[i].start;
        for (tensor, chunk_len) in chunks_of(i) {
            end += chunk_len;
            if end > len {
                out.push((block, "body", Some(tensor)));
            }
        }
    }
    out.push((None, "file", None));
    out
}

#[test]
fn a_file_cut_at_any_length_is_refused_and_all_that_is_cut_is_named() {
    let ring = small_ring();
    let ring_places = Places::of(&ring);
    (0..ring.len()).into_par_iter().for_each(|len| {
        let report = refused(&ring[..len]);
        assert_eq!(report.verdict, Verdict::Tampered, "{len}: {report}");
        let found: Vec<_> =
            places(&report).into_iter().map(|(b, p, t)| (b, p, t.map(str::to_owned))).collect();
        assert_eq!(found, missing(&ring_places, len), "{len}: {report}");
    });
}

#[test]
fn a_cut_file_whose_preamble_claims_the_shorter_length_is_refused() {
    let mut ring = small_ring();
    let len = ring.len() - 5;
    ring.truncate(len);
    ring[16..24].copy_from_slice(&(len as u64).to_le_bytes());
    let report = refused(&ring);
    let file = (None, "file", None);
    assert_eq!(places(&report), [(Some(3), "body", Some("graph")), file, file], "{report}");
}

#[test]
fn bytes_after_the_end_are_refused_whatever_they_are() {
    let ring = small_ring();
    for extra in [vec![0], vec![0xff; 5000], ring.clone()] {
        let padded = [ring.as_slice(), &extra].concat();
        let report = refused(&padded);
        assert_eq!(report.verdict, Verdict::Tampered);
        assert_eq!(places(&report), [(None, "file", None)]);
        let range = Some([ring.len() as u64, padded.len() as u64]);
        assert_eq!(report.findings[0].bytes, range);
    }
}

#[test]
fn bytes_before_the_start_are_refused() {
    let padded = [b"\0".as_slice(), &small_ring()].concat();
    assert_eq!(places(&refused(&padded)), [(None, "file", None)]);
}
