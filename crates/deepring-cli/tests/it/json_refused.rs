//! With `--json` there is one document on stdout however a command ends, and it says why it failed.

use std::fs;

use crate::workspace::Workspace;

#[test]
fn every_end_is_one_document_with_kind_exit_message_and_hint() {
    let workspace = Workspace::with_ring();
    fs::copy(workspace.path("net.ring"), workspace.path("bad.ring")).unwrap();
    workspace.flip("bad.ring", 900);
    fs::write(workspace.path("empty"), "").unwrap();
    fs::create_dir(workspace.path("folder")).unwrap();
    workspace.run("keygen --out other").succeeds();
    workspace.run("trust add keys/owner.pub").succeeds();
    let run = "run --key keys/host.key --input x.npy";
    for (words, exit, kind) in [
        ("inspect bad.ring", 3, "tampered"),
        ("inspect empty", 3, "tampered"),
        ("inspect none.ring", 1, "failed"),
        ("inspect folder", 1, "failed"),
        ("inspect", 2, "usage"),
        ("inspect net.ring --frobnicate", 2, "usage"),
        ("verify bad.ring", 3, "tampered"),
        ("verify none.ring", 1, "failed"),
        ("verify net.ring --owner other/owner.pub", 4, "untrusted"),
        ("verify net.ring --key other/host.key", 4, "untrusted"),
        ("verify net.onnx", 5, "stale"),
        ("verify net.ring --owner none.pub", 1, "failed"),
        (format!("{run} bad.ring").as_str(), 3, "tampered"),
        (format!("{run} none.ring").as_str(), 1, "failed"),
        (format!("{run} net.ring --input none.npy").as_str(), 1, "failed"),
        (format!("{run} net.ring --key other/owner.key").as_str(), 1, "failed"),
        (format!("{run} none.onnx --plain").as_str(), 1, "failed"),
        ("run net.ring", 2, "usage"),
        ("repair none.ring --from net.ring", 1, "failed"),
        ("repair bad.ring --from bad.ring", 3, "tampered"),
        ("repair bad.ring --from net.onnx", 3, "tampered"),
        ("repair bad.ring --from net.ring --owner other/owner.pub", 4, "untrusted"),
        ("receipt verify none.receipt --ring net.ring", 1, "failed"),
        ("receipt verify empty --ring net.ring", 3, "tampered"),
        ("ledger show --ledger none", 1, "failed"),
        ("ledger verify --ledger none", 1, "failed"),
        ("ledger verify --ledger net.ring", 1, "failed"),
        ("ledger checkpoint --ledger keys", 3, "tampered"),
        ("ledger prove --ledger none", 1, "failed"),
        ("ledger register bad.ring --owner-key keys/owner.key --ledger none", 3, "tampered"),
        ("ledger register net.ring --owner-key other/owner.key --ledger none", 4, "untrusted"),
        ("ledger register net.ring --owner-key keys/owner.key --ledger none", 1, "failed"),
        ("revoke key --key keys/host.key --ledger none --reason lost", 1, "failed"),
        ("trust list --trust folder", 1, "failed"),
        ("trust list --trust net.onnx", 1, "failed"),
        ("bench --model none.onnx", 1, "failed"),
    ] {
        let ran = workspace.run(&format!("{words} --json")).exits(exit);
        let document = ran.json();
        let error = &document["error"];
        assert_eq!(error["kind"], kind, "{words}");
        assert_eq!(error["exit"], exit, "{words}");
        let message = error["message"].as_str().unwrap();
        // What arguments lack is told in lines of its own there.
        let in_one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let told = in_one_line(&ran.stderr).contains(&in_one_line(message));
        assert!(told && !message.is_empty(), "{words}: {message}");
        let hint = ran.stderr.lines().find_map(|line| line.strip_prefix("hint: "));
        if exit != 2 {
            assert_eq!(error["hint"].as_str(), hint, "{words}");
        }
        if exit > 2 {
            assert_eq!(document["verdict"], kind, "{words}");
        }
    }
    assert_eq!(
        workspace.run("inspect bad.ring --json").exits(3).json()["findings"][0]["part"],
        "header"
    );
}

#[cfg(feature = "attacks")]
#[test]
fn attacks_end_in_documents_too() {
    let workspace = Workspace::new();
    let refused = workspace.run("attack net.onnx --kind noise-layer --layer none -o t.onnx --json");
    assert_eq!(refused.exits(2).json()["error"]["kind"], "usage");
    let listed = workspace.run("attack --list --json").succeeds().json();
    assert_eq!(listed["attacks"][0]["needs"], serde_json::Value::Null);
    assert!(listed["attacks"].as_array().unwrap().iter().any(|a| a["kind"] == "zero"));
}

#[test]
fn a_proof_that_is_written_is_printed_as_json_too_where_that_is_asked_for() {
    let workspace = Workspace::with_ring();
    let run = "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy";
    workspace.register("net.ring", "ledger");
    workspace.run(format!("{run} --ledger ledger").as_str()).succeeds();
    let proved =
        workspace.run("ledger prove --ledger ledger -o x.tlog-proof --json").succeeds().json();
    let written = fs::read_to_string(workspace.path("x.tlog-proof")).unwrap();
    assert_eq!(proved["proof"], written);
}

#[test]
fn a_usage_error_names_what_is_missing_and_an_output_its_own_path() {
    let workspace = Workspace::with_ring();
    let message = |words: &str, exit: i32| {
        let document = workspace.run(&format!("{words} --json")).exits(exit).json();
        document["error"]["message"].as_str().unwrap().to_owned()
    };
    assert!(message("verify", 2).ends_with("<RING>"));
    assert!(message("ledger verify", 2).contains("--ledger <DIR>"));
    for leg in ["4294967295", "2-5", "1-99"] {
        workspace
            .run(&format!(
                "deal net.ring --owner-key keys/owner.key --leg {leg}=keys/host.pub -o d"
            ))
            .exits(2);
    }
    let sealed = "seal net.onnx --owner keys/owner.key --host keys/host.pub -o none/net.ring";
    let said = workspace.run(sealed).exits(1).says("none/net.ring: No such file").stderr;
    assert!(!said.contains("partial"), "{said}");
}
