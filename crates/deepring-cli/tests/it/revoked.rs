//! Decisions made before a revocation stay valid; after it nothing is decided.

use std::fs;

use crate::workspace::Workspace;

const RUN: &str =
    "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy --ledger ledger";
const RECEIPT: &str =
    "receipt verify x.receipt --ring net.ring --owner keys/owner.pub --ledger ledger";
const OWNED: &str = "--owner-key keys/owner.key --ledger ledger --reason poisoned";

/// `net.ring` on a ledger as entry 0, and its decision as entry 1.
fn decided() -> Workspace {
    let workspace = Workspace::with_ring();
    workspace.run("keygen --out other").succeeds();
    workspace.register("net.ring", "ledger");
    workspace.run(&format!("{RUN} --receipt x.receipt")).succeeds();
    let verified = workspace.run(&format!("{RECEIPT} --json")).succeeds().json();
    assert_eq!((&verified["entry"], &verified["revoked_since"]), (&1.into(), &().into()));
    workspace
}

/// That entry 2 revokes what decided: the receipt of before is valid and says so, the next run is refused, and so is a receipt that
/// was never recorded.
fn is_revoked(workspace: &Workspace, what: &str) {
    let verified = workspace.run(&format!("{RECEIPT} --json")).succeeds().json();
    assert_eq!((&verified["verdict"], &verified["entry"]), (&"intact".into(), &1.into()));
    assert_eq!(verified["revoked_since"]["entry"], 2);
    let shown = workspace.run(RECEIPT).succeeds().stdout;
    assert!(shown.contains(what) && shown.contains("REVOKED SINCE, by entry 2"), "{shown}");
    let refused = workspace.run(&format!("{RUN} --json")).exits(4).says("is revoked by entry 2");
    assert_eq!(refused.json()["verdict"], "untrusted");
    let elsewhere = RUN.replace("--ledger ledger", "--receipt late.receipt");
    workspace.run(&elsewhere).succeeds();
    let late = RECEIPT.replace("x.receipt", "late.receipt");
    workspace.run(&late).exits(4).says("is revoked by entry 2");
    assert_eq!(workspace.acknowledged("ledger"), 3);
    workspace.run("ledger verify --ledger ledger").succeeds();
}

#[test]
fn a_revoked_version_decides_nothing_more_and_the_next_one_does() {
    let workspace = decided();
    let revoked = workspace.run(&format!("revoke ring net.ring {OWNED} --json")).succeeds().json();
    let said = serde_json::json!({ "revoked": "ring", "entry": 2, "already": false });
    assert_eq!(revoked, said);
    is_revoked(&workspace, "the ring was");
    let again = workspace.run(&format!("revoke ring net.ring {OWNED}")).succeeds();
    assert!(again.stdout.starts_with("revoked already by entry 2: ring "), "{}", again.stdout);
    workspace.seal("two.ring", "--previous net.ring");
    workspace.register("two.ring", "ledger");
    workspace.run(&RUN.replace("net.ring", "two.ring")).succeeds();
}

#[test]
fn a_ring_is_revoked_in_all_versions_also_by_its_id_alone() {
    let workspace = decided();
    let id = workspace.ring("net.ring").ring_id();
    workspace.run(&format!("revoke ring {id} {OWNED}")).exits(2).says("--all-versions");
    fs::rename(workspace.path("net.ring"), workspace.path("kept.ring")).unwrap();
    workspace.run(&format!("revoke ring {id} --all-versions {OWNED}")).succeeds();
    fs::rename(workspace.path("kept.ring"), workspace.path("net.ring")).unwrap();
    is_revoked(&workspace, "the ring was");
    workspace.seal("two.ring", "--previous net.ring");
    let two = "ledger register two.ring --owner-key keys/owner.key --ledger ledger";
    workspace.run(two).exits(4).says("is revoked by entry 2");
    // One that came after it as well.
    for words in ["two.ring", "net.ring --all-versions"] {
        let again = workspace.run(&format!("revoke ring {words} {OWNED}")).succeeds();
        assert!(again.stdout.starts_with("revoked already by entry 2"), "{}", again.stdout);
    }
}

#[test]
fn a_hosts_key_revokes_itself() {
    let workspace = decided();
    let revoke = "revoke key --key keys/host.key --ledger ledger --reason stolen";
    let revoked = workspace.run(revoke).succeeds();
    assert!(revoked.stdout.contains("the key of host drhost1"), "{}", revoked.stdout);
    is_revoked(&workspace, "host drhost1");
    assert!(workspace.run(revoke).succeeds().stdout.starts_with("revoked already by entry 2"));
}

