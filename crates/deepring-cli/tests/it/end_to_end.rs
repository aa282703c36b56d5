//! The whole road on one machine: from keys to a decision on the ledger, damage, repair, grant and export.

use std::fs;

use deepring_infer::inputs::{read_npy, write_npy};

use crate::workspace::{Workspace, images};

#[test]
fn a_network_is_sealed_run_recorded_damaged_repaired_shared_and_exported() {
    let workspace = Workspace::with_keys();
    let keys = workspace.run("keygen --out more").succeeds();
    assert!(keys.stdout.contains("owner drowner1") && keys.stdout.contains("host  drhost1"));

    let sealed = workspace
        .run("seal net.onnx --owner keys/owner.key --host keys/host.pub --labels labels.txt -o net.ring")
        .succeeds();
    assert!(sealed.stdout.contains("version 1\n"), "{}", sealed.stdout);
    assert!(sealed.stdout.contains("blocks  5 and Genesis"), "{}", sealed.stdout);
    let shown = workspace.run("inspect net.ring").succeeds();
    for word in ["genesis", "conv1", "fc1", "logits", "image f32", "claimed"] {
        assert!(shown.stdout.contains(word), "{word}: {}", shown.stdout);
    }

    // Nobody is trusted before an owner was added; to name one is not to add one.
    workspace.run("verify net.ring").exits(4).says("--owner");
    workspace.run("verify net.ring --owner keys/owner.pub").succeeds().says("not remembered");
    workspace.run("verify net.ring").exits(4);
    workspace.run("verify net.ring --owner keys/owner.pub --remember").succeeds();
    let opened = workspace.run("verify net.ring --key keys/host.key").succeeds();
    assert!(opened.stdout.contains("opened and checked the content of 6"), "{}", opened.stdout);
    workspace.run("verify net.ring --key keys/owner.key").succeeds();

    let run = "run net.ring --key keys/host.key --input x.npy --ledger ledger --receipt x.receipt \
               --output-dir out --top 3";
    workspace.run(run).exits(1).says("hint: `deepring ledger init ledger`");
    assert!(!workspace.path("ledger").exists());
    workspace.run("ledger init ledger").succeeds();
    workspace.run(run).exits(4).says("hint: its owner registers it: `deepring ledger register");
    workspace.register("net.ring", "ledger");
    let ran = workspace.run(run).succeeds();
    assert!(ran.stdout.contains("logits [1, 10]"), "{}", ran.stdout);
    assert!(ran.stdout.contains("Bag"), "{}", ran.stdout);
    let decision = ran.stdout.lines().find_map(|l| l.strip_prefix("decision ")).unwrap();

    // The plain network says the same, to the bit, and so does the written output.
    let plain =
        workspace.run("run net.onnx --plain --input x.npy --output-dir plain --labels labels.txt");
    assert!(plain.succeeds().stdout.contains("Bag"));
    let outputs =
        ["out", "plain"].map(|dir| fs::read(workspace.path(dir).join("logits.npy")).unwrap());
    assert_eq!(outputs[0], outputs[1]);
    assert_eq!(read_npy(&workspace.path("out/logits.npy"), "y").unwrap().dims(), [1, 10]);

    // The certificate: against the ring, the ledger, and a proof that needs no ledger.
    let receipt = "receipt verify x.receipt --ring net.ring --owner keys/owner.pub";
    let verified = workspace.run(receipt).succeeds();
    assert!(verified.stdout.contains(decision), "{}", verified.stdout);
    assert!(verified.stdout.contains("blocks 1-5 by drhost1"), "{}", verified.stdout);
    assert!(
        verified.stdout.contains("\n  conv1   bytes 1, both 1, recomputed 1\n"),
        "{}",
        verified.stdout
    );
    // It is about this question and this answer, and no other.
    workspace.run(&format!("{receipt} --input x.npy --output out/logits.npy")).succeeds();
    write_npy(&workspace.path("other.npy"), &images(1, 2)).unwrap();
    workspace.run(&format!("{receipt} --input other.npy")).exits(3).says("other inputs");
    let on_ledger = workspace.run(&format!("{receipt} --ledger ledger")).succeeds();
    assert!(on_ledger.stdout.contains("on the ledger as entry 1"), "{}", on_ledger.stdout);
    workspace.run("ledger prove --ledger ledger --receipt x.receipt -o x.tlog-proof").succeeds();
    workspace.run(&format!("{receipt} --proof x.tlog-proof")).succeeds();
    workspace
        .run(&format!("{receipt} --proof x.tlog-proof --ledger-key ledger/log.pub"))
        .succeeds();
    let shown = workspace.run("ledger show --ledger ledger").succeeds().stdout;
    assert!(shown.contains("registered, version 1") && shown.contains("about 1 query"), "{shown}");
    let checkpoint = workspace.run("ledger checkpoint --ledger ledger").succeeds().stdout;
    assert_eq!(checkpoint.lines().nth(1), Some("2"));
    fs::write(workspace.path("kept.checkpoint"), &checkpoint).unwrap();
    workspace.run("ledger verify --ledger ledger").succeeds();

    // Damage is detected, recorded, repaired from a copy, and that is recorded too.
    fs::copy(workspace.path("net.ring"), workspace.path("copy.ring")).unwrap();
    let at = workspace.ring("net.ring").stored_at(3, 5000).unwrap();
    workspace.flip("net.ring", usize::try_from(at).unwrap());
    workspace.run(run).exits(3).says("block 3 (fc1), body, tensor fc1.weight");
    let repaired = workspace.run(
        "repair net.ring --from copy.ring --owner keys/owner.pub --ledger ledger --key keys/host.key",
    );
    assert!(repaired.succeeds().stdout.contains("repaired block 3"));
    assert_eq!(
        fs::read(workspace.path("net.ring")).unwrap(),
        fs::read(workspace.path("copy.ring")).unwrap()
    );
    workspace.run(run).succeeds();
    let shown = workspace.run("ledger show --ledger ledger").succeeds().stdout;
    assert!(shown.contains("ALARM: block 3 (fc1), body, tensor fc1.weight"), "{shown}");
    assert!(shown.contains("repair of blocks [3] from copy.ring"), "{shown}");
    workspace.run("ledger verify --ledger ledger --against kept.checkpoint").succeeds();
    let intact = workspace.run("repair net.ring --from copy.ring").succeeds();
    assert!(intact.stdout.contains("nothing to repair"));

    // Another host is let in, runs, and the old receipt stays valid.
    workspace.run("run net.ring --key more/host.key --input x.npy").exits(4).says("deepring grant");
    let granted = workspace.run("grant net.ring --owner-key keys/owner.key --host more/host.pub");
    assert!(granted.succeeds().stdout.contains("granted 6 blocks"));
    workspace.run("run net.ring --key more/host.key --input x.npy").succeeds();
    workspace.run(receipt).succeeds();

    // Out again: the exported network is the one that went in, as far as anybody can compute.
    workspace
        .run("export net.ring --key keys/owner.key --owner keys/owner.pub -o out.onnx")
        .succeeds();
    workspace.run("run out.onnx --plain --input x.npy --output-dir again").succeeds();
    assert_eq!(fs::read(workspace.path("again/logits.npy")).unwrap(), outputs[0]);
}

