//! Witnesses: what they sign is kept and counted, and nothing else is.

use aws_lc_rs::signature::{
    ED25519, Ed25519KeyPair, KeyPair, ML_DSA_44_SIGNING, PqdsaKeyPair, UnparsedPublicKey,
};
use base64::prelude::{BASE64_STANDARD, Engine};
use deepring_ledger::witness::{
    CosignatureError, LineFault, NotWitnessed, WitnessKey, WitnessPolicy, WitnessPolicyError,
};
use deepring_ledger::{Checkpoint, Fault, Ledger, LedgerError, Proof};
use proptest::prelude::*;
use signed_note::key_id;

use crate::sample::{decision, decisions, ledger_of, mixed, registered};

/// A witness that cosigns whatever it is given.
pub(crate) struct Witness {
    pub(crate) name: String,
    secret: Secret,
}

enum Secret {
    Ed25519(Ed25519KeyPair),
    MlDsa44(PqdsaKeyPair),
}

impl Witness {
    pub(crate) fn new(n: u8) -> Self {
        let secret = Secret::Ed25519(Ed25519KeyPair::from_seed_unchecked(&[n; 32]).unwrap());
        Self { name: format!("witness.example/w{n}"), secret }
    }

    pub(crate) fn post_quantum(name: &str) -> Self {
        let secret = Secret::MlDsa44(PqdsaKeyPair::generate(&ML_DSA_44_SIGNING).unwrap());
        Self { name: name.to_owned(), secret }
    }

    fn public(&self) -> Vec<u8> {
        match &self.secret {
            Secret::Ed25519(key) => [&[4], key.public_key().as_ref()].concat(),
            Secret::MlDsa44(key) => [&[6], key.public_key().as_ref()].concat(),
        }
    }

    pub(crate) fn vkey(&self) -> String {
        let public = self.public();
        let id = key_id(&self.name, &public);
        format!("{}+{id:08x}+{}", self.name, BASE64_STANDARD.encode(public))
    }

    pub(crate) fn key(&self) -> WitnessKey {
        WitnessKey::parse(&self.vkey()).unwrap()
    }

    /// The signature line of this witness on a checkpoint, at a time.
    pub(crate) fn line(&self, checkpoint: &Checkpoint, time: u64) -> String {
        let body = checkpoint.body().to_string();
        let signature = match &self.secret {
            Secret::Ed25519(key) => {
                let message = format!("cosignature/v1\ntime {time}\n{body}");
                let signature = key.sign(message.as_bytes()).as_ref().to_vec();
                UnparsedPublicKey::new(&ED25519, key.public_key().as_ref())
                    .verify(message.as_bytes(), &signature)
                    .unwrap();
                signature
            }
            Secret::MlDsa44(key) => {
                let (name, origin) = (self.name.as_bytes(), checkpoint.origin().as_bytes());
                let message = [
                    b"subtree/v1\n\0".as_slice(),
                    &[name.len() as u8],
                    name,
                    &time.to_be_bytes(),
                    &[origin.len() as u8],
                    origin,
                    &0u64.to_be_bytes(),
                    &checkpoint.size().to_be_bytes(),
                    checkpoint.root(),
                ]
                .concat();
                let mut signature = vec![0; ML_DSA_44_SIGNING.signature_len()];
                key.sign(&message, &mut signature).unwrap();
                signature
            }
        };
        self.line_of(time, &signature)
    }

    fn line_of(&self, time: u64, signature: &[u8]) -> String {
        let id = key_id(&self.name, &self.public()).to_be_bytes();
        let blob = [id.as_slice(), &time.to_be_bytes(), signature].concat();
        format!("— {} {}\n", self.name, BASE64_STANDARD.encode(blob))
    }
}

/// A ledger that holds some entries, open for writing.
fn opened() -> (tempfile::TempDir, Ledger) {
    let dir = ledger_of(&mixed(7));
    let ledger = Ledger::open(dir.path()).unwrap();
    (dir, ledger)
}

fn wrong(witness: &Witness) -> CosignatureError {
    CosignatureError::Wrong { witness: witness.name.clone() }
}

