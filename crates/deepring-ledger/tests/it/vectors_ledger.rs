//! The products of a ledger, as vectors: entries, checkpoints, proofs and certificates, each with the verdict that
//! `vectors/ledger/index.json` states. They are made of `vectors/records/`, with the same bytes each time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use deepring::codec::Reader;
use deepring::outline::OutlineError;
use deepring::receipt::{ReceiptError, Require};
use deepring::{Digest, Finding, Host, Owner, Report, SecretKey, Verdict};
use deepring_ledger::certificate::{CertificateError, Expected};
use deepring_ledger::entry::{MAX_ENTRY_BYTES, UnverifiedEntry};
use deepring_ledger::{
    Certificate, Checkpoint, Entry, ExtensionProof, Ledger, LogTrust, Proof, ValidatorSet,
    VerifierKey,
};
use serde_json::{Map, Value, json};
use signed_note::key_id;
use tempfile::TempDir;

/// A key of `vectors/keys/`, by the byte that its halves are filled with; the second has one more.
pub(crate) fn owner_of(seed: u8) -> SecretKey<Owner> {
    SecretKey::from_halves(&[seed; 32], &[seed + 1; 32]).unwrap()
}

pub(crate) fn host_of(seed: u8) -> SecretKey<Host> {
    SecretKey::from_halves(&[seed; 32], &[seed + 1; 32]).unwrap()
}

pub(crate) const OWNER: u8 = 0x11;
pub(crate) const STRANGER: u8 = 0x21;
/// Hosts A, B and C.
pub(crate) const HOSTS: [u8; 3] = [0x31, 0x41, 0x51];

/// Name of the log of all vectors, and the bytes that the keys' seeds are filled with: of the log, and of another of
/// the same name.
pub(crate) const ORIGIN: &str = "example.org/vectors";
pub(crate) const LOG: u8 = 0x71;
pub(crate) const OTHER_LOG: u8 = 0x81;

/// A signing key in the text of signed-note.
pub(crate) fn log_secret(name: &str, seed: u8) -> String {
    let id = key_id(name, &log_public(seed));
    let secret = BASE64_STANDARD.encode([&[1][..], &[seed; 32]].concat());
    format!("PRIVATE+KEY+{name}+{id:08x}+{secret}")
}

fn log_public(seed: u8) -> Vec<u8> {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
    [&[1], pair.public_key().as_ref()].concat()
}

/// Its public half.
pub(crate) fn log_key(name: &str, seed: u8) -> String {
    let public = log_public(seed);
    format!("{name}+{:08x}+{}", key_id(name, &public), BASE64_STANDARD.encode(&public))
}

/// A folder with a signing key in it, where a ledger can begin.
pub(crate) fn folder_of(name: &str, seed: u8) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log.key");
    std::fs::write(&path, format!("{}\n", log_secret(name, seed))).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    dir
}

/// A ledger of these entries, in the folder that comes with it.
pub(crate) fn ledger_of(entries: &[Entry], seed: u8) -> (TempDir, Ledger) {
    let dir = folder_of(ORIGIN, seed);
    let mut ledger = Ledger::open_or_create(dir.path()).unwrap();
    for entry in entries {
        ledger.append(std::slice::from_ref(entry)).unwrap();
    }
    (dir, ledger)
}

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors")
}

/// A file that the crate `deepring` made.
pub(crate) fn record(name: &str) -> Vec<u8> {
    std::fs::read(vectors().join("records").join(name)).unwrap()
}

/// Vectors as they are made, in order, and their files' bytes.
#[derive(Debug, Default)]
pub(crate) struct Made {
    vectors: Vec<Value>,
    files: BTreeMap<String, Vec<u8>>,
}

/// The result that is due: the word of the verdict, and block and section of the finding where there is one.
pub(crate) type Due = (&'static str, Option<u32>, Option<&'static str>);

