use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use axum::body::to_bytes;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{Method, request};
use deepring::keys::Node;
use deepring::replication::{CopyFault, FailedCopy};
use deepring::{DType, Decision, Digest, SecretKey, TensorSpec};
use deepring_infer::RunError;
use deepring_infer::inputs::InputError;
use deepring_infer::participant::{Batch, Closed, NotAccepted, WhyFailed};
use deepring_ledger::{Binding, Entry, Event};
use deepring_testkit::rings::{Sealed, host, host_key, owner_key};
use futures::FutureExt as _;
use futures::future::{BoxFuture, pending};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;
use crate::certifying::CertifyError;
use crate::gateway::answers::RecordedAnswer;
use crate::hosting::QueryError;

mod bounds;
mod looked;

const NONCE: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const TENSOR: &str = r#"{"name":"x","dtype":"f32","dims":[4],"data":[0.1,-0.0,"NaN","-Infinity"]}"#;

/// The fate of a query.
enum Fate {
    /// Its outputs are its inputs.
    Answered,
    Failed(fn() -> QueryError),
    NotRecorded,
    NeverAnswered,
    /// As never answered, of a gateway that waits long.
    Waits,
    NeverRecorded,
    Panics,
}

struct Fake {
    fate: Fate,
    decision: Decision,
    nonces: Mutex<Vec<Option<Digest>>>,
}

impl AnswerSource for Fake {
    fn query(
        &self,
        batch: Batch,
        nonce: Option<Digest>,
    ) -> BoxFuture<'_, Result<Closed, QueryError>> {
        self.nonces.lock().unwrap().push(nonce);
        async move {
            match self.fate {
                Fate::Failed(error) => return Err(error()),
                Fate::NeverAnswered | Fate::Waits => pending::<()>().await,
                Fate::Panics => panic!("secret input"),
                _ => {}
            }
            Ok(Closed {
                query: Digest([1; 32]),
                decision: self.decision.clone(),
                outputs: Arc::new(batch),
                named: vec![FailedCopy { host: host(2), fault: CopyFault::Absent }],
            })
        }
        .boxed()
    }

    fn record<'a>(
        &'a self,
        _: &'a Decision,
    ) -> BoxFuture<'a, Result<RecordedAnswer, CertifyError>> {
        async move {
            match self.fate {
                Fate::NotRecorded => return Err(CertifyError::Stopped),
                Fate::NeverRecorded => pending::<()>().await,
                _ => {}
            }
            Ok(RecordedAnswer {
                certificate: b"certificate".to_vec(),
                entry: 7,
                height: 3,
                committing: Duration::from_millis(2),
            })
        }
        .boxed()
    }
}

/// A front that answers, and the folder that its tiles are in.
pub(in crate::gateway) fn answering(section: &GatewaySection) -> (Arc<Front>, tempfile::TempDir) {
    let site = site(Fate::Answered, section);
    (site.front, site.folder)
}

/// A gateway's endpoints over a fate.
struct Site {
    front: Arc<Front>,
    fake: Arc<Fake>,
    folder: tempfile::TempDir,
}

fn section(more: &str) -> GatewaySection {
    toml::from_str(&format!("listen = \"127.0.0.1:0\"\n{more}")).unwrap()
}

fn keyed(more: &str) -> GatewaySection {
    let digest = blake3::hash(b"key").to_hex();
    section(&format!("api_keys = [\"{digest}\"]\n{more}"))
}

fn site(fate: Fate, section: &GatewaySection) -> Site {
    let health = Health { caught_up: true, blocks_open: true, disk_writable: true };
    site_of(fate, section, health)
}

