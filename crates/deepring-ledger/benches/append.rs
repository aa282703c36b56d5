//! Costs of recording: one entry, a batch, and the ways of looking at a ledger of ten thousand.
// A benchmark that cannot run should stop.
#![allow(clippy::expect_used)]

use criterion::{BatchSize, Criterion, Throughput};
use deepring::keys::AuthorKey;
use deepring::seal::{RingPlan, RingSealer};
use deepring::{Digest, Host, Owner, PartKind, RingKind, SecretKey, Trust, UnverifiedRing};
use deepring_ledger::{Binding, Entry, Event, Ledger, LedgerOptions};
use deepring_testkit::plans::{block, tensor};
use redb::{Database, TableDefinition};

/// A ledger in which one ring of one layer is registered, and a key that decides with it.
struct BenchFixture {
    dir: tempfile::TempDir,
    ledger: Ledger,
    ring_digest: Digest,
    host: AuthorKey,
}

impl BenchFixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let owner = SecretKey::<Owner>::generate().expect("a key");
        let host = SecretKey::<Host>::generate().expect("a key");
        let hosts = [host.public()];
        let [x, y] = ["x", "y"].map(|name| tensor(name, 1));
        let layer = vec![(PartKind::Parameter(tensor("w", 1)), 4), (PartKind::Graph, 1)];
        let plan = RingPlan {
            kind: RingKind::Network,
            model_version: 1,
            previous: None,
            sealed_at: 0,
            blocks: vec![
                block("genesis", (y.clone(), x.clone()), vec![(PartKind::Manifest, 1)], &hosts),
                block("layer", (x, y), layer, &hosts),
            ],
            deal: None,
        };
        let path = dir.path().join("a.ring");
        let mut sealer = RingSealer::create(&path, &plan, &owner).expect("a plan");
        sealer.seal_block(b"m").expect("a block");
        sealer.seal_block(&[0; 65]).expect("a block");
        sealer.finish().expect("a ring");
        let ring = UnverifiedRing::open(&path).expect("a ring");
        let ring = ring.authenticate(&Trust::owner(owner.public())).expect("a ring");
        let mut ledger = Ledger::open_or_create(dir.path().join("ledger")).expect("a new ledger");
        ledger.register(ring.outline(), &owner.into()).expect("a registration");
        Self { dir, ledger, ring_digest: ring.digest(), host: host.into() }
    }

    fn decisions(&self, from: u64, count: u64) -> Vec<Entry> {
        let decision = |n: u64| {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&n.to_le_bytes());
            let (ring_digest, decision_id) = (self.ring_digest, Digest(id));
            let event = Event::Decisions { ring_digest, decision_id, count: 1, dealt: 0 };
            let binding = Binding::new(self.ledger.key().origin(), 0);
            Entry::sign(binding, n, &event, &self.host).expect("an entry")
        };
        (from..from + count).map(decision).collect()
    }
}

fn append(c: &mut Criterion) {
    for batch in [1, 100] {
        let mut bench = BenchFixture::new();
        let mut group = c.benchmark_group("append");
        group.throughput(Throughput::Elements(batch)).sample_size(20);
        // Entries are signed by their authors, elsewhere.
        let entries = bench.decisions(0, batch);
        group.bench_function(format!("batch={batch}"), |b| {
            b.iter(|| bench.ledger.append(&entries).expect("an append"));
        });
    }
}

fn read(c: &mut Criterion) {
    const SIZE: u64 = 10_000;
    let mut bench = BenchFixture::new();
    let entries = bench.decisions(0, SIZE - 1);
    bench.ledger.append(&entries).expect("an append");
    let BenchFixture { dir, ledger, .. } = bench;
    drop(ledger);
    let place = dir.path().join("ledger");
    let open = || Ledger::open_read(&place, None).expect("the ledger");
    let mut group = c.benchmark_group("read");
    group.sample_size(10);
    group.bench_function(format!("open/entries={SIZE}"), |b| b.iter(open));
    group.bench_function(format!("first question/entries={SIZE}"), |b| {
        b.iter_batched(open, |ledger| ledger.state().map(|s| s.size()), BatchSize::PerIteration);
    });
    group.bench_function(format!("verify/entries={SIZE}"), |b| {
        b.iter(|| LedgerOptions::new().verify(&place).expect("a report"));
    });
    // Nobody signed the state for this checkpoint: it is made anew of the entries.
    let database = Database::open(place.join("ledger.redb")).expect("the database");
    let txn = database.begin_write().expect("a transaction");
    let meta: TableDefinition<'_, &str, &str> = TableDefinition::new("meta");
    txn.open_table(meta).expect("a table").remove("state").expect("the note");
    txn.commit().expect("a commit");
    drop(database);
    group.bench_function(format!("first question, rebuilt/entries={SIZE}"), |b| {
        b.iter_batched(open, |ledger| ledger.state().map(|s| s.size()), BatchSize::PerIteration);
    });
    let ledger = open();
    group.bench_function(format!("entry/entries={SIZE}"), |b| {
        b.iter(|| ledger.entry(SIZE / 3).expect("an entry"));
    });
    group.bench_function(format!("prove/entries={SIZE}"), |b| {
        b.iter(|| ledger.prove(SIZE / 3).expect("a proof"));
    });
}

/// All of a ledger as static files, and once more where nothing is new.
fn export(c: &mut Criterion) {
    const SIZE: u64 = 10_001;
    let mut bench = BenchFixture::new();
    let entries = bench.decisions(0, SIZE - 1);
    bench.ledger.append(&entries).expect("an append");
    let mut group = c.benchmark_group("export");
    group.sample_size(10);
    let folder = || tempfile::tempdir().expect("a temporary directory");
    group.bench_function(format!("all/entries={SIZE}"), |b| {
        b.iter_batched(
            folder,
            |to| bench.ledger.export_tiles(to.path()).map(|_| to).expect("an export"),
            BatchSize::PerIteration,
        );
    });
    let to = folder();
    bench.ledger.export_tiles(to.path()).expect("an export");
    group.bench_function(format!("nothing new/entries={SIZE}"), |b| {
        b.iter(|| bench.ledger.export_tiles(to.path()).expect("an export"));
    });
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    append(&mut criterion);
    read(&mut criterion);
    export(&mut criterion);
    criterion.final_summary();
}