#[test]
fn an_upgrade_replaces_its_predecessor_for_who_has_seen_it() {
    let workspace = Workspace::with_trusted_ring();
    workspace.run("verify net.ring").succeeds();
    workspace.register("net.ring", "ledger");
    workspace.seal("two.ring", "--previous net.ring");
    let upgraded = workspace.run("verify two.ring --json").succeeds().json();
    assert_eq!(upgraded["model_version"], 2);
    assert_eq!(
        upgraded["ring"],
        workspace.run("inspect net.ring --json").succeeds().json()["ring"]
    );
    workspace.run("verify net.ring").exits(5).says("older than version 2");
    workspace.run("run net.ring --key keys/host.key --input x.npy --ledger ledger").exits(5);
    let two = "run two.ring --key keys/host.key --input x.npy --ledger ledger";
    workspace.run(two).exits(4).says("not registered");
    workspace.register("two.ring", "ledger");
    workspace.run(two).succeeds();
    let shown = workspace.run("ledger show --ledger ledger").succeeds().stdout;
    assert!(shown.contains("upgraded to version 2"), "{shown}");
    // And the ledger remembers where a trust store does not.
    let forgetful = |words: &str| {
        let mut command = workspace.command(words);
        command.env("DEEPRING_TRUST", workspace.path("empty.json"));
        crate::workspace::Ran::of(words, command.output().unwrap())
    };
    forgetful("run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy").succeeds();
    forgetful(
        "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy --ledger ledger",
    )
    .exits(5)
    .says("which the ledger knows");
}

