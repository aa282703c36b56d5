//! A gateway that is asked, and believed only where its certificate verifies.

use std::fs;
use std::io::Write as _;
use std::sync::Arc;

use deepring_infer::inputs::read_npy;

use crate::gateway::{Wrong, gateway, odd, other_set, respond, site, wait};
use crate::workspace::{Ran, Workspace};

const MORE: &str = "--input x.npy --owner keys/owner.pub --validators set.entry --certificate x.certificate --output-dir out";

fn query(workspace: &Workspace, url: &str, more: &str) -> Ran {
    workspace.run(&format!("query {url} {more}"))
}

/// Refused: nothing of the answer is shown or written.
#[track_caller]
fn refused(workspace: &Workspace, url: &str, more: &str, code: i32, says: &str) {
    let ran = query(workspace, url, more).exits(code).says(says);
    assert_eq!(ran.stdout, "");
    assert!(!workspace.path("x.certificate").exists());
    let written = fs::read_dir(workspace.path("out")).map_or(0, Iterator::count);
    assert_eq!(written, 0);
}

#[test]
fn an_answer_that_verifies_is_shown_and_its_certificate_convinces_again() {
    let workspace = Arc::new(site());
    let (url, log) = gateway(&workspace, Wrong::Nothing);
    let shown = query(&workspace, &url, MORE).succeeds().stdout;
    for line in ["logits [1, 10]", "question and answer: as given", "3 nodes of the validator set"]
    {
        assert!(shown.contains(line), "`{line}` is not in {shown}");
    }
    let output = read_npy(&workspace.path("out/logits.npy"), "logits").unwrap();
    assert_eq!(output, read_npy(&workspace.path("decided/logits.npy"), "logits").unwrap());
    workspace
        .run(
            "certificate verify x.certificate --owner keys/owner.pub --validators set.entry --input x.npy \
             --output out/logits.npy",
        )
        .succeeds();
    // Each question has a nonce of its own.
    let shown = query(&workspace, &url, &format!("{MORE} --json --require validated"));
    let shown = shown.succeeds().json();
    assert_eq!((&shown["verdict"], &shown["compared"]["queries"]), (&"intact".into(), &1.into()));
    assert_eq!(shown["outputs"][0]["name"], "logits");
    let asked = log.lock().unwrap().clone();
    let nonces: Vec<_> = asked
        .iter()
        .filter(|a| a.line.starts_with("POST"))
        .map(|a| a.body[..90].to_vec())
        .collect();
    assert!(nonces.len() == 2 && nonces[0] != nonces[1]);
    assert!(
        !asked
            .iter()
            .any(|a| a.headers.iter().any(|h| h.to_lowercase().starts_with("authorization")))
    );

    let two = MORE.replace("--input x.npy", "--input x.npy --input y.npy");
    fs::copy(workspace.path("x.npy"), workspace.path("y.npy")).unwrap();
    let shown = query(&workspace, &url, &two).succeeds().stdout;
    assert!(shown.contains("x.npy\n") && shown.contains("y.npy\n"), "{shown}");
    assert!(workspace.path("out/1-logits.npy").exists());
}

#[test]
fn an_answer_that_does_not_verify_is_not_shown() {
    let workspace = Arc::new(site());
    for (wrong, code, says) in [
        (Wrong::Nonce, 5, "nonce"),
        (Wrong::Input, 3, "about other inputs or outputs"),
        (Wrong::Output, 3, "about other inputs or outputs"),
        (Wrong::Cosignatures, 4, "3 are needed"),
        (Wrong::Salt, 3, "salt"),
        (Wrong::Name, 3, "otherwise than its owner"),
        (Wrong::Query, 3, "another number of queries"),
    ] {
        let (url, _) = gateway(&workspace, wrong);
        refused(&workspace, &url, MORE, code, says);
    }
    // What the byte belongs to decides by whom it was not signed.
    let damaged = query(&workspace, &gateway(&workspace, Wrong::Byte).0, MORE);
    assert!(matches!(damaged.code, Some(3 | 4)) && damaged.stdout.is_empty());
    let (url, _) = gateway(&workspace, Wrong::Nothing);
    let json = query(&workspace, &gateway(&workspace, Wrong::Output).0, &format!("{MORE} --json"));
    let json = json.exits(3).json();
    assert_eq!(
        (&json["verdict"], &json["outputs"]),
        (&"tampered".into(), &serde_json::Value::Null)
    );

    workspace.run("keygen --out stranger").succeeds();
    let strange = MORE.replace("keys/owner.pub", "stranger/owner.pub");
    refused(&workspace, &url, &strange, 4, "not trusted");
    let majority = format!("{MORE} --require majority");
    refused(&workspace, &url, &majority, 4, "majority");
    other_set(&workspace);
    refused(&workspace, &url, &MORE.replace("set.entry", "other.entry"), 4, "are needed");
    query(&workspace, &url, MORE).succeeds();
}

