//! Files that somebody else put where the command will look: they widen nothing, lock nobody out, hang nothing.

use std::fs;

use deepring::keys::AuthorKey;
use deepring::{Owner, SecretKey};
use deepring_ledger::{Entry, Event, Ledger, LedgerError};

use crate::workspace::{Ran, Workspace};

#[test]
fn a_key_planted_under_the_name_of_a_selection_is_not_granted_everything() {
    let workspace = Workspace::with_keys();
    workspace.run("keygen --out theirs").succeeds();
    fs::create_dir(workspace.path("1=keys")).unwrap();
    fs::copy(workspace.path("theirs/host.pub"), workspace.path("1=keys/host.pub")).unwrap();
    // Block 1 alone is asked for, so the others have no host; the planted file would have all.
    workspace
        .run("seal net.onnx --owner keys/owner.key --host 1=keys/host.pub -o net.ring")
        .exits(2)
        .says("block 2 has no host");
}

#[test]
fn a_registration_in_another_owners_name_is_none() {
    let workspace = Workspace::with_ring();
    workspace.run("keygen --out theirs").succeeds();
    workspace.run("ledger init ledger").succeeds();
    let register = "ledger register net.ring --ledger ledger --owner-key";
    workspace.run(&format!("{register} theirs/owner.key")).exits(4).says("--owner-key");
    // Nor by who can write the folder, with software of his own.
    let ring = workspace.ring("net.ring");
    let outline = Box::new(ring.outline().as_outline().clone());
    let theirs = SecretKey::<Owner>::read(&workspace.path("theirs/owner.key")).unwrap();
    let mut ledger = Ledger::open(workspace.path("ledger")).unwrap();
    let theirs = AuthorKey::from(theirs);
    let binding = ledger.state().unwrap().binding(&theirs.public());
    let entry = Entry::now(binding, &Event::RingRegistered { outline }, &theirs).unwrap();
    assert!(matches!(ledger.append(&[entry]), Err(LedgerError::NoAuthority { .. })));
    drop(ledger);
    workspace.run(&format!("{register} keys/owner.key")).succeeds();
    // The owner's own newer version makes this one stale, for a reader who knows nothing else.
    workspace.seal("two.ring", "--previous net.ring");
    workspace.register("two.ring", "ledger");
    let run = "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy";
    let run = format!("{run} --ledger ledger --trust new.json");
    workspace.run(&run).exits(5).says("the ledger knows");
}

#[test]
fn a_ring_that_does_not_verify_is_not_registered_and_begins_no_ledger() {
    let workspace = Workspace::with_ring();
    let last = fs::metadata(workspace.path("net.ring")).unwrap().len() as usize - 1;
    workspace.flip("net.ring", last);
    let register = "ledger register net.ring --owner-key keys/owner.key --ledger ledger";
    workspace.run(&format!("{register} --new-ledger")).exits(3);
    assert!(!workspace.path("ledger").exists());
    // Where the ledger does not know a ring, its tampering is refused as ever, and said not to be recorded.
    workspace.run("ledger init ledger").succeeds();
    workspace
        .run(
            "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy --ledger ledger",
        )
        .exits(4)
        .says("not registered");
    let shown = workspace.run("ledger show --ledger ledger").succeeds().stdout;
    assert!(shown.is_empty(), "{shown}");
}

#[cfg(unix)]
#[test]
fn a_pipe_in_the_place_of_a_ring_or_receipt_is_refused_and_not_waited_for() {
    let workspace = Workspace::with_ring();
    let made = std::process::Command::new("mkfifo").arg(workspace.path("pipe")).status();
    if !made.is_ok_and(|s| s.success()) {
        crate::skip::skip("system", "no mkfifo here");
        return;
    }
    let refused = "not a plain file";
    workspace.run("verify pipe --owner keys/owner.pub").exits(1).says(refused);
    let receipt = "receipt verify pipe --ring net.ring --owner keys/owner.pub";
    workspace.run(receipt).exits(1).says(refused);
}

#[test]
fn a_ledger_is_not_made_around_a_key_that_lies_there() {
    let workspace = Workspace::with_ring();
    workspace.run("ledger init theirs --trust theirs.json").succeeds();
    let register = "ledger register net.ring --owner-key keys/owner.key";
    for name in ["log.key", "log.pub", "checkpoint"] {
        fs::create_dir(workspace.path("ledger")).unwrap();
        fs::copy(workspace.path("theirs").join(name), workspace.path("ledger").join(name)).unwrap();
        let new = format!("{register} --ledger ledger --new-ledger");
        for words in ["ledger init ledger", &new] {
            workspace.run(words).exits(1).says(&format!("`{name}` is there already"));
        }
        assert_eq!(fs::read_dir(workspace.path("ledger")).unwrap().count(), 1);
        fs::remove_dir_all(workspace.path("ledger")).unwrap();
    }
    workspace.run("ledger init ledger").succeeds();
}