fn site_of(fate: Fate, section: &GatewaySection, health: Health) -> Site {
    let folder = tempfile::tempdir().unwrap();
    let soon = match fate {
        Fate::NeverAnswered | Fate::NeverRecorded => Duration::from_millis(1),
        _ => Duration::from_secs(600),
    };
    let sealed = Sealed::new(0, 2);
    let decision = sealed.decide(1, None);
    let ledger = Mutex::new(looked::ledger(folder.path(), &sealed, &decision));
    let look: LedgerLook = {
        let ledger = Arc::new(ledger);
        Arc::new(move |question| {
            let ledger = Arc::clone(&ledger);
            async move { question(&ledger.lock().unwrap()) }.boxed()
        })
    };
    let fake = Arc::new(Fake { fate, decision, nonces: Mutex::default() });
    let spec = TensorSpec { name: "x".to_owned(), dtype: DType::F32, dims: None };
    let parts = FrontParts {
        takes: Takes { inputs: vec![spec], recipe: None, limit: section.body_megabytes << 20 },
        ring: r#"{"inputs":[]}"#.to_owned(),
        validators: (*b"validators").into(),
        // What nobody sends to any more stays what it was.
        progress: watch::channel(LedgerProgress { height: 3, size: 8, ..Default::default() }).1,
        health: Arc::new(move || health),
        metrics: Arc::new(|| "size 8\n".to_owned()),
        tiles: folder.path().to_owned(),
        look,
        host: host(0),
        ring_digest: sealed.outline().ring_digest(),
        times: StepTimes { body: soon, query: soon, recording: soon },
    };
    let answers: Arc<dyn AnswerSource> = Arc::clone(&fake) as _;
    let front = Front::of(answers, parts, section).unwrap();
    Site { front, fake, folder }
}

/// Headers by name, and the body.
struct Got {
    status: u16,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The word of a problem, whose document is of its own type and says its status.
    #[track_caller]
    fn problem(&self) -> String {
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        assert!(!problem["title"].as_str().unwrap().is_empty());
        assert!(!problem["detail"].as_str().unwrap().is_empty());
        problem["type"].as_str().unwrap().to_owned()
    }
}

fn asking() -> request::Builder {
    Request::builder()
        .method(Method::POST)
        .uri("/v1/decisions")
        .header(CONTENT_TYPE, "application/json")
}

fn look(path: &str) -> Request {
    Request::builder().uri(path).body(Body::empty()).unwrap()
}

