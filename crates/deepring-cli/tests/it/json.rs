//! The JSON of each command has just the keys that scripts are promised.

use std::fs;

use serde_json::Value;

use crate::workspace::{Ran, Workspace};

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// The keys of a command that failed, but for `error`, which is there.
fn refused_keys(value: &Value) -> Vec<&str> {
    let mut keys = keys(value);
    assert!(keys.contains(&"error"), "{value}");
    keys.retain(|key| *key != "error");
    keys
}

const FINDING: [&str; 6] = ["block", "bytes", "name", "part", "reason", "tensor"];

#[test]
fn verify_prints_verdict_ring_version_blocks_and_findings() {
    let workspace = Workspace::with_trusted_ring();
    let promised = ["blocks", "digest", "findings", "model_version", "ring", "verdict"];
    let intact = workspace.run("verify net.ring --owner keys/owner.pub --json").succeeds().json();
    assert_eq!(keys(&intact), promised);
    assert_eq!(intact["verdict"], "intact");
    assert_eq!(intact["model_version"], 1);
    assert_eq!(intact["blocks"], 6);
    assert_eq!(intact["findings"], serde_json::json!([]));
    assert_eq!(intact["ring"].as_str().map(str::len), Some(32));

    workspace.run("keygen --out other").succeeds();
    let untrusted = workspace.run("verify net.ring --owner other/owner.pub --json").exits(4).json();
    assert_eq!(untrusted["verdict"], "untrusted");
    let no_block = workspace.run("verify net.ring --key other/host.key --json").exits(4).json();
    assert_eq!(
        (refused_keys(&no_block), &no_block["verdict"]),
        (promised.to_vec(), &"untrusted".into())
    );

    let stale = workspace.run("verify net.onnx --json").exits(5).json();
    assert_eq!((refused_keys(&stale), &stale["verdict"]), (promised.to_vec(), &"stale".into()));
    let foreign = workspace.run("verify labels.txt --json").exits(3).json();
    assert_eq!(
        (refused_keys(&foreign), &foreign["verdict"]),
        (promised.to_vec(), &"tampered".into())
    );
    assert_eq!(foreign["findings"][0]["part"], "file");

    let at = workspace.ring("net.ring").stored_at(4, 100).unwrap();
    workspace.flip("net.ring", usize::try_from(at).unwrap());
    let tampered = workspace.run("verify net.ring --json").exits(3).json();
    assert_eq!(refused_keys(&tampered), promised);
    assert_eq!(tampered["verdict"], "tampered");
    let finding = &tampered["findings"][0];
    assert_eq!(keys(finding), FINDING);
    assert_eq!(finding["block"], 4);
    assert_eq!(finding["name"], "fc2");
    assert_eq!(finding["part"], "body");
    assert_eq!(finding["tensor"], "fc2.weight");
    let bytes: Vec<u64> = serde_json::from_value(finding["bytes"].clone()).unwrap();
    assert!(bytes[0] <= at && at < bytes[1]);
}

