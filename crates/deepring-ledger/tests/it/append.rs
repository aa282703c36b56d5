//! Opening, recording and reading back.

use std::fs;
use std::time::Duration;

use deepring_ledger::{Entry, Fault, Ledger, LedgerError, LedgerOptions, VerifierKey};

use crate::sample::{ORIGIN, decision, decisions, ledger_of, mixed, registered};

#[test]
fn what_was_appended_reads_back_after_reopening() {
    let entries = mixed(23);
    let dir = ledger_of(&entries);
    let ledger = Ledger::open_read(dir.path(), None).unwrap();
    assert_eq!(ledger.len(), 23);
    let read: Vec<Entry> = ledger.iter(0..u64::MAX).map(|row| row.unwrap().1).collect();
    assert_eq!(read, entries);
    assert_eq!(ledger.iter(20..30).count(), 3);
    let report = ledger.verify().unwrap();
    assert!(report.is_intact(), "{:?}", report.findings);
    assert_eq!((report.size, &report.root), (23, ledger.checkpoint().root()));
}

#[test]
fn indices_continue_over_batches_and_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = crate::sample::ledger_at(dir.path()).unwrap();
    assert!(ledger.append(&[]).unwrap().is_empty());
    assert_eq!(ledger.append(&[registered(), decision(1)]).unwrap(), [0, 1]);
    drop(ledger);
    let mut ledger = Ledger::open(dir.path()).unwrap();
    assert_eq!(ledger.append(&[decision(2)]).unwrap(), [2]);
    assert!(matches!(ledger.entry(3), Err(LedgerError::NoSuchEntry { index: 3, size: 3 })));
}

