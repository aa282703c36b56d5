//! A ledger that was known: gone, new, of another key or rolled back, it is refused; and no weak key vouches for one.

use std::fs;

use deepring_ledger::Ledger;

use crate::workspace::{Ran, Workspace};

const RUN: &str = "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy";
const REGISTER: &str = "ledger register net.ring --owner-key keys/owner.key";
const REPAIR: &str =
    "repair net.ring --from net.ring --owner keys/owner.pub --key keys/host.key --ledger ledger";

fn copy(workspace: &Workspace, from: &str, to: &str) {
    let _ = fs::remove_dir_all(workspace.path(to));
    fs::create_dir(workspace.path(to)).unwrap();
    for name in ["ledger.redb", "checkpoint", "log.key", "log.pub"] {
        fs::copy(workspace.path(from).join(name), workspace.path(to).join(name)).unwrap();
    }
}

#[test]
fn no_ledger_is_made_unless_that_is_asked_for() {
    let workspace = Workspace::with_ring();
    for words in [
        format!("{RUN} --ledger ledger"),
        format!("{REGISTER} --ledger ledger"),
        REPAIR.to_owned(),
        "ledger show --ledger ledger".to_owned(),
        "revoke key --key keys/host.key --ledger ledger --reason lost".to_owned(),
    ] {
        workspace.run(&words).exits(1).says("hint: `deepring ledger init ledger`");
        assert!(!workspace.path("ledger").exists(), "{words}");
    }
    let made = workspace.run("ledger init ledger").succeeds().stdout;
    let key = fs::read_to_string(workspace.path("ledger/log.pub")).unwrap();
    assert_eq!(made.lines().nth(1), Some(key.trim()));
    workspace.run("ledger init ledger").exits(4);
    workspace.run("ledger init ledger --trust new.json").exits(1).says("there is one already");
    workspace.run(&format!("{REGISTER} --ledger ledger --new-ledger --trust new.json")).exits(1);
    workspace.run(&format!("{REGISTER} --ledger ledger")).succeeds();
    workspace.run(&format!("{RUN} --ledger ledger")).succeeds();
}

#[test]
fn a_ledger_that_was_known_and_is_gone_is_not_begun_anew() {
    let workspace = Workspace::with_ring();
    workspace.register("net.ring", "ledger");
    workspace.run(&format!("{RUN} --ledger ledger --receipt x.receipt")).succeeds();
    workspace.seal("two.ring", "--previous net.ring");
    let register = REGISTER.replace("net.ring", "two.ring");
    workspace.run(&format!("{register} --ledger ledger")).succeeds();
    // On the ledger alone: a store that has forgotten the version.
    let receipt = "receipt verify x.receipt --ring net.ring --owner keys/owner.pub --ledger ledger";
    let all = [
        format!("{RUN} --ledger ledger"),
        format!("{register} --ledger ledger"),
        format!("{register} --ledger ledger --new-ledger"),
        "revoke key --key keys/host.key --ledger ledger --reason lost".to_owned(),
        REPAIR.to_owned(),
        receipt.to_owned(),
        "ledger show --ledger ledger".to_owned(),
        "ledger verify --ledger ledger".to_owned(),
        "ledger checkpoint --ledger ledger".to_owned(),
        "ledger prove --ledger ledger".to_owned(),
        "ledger init ledger".to_owned(),
    ];
    fs::remove_dir_all(workspace.path("ledger")).unwrap();
    for empty in [false, true] {
        if empty {
            fs::create_dir(workspace.path("ledger")).unwrap();
        }
        for words in &all {
            workspace.run(words).exits(4).says("deepring trust remove --ledger ledger");
        }
    }
    assert_eq!(fs::read_dir(workspace.path("ledger")).unwrap().count(), 0);
    // Somewhere else it would forget just as much.
    let elsewhere = "--ledger elsewhere --new-ledger";
    workspace.run(&format!("{register} {elsewhere}")).exits(4).says("recorded in another ledger");
    assert!(!workspace.path("elsewhere").exists());
    // Only who says so begins anew.
    workspace.run("trust remove --ledger ledger").succeeds().says("not known here any more");
    workspace.run("ledger init ledger").succeeds();
    workspace.run(&format!("{RUN} --ledger ledger")).exits(5).says("older than version 2");
}

