//! The share of a gateway that one client may take, and what that leaves to others.

use std::pin::pin;

use futures::poll;
use futures::stream::pending as never;

use super::*;
use crate::gateway::tls::TlsInfo;

fn two_keys(more: &str) -> GatewaySection {
    let digest = |key: &str| blake3::hash(key.as_bytes()).to_hex();
    section(&format!("api_keys = [\"{}\", \"{}\"]\n{more}", digest("key"), digest("other")))
}

fn with(mut request: Request, key: &'static str) -> Request {
    request.headers_mut().insert(AUTHORIZATION, HeaderValue::from_static(key));
    request
}

/// A question whose body never comes.
fn slow() -> Request {
    asking().body(Body::from_stream(never::<Result<Vec<u8>, std::io::Error>>())).unwrap()
}

#[test]
fn who_shows_no_key_or_asks_too_often_keeps_no_connection() {
    let site = site(Fate::Answered, &keyed("requests_a_second = 2"));
    let closes = |got: &Got| got.headers.get("connection").is_some_and(|value| value == "close");
    run(async {
        for path in ["/health", "/ready", "/v1/ring", "/nothing"] {
            let got = site.send(look(path)).await;
            assert!(closes(&got), "{path}: {:?}", got.headers);
        }
        for _ in 0..2 {
            let got = site.send(with(look("/v1/ring"), "Bearer key")).await;
            assert_eq!((got.status, closes(&got)), (200, false));
        }
        let got = site.send(with(look("/v1/ring"), "Bearer key")).await;
        assert_eq!((got.status, closes(&got)), (429, true));
    });
    let open = site_of_all();
    assert!(!closes(&run(open.send(look("/v1/ring")))));
}

fn site_of_all() -> Site {
    site(Fate::Answered, &section(""))
}

#[test]
fn strangers_do_not_use_up_what_monitoring_asks_with() {
    let site = site(Fate::Answered, &keyed("requests_a_second = 2"));
    let here = |path: &str| from(look(path), "10.0.0.1:1");
    run(async {
        for _ in 0..2 {
            assert_eq!(site.send(here("/v1/ring")).await.status, 401);
        }
        assert_eq!(site.send(here("/v1/ring")).await.status, 429, "guesses have a bucket");
        for path in ["/health", "/ready"] {
            assert_eq!(site.send(here(path)).await.status, 200, "{path}");
        }
        // Looking has one, too, and no key has another there: or it would tell whether a key is one.
        for path in ["/health", "/ready"] {
            assert_eq!(site.send(here(path)).await.status, 429, "{path}");
            assert_eq!(site.send(with(here(path), "Bearer key")).await.status, 429, "{path}");
        }
        assert_eq!(site.send(with(here("/v1/ring"), "Bearer key")).await.status, 200);
    });
}

#[test]
fn a_body_that_does_not_come_takes_no_place_of_a_decision() {
    let site = site(Fate::Answered, &section("requests = 1"));
    run(async {
        let mut sending = pin!(site.send(slow()));
        assert!(poll!(&mut sending).is_pending());
        // Bodies have places of their own, as many.
        let got = site.send(slow()).await;
        assert_eq!((got.status, got.problem().as_str()), (503, "busy"));
        assert_eq!(site.send(look("/v1/ring")).await.status, 200);
    });
}

#[test]
fn one_client_takes_its_share_and_leaves_the_rest_to_others() {
    let site = site(Fate::Waits, &two_keys("requests = 8"));
    let ask = |key| site.send(with(question(), key));
    run(async {
        let (mut first, mut second) = (pin!(ask("Bearer key")), pin!(ask("Bearer key")));
        assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
        let got = ask("Bearer key").await;
        assert_eq!((got.status, got.problem().as_str()), (429, "too-many"));
        assert_eq!(got.headers[RETRY_AFTER.as_str()], "1");
        let mut other = pin!(ask("Bearer other"));
        assert!(poll!(&mut other).is_pending(), "another client has its own share");
        // Bodies that arrive are shared as well.
        let slow = || site.send(with(slow(), "Bearer other"));
        let (mut third, mut fourth) = (pin!(slow()), pin!(slow()));
        assert!(poll!(&mut third).is_pending() && poll!(&mut fourth).is_pending());
        assert_eq!(slow().await.status, 429);
    });
}

