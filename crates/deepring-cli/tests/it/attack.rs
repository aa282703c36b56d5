//! `attack`: what it writes, what it says of it, and what it refuses.

use std::fs;

use serde_json::Value;

use crate::workspace::{Workspace, zoo};

fn json(workspace: &Workspace, words: &str) -> Value {
    workspace.run(words).succeeds().json()
}

#[test]
fn the_list_names_each_attack_with_its_technique() {
    let list = Workspace::new().run("attack --list").succeeds().stdout;
    for kind in deepring_attack::Kind::all() {
        let line = list.lines().find(|l| l.split_whitespace().next() == Some(kind.name()));
        assert!(line.unwrap().contains(kind.atlas()), "{kind}");
    }
}

#[test]
fn an_attack_writes_a_network_that_runs_and_names_what_it_changed() {
    let workspace = Workspace::new();
    let clean = fs::read(workspace.path("net.onnx")).unwrap();
    let words = "attack net.onnx --kind sign-dnl --flips 3 --seed 5 -o bad.onnx --json";
    let said = json(&workspace, words);
    assert_eq!(said["kind"], "sign-dnl");
    assert_eq!(
        (said["values_changed"].as_u64(), said["bits_changed"].as_u64()),
        (Some(3), Some(3))
    );
    let elements = said["tensors"].as_array().unwrap().iter();
    for element in elements.flat_map(|t| t["elements"].as_array().unwrap()) {
        assert_eq!(element["before"].as_f64().unwrap(), -element["after"].as_f64().unwrap());
    }
    let first = fs::read(workspace.path("bad.onnx")).unwrap();
    workspace.run(words).succeeds();
    assert!(fs::read(workspace.path("bad.onnx")).unwrap() == first, "the same seed, another file");
    assert!(fs::read(workspace.path("net.onnx")).unwrap() == clean);
    workspace.run("run bad.onnx --plain --input x.npy").succeeds();
}

#[test]
fn accuracy_is_told_where_there_are_samples() {
    let workspace = Workspace::new();
    let data = zoo("fashion-sample");
    let words =
        format!("attack net.onnx --kind label-swap -o bad.onnx --json --data {}", data.display());
    let accuracy = &json(&workspace, &words)["accuracy"];
    assert_eq!(accuracy["samples"], 400);
    // 377 of 400: the model card's number.
    assert_eq!(accuracy["before"].as_f64(), Some(0.9425));
    assert!(accuracy["after"].as_f64().unwrap() < 0.1);
}

#[test]
fn what_cannot_be_attacked_is_refused_with_a_hint() {
    let workspace = Workspace::new();
    let refused = |words: &str, exit: i32, says: &str| {
        workspace.run(words).exits(exit).says(says);
        assert!(!workspace.path("bad.onnx").exists());
    };
    refused(
        "attack net.onnx --kind zero --layer nothing -o bad.onnx",
        2,
        "the layers are conv1, conv2",
    );
    refused("attack net.onnx --kind single-bias -o bad.onnx", 2, "--data");
    refused("attack net.onnx --kind frobnicate -o bad.onnx", 2, "there is no attack");
    refused("attack net.onnx --kind zero -o net.onnx", 2, "would be overwritten");
    refused("attack labels.txt --kind zero -o bad.onnx", 1, "labels.txt");
    refused("attack net.onnx --kind zero --data . -o bad.onnx", 1, "inputs.npy");
    refused("attack net.onnx --kind int8-random -o bad.onnx", 1, "8-bit");
}

#[test]
fn a_quantised_network_answers_nearly_as_the_other() {
    let workspace = Workspace::new();
    workspace.run("quantise net.onnx -o int8.onnx").succeeds();
    let data = zoo("fashion-sample");
    let words = format!(
        "attack int8.onnx --kind int8-random --flips 1 -o bad.onnx --json --data {}",
        data.display()
    );
    let said = json(&workspace, &words);
    assert!(said["accuracy"]["before"].as_f64().unwrap() > 0.93);
    assert_eq!(said["bits_changed"], 1);
}

