//! `run --sandbox`: the same answers, receipts and records, by a process that has given up everything else.
#![cfg(target_os = "linux")]

use std::fs;

use serde_json::Value;

use crate::workspace::Workspace;

const RUN: &str = "run ring/net.ring --owner keys/owner.pub --key keys/host.key --json";

/// Ring, trust store and what is written have folders of their own, as they would where it matters.
fn workspace() -> Workspace {
    let workspace = Workspace::with_ring();
    for folder in ["ring", "in"] {
        fs::create_dir(workspace.path(folder)).unwrap();
    }
    fs::rename(workspace.path("net.ring"), workspace.path("ring/net.ring")).unwrap();
    for input in ["x.npy", "batch.npy"] {
        fs::rename(workspace.path(input), workspace.path("in").join(input)).unwrap();
    }
    workspace
}

/// Without what differs from run to run.
fn answer(mut document: Value) -> Value {
    for key in ["decision", "timings", "hardening"] {
        document.as_object_mut().unwrap().remove(key).unwrap();
    }
    document
}

#[test]
fn a_sandboxed_run_answers_as_before() {
    let workspace = workspace();
    let store = "--trust store/trust.json";
    fs::create_dir(workspace.path("store")).unwrap();
    workspace.register_with("ring/net.ring", "records/ledger", store);
    for input in ["in/x.npy", "image=in/x.npy", "in/batch.npy"] {
        let free = workspace.run(&format!("{RUN} --input {input}")).succeeds().json();
        let more = "--sandbox --trust store/trust.json --ledger records/ledger --receipt out/x.receipt \
                    --output-dir out/tensors";
        fs::create_dir_all(workspace.path("out")).unwrap();
        let ran = workspace.run(&format!("{RUN} --input {input} {more}")).succeeds();
        assert!(!ran.stderr.contains("warning"), "{}", ran.stderr);
        let ran = ran.json();
        let sandbox = &ran["hardening"]["sandbox"];
        assert!(sandbox["landlock_version"].as_u64().unwrap() >= 3);
        assert!(sandbox["denied_system_calls"].as_u64().unwrap() > 40);
        assert_eq!(answer(ran), answer(free));
    }
    let verify = "receipt verify out/x.receipt --ring ring/net.ring --owner keys/owner.pub";
    let given = "--input in/batch.npy --output out/tensors/logits.npy --ledger records/ledger";
    workspace.run(&format!("{verify} {given}")).succeeds();
    assert!(workspace.path("store/trust.json").exists(), "the store was written");
    let words = "no network, no programs";
    workspace.run(&format!("{RUN} --input in/x.npy --sandbox -v")).succeeds().says(words);
}

#[test]
fn a_sandboxed_run_saves_inputs_and_reads_a_ledgers_key_from_elsewhere() {
    let workspace = workspace();
    workspace.register("ring/net.ring", "ledger");
    fs::create_dir(workspace.path("pins")).unwrap();
    fs::rename(workspace.path("ledger/log.pub"), workspace.path("pins/log.pub")).unwrap();
    fs::copy(workspace.path("pins/log.pub"), workspace.path("ledger/log.pub")).unwrap();
    let more = "--sandbox --trust store/trust.json --ledger ledger --ledger-key pins/log.pub --save-inputs saved/in";
    workspace.run(&format!("{RUN} --input in/x.npy {more}")).succeeds();
    let saved = fs::read_dir(workspace.path("saved/in")).unwrap().count();
    assert_eq!(saved, 1);
}

#[test]
fn a_sandboxed_run_writes_to_the_store_that_a_link_leads_to() {
    let workspace = workspace();
    fs::create_dir_all(workspace.path("real")).unwrap();
    fs::create_dir_all(workspace.path("store")).unwrap();
    workspace.run("trust add keys/owner.pub --trust real/trust.json").succeeds();
    std::os::unix::fs::symlink("../real/trust.json", workspace.path("store/trust.json")).unwrap();
    let more = "--sandbox --trust store/trust.json";
    let ran = workspace.run(&format!("{RUN} --input in/x.npy {more}")).succeeds();
    assert!(!ran.stderr.contains("warning"), "{}", ran.stderr);
    assert!(workspace.path("store/trust.json").is_symlink());
    let known = workspace.run("trust list --json --trust real/trust.json").succeeds().json();
    assert_eq!(known["rings"].as_array().unwrap().len(), 1);
}

#[test]
fn a_sandboxed_run_refuses_what_a_run_refuses() {
    let workspace = workspace();
    // A file that is not there is not said to be forbidden.
    let none = workspace.run(&format!("{RUN} --input in/none.npy --sandbox")).exits(1);
    assert!(none.stderr.contains("in/none.npy: No such file"), "{}", none.stderr);
    // Nor is a ledger made where none is.
    let ran = workspace.run(&format!("{RUN} --input in/x.npy --sandbox --ledger nowhere"));
    ran.exits(1).says("not a ledger");
    assert!(!workspace.path("nowhere").exists());
    workspace.register("ring/net.ring", "ledger");
    let at = workspace.ring("ring/net.ring").stored_at(1, 0).unwrap();
    workspace.flip("ring/net.ring", usize::try_from(at).unwrap());
    let ran =
        workspace.run(&format!("{RUN} --input in/x.npy --sandbox --ledger ledger")).exits(3).json();
    assert_eq!(ran["findings"][0]["name"], "conv1");
}

/// Whoever takes the process over has what its descriptors lead to.
#[test]
fn a_sandboxed_run_keeps_no_descriptor_that_it_was_started_with() {
    let workspace = workspace();
    workspace.register("ring/net.ring", "ledger");
    fs::write(workspace.path("secret"), "secret").unwrap();
    let script = format!(
        "exec {} {RUN} --input in/x.npy --repeat 100000 --ledger ledger --sandbox 3<secret 4>>secret 9<>secret",
        env!("CARGO_BIN_EXE_deepring")
    );
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &script]).current_dir(workspace.path(""));
    workspace.surround(&mut shell);
    let null = std::process::Stdio::null;
    let mut child = shell.stdin(null()).stdout(null()).stderr(null()).spawn().unwrap();
    // It is at work, so it is confined.
    while workspace.acknowledged("ledger") < 2 {
        assert!(child.try_wait().unwrap().is_none(), "the run ended early");
        std::thread::yield_now();
    }
    let open = fs::read_dir(format!("/proc/{}/fd", child.id())).unwrap();
    let open: Vec<_> = open.filter_map(|fd| fs::read_link(fd.unwrap().path()).ok()).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(open.len() > 2, "{open:?}");
    assert!(!open.iter().any(|file| file.ends_with("secret")), "{open:?}");
}
