//! Paths as file systems allow them: what is no text, what is very long, and what cannot be read.
#![cfg(unix)]

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;

use crate::workspace::{Ran, Workspace};

/// Runs a command in which `@` stands for a byte that is no text.
fn run(workspace: &Workspace, words: &str) -> Ran {
    let raw = |word: &str| {
        let bytes: Vec<u8> = word.bytes().map(|b| if b == b'@' { 0xff } else { b }).collect();
        OsString::from(OsStr::from_bytes(&bytes))
    };
    let arguments: Vec<OsString> = words.split_whitespace().map(raw).collect();
    Ran::of(words, workspace.command_of(arguments).output().unwrap())
}

#[test]
fn a_path_need_not_be_text_wherever_one_is_given() {
    let workspace = Workspace::new();
    let copy = |from: &str, to: &[u8]| {
        fs::copy(workspace.path(from), workspace.path("").join(OsStr::from_bytes(to))).unwrap();
    };
    copy("x.npy", b"a\xff=b.npy");
    copy("net.onnx", b"n\xff.onnx");
    copy("labels.txt", b"l\xff.txt");
    run(&workspace, "keygen --out k@").succeeds();
    run(&workspace, "keygen --out more@").succeeds();
    let seal = "seal n@.onnx --owner k@/owner.key --labels l@.txt";
    run(&workspace, &format!("{seal} --host k@/host.pub -o a@.ring")).succeeds();
    run(&workspace, &format!("{seal} --host 1-2=k@/host.pub --host 3-5=more@/host.pub -o b@.ring"))
        .succeeds();
    run(&workspace, &format!("{seal} --host k@/host.pub --previous a@.ring -o c@.ring")).succeeds();
    run(&workspace, "grant a@.ring --owner-key k@/owner.key --host 1-5=more@/host.pub").succeeds();
    run(&workspace, "verify a@.ring --owner k@/owner.pub --key more@/host.key").succeeds();
    let owner = "--owner k@/owner.pub";
    let to = "--owner-key k@/owner.key --ledger led@";
    run(&workspace, &format!("ledger register a@.ring {to} --new-ledger")).succeeds();
    let asked = format!("run a@.ring {owner} --key k@/host.key --ledger led@");
    run(
        &workspace,
        &format!("{asked} --input a@=b.npy --receipt r@ --output-dir o@ --save-inputs i@"),
    )
    .succeeds();
    let named = format!("run a@.ring {owner} --key k@/host.key --input image=a@=b.npy");
    run(&workspace, &named).succeeds();
    run(&workspace, &format!("{named} --input image=none@.npy")).exits(1).says("none\u{fffd}.npy");
    let receipt = format!("receipt verify r@ --ring a@.ring {owner} --ledger led@");
    run(&workspace, &format!("{receipt} --input a@=b.npy --output logits=o@/logits.npy"))
        .succeeds();
    run(&workspace, "ledger prove --ledger led@ -o p@").succeeds();
    run(&workspace, "ledger show --ledger led@ --host k@/host.pub").succeeds();
    run(&workspace, &format!("revoke host more@/host.pub --ring a@.ring {to} --reason why"))
        .succeeds();
    run(&workspace, &format!("revoke ring a@.ring {to} --reason why")).succeeds();
    run(&workspace, "revoke key --key more@/host.key --ledger led@ --reason why").succeeds();
    run(&workspace, &format!("export a@.ring --key k@/owner.key {owner} -o e@.onnx")).succeeds();
    run(&workspace, "trust add k@/owner.pub").succeeds();
    run(&workspace, "trust list --json").succeeds().json();
    run(&workspace, "trust remove k@/owner.pub").succeeds();
    run(&workspace, "trust remove --path a@.ring").succeeds();
    run(&workspace, "trust remove --ledger led@").succeeds();
}

