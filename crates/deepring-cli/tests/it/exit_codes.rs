//! Every exit code, each for causes that occur in practice.

use std::fs;

use crate::workspace::Workspace;

const RUN: &str = "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy";

#[test]
fn one_is_for_what_could_not_be_done() {
    let workspace = Workspace::with_ring();
    for (words, text) in [
        ("verify nowhere.ring --owner keys/owner.pub", "nowhere.ring"),
        ("inspect nowhere.ring", "nowhere.ring"),
        ("verify net.ring --owner nowhere.pub", "nowhere.pub"),
        ("verify net.ring --owner keys/host.pub", "this is a host public key"),
        ("verify net.ring --owner keys/owner.key", "this is an owner secret key"),
        ("verify net.ring --owner labels.txt", "labels.txt"),
        (
            "run net.ring --owner keys/owner.pub --key keys/owner.key --input x.npy",
            "owner secret key",
        ),
        ("run nowhere.onnx --plain --input x.npy", "nowhere.onnx"),
        ("run labels.txt --plain --input x.npy", "labels.txt"),
        ("run net.ring --plain --input x.npy", "without `--plain`"),
        ("seal nowhere.onnx --owner keys/owner.key --host keys/host.pub -o a.ring", "nowhere.onnx"),
        (
            "seal labels.txt --owner keys/owner.key --host keys/host.pub -o a.ring",
            "not an ONNX model",
        ),
        ("seal net.onnx --owner keys/owner.pub --host keys/host.pub -o a.ring", "owner public key"),
        (
            "seal net.onnx --owner keys/owner.key --host keys/owner.pub -o a.ring",
            "owner public key",
        ),
        ("seal net.onnx --owner keys/owner.key --host nowhere.pub -o a.ring", "nowhere.pub"),
        ("seal net.onnx --owner keys/owner.key --host keys/host.pub -o no/such/a.ring", "no/such"),
        ("seal net.onnx --owner keys/owner.key --host keys/host.pub -o keys", "is a directory"),
        (
            "receipt verify nowhere.receipt --ring net.ring --owner keys/owner.pub",
            "nowhere.receipt",
        ),
        ("ledger show --ledger nowhere", "not a ledger"),
        ("ledger verify --ledger nowhere", "not a ledger"),
        (
            "export net.ring --key keys/owner.key --owner keys/owner.pub -o no/such/a.onnx",
            "no/such",
        ),
        ("keygen --out keys", "never overwritten"),
    ] {
        workspace.run(words).exits(1).says(text);
    }
    for (input, text) in [
        ("nowhere.npy", "nowhere.npy"),
        ("labels.txt", "no recipe for pictures"),
        ("other=x.npy", "no input `other`"),
    ] {
        let words =
            format!("run net.ring --owner keys/owner.pub --key keys/host.key --input {input}");
        workspace.run(&words).exits(1).says(text);
    }
    assert!(!workspace.path("a.ring").exists());
}

#[test]
fn one_is_for_inputs_that_the_network_does_not_take() {
    let workspace = Workspace::with_ring();
    let file = |header: &str, data: &[u8]| {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        fs::write(workspace.path("bad.npy"), bytes).unwrap();
        workspace.run(&RUN.replace("x.npy", "bad.npy")).exits(1)
    };
    let of = |descr: &str, shape: &str| {
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n")
    };
    file(&of("<f8", "(1, 1, 28, 28)"), &[0; 784 * 8]).says("astype(\"float32\")");
    file(&of(">f4", "(1, 1, 28, 28)"), &[0; 784 * 4]).says("element type '>f4' cannot be used");
    file(&of("<f4", "(28, 28)"), &[0; 784 * 4]).says("has shape [28, 28]");
    file(&of("<f4", "(1, 1, 28, 28)"), &[0; 784 * 4 - 1]).says("the file has 3135");
    file(&of("<f4", "(1, 1, 28, 28)"), &[0xff; 784 * 4]).says("not a number, at element 0");
    file(&of("<f4", "(99999999999, 99999999999)"), &[0; 16]).says("bad.npy");
    file("nonsense", &[]).says("bad.npy");
}

