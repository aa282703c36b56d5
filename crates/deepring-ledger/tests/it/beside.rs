//! Readers beside a writer: in this process and in others.

use std::env;
use std::process::{Command, Stdio};
use std::time::Duration;

use deepring_ledger::{Fault, Ledger, LedgerError, LedgerOptions};

use crate::sample::{
    ORIGIN, OUTLINE, decision, decisions, digest, outline, outline_file, registered,
};

/// Names the ledger to the child; without it the child's half of the test does nothing.
const LEDGER: &str = "DEEPRING_LEDGER_BESIDE_TEST";

#[test]
fn two_writers_do_not_meet_and_readers_disturb_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let at_once = LedgerOptions::new().origin(ORIGIN).wait(Duration::ZERO);
    let mut writer = at_once.open_or_create(dir.path()).unwrap();
    let error = at_once.open(dir.path()).unwrap_err();
    assert!(matches!(error, LedgerError::InUse { .. }), "{error}");
    assert_eq!(error.fault(), Fault::Io);
    let readers = [at_once.open_read(dir.path()).unwrap(), at_once.open_read(dir.path()).unwrap()];
    writer.append(&[registered(), decision(1)]).unwrap();
    assert!(at_once.verify(dir.path()).unwrap().is_intact());
    assert!(readers.iter().all(|reader| reader.verify().unwrap().is_intact()));
    drop(readers);
    drop(writer);
    at_once.open(dir.path()).unwrap();
}

/// Readers go on seeing what they saw when they opened the ledger, whatever is written since.
#[test]
fn a_reader_stays_at_its_size_while_the_ledger_grows() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = crate::sample::ledger_at(dir.path()).unwrap();
    writer.append(&[registered(), decision(1), decision(2)]).unwrap();
    let reader = Ledger::open_read(dir.path(), None).unwrap();
    let key = reader.key().clone();
    for n in 3..40 {
        writer.append(&[decision(n)]).unwrap();
        assert_eq!(reader.len(), 3);
        assert_eq!(reader.entry(2).unwrap(), decision(2));
        assert!(matches!(reader.entry(3), Err(LedgerError::NoSuchEntry { index: 3, size: 3 })));
        let shown = reader.prove(1).unwrap().verify(&key).unwrap();
        assert_eq!(shown.checkpoint(), reader.checkpoint());
        assert_eq!(reader.find_decided(&outline().ring_digest(), &digest(2), 3).unwrap(), Some(2));
        assert_eq!(
            reader.find_decided(&outline().ring_digest(), &digest(n), n as usize + 1).unwrap(),
            None
        );
        assert_eq!(reader.state().unwrap().size(), 3);
    }
    // It sees the others when it looks again, also after the writer has gone.
    assert!(reader.verify().unwrap().is_intact());
    assert_eq!(Ledger::open_read(dir.path(), None).unwrap().len(), 40);
    drop(writer);
    assert_eq!(reader.entry(1).unwrap(), decision(1));
    assert_eq!(Ledger::open_read(dir.path(), None).unwrap().len(), 40);
}

/// The child: appends as fast as it can, for as long as its input is open.
#[test]
fn child() {
    let Some(dir) = env::var_os(LEDGER) else { return };
    let mut ledger = Ledger::open(dir).unwrap();
    let (sender, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_line(&mut String::new());
        let _ = sender.send(());
    });
    while ended.try_recv().is_err() {
        let next = ledger.len();
        ledger.append(&decisions(next..next + 1 + next % 5)).unwrap();
    }
}

#[test]
fn readers_of_other_processes_see_whole_ledgers_while_one_writes() {
    let dir = tempfile::tempdir().unwrap();
    crate::sample::ledger_at(dir.path()).unwrap().append(&[registered()]).unwrap();
    let outline = outline_file();
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "beside::child", "--nocapture", "--test-threads=1"])
        .env(LEDGER, dir.path())
        .env(OUTLINE, outline.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut seen = 0;
    let first = Ledger::open_read(dir.path(), None).unwrap();
    for round in 0..100 {
        let reader = Ledger::open_read(dir.path(), None).unwrap();
        assert!(reader.len() >= seen, "round {round}");
        seen = reader.len();
        let last = seen - 1;
        let expected = if last == 0 { registered() } else { decision(last) };
        assert_eq!(reader.entry(last).unwrap(), expected, "round {round}");
        assert_eq!(first.entry(0).unwrap(), registered());
        reader.verify_against(first.checkpoint().as_str()).unwrap();
        if round % 10 == 0 {
            let report = LedgerOptions::new().verify(dir.path()).unwrap();
            assert!(report.is_intact(), "round {round}: {:?}", report.findings);
        }
    }
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    let report = LedgerOptions::new().verify(dir.path()).unwrap();
    assert!(report.is_intact(), "{:?}", report.findings);
    assert!(report.size >= seen && report.size > 1, "{}", report.size);
}

/// Who removes the lock's file lets two write; the later of them notices, and signs nothing.
#[test]
fn a_second_writer_is_noticed_even_without_the_lock() {
    let dir = tempfile::tempdir().unwrap();
    let mut one = crate::sample::ledger_at(dir.path()).unwrap();
    one.append(&[registered()]).unwrap();
    std::fs::remove_file(dir.path().join("writer.lock")).unwrap();
    let mut two = Ledger::open(dir.path()).unwrap();
    two.append(&[decision(1)]).unwrap();
    let error = one.append(&[decision(2)]).unwrap_err();
    assert!(matches!(error, LedgerError::Damaged { .. }), "{error}");
    assert_eq!(two.append(&[decision(3)]).unwrap(), [2]);
    // Nor does it write its own view over the other's when it goes.
    drop(one);
    assert_eq!(two.append(&[decision(4)]).unwrap(), [3]);
    drop(two);
    let report = LedgerOptions::new().verify(dir.path()).unwrap();
    assert!(report.is_intact(), "{:?}", report.findings);
    assert_eq!(report.size, 4);
}
