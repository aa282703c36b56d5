//! Vectors of checkpoints, and of proofs that an entry is in a log and that a log only grew.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use deepring::Digest;
use deepring_ledger::{Checkpoint, Entry, Event, Ledger, VerifierKey};
use signed_note::{Note, StandardSigner};

use crate::rows::sign_leaves;
use crate::vectors_entries::{bound, host, registered, signed};
use crate::vectors_ledger::{
    INTACT, LOG, Made, ORIGIN, OTHER_LOG, TAMPERED, folder_of, ledger_of, log_key, log_secret,
};

/// A registration and six decisions.
fn entries() -> Vec<Entry> {
    let mut entries = vec![registered("dealt_two.outline")];
    let ring = crate::vectors_entries::outline("dealt_two.outline").verify_consistent().unwrap();
    entries.extend((1..7).map(|n| {
        let decision_id = Digest([n; 32]);
        let event = Event::Decisions {
            ring_digest: ring.ring_digest(),
            decision_id,
            count: n.into(),
            dealt: ring.deal_number(),
        };
        signed(n.into(), &event, &host(0))
    }));
    entries
}

/// A note over this text by a key of this name and seed.
fn note(text: &str, name: &str, seed: u8) -> String {
    let mut note = Note::new(text.as_bytes(), &[]).unwrap();
    note.add_sigs(&[&StandardSigner::new(&log_secret(name, seed)).unwrap()]).unwrap();
    String::from_utf8(note.to_bytes()).unwrap()
}

fn body(origin: &str, size: &str, root: [u8; 32]) -> String {
    format!("{origin}\n{size}\n{}\n", BASE64_STANDARD.encode(root))
}

/// The note with a second key's signature under it.
fn witnessed(text: &str) -> String {
    let mut note = Note::from_bytes(text.as_bytes()).unwrap();
    let witness = StandardSigner::new(&log_secret("example.org/witness", 0x91)).unwrap();
    note.add_sigs(&[&witness]).unwrap();
    String::from_utf8(note.to_bytes()).unwrap()
}

fn checkpoints(made: &mut Made, grown: &Ledger) {
    let good = grown.checkpoint().to_string();
    let (text, _) = good.split_once("\n\n").unwrap();
    let empty = ledger_of(&[], LOG).1.checkpoint().to_string();
    let root = |n: u8| [n; 32];
    let cases = [
        ("seven", "nothing; of seven entries", good.clone(), INTACT),
        ("nothing", "nothing; of no entry", empty.clone(), INTACT),
        ("witnessed", "nothing; a witness signed it, too", witnessed(&good), INTACT),
        (
            "other_size",
            "another size than was signed",
            good.replacen("\n7\n", "\n8\n", 1),
            TAMPERED,
        ),
        (
            "other_root",
            "another root than was signed",
            {
                let line = good.lines().nth(2).unwrap();
                good.replacen(line, &BASE64_STANDARD.encode(root(1)), 1)
            },
            TAMPERED,
        ),
        (
            "other_key",
            "signed by another key of the same name",
            note(&format!("{text}\n"), ORIGIN, OTHER_LOG),
            TAMPERED,
        ),
        ("unsigned", "without signatures", format!("{text}\n\n"), TAMPERED),
        (
            "witness_alone",
            "signed by a witness alone",
            note(&format!("{text}\n"), "example.org/witness", 0x91),
            TAMPERED,
        ),
        (
            "of_other_log",
            "of another log's name, signed by this log's key",
            note(&body("example.org/other", "7", root(1)), ORIGIN, LOG),
            TAMPERED,
        ),
        (
            "size_with_zero",
            "a size of 07",
            note(&body(ORIGIN, "07", root(1)), ORIGIN, LOG),
            TAMPERED,
        ),
        (
            "size_too_large",
            "a size above 2^60",
            note(&body(ORIGIN, "1152921504606846977", root(1)), ORIGIN, LOG),
            TAMPERED,
        ),
        (
            "size_largest",
            "nothing; a size of 2^60",
            note(&body(ORIGIN, "1152921504606846976", root(1)), ORIGIN, LOG),
            INTACT,
        ),
        (
            "nothing_with_root",
            "of no entry, with another root than that of nothing",
            note(&body(ORIGIN, "0", root(1)), ORIGIN, LOG),
            TAMPERED,
        ),
        (
            "root_too_short",
            "a root of 31 bytes",
            note(&format!("{ORIGIN}\n7\n{}\n", BASE64_STANDARD.encode([1; 31])), ORIGIN, LOG),
            TAMPERED,
        ),
        ("two_lines", "without a root", note(&format!("{ORIGIN}\n7\n"), ORIGIN, LOG), TAMPERED),
        ("text", "a text", "seven entries\n".into(), TAMPERED),
    ];
    for (name, defect, text, due) in cases {
        made.add((name, "checkpoint"), defect, text, due);
    }
    made.add(("seven", "checkpoint"), "of a log of another key", &good, TAMPERED)["log_key"] =
        log_key(ORIGIN, OTHER_LOG).into();
}

