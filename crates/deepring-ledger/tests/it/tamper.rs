//! Whoever changes a ledger's files is found out, or has changed nothing that is read.

use std::fs;
use std::path::Path;

use deepring_ledger::fsck::{Defect, LedgerReport};
use deepring_ledger::{Entry, Fault, Ledger, LedgerError, LedgerOptions};
use tempfile::TempDir;

use crate::sample::{Random, decision, decisions, ledger_of, mixed};

fn verify(dir: &Path) -> LedgerReport {
    LedgerOptions::new().verify(dir).unwrap()
}

fn copy(from: &Path) -> TempDir {
    let to = tempfile::tempdir().unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.path().join(file.file_name())).unwrap();
    }
    to
}

fn read_all(ledger: &Ledger) -> Result<Vec<Entry>, LedgerError> {
    ledger.iter(0..u64::MAX).map(|row| Ok(row?.1)).collect()
}

/// Either the ledger still holds these entries exactly, or every way of looking at it says that it
/// does not. Gives whether the change was found.
fn found_or_harmless(dir: &Path, entries: &[Entry], what: &str) -> bool {
    let report = verify(dir);
    let opened = Ledger::open_read(dir, None);
    let read = opened.as_ref().ok().map(read_all);
    if let Some(Ok(read)) = &read {
        assert!(read == entries, "{what}: other entries were given out");
    }
    if report.is_intact() {
        assert!(matches!(read, Some(Ok(_))), "{what}: intact, and yet {:?}", opened.err());
        return false;
    }
    if let Err(error) = opened {
        assert_eq!(error.fault(), Fault::Tampered, "{what}: {error}");
    }
    true
}

#[test]
fn a_flipped_byte_of_the_database_is_found_or_harmless() {
    let entries = mixed(40);
    let dir = ledger_of(&entries);
    let path = dir.path().join("ledger.redb");
    let good = fs::read(&path).unwrap();
    // redb allocates ahead; most of a small file is zero and means nothing. Half of the flips go
    // where something is written.
    let written: Vec<usize> = (0..good.len()).filter(|i| good[*i] != 0).collect();
    let mut random = Random(3);
    let mut found = 0;
    for round in 0..400 {
        let at = match round % 2 {
            0 => written[random.below(written.len() as u64) as usize],
            _ => random.below(good.len() as u64) as usize,
        };
        let mut bad = good.clone();
        bad[at] ^= 1 + random.below(255) as u8;
        fs::write(&path, &bad).unwrap();
        found += u32::from(found_or_harmless(dir.path(), &entries, &format!("byte {at}")));
    }
    assert!(found > 50, "{found}");
}

#[test]
fn a_writer_survives_flipped_bytes_too() {
    let entries = mixed(12);
    let dir = ledger_of(&entries);
    let path = dir.path().join("ledger.redb");
    let good = fs::read(&path).unwrap();
    let saved = fs::read(dir.path().join("checkpoint")).unwrap();
    let written: Vec<usize> = (0..good.len()).filter(|i| good[*i] != 0).collect();
    let mut random = Random(4);
    for _ in 0..60 {
        let at = written[random.below(written.len() as u64) as usize];
        let mut bad = good.clone();
        bad[at] ^= 1 + random.below(255) as u8;
        fs::write(&path, &bad).unwrap();
        fs::write(dir.path().join("checkpoint"), &saved).unwrap();
        match Ledger::open(dir.path()) {
            Ok(mut ledger) => {
                ledger.append(&[decision(99)]).unwrap();
                assert!(ledger.verify().unwrap().is_intact(), "byte {at}");
            }
            Err(error) => assert_eq!(error.fault(), Fault::Tampered, "byte {at}: {error}"),
        }
    }
}

#[test]
fn a_cut_emptied_or_foreign_database_is_found() {
    let entries = mixed(20);
    let dir = ledger_of(&entries);
    let path = dir.path().join("ledger.redb");
    let good = fs::read(&path).unwrap();
    let mut random = Random(5);
    let mut bad: Vec<Vec<u8>> =
        (0..20).map(|_| good[..random.below(good.len() as u64) as usize].to_vec()).collect();
    bad.push(Vec::new());
    bad.push(b"not a database".to_vec());
    bad.push(vec![0; good.len()]);
    for bytes in bad {
        fs::write(&path, &bytes).unwrap();
        assert!(found_or_harmless(dir.path(), &entries, &format!("{} bytes", bytes.len())));
        assert_eq!(Ledger::open(dir.path()).unwrap_err().fault(), Fault::Tampered);
        if bytes.len() < 32 {
            assert_eq!(fs::read(&path).unwrap(), bytes, "refused without being written to");
        }
    }
}

