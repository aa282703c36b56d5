//! Secret files are their owner's alone, and are never overwritten.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::workspace::Workspace;

#[test]
fn secret_keys_have_mode_0600_whatever_the_umask() {
    let workspace = Workspace::new();
    let mut shell = std::process::Command::new("sh");
    let command = env!("CARGO_BIN_EXE_deepring");
    let script =
        format!("umask 0; {command} keygen --out keys && {command} keygen --node --out keys");
    shell.args(["-c", &script]).current_dir(workspace.path(""));
    workspace.surround(&mut shell);
    assert!(shell.output().unwrap().status.success());
    let mode =
        |name: &str| fs::metadata(workspace.path(name)).unwrap().permissions().mode() & 0o777;
    for name in ["keys/owner.key", "keys/host.key", "keys/node.key"] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
    workspace.seal("net.ring", "");
    workspace.register("net.ring", "ledger");
    workspace
        .run(
            "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy --ledger ledger",
        )
        .succeeds();
    assert_eq!(mode("ledger/log.key"), 0o600);
}

#[test]
fn a_secret_key_that_others_can_read_or_write_is_refused_with_the_command_that_helps() {
    let workspace = Workspace::with_ring();
    workspace.run("keygen --node --out keys").succeeds();
    workspace.run("ledger init ledger").succeeds();
    let set = |name: &str, mode| {
        fs::set_permissions(workspace.path(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    for mode in [0o644, 0o660, 0o602] {
        set("keys/host.key", mode);
        set("keys/owner.key", mode);
        set("keys/node.key", mode);
        for words in [
            "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy",
            "verify net.ring --owner keys/owner.pub --key keys/host.key",
            "verify net.ring --owner keys/owner.pub --key keys/owner.key",
            "grant net.ring --owner-key keys/owner.key --host keys/host.pub",
            "seal net.onnx --owner keys/owner.key --host keys/host.pub -o a.ring",
            "ledger register net.ring --owner-key keys/owner.key --ledger ledger",
            "repair net.ring --from net.ring --owner keys/owner.pub --ledger ledger --key keys/host.key",
            "revoke ring net.ring --owner-key keys/owner.key --ledger ledger --reason lost",
            "revoke key --key keys/owner.key --ledger ledger --reason lost",
            "revoke key --key keys/host.key --ledger ledger --reason lost",
            "revoke key --key keys/node.key --ledger ledger --reason lost",
        ] {
            workspace.run(words).exits(1).says("hint: chmod 600 keys/");
        }
    }
    set("keys/host.key", 0o400);
    workspace
        .run("run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy")
        .succeeds();
}

#[test]
fn no_key_file_is_ever_overwritten_and_none_is_made_beside_one_that_is_there() {
    for (there, node) in [
        ("owner.key", ""),
        ("owner.pub", ""),
        ("host.key", ""),
        ("host.pub", ""),
        ("node.key", "--node"),
        ("node.pub", "--node"),
    ] {
        let workspace = Workspace::new();
        fs::create_dir(workspace.path("keys")).unwrap();
        fs::write(workspace.path("keys").join(there), "mine").unwrap();
        let words = format!("keygen --out keys {node}");
        workspace.run(&words).exits(1).says("never overwritten");
        assert_eq!(fs::read_to_string(workspace.path("keys").join(there)).unwrap(), "mine");
        assert_eq!(fs::read_dir(workspace.path("keys")).unwrap().count(), 1);
    }
}

#[test]
fn a_link_in_a_keys_place_is_not_followed() {
    let workspace = Workspace::new();
    fs::create_dir(workspace.path("keys")).unwrap();
    std::os::unix::fs::symlink("elsewhere", workspace.path("keys/host.key")).unwrap();
    workspace.run("keygen --out keys").exits(1);
    assert!(!workspace.path("keys/elsewhere").exists());
}

#[test]
fn no_secret_is_ever_printed() {
    let workspace = Workspace::with_ring();
    workspace.run("keygen --node --out keys").succeeds();
    let secrets: Vec<String> = ["keys/owner.key", "keys/host.key", "keys/node.key"]
        .iter()
        .flat_map(|name| {
            let text = fs::read_to_string(workspace.path(name)).unwrap();
            text.lines().filter(|l| !l.starts_with('#')).map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(secrets.len(), 3);
    for words in [
        "keygen --out more",
        "keygen --node --out more",
        "ledger register net.ring --owner-key keys/owner.key --ledger ledger --new-ledger",
        "inspect net.ring --json",
        "verify net.ring --owner keys/owner.pub --key keys/owner.key --json",
        "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy --ledger ledger --json",
        "run net.ring --owner keys/owner.key --key keys/host.key --input x.npy",
        "run net.ring --owner keys/owner.pub --key keys/owner.key --input x.npy",
        "ledger show --ledger ledger --json",
        "revoke key --key keys/host.key --ledger ledger --reason lost",
        "revoke key --key keys/node.key --ledger ledger --reason lost --json",
        "revoke host keys/host.key --owner-key keys/owner.key --ledger ledger --reason lost",
    ] {
        let mut command = workspace.command(words);
        let output = command.env("DEEPRING_LOG", "trace").output().unwrap();
        for printed in [output.stdout, output.stderr] {
            let printed = String::from_utf8_lossy(&printed);
            assert!(secrets.iter().all(|s| !printed.contains(s.as_str())), "{words}");
        }
    }
}