#[test]
fn two_is_for_wrong_usage_and_nothing_is_touched() {
    let workspace = Workspace::with_ring();
    let before = workspace.files();
    for words in [
        "",
        "frobnicate",
        "keygen",
        "seal net.onnx --owner keys/owner.key -o a.ring",
        "seal net.onnx --owner keys/owner.key --host keys/host.pub",
        "seal net.onnx --owner keys/owner.key --host x=keys/host.pub -o a.ring",
        "seal net.onnx --owner keys/owner.key --host 3-1=keys/host.pub -o a.ring",
        "seal net.onnx --owner keys/owner.key --host 0=keys/host.pub -o a.ring",
        "seal net.onnx --owner keys/owner.key --host 1-2=keys/host.pub --cut op -o a.ring",
        "seal net.onnx --owner keys/owner.key --host 1-9=keys/host.pub -o a.ring",
        "seal net.onnx --owner keys/owner.key --host keys/host.pub --cut 0 -o a.ring",
        "seal net.onnx --owner keys/owner.key --host keys/host.pub --cut 99 -o a.ring",
        "seal net.onnx --owner keys/owner.key --host keys/host.pub --cut some -o a.ring",
        "seal net.onnx --owner keys/owner.key --host keys/host.pub --model-version x -o a.ring",
        "seal net.onnx --owner keys/owner.key --host keys/host.pub --preprocess foo=1 -o a.ring",
        "seal net.onnx --owner keys/owner.key --host keys/host.pub --previous net.ring \
         --model-version 1 -o a.ring",
        "run net.ring --owner keys/owner.pub --key keys/host.key",
        "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy --repeat 0",
        "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy --check always",
        "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy --check spot:2",
        "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy --check spot:0",
        "run net.onnx --plain --input x.npy --shadow",
        "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy --threads 0",
        "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy --preprocess scale=1",
        "run net.onnx --plain --input x.npy --ledger ledger",
        "run net.onnx --plain --input x.npy --receipt x.receipt",
        "receipt verify x.receipt --owner keys/owner.pub",
        "receipt verify x.receipt --ring net.ring --ledger a --proof b",
        "grant net.ring --owner-key keys/owner.key --host 6=keys/host.pub",
        "grant net.ring --owner-key keys/owner.key --host 9-12=keys/host.pub",
        "completions tcl",
        "verify net.ring --remember",
        "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy --ledger a --new-ledger",
        "repair net.ring --from net.ring --ledger a",
        "repair net.ring --from net.ring --key keys/host.key",
        "ledger register net.ring --owner-key keys/owner.key",
        "ledger register net.ring --owner-key keys/owner.key --ledger a --new-ledger --ledger-key b",
        "ledger show --ledger a --ring 12",
        "ledger show --ledger a --kind rings",
        "revoke",
        "revoke ring net.ring --owner-key keys/owner.key --ledger a",
        "revoke ring 00112233445566778899aabbccddeeff --owner-key keys/owner.key --ledger a --reason x",
        "revoke key --ledger a --reason x",
        "revoke host keys/host.pub --ledger a --reason x",
        "revoke lift net.ring --host keys/host.pub --blocks 0 --owner-key keys/owner.key --ledger a --reason x",
        "trust",
        "trust add",
        "trust remove",
        "trust remove keys/owner.pub --path net.ring",
        "trust bind net.ring",
        "ledger init",
    ] {
        let ran = workspace.run(words);
        assert_eq!(ran.code, Some(2), "{words}: {}", ran.stderr);
        assert!(ran.stdout.is_empty(), "{words}");
    }
    let mut after = workspace.files();
    // What a command was trusted with may be remembered.
    after.retain(|name| !name.starts_with("trust."));
    assert_eq!(after, before);
}

#[test]
fn an_output_never_replaces_what_the_command_reads() {
    let workspace = Workspace::with_trusted_ring();
    fs::hard_link(workspace.path("net.onnx"), workspace.path("twin.onnx")).unwrap();
    let contents = || {
        let files = ["net.onnx", "net.ring", "labels.txt", "keys/owner.key", "keys/host.key"];
        files.map(|f| fs::read(workspace.path(f)).unwrap())
    };
    let before = contents();
    let seal = "seal net.onnx --owner keys/owner.key --host keys/host.pub --labels labels.txt -o";
    for target in
        ["net.onnx", "./keys/../net.onnx", "keys/owner.key", "keys/host.pub", "labels.txt"]
    {
        workspace.run(&format!("{seal} {target}")).exits(2).says("would be overwritten");
    }
    for target in ["net.ring", "keys/owner.key"] {
        let words = format!("export net.ring --key keys/owner.key -o {target}");
        workspace.run(&words).exits(2).says("would be overwritten");
    }
    for target in ["net.ring", "keys/host.key"] {
        workspace.run(&format!("{RUN} --receipt {target}")).exits(2).says("would be overwritten");
    }
    workspace
        .run("grant net.ring --owner-key keys/owner.key --host keys/host.pub -o keys/owner.key")
        .exits(2)
        .says("would be overwritten");
    assert_eq!(contents(), before);
}

