//! The records of `vectors/records/`: what deals, what stands behind a decision, and what proves a lie. Each gets the
//! verdict that its index states, and is made from `vectors/intact.ring` with the same bytes each time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use deepring::deal::Deal;
use deepring::outline::{AuthenticOutline, Outline, OutlineError};
use deepring::receipt::{ReceiptError, Require};
use deepring::replication::Evidence;
use deepring::{Decision, Digest, Finding, Owner, PublicKey, Section, Trust, TrustStore};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::small_ring::{owner, verify_under};
use crate::vectors::{Expected, folder};

/// One vector: the file, what it is looked at with, and what must come out. Members that say nothing are left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) file: String,
    /// `ring`, `deal`, `outline`, `receipt` or `evidence`.
    pub(crate) kind: String,
    pub(crate) defect: String,
    /// The trusted owner key; where there is none, the store alone decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) owner: Option<String>,
    /// The reader's trust store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) store: Option<Value>,
    /// The outline that it is held against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) outline: Option<String>,
    /// Or the ring of that outline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ring: Option<String>,
    /// The validation that the reader requires: `validated`, `majority` or `none`; without it, what the deal promises.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) require: Option<String>,
    /// The nonce that the reader sent, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) nonce: Option<String>,
    #[serde(flatten)]
    pub(crate) expected: Expected,
}

#[derive(Debug, Serialize, Deserialize)]
struct Records {
    format: u32,
    vectors: Vec<Record>,
}

/// Records as they are made, in order, and their files' bytes.
#[derive(Debug, Default)]
pub(crate) struct Made {
    pub(crate) records: Vec<Record>,
    pub(crate) files: BTreeMap<String, Vec<u8>>,
}

/// A verdict and its place, in few words.
pub(crate) fn place(verdict: &str, block: Option<u32>, part: &str) -> Expected {
    Expected { verdict: verdict.into(), block, part: Some(part.into()), tensor: None }
}

/// Refused as tampered, by a check that names no place.
pub(crate) fn tampered() -> Expected {
    Expected { verdict: "tampered".into(), ..Expected::intact() }
}

impl Made {
    /// Adds a vector under the owner's key.
    pub(crate) fn add(
        &mut self,
        (name, kind): (&str, &str),
        defect: &str,
        bytes: Vec<u8>,
        expected: Expected,
    ) -> &mut Record {
        let file = format!("{name}.{kind}");
        let before = self.files.insert(file.clone(), bytes);
        assert!(before.is_none_or(|b| b == self.files[&file]), "{file} is two files");
        let owner = (kind != "deal").then(|| owner().public().to_string());
        self.records.push(Record {
            file,
            kind: kind.into(),
            defect: defect.into(),
            owner,
            store: None,
            outline: None,
            ring: None,
            require: None,
            nonce: None,
            expected,
        });
        self.records.last_mut().unwrap()
    }
}

fn place_of(name: &str) -> PathBuf {
    folder().join("records").join(name)
}

fn index() -> Records {
    serde_json::from_slice(&std::fs::read(place_of("index.json")).unwrap()).unwrap()
}

/// The ring whose outline this is.
fn ring_of(outline: &str) -> String {
    match outline {
        "plain.outline" => "../intact.ring".into(),
        "version_2_of_ring.outline" => "../intact_version_2.ring".into(),
        other => other.replace(".outline", ".ring"),
    }
}

fn made() -> Made {
    let mut made = Made::default();
    crate::vectors_dealt::add(&mut made);
    crate::vectors_nonsense::add(&mut made);
    crate::vectors_outlines::add(&mut made);
    crate::vectors_validated::add(&mut made);
    crate::vectors_chains::add(&mut made);
    crate::vectors_evidence::add(&mut made);
    for record in &mut made.records {
        record.ring = record.outline.as_deref().map(ring_of);
    }
    made
}

fn owner_of(record: &Record) -> Option<PublicKey<Owner>> {
    record.owner.as_ref().map(|owner| owner.parse().unwrap())
}

/// The outline that a record is held against, which is the owner's.
fn outline_of(record: &Record, read: &dyn Fn(&str) -> Vec<u8>) -> AuthenticOutline {
    let outline = Outline::decode(&read(record.outline.as_ref().unwrap())).unwrap();
    outline.verify(&Trust::owner(owner_of(record).unwrap())).unwrap()
}