#[test]
fn what_a_witness_signed_is_kept_and_carried_by_what_is_made_afterwards() {
    let (dir, mut ledger) = opened();
    let (one, two) = (Witness::new(1), Witness::post_quantum("witness.example/pq"));
    let keys = [one.key(), two.key()];
    for (witness, time) in [(&one, 1_700_000_000), (&two, 1_700_000_001)] {
        let reply = witness.line(ledger.checkpoint(), time);
        let cosigned = ledger.checkpoint().cosigned(&reply, &keys).unwrap();
        assert_eq!(cosigned.added()[0].timestamp(), time);
        ledger.keep_cosignatures(&cosigned).unwrap();
    }
    let text = ledger.checkpoint().as_str().to_owned();
    drop(ledger);
    let file = std::fs::read_to_string(dir.path().join("checkpoint")).unwrap();
    assert_eq!(file, text);
    let ledger = Ledger::open_read(dir.path(), None).unwrap();
    assert_eq!(ledger.checkpoint().as_str(), text);
    assert!(ledger.verify().unwrap().is_intact());
    let proof = Proof::parse(&ledger.prove(3).unwrap().to_string()).unwrap();
    let shown = proof.verify(ledger.key()).unwrap();
    for checkpoint in [shown.checkpoint(), ledger.checkpoint()] {
        let named: Vec<_> = checkpoint.cosignatures(&keys).unwrap();
        let named: Vec<&str> = named.iter().map(|c| c.witness().name()).collect();
        assert_eq!(named, [&one.name, &two.name]);
    }
    let extension = ledger.prove_extension(2).unwrap().to_string();
    assert!(extension.contains(&one.name));
    // The state that was kept with the checkpoint is still taken, and the next entry is appended.
    drop(ledger);
    let mut ledger = Ledger::open(dir.path()).unwrap();
    ledger.append(&[decision(99)]).unwrap();
    assert!(ledger.checkpoint().cosignatures(&keys).unwrap().is_empty());
    assert!(ledger.verify().unwrap().is_intact());
}

#[test]
fn a_newer_line_of_a_witness_takes_the_place_of_its_older_one() {
    let (_dir, ledger) = opened();
    let witness = Witness::new(1);
    let once =
        ledger.checkpoint().cosigned(&witness.line(ledger.checkpoint(), 5), &[witness.key()]);
    let once = once.unwrap().checkpoint().clone();
    let twice = once.cosigned(&witness.line(&once, 6), &[witness.key()]).unwrap();
    assert_eq!(twice.checkpoint().as_str().lines().count(), once.as_str().lines().count());
    let found = twice.checkpoint().cosignatures(&[witness.key()]).unwrap();
    assert_eq!(found.iter().map(|c| c.timestamp()).collect::<Vec<_>>(), [6]);
}

#[test]
fn a_reply_that_does_not_verify_is_not_taken() {
    let (dir, ledger) = opened();
    let (witness, stranger) = (Witness::new(1), Witness::new(2));
    let (keys, head) = ([witness.key()], ledger.checkpoint().clone());
    let good = witness.line(&head, 5);
    let taken = |reply: &str| head.cosigned(reply, &keys).map(|_| ());
    assert_eq!(taken(&good), Ok(()));
    // Of nobody that is known; beside a good line it is dropped.
    assert_eq!(taken(&stranger.line(&head, 5)), Err(CosignatureError::Unknown));
    assert_eq!(taken(&format!("{}{good}", stranger.line(&head, 5))), Ok(()));
    // Of another checkpoint, another time, by another key under the name, or cut short.
    let other = ledger_of(&mixed(8));
    let other = Ledger::open_read(other.path(), None).unwrap();
    assert_eq!(taken(&witness.line(other.checkpoint(), 5)), Err(wrong(&witness)));
    let signature = BASE64_STANDARD.decode(good.trim().rsplit(' ').next().unwrap()).unwrap();
    assert_eq!(taken(&witness.line_of(6, &signature[12..])), Err(wrong(&witness)));
    assert_eq!(taken(&witness.line_of(5, &[0; 64])), Err(wrong(&witness)));
    assert_eq!(taken(&witness.line_of(5, &signature[12..75])), Err(wrong(&witness)));
    // One wrong line, and nothing of the reply is taken.
    let bad = witness.line_of(5, &[0; 64]);
    assert_eq!(taken(&format!("{good}{bad}")), Err(wrong(&witness)));
    // Times by which nothing is said.
    for timestamp in [0, 1 << 63, u64::MAX] {
        let named = CosignatureError::Time { witness: witness.name.clone(), timestamp };
        assert_eq!(taken(&witness.line(&head, timestamp)), Err(named));
    }
    for (reply, line) in
        [("", 0), ("no line\n", 1), (good.trim_end(), 1), (&format!("{good}\n"), 2)]
    {
        assert_eq!(taken(reply), Err(CosignatureError::NotALine { line }), "{reply:?}");
    }
    assert_eq!(taken(&good.repeat(101)), Err(CosignatureError::TooMany));
    assert_eq!(taken(&"x\n".repeat(1 << 16)), Err(CosignatureError::TooMany));
    drop(dir);
}