/// A ledger that was known and is gone has no other name than it had, and a pinned key does not bring it back.
#[cfg(unix)]
#[test]
fn a_ledger_that_is_gone_is_known_by_every_way_to_its_place() {
    let workspace = Workspace::with_ring();
    fs::create_dir_all(workspace.path("p/sub")).unwrap();
    std::os::unix::fs::symlink("p", workspace.path("way")).unwrap();
    workspace.run("ledger init p/lg").succeeds();
    fs::copy(workspace.path("p/lg/log.pub"), workspace.path("kept.pub")).unwrap();
    fs::remove_dir_all(workspace.path("p/lg")).unwrap();
    for dir in ["p/lg", "p/sub/../lg", "keys/../p/lg", "way/lg", "way/sub/../lg", "./p/./lg"] {
        for words in [
            format!("ledger init {dir}"),
            format!("ledger verify --ledger {dir}"),
            format!("ledger show --ledger {dir}"),
            format!("ledger verify --ledger {dir} --ledger-key kept.pub"),
            format!("{RUN} --ledger {dir}"),
            format!("{REGISTER} --ledger {dir}"),
            format!("{REGISTER} --ledger {dir} --new-ledger"),
            format!("{RUN} --ledger {dir} --ledger-key kept.pub"),
        ] {
            workspace.run(&words).exits(4).says("was known here").says("trust remove --ledger");
        }
        assert!(!workspace.path("p/lg").exists(), "{dir}");
    }
    workspace.run("trust remove --ledger way/sub/../lg").succeeds();
    workspace.run("ledger init p/lg").succeeds();
}

#[test]
fn where_nothing_is_remembered_a_new_ledger_says_so() {
    let workspace = Workspace::new();
    let ran =
        workspace.command("ledger init ledger").env_remove("DEEPRING_TRUST").output().unwrap();
    Ran::of("ledger init ledger", ran).succeeds().says("no ledger is remembered");
}

#[test]
fn another_ledger_in_a_known_ones_place_is_refused_by_every_command_and_a_pin_decides() {
    let workspace = Workspace::with_ring();
    workspace.register("net.ring", "ledger");
    workspace.run(&format!("{RUN} --ledger ledger --receipt x.receipt")).succeeds();
    workspace.register_with("net.ring", "forged", "--trust theirs.json");
    fs::copy(workspace.path("ledger/log.pub"), workspace.path("ours.pub")).unwrap();
    let receipt = "receipt verify x.receipt --ring net.ring --owner keys/owner.pub";
    // At a path of its own it is another ledger than the ring's.
    for words in [
        format!("{RUN} --ledger forged"),
        format!("{REGISTER} --ledger forged"),
        format!("{receipt} --ledger forged"),
        "revoke ring net.ring --owner-key keys/owner.key --ledger forged --reason lost".to_owned(),
    ] {
        workspace.run(&words).exits(4).says("recorded in another ledger");
    }
    copy(&workspace, "ledger", "kept");
    copy(&workspace, "forged", "ledger");
    for words in [
        format!("{RUN} --ledger ledger"),
        format!("{receipt} --ledger ledger"),
        REPAIR.to_owned(),
        "ledger show --ledger ledger".to_owned(),
        "ledger verify --ledger ledger".to_owned(),
        "ledger checkpoint --ledger ledger".to_owned(),
        "ledger prove --ledger ledger".to_owned(),
    ] {
        workspace.run(&words).exits(4).says("and was known with");
        workspace.run(&format!("{words} --ledger-key ours.pub")).exits(4).says("--ledger-key");
    }
    // Who pins the other key has decided; the memory stays what it was.
    workspace.run(&format!("{RUN} --ledger ledger --ledger-key forged/log.pub")).succeeds();
    workspace.run("ledger show --ledger ledger --ledger-key forged/log.pub").succeeds();
    workspace.run(&format!("{RUN} --ledger ledger")).exits(4);
    copy(&workspace, "kept", "ledger");
    workspace.run(&format!("{RUN} --ledger ledger")).succeeds();
    for words in [format!("{RUN} --ledger ledger"), format!("{receipt} --ledger ledger")] {
        workspace.run(&format!("{words} --ledger-key ours.pub")).succeeds();
        workspace.run(&format!("{words} --ledger-key forged/log.pub")).exits(4);
    }
}

#[test]
fn a_ledger_of_a_known_name_and_another_key_is_refused() {
    let workspace = Workspace::with_ring();
    workspace.register_with("net.ring", "ledger", "--trust theirs.json");
    let key = fs::read_to_string(workspace.path("ledger/log.pub")).unwrap().trim().to_owned();
    // The store knows another key of the same name, of a ledger somewhere else.
    let (origin, _) = key.split_once('+').unwrap();
    let known = format!("{origin}+00000000+another");
    let store = serde_json::json!({
        "format": 2, "owners": [], "rings": {}, "paths": {},
        "ledgers": { known: { "size": 0, "checkpoint": "" } },
        "ledger_paths": {},
    });
    fs::write(workspace.path("trust.json"), store.to_string()).unwrap();
    for words in [
        format!("{RUN} --ledger ledger"),
        "ledger show --ledger ledger".to_owned(),
        REPAIR.to_owned(),
    ] {
        workspace.run(&words).exits(4).says("seen before with another key");
    }
    workspace.run(&format!("{RUN} --ledger ledger --ledger-key ledger/log.pub")).succeeds();
}

