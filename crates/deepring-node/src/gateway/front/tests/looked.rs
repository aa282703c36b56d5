//! Views of the gateway: the page, the network, and the ledger's entries with their proofs.

use deepring::Finding;
use deepring::keys::AuthorKey;
use deepring_ledger::{Ledger, LogTrust, Proof, VerifierKey};

use super::*;

/// A ledger in which the ring of `sealed` was registered, `decision` recorded, and a block of host 1 found tampered with.
pub(super) fn ledger(folder: &std::path::Path, sealed: &Sealed, decision: &Decision) -> Ledger {
    let mut ledger = Ledger::open_or_create(folder.join("ledger")).unwrap();
    let outline = sealed.outline();
    let registered = Event::RingRegistered { outline: Box::new(outline.as_outline().clone()) };
    let finding =
        Finding::tampered(deepring::Section::Body, "a live parameter is not the sealed one");
    let finding = finding.in_block(1, Some("layer1"));
    let ring = (outline.ring_id(), outline.ring_digest());
    let said: [(Event, AuthorKey); 3] = [
        (registered, owner_key(0).into()),
        (Event::decided(decision, &outline), host_key(0).into()),
        (Event::alarm(ring, host(1), &finding), host_key(1).into()),
    ];
    for (event, author) in said {
        let binding = ledger.state().unwrap().binding(&author.public());
        ledger.append(&[Entry::now(binding, &event, &author).unwrap()]).unwrap();
    }
    ledger
}

#[test]
fn the_page_is_given_to_everybody_and_lets_nothing_in_from_elsewhere() {
    let keyed = site_with_key();
    for (path, kind) in
        [("/", "html"), ("/page.css", "css"), ("/page.js", "script"), ("/ring.js", "script")]
    {
        let got = run(keyed.send(look(path)));
        assert_eq!(got.status, 200, "{path}");
        assert!(got.headers["content-type"].contains(kind), "{path}");
        let policy = &got.headers["content-security-policy"];
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; "), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains('*') && !policy.contains("http"));
        let text = String::from_utf8(got.body).unwrap();
        for outside in
            ["//cdn", "src=\"http", "href=\"http", "innerHTML", "insertAdjacent", "eval("]
        {
            assert!(!text.contains(outside), "{path}: {outside}");
        }
        // What is written into the page itself would not run under its own policy.
        assert!(!text.contains(" style=") && !text.contains("onclick"), "{path}");
    }
    for path in ["/v1/network", "/v1/entries", "/v1/entries/0"] {
        assert_eq!(run(keyed.send(look(path))).problem(), "unauthorised", "{path}");
    }
}

#[test]
fn questions_are_remembered_with_their_legs_and_their_times_and_nothing_of_their_tensors() {
    let site = site(Fate::Answered, &section(""));
    let network = |since: u64| {
        let got = run(site.send(look(&format!("/v1/network?walk={since}"))));
        assert_eq!(got.status, 200);
        got.json()
    };
    let none = network(0);
    assert_eq!((&none["newest_walk"], none["walks"].as_array().unwrap().len()), (&json!(0), 0));
    assert_eq!(none["host"], host(0).to_string());
    assert_eq!(none["quarantined"][0]["block"], 1);
    assert_eq!(none["quarantined"][0]["cause"], "own_alarm");
    run(site.send(question()));
    let after = network(0);
    let walk = &after["walks"][0];
    assert_eq!(
        (&walk["decision"], &walk["entry"]),
        (&json!(site.fake.decision.id().to_hex()), &json!(7))
    );
    let legs = walk["legs"].as_array().unwrap();
    assert_eq!((legs.len(), legs[0]["validated_by"].as_array().unwrap().len()), (4, 1));
    assert_eq!(walk["named"][0]["fault"], "absent");
    assert_eq!(walk["took"]["recording"], 2.0);
    assert!(!after.to_string().contains("0.1,"), "{after}");
    assert!(network(1)["walks"].as_array().unwrap().is_empty());

    let failing = super::site(Fate::NotRecorded, &section(""));
    run(failing.send(question()));
    let walk = run(failing.send(look("/v1/network"))).json()["walks"][0].clone();
    assert_eq!((&walk["failed"], &walk["entry"]), (&json!("not-recorded"), &Value::Null));
    let disputed = || failed(WhyFailed::Disputed { first_block: 1, by: Vec::new() });
    let failing = super::site(Fate::Failed(disputed), &section(""));
    run(failing.send(question()));
    let walk = run(failing.send(look("/v1/network"))).json()["walks"][0].clone();
    assert_eq!((&walk["failed"], &walk["decision"]), (&json!("disputed"), &Value::Null));
}

#[test]
fn an_entry_is_found_by_its_index_or_its_decision_and_its_proof_verifies() {
    let site = site(Fate::Answered, &section(""));
    let get = |path: &str| run(site.send(look(path)));
    let all = get("/v1/entries").json();
    assert_eq!(all["size"], 3);
    let entries = all["entries"].as_array().unwrap();
    let events: Vec<_> = entries.iter().map(|entry| entry["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["alarm", "decision", "ring registered"]);
    assert_eq!(entries[0]["place"]["name"], "layer1");
    assert_eq!((&entries[0]["blocks"], &entries[1]["blocks"]), (&json!([1]), &json!([])));
    assert_eq!(entries[0]["about"], host(1).to_string());
    let some = get("/v1/entries?before=2&count=1").json();
    assert_eq!(some["entries"].as_array().unwrap().len(), 1);
    assert_eq!(some["entries"][0]["index"], 1);
    assert_eq!(get("/v1/entries?before=0").json()["entries"], json!([]));
    assert_eq!(
        get("/v1/entries?count=18446744073709551615").json()["entries"].as_array().unwrap().len(),
        3
    );

    let id = site.fake.decision.id().to_hex();
    let key = std::fs::read_to_string(site.folder.path().join("ledger/log.pub")).unwrap();
    let key = VerifierKey::parse(&key).unwrap();
    for which in ["1", &id] {
        let found = get(&format!("/v1/entries/{which}")).json();
        assert_eq!(found["entry"]["decision"], id.as_str());
        let proof = Proof::parse(found["proof"].as_str().unwrap()).unwrap();
        let shown = proof.verify_trusting(LogTrust::Key(&key)).unwrap();
        assert_eq!((shown.index(), shown.entry().decision()), (1, Some(site.fake.decision.id())));
    }
    for nothing in ["3", "18446744073709551615", &"0".repeat(64)] {
        assert_eq!(get(&format!("/v1/entries/{nothing}")).status, 404, "{nothing}");
    }
    for bad in ["?count=-1", "?before=1&before=2", "?count=18446744073709551616"] {
        assert_eq!(get(&format!("/v1/entries{bad}")).problem(), "bad-request", "{bad}");
    }
    assert_eq!(get("/v1/network?walk=99999999999999999999").problem(), "bad-request");
    for bad in ["-1", "x", "18446744073709551616", "1.5"] {
        assert_eq!(get(&format!("/v1/entries/{bad}")).status, 400, "{bad}");
    }
}
