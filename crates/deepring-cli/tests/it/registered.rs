//! A ring is on a ledger once its owner registered it, and by nothing else.

use std::fs;

use deepring::keys::Node;

use crate::workspace::Workspace;

const REGISTER: &str = "ledger register net.ring --owner-key keys/owner.key --ledger ledger";
const RUN: &str = "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy";

#[test]
fn a_ring_its_upgrade_and_its_newer_revision_are_registered_once() {
    let workspace = Workspace::with_ring();
    workspace.run("keygen --out more").succeeds();
    let said = |words: &str| workspace.run(words).succeeds().stdout;
    let first = said(&format!("{REGISTER} --new-ledger"));
    assert!(first.starts_with("registered: ring "), "{first}");
    assert!(first.ends_with(", version 1, revision 0, as entry 0\n"), "{first}");
    assert!(said(REGISTER).starts_with("registered already: ring "));
    assert_eq!(workspace.acknowledged("ledger"), 1);

    workspace.run("grant net.ring --owner-key keys/owner.key --host more/host.pub").succeeds();
    let revision = said(REGISTER);
    assert!(revision.starts_with("registered the newer revision: "), "{revision}");
    assert!(revision.ends_with(", revision 1, as entry 1\n"), "{revision}");

    workspace.seal("two.ring", "--previous net.ring");
    let two = REGISTER.replace("net.ring", "two.ring");
    let upgraded = workspace.run(&format!("{two} --json")).succeeds().json();
    assert_eq!((&upgraded["registered"], &upgraded["entry"]), (&"upgrade".into(), &2.into()));
    assert_eq!(upgraded["model_version"], 2);
    let again = workspace.run(&format!("{two} --json")).succeeds().json();
    assert_eq!((&again["registered"], &again["entry"]), (&().into(), &().into()));
    assert_eq!(workspace.acknowledged("ledger"), 3);
    workspace.run("ledger verify --ledger ledger").succeeds();
}

#[test]
fn what_may_not_be_registered_is_refused_with_its_exit_code() {
    let workspace = Workspace::with_ring();
    workspace.run("keygen --out other").succeeds();
    fs::copy(workspace.path("net.ring"), workspace.path("old.ring")).unwrap();
    workspace.seal("two.ring", "--previous net.ring");
    workspace.register("two.ring", "ledger");
    let entries = workspace.acknowledged("ledger");
    // By a reader who has not seen the newer version.
    let old = REGISTER.replace("net.ring", "old.ring");
    workspace.run(&format!("{old} --trust new.json")).exits(5).says("which the ledger knows");
    let two = REGISTER.replace("net.ring", "two.ring");
    let other = two.replace("keys/owner.key", "other/owner.key");
    workspace.run(&other).exits(4).says("--owner-key");
    workspace.run(&two.replace("owner.key", "owner.pub")).exits(1).says("owner public key");
    let last = fs::metadata(workspace.path("two.ring")).unwrap().len() as usize - 1;
    workspace.flip("two.ring", last);
    workspace.run(&two).exits(3);
    workspace.flip("two.ring", last);
    let revoke = "revoke ring two.ring --owner-key keys/owner.key --ledger ledger --reason x";
    assert_eq!(workspace.acknowledged("ledger"), entries);
    workspace.run(revoke).succeeds();
    workspace.run(&two).exits(4).says("is revoked by entry");
    assert_eq!(workspace.acknowledged("ledger"), entries + 1);
}

#[test]
fn no_run_repair_or_receipt_registers_a_ring() {
    let workspace = Workspace::with_ring();
    fs::copy(workspace.path("net.ring"), workspace.path("copy.ring")).unwrap();
    workspace.run(&format!("{RUN} --receipt x.receipt")).succeeds();
    workspace.run("ledger init ledger").succeeds();
    let hint = "deepring ledger register";
    workspace.run(&format!("{RUN} --ledger ledger")).exits(4).says(hint);
    let repair = "repair net.ring --from copy.ring --owner keys/owner.pub --ledger ledger";
    workspace.run(&format!("{repair} --key keys/host.key")).exits(4).says(hint);
    let receipt = "receipt verify x.receipt --ring net.ring --owner keys/owner.pub";
    workspace.run(&format!("{receipt} --ledger ledger")).exits(3).says("holds no entry");
    assert_eq!(workspace.acknowledged("ledger"), 0);
}