#[test]
fn run_prints_verdict_findings_decision_check_outputs_and_timings() {
    let workspace = Workspace::with_ring();
    let run = "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy --json";
    let promised = [
        "check",
        "decision",
        "findings",
        "hardening",
        "model_version",
        "outputs",
        "owner",
        "rejected",
        "ring",
        "timings",
        "verdict",
    ];
    workspace.register("net.ring", "ledger");
    let recorded = "--ledger ledger";
    let ran = workspace.run(&format!("{run} --repeat 7 --top 3 {recorded}")).succeeds().json();
    let ring = workspace.ring("net.ring");
    assert_eq!(ran["owner"], ring.owner().to_string());
    assert_eq!(
        (&ran["ring"], &ran["model_version"]),
        (&ring.ring_id().to_string().into(), &1.into())
    );
    assert_eq!(keys(&ran), promised);
    assert_eq!((&ran["verdict"], &ran["check"]), (&"intact".into(), &"auto".into()));
    assert_eq!(ran["decision"].as_str().map(str::len), Some(64));
    let output = &ran["outputs"][0];
    assert_eq!(keys(output), ["name", "shape", "top"]);
    assert_eq!(
        (&output["name"], &output["shape"]),
        (&"logits".into(), &serde_json::json!([1, 10]))
    );
    assert_eq!(output["top"].as_array().unwrap().len(), 3);
    assert_eq!(keys(&output["top"][0]), ["index", "label", "score"]);
    assert_eq!(
        (&output["top"][0]["index"], &output["top"][0]["label"]),
        (&8.into(), &"Bag".into())
    );
    let timings = &ran["timings"];
    assert_eq!(keys(timings), ["load_ms", "query_ms", "split_ms"]);
    assert_eq!(keys(&timings["query_ms"]), ["max", "median", "min", "n"]);
    assert_eq!(keys(&timings["split_ms"]), ["check", "engine", "ledger", "receipt"]);
    assert_eq!(timings["query_ms"]["n"], 7);
    for part in ["engine", "check", "receipt", "ledger"] {
        assert!(timings["split_ms"][part].as_f64().unwrap() > 0.0, "{part}");
    }
    for (check, word) in [("none", "none"), ("load", "load")] {
        let ran = workspace.run(&format!("{run} --check {check}")).succeeds().json();
        assert_eq!(ran["check"], word);
        assert_eq!(ran["timings"]["split_ms"]["check"].as_f64(), Some(0.0));
    }

    let spot = workspace.run(&format!("{run} --check spot:0.25 --repeat 3")).succeeds().json();
    assert_eq!(spot["check"], "spot:0.25");
    assert_eq!(spot["spot"]["queries"], 3);
    let detection = spot["spot"]["detection"].as_f64().unwrap();
    assert!((detection - (1.0 - 0.75f64.powi(3))).abs() < 1e-9);

    let plain =
        workspace.run("run net.onnx --plain --input x.npy --json --repeat 2").succeeds().json();
    assert_eq!(keys(&plain), promised);
    assert_eq!((&plain["verdict"], &plain["decision"]), (&Value::Null, &Value::Null));
    assert_eq!(plain["timings"]["query_ms"]["n"], 2);
    assert_eq!(plain["outputs"][0]["top"][0]["score"], output["top"][0]["score"]);
    assert_eq!(plain["outputs"][0]["top"][0]["label"], Value::Null);

    let at = workspace.ring("net.ring").stored_at(1, 0).unwrap();
    workspace.flip("net.ring", usize::try_from(at).unwrap());
    let tampered = workspace.run(run).exits(3).json();
    assert_eq!(refused_keys(&tampered), promised);
    assert_eq!((&tampered["verdict"], &tampered["decision"]), (&"tampered".into(), &Value::Null));
    assert_eq!(keys(&tampered["findings"][0]), FINDING);
    assert_eq!(tampered["findings"][0]["name"], "conv1");
    let stale =
        workspace.run("run net.onnx --key keys/host.key --input x.npy --json").exits(5).json();
    assert_eq!((refused_keys(&stale), &stale["verdict"]), (promised.to_vec(), &"stale".into()));
}

#[test]
fn a_batch_lists_the_top_of_every_row() {
    let workspace = Workspace::with_ring();
    let run = "run net.ring --owner keys/owner.pub --key keys/host.key --json --top 1";
    let ran = workspace.run(&format!("{run} --input batch.npy")).succeeds().json();
    let output = &ran["outputs"][0];
    assert_eq!(output["rows"].as_array().unwrap().len(), 8);
    assert_eq!(output["rows"][0], output["top"]);
    let ran = workspace.run(&format!("{run} --input x.npy --input batch.npy")).succeeds().json();
    let queries: Vec<_> =
        ran["outputs"].as_array().unwrap().iter().map(|o| o["query"].as_u64()).collect();
    assert_eq!(queries, [Some(0), Some(1)]);
}

