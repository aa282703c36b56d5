//! `kill -9` at any moment: no acknowledged entry is lost, and the tree verifies.
#![cfg(unix)]

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use deepring_ledger::{Ledger, LedgerOptions};

use crate::sample::{OUTLINE, Random, decision, outline_file, registered};

/// Names the ledger to the child; without it the child's half of the test does nothing.
const LEDGER: &str = "DEEPRING_LEDGER_CRASH_TEST";

/// The child: appends for ever, and says so after each acknowledgement.
#[test]
fn child() {
    let Some(dir) = env::var_os(LEDGER) else { return };
    let mut ledger = crate::sample::ledger_at(dir).unwrap();
    let mut out = std::io::stdout().lock();
    if ledger.is_empty() {
        ledger.append(&[registered()]).unwrap();
    }
    let mut next = ledger.len();
    loop {
        let batch: Vec<_> = (next..next + 1 + next % 4).map(decision).collect();
        let indices = ledger.append(&batch).unwrap();
        next = indices.last().unwrap() + 1;
        // One write: a line is there whole or not at all.
        out.write_all(format!("acknowledged {next}\n").as_bytes()).unwrap();
        out.flush().unwrap();
    }
}

fn spawn(dir: &Path, outline: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "crash::child", "--nocapture", "--test-threads=1"])
        .env(LEDGER, dir)
        .env(OUTLINE, outline)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Kills the child after `lines` acknowledgements and then some microseconds, or after the same
/// time if it gives none; gives the number of entries that were acknowledged.
fn run_and_kill(dir: &Path, lines: u64, after: Duration) -> u64 {
    let outline = outline_file();
    let mut child = spawn(dir, outline.path());
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut acknowledged = 0;
    let mut take = |out: &mut BufReader<_>| {
        let mut line = String::new();
        let read = BufRead::read_line(out, &mut line).unwrap();
        if let Some(n) = line.strip_prefix("acknowledged ") {
            acknowledged = n.trim().parse().unwrap();
            return Some(true);
        }
        (read > 0).then_some(false)
    };
    let mut seen = 0;
    while seen < lines {
        seen += u64::from(take(&mut out).expect("the child ended by itself"));
    }
    let started = Instant::now();
    while started.elapsed() < after {
        std::hint::spin_loop();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // What was said before the kill was acknowledged too.
    while take(&mut out).is_some() {}
    acknowledged
}

fn check(dir: &Path, acknowledged: u64, round: u64) {
    // As an auditor would, before anything repairs the file.
    let report = LedgerOptions::new().verify(dir).unwrap();
    assert!(report.is_intact(), "round {round}: {:?}", report.findings);
    assert!(report.size >= acknowledged, "round {round}: {} < {acknowledged}", report.size);
    let ledger = Ledger::open_read(dir, None).unwrap();
    for n in 0..ledger.len() {
        let expected = if n == 0 { registered() } else { decision(n) };
        assert_eq!(ledger.entry(n).unwrap(), expected, "round {round}");
    }
}

#[test]
fn no_acknowledged_entry_is_lost_while_appending() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = Random(1);
    let mut last = 0;
    for round in 0..20 {
        let lines = 1 + random.below(12);
        let after = Duration::from_micros(random.below(3_000));
        let acknowledged = run_and_kill(dir.path(), lines, after);
        assert!(acknowledged > last);
        check(dir.path(), acknowledged, round);
        last = acknowledged;
    }
    // And the ledger is as good as one that was never killed.
    let mut ledger = crate::sample::ledger_at(dir.path()).unwrap();
    let next = ledger.len();
    assert_eq!(ledger.append(&[decision(next)]).unwrap(), [next]);
    assert!(ledger.verify().unwrap().is_intact());
}

#[test]
fn a_ledger_killed_while_it_is_made_is_made_by_the_next() {
    let mut random = Random(2);
    for round in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("ledger");
        let after = Duration::from_micros(1_000 + random.below(25_000));
        let acknowledged = run_and_kill(&place, 0, after);
        let ledger = crate::sample::ledger_at(&place).unwrap();
        assert!(ledger.len() >= acknowledged, "round {round}");
        drop(ledger);
        check(&place, acknowledged, round);
    }
}