/// The outcome under the trust that a record states.
fn trusting(record: &Record, verify: impl FnOnce(&Trust<'_>) -> Expected) -> Expected {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trust.json");
    if let Some(store) = &record.store {
        std::fs::write(&path, store.to_string()).unwrap();
    }
    let store = TrustStore::open(&path).unwrap();
    match owner_of(record) {
        Some(owner) => verify(&Trust::owner(owner).and_store(&store)),
        None => verify(&Trust::store(&store)),
    }
}

fn verify_outline(record: &Record, bytes: &[u8]) -> Expected {
    let outline = Outline::decode(bytes).map_err(OutlineError::from);
    trusting(record, |trust| match outline.and_then(|o| o.verify(trust)) {
        Ok(_) => Expected::intact(),
        Err(OutlineError::Refused(finding)) => Expected::of_finding(finding),
        Err(_) => tampered(),
    })
}

fn verify_receipt(record: &Record, bytes: &[u8], outline: &AuthenticOutline) -> Expected {
    let require = match record.require.as_deref() {
        None => Require::AsDealt,
        Some("majority") => Require::Majority,
        Some("validated") => Require::Validated,
        Some("none") => Require::None,
        Some(other) => panic!("{other} is nothing to require"),
    };
    let decision = Decision::decode(bytes).map_err(ReceiptError::from);
    let nonce = record.nonce.as_ref().map(|nonce| Digest::from_hex(nonce).unwrap());
    match decision.and_then(|decision| decision.verify(outline, require)) {
        Ok(decided) if nonce.is_some() && nonce != decided.nonce() => {
            Expected::of_finding(Finding::stale(Section::File, "another nonce"))
        }
        Ok(_) => Expected::intact(),
        Err(ReceiptError::Refused(finding)) => Expected::of_finding(finding),
        Err(ReceiptError::Malformed(_)) => place("tampered", None, "file"),
        Err(other) => panic!("{}: {other}", record.file),
    }
}

/// Looks at a vector as a reader would, with files that `read` gives.
fn verify_record(record: &Record, read: &dyn Fn(&str) -> Vec<u8>) -> Expected {
    let bytes = read(&record.file);
    let fits = |fits| if fits { Expected::intact() } else { tampered() };
    match record.kind.as_str() {
        "ring" => trusting(record, |trust| match verify_under(&bytes, trust) {
            Ok(_) => Expected::intact(),
            Err(report) => Expected::of_report(&report),
        }),
        "deal" => fits(Deal::decode(&bytes).is_ok()),
        "outline" => verify_outline(record, &bytes),
        "receipt" => verify_receipt(record, &bytes, &outline_of(record, read)),
        "evidence" => {
            let outline = outline_of(record, read);
            fits(Evidence::from_bytes(&bytes).is_ok_and(|e| e.verify(&outline).is_ok()))
        }
        other => panic!("kind {other} is not known"),
    }
}

#[test]
fn every_record_gets_the_verdict_and_the_place_that_the_index_states() {
    let read = |name: &str| std::fs::read(place_of(name)).unwrap();
    for record in index().vectors {
        assert_eq!(
            verify_record(&record, &read),
            record.expected,
            "{}: {}",
            record.file,
            record.defect
        );
    }
}

#[test]
fn records_are_made_with_the_same_bytes_each_time_and_are_those_of_the_folder() {
    let (first, second) = (made(), made());
    assert_eq!(first.files, second.files);
    assert_eq!(first.records, index().vectors, "make them anew: vectors_records_generate");
    for (name, bytes) in &first.files {
        assert!(std::fs::read(place_of(name)).unwrap() == *bytes, "{name} has other bytes");
    }
    let there: BTreeSet<String> = std::fs::read_dir(place_of(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "index.json")
        .collect();
    assert_eq!(there, first.files.into_keys().collect());
}

#[test]
fn the_records_have_every_kind_intact_and_refused_and_every_verdict() {
    let index = index();
    assert_eq!(index.format, 1);
    let seen: BTreeSet<_> =
        index.vectors.iter().map(|r| (r.kind.as_str(), r.expected.verdict == "intact")).collect();
    assert_eq!(seen.len(), 10, "{seen:?}");
    let verdicts: BTreeSet<_> = index.vectors.iter().map(|r| r.expected.verdict.as_str()).collect();
    assert_eq!(verdicts, ["intact", "stale", "tampered", "untrusted"].into());
}

#[test]
#[ignore = "replaces the files of vectors/records/; run it by name when the format changes"]
fn vectors_records_generate() {
    let made = made();
    let wrong: Vec<_> = made
        .records
        .iter()
        .map(|r| (r, verify_record(r, &|name| made.files[name].clone())))
        .filter(|(r, found)| *found != r.expected)
        .map(|(r, found)| format!("{} {}: {found:?}, not {:?}", r.file, r.defect, r.expected))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    _ = std::fs::remove_dir_all(place_of(""));
    std::fs::create_dir_all(place_of("")).unwrap();
    for (name, bytes) in &made.files {
        std::fs::write(place_of(name), bytes).unwrap();
    }
    let index = Records { format: 1, vectors: made.records };
    let mut json = serde_json::to_string_pretty(&index).unwrap();
    json.push('\n');
    std::fs::write(place_of("index.json"), json).unwrap();
}
