use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread::JoinHandle;

use futures::channel::oneshot;
use tokio::net::TcpSocket;

use super::*;
use crate::gateway::GatewaySection;
use crate::gateway::front::tests::answering;

/// A gateway without TLS, until it is dropped.
struct Listening {
    at: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<()>>,
}

impl Listening {
    fn with(more: &str) -> Self {
        let section = format!("listen = \"127.0.0.1:0\"\n{more}");
        let section: GatewaySection = toml::from_str(&section).unwrap();
        let listener = TcpListener::bind(section.listen).unwrap();
        let at = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = std::thread::spawn(move || {
            let (front, _folder) = answering(&section);
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
            let stop = async move {
                let _ = stopped.await;
            };
            runtime.block_on(serve(listener, front, None, stop)).unwrap();
        });
        Self { at, stop: Some(stop), serving: Some(serving) }
    }

    fn keyed() -> Self {
        Self::with(&format!("api_keys = [\"{}\"]", blake3::hash(b"key").to_hex()))
    }

    /// From an address of this machine.
    fn from(&self, address: [u8; 4]) -> TestClient {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let stream = runtime.block_on(async {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind((address, 0).into()).unwrap();
            socket.connect(self.at).await.unwrap().into_std().unwrap()
        });
        stream.set_nonblocking(false).unwrap();
        TestClient(stream)
    }

    fn connected(&self) -> TestClient {
        TestClient(TcpStream::connect(self.at).unwrap())
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
        self.serving.take().unwrap().join().unwrap();
    }
}

/// A client's connection.
struct TestClient(TcpStream);

impl TestClient {
    /// The status of the answer and its head; nothing where the connection was closed.
    fn send(&mut self, request: &[u8]) -> Option<(u16, String)> {
        // Who closes meanwhile may have answered before.
        let _ = self.0.write_all(request);
        self.answer()
    }

    fn answer(&mut self) -> Option<(u16, String)> {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            match self.0.read(&mut byte) {
                Ok(1) => head.push(byte[0]),
                _ => return None,
            }
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        self.0.read_exact(&mut body).unwrap();
        Some((head[9..12].parse().unwrap(), head))
    }

    fn health(&mut self) -> Option<u16> {
        Some(self.send(b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n")?.0)
    }
}

#[test]
#[cfg(target_os = "linux")]
fn one_address_has_so_many_connections_and_leaves_the_rest_to_others() {
    let gateway = Listening::with("connections_per_address = 2");
    let (here, there) = ([127, 0, 0, 1], [127, 0, 0, 2]);
    let (mut first, mut second) = (gateway.from(here), gateway.from(here));
    assert_eq!((first.health(), second.health()), (Some(200), Some(200)));
    assert_eq!(gateway.from(here).health(), None);
    assert_eq!(gateway.from(there).health(), Some(200));
    assert_eq!(first.health(), Some(200));
    // Who goes makes room.
    drop(first);
    while gateway.from(here).health().is_none() {
        std::thread::yield_now();
    }
}

#[test]
fn a_connection_on_which_no_key_is_shown_ends_with_its_first_answer() {
    let gateway = Listening::keyed();
    for path in ["/health", "/ready", "/v1/ring"] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
        let mut stranger = gateway.connected();
        let (status, head) = stranger.send(request.as_bytes()).unwrap();
        assert_eq!(status == 401, path == "/v1/ring", "{path}");
        assert!(head.contains("connection: close"), "{head}");
        assert_eq!(stranger.send(request.as_bytes()), None, "{path}");
        let known = format!("GET {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer key\r\n\r\n");
        let mut client = gateway.connected();
        for _ in 0..3 {
            assert_eq!(client.send(known.as_bytes()).unwrap().0, 200, "{path}");
        }
    }
}

#[test]
fn a_head_of_more_than_its_bound_is_refused() {
    let gateway = Listening::with("");
    for bytes in [HEAD_BYTES, 3 * HEAD_BYTES / 2, 100 << 10] {
        let long = format!("GET /health HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "x".repeat(bytes));
        // A client that still sends may not see the answer.
        let got = gateway.connected().send(long.as_bytes());
        assert!(got.is_none_or(|(status, _)| status == 431), "{bytes}");
    }
    let fits = format!("GET /health HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "x".repeat(15 << 10));
    assert_eq!(gateway.connected().send(fits.as_bytes()).unwrap().0, 200);
}

#[test]
fn a_broken_chunk_is_a_bad_request() {
    let gateway = Listening::with("");
    let head = "POST /v1/decisions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    for body in ["zz\r\n", "1\r\n{x"] {
        let request = format!("{head}{body}");
        assert_eq!(gateway.connected().send(request.as_bytes()).unwrap().0, 400, "{body}");
    }
}
