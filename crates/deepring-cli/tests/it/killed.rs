//! Interrupted at any moment, `kill -9` included: what was there stays, what was acknowledged stays, and nothing else does.
#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::synthetic::matrices;
use crate::workspace::Workspace;

/// Turns until the condition holds or the process has ended; whether it held.
fn until(child: &mut Child, mut holds: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(60);
    while Instant::now() < deadline {
        if holds() {
            return true;
        }
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::yield_now();
    }
    panic!("nothing happened for a minute");
}

/// Names in a folder, but those that are allowed.
fn strangers(folder: &Path, allowed: &[&str]) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|f| f.unwrap().file_name());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    names.filter(|name| !allowed.contains(&name.as_str())).collect()
}

/// How long a command takes when nothing stops it.
fn duration(workspace: &Workspace, words: &str) -> Duration {
    let started = Instant::now();
    workspace.run(words).succeeds();
    started.elapsed()
}

/// Starts a command and sends it a signal after so long; whether it was stopped by that.
fn stopped(workspace: &Workspace, words: &str, after: Duration, signal: Signal) -> bool {
    let started = Instant::now();
    let mut child =
        workspace.command(words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until(&mut child, || started.elapsed() >= after);
    // A child that has ended is nobody's else: it was not waited for yet.
    let _ = kill_process(Pid::from_child(&child), signal);
    let ended = child.wait().unwrap();
    assert!(ended.success() || ended.signal() == Some(signal.as_raw()), "{words}: {ended}");
    !ended.success()
}

/// Shares of the time that a command takes; the end of it is where it writes most.
const SHARES: [f64; 7] = [0.2, 0.5, 0.7, 0.8, 0.87, 0.94, 0.98];

#[test]
fn a_killed_seal_leaves_no_target_or_the_old_one() {
    let workspace = Workspace::with_keys();
    matrices(&workspace.path("big.onnx"), 12, 1024);
    fs::create_dir(workspace.path("out")).unwrap();
    let seal = "seal big.onnx --owner keys/owner.key --host keys/host.pub --cut op -o out/big.ring";
    let whole = 12 * 4 * 1024 * 1024;
    let takes = duration(&workspace, seal);
    let mut caught = 0;
    for old in [None, Some("what was there before")] {
        for share in SHARES {
            let folder = workspace.path("out");
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir(&folder).unwrap();
            if let Some(old) = old {
                fs::write(folder.join("big.ring"), old).unwrap();
            }
            caught += u32::from(stopped(&workspace, seal, takes.mul_f64(share), Signal::KILL));
            let there = fs::read(folder.join("big.ring")).ok();
            let finished = there.as_ref().is_some_and(|bytes| bytes.len() as u64 > whole);
            match old {
                _ if finished => {
                    drop(workspace.run("verify out/big.ring --owner keys/owner.pub").succeeds())
                }
                None => {
                    assert!(there.is_none(), "{share}: something stands under the target's name")
                }
                Some(old) => assert_eq!(there.as_deref(), Some(old.as_bytes()), "{share}"),
            }
        }
    }
    println!("killed {caught} of 14 sealings");
    assert!(caught >= 2, "no sealing was caught in the middle");
    workspace.run(seal).succeeds();
    workspace.run("verify out/big.ring --owner keys/owner.pub").succeeds();
}

/// On Linux a file has no name before it is whole, so that nothing stays of it even after `kill -9`.
#[test]
fn what_is_interrupted_leaves_its_whole_result_or_nothing() {
    let workspace = Workspace::with_keys();
    matrices(&workspace.path("net.onnx"), 8, 1024);
    workspace.run("keygen --out more").succeeds();
    workspace.seal("net.ring", "--cut op");
    fs::create_dir(workspace.path("out")).unwrap();
    let owner = "--owner-key keys/owner.key";
    for (words, target) in [
        (
            "export net.ring --key keys/owner.key --owner keys/owner.pub -o out/m.onnx".to_owned(),
            "m.onnx",
        ),
        (format!("grant net.ring {owner} --host more/host.pub -o out/more.ring"), "more.ring"),
        (
            "seal net.onnx --owner keys/owner.key --host keys/host.pub -o out/new.ring".to_owned(),
            "new.ring",
        ),
    ] {
        let takes = duration(&workspace, &words);
        let whole = fs::metadata(workspace.path("out").join(target)).unwrap().len();
        let mut caught = 0;
        for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::KILL] {
            for share in SHARES {
                let _ = fs::remove_file(workspace.path("out").join(target));
                caught += u32::from(stopped(&workspace, &words, takes.mul_f64(share), signal));
                let left = strangers(&workspace.path("out"), &[target]);
                assert!(left.is_empty(), "{words}, {share}: {left:?}");
                if let Ok(there) = fs::metadata(workspace.path("out").join(target)) {
                    // Wrapped keys have one length.
                    assert_eq!(there.len(), whole, "{words}, {share}");
                }
            }
        }
        println!("interrupted {caught} of 28 times: {words}");
        assert!(caught >= 4, "{words}: never caught in the middle");
        fs::remove_file(workspace.path("out").join(target)).ok();
    }
}