#[test]
fn an_owners_key_revokes_itself_and_signs_nothing_more() {
    let workspace = decided();
    workspace.run("revoke key --key keys/owner.key --ledger ledger --reason stolen").succeeds();
    is_revoked(&workspace, "the owner was");
    workspace.run(&format!("revoke host keys/host.pub {OWNED}")).exits(4).says("revoked its own");
    workspace
        .run("ledger register net.ring --owner-key keys/owner.key --ledger ledger")
        .exits(4)
        .says("is revoked by entry 2");
}

#[test]
fn a_nodes_key_revokes_itself_and_no_public_key_does() {
    let workspace = Workspace::with_keys();
    workspace.run("keygen --node --out keys").succeeds();
    workspace.run("ledger init ledger").succeeds();
    let revoke = |key: &str| {
        workspace.run(&format!("revoke key --key keys/{key} --ledger ledger --reason stolen"))
    };
    let revoked = revoke("node.key").succeeds();
    assert!(revoked.stdout.contains("the key of node drnode1"), "{}", revoked.stdout);
    for (key, said) in [("node.pub", "a node public key"), ("host.pub", "a host public key")] {
        revoke(key).exits(1).says(said);
    }
    assert_eq!(workspace.acknowledged("ledger"), 1);
}

#[test]
fn no_validator_set_names_a_node_whose_key_revoked_itself() {
    let workspace = Workspace::with_keys();
    workspace.run("keygen --node --out keys").succeeds();
    workspace.run("keygen --node --out more").succeeds();
    workspace.run("ledger init ledger").succeeds();
    let revoke = "revoke key --key keys/node.key --ledger ledger --reason stolen";
    workspace.run(revoke).succeeds();
    let set = |node: &str| {
        workspace.run(&format!(
            "ledger validator-set --owner-key keys/owner.key --owner keys/owner.pub --node {node}/node.pub --ledger ledger"
        ))
    };
    set("keys").exits(4).says("revoked its own key by entry 0");
    set("more").succeeds();
}

#[test]
fn a_host_is_revoked_for_one_ring_or_for_all_of_its_owners() {
    let workspace = decided();
    workspace.seal("other.ring", "");
    let by_file = format!("revoke host keys/host.pub --ring net.ring {OWNED}");
    workspace.run(&by_file).succeeds();
    is_revoked(&workspace, "host drhost1");
    assert!(workspace.run(&by_file).succeeds().stdout.starts_with("revoked already by entry 2"));
    // For another ring it is trusted as before.
    workspace.register("other.ring", "ledger");
    let other = RUN.replace("net.ring", "other.ring");
    workspace.run(&other).succeeds();
    let host = fs::read_to_string(workspace.path("keys/host.pub")).unwrap();
    workspace.run(&format!("revoke host {} {OWNED}", host.trim())).succeeds();
    workspace.run(&other).exits(4).says("is revoked by entry 5");
}

#[test]
fn nobody_revokes_anothers_ring_or_another_owners_host() {
    let workspace = decided();
    let entries = workspace.acknowledged("ledger");
    let theirs = OWNED.replace("keys/owner.key", "other/owner.key");
    let id = workspace.ring("net.ring").ring_id();
    workspace.run(&format!("revoke ring net.ring {theirs}")).exits(4).says("--owner-key");
    workspace.run(&format!("revoke ring {id} --all-versions {theirs}")).exits(4);
    workspace.run(&format!("revoke host keys/host.pub --ring {id} {theirs}")).exits(4);
    workspace.run(&format!("revoke host keys/host.pub {theirs}")).exits(4).says("has no ring here");
    workspace
        .run("revoke lift net.ring --host keys/host.pub --owner-key other/owner.key --ledger ledger --reason x")
        .exits(4);
    let by_host = OWNED.replace("keys/owner.key", "keys/host.key");
    workspace.run(&format!("revoke ring net.ring {by_host}")).exits(1).says("host secret key");
    assert_eq!(workspace.acknowledged("ledger"), entries);
    workspace.run(RUN).succeeds();
}

/// A reader without the ledger learns nothing, and is told where the ring is recorded.
#[test]
fn a_revocation_is_seen_by_who_asks_the_ledger() {
    let workspace = decided();
    workspace.run(&format!("revoke ring net.ring {OWNED}")).succeeds();
    let run = RUN.replace(" --ledger ledger", "");
    workspace.run(&run).succeeds().says("this ring is recorded in");
    workspace.run("ledger prove --ledger ledger --receipt x.receipt -o x.tlog-proof").succeeds();
    let proof = RECEIPT.replace("--ledger ledger", "--proof x.tlog-proof");
    let verified = workspace.run(&format!("{proof} --json")).succeeds().json();
    assert_eq!(verified["revoked_since"], serde_json::Value::Null);
}

