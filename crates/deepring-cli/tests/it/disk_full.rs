//! Disks that are full, folders that take nothing, files that do not read: an error, and nothing lost.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::workspace::{Ran, Workspace};

/// Runs the command where no file may grow beyond so many blocks of 512 bytes, as on a full disk.
fn cramped(workspace: &Workspace, blocks: u32, words: &str) -> Ran {
    // The signal would end the process before the write could fail.
    let script = format!(
        "trap '' XFSZ; ulimit -f {blocks}; exec {} {words}",
        env!("CARGO_BIN_EXE_deepring")
    );
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).current_dir(workspace.path(""));
    workspace.surround(&mut shell);
    Ran::of(words, shell.output().unwrap())
}

fn is_limited(workspace: &Workspace) -> bool {
    let probe = "trap '' XFSZ; ulimit -f 1; head -c 4096 /dev/zero > probe";
    let mut shell = Command::new("sh");
    shell.args(["-c", probe]).current_dir(workspace.path(""));
    let _ = shell.output().unwrap();
    let limited = fs::metadata(workspace.path("probe")).is_ok_and(|m| m.len() < 4096);
    fs::remove_file(workspace.path("probe")).unwrap();
    if !limited {
        crate::skip::skip("system", "this system does not limit the size of files");
    }
    limited
}

#[test]
fn a_full_disk_is_an_error_and_what_was_there_stays() {
    let workspace = Workspace::with_ring();
    if !is_limited(&workspace) {
        return;
    }
    workspace.run("trust add keys/owner.pub").succeeds();
    workspace.run("keygen --out more").succeeds();
    fs::copy(workspace.path("net.ring"), workspace.path("copy.ring")).unwrap();
    let ring = fs::read(workspace.path("net.ring")).unwrap();
    let files = workspace.files();
    for words in [
        "seal net.onnx --owner keys/owner.key --host keys/host.pub -o net.ring",
        "seal net.onnx --owner keys/owner.key --host keys/host.pub -o new.ring",
        "grant net.ring --owner-key keys/owner.key --host more/host.pub",
        "export net.ring --key keys/owner.key -o out.onnx",
    ] {
        cramped(&workspace, 100, words).exits(1);
        assert_eq!(workspace.files(), files, "{words}: something was left behind");
        assert_eq!(fs::read(workspace.path("net.ring")).unwrap(), ring, "{words}");
    }
    cramped(&workspace, 0, "keygen --out none").exits(1);
    assert_eq!(fs::read_dir(workspace.path("none")).unwrap().count(), 0, "half a key");
    // The trust store cannot be written either: said, but what was asked for is done.
    let ran = cramped(
        &workspace,
        0,
        "verify net.ring --owner keys/owner.pub --remember --trust new.json",
    );
    ran.succeeds().says("will not be remembered");
}

#[test]
fn a_run_whose_outputs_do_not_fit_the_disk_fails_and_says_so() {
    let workspace = Workspace::with_ring();
    if !is_limited(&workspace) {
        return;
    }
    let run = "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy";
    cramped(&workspace, 0, &format!("{run} --trust t.json --receipt x.receipt"))
        .exits(1)
        .says("x.receipt");
    cramped(&workspace, 0, &format!("{run} --trust t.json --output-dir out"))
        .exits(1)
        .says("logits.npy");
    assert!(!workspace.path("x.receipt").exists());
    let begin = "ledger register net.ring --owner-key keys/owner.key --ledger ledger --new-ledger";
    cramped(&workspace, 10, &format!("{begin} --trust t.json")).exits(1).says("ledger");
    // What was only begun is not gone on with: whose key lies there cannot be told.
    workspace.run(begin).exits(1).says("hint: make the ledger in an empty folder");
    fs::remove_dir_all(workspace.path("ledger")).unwrap();
    workspace.run(begin).succeeds();
    // A ledger that filled its disk goes on where there is room again.
    cramped(&workspace, 10, &format!("{run} --ledger ledger")).exits(1);
    workspace.run("ledger verify --ledger ledger").succeeds();
    workspace.run(&format!("{run} --ledger ledger")).succeeds();
    workspace.run("ledger verify --ledger ledger").succeeds();
}

