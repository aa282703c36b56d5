//! Somebody outside reads and writes the running command's memory: secret pages refuse him, and what he writes elsewhere the
//! next query refuses, naming the byte.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use deepring::{DType, Host, OpeningKey, PartKind, SecretKey, TensorValue};
use deepring_infer::inputs::write_npy;

use crate::synthetic::matrices;
use crate::workspace::{Ran, Workspace};

/// How many bytes tell a tensor from everything else in memory.
const PATTERN: usize = 256;
/// Elements of a row of the large network: a matrix of 4 MiB is more than a block of secret memory holds.
const WIDTH: u64 = 1024;
/// The large network's tensor that is attacked.
const TENSOR: &str = "w1";

/// Another process's memory, as a debugger sees it.
struct Memory {
    file: File,
    pid: u32,
}

impl Memory {
    /// Of a process that is halted, so that it does not end meanwhile.
    fn of(child: &Child) -> Option<Self> {
        let pid = child.id();
        let file = File::options().read(true).write(true).open(format!("/proc/{pid}/mem"));
        if let Err(e) = &file {
            crate::skip::skip(
                "system",
                format_args!("another process's memory is not to be had: {e}"),
            );
        }
        Some(Self { file: file.ok()?, pid })
    }

    /// Mappings whose line in the list says so: from where to where.
    fn mappings(&self, wanted: impl Fn(&str) -> bool) -> Vec<Range<u64>> {
        let maps = fs::read_to_string(format!("/proc/{}/maps", self.pid)).unwrap();
        let range = |line: &str| {
            let (start, end) = line.split_whitespace().next()?.split_once('-')?;
            let number = |text| u64::from_str_radix(text, 16).ok();
            Some(number(start)?..number(end)?)
        };
        maps.lines().filter(|line| wanted(line)).filter_map(range).collect()
    }

    fn secret(&self) -> Vec<Range<u64>> {
        self.mappings(|line| line.contains("secretmem"))
    }

    /// Addresses of all places in readable memory that is no file's which hold these floats.
    fn find(&self, pattern: &[u8]) -> Vec<u64> {
        // Whatever else it is, a copy of floats is aligned as floats are.
        self.find_aligned(pattern, 4)
    }