#[test]
fn a_ledger_that_is_shorter_than_it_was_is_stale_though_all_its_files_agree() {
    let workspace = Workspace::with_ring();
    workspace.register("net.ring", "ledger");
    workspace.run(&format!("{RUN} --ledger ledger --receipt x.receipt")).succeeds();
    copy(&workspace, "ledger", "early");
    workspace.run(&format!("{RUN} --ledger ledger")).succeeds();
    copy(&workspace, "ledger", "late");
    copy(&workspace, "early", "ledger");
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
        workspace.run(&words).exits(5).says("was rolled back: it holds 2 entries, and 3 were seen");
    }
    assert_eq!(
        workspace.run("ledger verify --ledger ledger --json").exits(5).json()["verdict"],
        "stale"
    );
    copy(&workspace, "late", "ledger");
    workspace.run(&format!("{RUN} --ledger ledger")).succeeds();
    // The same against a checkpoint that was kept, for whoever remembers nothing else.
    let kept = workspace.run("ledger checkpoint --ledger ledger").succeeds().stdout;
    std::fs::write(workspace.path("kept"), kept).unwrap();
    copy(&workspace, "early", "ledger");
    let words = "ledger verify --ledger ledger --against kept --trust new.json --json";
    assert_eq!(workspace.run(words).exits(5).json()["verdict"], "stale");
}

#[test]
fn a_reader_who_knows_no_key_is_told_that_nobody_vouches_for_the_ledger() {
    let workspace = Workspace::with_ring();
    workspace.register("net.ring", "ledger");
    workspace.run(&format!("{RUN} --ledger ledger --receipt x.receipt")).succeeds();
    let receipt = "receipt verify x.receipt --ring net.ring --owner keys/owner.pub --ledger ledger";
    let vouched = |more: &str| {
        workspace.run(&format!("{receipt} --json {more}")).succeeds().json()["ledger_key"].clone()
    };
    assert_eq!(vouched(""), "remembered");
    assert_eq!(vouched("--trust new.json"), "nobody");
    assert_eq!(vouched("--trust new.json --ledger-key ledger/log.pub"), "pinned");
    workspace.run(&format!("{receipt} --trust new.json")).succeeds().says("nobody vouches");
}

/// Under the identity as key, R = B and S = 1 signs every checkpoint.
#[test]
fn a_proof_under_a_key_of_small_order_proves_nothing() {
    let workspace = Workspace::with_ring();
    workspace.register("net.ring", "ledger");
    workspace.run(&format!("{RUN} --ledger ledger --receipt x.receipt")).succeeds();
    workspace.run("ledger prove --ledger ledger --receipt x.receipt -o x.tlog-proof").succeeds();
    let proof = fs::read_to_string(workspace.path("x.tlog-proof")).unwrap();
    let origin = fs::read_to_string(workspace.path("ledger/log.pub")).unwrap();
    let (origin, _) = origin.split_once('+').unwrap();
    let (unsigned, _) = proof.rsplit_once("\u{2014} ").unwrap();
    let name = "weak.example/log";
    let key = "weak.example/log+48a31c19+AQEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let signature = "SKMcGVhmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmAQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let forged = format!("{}\u{2014} {name} {signature}\n", unsigned.replace(origin, name));
    fs::write(workspace.path("weak.tlog-proof"), forged).unwrap();
    fs::write(workspace.path("weak.pub"), format!("{key}\n")).unwrap();
    let receipt = "receipt verify x.receipt --ring net.ring --owner keys/owner.pub";
    workspace
        .run(&format!("{receipt} --proof weak.tlog-proof --ledger-key weak.pub"))
        .exits(4)
        .says("one signature fits every checkpoint");
    workspace.run(&format!("{receipt} --ledger ledger --ledger-key weak.pub")).exits(4);
    workspace
        .run(&format!("{receipt} --proof x.tlog-proof --ledger-key ledger/log.pub"))
        .succeeds();
}