#[test]
fn a_killed_run_loses_no_entry_of_the_ledger() {
    let workspace = Workspace::with_trusted_ring();
    workspace.register("net.ring", "ledger");
    let run =
        "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy --ledger ledger";
    let mut kept = Vec::new();
    for round in 0..6u64 {
        // What this one printed must be there for ever.
        let done =
            workspace.run(&format!("{run} --receipt {round}.receipt --json")).succeeds().json();
        kept.push(done["decision"].clone());
        let before = workspace.acknowledged("ledger");
        let mut child = workspace
            .command(&format!("{run} --repeat 1000000"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut seen = before;
        assert!(until(&mut child, || {
            seen = workspace.acknowledged("ledger");
            seen > before + 3 * round
        }));
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success());
        let report = workspace.run("ledger verify --ledger ledger --json").succeeds().json();
        let size = report["report"]["size"].as_u64().unwrap();
        assert!(size >= seen, "round {round}: {seen} were acknowledged, {size} are there");
        for (i, decision) in kept.iter().enumerate() {
            let words =
                format!("receipt verify {i}.receipt --ring net.ring --ledger ledger --json");
            let found: Value = workspace.run(&words).succeeds().json();
            assert_eq!(found["decision"]["id"], *decision);
        }
    }
}

#[test]
fn a_killed_repair_or_grant_leaves_a_ring_that_is_repairable_or_whole() {
    let workspace = Workspace::with_keys();
    matrices(&workspace.path("net.onnx"), 8, 1024);
    workspace.run("keygen --out more").succeeds();
    workspace.seal("big.ring", "--cut op");
    fs::copy(workspace.path("big.ring"), workspace.path("copy.ring")).unwrap();
    let grant = "grant big.ring --owner-key keys/owner.key --host more/host.pub";
    let takes = duration(&workspace, grant);
    for share in SHARES {
        fs::copy(workspace.path("copy.ring"), workspace.path("big.ring")).unwrap();
        stopped(&workspace, grant, takes.mul_f64(share), Signal::KILL);
        workspace.run("verify big.ring --owner keys/owner.pub").succeeds();
    }
    let at = workspace.ring("big.ring").stored_at(5, 100).unwrap();
    let at = usize::try_from(at).unwrap();
    workspace.flip("big.ring", at);
    let repair = "repair big.ring --from copy.ring --owner keys/owner.pub";
    let takes = duration(&workspace, repair);
    for share in SHARES {
        workspace.flip("big.ring", at);
        stopped(&workspace, repair, takes.mul_f64(share), Signal::KILL);
        workspace.run(repair).succeeds();
        workspace.run("verify big.ring --owner keys/owner.pub").succeeds();
    }
}

/// Wherever it is killed, whoever reads the ledger learns that the file was damaged, and the same command says that it is whole.
#[test]
fn a_killed_repair_leaves_no_whole_file_without_its_alarm_and_no_alarm_unanswered() {
    let workspace = Workspace::with_keys();
    matrices(&workspace.path("net.onnx"), 4, 1024);
    workspace.seal("net.ring", "--cut op");
    fs::copy(workspace.path("net.ring"), workspace.path("copy.ring")).unwrap();
    let at = usize::try_from(workspace.ring("net.ring").stored_at(3, 100).unwrap()).unwrap();
    let fixed = "repair net.ring --from copy.ring --owner keys/owner.pub --key keys/host.key";
    let repair = |ledger: &str| format!("{fixed} --ledger {ledger} --ledger-key {ledger}/log.pub");
    let of_kind = |ledger: &str, kind: &str| {
        let words = format!("ledger show --ledger {ledger} --kind {kind}");
        workspace.run(&words).succeeds().stdout.lines().count()
    };
    workspace.register("net.ring", "timed");
    workspace.flip("net.ring", at);
    let takes = duration(&workspace, &repair("timed"));
    let mut caught = 0;
    for (i, share) in SHARES.into_iter().enumerate() {
        let ledger = format!("ledger-{i}");
        let new = format!("--ledger-key {ledger}/log.pub");
        workspace.run(&format!("ledger init {ledger}")).succeeds();
        workspace.register_with("copy.ring", &ledger, &new);
        workspace.flip("net.ring", at);
        caught +=
            u32::from(stopped(&workspace, &repair(&ledger), takes.mul_f64(share), Signal::KILL));
        let whole = workspace.run("verify net.ring --owner keys/owner.pub").code == Some(0);
        if whole {
            assert_eq!(
                of_kind(&ledger, "alarm"),
                1,
                "{share}: whole, and nobody knows that it was not"
            );
        }
        workspace.run(&repair(&ledger)).succeeds();
        assert_eq!(of_kind(&ledger, "repair"), 1, "{share}: an alarm stays unanswered");
    }
    println!("killed {caught} of 7 repairs");
    assert!(caught >= 1, "no repair was caught in the middle");
}