/// An alarm that the ledger does not take changes nothing of the refusal.
#[test]
fn tampering_with_a_ring_that_the_ledger_does_not_know_is_refused_as_ever() {
    let workspace = Workspace::with_ring();
    workspace.run("ledger init ledger").succeeds();
    // In Genesis' header, so that the ring is not even authentic.
    workspace.flip("net.ring", 600);
    let plain = workspace.run(RUN).code;
    let ran = workspace.run(&format!("{RUN} --ledger ledger")).exits(3);
    assert_eq!(ran.code, plain);
    ran.says("the alarm is not on the ledger");
    assert_eq!(workspace.acknowledged("ledger"), 0);
}

#[test]
fn a_host_that_the_ledger_does_not_know_decides_nothing_there() {
    let workspace = Workspace::with_ring();
    workspace.run("keygen --out more").succeeds();
    workspace.register("net.ring", "ledger");
    workspace.run("grant net.ring --owner-key keys/owner.key --host more/host.pub").succeeds();
    let run = RUN.replace("keys/host.key", "more/host.key");
    workspace.run(&format!("{run} --ledger ledger")).exits(4).says("register this revision");
    // The host of the revision that the ledger knows goes on.
    workspace.run(&format!("{RUN} --ledger ledger")).succeeds();
    workspace.register("net.ring", "ledger");
    workspace.run(&format!("{run} --ledger ledger")).succeeds();
    let author = fs::read_to_string(workspace.path("more/host.pub")).unwrap();
    let shown = workspace.run("ledger show --ledger ledger --json").succeeds().json();
    let entries = shown["entries"].as_array().unwrap();
    assert_eq!(entries.last().unwrap()["entry"]["author"], author.trim());
}

#[test]
fn the_entries_that_are_asked_for_are_shown_with_their_authors() {
    let workspace = Workspace::with_ring();
    workspace.register("net.ring", "ledger");
    workspace.run(&format!("{RUN} --ledger ledger")).succeeds();
    workspace.seal("other.ring", "");
    workspace.register("other.ring", "ledger");
    workspace.run("keygen --out more").succeeds();
    let owned = "--owner-key keys/owner.key --ledger ledger --reason dismissed";
    workspace.run(&format!("revoke host more/host.pub {owned}")).succeeds();
    let ring = workspace.ring("other.ring").ring_id();
    let more = fs::read_to_string(workspace.path("more/host.pub")).unwrap();
    let more = more.trim();
    for (filter, indices) in [
        (String::new(), vec![0, 1, 2, 3]),
        ("--since-entry 2".to_owned(), vec![2, 3]),
        ("--since-entry 9".to_owned(), vec![]),
        ("--kind ring_registered".to_owned(), vec![0, 2]),
        ("--kind decisions --since-entry 1".to_owned(), vec![1]),
        ("--kind repair".to_owned(), vec![]),
        (format!("--ring {ring}"), vec![2]),
        (format!("--ring {}", workspace.ring("net.ring").ring_id()), vec![0, 1]),
        ("--host keys/host.pub".to_owned(), vec![1]),
        (format!("--host {more}"), vec![3]),
    ] {
        let words = format!("ledger show --ledger ledger {filter}");
        let shown = workspace.run(&words).succeeds().stdout;
        let lines: Vec<u64> = shown
            .lines()
            .map(|line| line.split_whitespace().next().unwrap().parse().unwrap())
            .collect();
        assert_eq!(lines, indices, "{words}: {shown}");
        let json = workspace.run(&format!("{words} --json")).succeeds().json();
        assert_eq!(json["size"], 4);
        let entries = json["entries"].as_array().unwrap();
        let listed: Vec<u64> = entries.iter().map(|e| e["index"].as_u64().unwrap()).collect();
        assert_eq!(listed, indices, "{words}");
    }
    let shown = workspace.run("ledger show --ledger ledger").succeeds().stdout;
    let owner = workspace.ring("net.ring").owner().short();
    assert!(shown.contains(&format!("  {owner}: ring ")), "{shown}");
    assert!(shown.contains("for all rings of this owner: dismissed"), "{shown}");
    workspace.run("ledger show --ledger ledger --host keys/owner.pub").exits(1);
}

