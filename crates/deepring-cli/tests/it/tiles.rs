//! The log as static files.

use std::fs;

use crate::workspace::Workspace;

#[test]
fn a_log_is_exported_extended_and_never_mixed_with_another() {
    let workspace = Workspace::with_keys();
    workspace.run("ledger init ledger").succeeds();
    workspace.run("revoke key --key keys/owner.key --ledger ledger --reason lost").succeeds();
    let tiles = "ledger tiles --ledger ledger -o public/log";
    let told = workspace.run(tiles).succeeds().stdout;
    assert_eq!(told, "public/log: 1 entries, 1 of them new; wrote 2 tiles and bundles\n");
    workspace.run("revoke key --key keys/host.key --ledger ledger --reason lost").succeeds();
    let told = workspace.run(&format!("{tiles} --json")).succeeds().json();
    assert_eq!((&told["before"], &told["size"], &told["files"]), (&1.into(), &2.into(), &2.into()));
    let checkpoint = fs::read(workspace.path("public/log/checkpoint")).unwrap();
    assert_eq!(checkpoint, fs::read(workspace.path("ledger/checkpoint")).unwrap());
    assert_eq!(fs::read(workspace.path("public/log/tile/0/000.p/2")).unwrap().len(), 64);

    workspace.run("ledger init other").succeeds();
    workspace
        .run(&tiles.replace("ledger ledger", "ledger other"))
        .exits(3)
        .says("not of this ledger");
    workspace.run(&tiles.replace("public/log", "keys")).exits(1).says("no export of a log");
    workspace.run(&tiles.replace("public/log", "ledger")).exits(1).says("no export of a log");
    assert_eq!(fs::read(workspace.path("public/log/checkpoint")).unwrap(), checkpoint);
}

#[test]
fn no_export_is_put_where_a_bound_ring_is_gone() {
    let workspace = Workspace::with_trusted_ring();
    workspace.register("net.ring", "ledger");
    fs::create_dir(workspace.path("public")).unwrap();
    for place in ["log", "public/checkpoint"] {
        fs::copy(workspace.path("net.ring"), workspace.path(place)).unwrap();
        workspace.run(&format!("trust bind {place} --owner keys/owner.pub")).succeeds();
        fs::remove_file(workspace.path(place)).unwrap();
    }
    for dir in ["log", "public"] {
        workspace
            .run(&format!("ledger tiles --ledger ledger -o {dir}"))
            .exits(4)
            .says("is bound to");
    }
    assert!(!workspace.path("log").exists());
    assert_eq!(fs::read_dir(workspace.path("public")).unwrap().count(), 0);
}
