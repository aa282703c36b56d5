//! Entries that an agreement brings, height by height; and one log kept in several places.

use std::path::Path;

use deepring::SecretKey;
use deepring::keys::Node;
use deepring_ledger::fsck::Defect;
use deepring_ledger::log::KeyError;
use deepring_ledger::witness::WitnessKey;
use deepring_ledger::{Fault, Ledger, LedgerError, LedgerOptions};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use crate::authority::one_of_each_kind;
use crate::sample::{ORIGIN, decision, decisions, registered};

const META: TableDefinition<'_, &str, &str> = TableDefinition::new("meta");
const HASHES: TableDefinition<'_, u64, &[u8; 32]> = TableDefinition::new("hashes");

fn hashes(dir: &Path) -> Vec<(u64, [u8; 32])> {
    let database = Database::open(dir.join("ledger.redb")).unwrap();
    let table = database.begin_read().unwrap().open_table(HASHES).unwrap();
    table.iter().unwrap().map(|row| row.unwrap()).map(|(k, v)| (k.value(), *v.value())).collect()
}

#[test]
fn ledgers_of_one_name_and_the_same_entries_have_equal_bodies_and_hashes() {
    let entries = one_of_each_kind();
    let options = LedgerOptions::new().origin(ORIGIN);
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut ledgers = dirs.each_ref().map(|dir| options.open_or_create(dir.path()).unwrap());
    // One takes them in heights, the other as they come.
    for (height, batch) in entries.chunks(3).enumerate() {
        let size = ledgers[0].len();
        ledgers[0].append_at(height as u64, size, batch).unwrap();
    }
    for entry in &entries {
        ledgers[1].append(std::slice::from_ref(entry)).unwrap();
    }
    let [a, b] = &ledgers;
    assert_ne!(a.key(), b.key());
    assert_ne!(a.checkpoint().as_str(), b.checkpoint().as_str());
    assert_eq!(a.checkpoint().body(), b.checkpoint().body());
    let body = a.checkpoint().body().to_string();
    assert_eq!(body, b.checkpoint().body().to_string());
    assert!(a.checkpoint().as_str().starts_with(&format!("{body}\n")));
    assert_eq!(a.state().unwrap(), b.state().unwrap());
    drop(ledgers);
    assert_eq!(hashes(dirs[0].path()), hashes(dirs[1].path()));
}

#[test]
fn a_ledger_has_the_name_that_it_was_begun_with() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("ledger");
    let named = |name: &str| LedgerOptions::new().origin(name);
    let refused = named("a log").open_or_create(&place).unwrap_err();
    assert!(matches!(refused, LedgerError::BadOrigin(KeyError::BadName)), "{refused}");
    assert_eq!(refused.fault(), Fault::Usage);
    let ledger = named("example.com/log").open_or_create(&place).unwrap();
    assert_eq!(ledger.key().origin(), "example.com/log");
    assert_eq!(ledger.checkpoint().origin(), "example.com/log");
    drop(ledger);
    for other in [
        named("example.com/other").open_or_create(&place).err(),
        named("example.com/other").open(&place).err(),
        named("example.com/other").open_read(&place).err(),
    ] {
        let error = other.unwrap();
        assert!(matches!(error, LedgerError::OtherOrigin { .. }), "{error}");
    }
    named("example.com/log").open(&place).unwrap();
    Ledger::open(&place).unwrap();
}