#[test]
fn nobody_is_let_into_what_is_revoked_where_the_ledger_is_asked() {
    let workspace = decided();
    let grant = "grant net.ring --owner-key keys/owner.key --host other/host.pub --ledger ledger";
    let deal = "deal net.ring --owner-key keys/owner.key --leg 1-2=keys/host.pub \
                --leg 3-5=other/host.pub --ledger ledger -o net.deal";
    let revoke_host = format!("revoke host other/host.pub {OWNED}");
    workspace.run(&revoke_host).succeeds();
    let before = fs::read(workspace.path("net.ring")).unwrap();
    for command in [grant, deal] {
        workspace.run(command).exits(4).says("is revoked by entry 2");
    }
    workspace.run(&format!("revoke ring net.ring {OWNED}")).succeeds();
    let to_its_own = grant.replace("other/host.pub", "keys/host.pub");
    workspace.run(&to_its_own).exits(4).says("is revoked by entry 3");
    assert_eq!(fs::read(workspace.path("net.ring")).unwrap(), before);
    assert!(!workspace.path("net.deal").exists(), "nothing is left behind");
    // Who does not ask is not told.
    workspace.run(&grant.replace(" --ledger ledger", "")).succeeds();
}

#[test]
fn rings_are_let_in_where_the_ledger_has_nothing_against_it() {
    let workspace = decided();
    let host = "--owner-key keys/owner.key --host other/host.pub --ledger";
    workspace.seal("unknown.ring", "");
    workspace.run(&format!("grant unknown.ring {host} ledger")).exits(4).says("not registered");
    workspace.run(&format!("grant net.ring {host} ledger")).succeeds();
}

#[test]
fn a_host_that_is_revoked_for_all_rings_already_is_not_revoked_again() {
    let workspace = decided();
    let revoke = format!("revoke host other/host.pub {OWNED} --json");
    for already in [false, true] {
        let said = workspace.run(&revoke).succeeds().json();
        assert_eq!((&said["entry"], &said["already"]), (&2.into(), &already.into()));
    }
}

/// Whoever runs on and on must not keep his own revocation from the ledger.
#[test]
fn a_host_that_runs_on_and_on_is_revoked_meanwhile_and_ends() {
    let workspace = decided();
    let mut running = workspace
        .command(&format!("{RUN} --repeat 10000000"))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let before = workspace.acknowledged("ledger");
    while workspace.acknowledged("ledger") == before {
        assert!(running.try_wait().unwrap().is_none(), "it runs");
        std::thread::yield_now();
    }
    workspace.run(&format!("revoke host keys/host.pub {OWNED}")).succeeds();
    let ended = running.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(4), "{said}");
    assert!(said.contains("is revoked by entry"), "{said}");
}

/// The entry's place decides: a deal that is registered after a revocation does not take it back, and whoever registers it is told.
#[test]
fn who_registers_a_deal_with_a_revoked_host_is_told_and_the_host_stays_revoked() {
    let workspace = Workspace::with_ring();
    for folder in ["more", "third"] {
        workspace.run(&format!("keygen --out {folder}")).succeeds();
    }
    workspace.register("net.ring", "ledger");
    let deal = |second: &str| {
        let legs = format!("--leg 1-2=keys/host.pub --leg 3-5={second}/host.pub -o net.deal");
        workspace.run(&format!("deal net.ring --owner-key keys/owner.key {legs}")).succeeds();
    };
    let register = "ledger register net.ring --owner-key keys/owner.key --ledger ledger";
    let run = |second: &str| RUN.replace("--input", &format!("--key {second}/host.key --input"));
    deal("more");
    workspace.run(&format!("revoke host more/host.pub {OWNED}")).succeeds();
    // Dealt before, registered after it.
    let told = workspace.run(register).succeeds().says("is revoked by entry 1");
    told.says("is in its deal: deal the ring anew");
    workspace.run(&run("more")).exits(4).says("is revoked by entry 1");
    let said = workspace.run(&format!("{register} --json")).succeeds().json();
    let more = fs::read_to_string(workspace.path("more/host.pub")).unwrap();
    let expected = serde_json::json!([{ "host": more.trim(), "entry": 1, "dealt": true }]);
    assert_eq!((&said["registered"], &said["revoked_hosts"]), (&().into(), &expected));
    deal("third");
    // The keys stay in the file.
    workspace.run(register).succeeds().says("has its keys: seal a new version");
    workspace.run(&run("third")).succeeds();
    workspace.seal("two.ring", "--previous net.ring");
    let two = workspace.run(&format!("{} --json", register.replace("net.ring", "two.ring")));
    assert_eq!(two.succeeds().json()["revoked_hosts"], serde_json::json!([]));
}
