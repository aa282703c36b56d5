//! Somebody outside writes into the running command's memory: the next query refuses and names the byte.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use deepring::{Host, OpeningKey, PartKind, SecretKey};

use crate::desk::{Desk, Ran};

/// The block that is attacked, and its tensor.
const BLOCK: u32 = 3;
const TENSOR: &str = "fc1.weight";
/// How many bytes tell the tensor from everything else in memory.
const PATTERN: usize = 256;

/// Another process's memory, as a debugger sees it.
struct Memory {
    file: File,
    pid: u32,
}

impl Memory {
    fn of(child: &Child) -> Option<Self> {
        let pid = child.id();
        let file = File::options().read(true).write(true).open(format!("/proc/{pid}/mem"));
        if let Err(e) = &file {
            println!("skipped: another process's memory is not to be had: {e}");
        }
        Some(Self { file: file.ok()?, pid })
    }

    /// Addresses of all places in private writable memory that hold these bytes.
    fn find(&self, pattern: &[u8]) -> Vec<u64> {
        let maps = fs::read_to_string(format!("/proc/{}/maps", self.pid)).unwrap_or_default();
        let mut found = Vec::new();
        for line in maps.lines() {
            let mut fields = line.split_whitespace();
            let (Some(range), Some(mode)) = (fields.next(), fields.next()) else { continue };
            let inode = fields.nth(2);
            if !mode.starts_with("rw") || inode != Some("0") {
                continue;
            }
            let ends: Vec<u64> =
                range.split('-').filter_map(|n| u64::from_str_radix(n, 16).ok()).collect();
            let &[start, end] = ends.as_slice() else { continue };
            let mut bytes = vec![0; (end - start) as usize];
            if self.file.read_exact_at(&mut bytes, start).is_err() {
                continue;
            }
            // Whatever else it is, a copy of floats is aligned as floats are.
            let places = (0..bytes.len().saturating_sub(pattern.len())).step_by(4);
            found.extend(
                places.filter(|i| bytes[*i..].starts_with(pattern)).map(|i| start + i as u64),
            );
        }
        found
    }

    fn flip(&self, address: u64) {
        let mut byte = [0];
        self.file.read_exact_at(&mut byte, address).unwrap();
        self.file.write_all_at(&[byte[0] ^ 0x40], address).unwrap();
    }
}

/// A byte of the open block that is worth an attack, and what lies around it.
struct Target {
    /// The tensor's largest element's highest byte: whoever multiplies with it shows that it changed.
    at: usize,
    /// The bytes from `start` on.
    pattern: Vec<u8>,
    start: usize,
}

fn target(desk: &Desk) -> Target {
    let ring = desk.ring("net.ring");
    let key = SecretKey::<Host>::read(&desk.path("keys/host.key")).unwrap();
    let header = &ring.headers()[BLOCK as usize];
    let mut plain = vec![0; usize::try_from(header.plain_len).unwrap()];
    ring.open_block(BLOCK, OpeningKey::Host(&key), &mut plain).unwrap();
    let part = header.parts.iter().find(|p| matches!(p.kind, PartKind::Parameter(_))).unwrap();
    assert_eq!(part.parameter_name(), Some(TENSOR));
    let values = plain[..part.end() as usize].as_chunks().0.iter();
    let sizes = values.map(|b| f32::from_le_bytes(*b).abs()).enumerate();
    let at = 4 * sizes.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0 + 3;
    let start = (at - 3).min(part.end() as usize - PATTERN);
    Target { at, pattern: plain[start..start + PATTERN].to_vec(), start }
}

/// Looks until the session has answered its first query, so that no check of the opening is left.
fn wait_for_a_decision(desk: &Desk, ledger: &str, child: &mut Child) {
    let deadline = Instant::now() + Duration::from_secs(60);
    // The first entry registers the ring.
    while desk.acknowledged(ledger) < 2 {
        assert!(child.try_wait().unwrap().is_none(), "the run ended before it was attacked");
        assert!(Instant::now() < deadline, "nothing was decided");
        std::thread::yield_now();
    }
}

/// What a run did whose memory was changed on the way, the byte, and how often the weights stood there.
fn attack(desk: &Desk, check: &str, repeat: u32) -> Option<(Ran, usize, usize)> {
    let target = target(desk);
    let ledger = format!("ledger-{check}");
    let words = format!(
        "run net.ring --owner keys/owner.pub --key keys/host.key --input batch.npy --json \
         --repeat {repeat} --check {check} --ledger {ledger} --new-ledger --threads 1 --trust {ledger}.json"
    );
    let mut child =
        desk.command(&words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let Some(memory) = Memory::of(&child) else {
        child.kill().unwrap();
        child.wait().unwrap();
        return None;
    };
    wait_for_a_decision(desk, &ledger, &mut child);
    let places = memory.find(&target.pattern);
    assert!(!places.is_empty(), "the weights are nowhere in memory");
    memory.flip(places[0] + (target.at - target.start) as u64);
    Some((Ran::of(&words, child.wait_with_output().unwrap()), target.at, places.len()))
}

#[test]
fn a_byte_changed_from_outside_during_a_run_ends_it_naming_block_tensor_and_byte() {
    let desk = Desk::with_ring();
    let Some((ran, at, copies)) = attack(&desk, "run", 1_000_000) else { return };
    println!("the process holds the weights {copies} time(s)");
    assert_eq!(copies, 1, "a copy that no check covers");
    let answer = ran.exits(3).says("block 3 (fc1)").json();
    assert_eq!(answer["verdict"], "tampered");
    assert_eq!(answer["decision"], serde_json::Value::Null);
    let finding = &answer["findings"][0];
    assert_eq!((&finding["block"], &finding["name"]), (&BLOCK.into(), &"fc1".into()));
    assert_eq!((&finding["part"], &finding["tensor"]), (&"body".into(), &TENSOR.into()));
    assert_eq!(finding["bytes"], serde_json::json!([at, at + 1]));
}

#[test]
fn an_alarm_about_changed_memory_is_on_the_ledger() {
    let desk = Desk::with_ring();
    let Some((ran, ..)) = attack(&desk, "run", 1_000_000) else { return };
    ran.exits(3);
    let shown = desk.run("ledger show --ledger ledger-run").succeeds().stdout;
    let last = shown.lines().last().unwrap();
    assert!(last.contains("ALARM: block 3 (fc1), body, tensor fc1.weight"), "{last}");
    desk.run("ledger verify --ledger ledger-run").succeeds();
    // The ring on disk is as good as before, and the next run says that there was an alarm.
    let run = "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy";
    desk.run(&format!("{run} --ledger ledger-run")).succeeds().says("raised an alarm before");
}

/// Shows that the byte above was one that the engine multiplies with.
#[test]
fn without_checks_the_same_byte_changes_the_answer() {
    let desk = Desk::with_ring();
    let run = "run net.ring --owner keys/owner.pub --key keys/host.key --input batch.npy --json --threads 1";
    let good = desk.run(run).succeeds().json();
    for check in ["none", "load"] {
        let Some((ran, ..)) = attack(&desk, check, 300) else { return };
        let changed = ran.succeeds().json();
        assert_eq!(changed["verdict"], "intact", "nothing was asked to look");
        assert_ne!(changed["outputs"], good["outputs"]);
    }
}