#[test]
fn a_height_is_recorded_once_however_often_it_is_given() {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = crate::sample::ledger_at(dir.path()).unwrap();
    assert_eq!(ledger.height().unwrap(), None);
    let first = [registered(), decision(1)];
    assert_eq!(ledger.append_at(5, 0, &first).unwrap(), [0, 1]);
    let checkpoint = ledger.checkpoint().clone();
    assert_eq!(ledger.append_at(5, 0, &first).unwrap(), [0, 1]);
    drop(ledger);

    let before = std::fs::read(dir.path().join("checkpoint")).unwrap();
    let mut ledger = Ledger::open(dir.path()).unwrap();
    assert_eq!(ledger.height().unwrap(), Some(5));
    assert_eq!(ledger.append_at(5, 0, &first).unwrap(), [0, 1]);
    assert_eq!(*ledger.checkpoint(), checkpoint);
    assert_eq!(std::fs::read(dir.path().join("checkpoint")).unwrap(), before);

    let taken = |error| matches!(error, LedgerError::HeightTaken { height: 5 });
    assert!(taken(ledger.append_at(5, 2, &first).unwrap_err()));
    assert!(taken(ledger.append_at(5, 0, &first[..1]).unwrap_err()));
    assert!(taken(ledger.append_at(5, 0, &[registered(), decision(2)]).unwrap_err()));
    assert!(taken(ledger.append_at(5, 0, &[]).unwrap_err()));
    let passed = ledger.append_at(4, 2, &decisions(3..4)).unwrap_err();
    assert!(matches!(passed, LedgerError::HeightPassed { height: 4, known: 5 }), "{passed}");
    let size = ledger.append_at(6, 3, &decisions(3..4)).unwrap_err();
    assert!(matches!(size, LedgerError::UnexpectedSize { expected: 3, size: 2 }), "{size}");
    assert_eq!((ledger.len(), ledger.height().unwrap()), (2, Some(5)));

    // Heights may be left out, and may bring nothing.
    assert_eq!(ledger.append_at(9, 2, &[]).unwrap(), [0; 0]);
    assert_eq!(ledger.append_at(9, 2, &[]).unwrap(), [0; 0]);
    assert_eq!(ledger.append_at(10, 2, &decisions(3..5)).unwrap(), [2, 3]);
    // What is recorded without a height in between changes nothing about it.
    assert_eq!(ledger.append(&decisions(7..8)).unwrap(), [4]);
    assert_eq!(ledger.append_at(10, 2, &decisions(3..5)).unwrap(), [2, 3]);
    assert_eq!(ledger.height().unwrap(), Some(10));
    assert!(ledger.verify().unwrap().is_intact());
    drop(ledger);
    let mut reader = Ledger::open_read(dir.path(), None).unwrap();
    assert!(matches!(reader.append_at(10, 2, &decisions(3..5)), Err(LedgerError::ReadOnly)));
}

#[test]
fn a_height_without_authority_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = crate::sample::ledger_at(dir.path()).unwrap();
    let refused = ledger.append_at(1, 0, &[decision(1)]).unwrap_err();
    assert!(matches!(refused, LedgerError::NoAuthority { .. }), "{refused}");
    assert_eq!((ledger.len(), ledger.height().unwrap()), (0, None));
    ledger.append_at(1, 0, &[registered()]).unwrap();
}

#[test]
fn a_false_height_is_found() {
    for row in ["", "1", "1 2", "1 0 9", "1 2 1", "01 0 1", "1 0 1 ", "x"] {
        let dir = tempfile::tempdir().unwrap();
        crate::sample::ledger_at(dir.path()).unwrap().append_at(1, 0, &[registered()]).unwrap();
        let database = Database::open(dir.path().join("ledger.redb")).unwrap();
        let txn = database.begin_write().unwrap();
        txn.open_table(META).unwrap().insert("height", row).unwrap();
        txn.commit().unwrap();
        drop(database);
        let report = LedgerOptions::new().verify(dir.path()).unwrap();
        let found: Vec<_> = report.findings.iter().map(|f| &f.what).collect();
        assert_eq!(found, [&Defect::Height], "{row:?}");
    }
}

#[test]
fn a_height_without_entries_leaves_the_checkpoint_as_others_cosigned_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = crate::sample::ledger_at(dir.path()).unwrap();
    ledger.append_at(1, 0, &[registered()]).unwrap();
    let node = SecretKey::<Node>::from_halves(&[1; 32], &[2; 32]).unwrap();
    let line = ledger.checkpoint().body().cosign(&node, 7).unwrap();
    let keys = [WitnessKey::of_node(&node.public()).unwrap()];
    let cosigned = ledger.checkpoint().cosigned(&line, &keys).unwrap();
    ledger.keep_cosignatures(&cosigned).unwrap();
    let kept = ledger.checkpoint().clone();
    for height in 2..5 {
        ledger.append_at(height, 1, &[]).unwrap();
        assert_eq!(*ledger.checkpoint(), kept);
    }
    drop(ledger);
    let ledger = Ledger::open_read(dir.path(), None).unwrap();
    assert_eq!((ledger.height().unwrap(), ledger.checkpoint()), (Some(4), &kept));
    assert_eq!(kept.cosignatures(&keys).unwrap().len(), 1);
    assert!(ledger.verify().unwrap().is_intact());
    // Entries make a new one, which nobody has cosigned.
    drop(ledger);
    let mut ledger = Ledger::open(dir.path()).unwrap();
    ledger.append_at(5, 1, &[decision(1)]).unwrap();
    assert_eq!(ledger.checkpoint().cosignatures(&keys).unwrap(), []);
}