#[test]
fn the_files_beside_the_database_are_those_of_the_ledger() {
    let dir = ledger_of(&mixed(3));
    let ledger = Ledger::open_read(dir.path(), None).unwrap();
    let public = fs::read_to_string(dir.path().join("log.pub")).unwrap();
    assert_eq!(VerifierKey::parse(&public).unwrap(), *ledger.key());
    let saved = fs::read_to_string(dir.path().join("checkpoint")).unwrap();
    assert_eq!(saved, ledger.checkpoint().as_str());
    let mut names: Vec<_> =
        fs::read_dir(dir.path()).unwrap().map(|f| f.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["checkpoint", "ledger.redb", "log.key", "log.pub", "writer.lock"]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(dir.path().join("log.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn a_reader_creates_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for place in [dir.path().to_owned(), dir.path().join("absent")] {
        let error = Ledger::open_read(&place, None).unwrap_err();
        assert!(matches!(error, LedgerError::NotALedger { .. }), "{error}");
        assert_eq!(error.fault(), Fault::Io);
        assert!(matches!(LedgerOptions::new().verify(&place), Err(LedgerError::NotALedger { .. })));
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);

    let dir = ledger_of(&mixed(9));
    let before = fs::read(dir.path().join("ledger.redb")).unwrap();
    let mut ledger = Ledger::open_read(dir.path(), None).unwrap();
    assert!(ledger.verify().unwrap().is_intact());
    assert!(matches!(ledger.append(&decisions(0..1)), Err(LedgerError::ReadOnly)));
    drop(ledger);
    assert_eq!(fs::read(dir.path().join("ledger.redb")).unwrap(), before);
}

#[test]
fn a_ledger_that_is_gone_is_not_begun_anew() {
    let dir = ledger_of(&mixed(3));
    fs::remove_dir_all(dir.path()).unwrap();
    let error = Ledger::open(dir.path()).unwrap_err();
    assert!(matches!(error, LedgerError::NotALedger { .. }), "{error}");
    assert!(!dir.path().exists());
    fs::create_dir(dir.path()).unwrap();
    assert!(matches!(Ledger::open(dir.path()), Err(LedgerError::NotALedger { .. })));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[cfg(unix)]
#[test]
fn a_signing_key_that_others_can_read_or_write_is_not_used() {
    use std::os::unix::fs::PermissionsExt;
    let dir = ledger_of(&mixed(1));
    let path = dir.path().join("log.key");
    for mode in [0o640, 0o604, 0o602, 0o666] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let error = Ledger::open(dir.path()).unwrap_err();
        assert!(matches!(error, LedgerError::LooseKey { mode: m, .. } if m == mode), "{error}");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    Ledger::open(dir.path()).unwrap();
}

/// To open the database for reading is enough to hold its lock.
#[cfg(unix)]
#[test]
fn nobody_but_the_user_can_open_the_database_and_so_lock_it() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;
    let dir = ledger_of(&mixed(3));
    let set = |name: &str, mode| {
        fs::set_permissions(dir.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    let mode = |name: &str| fs::metadata(dir.path().join(name)).unwrap().mode() & 0o777;
    assert_eq!(mode("ledger.redb"), 0o600);
    // One that was made otherwise becomes private when it is next written; a reader changes nothing.
    set("ledger.redb", 0o644);
    drop(Ledger::open_read(dir.path(), None).unwrap());
    assert_eq!(mode("ledger.redb"), 0o644);
    drop(Ledger::open(dir.path()).unwrap());
    assert_eq!(mode("ledger.redb"), 0o600);

    if fs::metadata(dir.path()).unwrap().uid() != 0 {
        crate::skip::skip("system", "another user can be played by root only");
        return;
    }
    set("", 0o755);
    let reads = |name: &str| {
        let mut cat = std::process::Command::new("cat");
        let cat = cat.arg(dir.path().join(name)).uid(65534).gid(65534);
        cat.output().unwrap().status.success()
    };
    assert!(reads("log.pub"), "the folder can be entered");
    assert!(!reads("ledger.redb"));
}

#[test]
fn a_ledger_without_its_secret_key_is_read_and_not_appended_to() {
    let dir = ledger_of(&mixed(4));
    fs::remove_file(dir.path().join("log.key")).unwrap();
    assert_eq!(Ledger::open_read(dir.path(), None).unwrap().len(), 4);
    assert!(matches!(Ledger::open(dir.path()), Err(LedgerError::KeyMissing { .. })));
    assert!(!dir.path().join("log.key").exists());
}

#[test]
fn an_opening_waits_for_the_other_to_close() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = crate::sample::ledger_at(dir.path()).unwrap();
    writer.append(&[registered()]).unwrap();
    std::thread::scope(|scope| {
        let second = scope.spawn(|| {
            let mut ledger =
                LedgerOptions::new().wait(Duration::from_secs(60)).open(dir.path()).unwrap();
            ledger.append(&[decision(1)]).unwrap()
        });
        assert_eq!(writer.append(&[decision(0)]).unwrap(), [1]);
        drop(writer);
        assert_eq!(second.join().unwrap(), [2]);
    });
}

#[test]
fn many_openings_of_a_ledger_that_is_not_there_yet_make_one() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("a/new/ledger");
    let mut indices: Vec<u64> = std::thread::scope(|scope| {
        let appended: Vec<_> = (0..6)
            .map(|n| {
                let place = &place;
                scope.spawn(move || {
                    let options = LedgerOptions::new().origin(ORIGIN).wait(Duration::from_secs(60));
                    let mut ledger = options.open_or_create(place).unwrap();
                    let indices = match ledger.is_empty() {
                        true => ledger.append(&[registered(), decision(n)]),
                        false => ledger.append(&[decision(n)]),
                    };
                    *indices.unwrap().last().unwrap()
                })
            })
            .collect();
        appended.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    indices.sort_unstable();
    assert_eq!(indices, [1, 2, 3, 4, 5, 6]);
    assert!(LedgerOptions::new().verify(&place).unwrap().is_intact());
}

#[test]
fn a_pinned_key_decides() {
    let (dir, other) = (ledger_of(&mixed(3)), ledger_of(&mixed(3)));
    let key = Ledger::open_read(dir.path(), None).unwrap().key().to_string();
    Ledger::open_read(dir.path(), Some(&key)).unwrap();
    let error = Ledger::open_read(other.path(), Some(&key)).unwrap_err();
    assert!(matches!(error, LedgerError::OtherKey { .. }), "{error}");
    assert_eq!(error.fault(), Fault::Untrusted);
    let writing = LedgerOptions::new().pinned_key(&key).open(other.path());
    assert!(matches!(writing, Err(LedgerError::OtherKey { .. })));
    let absent = dir.path().join("absent");
    let options = LedgerOptions::new().pinned_key(&key);
    for made in [options.open(&absent), options.open_or_create(&absent)] {
        assert!(matches!(made, Err(LedgerError::NotALedger { .. })));
        assert!(!absent.exists());
    }
    assert!(matches!(
        Ledger::open_read(dir.path(), Some("a key")),
        Err(LedgerError::BadPinnedKey(_))
    ));
    // The pinned key makes the file beside the database needless.
    fs::remove_file(dir.path().join("log.pub")).unwrap();
    Ledger::open_read(dir.path(), Some(&key)).unwrap();
}

#[test]
fn a_ledger_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Ledger>();
}
