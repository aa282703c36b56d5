//! Four nodes as processes: real sockets, real disks, and killing them.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use deepring::deal::Copies;
use deepring::receipt::{Require, tensors_digest};
use deepring::{Digest, Host, SecretKey, Trust, UnverifiedRing};
use deepring_infer::CutPolicy;
use deepring_ledger::certificate::Expected;
use deepring_ledger::{
    Certificate, Checkpoint, Entry, Event, Ledger, LedgerOptions, LogTrust, ValidatorSet,
};
use deepring_node::cluster::{
    LocalPlan, NetworkPlan, NodeState, Running, init, new_origin, read_state,
};
use deepring_node::daemon::NodeConfig;
use deepring_testkit::zoo::{Sealed, floats, images, network, plain};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// How long anything may take before a test gives up; nodes are compiled without much optimisation here.
const LONG: Duration = Duration::from_secs(120);

/// Each network of this process has ports of its own, and two processes hardly ever the same.
fn ports() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Below those that a system gives to connections by itself.
    let process = u16::try_from(std::process::id() % 120).unwrap();
    20_000 + process * 100 + NEXT.fetch_add(16, Ordering::Relaxed)
}

struct Cluster {
    _place: tempfile::TempDir,
    folder: PathBuf,
    running: Option<Running>,
}

impl Cluster {
    fn new() -> Self {
        let sealed = Sealed::new(&network("fashion-lenet5"), CutPolicy::Op);
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("net");
        let origin = new_origin();
        let plan = NetworkPlan {
            ring: &sealed.path,
            owner: &sealed.owner,
            copies: Copies::Three,
            eager: false,
            origin: &origin,
            arbiter: None,
        };
        init(&plan, LocalPlan { nodes: 4, first_port: ports() }, &folder).unwrap();
        Self { _place: place, folder, running: None }
    }

    fn start(&mut self) {
        let program = Path::new(env!("CARGO_BIN_EXE_deepringd"));
        self.running = Some(Running::start(program, &self.folder).unwrap());
    }

    fn node(&self, n: usize) -> PathBuf {
        self.folder.join(format!("node-{n}"))
    }

    fn states(&mut self) -> Vec<Option<NodeState>> {
        let looked = self.running.as_mut().unwrap().look().unwrap();
        looked.into_iter().map(|node| node.state.ok().flatten()).collect()
    }