/// Every file that a command reads, with a pipe, an endless device, or a length that nothing stands behind in its place.
#[cfg(target_os = "linux")]
#[test]
fn nothing_but_a_plain_file_is_read_and_no_more_of_one_than_it_can_be() {
    let workspace = Workspace::with_trusted_ring();
    let made = std::process::Command::new("mkfifo").arg(workspace.path("pipe.npy")).status();
    if !made.is_ok_and(|s| s.success()) {
        crate::skip::skip("system", "no mkfifo here");
        return;
    }
    let sparse = fs::File::create(workspace.path("sparse.npy")).unwrap();
    sparse.set_len(1 << 40).unwrap();
    fs::copy(workspace.path("pipe.npy").with_file_name("x.npy"), workspace.path("y.npy")).unwrap();
    let link = |to: &str| {
        let _ = fs::remove_file(workspace.path("zero.npy"));
        std::os::unix::fs::symlink(to, workspace.path("zero.npy")).unwrap();
    };
    link("/dev/zero");
    let run = "run net.ring --key keys/host.key --input";
    workspace.register("net.ring", "ledger");
    workspace.run(&format!("{run} x.npy --ledger ledger --receipt x.receipt")).succeeds();
    let receipt = "receipt verify x.receipt --ring net.ring";
    for (words, too_long) in [
        (format!("{receipt} --proof FILE --ledger-key ledger/log.pub"), 3),
        (format!("{receipt} --ledger ledger --ledger-key FILE"), 1),
        (format!("{receipt} --input FILE"), 1),
        (format!("{run} FILE"), 1),
        ("ledger verify --ledger ledger --against FILE".to_owned(), 3),
        ("ledger verify --ledger ledger --ledger-key FILE".to_owned(), 1),
        (
            "seal net.onnx --owner keys/owner.key --host keys/host.pub --labels FILE -o a.ring"
                .to_owned(),
            1,
        ),
        ("verify net.ring --trust FILE".to_owned(), 1),
        ("verify net.ring --owner FILE".to_owned(), 1),
        ("verify net.ring --key FILE".to_owned(), 1),
    ] {
        for (file, code) in [("pipe.npy", 1), ("zero.npy", 1), ("sparse.npy", too_long)] {
            // A quarter of the memory that the length claims a thousandth of.
            let mut shell = std::process::Command::new("sh");
            let command = words.replace("FILE", file);
            let script = format!(
                "ulimit -v 4000000; exec timeout 60 {} {command}",
                env!("CARGO_BIN_EXE_deepring")
            );
            shell.args(["-c", &script]).current_dir(workspace.path(""));
            workspace.surround(&mut shell);
            let ran = Ran::of(&command, shell.output().unwrap()).exits(code);
            if file != "sparse.npy" {
                ran.says("not a plain file");
            }
        }
    }
    workspace.run("run pipe.npy --plain --input x.npy").exits(1);
    // And in a ledger.
    for name in ["checkpoint", "log.pub", "log.key", "ledger.redb"] {
        let place = workspace.path("ledger").join(name);
        let kept = fs::read(&place).unwrap();
        fs::remove_file(&place).unwrap();
        let made = std::process::Command::new("mkfifo").arg(&place).status().unwrap();
        assert!(made.success());
        for words in ["ledger verify --ledger ledger", "ledger show --ledger ledger"] {
            // To a reader who knows no key, so that the one beside the ledger is looked at.
            if name != "log.key" {
                workspace
                    .run(&format!("{words} --trust new.json"))
                    .exits(1)
                    .says("not a plain file");
            }
        }
        workspace.run(&format!("{run} x.npy --ledger ledger")).exits(1).says("not a plain file");
        fs::remove_file(&place).unwrap();
        fs::write(&place, kept).unwrap();
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(&place, fs::Permissions::from_mode(0o600)).unwrap();
    }
    workspace.run("ledger verify --ledger ledger").succeeds();
}

#[test]
fn a_ring_of_another_format_version_is_said_to_be_that_and_not_to_be_repaired() {
    let workspace = Workspace::with_ring();
    let mut ring = fs::read(workspace.path("net.ring")).unwrap();
    ring[8] = 3;
    fs::write(workspace.path("old.ring"), ring).unwrap();
    let refused = workspace.run("verify old.ring --owner keys/owner.pub").exits(3);
    let refused = refused.says("it is of format version 3, and this version of deepring reads 4");
    refused.says("have the ring sealed again");
}