#[test]
fn repair_asks_the_ledger_before_it_writes() {
    let workspace = Workspace::with_ring();
    workspace.seal("two.ring", "--previous net.ring");
    fs::copy(workspace.path("net.ring"), workspace.path("whole.ring")).unwrap();
    let last = fs::metadata(workspace.path("net.ring")).unwrap().len() as usize - 1;
    workspace.flip("net.ring", last);
    let damaged = fs::read(workspace.path("net.ring")).unwrap();
    let repair = "repair net.ring --from whole.ring --owner keys/owner.pub --key keys/host.key";
    let refused = |code, words: String| {
        let ran = workspace.run(&words).exits(code);
        assert_eq!(fs::read(workspace.path("net.ring")).unwrap(), damaged, "{words}");
        ran
    };

    // The ledger knows nothing of the ring; or a newer version, which the reader does not.
    workspace.run("ledger init empty").succeeds();
    refused(4, format!("{repair} --ledger empty")).says("deepring ledger register");
    workspace.register_with("two.ring", "newer", "--trust other.json");
    refused(5, format!("{repair} --ledger newer"));

    let theirs = "--trust revoker.json";
    workspace.register_with("whole.ring", "revoked", theirs);
    let revoke = "revoke ring whole.ring --owner-key keys/owner.key --ledger revoked";
    workspace.run(&format!("{revoke} --reason poisoned {theirs}")).succeeds();
    refused(4, format!("{repair} --ledger revoked"));

    // Whose copy it is must be a host of it.
    workspace.run("keygen --out other").succeeds();
    workspace.register("whole.ring", "ledger");
    let by_another = repair.replace("keys/host.key", "other/host.key");
    refused(4, format!("{by_another} --ledger ledger")).says("--key host.key");
    workspace.run(&format!("{repair} --ledger ledger")).succeeds();
}

#[test]
fn a_run_says_that_a_ring_is_recorded_in_a_ledger_that_it_was_not_given() {
    let workspace = Workspace::with_ring();
    let note = "note: this ring is recorded in deepring.local/ledger/";
    assert!(!workspace.run(RUN).succeeds().stderr.contains(note));
    // Another reader's registration is nothing that this one knows.
    workspace.register_with("net.ring", "ledger", "--trust theirs.json");
    assert!(!workspace.run(RUN).succeeds().stderr.contains(note));
    let recorded = workspace.run(&format!("{RUN} --ledger ledger")).succeeds();
    assert!(!recorded.stderr.contains(note), "{}", recorded.stderr);
    workspace.run(RUN).succeeds().says(note);
}

#[test]
fn two_ledgers_of_one_name_that_hold_the_same_have_the_same_body() {
    let workspace = Workspace::with_keys();
    let init =
        |dir: &str| workspace.run(&format!("ledger init {dir} --origin example.org/log --json"));
    let made = init("one").succeeds().json();
    assert_eq!(made["origin"], "example.org/log");
    assert!(made["key"].as_str().is_some_and(|key| key.starts_with("example.org/log+")), "{made}");
    init("two").succeeds();
    workspace.run("ledger init three --origin no+name").exits(1);
    let revoke = "revoke key --key keys/host.key --ledger one --reason lost";
    workspace.run(revoke).succeeds();
    // The entry as it is, brought to the other one.
    let entry = Ledger::open(workspace.path("one")).unwrap().entry(0).unwrap();
    let mut two = Ledger::open(workspace.path("two")).unwrap();
    two.append(&[entry]).unwrap();
    drop(two);
    let body = |dir: &str| {
        let text = fs::read_to_string(workspace.path(dir).join("checkpoint")).unwrap();
        text.split_once("\n\n").unwrap().0.to_owned()
    };
    assert_eq!(body("one"), body("two"));
}

#[test]
fn the_entry_of_a_decision_is_found_by_its_id() {
    let workspace = Workspace::with_ring();
    workspace.run("ledger init ledger").succeeds();
    workspace.register("net.ring", "ledger");
    let run =
        "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy --ledger ledger";
    workspace.run(run).succeeds();
    workspace.run(run).succeeds();
    let show = |more: &str| {
        workspace.run(&format!("ledger show --ledger ledger --json {more}")).succeeds().json()
    };
    let all = show("--kind decisions");
    let [first, second] = &all["entries"].as_array().unwrap()[..] else { panic!("{all}") };
    let id = second["entry"]["event"]["decision_id"].as_str();
    let id = id.or(second["entry"]["decision_id"].as_str()).unwrap();
    assert_ne!(first, second);
    let found = show(&format!("--decision {id}"));
    assert_eq!(found["entries"], serde_json::json!([second]));
    workspace.run("ledger show --ledger ledger --decision 12").exits(2);
}
