//! A ledger that was known: gone, new, of another key or rolled back, it is refused; and no weak key vouches for one.

use std::fs;

use deepring_ledger::{Entry, Event, Ledger};

use crate::desk::{Desk, Ran};

const RUN: &str = "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy";

fn copy(desk: &Desk, from: &str, to: &str) {
    let _ = fs::remove_dir_all(desk.path(to));
    fs::create_dir(desk.path(to)).unwrap();
    for name in ["ledger.redb", "checkpoint", "log.key", "log.pub"] {
        fs::copy(desk.path(from).join(name), desk.path(to).join(name)).unwrap();
    }
}

#[test]
fn no_ledger_is_made_unless_that_is_asked_for() {
    let desk = Desk::with_ring();
    for words in [
        format!("{RUN} --ledger ledger"),
        "repair net.ring --from net.ring --owner keys/owner.pub --ledger ledger".to_owned(),
        "ledger show --ledger ledger".to_owned(),
    ] {
        desk.run(&words).exits(1).says("hint: `deepring ledger init ledger`");
        assert!(!desk.path("ledger").exists(), "{words}");
    }
    let made = desk.run("ledger init ledger").succeeds().stdout;
    let key = fs::read_to_string(desk.path("ledger/log.pub")).unwrap();
    assert_eq!(made.lines().nth(1), Some(key.trim()));
    desk.run("ledger init ledger").exits(4);
    desk.run("ledger init ledger --trust new.json").exits(1).says("there is one already");
    desk.run(&format!("{RUN} --ledger ledger --new-ledger --trust new.json")).exits(1);
    desk.run(&format!("{RUN} --ledger ledger")).succeeds();
}

#[test]
fn a_ledger_that_was_known_and_is_gone_is_not_begun_anew() {
    let desk = Desk::with_ring();
    desk.run(&format!("{RUN} --ledger ledger --new-ledger --receipt x.receipt")).succeeds();
    desk.seal("two.ring", "--previous net.ring");
    desk.run(&format!("{} --ledger ledger", RUN.replace("net.ring", "two.ring"))).succeeds();
    // On the ledger alone: a store that has forgotten the version.
    let receipt = "receipt verify x.receipt --ring net.ring --owner keys/owner.pub --ledger ledger";
    let all = [
        format!("{RUN} --ledger ledger"),
        format!("{RUN} --ledger ledger --new-ledger"),
        "repair net.ring --from net.ring --owner keys/owner.pub --ledger ledger".to_owned(),
        receipt.to_owned(),
        "ledger show --ledger ledger".to_owned(),
        "ledger verify --ledger ledger".to_owned(),
        "ledger checkpoint --ledger ledger".to_owned(),
        "ledger prove --ledger ledger".to_owned(),
        "ledger init ledger".to_owned(),
    ];
    fs::remove_dir_all(desk.path("ledger")).unwrap();
    for empty in [false, true] {
        if empty {
            fs::create_dir(desk.path("ledger")).unwrap();
        }
        for words in &all {
            desk.run(words).exits(4).says("deepring trust remove --ledger ledger");
        }
    }
    assert_eq!(fs::read_dir(desk.path("ledger")).unwrap().count(), 0);
    // Somewhere else it would forget just as much.
    let elsewhere = "--ledger elsewhere --new-ledger";
    desk.run(&format!("{RUN} {elsewhere}")).exits(4).says("recorded in another ledger");
    assert!(!desk.path("elsewhere").exists());
    // Only who says so begins anew.
    desk.run("trust remove --ledger ledger").succeeds().says("not known here any more");
    desk.run("ledger init ledger").succeeds();
    desk.run(&format!("{RUN} --ledger ledger")).exits(5).says("older than version 2");
}

/// What was known and is gone has no other name than it had, and a pinned key does not bring it back.
#[cfg(unix)]
#[test]
fn a_ledger_that_is_gone_is_known_by_every_way_to_its_place() {
    let desk = Desk::with_ring();
    fs::create_dir_all(desk.path("p/sub")).unwrap();
    std::os::unix::fs::symlink("p", desk.path("way")).unwrap();
    desk.run("ledger init p/lg").succeeds();
    fs::copy(desk.path("p/lg/log.pub"), desk.path("kept.pub")).unwrap();
    fs::remove_dir_all(desk.path("p/lg")).unwrap();
    for dir in ["p/lg", "p/sub/../lg", "keys/../p/lg", "way/lg", "way/sub/../lg", "./p/./lg"] {
        for words in [
            format!("ledger init {dir}"),
            format!("ledger verify --ledger {dir}"),
            format!("ledger show --ledger {dir}"),
            format!("ledger verify --ledger {dir} --ledger-key kept.pub"),
            format!("{RUN} --ledger {dir}"),
            format!("{RUN} --ledger {dir} --new-ledger"),
            format!("{RUN} --ledger {dir} --ledger-key kept.pub"),
        ] {
            desk.run(&words).exits(4).says("was known here").says("trust remove --ledger");
        }
        assert!(!desk.path("p/lg").exists(), "{dir}");
    }
    desk.run("trust remove --ledger way/sub/../lg").succeeds();
    desk.run("ledger init p/lg").succeeds();
}