#[test]
fn an_older_database_beside_the_newer_checkpoint_is_a_rollback() {
    let dir = ledger_of(&mixed(5));
    let old = copy(dir.path());
    Ledger::open(dir.path()).unwrap().append(&decisions(50..53)).unwrap();
    fs::copy(old.path().join("ledger.redb"), dir.path().join("ledger.redb")).unwrap();
    let rolled_back = |error| matches!(error, LedgerError::RolledBack { size: 5, known: 8 });
    assert!(rolled_back(Ledger::open_read(dir.path(), None).unwrap_err()));
    assert!(rolled_back(Ledger::open(dir.path()).unwrap_err()));
    let report = verify(dir.path());
    assert_eq!(report.findings[0].what, Defect::RolledBack { known: 8, size: 5 });
}

#[test]
fn all_files_rolled_back_at_once_are_caught_by_a_kept_checkpoint_only() {
    let dir = ledger_of(&mixed(5));
    let old = copy(dir.path());
    let kept = {
        let mut ledger = Ledger::open(dir.path()).unwrap();
        ledger.append(&decisions(50..53)).unwrap();
        ledger.checkpoint().to_string()
    };
    let ledger = Ledger::open_read(old.path(), None).unwrap();
    assert!(ledger.verify().unwrap().is_intact());
    let error = ledger.verify_against(&kept).unwrap_err();
    assert!(matches!(error, LedgerError::RolledBack { size: 5, known: 8 }), "{error}");
}

#[test]
fn a_fork_by_the_key_holder_is_caught_by_a_kept_checkpoint_only() {
    let dir = ledger_of(&mixed(5));
    let fork = copy(dir.path());
    let kept = {
        let mut ledger = Ledger::open(dir.path()).unwrap();
        ledger.append(&[decision(1)]).unwrap();
        ledger.checkpoint().to_string()
    };
    let mut fork = Ledger::open(fork.path()).unwrap();
    fork.append(&[decision(2), decision(3)]).unwrap();
    assert!(fork.verify().unwrap().is_intact());
    let error = fork.verify_against(&kept).unwrap_err();
    assert!(matches!(error, LedgerError::Rewritten { known: 6 }), "{error}");
}

#[test]
fn a_fork_beside_the_checkpoint_file_is_found() {
    let dir = ledger_of(&mixed(5));
    let fork = copy(dir.path());
    Ledger::open(dir.path()).unwrap().append(&[decision(1)]).unwrap();
    Ledger::open(fork.path()).unwrap().append(&[decision(2), decision(3)]).unwrap();
    fs::copy(fork.path().join("ledger.redb"), dir.path().join("ledger.redb")).unwrap();
    let rewritten = |error| matches!(error, LedgerError::Rewritten { known: 6 });
    assert!(rewritten(Ledger::open_read(dir.path(), None).unwrap_err()));
    assert!(rewritten(Ledger::open(dir.path()).unwrap_err()));
    assert_eq!(verify(dir.path()).findings[0].what, Defect::Rewritten { known: 6 });
}

#[test]
fn missing_files_are_told_from_a_beginning() {
    let entries = mixed(5);
    let dir = ledger_of(&entries);

    let gone = copy(dir.path());
    fs::remove_file(gone.path().join("ledger.redb")).unwrap();
    assert!(matches!(Ledger::open(gone.path()), Err(LedgerError::DatabaseMissing { .. })));
    assert!(matches!(
        Ledger::open_read(gone.path(), None),
        Err(LedgerError::DatabaseMissing { .. })
    ));
    assert_eq!(verify(gone.path()).findings[0].what, Defect::DatabaseMissing);
    assert!(!gone.path().join("ledger.redb").exists());

    let gone = copy(dir.path());
    fs::remove_file(gone.path().join("checkpoint")).unwrap();
    assert!(matches!(Ledger::open(gone.path()), Err(LedgerError::CheckpointMissing { .. })));
    let reader = Ledger::open_read(gone.path(), None).unwrap();
    assert_eq!(read_all(&reader).unwrap(), entries);
    assert_eq!(reader.verify().unwrap().findings[0].what, Defect::SavedCheckpointMissing);
}

#[test]
fn a_foreign_key_or_checkpoint_beside_the_database_is_found() {
    let (dir, other) = (ledger_of(&mixed(5)), ledger_of(&mixed(5)));
    for name in ["log.pub", "checkpoint"] {
        let mixed_up = copy(dir.path());
        fs::copy(other.path().join(name), mixed_up.path().join(name)).unwrap();
        assert!(!verify(mixed_up.path()).is_intact(), "{name}");
        for error in [
            Ledger::open_read(mixed_up.path(), None).unwrap_err(),
            Ledger::open(mixed_up.path()).unwrap_err(),
        ] {
            assert_eq!(error.fault(), Fault::Tampered, "{name}: {error}");
        }
    }
    for name in ["log.key", "log.pub", "checkpoint"] {
        let broken = copy(dir.path());
        fs::write(broken.path().join(name), [0xff; 40]).unwrap();
        let error = Ledger::open(broken.path()).unwrap_err();
        assert_eq!(error.fault(), Fault::Tampered, "{name}: {error}");
    }
}