/// The message of a post-quantum cosignature names the witness, the log, the size and the root.
#[test]
fn a_post_quantum_cosignature_is_of_one_witness_and_one_checkpoint() {
    let (_dir, ledger) = opened();
    let witness = Witness::post_quantum("w");
    let head = ledger.checkpoint();
    let line = witness.line(head, 5);
    head.cosigned(&line, &[witness.key()]).unwrap();
    // As many entries, and others.
    let mut others = vec![registered()];
    others.extend(decisions(1..7));
    let other = ledger_of(&others);
    let other = Ledger::open_read(other.path(), None).unwrap();
    let refused = other.checkpoint().cosigned(&line, &[witness.key()]);
    assert_eq!(refused.unwrap_err(), wrong(&witness));
    // The same key under another name: the signature is not of that name.
    let renamed = Witness { name: "v".into(), secret: witness.secret };
    let blob = BASE64_STANDARD.decode(line.trim().rsplit(' ').next().unwrap()).unwrap();
    let moved = renamed.line_of(5, &blob[12..]);
    assert_eq!(head.cosigned(&moved, &[renamed.key()]).unwrap_err(), wrong(&renamed));
}

#[test]
fn cosignatures_are_kept_with_the_newest_checkpoint_alone() {
    let (dir, mut ledger) = opened();
    let witness = Witness::new(1);
    let old = ledger.checkpoint().clone();
    let cosigned = old.cosigned(&witness.line(&old, 5), &[witness.key()]).unwrap();
    ledger.append(&[decision(99)]).unwrap();
    let refused = ledger.keep_cosignatures(&cosigned).unwrap_err();
    assert!(matches!(refused, LedgerError::NotTheNewest { cosigned: 7, size: 8 }), "{refused}");
    drop(ledger);
    let mut reader = Ledger::open_read(dir.path(), None).unwrap();
    let refused = reader.keep_cosignatures(&cosigned).unwrap_err();
    assert!(matches!(refused, LedgerError::ReadOnly), "{refused}");
    // Of another log with as many entries.
    let other = ledger_of(&mixed(8));
    let mut other = Ledger::open(other.path()).unwrap();
    let refused = other.keep_cosignatures(&cosigned).unwrap_err();
    assert!(matches!(refused, LedgerError::NotTheNewest { .. }), "{refused}");
    assert_eq!(refused.fault(), Fault::Usage);
}

/// Witnesses 1 to 4 in two groups, both of which are asked for: two of the first three, and one of
/// the last two, of which one is a group.
pub(crate) fn policy(log: &str) -> String {
    let keys: Vec<String> = (1..=4).map(|n| Witness::new(n).vkey()).collect();
    format!(
        "# who is asked\nlog {log} https://log.example/\n\n\
         witness A {}\n witness\tB {} https://b.example/\nwitness C {}\ngroup first 2 A B C\n\
         witness \u{212a} {}\ngroup last any \u{212a}\ngroup both all first last\nquorum both\n",
        keys[0], keys[1], keys[2], keys[3]
    )
}