fn proofs(made: &mut Made, grown: &Ledger) {
    let good = grown.prove(2).unwrap().to_string();
    let lines: Vec<&str> = good.split('\n').collect();
    let (extra, hash) = (lines[1], lines[3]);
    let swap = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replacen(from, to, 1)
    };
    let of = |n: u64| grown.prove(n).unwrap().to_string();
    let extra_of = |n: u64| of(n).split('\n').nth(1).unwrap().to_owned();
    let (_one_dir, one) = ledger_of(&entries()[..1], LOG);
    let (_six_dir, six) = ledger_of(&entries()[..6], LOG);
    let checkpoint = grown.checkpoint().as_str();
    let (_other_dir, other) = ledger_of(&entries(), OTHER_LOG);
    let last = hash.as_bytes()[42];
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let next = alphabet[alphabet.iter().position(|c| *c == last).unwrap() + 1];
    let idle = format!("{}{}=", &hash[..42], char::from(next));
    let many = format!("{hash}\n").repeat(65);
    let cases = [
        ("third_of_seven", "nothing", good.clone(), INTACT),
        ("first_of_seven", "nothing", of(0), INTACT),
        ("last_of_seven", "nothing", of(6), INTACT),
        ("only", "nothing; the log's only entry", one.prove(0).unwrap().to_string(), INTACT),
        (
            "witnessed_log",
            "nothing; a witness signed the checkpoint, too",
            swap(checkpoint, &witnessed(checkpoint)),
            INTACT,
        ),
        ("other_entry", "another entry of the log", swap(extra, &extra_of(3)), TAMPERED),
        ("other_index", "index 3 for 2", swap("index 2", "index 3"), TAMPERED),
        ("index_beyond", "index 7 of 7", swap("index 2", "index 7"), TAMPERED),
        ("index_with_zero", "index 02", swap("index 2", "index 02"), TAMPERED),
        ("index_with_sign", "index +2", swap("index 2", "index +2"), TAMPERED),
        ("no_index", "no index", swap("index 2\n", ""), TAMPERED),
        ("other_hash", "one hash is another", swap(hash, lines[4]), TAMPERED),
        ("hash_too_few", "a hash is missing", swap(&format!("{hash}\n"), ""), TAMPERED),
        ("hash_too_many", "a hash twice", swap(hash, &format!("{hash}\n{hash}")), TAMPERED),
        ("hashes_too_many", "65 hashes more", swap(&format!("{hash}\n"), &many), TAMPERED),
        (
            "hash_too_short",
            "a hash of 31 bytes",
            swap(hash, &BASE64_STANDARD.encode([1; 31])),
            TAMPERED,
        ),
        ("version_2_of_proof", "c2sp.org/tlog-proof@v2", swap("proof@v1", "proof@v2"), TAMPERED),
        (
            "without_entry",
            "no extra line, and no entry is given",
            swap(&format!("{extra}\n"), ""),
            TAMPERED,
        ),
        (
            "extra_not_base64",
            "an extra line that is not base64",
            swap("extra ", "extra !"),
            TAMPERED,
        ),
        (
            "hash_unpadded",
            "base64 without its padding",
            swap(hash, hash.trim_end_matches('=')),
            TAMPERED,
        ),
        ("hash_with_idle_bits", "base64 with a bit that says nothing", swap(hash, &idle), TAMPERED),
        ("no_blank_line", "no blank line before the checkpoint", swap("\n\n", "\n"), TAMPERED),
        ("carriage_returns", "lines that end with two bytes", good.replace('\n', "\r\n"), TAMPERED),
        (
            "earlier_checkpoint",
            "the checkpoint of six entries",
            swap(checkpoint, six.checkpoint().as_str()),
            TAMPERED,
        ),
        (
            "checkpoint_of_other_key",
            "the same log by another key",
            other.prove(2).unwrap().to_string(),
            TAMPERED,
        ),
    ];
    for (name, defect, text, due) in cases {
        made.add((name, "proof"), defect, text, due);
    }
    made.add(("third_of_seven", "proof"), "of a log of another key", &good, TAMPERED)["log_key"] =
        log_key(ORIGIN, OTHER_LOG).into();
    let mut unsigned = entries()[1].as_bytes().to_vec();
    *unsigned.last_mut().unwrap() ^= 1;
    let event = entries()[1].event().clone();
    let elsewhere = bound("example.org/other", 1, &event, &host(0));
    for (name, entry, defect) in [
        ("unsigned_entry", unsigned.as_slice(), "in the log, and its author did not sign it"),
        ("entry_for_other_log", elsewhere.as_bytes(), "in the log, and signed for another one"),
    ] {
        made.add((name, "proof"), defect, proof_of_any(entry), TAMPERED);
    }
}