pub(crate) const INTACT: Due = ("intact", None, None);
pub(crate) const TAMPERED: Due = ("tampered", None, None);
pub(crate) const UNTRUSTED: Due = ("untrusted", None, None);

impl Made {
    pub(crate) fn add(
        &mut self,
        (name, kind): (&str, &str),
        defect: &str,
        bytes: impl AsRef<[u8]>,
        due: Due,
    ) -> &mut Map<String, Value> {
        let file = format!("{name}.{kind}");
        let bytes = bytes.as_ref().to_vec();
        let before = self.files.insert(file.clone(), bytes.clone());
        assert!(before.is_none_or(|b| b == bytes), "{file} is two files");
        let (verdict, block, part) = due;
        let mut vector = json!({ "file": file, "kind": kind, "defect": defect });
        let map = vector.as_object_mut().unwrap();
        if kind != "entry" {
            map.insert("log_key".into(), log_key(ORIGIN, LOG).into());
        }
        for (name, value) in [
            ("verdict", verdict.into()),
            ("block", json!(block)),
            ("part", json!(part)),
            ("tensor", Value::Null),
        ] {
            map.insert(name.into(), value);
        }
        self.vectors.push(vector);
        self.vectors.last_mut().unwrap().as_object_mut().unwrap()
    }
}

pub(crate) fn place_of(name: &str) -> PathBuf {
    vectors().join("ledger").join(name)
}

pub(crate) fn index() -> Vec<Value> {
    let index: Value =
        serde_json::from_slice(&std::fs::read(place_of("index.json")).unwrap()).unwrap();
    assert_eq!(index["format"], 1);
    index["vectors"].as_array().unwrap().clone()
}

fn made() -> Made {
    let mut made = Made::default();
    crate::vectors_entries::add(&mut made);
    crate::vectors_histories::add(&mut made);
    crate::vectors_authority::add(&mut made);
    crate::vectors_keys::add(&mut made);
    crate::vectors_logs::add(&mut made);
    crate::vectors_certificates::add(&mut made);
    made
}

fn of_finding(finding: Finding) -> Due {
    let part = Some(finding.part.name());
    let block = finding.block;
    let verdict = match Report::of_findings(vec![finding]).verdict {
        Verdict::Intact => "intact",
        Verdict::Tampered => "tampered",
        Verdict::Untrusted => "untrusted",
        Verdict::Stale => "stale",
    };
    (verdict, block, part)
}

fn verify_certificate(vector: &Value, bytes: &[u8], log: LogTrust<'_>) -> Due {
    let require = match vector["require"].as_str() {
        None => Require::AsDealt,
        Some("majority") => Require::Majority,
        Some("validated") => Require::Validated,
        Some("none") => Require::None,
        Some(other) => panic!("{other} is nothing to require"),
    };
    let expected = Expected {
        owner: vector["owner"].as_str().unwrap().parse().unwrap(),
        log,
        require,
        nonce: vector["nonce"].as_str().map(|nonce| Digest::from_hex(nonce).unwrap()),
    };
    match Certificate::decode(bytes).and_then(|c| c.verify(&expected).map(|_| ())) {
        Ok(()) => INTACT,
        Err(
            CertificateError::Outline(OutlineError::Refused(finding))
            | CertificateError::Decision(ReceiptError::Refused(finding)),
        ) => of_finding(finding),
        Err(e) => match e.fault() {
            deepring_ledger::Fault::Tampered => TAMPERED,
            deepring_ledger::Fault::Untrusted => UNTRUSTED,
            deepring_ledger::Fault::Stale => ("stale", None, Some("file")),
            other => panic!("{other:?}: {e}"),
        },
    }
}