#[test]
fn a_policy_is_met_by_those_that_it_names() {
    let (_dir, ledger) = opened();
    let policy = WitnessPolicy::parse(policy(ledger.key().as_str()).as_bytes()).unwrap();
    assert_eq!((policy.logs().len(), policy.witnesses().len()), (1, 4));
    for mask in 0..32u8 {
        let mut checkpoint = ledger.checkpoint().clone();
        for n in (1..=5).filter(|n| mask >> (n - 1) & 1 == 1) {
            let witness = Witness::new(n);
            let line = witness.line(&checkpoint, 5);
            checkpoint = checkpoint.cosigned(&line, &[witness.key()]).unwrap().checkpoint().clone();
        }
        let met = (mask & 0b111).count_ones() >= 2 && mask & 0b1000 != 0;
        let found = (mask & 0b1111).count_ones() as usize;
        match policy.check(&checkpoint) {
            Ok(witnessed) => assert!(met && witnessed.cosignatures().len() == found, "{mask:05b}"),
            Err(e) => {
                assert!(!met, "{mask:05b}");
                assert_eq!(e, NotWitnessed::NoQuorum { found, known: 4 });
            }
        }
    }
}

#[test]
fn a_policy_is_met_under_its_own_logs_and_by_true_cosignatures_alone() {
    let (_dir, ledger) = opened();
    let (witness, head) = (Witness::new(1), ledger.checkpoint());
    let text = |log: &str, quorum: &str| {
        let policy = format!("{log}witness A {}\nquorum {quorum}\n", witness.vkey());
        WitnessPolicy::parse(policy.as_bytes()).unwrap()
    };
    let log = format!("log {}\n", ledger.key());
    let other = ledger_of(&mixed(1));
    let other = format!("log {}\n", Ledger::open_read(other.path(), None).unwrap().key());
    // Nobody is asked for, and that is said.
    for logs in ["", &log, &format!("{other}{log}")] {
        assert!(text(logs, "none").check(head).unwrap().cosignatures().is_empty());
    }
    let origin = head.origin().to_owned();
    assert_eq!(text(&other, "none").check(head), Err(NotWitnessed::OtherLog { origin }));
    let none = Err(NotWitnessed::NoQuorum { found: 0, known: 1 });
    assert_eq!(text(&log, "A").check(head), none);
    let good = head.cosigned(&witness.line(head, 5), &[witness.key()]).unwrap();
    assert_eq!(text(&log, "A").check(good.checkpoint()).unwrap().cosignatures().len(), 1);
    // A wrong one: who shows it tampered with it, even where nobody is asked for.
    let forged = format!("{head}{}", witness.line_of(5, &[0; 64]));
    let forged = Checkpoint::verify(&forged, ledger.key()).unwrap();
    for quorum in ["A", "none"] {
        let refused = text(&log, quorum).check(&forged);
        assert_eq!(refused, Err(NotWitnessed::Cosignature(wrong(&witness))));
    }
}