    fn find_aligned(&self, pattern: &[u8], to: usize) -> Vec<u64> {
        let anonymous = |line: &str| {
            let mut fields = line.split_whitespace().skip(1);
            fields.next().is_some_and(|mode| mode.starts_with('r')) && fields.nth(2) == Some("0")
        };
        let mut found = Vec::new();
        for Range { start, end } in self.mappings(anonymous) {
            let mut bytes = vec![0; (end - start) as usize];
            if self.file.read_exact_at(&mut bytes, start).is_err() {
                continue;
            }
            let places = (0..bytes.len().saturating_sub(pattern.len())).step_by(to);
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

/// A byte of an open block that is worth an attack, and what lies around it.
struct Target {
    block: u32,
    name: String,
    /// The tensor's largest element's highest byte: whoever multiplies with it shows that it changed.
    at: usize,
    /// The bytes from `start` on.
    pattern: Vec<u8>,
    start: usize,
}

fn target(workspace: &Workspace, tensor: &str) -> Target {
    let ring = workspace.ring("net.ring");
    let key = SecretKey::<Host>::read(&workspace.path("keys/host.key")).unwrap();
    let of = |part: &deepring::Part| {
        matches!(part.kind, PartKind::Parameter(_)) && part.parameter_name() == Some(tensor)
    };
    let header = ring.layers().iter().find(|h| h.parts.iter().any(of)).unwrap();
    let mut plain = vec![0; usize::try_from(header.plain_len).unwrap()];
    ring.open_block(header.index, OpeningKey::Host(&key), &mut plain).unwrap();
    let part = header.parts.iter().find(|p| of(p)).unwrap();
    let (from, end) = (part.offset as usize, part.end() as usize);
    let values = plain[from..end].as_chunks().0.iter();
    let sizes = values.map(|b| f32::from_le_bytes(*b).abs()).enumerate();
    let at = from + 4 * sizes.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0 + 3;
    let start = (at - 3).min(end - PATTERN);
    let pattern = plain[start..start + PATTERN].to_vec();
    Target { block: header.index, name: header.name.clone(), at, pattern, start }
}

/// `net.ring` of three matrices, one a block, and a query `x.npy`.
fn large() -> Workspace {
    let workspace = Workspace::with_keys();
    matrices(&workspace.path("net.onnx"), 3, WIDTH);
    let values = (0..WIDTH).flat_map(|i| ((i % 7) as f32 - 3.0).to_le_bytes()).collect();
    let x = TensorValue::new("x", DType::F32, vec![1, WIDTH], values).unwrap();
    write_npy(&workspace.path("x.npy"), &x).unwrap();
    workspace.seal("net.ring", "--cut op");
    workspace
}

/// A session that answers a query again and again, halted after its first answer, so that no check of the opening is left.
fn halted(workspace: &Workspace, check: &str, repeat: u32) -> (String, Child) {
    let ledger = format!("ledger-{check}");
    workspace.register_with("net.ring", &ledger, &format!("--trust {ledger}.json"));
    let words = format!(
        "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy --json \
         --repeat {repeat} --check {check} --ledger {ledger} --threads 1 --trust {ledger}.json"
    );
    let child =
        workspace.command(&words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    (words, halt(workspace, &ledger, child))
}

/// Halts a session on a ledger of its own after its first answer.
fn halt(workspace: &Workspace, ledger: &str, mut child: Child) -> Child {
    let deadline = Instant::now() + Duration::from_secs(60);
    // The first entry registers the ring.
    while workspace.acknowledged(ledger) < 2 {
        assert!(child.try_wait().unwrap().is_none(), "the run ended before it was attacked");
        assert!(Instant::now() < deadline, "nothing was decided");
        std::thread::yield_now();
    }
    signal(&child, "STOP");
    child
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status();
    assert!(status.unwrap().success());
}

fn go_on(words: &str, child: Child) -> Ran {
    signal(&child, "CONT");
    Ran::of(words, child.wait_with_output().unwrap())
}

fn end(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The outcome of a run whose memory was changed on the way, the byte, and how often the weights stood there.
fn attack(workspace: &Workspace, check: &str, repeat: u32) -> Option<(Ran, Target, usize)> {
    let target = target(workspace, TENSOR);
    let (words, child) = halted(workspace, check, repeat);
    let Some(memory) = Memory::of(&child) else {
        end(child);
        return None;
    };
    let places = memory.find(&target.pattern);
    assert!(!places.is_empty(), "the weights are nowhere in memory");
    memory.flip(places[0] + (target.at - target.start) as u64);
    Some((go_on(&words, child), target, places.len()))
}

#[test]
fn small_blocks_in_secret_memory_are_neither_read_nor_written_from_outside() {
    let workspace = Workspace::with_ring();
    let run =
        "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy --json --threads 1";
    let good = workspace.run(run).succeeds().json();
    let (words, child) = halted(&workspace, "run", 200);
    let Some(memory) = Memory::of(&child) else { return end(child) };
    let secret = memory.secret();
    if secret.is_empty() {
        crate::skip::skip("system", "this system has no secret memory");
        return end(child);
    }
    let all: u64 = workspace.ring("net.ring").layers().iter().map(|h| h.plain_len).sum();
    assert!(secret.iter().map(|s| s.end - s.start).sum::<u64>() >= all, "a block is elsewhere");
    for range in secret {
        memory.file.read_exact_at(&mut [0; 64], range.start).unwrap_err();
        memory.file.write_all_at(&[0x40; 64], range.start).unwrap_err();
    }
    assert!(
        memory.find(&target(&workspace, "fc1.weight").pattern).is_empty(),
        "a copy of the weights"
    );
    let ran = go_on(&words, child).succeeds().json();
    assert_eq!((&ran["verdict"], &ran["outputs"]), (&"intact".into(), &good["outputs"]));
}

/// As root: pages that are only read-only do not stop a debugger, and the check does.
#[test]
fn a_byte_changed_from_outside_during_a_run_ends_it_naming_block_tensor_and_byte() {
    let workspace = large();
    let Some((ran, target, copies)) = attack(&workspace, "run", 1_000_000) else { return };
    println!("the process holds the weights {copies} time(s)");
    assert_eq!(copies, 1, "a copy that no check covers");
    let (block, at) = (target.block, target.at);
    let answer = ran.exits(3).says(&format!("block {block} ({})", target.name)).json();
    assert_eq!(answer["verdict"], "tampered");
    assert_eq!(answer["decision"], serde_json::Value::Null);
    let finding = &answer["findings"][0];
    assert_eq!((&finding["block"], &finding["name"]), (&block.into(), &target.name.into()));
    assert_eq!((&finding["part"], &finding["tensor"]), (&"body".into(), &TENSOR.into()));
    assert_eq!(finding["bytes"], serde_json::json!([at, at + 1]));
}

#[test]
fn an_alarm_about_changed_memory_is_on_the_ledger() {
    let workspace = large();
    let Some((ran, target, _)) = attack(&workspace, "run", 1_000_000) else { return };
    ran.exits(3);
    let shown = workspace.run("ledger show --ledger ledger-run").succeeds().stdout;
    let last = shown.lines().last().unwrap();
    let alarm = format!("ALARM: block {} ({}), body, tensor {TENSOR}", target.block, target.name);
    assert!(last.contains(&alarm), "{last}");
    workspace.run("ledger verify --ledger ledger-run").succeeds();
    // The ring on disk is as good as before; but the host said that its copy is not, and what lifts that is its repair.
    let run = "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy";
    let run = format!("{run} --ledger ledger-run");
    workspace.run(&run).exits(3).says("is quarantined by entry");
    let repair = "repair net.ring --from net.ring --owner keys/owner.pub --ledger ledger-run";
    let repaired = workspace.run(&format!("{repair} --key keys/host.key")).succeeds();
    assert!(repaired.stdout.contains("nothing to repair"), "{}", repaired.stdout);
    workspace.run(&run).succeeds();
}

/// Shows that the byte above was one that the engine multiplies with.
#[test]
fn without_checks_the_same_byte_changes_the_answer() {
    let workspace = large();
    let run =
        "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy --json --threads 1";
    let good = workspace.run(run).succeeds().json();
    for check in ["none", "load"] {
        let Some((ran, ..)) = attack(&workspace, check, 300) else { return };
        let changed = ran.succeeds().json();
        assert_eq!(changed["verdict"], "intact", "nothing was asked to look");
        assert_ne!(changed["outputs"], good["outputs"]);
    }
}

#[test]
fn a_passphrase_that_a_descriptor_gave_is_nowhere_in_memory_during_a_run() {
    const PHRASE: &[u8] = b"every good boy deserves favour and fudge";
    let workspace = Workspace::with_ring();
    fs::write(workspace.path("phrase"), PHRASE).unwrap();
    let phrase = || File::open(workspace.path("phrase")).unwrap();
    let mut encrypt = workspace.command("key passphrase keys/host.key --new-passphrase-fd 0");
    assert!(encrypt.stdin(phrase()).status().unwrap().success());
    for descriptor in [0, 3] {
        let ledger = format!("ledger-{descriptor}");
        workspace.register_with("net.ring", &ledger, &format!("--trust {ledger}.json"));
        let script = format!(
            "exec {} run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy --repeat 100000 \
             --ledger {ledger} --threads 1 --trust {ledger}.json --passphrase-fd {descriptor} {descriptor}<phrase",
            env!("CARGO_BIN_EXE_deepring")
        );
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).current_dir(workspace.path(""));
        workspace.surround(&mut shell);
        let quiet = shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = halt(&workspace, &ledger, quiet.spawn().unwrap());
        let Some(memory) = Memory::of(&child) else { return end(child) };
        let told = workspace.path("trust.json");
        let control = memory.find_aligned(told.as_os_str().as_encoded_bytes(), 1);
        let found = memory.find_aligned(&PHRASE[8..24], 1);
        end(child);
        assert!(!control.is_empty(), "nothing is found at all");
        assert_eq!(found.len(), 0, "descriptor {descriptor}");
    }
}