fn question() -> Request {
    asking().body(Body::from(format!(r#"{{"inputs":[{TENSOR}],"nonce":"{NONCE}"}}"#))).unwrap()
}

impl Site {
    async fn send(&self, request: Request) -> Got {
        let response = Arc::clone(&self.front).router().oneshot(request).await.unwrap();
        let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
        let headers = response.headers().iter();
        let headers = headers.map(|(name, value)| (name.to_string(), text(value))).collect();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec();
        Got { status, headers, body }
    }
}

/// With a clock that goes on where nothing else does.
fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(test)
}

#[test]
fn an_answer_comes_with_its_certificate_and_no_bit_of_it_is_lost() {
    let site = site(Fate::Answered, &section(""));
    let got = run(site.send(question()));
    assert_eq!((got.status, got.headers["content-type"].as_str()), (200, "application/json"));
    assert_eq!(*site.fake.nonces.lock().unwrap(), [Digest::from_hex(NONCE)]);
    let text = String::from_utf8(got.body.clone()).unwrap();
    assert!(text.contains(&format!(r#""outputs":[[{TENSOR}]]"#)), "{text}");
    let answer = got.json();
    assert_eq!(answer["decision"], site.fake.decision.id().to_hex());
    assert_eq!((&answer["entry"], &answer["height"]), (&json!(7), &json!(3)));
    assert_eq!(answer["named"], json!([{ "host": host(2).to_string(), "fault": "absent" }]));
    assert_eq!(answer["certificate"], "Y2VydGlmaWNhdGU=");
    assert_eq!(answer["links"]["checkpoint"], "/ledger/checkpoint");

    let batch = format!(r#"{{"batch":[[{TENSOR}],[{TENSOR}]]}}"#);
    let got = run(site.send(asking().body(Body::from(batch)).unwrap()));
    assert_eq!(got.json()["outputs"].as_array().unwrap().len(), 2);
    assert_eq!(site.fake.nonces.lock().unwrap().last(), Some(&None));
}

fn failed(why: WhyFailed) -> QueryError {
    QueryError::Failed { query: Digest([1; 32]), why, named: Vec::new() }
}

#[test]
fn each_failure_has_its_status_and_its_word() {
    type Fails = fn() -> QueryError;
    let cases: [(Fails, u16, &str); 14] = [
        (|| NotAccepted::Shapes(InputError::Twice { name: "x".to_owned() }).into(), 422, "input"),
        (|| NotAccepted::LongBatch { limit: 4 }.into(), 422, "input"),
        (|| NotAccepted::Full { what: "bytes", limit: 4 }.into(), 503, "busy"),
        (|| NotAccepted::NotOpener.into(), 503, "stopped"),
        (|| RunError::Input(InputError::Twice { name: "x".to_owned() }).into(), 422, "input"),
        (|| RunError::NotLoaded { block: 1 }.into(), 503, "stopped"),
        (|| failed(WhyFailed::Disputed { first_block: 1, by: Vec::new() }), 502, "disputed"),
        (|| failed(WhyFailed::TooFew { first_block: 1, by: Vec::new() }), 503, "hosts-absent"),
        (
            || failed(WhyFailed::Rejected { queries: vec![0], why: "too large".to_owned() }),
            422,
            "rejected",
        ),
        (|| failed(WhyFailed::OutOfPatience), 504, "time-over"),
        (|| failed(WhyFailed::CannotClose("no".to_owned())), 503, "not-recorded"),
        (|| QueryError::ZeroNonce, 400, "bad-request"),
        (|| QueryError::Busy, 503, "busy"),
        (|| QueryError::Stopped, 503, "stopped"),
    ];
    for (error, status, word) in cases {
        let got = run(site(Fate::Failed(error), &section("")).send(question()));
        assert_eq!((got.status, got.problem().as_str()), (status, word), "{}", error());
        let again = ["busy", "hosts-absent"].contains(&word);
        assert_eq!(got.headers.contains_key(RETRY_AFTER.as_str()), again);
    }
}

#[test]
fn what_is_not_recorded_is_not_given_out() {
    for fate in [Fate::NotRecorded, Fate::NeverRecorded] {
        let site = site(fate, &section(""));
        let got = run(site.send(question()));
        assert_eq!((got.status, got.problem().as_str()), (503, "not-recorded"));
        assert!(got.json().get("outputs").is_none());
    }
}

#[test]
fn a_query_that_never_ends_ends() {
    let site = site(Fate::NeverAnswered, &section(""));
    let got = run(site.send(question()));
    assert_eq!((got.status, got.problem().as_str()), (504, "time-over"));
}

const CLOSED: [&str; 7] = [
    "/v1/ring",
    "/v1/validators",
    "/v1/ledger",
    "/ledger/checkpoint",
    "/metrics",
    "/openapi.json",
    "/nothing",
];

#[test]
fn without_a_key_only_the_process_is_seen() {
    let site = site(Fate::Answered, &keyed(""));
    for path in CLOSED {
        for key in [None, Some("Bearer other"), Some("Basic key")] {
            let mut request = look(path);
            if let Some(key) = key {
                request.headers_mut().insert(AUTHORIZATION, HeaderValue::from_static(key));
            }
            let got = run(site.send(request));
            assert_eq!((got.status, got.problem().as_str()), (401, "unauthorised"), "{path}");
            assert_eq!(got.headers[WWW_AUTHENTICATE.as_str()], "Bearer");
        }
    }
    assert_eq!(run(site.send(question())).status, 401);
    assert!(site.fake.nonces.lock().unwrap().is_empty());
    for path in ["/health", "/ready"] {
        assert_eq!(run(site.send(look(path))).status, 200, "{path}");
    }
    let mut request = question();
    request.headers_mut().insert(AUTHORIZATION, HeaderValue::from_static("Bearer key"));
    assert_eq!(run(site.send(request)).status, 200);
}

fn from(mut request: Request, address: &str) -> Request {
    let address: SocketAddr = address.parse().unwrap();
    request.extensions_mut().insert(ConnectInfo(address));
    request
}

#[test]
fn a_client_that_asks_too_often_is_told_to_wait_and_others_are_not() {
    let site = site(Fate::Answered, &keyed("requests_a_second = 2"));
    let with_key = |address: &str| {
        let mut request = from(look("/v1/ring"), address);
        request.headers_mut().insert(AUTHORIZATION, HeaderValue::from_static("Bearer key"));
        request
    };
    run(async {
        for _ in 0..2 {
            assert_eq!(site.send(from(look("/v1/ring"), "10.0.0.1:1")).await.status, 401);
        }
        // Whoever tries out keys is not told any more whether they are any.
        let got = site.send(from(look("/v1/ring"), "10.0.0.1:2")).await;
        assert_eq!((got.status, got.problem().as_str()), (429, "too-many"));
        assert_eq!(got.headers[RETRY_AFTER.as_str()], "1");
        assert_eq!(site.send(from(look("/v1/ring"), "10.0.0.2:1")).await.status, 401);
        // Of a key it is the key's, wherever it comes from.
        assert_eq!(site.send(with_key("10.0.0.1:1")).await.status, 200);
        assert_eq!(site.send(with_key("10.0.0.3:1")).await.status, 200);
        assert_eq!(site.send(with_key("10.0.0.4:1")).await.status, 429);
    });
}

#[test]
fn so_many_requests_are_under_way_and_no_more() {
    let site = site(Fate::Waits, &section("requests = 1"));
    run(async {
        let mut first = std::pin::pin!(site.send(question()));
        assert!(futures::poll!(&mut first).is_pending());
        let got = site.send(question()).await;
        assert_eq!((got.status, got.problem().as_str()), (503, "busy"));
        assert_eq!(got.headers[RETRY_AFTER.as_str()], "1");
        assert_eq!(site.send(look("/health")).await.status, 200);
    });
    // Who goes away makes room.
    assert_eq!(run(site.send(look("/v1/ring"))).status, 200);
}

#[test]
fn a_body_is_bounded_and_of_a_known_type() {
    let site = site(Fate::Answered, &section("body_megabytes = 1"));
    let said = asking().header("content-length", (1 << 20) + 1).body(Body::empty()).unwrap();
    let streamed =
        futures::stream::iter((0..17).map(|_| Ok::<_, std::io::Error>(vec![b' '; 1 << 16])));
    let streamed = asking().body(Body::from_stream(streamed)).unwrap();
    for request in [said, streamed] {
        let got = run(site.send(request));
        assert_eq!((got.status, got.problem().as_str()), (413, "bad-request"));
    }
    let mut request = question();
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    assert_eq!(run(site.send(request)).status, 415);
    let got = run(site.send(asking().body(Body::from("{")).unwrap()));
    assert_eq!((got.status, got.problem().as_str()), (400, "bad-request"));
    assert!(site.fake.nonces.lock().unwrap().is_empty());
}

#[test]
fn a_body_that_never_comes_is_not_waited_for() {
    let site = site(Fate::NeverAnswered, &section(""));
    let never = Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let got = run(site.send(asking().body(never).unwrap()));
    assert_eq!((got.status, got.problem().as_str()), (400, "bad-request"));
    assert!(site.fake.nonces.lock().unwrap().is_empty());
}

#[test]
fn a_fault_of_the_gateway_is_told_without_what_was_sent() {
    let got = run(site(Fate::Panics, &section("")).send(question()));
    assert_eq!((got.status, got.problem().as_str()), (500, "stopped"));
    assert!(!String::from_utf8(got.body).unwrap().contains("secret"));
}

#[test]
fn paths_and_methods_that_are_none_are_problems_too() {
    let site = site(Fate::Answered, &section(""));
    for path in
        ["/page", "/v1", "/v1/decisions/1", "/ledger", "/ledger/", "/ledger/tile/..%2f..%2fx"]
    {
        let got = run(site.send(look(path)));
        assert_eq!((got.status, got.problem().as_str()), (404, "bad-request"), "{path}");
    }
    let got = run(site.send(look("/v1/decisions")));
    assert_eq!((got.status, got.problem().as_str()), (405, "bad-request"));
}

#[test]
fn every_response_says_what_browsers_may_not_do_with_it() {
    let site = site(Fate::Answered, &section(""));
    for request in [question(), look("/v1/ring"), look("/nothing")] {
        let got = run(site.send(request));
        assert_eq!(got.headers["x-content-type-options"], "nosniff");
        assert_eq!(got.headers["cache-control"], "no-store");
        assert!(got.headers["content-security-policy"].contains("default-src 'none'"));
        assert!(!got.headers.keys().any(|name| name.starts_with("access-control")));
        assert!(!got.headers.contains_key("strict-transport-security"));
    }
}

#[test]
fn the_set_that_stands_is_shown_in_place_of_the_first() {
    let mut site = site(Fate::Answered, &section(""));
    let signed_set = Some((*b"the next").into());
    let progress = LedgerProgress { signed_set, ..Default::default() };
    Arc::get_mut(&mut site.front).unwrap().progress = watch::channel(progress).1;
    assert_eq!(run(site.send(look("/v1/validators"))).body, b"the next");
}

#[test]
fn pages_say_what_is() {
    let site = site(Fate::Answered, &section(""));
    let get = |path| run(site.send(look(path)));
    assert_eq!(get("/v1/ring").json(), json!({ "inputs": [] }));
    assert_eq!(get("/v1/validators").body, b"validators");
    let ledger = json!({ "height": 3, "size": 8, "certified": null, "split_views": 0 });
    assert_eq!(get("/v1/ledger").json(), ledger);
    assert_eq!(get("/metrics").body, b"size 8\n");
    assert_eq!(get("/openapi.json").json()["openapi"], "3.1.0");
    assert_eq!(get("/ready").json()["ready"], true);
}

#[test]
fn a_node_that_is_not_fit_says_what_it_lacks() {
    let health = Health { caught_up: false, blocks_open: true, disk_writable: true };
    let site = site_of(Fate::Answered, &section(""), health);
    let got = run(site.send(look("/ready")));
    assert_eq!(got.status, 503);
    let lacks = json!({ "caught_up": false, "blocks_open": true, "disk_writable": true });
    assert_eq!(got.json(), json!({ "ready": false, "health": lacks }));
    assert_eq!(run(site.send(look("/health"))).status, 200);
}

#[test]
fn the_log_is_given_out_as_files_and_nothing_beside_it_is() {
    let site = site(Fate::Answered, &section(""));
    let root = site.folder.path();
    std::fs::create_dir_all(root.join("tile/0/x001")).unwrap();
    std::fs::write(root.join("checkpoint"), "origin\n8\n").unwrap();
    std::fs::write(root.join("tile/0/x001/067.p"), "hashes").unwrap();
    std::fs::write(root.join("secret"), "secret").unwrap();
    let get = |path| run(site.send(look(path)));
    let got = get("/ledger/checkpoint");
    assert_eq!(
        (got.body.as_slice(), got.headers["cache-control"].as_str()),
        (b"origin\n8\n".as_slice(), "public, max-age=1")
    );
    let got = get("/ledger/tile/0/x001/067.p");
    assert_eq!(got.body, b"hashes");
    assert!(got.headers["cache-control"].contains("immutable"));
    for path in [
        "/ledger/secret",
        "/ledger/tile/0",
        "/ledger/tile/0/x001",
        "/ledger/tile/0/000",
        "/ledger/tile/../secret",
        "/ledger/tile/%2e%2e/secret",
    ] {
        assert_eq!(get(path).status, 404, "{path}");
    }
    let keyed = site_with_key();
    let mut request = look("/ledger/checkpoint");
    request.headers_mut().insert(AUTHORIZATION, HeaderValue::from_static("Bearer key"));
    std::fs::write(keyed.folder.path().join("checkpoint"), "origin\n8\n").unwrap();
    assert_eq!(run(keyed.send(request)).headers["cache-control"], "private, max-age=1");
}

fn site_with_key() -> Site {
    site(Fate::Answered, &keyed(""))
}

#[test]
fn what_is_said_of_a_ring_is_what_its_owner_signed() {
    let sealed = Sealed::new(0, 2);
    let ring = sealed.ring().into_authentic();
    let nodes = vec![SecretKey::<Node>::from_halves(&[31; 32], &[131; 32]).unwrap().public()];
    let origin = "deepring.local/ledger/test".to_owned();
    let owners = vec![owner_key(0).public()];
    let set = Event::ValidatorSet(ValidatorSet { epoch: 1, origin, owners, nodes });
    let binding = Binding::new("deepring.local/ledger/test", 1);
    let entry = Entry::sign(binding, 0, &set, &owner_key(0).into()).unwrap();
    let said = pages::ring(&ring, false, entry.as_bytes()).unwrap();
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["owner"], owner_key(0).public().to_string());
    assert_eq!(said["digest"], ring.digest().to_hex());
    assert_eq!(
        (&said["version"], &said["deal"]),
        (&json!(1), &json!(ring.outline().deal_number()))
    );
    assert_eq!(said["origin"], "deepring.local/ledger/test");
    assert_eq!(said["inputs"], json!(ring.inputs()));
    let legs = said["legs"].as_array().unwrap();
    assert_eq!((legs.len(), &legs[0]["first"], &legs[0]["last"]), (4, &json!(1), &json!(2)));
    assert_eq!(legs[0]["hosts"], json!([host(0).to_string(), host(1).to_string()]));
    // Without a set that somebody signed, there is no gateway.
    assert!(pages::ring(&ring, false, &entry.as_bytes()[1..]).is_err());
}
