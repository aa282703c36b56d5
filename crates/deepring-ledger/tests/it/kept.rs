//! The state that is kept beside the tree: taken where the log's key signed it, and else made anew.

use std::path::Path;

use deepring_ledger::fsck::Defect;
use deepring_ledger::{Event, Ledger, LedgerOptions, State};
use redb::{Database, TableDefinition, WriteTransaction};
use tempfile::TempDir;

use crate::authority::one_of_each_kind;
use crate::sample::{by_host, decisions, ledger_of, mixed, outline, owner, registered};

const META: TableDefinition<'_, &str, &str> = TableDefinition::new("meta");
const STATE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("state");

fn edit(dir: &Path, edit: impl FnOnce(&WriteTransaction)) {
    let database = Database::open(dir.join("ledger.redb")).unwrap();
    let txn = database.begin_write().unwrap();
    edit(&txn);
    txn.commit().unwrap();
}

fn state_of(dir: &Path) -> State {
    Ledger::open_read(dir, None).unwrap().state().unwrap().clone()
}

fn findings(dir: &Path) -> Vec<Defect> {
    let report = LedgerOptions::new().verify(dir).unwrap();
    report.findings.into_iter().map(|f| f.what).collect()
}

/// A ledger with an entry of every kind, of the name that the validator set gives it.
fn every_kind() -> TempDir {
    let entries = one_of_each_kind();
    let origin = entries.iter().find_map(|entry| match entry.event() {
        Event::ValidatorSet(set) => Some(set.origin.clone()),
        _ => None,
    });
    let dir = tempfile::tempdir().unwrap();
    let options = LedgerOptions::new().origin(origin.unwrap());
    options.open_or_create(dir.path()).unwrap().append(&entries).unwrap();
    dir
}

#[test]
fn the_kept_state_is_what_the_entries_come_to() {
    let dir = every_kind();
    let kept = state_of(dir.path());
    assert!(kept.validators().is_some());
    assert!(findings(dir.path()).is_empty());
    edit(dir.path(), |txn| _ = txn.open_table(META).unwrap().remove("state").unwrap());
    assert_eq!(state_of(dir.path()), kept);
    assert_eq!(findings(dir.path()), [Defect::State]);
    // The next append writes it again.
    let mut ledger = Ledger::open(dir.path()).unwrap();
    let lost = Event::KeyRevoked { reason: "lost".into() };
    ledger.record(&lost, &by_host(7)).unwrap();
    assert!(ledger.verify().unwrap().is_intact());
}

#[test]
fn decisions_change_no_byte_of_it_and_it_stays_signed() {
    let dir = ledger_of(&mixed(3));
    let before = state_of(dir.path()).encode();
    let mut ledger = Ledger::open(dir.path()).unwrap();
    ledger.append(&decisions(9..12)).unwrap();
    ledger.append(&decisions(12..13)).unwrap();
    assert_eq!(ledger.state().unwrap().size(), 7);
    drop(ledger);
    let after = state_of(dir.path());
    assert_eq!((after.size(), after.encode()), (7, before));
    assert!(findings(dir.path()).is_empty());
}

/// Whoever writes to the database has no say about the state: what the log's key did not sign for
/// this checkpoint is passed over.
#[test]
fn a_state_that_is_not_signed_for_this_checkpoint_is_passed_over() {
    let revoked = || {
        let dir = ledger_of(&[registered()]);
        let old = kept_rows(dir.path());
        let event = Event::RingRevoked {
            ring_id: outline().ring_id(),
            ring_digest: None,
            reason: "poisoned".into(),
        };
        let entry = crate::sample::sign(2, &event, &owner()).unwrap();
        Ledger::open(dir.path()).unwrap().append(&[entry]).unwrap();
        (dir, old)
    };
    for what in ["an older state", "an older state under the new note", "garbage", "nothing"] {
        let (dir, (old_note, old_state)) = revoked();
        edit(dir.path(), |txn| {
            let mut state = txn.open_table(STATE).unwrap();
            match what {
                "garbage" => _ = state.insert("state", [1; 9].as_slice()).unwrap(),
                "nothing" => _ = state.remove("state").unwrap(),
                _ => _ = state.insert("state", old_state.as_slice()).unwrap(),
            }
            if what == "an older state" {
                txn.open_table(META).unwrap().insert("state", old_note.as_str()).unwrap();
            }
        });
        let state = state_of(dir.path());
        let revoked = state.ring_revoked(&outline().ring_id(), &outline().ring_digest());
        assert_eq!(revoked, Some(1), "{what}");
        assert_eq!(findings(dir.path()), [Defect::State], "{what}");
    }
}

fn kept_rows(dir: &Path) -> (String, Vec<u8>) {
    use redb::ReadableDatabase as _;
    let database = Database::open(dir.join("ledger.redb")).unwrap();
    let txn = database.begin_read().unwrap();
    let note = txn.open_table(META).unwrap().get("state").unwrap().unwrap().value().to_owned();
    let state = txn.open_table(STATE).unwrap().get("state").unwrap().unwrap().value().to_vec();
    (note, state)
}

#[test]
fn the_note_has_a_name_of_its_own_and_is_no_checkpoint() {
    let dir = ledger_of(&mixed(3));
    let ledger = Ledger::open_read(dir.path(), None).unwrap();
    let (note, _) = {
        let key = ledger.key().clone();
        drop(ledger);
        let rows = kept_rows(dir.path());
        assert!(deepring_ledger::Checkpoint::verify(&rows.0, &key).is_err());
        assert!(rows.0.starts_with(&format!("{}/state\n", key.origin())));
        rows
    };
    let lines: Vec<&str> = note.lines().collect();
    assert_eq!((lines[1], lines[2]), ("deepring ledger state v1", "3"));
}