#[test]
fn several_hosts_play_together_and_none_alone() {
    let workspace = Workspace::with_keys();
    workspace.run("keygen --out second").succeeds();
    workspace.run(
        "seal net.onnx --owner keys/owner.key --host 1-2=keys/host.pub --host 3-5=second/host.pub \
         --cut op -o net.ring",
    )
    .succeeds();
    workspace.run("trust add keys/owner.pub").succeeds();
    let run = "run net.ring --owner keys/owner.pub --input x.npy --receipt x.receipt";
    workspace.run(&format!("{run} --key keys/host.key")).exits(4).says("block 3 (fc1)");
    workspace.run(&format!("{run} --key second/host.key")).exits(4).says("block 1 (conv1)");
    assert!(!workspace.path("x.receipt").exists());
    workspace.run(&format!("{run} --key second/host.key --key keys/host.key")).succeeds();
    let shown = workspace.run("receipt verify x.receipt --ring net.ring").succeeds().stdout;
    assert!(shown.contains("blocks 1-2 by") && shown.contains("blocks 3-5 by"), "{shown}");
    // Each receipt names its own blocks; a weaker check is shown as one.
    let lines_of = |shown: &str| -> Vec<String> {
        shown.lines().filter_map(|l| l.strip_prefix("  ")).map(str::to_owned).collect()
    };
    let names = workspace.run("inspect net.ring --json").succeeds().json()["blocks"].clone();
    let names: Vec<_> = (1..6).map(|i| names[i]["name"].as_str().unwrap().to_owned()).collect();
    let lines = lines_of(&shown);
    assert_eq!(lines.len(), 5, "{shown}");
    assert!(
        lines
            .iter()
            .zip(&names)
            .all(|(l, n)| l.starts_with(n) && l.contains("  bytes 1, both 1, recomputed 1"))
    );
    for (check, word) in [("load", "opened"), ("none", "unchecked")] {
        workspace
            .run(&format!("{run} --key second/host.key --key keys/host.key --check {check}"))
            .succeeds();
        let shown = workspace.run("receipt verify x.receipt --ring net.ring").succeeds().stdout;
        assert!(shown.contains(&format!("parameters checked: {check}\n")), "{shown}");
        let lines = lines_of(&shown);
        assert!(lines.len() == 5 && lines.iter().all(|l| l.contains(word)), "{shown}");
    }
    let opened = workspace.run("verify net.ring --key second/host.key").succeeds();
    assert!(opened.stdout.contains("the content of 4 of these 6"), "{}", opened.stdout);
    workspace.run("export net.ring --key second/host.key -o out.onnx").exits(4);
    assert!(!workspace.path("out.onnx").exists());
}

/// Where a network's blocks lie with several hosts, it answers and is exported as with one.
#[test]
fn a_ring_of_two_hosts_answers_and_exports_as_one_of_a_single_host() {
    let workspace = Workspace::with_keys();
    workspace.run("keygen --out second").succeeds();
    workspace.run("trust add keys/owner.pub").succeeds();
    let seal = "seal net.onnx --owner keys/owner.key";
    let hosts = "--host 1,3,5=keys/host.pub --host 2,4=second/host.pub";
    workspace.run(&format!("{seal} {hosts} -o two.ring")).succeeds();
    workspace.run(&format!("{seal} --host keys/host.pub -o one.ring")).succeeds();
    let answers = ["two.ring", "one.ring"].map(|ring| {
        let keys = "--key keys/host.key --key second/host.key --check compute --json";
        let run = format!("run {ring} --owner keys/owner.pub {keys} --input x.npy");
        workspace.run(&run).succeeds().json()["outputs"].clone()
    });
    assert_eq!(answers[0], answers[1]);
    for ring in ["two", "one"] {
        workspace
            .run(&format!("export {ring}.ring --key keys/owner.key -o {ring}.onnx"))
            .succeeds();
    }
    assert_eq!(
        fs::read(workspace.path("two.onnx")).unwrap(),
        fs::read(workspace.path("one.onnx")).unwrap()
    );
}

#[test]
fn many_inputs_are_many_queries_and_their_outputs_are_numbered() {
    let workspace = Workspace::with_trusted_ring();
    let ran = workspace
        .run(
            "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy \
             --input image=batch.npy --output-dir out",
        )
        .code;
    // A mixture of named and unnamed files says nothing about which belongs to which query.
    assert_eq!(ran, Some(2));
    workspace.run(
        "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy --input batch.npy \
         --output-dir out --receipt x.receipt",
    )
    .succeeds();
    let dims = |name: &str| read_npy(&workspace.path(name), "y").unwrap().dims().to_vec();
    assert_eq!(dims("out/0-logits.npy"), [1, 10]);
    assert_eq!(dims("out/1-logits.npy"), [8, 10]);
    let verified = workspace.run("receipt verify x.receipt --ring net.ring").succeeds();
    assert!(verified.stdout.contains("2 queries"), "{}", verified.stdout);
}

#[test]
fn completions_exist_for_each_shell() {
    let workspace = Workspace::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = workspace.run(&format!("completions {shell}")).succeeds();
        assert!(script.stdout.contains("deepring"), "{shell}");
        assert!(script.stdout.contains("model-version"), "{shell}");
    }
}
