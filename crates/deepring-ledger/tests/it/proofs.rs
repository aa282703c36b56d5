//! Proofs: what is true is proven, and nothing near it is.

use std::sync::OnceLock;

use deepring_ledger::log::CheckpointError;
use deepring_ledger::proof::ProofError;
use deepring_ledger::{
    Binding, Checkpoint, Entry, ExtensionProof, Fault, Ledger, LedgerError, Proof, VerifierKey,
};
use proptest::prelude::*;

use crate::rows::sign_leaves;
use crate::sample::{ORIGIN, by_host, decision, ledger_of, mixed, registered};

const LARGEST: u64 = 70;

/// One ledger that grew entry by entry: its key, its checkpoint at every size, and every inclusion
/// and extension proof that it gave at every size.
struct Grown {
    key: VerifierKey,
    checkpoints: Vec<Checkpoint>,
    proofs: Vec<Vec<Proof>>,
    extensions: Vec<Vec<ExtensionProof>>,
}

fn grown() -> &'static Grown {
    static GROWN: OnceLock<Grown> = OnceLock::new();
    GROWN.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let mut ledger = crate::sample::ledger_at(dir.path()).unwrap();
        let key = ledger.key().clone();
        let mut checkpoints = vec![ledger.checkpoint().clone()];
        let mut proofs = vec![Vec::new()];
        let mut extensions = vec![vec![ledger.prove_extension(0).unwrap()]];
        for entry in mixed(LARGEST) {
            ledger.append(&[entry]).unwrap();
            checkpoints.push(ledger.checkpoint().clone());
            proofs.push((0..ledger.len()).map(|i| ledger.prove(i).unwrap()).collect());
            extensions
                .push((0..=ledger.len()).map(|n| ledger.prove_extension(n).unwrap()).collect());
        }
        Grown { key, checkpoints, proofs, extensions }
    })
}

