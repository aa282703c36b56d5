//! Every file of `vectors/` gets the verdict that `vectors/index.json` states.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use deepring::opening::OpenError;
use deepring::receipt::{ReceiptError, Require};
use deepring::{
    Decision, Finding, Host, OpeningKey, Owner, PublicKey, Report, RingError, SecretKey, Trust,
    TrustStore, UnverifiedRing, Verdict, VerifiedRing,
};
use serde::{Deserialize, Serialize};

/// The result that a reader must come to: a verdict, and the place that the first finding names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Expected {
    pub(crate) verdict: String,
    pub(crate) block: Option<u32>,
    pub(crate) part: Option<String>,
    pub(crate) tensor: Option<String>,
}

/// One vector: the file, what it is looked at with, and what must come out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Vector {
    pub(crate) file: String,
    /// `ring` or `receipt`.
    pub(crate) kind: String,
    /// The file's defect, in words.
    pub(crate) defect: String,
    /// The trusted owner key; where it is null, the store alone decides.
    pub(crate) owner: Option<String>,
    /// For a receipt: the ring that it is held against.
    pub(crate) ring: Option<String>,
    /// The content of the reader's trust store.
    pub(crate) store: Option<serde_json::Value>,
    /// A secret key file: every block of which it is a recipient is opened, too.
    pub(crate) open_with: Option<String>,
    #[serde(flatten)]
    pub(crate) expected: Expected,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Index {
    pub(crate) format: u32,
    pub(crate) vectors: Vec<Vector>,
}

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors")
}

pub(crate) fn index() -> Index {
    serde_json::from_slice(&std::fs::read(folder().join("index.json")).unwrap()).unwrap()
}

impl Expected {
    pub(crate) fn intact() -> Self {
        Self { verdict: "intact".into(), block: None, part: None, tensor: None }
    }

    pub(crate) fn of_report(report: &Report) -> Self {
        let first = report.findings.first();
        Self {
            verdict: word(report.verdict),
            block: first.and_then(|f| f.block),
            part: first.map(|f| f.part.name().into()),
            tensor: first.and_then(|f| f.tensor.clone()),
        }
    }

    pub(crate) fn of_finding(finding: Finding) -> Self {
        Self::of_report(&Report::of_findings(vec![finding]))
    }
}

fn word(verdict: Verdict) -> String {
    let word = match verdict {
        Verdict::Intact => "intact",
        Verdict::Tampered => "tampered",
        Verdict::Untrusted => "untrusted",
        Verdict::Stale => "stale",
    };
    word.into()
}

/// Looks at a vector as a reader would.
pub(crate) fn verify_vector(vector: &Vector) -> Expected {
    verify_vector_in(&folder(), vector)
}

/// The same with a vector of another folder.
pub(crate) fn verify_vector_in(folder: &Path, vector: &Vector) -> Expected {
    match vector.kind.as_str() {
        "ring" => match verified(folder, vector, &vector.file) {
            Ok(ring) => opened(folder, vector, &ring),
            Err(expected) => expected,
        },
        "receipt" => {
            let ring = vector.ring.as_ref().expect("a receipt is about a ring");
            let ring = verified(folder, vector, ring).expect("the ring itself is intact");
            let result = Decision::read(&folder.join(&vector.file));
            match result.and_then(|decision| decision.verify(ring.outline(), Require::AsDealt)) {
                Ok(_) => Expected::intact(),
                Err(ReceiptError::Refused(finding)) => Expected::of_finding(finding),
                Err(ReceiptError::Malformed(_)) => Expected {
                    verdict: "tampered".into(),
                    block: None,
                    part: Some("file".into()),
                    tensor: None,
                },
                Err(other) => panic!("{}: {other}", vector.file),
            }
        }
        other => panic!("kind {other} is not known"),
    }
}

fn verified(folder: &Path, vector: &Vector, file: &str) -> Result<VerifiedRing, Expected> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trust.json");
    if let Some(store) = &vector.store {
        std::fs::write(&path, store.to_string()).unwrap();
    }
    let store = TrustStore::open(&path).unwrap();
    let trust = match &vector.owner {
        Some(owner) => Trust::owner(owner.parse::<PublicKey<Owner>>().unwrap()).and_store(&store),
        None => Trust::store(&store),
    };
    UnverifiedRing::open(&folder.join(file)).and_then(|r| r.verify(&trust, &|_| ())).map_err(|e| {
        match e {
            RingError::Refused(report) => Expected::of_report(&report),
            RingError::Io { .. } => panic!("{file}: {e}"),
            other => panic!("{other}"),
        }
    })
}

fn opened(folder: &Path, vector: &Vector, ring: &VerifiedRing) -> Expected {
    let Some(file) = &vector.open_with else { return Expected::intact() };
    // By its text: these files are for everybody to read, which `SecretKey::read` refuses.
    let text = std::fs::read_to_string(folder.join(file)).unwrap();
    if file.contains("owner") {
        open_all(ring, OpeningKey::Owner(&SecretKey::<Owner>::from_secret_text(&text).unwrap()))
    } else {
        open_all(ring, OpeningKey::Host(&SecretKey::<Host>::from_secret_text(&text).unwrap()))
    }
}

fn open_all(ring: &VerifiedRing, key: OpeningKey<'_>) -> Expected {
    let mut blocks = 0;
    for header in ring.headers().iter().filter(|h| key.is_recipient(h)) {
        let mut out = vec![0; usize::try_from(header.plain_len).unwrap()];
        match ring.open_block(header.index, key, &mut out) {
            Ok(_) => blocks += 1,
            Err(OpenError::Tampered(finding)) => return Expected::of_finding(finding),
            Err(other) => panic!("{other}"),
        }
    }
    match blocks {
        0 => Expected { verdict: "untrusted".into(), ..Expected::intact() },
        _ => ring.verify_manifest(key).unwrap().map_or_else(Expected::intact, Expected::of_finding),
    }
}

#[test]
fn every_vector_gets_the_verdict_and_the_place_that_the_index_states() {
    for vector in index().vectors {
        assert_eq!(verify_vector(&vector), vector.expected, "{}: {}", vector.file, vector.defect);
    }
}

#[test]
fn every_file_of_the_folder_is_in_the_index_and_in_the_list_for_people() {
    let readme = std::fs::read_to_string(folder().join("README.md")).unwrap();
    let listed: BTreeSet<String> = index().vectors.into_iter().map(|v| v.file).collect();
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        bytes += entry.metadata().unwrap().len();
        if name.ends_with(".ring") || name.ends_with(".receipt") {
            assert!(listed.contains(&name), "{name} has no verdict");
            assert!(readme.contains(&format!("`{name}`")), "{name} is not in README.md");
        }
    }
    assert!(bytes < 600_000, "vectors are small: {bytes}");
}

#[test]
fn the_index_has_every_verdict_and_every_part() {
    let index = index();
    assert_eq!(index.format, 1);
    let verdicts: BTreeSet<_> = index.vectors.iter().map(|v| v.expected.verdict.as_str()).collect();
    assert_eq!(verdicts, ["intact", "stale", "tampered", "untrusted"].into());
    let parts: BTreeSet<_> =
        index.vectors.iter().filter_map(|v| v.expected.part.as_deref()).collect();
    assert_eq!(parts, ["body", "closure", "file", "header", "link"].into());
}