/// The proof of these bytes, which the log's key signed behind a registration without asking what they are.
fn proof_of_any(leaf: &[u8]) -> String {
    let dir = folder_of(ORIGIN, LOG);
    drop(Ledger::open_or_create(dir.path()).unwrap());
    let first = registered("dealt_two.outline");
    sign_leaves(dir.path(), &[first.as_bytes(), leaf]);
    let checkpoint = std::fs::read_to_string(dir.path().join("checkpoint")).unwrap();
    // The other leaf is the path from the second of two.
    let sibling = tlog_tiles::tlog::record_hash(first.as_bytes());
    let extra = BASE64_STANDARD.encode(leaf);
    format!("c2sp.org/tlog-proof@v1\nextra {extra}\nindex 1\n{sibling}\n\n{checkpoint}")
}

fn extensions(made: &mut Made, grown: &Ledger) {
    let key = VerifierKey::parse(&log_key(ORIGIN, LOG)).unwrap();
    let at = |n: usize| ledger_of(&entries()[..n], LOG).1.checkpoint().clone();
    let (three, four) = (at(3), at(4));
    let good = grown.prove_extension(3).unwrap().to_string();
    let hash = good.split('\n').nth(1).unwrap().to_owned();
    let forked = {
        let mut other = entries()[..2].to_vec();
        other.push(entries()[5].clone());
        ledger_of(&other, LOG).1.checkpoint().clone()
    };
    assert_eq!(forked.size(), 3);
    let from = |n: u64| grown.prove_extension(n).unwrap().to_string();
    let swap = |from: &str, to: &str| good.replacen(from, to, 1);
    let cases: [(&str, &str, String, &Checkpoint, _); 11] = [
        ("from_three", "nothing", good.clone(), &three, INTACT),
        ("from_four", "nothing", from(4), &four, INTACT),
        ("from_nothing", "nothing; from no entry", from(0), &at(0), INTACT),
        ("from_itself", "nothing; from the same size", from(7), &at(7), INTACT),
        (
            "of_other_size",
            "the earlier checkpoint is of four entries",
            good.clone(),
            &four,
            TAMPERED,
        ),
        (
            "of_fork",
            "the earlier checkpoint is of three other entries",
            good.clone(),
            &forked,
            TAMPERED,
        ),
        (
            "with_hash_too_few",
            "a hash is missing",
            swap(&format!("{hash}\n"), ""),
            &three,
            TAMPERED,
        ),
        (
            "with_hash_twice",
            "a hash twice",
            swap(&hash, &format!("{hash}\n{hash}")),
            &three,
            TAMPERED,
        ),
        (
            "with_hash_from_nothing",
            "a hash, from no entry",
            from(0).replacen("old 0\n", &format!("old 0\n{hash}\n"), 1),
            &at(0),
            TAMPERED,
        ),
        (
            "from_another_size",
            "old 0 for old 7, and the earlier checkpoint is of seven entries",
            from(7).replacen("old 7", "old 0", 1),
            &at(7),
            TAMPERED,
        ),
        ("size_with_zero_before", "old 03", swap("old 3", "old 03"), &three, TAMPERED),
    ];
    for (name, defect, text, old, due) in cases {
        Checkpoint::verify(old.as_str(), &key).unwrap();
        made.add((name, "extension"), defect, text, due)
            .insert("checkpoint".into(), old.as_str().into());
    }
}

pub(crate) fn add(made: &mut Made) {
    let (_dir, grown) = ledger_of(&entries(), LOG);
    checkpoints(made, &grown);
    proofs(made, &grown);
    extensions(made, &grown);
}