#[test]
fn three_is_for_everything_given_as_ring_receipt_or_ledger_that_does_not_verify() {
    let workspace = Workspace::with_trusted_ring();
    workspace.register("net.ring", "ledger");
    workspace.run(&format!("{RUN} --ledger ledger --receipt x.receipt")).succeeds();
    let file = |name: &str, bytes: &[u8]| fs::write(workspace.path(name), bytes).unwrap();
    let good = fs::read(workspace.path("net.ring")).unwrap();
    file("empty", b"");
    file("zeros", &[0; 5000]);
    file("short.ring", &good[..good.len() - 1]);
    file("half.ring", &good[..good.len() / 2]);
    file("long.ring", &[&good[..], b"!"].concat());
    file("text", b"hello, world: this is no ring at all");
    for name in
        ["empty", "zeros", "text", "short.ring", "half.ring", "long.ring", "x.npy", "x.receipt"]
    {
        workspace.run(&format!("verify {name}")).exits(3);
        workspace.run(&format!("inspect {name}")).exits(3);
        workspace.run(&format!("run {name} --key keys/host.key --input x.npy")).exits(3);
        workspace.run(&format!("export {name} --key keys/owner.key -o a.onnx")).exits(3);
        workspace
            .run(&format!("grant {name} --owner-key keys/owner.key --host keys/host.pub"))
            .exits(3);
    }
    let receipt = fs::read(workspace.path("x.receipt")).unwrap();
    file("short.receipt", &receipt[..receipt.len() - 1]);
    file("long.receipt", &[&receipt[..], b"!"].concat());
    for name in ["empty", "text", "zeros", "net.ring", "short.receipt", "long.receipt"] {
        workspace.run(&format!("receipt verify {name} --ring net.ring")).exits(3);
        workspace.run(&format!("receipt verify x.receipt --ring net.ring --proof {name}")).exits(3);
    }
    // Another ring's decision, and a ledger that has never heard of it.
    workspace.seal("other.ring", "");
    workspace.run("receipt verify x.receipt --ring other.ring").exits(3);
    workspace.register("other.ring", "strange");
    let strange = "x.npy --ledger strange";
    workspace.run(&RUN.replace("net.ring", "other.ring").replace("x.npy", strange)).succeeds();
    let pinned = "--ledger-key strange/log.pub";
    workspace
        .run(&format!("receipt verify x.receipt --ring net.ring --ledger strange {pinned}"))
        .exits(3);
    workspace.run("ledger prove --ledger strange -o strange.tlog-proof").succeeds();
    let proof = "receipt verify x.receipt --ring net.ring --proof strange.tlog-proof";
    workspace.run(&format!("{proof} {pinned}")).exits(3);
    workspace.run(proof).exits(4).says("recorded in another ledger");
    // A checkpoint of another ledger, a folder and a file that are none, and a damaged database.
    let checkpoint = workspace.run("ledger checkpoint --ledger strange").succeeds().stdout;
    file("strange.checkpoint", checkpoint.as_bytes());
    for name in ["strange.checkpoint", "text", "net.ring"] {
        workspace.run(&format!("ledger verify --ledger ledger --against {name}")).exits(3);
    }
    workspace.run("ledger verify --ledger keys").exits(3);
    file("strange/ledger.redb", &[7; 9000]);
    workspace.run("ledger verify --ledger strange").exits(3);
    workspace.run("ledger show --ledger strange").exits(3);
    fs::remove_file(workspace.path("ledger/ledger.redb")).unwrap();
    workspace.run("ledger verify --ledger ledger").exits(3);
    workspace.run(&format!("{RUN} --ledger ledger")).exits(3);
}

