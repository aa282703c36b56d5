//! Copies of blocks that several hosts hold, compared by `deepring audit`.

use std::fs;

use deepring_testkit::graphs::{FLOAT, Net};

use crate::workspace::Workspace;

/// `net.ring`, dealt in two legs to two hosts that both hold all of it; `more/` has the second one's keys.
fn dealt() -> Workspace {
    let workspace = Workspace::with_keys();
    workspace.run("keygen --out more").succeeds();
    workspace.run("keygen --out third").succeeds();
    workspace
        .run(
            "seal net.onnx --owner keys/owner.key --leg 1-2=keys/host.pub --leg 3-5=more/host.pub \
             --cut op -o net.ring",
        )
        .succeeds();
    workspace
}

const AUDIT: &str = "audit net.ring --owner keys/owner.pub --key keys/host.key --key more/host.key";

#[test]
fn copies_of_one_file_are_equal_block_by_block() {
    let workspace = dealt();
    let shown = workspace.run(AUDIT).succeeds().stdout;
    assert_eq!(shown.lines().count(), 6, "{shown}");
    assert!(shown.lines().all(|line| line.contains("are equal")), "{shown}");
    let json = workspace.run(&format!("{AUDIT} --block 3 --json")).succeeds().json();
    assert_eq!(json["agree"], true);
    let [block] = &json["blocks"].as_array().unwrap()[..] else { panic!("{json}") };
    assert_eq!((&block["block"], block["groups"][0].as_array().unwrap().len()), (&3.into(), 2));
}

#[test]
fn each_host_answers_from_its_own_file_and_a_damaged_one_is_refused() {
    let workspace = dealt();
    fs::copy(workspace.path("net.ring"), workspace.path("other.ring")).unwrap();
    let two = AUDIT.replace("audit net.ring", "audit net.ring other.ring");
    workspace.run(&two).succeeds();
    let at = workspace.ring("other.ring").stored_at(3, 5000).unwrap();
    workspace.flip("other.ring", usize::try_from(at).unwrap());
    workspace.run(&two).exits(3).says("block 3 (fc1)");
    workspace.run(&format!("{two} --block 2")).succeeds();
    // One file under two names is one copy.
    fs::hard_link(workspace.path("net.ring"), workspace.path("hard.ring")).unwrap();
    workspace.run(&two.replace("other.ring", "hard.ring")).exits(2).says("are one file");
    workspace.run(&two.replace("other.ring", "./net.ring")).exits(2).says("are one file");
    workspace.seal("two.ring", "--previous net.ring");
    workspace.run(&two.replace("other.ring", "two.ring")).exits(5);
}

#[test]
fn nothing_compared_is_no_success() {
    let workspace = dealt();
    let alone = "audit net.ring --owner keys/owner.pub --key keys/host.key";
    workspace.run(alone).exits(4).says("nothing was compared");
    workspace.run(&format!("{alone} --key keys/host.key")).exits(2).says("given twice");
    workspace.run(&format!("{alone} --key third/host.key")).exits(4).says("nothing was compared");
    workspace.run(&format!("{AUDIT} --block 9")).exits(2).says("there is no block 9");
    let three = AUDIT.replace("audit net.ring", "audit net.ring net.ring net.ring");
    workspace.run(&three).exits(2).says("one for each");
}

/// Parts that several blocks share are in the answer of each of them.
#[test]
fn a_block_that_others_share_is_not_audited_by_itself() {
    let workspace = Workspace::with_keys();
    workspace.run("keygen --out more").succeeds();
    let mut net = Net::new(11);
    net.input("x", FLOAT, &["2", "64"]).output("y", FLOAT);
    let weight = net.param("w", &[64, 64]);
    net.node("MatMul", &["x", &weight], "a");
    net.node("Tanh", &["a"], "b");
    net.node("MatMul", &["b", &weight], "y");
    fs::write(workspace.path("net.onnx"), net.bytes()).unwrap();
    let hosts = "--host keys/host.pub --host more/host.pub";
    let seal = format!("seal net.onnx --owner keys/owner.key {hosts} --cut op -o net.ring");
    workspace.run(&seal).succeeds();
    assert_eq!(workspace.ring("net.ring").shared().len(), 1);
    assert_eq!(workspace.run(AUDIT).succeeds().stdout.lines().count(), 3);
    let shared = workspace.run(&format!("{AUDIT} --block 3")).exits(2);
    shared.says("block 3 holds what other blocks share: it is compared with each that uses it");
}