/// Whether each of these entries has authority behind those before it, in a log of this name.
fn verify_history(bytes: &[u8], origin: &str) -> bool {
    let dir = folder_of(origin, LOG);
    let mut ledger = Ledger::open_or_create(dir.path()).unwrap();
    let mut r = Reader::new(bytes);
    let Ok(n) = r.count("entries", 4096, 4) else { return false };
    let mut entries = Vec::new();
    for _ in 0..n {
        let bytes = r.bytes("entry", MAX_ENTRY_BYTES).map(UnverifiedEntry::decode);
        let Ok(Ok(Ok(entry))) = bytes.map(|e| e.map(UnverifiedEntry::verify)) else { return false };
        entries.push(entry);
    }
    r.finish().is_ok() && (entries.is_empty() || ledger.append(&entries).is_ok())
}

/// Looks at a vector as a reader would; `read` gives what lies beside it.
pub(crate) fn verify_vector(vector: &Value, bytes: &[u8], read: impl Fn(&str) -> Vec<u8>) -> Due {
    let key = vector["log_key"].as_str().map(|key| VerifierKey::parse(key).unwrap());
    let key = || key.clone().unwrap();
    let text = || std::str::from_utf8(bytes).ok();
    let fits = match vector["kind"].as_str().unwrap() {
        "certificate" => match vector["validators"].as_str() {
            Some(set) => {
                let set = ValidatorSet::decode_signed(&read(set)).unwrap();
                return verify_certificate(vector, bytes, LogTrust::Validators(&set));
            }
            None => return verify_certificate(vector, bytes, LogTrust::Key(&key())),
        },
        "entry" => UnverifiedEntry::decode(bytes).is_ok_and(|entry| entry.verify().is_ok()),
        "history" => verify_history(bytes, key().origin()),
        "checkpoint" => text().is_some_and(|t| Checkpoint::verify(t, &key()).is_ok()),
        "proof" => {
            let proof = text().and_then(|t| Proof::parse(t).ok());
            proof.is_some_and(|proof| proof.verify(&key()).is_ok())
        }
        "extension" => {
            let old = Checkpoint::verify(vector["checkpoint"].as_str().unwrap(), &key()).unwrap();
            let proof = text().and_then(|t| ExtensionProof::parse(t).ok());
            proof.is_some_and(|proof| proof.verify(&old, &key()).is_ok())
        }
        other => panic!("kind {other} is not known"),
    };
    if fits { INTACT } else { TAMPERED }
}

fn wrong(vectors: &[Value], read: impl Fn(&str) -> Vec<u8>) -> Vec<String> {
    let mut wrong = Vec::new();
    for vector in vectors {
        let found = verify_vector(vector, &read(vector["file"].as_str().unwrap()), &read);
        let due = (&vector["verdict"], &vector["block"], &vector["part"]);
        if due != (&json!(found.0), &json!(found.1), &json!(found.2)) {
            wrong.push(format!("{} {}: {found:?}, not {due:?}", vector["file"], vector["defect"]));
        }
    }
    wrong
}

#[test]
fn every_vector_of_a_ledger_gets_the_verdict_that_the_index_states() {
    let wrong = wrong(&index(), |name| std::fs::read(place_of(name)).unwrap());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn vectors_of_a_ledger_are_made_with_the_same_bytes_each_time_and_are_those_of_the_folder() {
    let (first, second) = (made(), made());
    assert_eq!(first.files, second.files);
    assert_eq!(first.vectors, index(), "make them anew: vectors_ledger_generate");
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
#[ignore = "replaces the files of vectors/ledger/; run it by name when the format or vectors/records/ change"]
fn vectors_ledger_generate() {
    let made = made();
    let wrong = wrong(&made.vectors, |name| made.files[name].clone());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    _ = std::fs::remove_dir_all(place_of(""));
    std::fs::create_dir_all(place_of("")).unwrap();
    for (name, bytes) in &made.files {
        std::fs::write(place_of(name), bytes).unwrap();
    }
    let index = json!({ "format": 1, "vectors": made.vectors });
    let text = serde_json::to_string_pretty(&index).unwrap() + "\n";
    std::fs::write(place_of("index.json"), text).unwrap();
}
