//! Damaged vectors of a ledger: as `fuzz/` feeds them for half an hour, for a second.

use std::collections::BTreeMap;

use deepring_ledger::{Certificate, ExtensionProof, Proof};

use crate::sample::Random;
use crate::vectors_ledger::{index, place_of, verify_vector};

/// A few bytes changed, cut, doubled or put elsewhere, as a fuzzer begins.
fn damaged(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(3) {
        let place = |most: usize, random: &mut Random| random.below(most as u64 + 1) as usize;
        let at = place(bytes.len(), random);
        let end = at + place((bytes.len() - at).min(24), random);
        match random.below(6) {
            0 => bytes.truncate(at),
            1 => bytes[at..end].iter_mut().for_each(|byte| *byte = random.below(256) as u8),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let piece = bytes[at..end].to_vec();
                let to = place(bytes.len(), random);
                drop(bytes.splice(to..to, piece));
            }
            4 => bytes[at..end].fill(b"\0\xff\x80\n +"[random.below(6) as usize]),
            _ => bytes[at..end].iter_mut().for_each(|byte| *byte = byte.wrapping_add(1)),
        }
    }
    bytes
}

/// The text or bytes again, of what is accepted of them.
fn printed_again(kind: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(bytes);
    match kind {
        "certificate" => Some(Certificate::decode(bytes).ok()?.encode()),
        "proof" => Some(Proof::parse(text.ok()?).ok()?.to_string().into_bytes()),
        "extension" => Some(ExtensionProof::parse(text.ok()?).ok()?.to_string().into_bytes()),
        _ => None,
    }
}

#[test]
fn a_damaged_vector_never_stops_a_reader_and_what_is_accepted_is_canonical() {
    let mut random = Random(20_261_130);
    let read = |name: &str| std::fs::read(place_of(name)).unwrap();
    let index = index();
    let mut judged = BTreeMap::<&str, usize>::new();
    for vector in index.iter().filter(|vector| vector["kind"] != "history") {
        let (kind, whole) =
            (vector["kind"].as_str().unwrap(), read(vector["file"].as_str().unwrap()));
        for _ in 0..40 {
            let bytes = damaged(&whole, &mut random);
            // Whatever it is judged to be, it is judged.
            _ = verify_vector(vector, &bytes, read);
            assert!(printed_again(kind, &bytes).is_none_or(|again| again == bytes), "{vector}");
            *judged.entry(kind).or_default() += 1;
        }
    }
    for kind in ["entry", "checkpoint", "proof", "extension", "certificate"] {
        assert!(judged.get(kind).is_some_and(|count| *count >= 400), "{kind}: {judged:?}");
    }
}
