//! What recording costs: one entry, a batch, and the ways of looking at a ledger of ten thousand.
// A benchmark that cannot run should stop.
#![allow(clippy::expect_used)]

use criterion::{Criterion, Throughput};
use deepring_ledger::{Entry, Event, Ledger, LedgerOptions};

fn decision(n: u64) -> Entry {
    let mut decision_id = [0; 32];
    decision_id[..8].copy_from_slice(&n.to_le_bytes());
    Entry { at: n, event: Event::Decisions { ring_digest: [1; 32], decision_id, count: 1 } }
}

fn decisions(from: u64, count: u64) -> Vec<Entry> {
    (from..from + count).map(decision).collect()
}

fn append(c: &mut Criterion) {
    for batch in [1, 100] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut ledger = Ledger::open_or_create(dir.path()).expect("a new ledger");
        let mut group = c.benchmark_group("append");
        group.throughput(Throughput::Elements(batch)).sample_size(20);
        group.bench_function(format!("batch={batch}"), |b| {
            b.iter(|| ledger.append(&decisions(ledger.len(), batch)).expect("an append"));
        });
    }
}

fn read(c: &mut Criterion) {
    const SIZE: u64 = 10_000;
    let dir = tempfile::tempdir().expect("a temporary directory");
    Ledger::open_or_create(dir.path())
        .and_then(|mut ledger| ledger.append(&decisions(0, SIZE)))
        .expect("a new ledger");
    let mut group = c.benchmark_group("read");
    group.sample_size(10);
    group.bench_function(format!("open/entries={SIZE}"), |b| {
        b.iter(|| Ledger::open_read(dir.path(), None).expect("the ledger"));
    });
    group.bench_function(format!("verify/entries={SIZE}"), |b| {
        b.iter(|| LedgerOptions::new().verify(dir.path()).expect("a report"));
    });
    let ledger = Ledger::open_read(dir.path(), None).expect("the ledger");
    group.bench_function(format!("entry/entries={SIZE}"), |b| {
        b.iter(|| ledger.entry(SIZE / 3).expect("an entry"));
    });
    group.bench_function(format!("prove/entries={SIZE}"), |b| {
        b.iter(|| ledger.prove(SIZE / 3).expect("a proof"));
    });
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    append(&mut criterion);
    read(&mut criterion);
    criterion.final_summary();
}
