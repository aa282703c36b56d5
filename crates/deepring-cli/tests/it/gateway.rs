//! A gateway on the loopback interface, whose hosts, ledger and nodes are commands and files of a workspace; and what it may do
//! wrong.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use base64::prelude::{BASE64_STANDARD, Engine};
use deepring::keys::Node;
use deepring::{SecretKey, TensorValue};
use deepring_infer::inputs::{JsonTensor, TensorText, read_npy, write_npy};
use deepring_ledger::Ledger;
use deepring_ledger::witness::WitnessKey;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::workspace::Workspace;

const NODES: [&str; 4] = ["n1", "n2", "n3", "n4"];

/// A fault of a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    Nothing,
    /// Answers to another nonce than the one that was sent.
    Nonce,
    /// Answers about another input.
    Input,
    /// Gives out other outputs than were decided.
    Output,
    /// Gives out what two of four nodes cosigned.
    Cosignatures,
    /// Leaves out the salt, so that nothing can be compared.
    Salt,
    /// Calls the input otherwise.
    Name,
    /// Answers one query more than was asked.
    Query,
    /// Is damaged in one byte of the certificate.
    Byte,
}

/// A request, as far as tests ask about it.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) line: String,
    pub(crate) headers: Vec<String>,
    pub(crate) body: Vec<u8>,
}

/// The address of a server that ends with the test's process.
pub(crate) fn serve<S: Read + Write>(
    scheme: &str,
    wrap: impl Fn(TcpStream) -> S + Send + 'static,
    answer: impl Fn(&Received, &mut S) + Send + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("{scheme}://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = wrap(stream);
            if let Some(asked) = request(&mut stream) {
                answer(&asked, &mut stream);
                let _ = stream.flush();
            }
        }
    });
    url
}

fn request(stream: &mut impl Read) -> Option<Received> {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let length =
        |line: &String| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok();
    let mut body = vec![0; lines.iter().find_map(length).unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    let line = lines.remove(0);
    Some(Received { line, headers: lines, body })
}

/// Writes a response, or as much of one as its reader takes.
pub(crate) fn respond(stream: &mut impl Write, status: u16, kind: &str, body: &[u8]) {
    let location = "Location: http://127.0.0.1:1/elsewhere\r\n";
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\n{location}Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
}

#[derive(Deserialize)]
struct Question<'a> {
    nonce: String,
    #[serde(borrow)]
    batch: Vec<Vec<TensorText<'a>>>,
}

/// A ring that is dealt to three hosts, a ledger that four nodes keep, and the set of these.
pub(crate) fn site() -> Workspace {
    let workspace = Workspace::with_ring();
    for host in ["a", "b", "c"] {
        workspace.run(&format!("keygen --out {host}")).succeeds();
    }
    workspace
        .run(
            "deal net.ring --owner-key keys/owner.key --leg 1-2=a/host.pub --leg 3-4=b/host.pub \
             --leg 5=c/host.pub -o net.deal",
        )
        .succeeds();
    workspace.run("ledger init ledger").succeeds();
    workspace.register("net.ring", "ledger");
    for node in NODES {
        workspace.run(&format!("keygen --node --out {node}")).succeeds();
    }
    validator_set(&workspace, "set.entry", &NODES);
    workspace
}

fn validator_set(workspace: &Workspace, file: &str, nodes: &[&str]) {
    let all: Vec<_> = nodes.iter().map(|node| format!("--node {node}/node.pub")).collect();
    workspace
        .run(&format!(
            "ledger validator-set --owner-key keys/owner.key --owner keys/owner.pub {} --ledger ledger -o {file}",
            all.join(" ")
        ))
        .succeeds();
}

/// A set of other nodes, which the ledger says too.
pub(crate) fn other_set(workspace: &Workspace) {
    let others = ["m1", "m2", "m3", "m4"];
    for node in others {
        workspace.run(&format!("keygen --node --out {node}")).succeeds();
    }
    validator_set(workspace, "other.entry", &others);
}

/// Has all of the ledger cosigned by so many nodes.
fn cosign(workspace: &Workspace, count: usize) {
    let secret = |node: &&str| {
        let text = fs::read_to_string(workspace.path(&format!("{node}/node.key"))).unwrap();
        SecretKey::<Node>::from_secret_text(&text).unwrap()
    };
    let secrets: Vec<_> = NODES.iter().take(count).map(secret).collect();
    let mut ledger = Ledger::open(workspace.path("ledger")).unwrap();
    let checkpoint = ledger.checkpoint().clone();
    let lines: String =
        secrets.iter().map(|key| checkpoint.body().cosign(key, 1_700_000_000).unwrap()).collect();
    let keys: Vec<_> =
        secrets.iter().map(|key| WitnessKey::of_node(&key.public()).unwrap()).collect();
    ledger.keep_cosignatures(&checkpoint.cosigned(&lines, &keys).unwrap()).unwrap();
}