proptest! {
    #[test]
    fn every_entry_is_proven_at_every_size(size in 1..=LARGEST, index in any::<prop::sample::Index>()) {
        let Grown { key, checkpoints, proofs, .. } = grown();
        let index = index.index(size as usize);
        let proof = Proof::parse(&proofs[size as usize][index].to_string()).unwrap();
        prop_assert_eq!(&proof, &proofs[size as usize][index]);
        let shown = proof.verify(key).unwrap();
        prop_assert_eq!(shown.index(), index as u64);
        prop_assert_eq!(shown.entry(), &mixed(LARGEST)[index]);
        prop_assert_eq!(shown.checkpoint(), &checkpoints[size as usize]);
    }

    #[test]
    fn an_altered_proof_text_is_refused(
        size in 1..=LARGEST,
        index in any::<prop::sample::Index>(),
        position in any::<prop::sample::Index>(),
        with in prop::sample::select(&b"AQz09+/= \n"[..]),
    ) {
        let Grown { key, proofs, .. } = grown();
        let text = proofs[size as usize][index.index(size as usize)].to_string();
        let mut bytes = text.clone().into_bytes();
        let position = position.index(bytes.len());
        prop_assume!(bytes[position] != with);
        bytes[position] = with;
        let Ok(altered) = String::from_utf8(bytes) else { return Ok(()) };
        let verified = Proof::parse(&altered).and_then(|proof| proof.verify(key));
        prop_assert!(verified.is_err(), "{altered}");
    }

    #[test]
    fn a_shorter_or_longer_or_foreign_path_is_refused(
        size in 2..=LARGEST, index in any::<prop::sample::Index>(), line in any::<prop::sample::Index>()
    ) {
        let Grown { key, proofs, .. } = grown();
        let text = proofs[size as usize][index.index(size as usize)].to_string();
        let (head, checkpoint) = text.split_once("\n\n").unwrap();
        let lines: Vec<&str> = head.split('\n').collect();
        let at = 3 + line.index(lines.len() - 3);
        let mut without = lines.clone();
        without.remove(at);
        let mut twice = lines.clone();
        twice.insert(at, lines[at]);
        for lines in [without, twice] {
            let altered = format!("{}\n\n{checkpoint}", lines.join("\n"));
            let verified = Proof::parse(&altered).and_then(|proof| proof.verify(key));
            let refused = matches!(verified, Err(ProofError::NotIncluded { .. }));
            prop_assert!(refused);
        }
    }

    #[test]
    fn a_proof_is_for_its_entry_and_its_checkpoint(
        size in 2..=LARGEST, a in any::<prop::sample::Index>(), b in any::<prop::sample::Index>()
    ) {
        let Grown { key, proofs, checkpoints, .. } = grown();
        let proofs = &proofs[size as usize];
        let (a, b) = (a.index(size as usize), b.index(size as usize));
        let bytes = proofs[b].entry_bytes().unwrap();
        prop_assert_eq!(proofs[a].verify_entry(bytes, key).is_ok(), a == b);

        let other = checkpoints[size as usize - 1].as_str();
        let moved = proofs[a].to_string().replace(checkpoints[size as usize].as_str(), other);
        prop_assert!(Proof::parse(&moved).unwrap().verify(key).is_err());
    }

    #[test]
    fn every_state_extends_every_earlier_one_and_no_other(
        new in 0..=LARGEST, old in 0..=LARGEST, claimed in 0..=LARGEST
    ) {
        let Grown { key, checkpoints, extensions, .. } = grown();
        prop_assume!(old <= new);
        let proof = &extensions[new as usize][old as usize];
        let proof = ExtensionProof::parse(&proof.to_string()).unwrap();
        prop_assert_eq!(&proof, &extensions[new as usize][old as usize]);
        let shown = proof.verify(&checkpoints[old as usize], key).unwrap();
        prop_assert_eq!(shown.earlier(), &checkpoints[old as usize]);
        prop_assert_eq!(shown.later(), &checkpoints[new as usize]);
        if claimed != old {
            let refused = proof.verify(&checkpoints[claimed as usize], key);
            let other = matches!(refused, Err(ProofError::OtherSize { .. }));
            prop_assert!(other);
            let text = proof.to_string();
            let renamed = text.replacen(&format!("old {old}"), &format!("old {claimed}"), 1);
            let renamed = ExtensionProof::parse(&renamed).unwrap();
            // No hash is needed from nothing, nor from the same size to itself.
            let trivial = text.starts_with(&format!("old {old}\n\n"));
            let honest = trivial && (claimed == 0 || claimed == new);
            prop_assert_eq!(renamed.verify(&checkpoints[claimed as usize], key).is_ok(), honest);
        }
    }

    #[test]
    fn any_text_is_parsed_or_refused(text in "(c2sp.org/tlog-proof@v1\n)?(extra [A-Za-z=]{0,8}\n)?(index [0-9]{1,21}\n|old [0-9]{1,3}\n)?[A-Za-z0-9+/=\n]{0,99}") {
        let _ = Proof::parse(&text).map(|proof| proof.verify(&grown().key));
        let _ = ExtensionProof::parse(&text);
    }
}

#[test]
fn a_proof_has_the_text_form_of_the_specification() {
    let Grown { key, proofs, .. } = grown();
    let text = proofs[7][2].to_string();
    let lines: Vec<&str> = text.split('\n').collect();
    assert_eq!(lines[0], "c2sp.org/tlog-proof@v1");
    assert!(lines[1].starts_with("extra "));
    assert_eq!(lines[2], "index 2");
    assert_eq!(lines[6], "");
    assert_eq!((lines[7], lines[8]), (key.origin(), "7"));
    assert!(text.ends_with('\n'));
}

#[test]
fn malformed_proofs_are_refused_by_name() {
    let text = grown().proofs[7][2].to_string();
    for (from, to) in [
        ("c2sp.org/tlog-proof@v1", "c2sp.org/tlog-proof@v2"),
        ("index 2", "index 02"),
        ("index 2", "index +2"),
        ("index 2", "index -2"),
        ("index 2", "Index 2"),
        ("extra ", "extra !"),
        ("\n\n", "\n"),
        ("index 2\n", "index 2\nAAAA\n"),
    ] {
        let altered = text.replacen(from, to, 1);
        let refused = Proof::parse(&altered);
        assert!(matches!(refused, Err(ProofError::Malformed { .. })), "{from} -> {to}");
    }
    assert!(Proof::parse(&text.replace('\n', "\r\n")).is_err());
}