#[test]
fn a_folder_that_takes_no_files_is_an_error() {
    let workspace = Workspace::with_trusted_ring();
    let folder = workspace.path("frozen");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o555)).unwrap();
    // Whoever runs as root writes anywhere but here.
    let root = fs::write(folder.join("probe"), "").is_ok();
    let folder = if root { "/proc/self".to_owned() } else { folder.display().to_string() };
    if root && !std::path::Path::new("/proc/self").exists() {
        crate::skip::skip("system", "no folder here refuses root");
        return;
    }
    for words in [
        format!("keygen --out {folder}/keys"),
        format!("seal net.onnx --owner keys/owner.key --host keys/host.pub -o {folder}/a.ring"),
        format!("export net.ring --key keys/owner.key -o {folder}/a.onnx"),
        format!(
            "grant net.ring --owner-key keys/owner.key --host keys/host.pub -o {folder}/a.ring"
        ),
        format!("run net.ring --key keys/host.key --input x.npy --receipt {folder}/a.receipt"),
        format!("run net.ring --key keys/host.key --input x.npy --output-dir {folder}/out"),
        format!(
            "ledger register net.ring --owner-key keys/owner.key --ledger {folder}/ledger --new-ledger"
        ),
        format!("keygen --node --out {folder}/keys"),
        format!("ledger init {folder}/ledger"),
    ] {
        workspace.run(&words).exits(1);
    }
}

#[test]
fn a_file_that_does_not_read_is_an_error() {
    let workspace = Workspace::with_trusted_ring();
    // A folder where a file is due is unreadable for root too.
    for words in [
        "verify keys",
        "verify net.ring --owner keys",
        "verify net.ring --key keys",
        "run net.ring --key keys --input x.npy",
        "run net.ring --key keys/host.key --input keys/x.npy",
        "seal keys --owner keys/owner.key --host keys/host.pub -o a.ring",
        "seal net.onnx --owner keys --host keys/host.pub -o a.ring",
        "seal net.onnx --owner keys/owner.key --host keys -o a.ring",
        "seal net.onnx --owner keys/owner.key --host keys/host.pub --labels keys -o a.ring",
        "receipt verify keys --ring net.ring",
        "repair net.ring --from keys --trust keys",
        "verify net.ring --trust keys",
    ] {
        workspace.run(words).exits(1);
    }
    let unreadable = workspace.path("keys/host.key");
    fs::set_permissions(&unreadable, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(&unreadable).is_err() {
        workspace.run("run net.ring --key keys/host.key --input x.npy").exits(1).says("host.key");
    } else {
        crate::skip::skip("system", "root reads every file");
    }
}

#[test]
fn a_damaged_trust_store_is_not_replaced() {
    let workspace = Workspace::with_ring();
    for text in ["", "{}", "{\"format\": 99}", "\u{0}\u{1}"] {
        fs::write(workspace.path("trust.json"), text).unwrap();
        workspace.run("verify net.ring --owner keys/owner.pub").exits(1).says("not a trust store");
        assert_eq!(fs::read_to_string(workspace.path("trust.json")).unwrap(), text);
    }
}

#[test]
fn a_ledger_that_cannot_be_written_does_not_turn_a_refusal_into_another_error() {
    let workspace = Workspace::with_ring();
    if !is_limited(&workspace) {
        return;
    }
    workspace.run("trust add keys/owner.pub").succeeds();
    workspace.register("net.ring", "ledger");
    let run = "run net.ring --key keys/host.key --input x.npy --ledger ledger";
    workspace.run(run).succeeds();
    let mut ring = fs::read(workspace.path("net.ring")).unwrap();
    let last = ring.len() - 1;
    ring[last] ^= 1;
    fs::write(workspace.path("net.ring"), &ring).unwrap();
    // Room to open the ledger, and none for an entry.
    let ran = cramped(&workspace, 10, &format!("{run} --json"));
    assert!(ran.stdout.contains("\"verdict\": \"tampered\""), "{}", ran.stdout);
    ran.exits(3).says("the alarm is not on the ledger");
}
