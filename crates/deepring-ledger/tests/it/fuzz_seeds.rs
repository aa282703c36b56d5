//! Writes `fuzz/corpus/` for the targets that feed this crate: entries, proofs, checkpoints.

use std::path::Path;

use deepring_ledger::{Checkpoint, VerifierKey};
use signed_note::{Note, StandardSigner};

use crate::authority::one_of_each_kind_in;
use crate::witnesses::{Witness, policy};

/// From Go's documentation of `sumdb/note`: the key that the targets verify with.
const KEY: &str = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";

fn write(target: &str, name: &str, bytes: &[u8]) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join(name), bytes).unwrap();
}

#[test]
#[ignore = "writes fuzz/corpus/, which git ignores; run it before fuzzing"]
fn fuzz_seeds() {
    let entries = one_of_each_kind_in("PeterNeumann");
    for (i, entry) in entries.iter().enumerate() {
        write("ledger_entry", &i.to_string(), entry.as_bytes());
    }
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("log.key");
    std::fs::write(&key, format!("{KEY}\n")).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let mut ledger = crate::sample::ledger_named("PeterNeumann", dir.path()).unwrap();
    write("ledger_checkpoint", "empty", ledger.checkpoint().as_str().as_bytes());
    let key = ledger.key().to_string();
    write("ledger_checkpoint", "key", key.as_bytes());
    for entry in entries {
        ledger.append(&[entry]).unwrap();
        let size = ledger.len();
        let checkpoint = ledger.checkpoint().to_string();
        let (text, _) = checkpoint.split_once("\n\n").unwrap();
        write("ledger_checkpoint", &format!("note-{size}"), checkpoint.as_bytes());
        write("ledger_checkpoint", &format!("text-{size}"), format!("{text}\n").as_bytes());
        for index in [0, size / 2, size - 1] {
            let proof = ledger.prove(index).unwrap().to_string();
            write("ledger_proof", &format!("{index}-of-{size}"), proof.as_bytes());
        }
        for old in [0, 1, size / 2, size] {
            let proof = ledger.prove_extension(old).unwrap().to_string();
            write("ledger_extension", &format!("{old}-to-{size}"), proof.as_bytes());
        }
    }
    write("ledger_state", "of-all", &ledger.state().unwrap().encode());
    for copies in [2, 3] {
        let made = crate::certificate::made(copies);
        write("certificate", &copies.to_string(), &made.certificate.encode());
        let state = made.bench.ledger.state().unwrap().encode();
        write("ledger_state", &format!("decided-{copies}"), &state);
    }
    for (n, text) in [policy(&key), "quorum none\n".into()].iter().enumerate() {
        write("witness_policy", &n.to_string(), text.as_bytes());
    }
    let checkpoint = checkpoint(&VerifierKey::parse(&key).unwrap());
    for (n, witness) in [Witness::new(1), Witness::post_quantum("w")].iter().enumerate() {
        let seed = format!("{}\n{}", witness.vkey(), witness.line(&checkpoint, 5));
        write("ledger_cosignature", &n.to_string(), seed.as_bytes());
    }
}

/// The one that the targets of witnesses hold everything against.
fn checkpoint(key: &VerifierKey) -> Checkpoint {
    let text = format!("{}\n7\n{}=\n", key.origin(), "A".repeat(43));
    let mut note = Note::new(text.as_bytes(), &[]).unwrap();
    note.add_sigs(&[&StandardSigner::new(KEY).unwrap()]).unwrap();
    let note = String::from_utf8(note.to_bytes()).unwrap();
    Checkpoint::verify(&note, key).unwrap()
}
