//! `kill -9` at any moment: what was there stays, what was acknowledged stays.
#![cfg(unix)]

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::desk::Desk;
use crate::synthetic::matrices;

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

/// Length of the file that a sealing writes beside its target, if there is one.
fn partial(folder: &Path) -> Option<u64> {
    fs::read_dir(folder).unwrap().filter_map(Result::ok).find_map(|f| {
        let name = f.file_name().into_string().ok()?;
        name.contains(".partial-").then(|| f.metadata().ok().map(|m| m.len()))?
    })
}

#[test]
fn a_killed_seal_leaves_no_target_or_the_old_one() {
    let desk = Desk::with_keys();
    matrices(&desk.path("big.onnx"), 12, 1024);
    let seal = "seal big.onnx --owner keys/owner.key --host keys/host.pub --cut op -o out/big.ring";
    let whole = 12 * 4 * 1024 * 1024;
    let mut caught = 0;
    for old in [None, Some("what was there before")] {
        for share in [0, 1, 20, 50, 80, 99] {
            let folder = desk.path("out");
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir(&folder).unwrap();
            if let Some(old) = old {
                fs::write(folder.join("big.ring"), old).unwrap();
            }
            let mut child =
                desk.command(seal).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            let met =
                until(&mut child, || partial(&folder).is_some_and(|n| n >= whole * share / 100));
            child.kill().unwrap();
            let ended = child.wait().unwrap();
            if ended.success() {
                // It was quicker than we were.
                desk.run("verify out/big.ring --owner keys/owner.pub").succeeds();
                continue;
            }
            caught += u32::from(met);
            let there = fs::read(folder.join("big.ring")).ok();
            let finished = there.as_ref().is_some_and(|bytes| bytes.len() as u64 > whole);
            match old {
                _ if finished => {
                    drop(desk.run("verify out/big.ring --owner keys/owner.pub").succeeds())
                }
                None => {
                    assert!(there.is_none(), "{share} %: something stands under the target's name")
                }
                Some(old) => assert_eq!(there.as_deref(), Some(old.as_bytes()), "{share} %"),
            }
        }
    }
    println!("killed {caught} of 12 sealings while they wrote");
    assert!(caught >= 2, "no sealing was caught in the middle");
    desk.run(seal).succeeds();
    desk.run("verify out/big.ring --owner keys/owner.pub").succeeds();
}

#[test]
fn a_killed_run_loses_no_entry_of_the_ledger() {
    let desk = Desk::with_trusted_ring();
    desk.run("ledger init ledger").succeeds();
    let run =
        "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy --ledger ledger";
    let mut kept = Vec::new();
    for round in 0..6u64 {
        // What this one printed must be there for ever.
        let done = desk.run(&format!("{run} --receipt {round}.receipt --json")).succeeds().json();
        kept.push(done["decision"].clone());
        let before = desk.acknowledged("ledger");
        let mut child = desk
            .command(&format!("{run} --repeat 1000000"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut seen = before;
        assert!(until(&mut child, || {
            seen = desk.acknowledged("ledger");
            seen > before + 3 * round
        }));
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success());
        let report = desk.run("ledger verify --ledger ledger --json").succeeds().json();
        let size = report["report"]["size"].as_u64().unwrap();
        assert!(size >= seen, "round {round}: {seen} were acknowledged, {size} are there");
        for (i, decision) in kept.iter().enumerate() {
            let words =
                format!("receipt verify {i}.receipt --ring net.ring --ledger ledger --json");
            let found: Value = desk.run(&words).succeeds().json();
            assert_eq!(found["decision"]["id"], *decision);
        }
    }
}

#[test]
fn a_killed_repair_or_grant_leaves_a_ring_that_is_repairable_or_whole() {
    let desk = Desk::with_keys();
    matrices(&desk.path("net.onnx"), 8, 1024);
    desk.run("keygen --out more").succeeds();
    desk.seal("big.ring", "--cut op");
    fs::copy(desk.path("big.ring"), desk.path("copy.ring")).unwrap();
    let grant = "grant big.ring --owner-key keys/owner.key --host more/host.pub";
    for _ in 0..4 {
        let mut child =
            desk.command(grant).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        until(&mut child, || partial(&desk.path("")).is_some());
        child.kill().unwrap();
        child.wait().unwrap();
        desk.run("verify big.ring --owner keys/owner.pub").succeeds();
        for file in desk.files().iter().filter(|f| f.contains(".partial-")) {
            fs::remove_file(desk.path(file)).unwrap();
        }
        fs::copy(desk.path("copy.ring"), desk.path("big.ring")).unwrap();
    }
    let at = desk.ring("big.ring").stored_at(5, 100).unwrap();
    desk.flip("big.ring", usize::try_from(at).unwrap());
    let repair = "repair big.ring --from copy.ring --owner keys/owner.pub";
    let mut child =
        desk.command(repair).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until(&mut child, || partial(&desk.path("")).is_some());
    child.kill().unwrap();
    child.wait().unwrap();
    desk.run(repair).succeeds();
    desk.run("verify big.ring --owner keys/owner.pub").succeeds();
}