#[test]
fn a_share_is_at_least_one_request_and_as_many_as_are_configured() {
    for (more, share) in [("requests = 3", 1), ("requests = 8\nrequests_per_client = 5", 5)] {
        let site = site(Fate::Waits, &keyed(more));
        run(async {
            let ask = || Box::pin(site.send(with(question(), "Bearer key")));
            let mut under_way: Vec<_> = (0..share).map(|_| ask()).collect();
            for asked in &mut under_way {
                assert!(poll!(asked).is_pending(), "{more}");
            }
            assert_eq!(ask().await.status, 429, "{more}");
        });
    }
}

#[test]
fn a_client_with_a_certificate_is_one_client_wherever_it_comes_from() {
    let site = site(Fate::Waits, &section("requests = 8\nrequests_a_second = 3"));
    let shown = |mut request: Request, certificate: &[u8]| {
        let mut info = TlsInfo::default();
        info.peer_certificates = vec![certificate.to_vec(), b"authority".to_vec()];
        request.extensions_mut().insert(Arc::new(info));
        site.send(request)
    };
    run(async {
        let mut first = pin!(shown(from(question(), "10.0.0.1:1"), b"a"));
        let mut second = pin!(shown(from(question(), "10.0.0.2:1"), b"a"));
        assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
        let got = shown(from(question(), "10.0.0.2:1"), b"a").await;
        assert_eq!((got.status, got.problem().as_str()), (429, "too-many"));
        assert!(got.json()["detail"].as_str().unwrap().contains("2 requests under way"));
        let mut other = pin!(shown(from(question(), "10.0.0.1:1"), b"b"));
        assert!(poll!(&mut other).is_pending());
        // Its bucket is its own as well.
        let got = shown(from(look("/v1/ring"), "10.0.0.3:1"), b"a").await;
        assert!(got.json()["detail"].as_str().unwrap().contains("a second"));
        assert_eq!(shown(from(look("/v1/ring"), "10.0.0.3:1"), b"b").await.status, 200);
    });
}

#[test]
fn a_long_head_is_refused_whatever_the_library_read() {
    let site = site_of_all();
    let mut request = look("/v1/ring");
    request.headers_mut().insert("x-long", HeaderValue::from_str(&"x".repeat(HEAD_BYTES)).unwrap());
    let got = run(site.send(request));
    assert_eq!((got.status, got.problem().as_str()), (431, "bad-request"));
    assert_eq!(got.headers["connection"], "close");
    let path = format!("/{}", "x".repeat(HEAD_BYTES + 1));
    assert_eq!(run(site.send(look(&path))).status, 431);
}

#[test]
fn a_body_that_breaks_off_is_not_too_long() {
    let site = site_of_all();
    let chunks = [Ok(b"{".to_vec()), Err(std::io::Error::other("broken"))];
    let broken = asking().body(Body::from_stream(futures::stream::iter(chunks))).unwrap();
    let got = run(site.send(broken));
    assert_eq!((got.status, got.problem().as_str()), (400, "bad-request"));
    assert!(site.fake.nonces.lock().unwrap().is_empty());
}

#[test]
fn a_path_that_is_no_text_is_a_problem_like_any_other() {
    let site = site_of_all();
    for path in ["/%ff", "/ledger/%ff", "/ledger/tile/%ff", "/v1/%c3%28"] {
        let got = run(site.send(look(path)));
        assert_eq!((got.status, got.problem().as_str()), (404, "bad-request"), "{path}");
    }
}