#[test]
fn what_is_no_answer_is_refused_within_its_bounds() {
    let workspace = Arc::new(Workspace::with_keys());
    workspace.run("ledger init ledger").succeeds();
    workspace.run("keygen --node --out n1").succeeds();
    workspace
        .run(
            "ledger validator-set --owner-key keys/owner.key --owner keys/owner.pub --node n1/node.pub --ledger ledger \
             -o set.entry",
        )
        .succeeds();
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    let huge = odd(move |stream| {
        let _ = stream.write_all(head);
        let _ = stream.write_all(b"Content-Length: 1099511627776\r\n\r\n");
        wait(stream);
    });
    refused(&workspace, &huge, MORE, 1, "limit");
    let endless = odd(move |stream| {
        let _ = stream.write_all(head);
        let _ = stream.write_all(b"Connection: close\r\n\r\n");
        while stream.write_all(&[b' '; 1 << 16]).is_ok() {}
    });
    refused(&workspace, &endless, MORE, 1, "limit");
    let slow = odd(move |stream| {
        let _ = stream.write_all(head);
        let _ = stream.write_all(b"Content-Length: 10\r\n\r\n{");
        wait(stream);
    });
    refused(&workspace, &slow, &format!("{MORE} --timeout 1"), 1, "timeout");
    for (status, body, says) in [
        (307, "", "points elsewhere"),
        (200, "", "otherwise than a gateway"),
        (200, "{\"outputs\":[],\"certificate\":\"\"}", "certificate"),
        (200, "{\"outputs\":[],\"certificate\":\"?\"}", "otherwise than a gateway"),
        (500, "<html>", "status 500"),
    ] {
        let url = odd(move |stream| respond(stream, status, "application/json", body.as_bytes()));
        let ran = query(&workspace, &url, MORE);
        assert!(matches!(ran.code, Some(1 | 3)), "{status} {body}: {:?}", ran.code);
        let _ = ran.says(says);
        assert!(!workspace.path("x.certificate").exists());
    }
    // Its own words, in one line.
    let problem = r#"{"type":"disputed","title":"t","status":502,"detail":"leg\n3"}"#;
    let url =
        odd(move |stream| respond(stream, 502, "application/problem+json", problem.as_bytes()));
    refused(&workspace, &url, MORE, 1, "status 502, disputed: leg\u{fffd}3");
}

#[test]
fn a_key_is_sent_to_the_gateway_alone_and_never_in_the_clear() {
    let workspace = Arc::new(site());
    let (url, log) = gateway(&workspace, Wrong::Nothing);
    fs::write(workspace.path("key"), "opensesame\n").unwrap();
    let keyed = format!("{MORE} --api-key-file key");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        refused(&workspace, &url, &keyed, 1, "lets others than you");
        fs::set_permissions(workspace.path("key"), fs::Permissions::from_mode(0o600)).unwrap();
    }
    query(&workspace, &url, &keyed).succeeds();
    for asked in log.lock().unwrap().iter() {
        assert!(
            asked
                .headers
                .iter()
                .any(|h| h.eq_ignore_ascii_case("authorization: Bearer opensesame")),
            "{asked:?}"
        );
    }
    fs::remove_file(workspace.path("x.certificate")).unwrap();
    fs::remove_dir_all(workspace.path("out")).unwrap();
    let asks = odd(|stream| {
        respond(stream, 401, "application/problem+json", b"{\"type\":\"unauthorised\"}")
    });
    refused(&workspace, &asks, MORE, 1, "--api-key-file");
    for far in ["http://192.0.2.1", "http://localhost.example:1", "http://0.0.0.0:1"] {
        refused(&workspace, far, &keyed, 2, "in the clear");
    }
    for bad in ["ftp://127.0.0.1", "127.0.0.1:1", "http://u@127.0.0.1"] {
        refused(&workspace, bad, &keyed, 2, "no prefix of a gateway");
    }
    fs::write(workspace.path("key"), "two words\n").unwrap();
    refused(&workspace, &url, &keyed, 1, "is no key");
    refused(&workspace, &url, &format!("{MORE} --ca-cert key"), 2, "https://");
    refused(&workspace, &url, &format!("{MORE} --client-cert key"), 2, "--client-key");
}