#[test]
fn four_is_for_owners_hosts_and_ledgers_that_are_not_trusted() {
    let workspace = Workspace::with_ring();
    workspace.run("keygen --out other").succeeds();
    workspace.run("verify net.ring").exits(4).says("not trusted here");
    workspace.run("verify net.ring --owner other/owner.pub").exits(4);
    workspace.run(&RUN.replace("keys/owner.pub", "other/owner.pub")).exits(4);
    workspace.run(&RUN.replace("keys/host.key", "other/host.key")).exits(4).says("block 1 (conv1)");
    workspace
        .run("run net.ring --owner keys/owner.pub --input x.npy")
        .exits(4)
        .says("no key given");
    workspace.run("verify net.ring --owner keys/owner.pub --key other/host.key").exits(4);
    workspace
        .run("export net.ring --owner keys/owner.pub --key other/owner.key -o a.onnx")
        .exits(4);
    workspace
        .run("grant net.ring --owner-key other/owner.key --host other/host.pub")
        .exits(4)
        .says("--owner-key");
    workspace.run("repair net.ring --from net.ring --owner other/owner.pub").exits(4);
    let seal = "seal net.onnx --owner other/owner.key --host keys/host.pub --previous net.ring";
    workspace.run(&format!("{seal} -o a.ring")).exits(4);
    // A proof of a ledger whose key nobody named.
    workspace.register("net.ring", "ledger");
    workspace.run(&format!("{RUN} --ledger ledger --receipt x.receipt")).succeeds();
    workspace.run("ledger prove --ledger ledger --receipt x.receipt -o x.tlog-proof").succeeds();
    let words = "receipt verify x.receipt --ring net.ring --owner keys/owner.pub --proof x.tlog-proof \
                 --trust elsewhere.json";
    workspace.run(words).exits(4).says("--ledger-key");
    workspace.run(&format!("{words} --ledger-key ledger/log.pub")).succeeds();
}

#[test]
fn five_is_for_rollback_downgrade_and_mixed_versions() {
    let workspace = Workspace::with_trusted_ring();
    workspace.run("verify net.ring --owner keys/owner.pub").succeeds();
    // A plain network where a ring is due.
    workspace.run("verify net.onnx").exits(5).says("plain ONNX network");
    workspace.run(&RUN.replace("net.ring", "net.onnx")).exits(5);
    // The version before, put back.
    fs::copy(workspace.path("net.ring"), workspace.path("old.ring")).unwrap();
    workspace.run(&format!("{RUN} --receipt old.receipt")).succeeds();
    workspace.seal("net.ring", "--previous old.ring");
    workspace.run("verify net.ring").succeeds();
    for words in [
        "verify old.ring".to_owned(),
        RUN.replace("net.ring", "old.ring"),
        "export old.ring --key keys/owner.key -o a.onnx".to_owned(),
        "grant old.ring --owner-key keys/owner.key --host keys/host.pub".to_owned(),
        "repair net.ring --from old.ring".to_owned(),
        "seal net.onnx --owner keys/owner.key --host keys/host.pub --previous old.ring -o a.ring"
            .to_owned(),
        "receipt verify old.receipt --ring net.ring".to_owned(),
    ] {
        let ran = workspace.run(&words);
        if words.starts_with("repair") {
            // Nothing is to be repaired: the old copy is not even looked at.
            ran.succeeds();
        } else {
            ran.exits(5);
        }
    }
    let at = workspace.ring("net.ring").stored_at(3, 64).unwrap();
    workspace.flip("net.ring", usize::try_from(at).unwrap());
    workspace.run("repair net.ring --from old.ring").exits(5);
    assert!(!workspace.path("a.ring").exists() && !workspace.path("a.onnx").exists());
}

#[test]
fn no_more_threads_are_started_than_can_be() {
    let workspace = Workspace::new();
    for number in ["1025", "100000", "18446744073709551615"] {
        for words in
            ["run net.onnx --plain --input x.npy", "bench", "bench products", "bench growth"]
        {
            workspace
                .run(&format!("{words} --threads {number}"))
                .exits(2)
                .says("1024 threads at most");
        }
    }
}

#[test]
fn a_ledgers_key_without_a_ledger_or_a_proof_is_wrong_usage() {
    let workspace = Workspace::with_ring();
    workspace.run(&format!("{RUN} --receipt x.receipt")).succeeds();
    let words = "receipt verify x.receipt --ring net.ring --owner keys/owner.pub";
    workspace.run(words).succeeds();
    workspace.run(&format!("{words} --ledger-key keys/owner.pub")).exits(2).says("--ledger");
}