#[test]
fn a_rotated_owners_ring_is_the_new_keys_and_the_old_one_says_nothing_more() {
    let workspace = Workspace::with_ring();
    workspace.run("keygen --out new").succeeds();
    workspace.register("net.ring", "ledger");
    let rotate = "ledger rotate-owner --owner-key keys/owner.key --new-owner-key new/owner.key \
                  --ledger ledger";
    // A stranger has nothing to hand over, and nobody takes over from himself.
    let strangers = rotate.replace("keys/owner.key", "new/owner.key");
    workspace.run(&strangers).exits(4);
    let rotated = workspace.run(&format!("{rotate} --json")).succeeds().json();
    assert_eq!(rotated["entry"], 1);
    workspace.run(rotate).exits(4).says("gave its rings over");
    let revoke = "revoke ring net.ring --ledger ledger --reason old --all-versions --owner-key";
    workspace.run(&format!("{revoke} keys/owner.key")).exits(4).says("gave its rings over");
    let id = workspace.ring("net.ring").ring_id();
    let revoke = revoke.replace("net.ring", &id.to_string());
    workspace.run(&format!("{revoke} new/owner.key")).succeeds();
}

#[test]
fn a_rotated_owners_new_key_does_with_the_ring_what_the_old_one_did() {
    let workspace = Workspace::with_ring();
    for name in ["new", "stranger", "more"] {
        workspace.run(&format!("keygen --out {name}")).succeeds();
    }
    workspace.register("net.ring", "ledger");
    fs::copy(workspace.path("net.ring"), workspace.path("dealt.ring")).unwrap();
    workspace
        .run(
            "deal dealt.ring --owner-key keys/owner.key --leg 1-2=keys/host.pub --leg 3-5=more/host.pub \
             -o net.deal --trust else.json",
        )
        .succeeds();
    workspace
        .run(
            "ledger rotate-owner --owner-key keys/owner.key --new-owner-key new/owner.key --ledger ledger",
        )
        .succeeds();

    // The old key lets nobody in where the ledger is asked.
    for words in [
        "grant net.ring --owner-key keys/owner.key --host more/host.pub -o more.ring --ledger ledger",
        "deal net.ring --owner-key keys/owner.key --leg 1-5=keys/host.pub -o x.deal --ledger ledger",
    ] {
        workspace.run(words).exits(4).says("gave its rings over");
    }
    // What the old key signed before, the new one registers; nobody else does.
    let register = |ring: &str, by: &str| {
        workspace.run(&format!(
            "ledger register {ring} --owner-key {by}/owner.key --ledger ledger --trust else.json"
        ))
    };
    register("dealt.ring", "keys").exits(4).says("gave its rings over");
    register("dealt.ring", "stranger").exits(4);
    let done = register("dealt.ring", "new").succeeds().stdout;
    assert!(done.contains("newer revision"), "{done}");

    // The next version is sealed by the new key, where the ledger says that it may be.
    let seal = |by: &str, more: &str| {
        workspace.run(&format!(
            "seal net.onnx --owner {by}/owner.key --host keys/host.pub --previous dealt.ring -o next.ring {more}"
        ))
    };
    seal("new", "").exits(4);
    seal("stranger", "--ledger ledger").exits(4);
    seal("keys", "--ledger ledger").exits(4).says("is not owner");
    seal("new", "--ledger ledger").succeeds();
    register("next.ring", "stranger").exits(4);
    let done = register("next.ring", "new").succeeds().stdout;
    assert!(done.contains("the upgrade"), "{done}");
    // A reader who knows the ring under the old key takes it from whoever gives him the new one.
    workspace.run("trust add keys/owner.pub new/owner.pub").succeeds();
    workspace.run("verify net.ring").succeeds();
    workspace.run("verify next.ring").exits(4).says("under another owner");
    workspace.run("verify next.ring --owner new/owner.pub").succeeds();
    workspace.run("verify next.ring").succeeds();
    let run =
        "run next.ring --owner new/owner.pub --key keys/host.key --input x.npy --ledger ledger";
    workspace.run(run).succeeds();

    // By files of either key.
    let host = "revoke host more/host.pub --ledger ledger --reason gone --owner-key";
    workspace.run(&format!("{host} keys/owner.key --ring dealt.ring")).exits(4);
    workspace.run(&format!("{host} stranger/owner.key --ring dealt.ring")).exits(4);
    workspace.run(&format!("{host} new/owner.key --ring dealt.ring")).succeeds();
    let lift = "revoke lift dealt.ring --host more/host.pub --owner-key new/owner.key --ledger ledger --reason x";
    workspace.run(lift).exits(1).says("no block of host");
    let ring = "revoke ring dealt.ring --ledger ledger --reason old --owner-key";
    workspace.run(&format!("{ring} stranger/owner.key")).exits(4);
    workspace.run(&format!("{ring} new/owner.key")).succeeds();
}