#[test]
fn a_proof_without_its_entry_needs_it() {
    let Grown { key, proofs, .. } = grown();
    let full = &proofs[7][2];
    let text = full.to_string();
    let extra = text.split('\n').nth(1).unwrap();
    let bare = Proof::parse(&text.replace(&format!("{extra}\n"), "")).unwrap();
    assert_eq!(bare.verify(key), Err(ProofError::NoEntry));
    let bytes = full.entry_bytes().unwrap();
    assert_eq!(bare.verify_entry(bytes, key), full.verify(key));
}

#[test]
fn a_proof_under_an_earlier_checkpoint_is_the_one_that_was_given_then_and_there_is_none_under_another()
 {
    let dir = ledger_of(&mixed(9));
    let ledger = Ledger::open_read(dir.path(), None).unwrap();
    let fork = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), fork.path().join(file.file_name())).unwrap();
    }
    let [mut fork, mut longer] =
        [Ledger::open(fork.path()).unwrap(), Ledger::open(dir.path()).unwrap()];
    let before = longer.checkpoint().clone();
    let then: Vec<Proof> = (0..9).map(|index| longer.prove(index).unwrap()).collect();
    for entry in mixed(12).split_off(9) {
        longer.append(&[entry]).unwrap();
    }
    for (index, then) in (0..).zip(&then) {
        assert_eq!(longer.prove_under(index, &before).unwrap(), *then);
    }
    assert!(matches!(
        longer.prove_under(9, &before),
        Err(LedgerError::NoSuchEntry { index: 9, size: 9 })
    ));
    // Of a ledger that knows less, of another branch under the same key, and of another log.
    let newest = longer.checkpoint().clone();
    assert!(matches!(ledger.prove_under(0, &newest), Err(LedgerError::RolledBack { .. })));
    let [_, entry] = <[Entry; 2]>::try_from(mixed(11).split_off(9)).unwrap();
    fork.append(&[entry]).unwrap();
    let forked = fork.checkpoint().clone();
    assert!(matches!(longer.prove_under(0, &forked), Err(LedgerError::Rewritten { .. })));
    let foreign = &grown().checkpoints[7];
    assert!(matches!(longer.prove_under(0, foreign), Err(LedgerError::Checkpoint { .. })));
}

#[test]
fn a_proof_of_another_ledger_is_refused() {
    let dir = ledger_of(&mixed(7));
    let other = Ledger::open_read(dir.path(), None).unwrap();
    assert!(matches!(
        grown().proofs[7][2].verify(other.key()),
        Err(ProofError::Checkpoint(CheckpointError::NotSigned { .. }))
    ));
}

/// Whoever keeps this log can put in it what was said in another one.
#[test]
fn a_proof_of_what_was_said_in_another_log_is_refused() {
    let event = decision(1).event().clone();
    for (origin, due) in [(ORIGIN, Ok(())), ("deepring.test/other", Err(ProofError::OtherLog))] {
        let dir = tempfile::tempdir().unwrap();
        drop(crate::sample::ledger_at(dir.path()).unwrap());
        let entry = Entry::sign(Binding::new(origin, 0), 1, &event, &by_host(0)).unwrap();
        sign_leaves(dir.path(), &[registered().as_bytes(), entry.as_bytes()]);
        let ledger = Ledger::open_read(dir.path(), None).unwrap();
        let proof = Proof::parse(&ledger.prove(1).unwrap().to_string()).unwrap();
        assert_eq!(proof.verify(ledger.key()).map(drop), due);
        assert_eq!(proof.verify_entry(entry.as_bytes(), ledger.key()).map(drop), due);
    }
}

#[test]
fn a_ledger_extends_every_checkpoint_it_gave_and_none_of_another() {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = crate::sample::ledger_at(dir.path()).unwrap();
    let mut kept = vec![ledger.checkpoint().to_string()];
    for entry in mixed(9) {
        ledger.append(&[entry]).unwrap();
        kept.push(ledger.checkpoint().to_string());
    }
    for (size, old) in kept.iter().enumerate() {
        let shown = ledger.verify_against(old).unwrap();
        assert_eq!((shown.earlier().size(), shown.later().size()), (size as u64, 9));
    }
    let error = ledger.verify_against(grown().checkpoints[3].as_str()).unwrap_err();
    assert!(matches!(error, LedgerError::Checkpoint { .. }), "{error}");
    assert_eq!(error.fault(), Fault::Tampered);
    assert!(matches!(ledger.prove_extension(10), Err(LedgerError::NoSuchSize { .. })));
}
