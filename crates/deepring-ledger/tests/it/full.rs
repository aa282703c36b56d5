//! A file that cannot grow: a clear error, and nothing lost.
#![cfg(unix)]

use std::env;
use std::process::Command;

use deepring_ledger::{Fault, LedgerError, LedgerOptions};

use crate::sample::{OUTLINE, decision, decisions, outline_file, registered};

const LEDGER: &str = "DEEPRING_LEDGER_FULL_TEST";

/// The child: appends until it cannot, under a limit on the size of files.
#[test]
fn child() {
    let Some(dir) = env::var_os(LEDGER) else { return };
    let mut ledger = crate::sample::ledger_at(dir).unwrap();
    loop {
        let batch: Vec<_> = (ledger.len()..ledger.len() + 200).map(decision).collect();
        if let Err(error) = ledger.append(&batch) {
            assert!(matches!(error, LedgerError::Io { .. }), "{error}");
            assert_eq!(error.fault(), Fault::Io);
            // What was recorded before is still readable, and no more is taken.
            assert_eq!(ledger.entry(0).unwrap(), registered());
            assert!(ledger.append(&decisions(0..1)).is_err());
            return;
        }
    }
}

#[test]
fn a_full_disk_is_said_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    crate::sample::ledger_at(dir.path()).unwrap().append(&[registered()]).unwrap();
    let size = std::fs::metadata(dir.path().join("ledger.redb")).unwrap().len();
    // In units of 512 bytes; the signal is ignored so that writing fails, as it does on a full disk.
    let limit = size / 512 + 2_000;
    let outline = outline_file();
    let child = Command::new("sh")
        .arg("-c")
        .arg(format!("trap '' XFSZ; ulimit -f {limit}; exec \"$0\" \"$@\""))
        .arg(env::current_exe().unwrap())
        .args(["--exact", "full::child", "--nocapture", "--test-threads=1"])
        .env(LEDGER, dir.path())
        .env(OUTLINE, outline.path())
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));

    let report = LedgerOptions::new().verify(dir.path()).unwrap();
    assert!(report.is_intact(), "{:?}", report.findings);
    let mut ledger = crate::sample::ledger_at(dir.path()).unwrap();
    let next = ledger.len();
    assert!(next >= 1 && next % 200 == 1, "whole batches: {next}");
    ledger.append(&[decision(next)]).unwrap();
    for n in 1..=next {
        assert_eq!(ledger.entry(n).unwrap(), decision(n));
    }
}

#[test]
fn a_checkpoint_file_that_cannot_be_replaced_is_said_and_the_entries_are_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = crate::sample::ledger_at(dir.path()).unwrap();
    ledger.append(&[registered()]).unwrap();
    // A directory under the file's name cannot be replaced by a file, not even by root.
    let name = dir.path().join("checkpoint");
    std::fs::remove_file(&name).unwrap();
    std::fs::create_dir(&name).unwrap();
    let error = ledger.append(&[decision(0), decision(1)]).unwrap_err();
    assert!(matches!(error, LedgerError::CheckpointFile { first: 1, count: 2, .. }), "{error}");
    assert_eq!(ledger.len(), 3);
    std::fs::remove_dir(&name).unwrap();
    assert_eq!(ledger.append(&[decision(2)]).unwrap(), [3]);
    assert!(ledger.verify().unwrap().is_intact());
}