    /// Waits until something is so of all nodes' states.
    fn until(&mut self, what: &str, so: impl Fn(&[Option<NodeState>]) -> bool) {
        let began = Instant::now();
        while !so(&self.states()) {
            if began.elapsed() > LONG {
                let logs: Vec<String> = (1..=4)
                    .filter_map(|n| fs::read_to_string(self.node(n).join("node.log")).ok())
                    .collect();
                panic!(
                    "waited in vain until {what}: {:?}\n{}",
                    self.states(),
                    logs.join("\n----\n")
                );
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn certified(&mut self, size: u64, nodes: usize) {
        self.until("a quorum cosigned the entries", |states| {
            let done = |s: &&NodeState| s.certified >= size && s.caught_up;
            states.iter().flatten().filter(done).count() >= nodes
        });
    }

    fn kill(&self, n: usize) {
        let state = read_state(&self.node(n)).unwrap().unwrap();
        let pid = Pid::from_raw(i32::try_from(state.pid).unwrap()).unwrap();
        kill_process(pid, Signal::KILL).unwrap();
    }

    fn stop(&mut self) {
        drop(self.running.take());
    }

    /// Entries of each ledger, and the body of its checkpoint, which verifies by the set alone.
    fn rows(&self) -> Vec<(Vec<Vec<u8>>, String)> {
        let set = fs::read(self.folder.join("validators.set")).unwrap();
        let set = ValidatorSet::decode_signed(&set).unwrap();
        let rows = (1..=4).map(|n| {
            let ledger = Ledger::open_read(self.node(n).join("data/ledger"), None).unwrap();
            assert!(ledger.verify().unwrap().is_intact(), "{n}");
            let kept = Checkpoint::verify_by_set(ledger.checkpoint().as_str(), &set).unwrap();
            let entries = ledger.iter(0..u64::MAX).map(|row| row.unwrap().1.as_bytes().to_vec());
            (entries.collect(), kept.body().to_string())
        });
        rows.collect()
    }
}

#[test]
fn four_processes_keep_one_ledger_also_when_they_are_killed_one_by_one_and_all_at_once() {
    let mut cluster = Cluster::new();
    cluster.start();
    cluster.certified(2, 4);
    // The others go on without one.
    cluster.kill(4);
    let before = cluster.states().iter().flatten().map(|s| s.height).max().unwrap();
    cluster.until("three go on", |states| {
        states.iter().flatten().filter(|s| s.height > before + 2).count() >= 3
    });
    for n in 1..4 {
        cluster.kill(n);
    }
    cluster.stop();
    // All come back where they were.
    cluster.start();
    cluster.until("all are beyond what was before", |states| {
        states.iter().flatten().filter(|s| s.height > before + 2).count() == 4
    });
    cluster.certified(2, 4);
    cluster.stop();
    let rows = cluster.rows();
    assert_eq!(rows[0].0.len(), 2);
    assert!(rows.windows(2).all(|pair| pair[0] == pair[1]));
    // Told to stop they end by themselves, and nothing says that they run.
    assert!((1..=4).all(|n| read_state(&cluster.node(n)).unwrap().is_none()));
}

/// What a node answers to a question about a picture, with this nonce.
fn decided_by(gateway: SocketAddr, nonce: &str) -> Result<Value, String> {
    let x = images(0, 1);
    let data: Vec<f32> = floats(&x);
    let input = json!({ "name": x.name(), "dtype": "f32", "dims": x.dims(), "data": data });
    let body = json!({ "nonce": nonce, "inputs": [input] }).to_string();
    let mut stream = TcpStream::connect(gateway).map_err(|e| e.to_string())?;
    stream.set_read_timeout(Some(LONG)).unwrap();
    let head = format!(
        "POST /v1/decisions HTTP/1.1\r\nHost: node\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).map_err(|e| e.to_string())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(|e| e.to_string())?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
    match head.starts_with("HTTP/1.1 200 ") {
        true => serde_json::from_str(body).map_err(|e| e.to_string()),
        false => Err(answer),
    }
}

#[test]
fn an_answer_comes_with_a_certificate_that_verifies_offline_also_after_a_node_was_killed() {
    let mut cluster = Cluster::new();
    cluster.start();
    cluster.certified(2, 4);
    let set = fs::read(cluster.folder.join("validators.set")).unwrap();
    let set = ValidatorSet::decode_signed(&set).unwrap();
    let config = |n: usize| NodeConfig::read(&cluster.node(n).join("deepringd.toml")).unwrap();
    let gateways: Vec<SocketAddr> =
        (1..=3).map(|n| config(n).file.gateway.unwrap().listen).collect();
    let owner = config(1).owner;
    let mut seen = 0;
    let mut verify = |answer: &Value, nonce: &str| {
        let bytes = STANDARD.decode(answer["certificate"].as_str().unwrap()).unwrap();
        let nonce = Digest(hex(nonce));
        let log = LogTrust::Validators(&set);
        let expected = Expected { owner, log, require: Require::Majority, nonce: Some(nonce) };
        let shown = Certificate::decode(&bytes).unwrap().verify(&expected).unwrap();
        let decision = shown.decision();
        let input = [images(0, 1)];
        assert_eq!(decision.items()[0].inputs, tensors_digest(decision.salt().unwrap(), &input));
        let numbers = answer["outputs"][0][0]["data"].as_array().unwrap();
        let numbers: Vec<f32> = numbers.iter().map(|n| n.as_f64().unwrap() as f32).collect();
        let plain = floats(&plain(&network("fashion-lenet5"), &images(0, 1)));
        assert!(numbers.iter().zip(&plain).all(|(a, b)| (a - b).abs() < 1e-4), "{numbers:?}");
        seen += 1;
    };
    for (n, gateway) in gateways.iter().enumerate() {
        let nonce = format!("{:02x}", n + 1).repeat(32);
        verify(&decided_by(*gateway, &nonce).unwrap(), &nonce);
    }
    // What it dies with, a quorum has cosigned: else its ledger shows a checkpoint that only it signed.
    cluster.certified(5, 4);
    // The second node holds parts of legs 1, 2 and 4. Without it the others answer, and then with it again.
    cluster.kill(2);
    for n in 10..13 {
        let nonce = format!("{n:02x}").repeat(32);
        verify(&decided_by(gateways[0], &nonce).unwrap(), &nonce);
    }
    assert_eq!(seen, 6);
    cluster.certified(8, 3);
    cluster.stop();
    let rows = cluster.rows();
    // What was answered is in the ledgers of those that were up: two entries, and one for each answer.
    for n in [0, 2, 3] {
        assert_eq!(rows[n].0.len(), 8);
        assert_eq!(rows[n], rows[0]);
    }
    assert_eq!(rows[1].0[..], rows[0].0[..rows[1].0.len()]);
    // A host that signed, and whose journal of it is gone, does not start by itself.
    fs::remove_file(cluster.node(1).join("data/signed-receipts")).unwrap();
    let (code, said) = run_alone(&cluster.node(1));
    assert!(code == Some(1) && said.contains("--forget-signed-receipts"), "{said}");
}

/// Runs a node that is to end by itself: its exit code, and what it said.
fn run_alone(node: &Path) -> (Option<i32>, String) {
    let mut run = std::process::Command::new(env!("CARGO_BIN_EXE_deepringd"));
    let ran = run.arg("run").arg(node.join("deepringd.toml")).output().unwrap();
    (ran.status.code(), String::from_utf8(ran.stderr).unwrap())
}

fn hex(text: &str) -> [u8; 32] {
    let byte = |at: usize| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap();
    std::array::from_fn(byte)
}

#[test]
fn a_node_of_which_the_file_is_damaged_while_it_runs_repairs_it_and_answers_again() {
    let mut cluster = Cluster::new();
    let hurt = cluster.node(2);
    let (config, ring) = (hurt.join("deepringd.toml"), hurt.join("model.ring"));
    let text = fs::read_to_string(&config).unwrap();
    let often = text.replace("audit_seconds = 60", "audit_seconds = 1");
    assert_ne!(text, often);
    fs::write(&config, often).unwrap();
    let checked = NodeConfig::read(&config).unwrap();
    let me = SecretKey::<Host>::read(&checked.file.host.unwrap().key).unwrap().public();
    cluster.start();
    cluster.certified(2, 4);
    let sealed = fs::read(&ring).unwrap();
    let trust = Trust::owner(checked.owner);
    let opened = UnverifiedRing::open(&ring).unwrap().authenticate(&trust).unwrap();
    let is_mine = |header: &&deepring::Header| header.hosts().any(|host| host == me);
    let block = opened.layers().iter().find(is_mine).unwrap().index;
    let at = opened.stored_at(block, 7).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&ring).unwrap();
    file.write_all_at(&[sealed[usize::try_from(at).unwrap()] ^ 1], at).unwrap();
    assert_ne!(fs::read(&ring).unwrap(), sealed);
    // The ledger of another node says both, in this order.
    let said = |ledger: &Path| {
        let ledger = Ledger::open_read(ledger, None).unwrap();
        let about = |entry: &Entry| match entry.event() {
            Event::Alarm { accused, block: Some(b), .. } => {
                (*accused == me && *b == block).then_some("alarm")
            }
            Event::Repair { blocks, audit, .. } => {
                assert!(audit.countersignature.as_ref().is_some_and(|by| by.host != me));
                (blocks[..] == [block]).then_some("repair")
            }
            _ => None,
        };
        ledger.iter(0..u64::MAX).filter_map(|row| about(&row.unwrap().1)).collect::<Vec<_>>()
    };
    let ledger = cluster.node(1).join("data/ledger");
    cluster.until("alarm and repair are recorded", |_| said(&ledger) == ["alarm", "repair"]);
    assert_eq!(fs::read(&ring).unwrap(), sealed);
    cluster
        .until("its blocks are in use", |states| states[1].as_ref().is_some_and(|s| s.blocks_open));
    let gateway = NodeConfig::read(&cluster.node(1).join("deepringd.toml")).unwrap();
    let answer = decided_by(gateway.file.gateway.unwrap().listen, &"ab".repeat(32)).unwrap();
    let numbers = answer["outputs"][0][0]["data"].as_array().unwrap();
    let plain = floats(&plain(&network("fashion-lenet5"), &images(0, 1)));
    assert_eq!(numbers.len(), plain.len());
    let near = |(a, b): (&Value, &f32)| (a.as_f64().unwrap() as f32 - b).abs() < 1e-4;
    assert!(numbers.iter().zip(&plain).all(near), "{numbers:?}");
    cluster.certified(5, 4);
    cluster.stop();
    let rows = cluster.rows();
    assert!(rows.iter().all(|row| row.0 == rows[0].0));
}

#[test]
fn a_node_whose_disk_was_wiped_follows_and_votes_no_more() {
    let mut cluster = Cluster::new();
    cluster.start();
    cluster.certified(2, 4);
    cluster.stop();
    fs::remove_dir_all(cluster.node(2).join("data")).unwrap();
    cluster.start();
    cluster.certified(2, 4);
    let votes: Vec<bool> = cluster.states().iter().flatten().map(|s| s.votes).collect();
    assert_eq!(votes, [true, false, true, true]);
    // With one more gone there is no quorum of those that vote, and nothing goes on.
    cluster.kill(3);
    std::thread::sleep(Duration::from_secs(2));
    let before: Vec<u64> = cluster.states().iter().flatten().map(|s| s.height).collect();
    std::thread::sleep(Duration::from_secs(5));
    let after: Vec<u64> = cluster.states().iter().flatten().map(|s| s.height).collect();
    assert_eq!(before, after);
    cluster.stop();
    let rows = cluster.rows();
    assert!(rows.iter().all(|row| row.0 == rows[0].0));
}

#[test]
fn a_node_says_why_it_does_not_start() {
    let cluster = Cluster::new();
    let config = cluster.node(1).join("deepringd.toml");
    let said = |text: &str| {
        fs::write(&config, text).unwrap();
        run_alone(&cluster.node(1))
    };
    let text = fs::read_to_string(&config).unwrap();
    // Its name alone is enough in the file's folder.
    let mut check = std::process::Command::new(env!("CARGO_BIN_EXE_deepringd"));
    check.current_dir(cluster.node(1)).args(["check", "deepringd.toml"]);
    let checked = check.output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let (code, words) = said(&text.replace("[validator]", "[validater]"));
    assert!(code == Some(2) && words.contains("validater"), "{words}");
    let (code, words) = said(&text.replace("ring = \"model.ring\"", "ring = \"none.ring\""));
    assert!(code == Some(1) && words.contains("none.ring"), "{words}");
    let others = fs::read_to_string(cluster.node(2).join("node.pub")).unwrap();
    let (code, words) = said(&text.replace(others.trim(), &key_of_nobody()));
    assert!(code == Some(1) && words.contains("is no peer"), "{words}");
    // A ring of which a byte was changed is tampering.
    let ring = cluster.node(1).join("model.ring");
    let mut bytes = fs::read(&ring).unwrap();
    // In every block: a node opens its own, and no others.
    let (from, to) = (bytes.len() / 10, bytes.len() * 9 / 10);
    (from..to).step_by(1000).for_each(|at| bytes[at] ^= 1);
    fs::write(&ring, &bytes).unwrap();
    let (code, words) = said(&text);
    assert_eq!(code, Some(3), "{words}");
}

#[test]
fn a_node_whose_engine_cannot_read_its_storage_says_which_and_ends() {
    let cluster = Cluster::new();
    let node = cluster.node(1);
    let engine = node.join("data/engine");
    fs::create_dir_all(&engine).unwrap();
    // Begun, as far as the node can see, and then damaged: a file where the engine has a folder.
    for name in [engine.join("storage-name"), node.join("node.key.voted")] {
        fs::write(name, "0\n").unwrap();
    }
    fs::write(engine.join("agreement-votes-0"), b"no folder").unwrap();
    let (code, said) = run_alone(&node);
    assert_eq!(code, Some(6), "{said}");
    let last = said.lines().last().unwrap();
    assert!(last.starts_with("error: the node gave up: ") && last.contains("engine"), "{last}");
    assert!(read_state(&node).unwrap().is_none());
}

#[test]
fn a_record_to_begin_with_is_refused_beside_what_began_without_it_and_is_never_taken_for_none() {
    let cluster = Cluster::new();
    let node = cluster.node(1);
    let data = node.join("data");
    let (record, ledger, engine) =
        (data.join("begin-from"), data.join("ledger"), data.join("engine"));
    fs::create_dir_all(&engine).unwrap();
    let refused = |word: &str| {
        let (code, said) = run_alone(&node);
        let last = said.lines().last().unwrap();
        assert!(code == Some(1) && last.contains("begin-from") && last.contains(word), "{said}");
    };
    // A link that leads nowhere is no absence.
    std::os::unix::fs::symlink("nowhere", &record).unwrap();
    refused("no copy of a ledger");
    let set = fs::read(cluster.folder.join("validators.set")).unwrap();
    let origin = ValidatorSet::decode_signed(&set).unwrap().origin;
    drop(LedgerOptions::new().origin(&origin).open_or_create(&ledger).unwrap());
    refused("No such file");
    fs::remove_file(&record).unwrap();
    fs::write(&record, b"a record").unwrap();
    fs::write(engine.join("storage-name"), "0\n").unwrap();
    refused("began without it");
    assert!(read_state(&node).unwrap().is_none());
}

fn key_of_nobody() -> String {
    SecretKey::<deepring::keys::Node>::generate().unwrap().public().to_string()
}
