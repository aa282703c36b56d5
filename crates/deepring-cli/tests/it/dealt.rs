//! A dealt ring, and the record of its deal.

use std::fs;

use crate::workspace::Workspace;

#[test]
fn the_record_of_a_dealt_ring_can_be_written_again() {
    let workspace = Workspace::with_ring();
    workspace.run("keygen --out more").succeeds();
    let inspect = "inspect net.ring --deal again.deal";
    workspace.run(inspect).exits(1).says("is not dealt");
    assert!(!workspace.path("again.deal").exists());
    workspace
        .run(
            "deal net.ring --owner-key keys/owner.key --leg 1-2=keys/host.pub --leg 3-5=more/host.pub \
             -o net.deal",
        )
        .succeeds();
    let shown = workspace.run(inspect).succeeds().stdout;
    assert!(shown.contains("leg 2: blocks 3-5 by drhost1"), "{shown}");
    let bytes = |name: &str| fs::read(workspace.path(name)).unwrap();
    assert_eq!(bytes("net.deal"), bytes("again.deal"));
    let json = workspace.run("inspect net.ring --json").succeeds().json();
    assert_eq!(json["deal"]["legs"].as_array().unwrap().len(), 2);
    // It is not put in the place of the ring that it is read from.
    let before = bytes("net.ring");
    workspace.run("inspect net.ring --deal net.ring").exits(2);
    assert_eq!(bytes("net.ring"), before);
}

/// Who puts the owner's file from before the deal back would have one host decide alone.
#[test]
fn the_file_from_before_the_deal_is_stale_where_the_deal_was_seen() {
    let workspace = Workspace::with_ring();
    workspace.run("keygen --out more").succeeds();
    fs::copy(workspace.path("net.ring"), workspace.path("before.ring")).unwrap();
    let alone = "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy";
    let receipt = format!("{alone} --receipt x.receipt");
    workspace.run(&receipt).succeeds();
    workspace
        .run(
            "deal net.ring --owner-key keys/owner.key --leg 1-2=keys/host.pub --leg 3-5=more/host.pub \
             -o net.deal",
        )
        .succeeds();
    fs::rename(workspace.path("net.ring"), workspace.path("dealt.ring")).unwrap();
    fs::copy(workspace.path("before.ring"), workspace.path("net.ring")).unwrap();
    workspace.run(alone).exits(5).says("was seen before");
    workspace.run("verify net.ring --owner keys/owner.pub").exits(5).says("was seen before");
    // A decision from before is looked back at by who says what he asks of it.
    let verify = "receipt verify x.receipt --ring before.ring --owner keys/owner.pub";
    workspace.run(verify).exits(5).says("--require");
    workspace.run(&format!("{verify} --require none")).succeeds();
    workspace.run(&format!("{verify} --require validated")).exits(4);
    // The next version, once seen, does not make the reader forget which deal this one had.
    workspace
        .run("seal net.onnx --owner keys/owner.key --host keys/host.pub --previous dealt.ring -o next.ring")
        .succeeds();
    workspace.run("trust add keys/owner.pub").succeeds();
    workspace.run("verify next.ring").succeeds();
    workspace.run(verify).exits(5).says("before its deal 2");
    let shown = workspace.run(&format!("{verify} --require none")).succeeds().stdout;
    assert!(shown.contains("OLD"), "{shown}");
}

/// A key in a dealt ring is no part in it: who grants it is told so, and what he is told is what a run does.
#[test]
fn a_grant_says_what_the_deal_does_not_give() {
    let workspace = Workspace::with_ring();
    for folder in ["more", "third"] {
        workspace.run(&format!("keygen --out {folder}")).succeeds();
    }
    let deal = "deal net.ring --owner-key keys/owner.key --leg 1-2=keys/host.pub -o net.deal --leg";
    workspace.run(&format!("{deal} 3-5=more/host.pub")).succeeds();
    let grant = "grant net.ring --owner-key keys/owner.key --host";
    let granted = workspace.run(&format!("{grant} third/host.pub")).succeeds();
    assert!(granted.stdout.starts_with("granted 6 blocks"), "{}", granted.stdout);
    let granted = granted.says("its deal gives blocks 1, 2, 3, 4, 5 to other hosts");
    granted.says("`deepring deal`");
    let run = "run net.ring --owner keys/owner.pub --key third/host.key --input x.npy";
    workspace.run(run).exits(4);
    workspace.run(&format!("{run} --require none")).succeeds();
    // Again: nothing to do, and nothing more than before.
    workspace.run(&format!("{grant} 2-3=third/host.pub")).succeeds().says("gives blocks 2, 3 to");

    // With two copies each of two hosts has every leg.
    workspace.run(&format!("{grant} more/host.pub")).succeeds();
    let granted = workspace.run(&format!("{grant} keys/host.pub")).succeeds();
    assert!(!granted.stderr.contains("its deal"), "{}", granted.stderr);
    workspace.run(&format!("{deal} 3-5=third/host.pub")).succeeds();
    workspace.run(&format!("{run} --key keys/host.key")).succeeds();
}
