//! Costs of verifying a certificate: six blocks in four legs, two copies each.
// A benchmark that cannot run should stop.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use criterion::Criterion;
use deepring::receipt::Require;
use deepring_ledger::certificate::Expected;
use deepring_ledger::{Certificate, Ledger, LogTrust};
use deepring_testkit::rings::{Sealed, host_key, owner_key};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut ledger = Ledger::open_or_create(dir.path()).expect("a new ledger");
    let ring = Sealed::new(0, 2);
    ledger.register(&ring.outline(), &owner_key(0).into()).expect("a registration");
    let decision = ring.decide(1, None);
    ledger.record_decision(&decision, &ring.outline(), &host_key(0).into()).expect("an entry");
    let certificate =
        Certificate::make(&decision, &ledger, Require::AsDealt).expect("a certificate");
    let bytes = certificate.encode();
    let expected = Expected {
        owner: owner_key(0).public(),
        log: LogTrust::Key(ledger.key()),
        require: Require::Validated,
        nonce: None,
    };
    criterion.bench_function("certificate/verify", |b| {
        b.iter(|| Certificate::decode(&bytes).and_then(|c| c.verify(&expected)).expect("verified"));
    });
    criterion.final_summary();
}
