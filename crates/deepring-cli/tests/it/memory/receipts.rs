//! Statements about a receipt: who answered, what it was compared with, and whether its version is old by now.

use std::fs;

use deepring::{Host, SecretKey};
use deepring_infer::inputs::write_npy;

use super::{RUN, two_owners};
use crate::workspace::{Workspace, images};

#[test]
fn what_answered_is_named_by_run_and_by_receipt_verify() {
    let workspace = two_owners();
    let ran = workspace
        .run(&format!("run b.ring --owner b/owner.pub {RUN} --receipt b.receipt"))
        .succeeds();
    let verified =
        workspace.run("receipt verify b.receipt --ring b.ring --owner b/owner.pub").succeeds();
    let inspected = workspace.run("inspect b.ring --json").succeeds().json();
    for shown in [ran.stdout, verified.stdout] {
        let ring = format!("\nby ring {}, version 1\n", inspected["ring"].as_str().unwrap());
        let owner = format!("\nof owner {}\n", inspected["claimed_owner"].as_str().unwrap());
        assert!(shown.contains(&ring) && shown.contains(&owner), "{shown}");
    }
}

#[test]
fn a_receipt_says_what_it_was_compared_with() {
    let workspace = two_owners();
    workspace
        .run(&format!(
            "run a.ring --owner keys/owner.pub {RUN} --receipt x.receipt --output-dir out"
        ))
        .succeeds();
    for (given, said) in [
        ("", "question and answer: NOT compared"),
        ("--input x.npy", "question: as given; answer: NOT compared"),
        ("--output out/logits.npy", "question: NOT compared (`--input`); answer: as given"),
        ("--input x.npy --output out/logits.npy", "question and answer: as given"),
    ] {
        let words =
            format!("receipt verify x.receipt --ring a.ring --owner keys/owner.pub {given}");
        let shown = workspace.run(&words).succeeds().stdout;
        assert!(shown.contains(said), "{given}: {shown}");
        let compared = &workspace.run(&format!("{words} --json")).succeeds().json()["compared"];
        assert_eq!(compared["inputs"], u64::from(given.contains("--input")), "{given}");
        assert_eq!(compared["outputs"], u64::from(given.contains("--output")), "{given}");
    }
}

#[test]
fn a_receipt_of_a_batch_says_how_many_of_its_queries_were_compared() {
    let workspace = Workspace::with_ring();
    for (k, name) in ["y.npy", "z.npy"].into_iter().enumerate() {
        write_npy(&workspace.path(name), &images(k + 1, k + 2)).unwrap();
    }
    workspace.run(&format!(
        "run net.ring --owner keys/owner.pub {RUN} --input y.npy --input z.npy --receipt r --output-dir out"
    ))
    .succeeds();
    let verify = "receipt verify r --ring net.ring --owner keys/owner.pub";
    for (given, said, [inputs, outputs]) in [
        ("--input y.npy", "question: 1 of 3 as given, the others NOT compared", [1, 0]),
        ("--input y.npy --input y.npy", "question: 1 of 3 as given", [1, 0]),
        ("--output out/0-logits.npy --output out/2-logits.npy", "answer: 2 of 3 as given", [0, 2]),
        ("--input z.npy --output out/2-logits.npy", "question and answer: 1 of 3", [1, 1]),
        ("--input x.npy --input y.npy --input z.npy", "question: as given; answer: NOT", [3, 0]),
    ] {
        let words = format!("{verify} {given}");
        let shown = workspace.run(&words).succeeds().stdout;
        assert!(shown.contains(said), "{given}: {shown}");
        let compared = &workspace.run(&format!("{words} --json")).succeeds().json()["compared"];
        let wanted = serde_json::json!({ "inputs": inputs, "outputs": outputs, "queries": 3 });
        assert_eq!(*compared, wanted, "{given}");
    }
}

#[test]
fn a_receipt_of_an_old_version_verifies_and_is_called_old() {
    let workspace = two_owners();
    workspace.run("trust add keys/owner.pub").succeeds();
    let run = |ring: &str, more: &str| workspace.run(&format!("run {ring} {RUN} {more}"));
    workspace.register("a.ring", "ledger");
    run("a.ring", "--receipt early.receipt --ledger ledger").succeeds();
    let verify = |receipt: &str, more: &str| {
        workspace
            .run(&format!("receipt verify {receipt} --ring a.ring --ledger ledger {more}"))
            .succeeds()
    };
    assert_eq!(verify("early.receipt", "--json").json()["newer_version"], serde_json::Value::Null);
    workspace.seal("a2.ring", "--previous a.ring");
    workspace.register("a2.ring", "ledger");
    run("a2.ring", "--ledger ledger").succeeds();

    let early = verify("early.receipt", "--json").json();
    assert_eq!((&early["verdict"], &early["newer_version"]), (&"intact".into(), &2.into()));
    assert_eq!(early["recorded_after"], serde_json::Value::Null);
    assert!(
        verify("early.receipt", "").stdout.contains("version 1 is OLD: version 2 was seen here")
    );

    // A host that goes on with the old version, on a machine that does not know the new one, and has it recorded.
    let late = "--owner keys/owner.pub --trust forgetful.json --receipt late.receipt";
    run("a.ring", late).succeeds();
    let decision = deepring::Decision::read(&workspace.path("late.receipt")).unwrap();
    let host = SecretKey::<Host>::read(&workspace.path("keys/host.key")).unwrap();
    let mut ledger = deepring_ledger::Ledger::open(workspace.path("ledger")).unwrap();
    let ring = workspace.ring("a.ring");
    let entry = ledger.record_decision(&decision, ring.outline(), &host.into()).unwrap();
    drop(ledger);
    let late = verify("late.receipt", "--json").json();
    assert_eq!(late["entry"], entry);
    assert_eq!(late["recorded_after"], serde_json::json!({ "entry": 2, "model_version": 2 }));
    assert!(verify("late.receipt", "").stdout.contains("recorded AFTER version 2"));
}

#[test]
fn a_receipt_of_a_host_granted_since_is_stale_against_the_older_revision() {
    let workspace = two_owners();
    fs::copy(workspace.path("a.ring"), workspace.path("older.ring")).unwrap();
    workspace.run("grant a.ring --owner-key keys/owner.key --host b/host.pub").succeeds();
    let run =
        "run a.ring --owner keys/owner.pub --key b/host.key --input x.npy --receipt x.receipt";
    workspace.run(run).succeeds();
    let verify = |ring: &str| {
        workspace
            .run(&format!("receipt verify x.receipt --ring {ring} --owner keys/owner.pub --json"))
    };
    let stale = verify("older.ring").exits(5).says("in its newest revision");
    assert_eq!(stale.json()["verdict"], "stale");
    verify("a.ring").succeeds();
}