#[test]
fn where_nothing_is_remembered_a_new_ledger_says_so() {
    let desk = Desk::new();
    let ran = desk.command("ledger init ledger").env_remove("DEEPRING_TRUST").output().unwrap();
    Ran::of("ledger init ledger", ran).succeeds().says("no ledger is remembered");
}

#[test]
fn another_ledger_in_a_known_ones_place_is_refused_by_every_command_and_a_pin_decides() {
    let desk = Desk::with_ring();
    desk.run(&format!("{RUN} --ledger ledger --new-ledger --receipt x.receipt")).succeeds();
    desk.run(&format!("{RUN} --ledger forged --new-ledger --trust theirs.json")).succeeds();
    fs::copy(desk.path("ledger/log.pub"), desk.path("ours.pub")).unwrap();
    let receipt = "receipt verify x.receipt --ring net.ring --owner keys/owner.pub";
    // At a path of its own it is another ledger than the ring's.
    for words in [format!("{RUN} --ledger forged"), format!("{receipt} --ledger forged")] {
        desk.run(&words).exits(4).says("recorded in another ledger");
    }
    copy(&desk, "ledger", "kept");
    copy(&desk, "forged", "ledger");
    for words in [
        format!("{RUN} --ledger ledger"),
        format!("{receipt} --ledger ledger"),
        "repair net.ring --from net.ring --owner keys/owner.pub --ledger ledger".to_owned(),
        "ledger show --ledger ledger".to_owned(),
        "ledger verify --ledger ledger".to_owned(),
        "ledger checkpoint --ledger ledger".to_owned(),
        "ledger prove --ledger ledger".to_owned(),
    ] {
        desk.run(&words).exits(4).says("and was known with");
        desk.run(&format!("{words} --ledger-key ours.pub")).exits(4).says("--ledger-key");
    }
    // Who pins the other key has decided; the memory stays what it was.
    desk.run(&format!("{RUN} --ledger ledger --ledger-key forged/log.pub")).succeeds();
    desk.run("ledger show --ledger ledger --ledger-key forged/log.pub").succeeds();
    desk.run(&format!("{RUN} --ledger ledger")).exits(4);
    copy(&desk, "kept", "ledger");
    desk.run(&format!("{RUN} --ledger ledger")).succeeds();
    for words in [format!("{RUN} --ledger ledger"), format!("{receipt} --ledger ledger")] {
        desk.run(&format!("{words} --ledger-key ours.pub")).succeeds();
        desk.run(&format!("{words} --ledger-key forged/log.pub")).exits(4);
    }
}

#[test]
fn a_ledger_of_a_known_name_and_another_key_is_refused() {
    let desk = Desk::with_ring();
    desk.run("ledger init ledger --trust theirs.json").succeeds();
    let key = fs::read_to_string(desk.path("ledger/log.pub")).unwrap().trim().to_owned();
    // The store knows another key of the same name, of a ledger somewhere else.
    let (origin, _) = key.split_once('+').unwrap();
    let known = format!("{origin}+00000000+another");
    let store = serde_json::json!({
        "format": 2, "owners": [], "rings": {}, "paths": {},
        "ledgers": { known: { "size": 0, "checkpoint": "" } },
        "ledger_paths": {},
    });
    fs::write(desk.path("trust.json"), store.to_string()).unwrap();
    for words in [
        format!("{RUN} --ledger ledger"),
        "ledger show --ledger ledger".to_owned(),
        "repair net.ring --from net.ring --owner keys/owner.pub --ledger ledger".to_owned(),
    ] {
        desk.run(&words).exits(4).says("seen before with another key");
    }
    desk.run(&format!("{RUN} --ledger ledger --ledger-key ledger/log.pub")).succeeds();
}

#[test]
fn a_ledger_that_is_shorter_than_it_was_is_stale_though_all_its_files_agree() {
    let desk = Desk::with_ring();
    desk.run(&format!("{RUN} --ledger ledger --new-ledger --receipt x.receipt")).succeeds();
    copy(&desk, "ledger", "early");
    desk.run(&format!("{RUN} --ledger ledger")).succeeds();
    copy(&desk, "ledger", "late");
    copy(&desk, "early", "ledger");
    let receipt = "receipt verify x.receipt --ring net.ring --owner keys/owner.pub";
    for words in [
        format!("{RUN} --ledger ledger"),
        format!("{RUN} --ledger ledger --ledger-key ledger/log.pub"),
        format!("{receipt} --ledger ledger"),
        "ledger show --ledger ledger".to_owned(),
        "ledger verify --ledger ledger".to_owned(),
        "ledger checkpoint --ledger ledger".to_owned(),
        "ledger prove --ledger ledger".to_owned(),
    ] {
        desk.run(&words).exits(5).says("was rolled back: it holds 2 entries, and 3 were seen");
    }
    assert_eq!(
        desk.run("ledger verify --ledger ledger --json").exits(5).json()["verdict"],
        "stale"
    );
    copy(&desk, "late", "ledger");
    desk.run(&format!("{RUN} --ledger ledger")).succeeds();
    // The same against a checkpoint that was kept, for whoever remembers nothing else.
    let kept = desk.run("ledger checkpoint --ledger ledger").succeeds().stdout;
    std::fs::write(desk.path("kept"), kept).unwrap();
    copy(&desk, "early", "ledger");
    let words = "ledger verify --ledger ledger --against kept --trust new.json --json";
    assert_eq!(desk.run(words).exits(5).json()["verdict"], "stale");
}