#[test]
fn what_a_query_reads_it_does_not_write_over() {
    let workspace = Arc::new(site());
    let (url, log) = gateway(&workspace, Wrong::Nothing);
    for (file, more) in [
        ("x.npy", MORE.replace("x.certificate", "x.npy")),
        ("set.entry", MORE.replace("x.certificate", "set.entry")),
        ("keys/owner.pub", MORE.replace("x.certificate", "keys/owner.pub")),
    ] {
        let before = fs::read(workspace.path(file)).unwrap();
        refused(&workspace, &url, &more, 2, "would be overwritten");
        assert_eq!(fs::read(workspace.path(file)).unwrap(), before);
    }
    assert!(log.lock().unwrap().is_empty());
    fs::copy(workspace.path("x.npy"), workspace.path("x.png")).unwrap();
    refused(&workspace, &url, &MORE.replace("x.npy", "x.png"), 1, "only a .npy file");
    // The name of an output is the owner's choice; one of the inputs' stays what it was.
    fs::create_dir_all(workspace.path("in")).unwrap();
    fs::copy(workspace.path("x.npy"), workspace.path("in/logits.npy")).unwrap();
    let same =
        MORE.replace("x.npy", "in/logits.npy").replace("--output-dir out", "--output-dir in");
    query(&workspace, &url, &same).exits(2).says("would be overwritten");
    assert!(!workspace.path("x.certificate").exists());
}

#[test]
fn an_answer_of_another_ring_or_version_is_refused_where_one_is_pinned() {
    let workspace = Arc::new(site());
    let (url, _) = gateway(&workspace, Wrong::Nothing);
    let ring = workspace.run("inspect net.ring --json").succeeds().json();
    let (id, version) = (ring["ring"].as_str().unwrap(), ring["model_version"].as_u64().unwrap());
    // Another ring of the same owner.
    workspace.seal("other.ring", "");
    let other = workspace.run("inspect other.ring --json").succeeds().json();
    let other = other["ring"].as_str().unwrap();
    assert_ne!(id, other);
    for (pin, code) in [
        (format!("--ring-id {other}"), 4),
        ("--ring other.ring".to_owned(), 4),
        (format!("--ring-id {id} --model-version {}", version + 1), 5),
    ] {
        let with = format!("{MORE} {pin}");
        refused(&workspace, &url, &with, code, id);
        let json = query(&workspace, &url, &format!("{with} --json")).exits(code).json();
        assert_eq!(json["ring"], serde_json::Value::Null, "{pin}");
    }
    for pin in [
        "--ring net.ring".to_owned(),
        format!("--ring-id {id}"),
        format!("--ring-id {id} --model-version {version}"),
    ] {
        let json = query(&workspace, &url, &format!("{MORE} {pin} --json")).succeeds().json();
        assert_eq!((&json["ring"], &json["model_version"]), (&id.into(), &version.into()), "{pin}");
    }
    // So is a certificate that was written down.
    let verify = "certificate verify x.certificate --owner keys/owner.pub --validators set.entry";
    workspace.run(&format!("{verify} --ring-id {id} --model-version {version}")).succeeds();
    workspace.run(&format!("{verify} --ring other.ring")).exits(4).says(other);
    for bad in ["--ring-id 00", "--model-version 1", "--ring net.ring --ring-id 00"] {
        workspace.run(&format!("{verify} {bad}")).exits(2);
        query(&workspace, &url, &format!("{MORE} {bad}")).exits(2);
    }
}