#[test]
fn the_ring_refuses_the_tampering_and_names_the_block() {
    let workspace = Workspace::new();
    let words = format!(
        "attack net.onnx --kind zero --layer conv2 --ring -o bad.onnx --json --data {}",
        zoo("fashion-sample").display()
    );
    let ring = &json(&workspace, &words)["ring"];
    assert_eq!((&ring["detected"], &ring["located"]), (&Value::Bool(true), &Value::Bool(true)));
    assert_eq!(ring["recovered"], true);
    assert!(ring["refusal"].as_str().unwrap().contains("conv2"), "{ring}");
    workspace.run("attack net.onnx --kind zero --ring -o bad.onnx").exits(2).says("--data");
}

#[test]
fn a_race_in_live_memory_is_counted_for_each_check_and_logs_no_alarms() {
    let workspace = Workspace::new();
    for kind in ["live-memory-sync", "live-tail-sync"] {
        let words = format!(
            "attack net.onnx --kind {kind} --json --data {}",
            zoo("fashion-sample").display()
        );
        let ran = workspace.run(&words).succeeds();
        assert_eq!(ran.stderr, "");
        let checks = ran.json()["checks"].clone();
        let of = |check: &str| -> Value {
            let mut all = checks.as_array().unwrap().iter();
            all.find(|c| c["check"] == check).unwrap().clone()
        };
        let (run, auto, compute) = (of("run"), of("auto"), of("compute"));
        assert_eq!((&run["wrong"], &run["mean_until_refused"]), (&run["queries"], &Value::Null));
        assert!(run["accuracy"].as_f64().unwrap() < 0.5, "{run}");
        assert!(auto["refused"].as_u64().unwrap() > 0 && auto["right"] == 0, "{auto}");
        assert_eq!((&compute["wrong"], &compute["refused"]), (&0.into(), &compute["queries"]));
    }
    workspace.run("attack net.onnx --kind live-memory-blind").exits(2).says("--data");
}

#[test]
fn attacks_on_files_are_refused_by_the_commands_that_read_them() {
    let workspace = Workspace::with_ring();
    workspace.seal("new.ring", "--previous net.ring");
    let verify = |exit: i32, says: &str| {
        workspace.run("verify bad.ring --owner keys/owner.pub").exits(exit).says(says);
    };
    workspace.run("attack new.ring --kind ring-flip --layer conv2.weight -o bad.ring").succeeds();
    verify(3, "conv2");
    workspace
        .run("attack new.ring --kind ring-splice --with net.ring --seed 2 -o bad.ring")
        .succeeds();
    verify(5, "block");
    workspace.run("attack net.onnx --kind zero --layer fc1 -o bad.onnx").succeeds();
    workspace.run("attack new.ring --kind ring-reseal --with bad.onnx -o bad.ring").succeeds();
    verify(4, "not trusted");
    workspace.run("attack new.ring --kind ring-relabel -o bad.ring").succeeds();
    verify(3, "genesis");
    workspace.run("verify new.ring --owner keys/owner.pub --remember").succeeds();
    workspace.run("attack new.ring --kind ring-rollback --with net.ring -o bad.ring").succeeds();
    verify(5, "older");
    workspace.run("attack new.ring --kind ring-splice -o x.ring").exits(2).says("--with");
}

#[test]
fn a_receipt_with_another_answer_is_refused() {
    let workspace = Workspace::with_ring();
    let run = "run net.ring --owner keys/owner.pub --key keys/host.key --receipt x.receipt";
    workspace.run(&format!("{run} --input batch.npy --output-dir other")).succeeds();
    workspace.register("net.ring", "ledger");
    workspace.run(&format!("{run} --input x.npy --output-dir out --ledger ledger")).succeeds();
    workspace.run("attack x.receipt --kind output-swap --with out/logits.npy --with other/logits.npy -o bad.receipt")
        .succeeds();
    workspace.run("receipt verify x.receipt --ring net.ring --owner keys/owner.pub").succeeds();
    workspace.run("receipt verify bad.receipt --ring net.ring --owner keys/owner.pub").exits(3);
    workspace.run("attack ledger --kind ledger-fork -o forks").succeeds();
    workspace.run("ledger verify --ledger forks/a").succeeds();
    // Who has seen one branch is not shown the other, whatever its folder; somebody else kept a checkpoint of it.
    workspace.run("ledger checkpoint --ledger forks/b").exits(3).says("rewritten");
    let kept =
        workspace.run("ledger checkpoint --ledger forks/b --trust theirs.json").succeeds().stdout;
    fs::write(workspace.path("kept"), kept).unwrap();
    workspace.run("ledger verify --ledger forks/a --against kept").exits(3);
}