#[test]
fn the_other_commands_print_documents_too() {
    let workspace = Workspace::with_trusted_ring();
    let run = "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy \
               --check run --ledger ledger --receipt x.receipt --json";
    workspace.register("net.ring", "ledger");
    let decision = workspace.run(run).succeeds().json()["decision"].clone();
    let inspected = workspace.run("inspect net.ring --json").succeeds().json();
    assert_eq!(inspected["blocks"].as_array().unwrap().len(), 6);
    assert_eq!(inspected["blocks"][3]["name"], "fc1");
    assert_eq!(inspected["blocks"][0]["previous"], inspected["blocks"][5]["body_digest"]);
    assert_eq!(inspected["blocks"][5]["next"], inspected["blocks"][0]["body_digest"]);

    let receipt = "receipt verify x.receipt --ring net.ring --json";
    let verified = workspace.run(&format!("{receipt} --ledger ledger")).succeeds().json();
    assert_eq!((&verified["verdict"], &verified["entry"]), (&"intact".into(), &1.into()));
    assert_eq!(verified["decision"]["id"], decision);
    let said = [
        "compared",
        "decision",
        "entry",
        "findings",
        "ledger_key",
        "model_version",
        "newer_version",
        "owner",
        "recorded_after",
        "revoked_since",
        "ring",
        "verdict",
        "witnesses",
    ];
    assert_eq!(keys(&verified), said);
    assert_eq!(verified["owner"], workspace.ring("net.ring").owner().to_string());
    assert_eq!((&verified["ring"], &verified["model_version"]), (&inspected["ring"], &1.into()));
    assert_eq!(
        verified["compared"],
        serde_json::json!({ "inputs": 0, "outputs": 0, "queries": 1 })
    );
    assert_eq!(
        (&verified["newer_version"], &verified["recorded_after"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(verified["ledger_key"], "remembered");
    let stated = &verified["decision"]["chain"]["legs"][0]["receipt"];
    assert_eq!((&stated["check"], &stated["rotation"]), (&"run".into(), &0.into()));
    let parts = |block: &Value| block["parts"].as_array().unwrap().len();
    let blocks = &inspected["blocks"].as_array().unwrap()[1..];
    let all_bytes: Vec<_> = blocks.iter().map(|b| vec!["bytes"; parts(b)]).collect();
    assert_eq!(stated["coverage"], serde_json::json!(all_bytes));
    let shown = workspace.run("ledger show --ledger ledger --json").succeeds().json();
    assert_eq!((&shown["size"], &shown["entries"][1]["index"]), (&2.into(), &1.into()));
    let ledger = workspace.run("ledger verify --ledger ledger --json").succeeds().json();
    assert_eq!((&ledger["verdict"], &ledger["report"]["size"]), (&"intact".into(), &2.into()));
    let checkpoint = workspace.run("ledger checkpoint --ledger ledger --json").succeeds().json();
    assert_eq!(checkpoint["root"], ledger["report"]["root"]);
    let proof = workspace.run("ledger prove --ledger ledger --entry 1 --json").succeeds().json();
    fs::write(workspace.path("1.tlog-proof"), proof["proof"].as_str().unwrap()).unwrap();
    workspace.run(&format!("{receipt} --proof 1.tlog-proof")).succeeds();

    fs::copy(workspace.path("net.ring"), workspace.path("copy.ring")).unwrap();
    let repair = "repair net.ring --from copy.ring --json";
    assert_eq!(workspace.run(repair).succeeds().json()["repaired"], false);
    let at = workspace.ring("net.ring").stored_at(2, 64).unwrap();
    workspace.flip("net.ring", usize::try_from(at).unwrap());
    let repaired = workspace.run(repair).succeeds().json();
    assert_eq!(
        (&repaired["repaired"], &repaired["blocks"]),
        (&true.into(), &serde_json::json!([2]))
    );
    assert_eq!(keys(&repaired["findings"][0]), FINDING);

    workspace.flip("x.receipt", 200);
    let refused = workspace.run(receipt).exits(3).json();
    assert_eq!((&refused["verdict"], &refused["decision"]), (&"tampered".into(), &Value::Null));
    assert_eq!(refused_keys(&refused), said);

    let listed = workspace.run("trust list --json").succeeds().json();
    assert_eq!(keys(&listed), ["ledgers", "owners", "paths", "rings", "rotations"]);
    assert_eq!(listed["owners"], serde_json::json!([inspected["claimed_owner"]]));
    assert_eq!(keys(&listed["rings"][0]), ["digest", "ledgers", "model_version", "owner", "ring"]);
    assert_eq!(listed["rings"][0]["ring"], inspected["ring"]);
    assert_eq!(keys(&listed["paths"][0]), ["bound_to", "path"]);
    assert_eq!(keys(&listed["ledgers"][0]), ["key", "origin", "paths", "pinned", "size"]);
    assert_eq!(listed["ledgers"][0]["size"], 2, "registered and decided");
    let foreign = workspace.run("ledger verify --ledger keys --json").exits(3).json();
    assert_eq!(foreign["verdict"], "tampered");
}

/// By one of them the engine prints on stdout, and ends the process where it cannot.
#[test]
fn a_setting_of_the_engine_in_the_environment_is_refused_by_name() {
    let workspace = Workspace::with_ring();
    let words = "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy --json";
    for name in ["RTEN_TIMING", "RTEN_USE_POOL"] {
        let ran = Ran::of(words, workspace.command(words).env(name, "1").output().unwrap());
        let ran = ran.exits(2).says(name);
        assert_eq!(ran.json()["error"]["kind"], "usage");
    }
    workspace.run(words).succeeds();
}