#[test]
fn a_ledger_takes_rings_of_the_owners_that_its_validator_set_names() {
    let workspace = Workspace::with_ring();
    workspace.run("keygen --out other").succeeds();
    workspace.run("keygen --node --out node").succeeds();
    workspace.run("ledger init ledger").succeeds();
    let set = |by: &str, owners: &str| {
        format!(
            "ledger validator-set --owner-key {by}/owner.key {owners} --node node/node.pub --ledger ledger"
        )
    };
    // The first set is signed by an owner in it.
    workspace.run(&set("other", "--owner keys/owner.pub")).exits(4);
    let first = workspace.run(&format!("{} --json", set("other", "--owner other/owner.pub")));
    let first = first.succeeds().json();
    assert_eq!((&first["entry"], &first["epoch"]), (&0.into(), &1.into()));
    let register = "ledger register net.ring --owner-key keys/owner.key --ledger ledger";
    workspace.run(register).exits(4).says("validator set");
    // Nothing that such a node cosigns would count: its second half is the point under which one signature fits everything.
    let halves = [[9; 32], [0; 32]].concat();
    let weak = deepring::PublicKey::<Node>::from_bytes(halves.try_into().unwrap()).to_string();
    let weak = set("other", "--owner other/owner.pub").replace("node/node.pub", &weak);
    workspace.run(&weak).exits(1).says("cannot be counted");
    let both = set("other", "--owner other/owner.pub --owner keys/owner.pub");
    workspace.run(&set("keys", "--owner keys/owner.pub")).exits(4);
    let second = workspace.run(&format!("{both} --json")).succeeds().json();
    assert_eq!(second["epoch"], 2);
    workspace.run(register).succeeds();
    workspace.run("ledger verify --ledger ledger").succeeds();
}

#[test]
fn a_ledger_that_knows_the_deal_takes_no_decision_from_before_it() {
    let workspace = Workspace::with_ring();
    workspace.run("keygen --out more").succeeds();
    fs::copy(workspace.path("net.ring"), workspace.path("before.ring")).unwrap();
    workspace.register("net.ring", "ledger");
    workspace
        .run(
            "deal net.ring --owner-key keys/owner.key --leg 1-2=keys/host.pub --leg 3-5=more/host.pub \
             -o net.deal",
        )
        .succeeds();
    let run = |ring: &str| {
        format!(
            "run {ring} --owner keys/owner.pub --key keys/host.key --key more/host.key --input x.npy \
             --ledger ledger --ledger-key ledger/log.pub --trust fresh.json --receipt {ring}.receipt"
        )
    };
    // Not before its owner registers the deal.
    workspace.run(&run("net.ring")).exits(4).says("is not registered in the ledger");
    workspace.register("net.ring", "ledger");
    workspace.run(&run("net.ring")).succeeds();
    // A machine that never saw the deal, and the owner's own earlier file.
    workspace
        .run(&run("before.ring").replace("fresh", "fresher"))
        .exits(5)
        .says("the ledger knows");
    let verify = "receipt verify net.ring.receipt --ring before.ring --owner keys/owner.pub \
                  --ledger ledger --ledger-key ledger/log.pub --trust freshest.json --require none";
    workspace.run(verify).exits(5);
    workspace.run(&verify.replace("before.ring", "net.ring")).succeeds();
}
