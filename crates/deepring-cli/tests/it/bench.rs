//! `deepring bench` runs and prints what scripts are promised. How long anything took is not asked here.

use serde_json::Value;

use crate::workspace::Workspace;

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

const REPORT: [&str; 8] =
    ["bench", "command", "date", "machine", "method", "notes", "rows", "version"];

/// A number that a measurement can have: finite, and above zero.
#[track_caller]
fn positive(value: &Value) -> f64 {
    let number = value.as_f64().unwrap_or(f64::NAN);
    assert!(number.is_finite() && number > 0.0, "{value}");
    number
}

#[track_caller]
fn ratio(row: &Value) {
    let ratio = &row["ratio"];
    assert_eq!(keys(ratio), ["median", "of_medians", "p10", "p90"]);
    let [low, middle, high] = ["p10", "median", "p90"].map(|key| positive(&ratio[key]));
    assert!(low <= middle && middle <= high, "{ratio}");
    positive(&ratio["of_medians"]);
}

#[test]
fn queries_are_measured_plain_and_protected() {
    let workspace = Workspace::new();
    let words =
        "bench --network lenet --repeat 3 --check load --check run --threads 1 --ledger --control";
    let report = workspace.run(&format!("{words} --json -o out")).succeeds().json();
    assert_eq!(keys(&report), REPORT);
    assert_eq!(report["bench"], "queries");
    assert_eq!(report["command"], format!("deepring {words} --json -o out"));
    assert_eq!(keys(&report["machine"]), ["cores", "cpu", "memory_bytes", "optimised", "system"]);
    let all = report["rows"].as_array().unwrap();
    let named: Vec<_> = all.iter().map(|r| (r["check"].as_str().unwrap(), &r["ledger"])).collect();
    let [no, yes] = [Value::Bool(false), Value::Bool(true)];
    let due = [("plain", &no), ("load", &no), ("load", &yes), ("run", &no), ("run", &yes)];
    assert_eq!(named, due);
    let (control, rows) = all.split_first().unwrap();
    ratio(control);
    assert_eq!(
        (&control["outputs"]["same_bits"], &control["split_ms"]["receipt"]),
        (&yes, &0.0.into())
    );
    for row in rows {
        assert_eq!(
            keys(row),
            [
                "batch",
                "blocks",
                "check",
                "ledger",
                "network",
                "outputs",
                "pairs",
                "parameter_bytes",
                "plain_ms",
                "protected_ms",
                "ratio",
                "shadow",
                "split_ms",
                "threads"
            ]
        );
        assert_eq!((&row["network"], &row["threads"]), (&"lenet".into(), &1.into()));
        assert_eq!((&row["blocks"], &row["parameter_bytes"]), (&5.into(), &246_824.into()));
        assert!(row["pairs"].as_u64().unwrap() >= 3);
        ratio(row);
        positive(&row["plain_ms"]);
        positive(&row["protected_ms"]);
        let split = &row["split_ms"];
        assert_eq!(keys(split), ["check", "engine", "ledger", "receipt"]);
        positive(&split["engine"]);
        positive(&split["receipt"]);
        assert_eq!(row["check"] == "run", split["check"].as_f64().unwrap() > 0.0);
        assert!(row["ledger"] == no || split["ledger"].as_f64().unwrap() > 0.0);
        assert!(row["outputs"]["largest_difference"].as_f64().unwrap() <= 1e-5, "{row}");
    }
    let kept = std::fs::read_to_string(workspace.path("out/bench.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&kept).unwrap(), report);
    let table = std::fs::read_to_string(workspace.path("out/bench.md")).unwrap();
    assert_eq!(table.lines().filter(|line| line.starts_with("| lenet | 1 | ")).count(), 5);
    assert!(!workspace.path("trust.json").exists(), "a measurement remembers no keys");
}

#[test]
fn a_network_of_ones_own_is_measured_in_a_batch() {
    let workspace = Workspace::new();
    let words = "bench --model net.onnx --repeat 2 --check run --threads 1 --batch 3";
    let report = workspace.run(&format!("{words} --json")).succeeds().json();
    let [row] = report["rows"].as_array().unwrap().as_slice() else { panic!("{report}") };
    assert_eq!((&row["network"], &row["batch"]), (&"net".into(), &3.into()));
    assert!(row["outputs"]["largest_difference"].as_f64().unwrap() <= 1e-5, "{row}");
    let text = workspace.run(words).succeeds();
    assert!(text.stdout.lines().any(|line| line.starts_with("net ")), "{}", text.stdout);
}

#[test]
fn what_cannot_be_measured_is_named() {
    let workspace = Workspace::new();
    workspace.run("bench --network vgg").exits(2).says("resnet50, efficientnet, minilm, lenet");
    workspace.run("bench --check sometimes").exits(2).says("sometimes");
    workspace.run("bench --model missing.onnx").exits(1).says("missing.onnx");
    workspace.run("bench --model labels.txt").exits(1).says("labels.txt");
    workspace.run("bench rest --size 0").exits(2).says("number of bytes");
    workspace.run("bench rest --dir nowhere").exits(1).says("nowhere");
}

#[test]
fn rings_at_rest_are_measured_beside_the_least_that_could_be_done() {
    let workspace = Workspace::new();
    let report = workspace.run("bench rest --size 1M --repeat 2 --dir . --json").succeeds().json();
    assert_eq!((keys(&report), &report["bench"]), (REPORT.to_vec(), &"rest".into()));
    let rows = report["rows"].as_array().unwrap();
    let (decisions, files) = rows.split_last().unwrap();
    let mut done: Vec<_> = files.iter().map(|r| r["what"].as_str().unwrap()).collect();
    done.dedup(); // verifying stands beside `b3sum` too, where there is one
    assert_eq!(done, ["verify", "seal", "open to first answer"]);
    for row in files {
        assert_eq!(keys(row), ["base", "base_ms", "bytes", "ms", "pairs", "ratio", "what"]);
        assert!((1 << 20..1 << 21).contains(&row["bytes"].as_u64().unwrap()), "{row}");
        ratio(row);
    }
    assert!(positive(&decisions["per_second"]) >= positive(&decisions["per_second_p10"]));
    assert_eq!(
        workspace.files(),
        ["batch.npy", "labels.txt", "net.onnx", "x.npy"],
        "nothing is left"
    );
}

#[test]
fn growth_has_a_row_for_each_size_number_of_blocks_and_batch() {
    let workspace = Workspace::new();
    let words = "bench growth --max-size 1M --repeat 1 --dir . --json";
    let report = workspace.run(words).succeeds().json();
    assert_eq!((keys(&report), &report["bench"]), (REPORT.to_vec(), &"growth".into()));
    let rows = report["rows"].as_array().unwrap();
    let on = |axis: &str, step: &str, value: &str| -> Vec<u64> {
        let rows = rows.iter().filter(|r| r["axis"] == axis && r["step"] == step);
        rows.map(|r| r[value].as_u64().unwrap()).collect()
    };
    for step in ["seal", "verify", "open", "query"] {
        assert_eq!(on("size", step, "bytes"), [1_050_624], "{step}");
        assert_eq!(on("blocks", step, "blocks"), [1, 4, 16, 64], "{step}");
    }
    assert_eq!(on("inputs", "query", "inputs"), [1, 8, 32]);
    assert_eq!(rows.len(), 4 + 16 + 3);
    for row in rows {
        positive(&row["seconds"]);
        positive(&row["seconds_per_unit"]);
        if cfg!(target_os = "linux") {
            positive(&row["peak_bytes"]);
        }
    }
    assert_eq!(
        workspace.files(),
        ["batch.npy", "labels.txt", "net.onnx", "x.npy"],
        "nothing is left"
    );
}
