//! A witness on the loopback interface, and one that lies.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::prelude::{BASE64_STANDARD, Engine};

/// The key of a witness.
pub(crate) struct Signer {
    name: String,
    pair: Ed25519KeyPair,
}

/// A status, a content type and a body.
pub(crate) type Reply = (u16, &'static str, String);

/// A server that is asked with bodies of `add-checkpoint`, and knows the ones that it was asked with.
pub(crate) struct Server {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Signer {
    pub(crate) fn new(n: u8) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[n; 32]).unwrap();
        Self { name: format!("witness.example/w{n}"), pair }
    }

    fn public(&self) -> Vec<u8> {
        [&[4], self.pair.public_key().as_ref()].concat()
    }

    fn id(&self) -> [u8; 4] {
        let named = [self.name.as_bytes(), b"\n", &self.public()].concat();
        digest(&SHA256, &named).as_ref()[..4].try_into().unwrap()
    }

    pub(crate) fn vkey(&self) -> String {
        let id = u32::from_be_bytes(self.id());
        format!("{}+{id:08x}+{}", self.name, BASE64_STANDARD.encode(self.public()))
    }

    /// The line with which this witness cosigns the checkpoint of a body, at a time.
    pub(crate) fn line(&self, body: &str, time: u64) -> String {
        let (_, note) = body.split_once("\n\n").unwrap();
        let (text, _) = note.split_once("\n\n").unwrap();
        let message = format!("cosignature/v1\ntime {time}\n{text}\n");
        let signature = self.pair.sign(message.as_bytes());
        let blob = [self.id().as_slice(), &time.to_be_bytes(), signature.as_ref()].concat();
        format!("— {} {}\n", self.name, BASE64_STANDARD.encode(blob))
    }
}

impl Server {
    /// Answers each request as `answer` says, which is given the number of those before and the body.
    pub(crate) fn new(answer: impl Fn(usize, &str) -> Reply + Send + 'static) -> Self {
        Self::over("http", |stream| stream, answer)
    }

    /// The same, over what `wrap` makes of each connection.
    pub(crate) fn over<S: Read + Write>(
        scheme: &str,
        wrap: impl Fn(TcpStream) -> S + Send + 'static,
        answer: impl Fn(usize, &str) -> Reply + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("{scheme}://{}/w", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let known = Arc::clone(&requests);
        // It ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut stream = wrap(stream);
                let Some(body) = request(&mut stream) else { continue };
                let before = {
                    let mut known = known.lock().unwrap();
                    known.push(body.clone());
                    known.len() - 1
                };
                let (status, kind, body) = answer(before, &body);
                let location = "Location: http://127.0.0.1:1/elsewhere\r\n";
                let head = format!(
                    "HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\n{location}Content-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(format!("{head}{body}").as_bytes());
                let _ = stream.flush();
            }
        });
        Self { url, requests }
    }

    /// One that answers always the same.
    pub(crate) fn saying(status: u16, kind: &'static str, body: &str) -> Self {
        let body = body.to_owned();
        Self::new(move |_, _| (status, kind, body.clone()))
    }

    /// An honest one, but for the proof, which it takes as it is.
    pub(crate) fn honest(n: u8) -> Self {
        Self::new(honest(n))
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// The answers of an honest witness, which takes every proof as it is.
pub(crate) fn honest(n: u8) -> impl Fn(usize, &str) -> Reply + Send + 'static {
    let (signer, seen) = (Signer::new(n), Mutex::new(0));
    move |_, body| {
        let mut seen = seen.lock().unwrap();
        if old(body) != *seen {
            return (409, "text/x.tlog.size", format!("{seen}\n"));
        }
        *seen = size(body);
        (200, "text/plain", signer.line(body, 1_700_000_000))
    }
}

/// The size that a body proves from.
pub(crate) fn old(body: &str) -> u64 {
    body.lines().next().unwrap().strip_prefix("old ").unwrap().parse().unwrap()
}

/// The size of a body's checkpoint.
pub(crate) fn size(body: &str) -> u64 {
    body.split_once("\n\n").unwrap().1.lines().nth(1).unwrap().parse().unwrap()
}

/// The body of a POST to `/w/add-checkpoint`.
fn request(stream: &mut impl Read) -> Option<String> {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        lines.push(line.to_ascii_lowercase());
    }
    assert!(lines[0].starts_with("post /w/add-checkpoint http/1.1"), "{lines:?}");
    let length = lines.iter().find_map(|line| line.strip_prefix("content-length: "))?;
    let mut body = vec![0; length.trim().parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    String::from_utf8(body).ok()
}
