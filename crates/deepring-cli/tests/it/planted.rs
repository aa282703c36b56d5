//! Files that somebody else put where the command will look: they widen nothing, lock nobody out, hang nothing.

use std::fs;

use deepring_ledger::{Entry, Event, Ledger};

use crate::desk::Desk;

#[test]
fn a_key_planted_under_the_name_of_a_selection_is_not_granted_everything() {
    let desk = Desk::with_keys();
    desk.run("keygen --out theirs").succeeds();
    fs::create_dir(desk.path("1=keys")).unwrap();
    fs::copy(desk.path("theirs/host.pub"), desk.path("1=keys/host.pub")).unwrap();
    // Block 1 alone is asked for, so the others have no host; the planted file would have all.
    desk.run("seal net.onnx --owner keys/owner.key --host 1=keys/host.pub -o net.ring")
        .exits(2)
        .says("block 2 has no host");
}

#[test]
fn a_registration_in_another_owners_name_locks_nobody_out_and_ones_own_does_stale() {
    let desk = Desk::with_ring();
    let ring = desk.ring("net.ring");
    let register = |ledger: &str, owner: [u8; 64]| {
        let event = Event::RingRegistered {
            ring_id: ring.ring_id().0,
            ring_digest: [7; 32],
            model_version: u64::MAX,
            owner,
            closure_signature: [0; 64],
        };
        let mut ledger = Ledger::open_or_create(desk.path(ledger)).unwrap();
        ledger.append(&[Entry { at: 1, event }]).unwrap();
    };
    let run = "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy --ledger";
    register("squatted", [9; 64]);
    desk.run(&format!("{run} squatted")).succeeds();
    register("upgraded", *ring.owner().as_bytes());
    // By a reader who does not know the other ledger.
    desk.run(&format!("{run} upgraded --trust new.json")).exits(5).says("the ledger knows");
}

#[test]
fn a_ring_that_does_not_open_is_not_registered() {
    let desk = Desk::with_ring();
    let last = fs::metadata(desk.path("net.ring")).unwrap().len() as usize - 1;
    desk.flip("net.ring", last);
    desk.run("ledger init ledger").succeeds();
    desk.run(
        "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy --ledger ledger",
    )
    .exits(3);
    let shown = desk.run("ledger show --ledger ledger").succeeds().stdout;
    assert!(shown.contains("ALARM") && !shown.contains("registered"), "{shown}");
}

#[cfg(unix)]
#[test]
fn a_pipe_in_the_place_of_a_ring_or_receipt_is_refused_and_not_waited_for() {
    let desk = Desk::with_ring();
    let made = std::process::Command::new("mkfifo").arg(desk.path("pipe")).status();
    if !made.is_ok_and(|s| s.success()) {
        println!("skipped: no mkfifo here");
        return;
    }
    let refused = "not a plain file";
    desk.run("verify pipe --owner keys/owner.pub").exits(1).says(refused);
    let receipt = "receipt verify pipe --ring net.ring --owner keys/owner.pub";
    desk.run(receipt).exits(1).says(refused);
}

#[test]
fn a_ledger_is_not_made_around_a_key_that_lies_there() {
    let desk = Desk::with_ring();
    desk.run("ledger init theirs --trust theirs.json").succeeds();
    let run = "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy";
    for name in ["log.key", "log.pub", "checkpoint"] {
        fs::create_dir(desk.path("ledger")).unwrap();
        fs::copy(desk.path("theirs").join(name), desk.path("ledger").join(name)).unwrap();
        let new = format!("{run} --ledger ledger --new-ledger");
        for words in ["ledger init ledger", &new] {
            desk.run(words).exits(1).says(&format!("`{name}` is there already"));
        }
        assert_eq!(fs::read_dir(desk.path("ledger")).unwrap().count(), 1);
        fs::remove_dir_all(desk.path("ledger")).unwrap();
    }
    desk.run("ledger init ledger").succeeds();
}