#[test]
fn a_reader_who_knows_no_key_is_told_that_nobody_vouches_for_the_ledger() {
    let desk = Desk::with_ring();
    desk.run(&format!("{RUN} --ledger ledger --new-ledger --receipt x.receipt")).succeeds();
    let receipt = "receipt verify x.receipt --ring net.ring --owner keys/owner.pub --ledger ledger";
    let vouched = |more: &str| {
        desk.run(&format!("{receipt} --json {more}")).succeeds().json()["ledger_key"].clone()
    };
    assert_eq!(vouched(""), "remembered");
    assert_eq!(vouched("--trust new.json"), "nobody");
    assert_eq!(vouched("--trust new.json --ledger-key ledger/log.pub"), "pinned");
    desk.run(&format!("{receipt} --trust new.json")).succeeds().says("nobody vouches");
}

/// Under the identity as key, R = B and S = 1 signs every checkpoint.
#[test]
fn a_proof_under_a_key_of_small_order_proves_nothing() {
    let desk = Desk::with_ring();
    desk.run(&format!("{RUN} --ledger ledger --new-ledger --receipt x.receipt")).succeeds();
    desk.run("ledger prove --ledger ledger --receipt x.receipt -o x.tlog-proof").succeeds();
    let proof = fs::read_to_string(desk.path("x.tlog-proof")).unwrap();
    let origin = fs::read_to_string(desk.path("ledger/log.pub")).unwrap();
    let (origin, _) = origin.split_once('+').unwrap();
    let (unsigned, _) = proof.rsplit_once("\u{2014} ").unwrap();
    let name = "weak.example/log";
    let key = "weak.example/log+48a31c19+AQEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let signature = "SKMcGVhmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmAQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let forged = format!("{}\u{2014} {name} {signature}\n", unsigned.replace(origin, name));
    fs::write(desk.path("weak.tlog-proof"), forged).unwrap();
    fs::write(desk.path("weak.pub"), format!("{key}\n")).unwrap();
    let receipt = "receipt verify x.receipt --ring net.ring --owner keys/owner.pub";
    desk.run(&format!("{receipt} --proof weak.tlog-proof --ledger-key weak.pub"))
        .exits(4)
        .says("one signature fits every checkpoint");
    desk.run(&format!("{receipt} --ledger ledger --ledger-key weak.pub")).exits(4);
    desk.run(&format!("{receipt} --proof x.tlog-proof --ledger-key ledger/log.pub")).succeeds();
}

#[test]
fn repair_asks_the_ledger_before_it_writes() {
    let desk = Desk::with_ring();
    desk.seal("two.ring", "--previous net.ring");
    fs::copy(desk.path("net.ring"), desk.path("whole.ring")).unwrap();
    let last = fs::metadata(desk.path("net.ring")).unwrap().len() as usize - 1;
    desk.flip("net.ring", last);
    let damaged = fs::read(desk.path("net.ring")).unwrap();
    let repair = "repair net.ring --from whole.ring --owner keys/owner.pub";
    let refused = |code, words: String| {
        desk.run(&words).exits(code);
        assert_eq!(fs::read(desk.path("net.ring")).unwrap(), damaged, "{words}");
    };

    // The ledger knows a newer version, which the reader does not.
    desk.run("ledger init newer").succeeds();
    let two = RUN.replace("net.ring", "two.ring");
    desk.run(&format!("{two} --ledger newer --trust other.json")).succeeds();
    refused(5, format!("{repair} --ledger newer"));

    desk.run("ledger init revoked").succeeds();
    let ring = desk.ring("whole.ring");
    let (ring_id, ring_digest) = (ring.ring_id().0, ring.digest().0);
    let event = Event::RingRevoked { ring_id, ring_digest, reason: "poisoned".to_owned() };
    let mut ledger = Ledger::open_or_create(desk.path("revoked")).unwrap();
    ledger.append(&[Entry { at: 1, event }]).unwrap();
    drop(ledger);
    refused(4, format!("{repair} --ledger revoked"));

    desk.run("ledger init ledger").succeeds();
    desk.run(&format!("{repair} --ledger ledger")).succeeds();
}

#[test]
fn a_run_says_that_a_ring_is_recorded_in_a_ledger_that_it_was_not_given() {
    let desk = Desk::with_ring();
    let note = "note: this ring is recorded in deepring.local/ledger/";
    assert!(!desk.run(RUN).succeeds().stderr.contains(note));
    let recorded = desk.run(&format!("{RUN} --ledger ledger --new-ledger")).succeeds();
    assert!(!recorded.stderr.contains(note), "{}", recorded.stderr);
    desk.run(RUN).succeeds().says(note);
}