/// A refusal of the machine says nothing of what is in a file.
#[test]
fn what_cannot_be_read_is_never_called_tampered_with() {
    let workspace = Workspace::with_trusted_ring();
    fs::create_dir(workspace.path("folder")).unwrap();
    let long = "n".repeat(300);
    for path in ["none", "net.ring/none", "folder", long.as_str()] {
        for words in [
            format!("verify {path}"),
            format!("inspect {path}"),
            format!("run {path} --key keys/host.key --input x.npy"),
            format!("run net.ring --key {path} --input x.npy"),
            format!(
                "run net.ring --key keys/host.key --input x.npy --ledger-key {path} --ledger x"
            ),
            format!("verify net.ring --owner {path}"),
            format!("verify net.ring --key {path}"),
            format!("repair {path} --from net.ring"),
            format!("repair net.ring --from net.ring --ledger x --key {path}"),
            format!("ledger register {path} --owner-key keys/owner.key --ledger x --new-ledger"),
            format!("ledger register net.ring --owner-key {path} --ledger x --new-ledger"),
            format!("ledger show --ledger x --host {path}"),
            format!("revoke ring {path} --owner-key keys/owner.key --ledger x --reason r"),
            format!("revoke host {path} --owner-key keys/owner.key --ledger x --reason r"),
            format!("revoke key --key {path} --ledger x --reason r"),
            format!("repair net.onnx --from {path}"),
            format!("receipt verify {path} --ring net.ring"),
            format!("grant {path} --owner-key keys/owner.key --host keys/host.pub"),
            format!("export {path} --key keys/owner.key -o e.onnx"),
        ] {
            workspace.run(&words).exits(1);
        }
    }
    for path in ["none", "net.ring", "net.ring/none", "folder", long.as_str()] {
        for words in ["show", "verify", "checkpoint", "prove"] {
            workspace.run(&format!("ledger {words} --ledger {path}")).exits(1);
        }
        let run = "run net.ring --key keys/host.key --input x.npy --ledger";
        workspace.run(&format!("{run} {path}")).exits(1);
    }
    for path in ["net.ring/none", "folder", long.as_str()] {
        workspace.run(&format!("verify net.ring --trust {path}")).exits(1);
    }
}

#[test]
fn a_ledger_that_may_not_be_read_is_not_called_damaged() {
    let workspace = Workspace::with_trusted_ring();
    workspace.run("ledger init ledger").succeeds();
    let forbidden = fs::Permissions::from_mode(0o000);
    fs::set_permissions(workspace.path("ledger/ledger.redb"), forbidden).unwrap();
    // For root nothing is forbidden.
    if fs::read(workspace.path("ledger/ledger.redb")).is_ok() {
        return;
    }
    workspace.run("ledger show --ledger ledger").exits(1);
    workspace.run("ledger verify --ledger ledger").exits(1);
}

#[test]
fn a_target_that_cannot_be_written_is_refused_before_the_work() {
    let workspace = Workspace::with_trusted_ring();
    let long = "n".repeat(300);
    // By a reader of his own, who binds no path here.
    workspace.register_with("net.ring", "ledger", "--trust theirs.json");
    let run = "run net.ring --key keys/host.key --input x.npy --ledger ledger";
    for target in ["none/x", "net.ring/x", long.as_str()] {
        workspace.run(&format!("{run} --receipt {target}")).exits(1);
        workspace.run(&format!("export net.ring --key keys/owner.key -o {target}")).exits(1);
        let seal = "seal net.onnx --owner keys/owner.key --host keys/host.pub -o";
        workspace.run(&format!("{seal} {target}")).exits(1);
    }
    for folder in ["net.ring", "net.ring/x", long.as_str()] {
        workspace.run(&format!("{run} --output-dir {folder}")).exits(1);
        workspace.run(&format!("{run} --save-inputs {folder}")).exits(1);
    }
    let shown = workspace.run("ledger show --ledger ledger --trust theirs.json").succeeds().stdout;
    assert!(!shown.contains("decision"), "nothing was decided: {shown}");
    // The longest name that there is.
    let name = "n".repeat(255);
    workspace.run(&format!("export net.ring --key keys/owner.key -o {name}")).succeeds();
    assert!(workspace.path(&name).exists());
}

/// By the XDG specification a relative path is none; it would be another store in every folder.
#[test]
fn a_relative_configuration_folder_is_ignored() {
    let workspace = Workspace::with_keys();
    let run = |words: &str| {
        let mut command = workspace.command(words);
        command.env_remove("DEEPRING_TRUST").env("XDG_CONFIG_HOME", "conf");
        Ran::of(words, command.env("HOME", workspace.path("home")).output().unwrap())
    };
    run("trust add keys/owner.pub").succeeds();
    assert!(!workspace.path("conf").exists());
    assert!(workspace.path("home/.config/deepring/trust.json").exists());
}