/// Decides, records, cosigns and certifies: the outputs of each query, and the certificate.
fn decide(
    workspace: &Workspace,
    nonce: &str,
    queries: &[Vec<TensorValue>],
    wrong: Wrong,
) -> (Vec<Vec<TensorValue>>, Vec<u8>) {
    let _ = fs::remove_dir_all(workspace.path("decided"));
    let mut inputs = String::new();
    for (n, query) in queries.iter().enumerate() {
        write_npy(&workspace.path(&format!("asked-{n}.npy")), &query[0]).unwrap();
        inputs.push_str(&format!(" --input asked-{n}.npy"));
    }
    workspace
        .run(&format!(
            "run net.ring --owner keys/owner.pub --key a/host.key --key b/host.key --key c/host.key {inputs} \
             --ledger ledger --receipt decided.receipt --output-dir decided --nonce {nonce}"
        ))
        .succeeds();
    cosign(workspace, if wrong == Wrong::Cosignatures { 2 } else { 3 });
    let salt = if wrong == Wrong::Salt { "--without-salt" } else { "" };
    workspace
        .run(&format!(
            "certificate make --receipt decided.receipt --ledger ledger {salt} -o decided.certificate"
        ))
        .succeeds();
    let output = |n: usize| {
        let name =
            if queries.len() > 1 { format!("{n}-logits.npy") } else { "logits.npy".to_owned() };
        vec![read_npy(&workspace.path("decided").join(name), "logits").unwrap()]
    };
    let outputs = (0..queries.len()).map(output).collect();
    (outputs, fs::read(workspace.path("decided.certificate")).unwrap())
}

/// The answer of a gateway that does this wrong.
pub(crate) fn answer(workspace: &Workspace, asked: &Received, wrong: Wrong) -> Value {
    if asked.line.starts_with("GET /v1/ring ") {
        let name = if wrong == Wrong::Name { "picture" } else { "image" };
        return json!({ "inputs": [{ "name": name, "dtype": "f32", "dims": ["n", 1, 28, 28] }], "outputs": [] });
    }
    assert!(asked.line.starts_with("POST /v1/decisions "), "{asked:?}");
    let question: Question<'_> = serde_json::from_slice(&asked.body).unwrap();
    let values = |query: Vec<TensorText<'_>>| {
        let values = query.into_iter().map(|tensor| tensor.value().unwrap());
        // The network has one input, however it was called.
        values
            .map(|v| {
                TensorValue::new("image", v.dtype(), v.dims().to_vec(), v.data().to_vec()).unwrap()
            })
            .collect()
    };
    let mut queries: Vec<Vec<TensorValue>> = question.batch.into_iter().map(values).collect();
    let mut nonce = question.nonce;
    match wrong {
        Wrong::Nonce => nonce = "01".repeat(32),
        Wrong::Input => {
            let first = &queries[0][0];
            let mut data = first.data().to_vec();
            data[..4].copy_from_slice(&0.5f32.to_le_bytes());
            queries[0] = vec![
                TensorValue::new("image", first.dtype(), first.dims().to_vec(), data).unwrap(),
            ];
        }
        Wrong::Query => queries.push(queries[0].clone()),
        _ => {}
    }
    let (mut outputs, mut certificate) = decide(workspace, &nonce, &queries, wrong);
    match wrong {
        Wrong::Output => {
            let first = &outputs[0][0];
            let mut data = first.data().to_vec();
            data[0] ^= 1;
            outputs[0] = vec![
                TensorValue::new("logits", first.dtype(), first.dims().to_vec(), data).unwrap(),
            ];
        }
        Wrong::Query => drop(outputs.pop()),
        Wrong::Byte => {
            let middle = certificate.len() / 2;
            certificate[middle] ^= 1;
        }
        _ => {}
    }
    let outputs: Vec<Vec<_>> = outputs.iter().map(|q| q.iter().map(JsonTensor).collect()).collect();
    json!({ "decision": "", "outputs": outputs, "certificate": BASE64_STANDARD.encode(certificate) })
}

/// The requests that a gateway was asked.
pub(crate) type Log = Arc<Mutex<Vec<Received>>>;

/// A gateway that does this wrong: its address, and what it was asked.
pub(crate) fn gateway(workspace: &Arc<Workspace>, wrong: Wrong) -> (String, Log) {
    let log = Log::default();
    let url = serve("http", |stream| stream, answering(workspace, wrong, &log));
    (url, log)
}

/// A handler that answers so, over whatever stream.
pub(crate) fn answering<S: Write>(
    workspace: &Arc<Workspace>,
    wrong: Wrong,
    log: &Log,
) -> impl Fn(&Received, &mut S) + Send + 'static {
    let (workspace, log) = (Arc::clone(workspace), Arc::clone(log));
    move |asked, stream| {
        log.lock().unwrap().push(asked.clone());
        let body = answer(&workspace, asked, wrong).to_string();
        respond(stream, 200, "application/json", body.as_bytes());
    }
}

/// One that says what its ring takes, and does this where it is asked.
pub(crate) fn odd(does: impl Fn(&mut TcpStream) + Send + 'static) -> String {
    serve(
        "http",
        |stream| stream,
        move |asked, stream| match asked.line.starts_with("GET") {
            true => {
                let ring = json!({ "inputs": [{ "name": "image", "dtype": "f32", "dims": null }] });
                respond(stream, 200, "application/json", ring.to_string().as_bytes());
            }
            false => does(stream),
        },
    )
}

/// Waits until the other end is gone.
pub(crate) fn wait(stream: &mut impl Read) {
    let _ = io::copy(stream, &mut io::sink());
}