#[test]
fn a_file_that_is_no_policy_is_refused_with_its_line() {
    let (one, two) = (Witness::new(1).vkey(), Witness::new(2).vkey());
    let (_dir, ledger) = opened();
    let log = ledger.key().to_string();
    let base = format!("witness A {one}\nwitness B {two}\n");
    let name = |name: &str| name.to_owned();
    let renamed = {
        let same = Witness { name: "other.example".into(), ..Witness::new(1) };
        same.vkey()
    };
    let form = |form| LineFault::Form { form };
    for (lines, fault) in [
        ("quorum A\nquorum A\n", LineFault::SecondQuorum),
        ("quorum none\nquorum none\n", LineFault::SecondQuorum),
        ("quorum C\n", LineFault::UnknownName { name: name("C") }),
        ("quorum\n", form("quorum <name>")),
        ("quorum A B\n", form("quorum <name>")),
        ("quorum A", LineFault::Unterminated),
        ("quorum A\r\n", LineFault::Byte { byte: b'\r' }),
        ("# \u{7}\n", LineFault::Byte { byte: 7 }),
        ("\u{7f}\n", LineFault::Byte { byte: 0x7f }),
        ("threshold 2\n", LineFault::UnknownKind { kind: name("threshold") }),
        ("Quorum A\n", LineFault::UnknownKind { kind: name("Quorum") }),
        ("group G any\n", form("group <name> all|any|<k> <name>...")),
        ("group G 0 A\n", LineFault::Threshold { threshold: name("0"), members: 1 }),
        ("group G 2 A\n", LineFault::Threshold { threshold: name("2"), members: 1 }),
        ("group G 01 A\n", LineFault::Threshold { threshold: name("01"), members: 1 }),
        ("group G +1 A\n", LineFault::Threshold { threshold: name("+1"), members: 1 }),
        ("group G most A\n", LineFault::Threshold { threshold: name("most"), members: 1 }),
        ("group G any A A\n", LineFault::MemberTwice { name: name("A") }),
        ("group G any A\ngroup H any A B\n", LineFault::MemberTwice { name: name("A") }),
        ("group G any none\n", LineFault::Reserved),
        ("group G any G\n", LineFault::UnknownName { name: name("G") }),
        ("group G any A H\n", LineFault::UnknownName { name: name("H") }),
        ("group A any B\n", LineFault::DuplicateName { name: name("A") }),
        ("group none any A\n", LineFault::Reserved),
        (&format!("witness C {renamed}\n"), LineFault::DuplicateKey),
        (&format!("log {log}\nlog {log}\n"), LineFault::DuplicateKey),
        ("witness C\n", form("witness <name> <vkey> [<url>]")),
        ("witness C k u x\n", form("witness <name> <vkey> [<url>]")),
        ("log\n", form("log <vkey> [<url>]")),
    ] {
        let text = format!("{base}{lines}");
        let refused = WitnessPolicy::parse(text.as_bytes()).unwrap_err();
        let WitnessPolicyError::Line { line, fault: found } = refused else {
            panic!("{lines:?}: {refused}")
        };
        assert_eq!((found, line > 2), (fault, true), "{lines:?}");
    }
    // A log's key is no witness's, nor the other way round; nor is a second name for a witness.
    for lines in [
        format!("witness C {log}\n"),
        format!("log {one}\n"),
        format!("witness A {}\n", Witness::new(3).vkey()),
        format!("witness none {}\n", Witness::new(3).vkey()),
        "witness C x\n".to_owned(),
        "log \u{ff}\n".to_owned(),
    ] {
        assert!(WitnessPolicy::parse(format!("{base}{lines}quorum none\n").as_bytes()).is_err());
    }
    assert_eq!(WitnessPolicy::parse(base.as_bytes()).unwrap_err(), WitnessPolicyError::NoQuorum);
    assert_eq!(WitnessPolicy::parse(b"").unwrap_err(), WitnessPolicyError::NoQuorum);
    let long = "\n".repeat(1 << 19);
    assert_eq!(WitnessPolicy::parse(long.as_bytes()).unwrap_err(), WitnessPolicyError::TooLong);
    // Bytes that are no UTF-8 are bytes of names, comments and URLs.
    let bytes = [b"# \xff\nwitness \xff ", one.as_bytes(), b" http://\xfe\nquorum \xff\n"].concat();
    WitnessPolicy::parse(&bytes).unwrap();
}

/// As many as the specification asks every reader for, and one too many.
#[test]
fn a_policy_has_a_bounded_number_of_witnesses() {
    let witnesses = |n: u8| {
        let lines = (1..=n).map(|n| format!("witness {n} {}\n", Witness::new(n).vkey()));
        let text = format!("{}quorum 1\n", lines.collect::<String>());
        WitnessPolicy::parse(text.as_bytes()).map(|policy| policy.witnesses().len())
    };
    assert_eq!(witnesses(128), Ok(128));
    let fault = LineFault::TooMany;
    assert_eq!(witnesses(129), Err(WitnessPolicyError::Line { line: 129, fault }));
}

proptest! {
    /// Whatever is changed in a policy, it is a policy again or refused, and reads the same twice.
    #[test]
    fn any_bytes_are_a_policy_or_refused(
        at in any::<prop::sample::Index>(),
        with in prop::sample::select(&b"\n\t #aA0+\x00\x7f\xff"[..]),
        cut in any::<bool>(),
    ) {
        let log = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let mut file = policy(log).into_bytes();
        let at = at.index(file.len());
        if cut { file.truncate(at) } else { file[at] = with }
        let read = |file: &[u8]| match WitnessPolicy::parse(file) {
            Ok(policy) => Ok(format!("{policy:?}")),
            Err(e) => Err(e.to_string()),
        };
        prop_assert_eq!(read(&file), read(&file));
        // No change of one byte makes the quorum of another policy out of this one without its line.
        prop_assert!(!(cut && read(&file).is_ok()), "{}", String::from_utf8_lossy(&file));
    }
}
