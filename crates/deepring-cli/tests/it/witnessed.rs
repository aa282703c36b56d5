//! A ledger whose checkpoints witnesses cosign, and readers who ask for it; extension proofs that are checked offline.

use std::fs;

use crate::witness::{Server, Signer, old, size};
use crate::workspace::{Ran, Workspace};

const REVOKE: &str = "revoke key --key keys/host.key --ledger ledger --reason lost";

/// A ledger with one entry.
fn begun() -> Workspace {
    let workspace = Workspace::with_keys();
    workspace.run("ledger init ledger").succeeds();
    workspace.run("revoke key --key keys/owner.key --ledger ledger --reason lost").succeeds();
    fs::copy(workspace.path("ledger/log.pub"), workspace.path("log.pub")).unwrap();
    workspace
}

fn submit(workspace: &Workspace, server: &Server, key: &str) -> Ran {
    workspace.run(&format!("ledger witness {} --ledger ledger --witness-key {key}", server.url))
}

fn checkpoint(workspace: &Workspace) -> String {
    fs::read_to_string(workspace.path("ledger/checkpoint")).unwrap()
}

#[test]
fn what_a_witness_signed_is_asked_for_by_readers() {
    let workspace = begun();
    let (server, signer) = (Server::honest(1), Signer::new(1));
    fs::write(workspace.path("one.policy"), format!("witness A {}\nquorum A\n", signer.vkey()))
        .unwrap();
    let verify = "ledger verify --ledger ledger --witness-policy one.policy";
    workspace.run(verify).exits(4).says("0 of 1 witnesses cosigned");
    let told = submit(&workspace, &server, &signer.vkey()).succeeds().stdout;
    assert_eq!(
        told,
        "1 entries cosigned by witness.example/w1 at 2023-11-14 22:13 UTC by its clock\n"
    );
    let told = workspace.run(verify).succeeds().stdout;
    assert!(told.contains("witnessed by witness.example/w1 at 2023"), "{told}");

    // The next checkpoint is another one. A witness that knows the log says where it stands, once.
    workspace.run("ledger checkpoint --ledger ledger").succeeds();
    fs::copy(workspace.path("ledger/checkpoint"), workspace.path("kept")).unwrap();
    workspace.run(REVOKE).succeeds();
    workspace.run(verify).exits(4).says("0 of 1 witnesses");
    fs::write(workspace.path("w1.pub"), format!("{}\n", signer.vkey())).unwrap();
    let told = submit(&workspace, &server, "w1.pub --json").succeeds().json();
    assert_eq!(told["added"][0]["name"], "witness.example/w1");
    assert_eq!(told["checkpoint"], checkpoint(&workspace));
    let sizes: Vec<_> = server.requests().iter().map(|body| (old(body), size(body))).collect();
    assert_eq!(sizes, [(0, 1), (0, 2), (1, 2)]);
    let verified = workspace.run(&format!("{verify} --json")).succeeds().json();
    assert_eq!(verified["witnesses"][0]["name"], "witness.example/w1");

    // What is made from it carries the line; and again, of nothing new.
    workspace.run("ledger prove --ledger ledger -o x.tlog-proof").succeeds();
    assert!(
        fs::read_to_string(workspace.path("x.tlog-proof")).unwrap().contains("witness.example/w1")
    );
    submit(&workspace, &server, "w1.pub").succeeds();
    workspace.run("ledger verify --ledger ledger --against kept").succeeds();

    // Offline, with the key and the kept checkpoint alone.
    workspace.run("ledger prove --ledger ledger --since 1 -o x.extension").succeeds();
    fs::remove_dir_all(workspace.path("ledger")).unwrap();
    let offline = "ledger verify --against kept --extension x.extension --ledger-key log.pub";
    let told = workspace.run(&format!("{offline} --witness-policy one.policy")).succeeds().stdout;
    assert!(told.contains("2 entries of") && told.contains("extend the 1 of"), "{told}");
    assert!(told.contains("witnessed by witness.example/w1"), "{told}");
    fs::write(workspace.path("none.policy"), "quorum none\n").unwrap();
    workspace.run(&format!("{offline} --witness-policy none.policy")).succeeds();
    let other = format!("witness B {}\nquorum B\n", Signer::new(2).vkey());
    fs::write(workspace.path("other.policy"), other).unwrap();
    let refused = workspace.run(&format!("{offline} --witness-policy other.policy --json"));
    assert_eq!(refused.exits(4).json()["verdict"], "untrusted");
    fs::write(workspace.path("bad.policy"), "quorum some\n").unwrap();
    workspace.run(&format!("{offline} --witness-policy bad.policy")).exits(1).says("line 1");
}

#[test]
fn what_does_not_verify_is_not_kept() {
    let workspace = begun();
    let signer = Signer::new(1);
    let before = checkpoint(&workspace);
    let strange = Server::new(|_, body| (200, "text/plain", Signer::new(2).line(body, 7)));
    submit(&workspace, &strange, &signer.vkey()).exits(4).says("by a key that was given");
    let forged = Server::new(|_, body| {
        let other = body.replacen("\n1\n", "\n2\n", 1);
        (200, "text/plain", Signer::new(1).line(&other, 7))
    });
    submit(&workspace, &forged, &signer.vkey()).exits(3).says("is wrong");
    let timeless = Server::new(|_, body| (200, "text/plain", Signer::new(1).line(body, 0)));
    submit(&workspace, &timeless, &signer.vkey()).exits(1).says("has the time 0");
    for body in ["", "hello\n", "— x y\n"] {
        let server = Server::saying(200, "text/plain", body);
        submit(&workspace, &server, &signer.vkey()).exits(1).says("not a signature line");
    }
    let endless = Server::saying(200, "text/plain", &"x".repeat(1 << 20));
    submit(&workspace, &endless, &signer.vkey()).exits(1);
    assert_eq!(checkpoint(&workspace), before);
    // The log's own key is no witness's, and a prefix is a web address.
    let server = Server::honest(1);
    submit(&workspace, &server, "log.pub").exits(1).says("type 1");
    submit(&workspace, &server, "nothing.pub").exits(1);
    let key = signer.vkey();
    let words = format!("ledger witness ftp://x --ledger ledger --witness-key {key}");
    workspace.run(&words).exits(2).says("https://HOST/PATH");
    assert!(server.requests().is_empty());
}

#[test]
fn each_refusal_of_a_witness_is_told_as_what_it_is() {
    let workspace = begun();
    let key = Signer::new(1).vkey();
    let size = "text/x.tlog.size";
    let before = checkpoint(&workspace);
    for (server, code, said) in [
        (Server::saying(400, "text/plain", "no such line\n"), 1, "no such line"),
        (Server::saying(403, "text/plain", ""), 4, "with another key"),
        (Server::saying(404, "text/plain", ""), 1, "does not know the log"),
        (Server::saying(422, "text/plain", ""), 1, "does not take the proof"),
        (Server::saying(500, "text/html", "\u{1b}[2Joops"), 1, "status 500"),
        // Nothing is followed, nowhere.
        (Server::saying(307, "text/plain", ""), 1, "status 307"),
        // It has seen more of this log than there is.
        (Server::saying(409, size, "5\n"), 5, "rolled back"),
        // It has seen another log of this size, or another beginning.
        (Server::saying(409, size, "1\n"), 3, "not the first 1"),
        (
            Server::new(move |n, _| match n {
                0 => (409, size, "1\n".into()),
                _ => (422, "text/plain", String::new()),
            }),
            3,
            "not the first 1",
        ),
        // It changes its mind, or does not say what it knows.
        (Server::saying(409, size, "0\n"), 1, "meanwhile"),
        (Server::saying(409, "text/plain", "1\n"), 1, "which size it knows"),
        (Server::saying(409, size, "one\n"), 1, "which size it knows"),
    ] {
        let ran = submit(&workspace, &server, &key).exits(code).says(said);
        assert!(!ran.stderr.contains('\u{1b}'), "{}", ran.stderr);
        assert!(server.requests().len() <= 2, "{said}");
    }
    assert_eq!(checkpoint(&workspace), before);
    // Nobody is there; and of several, those that cosign are kept, the gravest refusal is told.
    let words = format!("ledger witness http://127.0.0.1:1/w --ledger ledger --witness-key {key}");
    workspace.run(&words).exits(1);
    let (good, stale) = (Server::honest(1), Server::saying(409, size, "5\n"));
    let words = format!(
        "ledger witness http://127.0.0.1:1/w {} {} --ledger ledger --witness-key {key}",
        good.url, stale.url
    );
    workspace.run(&words).exits(5).says("rolled back").says("127.0.0.1:1");
    assert!(checkpoint(&workspace).contains("witness.example/w1"));
}

#[test]
fn an_extension_that_is_none_is_refused_offline() {
    let workspace = begun();
    fs::copy(workspace.path("ledger/checkpoint"), workspace.path("kept")).unwrap();
    workspace.run(REVOKE).succeeds();
    let prove = "ledger prove --ledger ledger --since";
    workspace.run(&format!("{prove} 1 -o x.extension")).succeeds();
    let offline = "ledger verify --against kept --extension x.extension --ledger-key log.pub";
    workspace.run(offline).succeeds();
    let shown = workspace.run(&format!("{prove} 1 --json")).succeeds().json();
    let whole = fs::read_to_string(workspace.path("x.extension")).unwrap();
    assert_eq!((&shown["since"], &shown["extension"]), (&1.into(), &whole.clone().into()));
    workspace.run(&format!("{prove} 3")).exits(1).says("no such size: 3");

    // From another size; of another path; of another checkpoint; cut short.
    for since in ["0", "2"] {
        workspace.run(&format!("{prove} {since} -o x.extension")).succeeds();
        workspace.run(offline).exits(3).says("--since 1");
    }
    let lines: Vec<&str> = whole.lines().collect();
    for (bad, says) in [
        (whole.replacen(lines[1], lines[5], 1), "does not begin with"),
        (whole.replacen("\n2\n", "\n3\n", 1), "is wrong"),
        (whole[..40].to_owned(), "malformed"),
        (String::new(), "malformed"),
    ] {
        fs::write(workspace.path("x.extension"), bad).unwrap();
        workspace.run(offline).exits(3).says(says);
    }
    // The kept checkpoint is another log's, or the key is.
    fs::write(workspace.path("x.extension"), &whole).unwrap();
    workspace.run("ledger init other").succeeds();
    workspace.run(&offline.replace("log.pub", "other/log.pub")).exits(3).says("not signed by");
    workspace.run(&offline.replace("kept", "other/checkpoint")).exits(3).says("kept checkpoint");
    let refused = workspace.run(&format!("{} --json", offline.replace("kept", "other/checkpoint")));
    assert_eq!(refused.exits(3).json()["verdict"], "tampered");
    // Neither a ledger nor both.
    workspace.run("ledger verify --extension x.extension --ledger-key log.pub").exits(2);
    workspace.run("ledger verify --against kept --extension x.extension").exits(2);
    workspace.run(&format!("{offline} --ledger ledger")).exits(2);
    workspace.run("ledger verify").exits(2);
}

#[test]
fn a_receipt_and_a_certificate_are_held_against_a_policy() {
    let workspace = Workspace::with_ring();
    workspace.register("net.ring", "ledger");
    workspace
        .run("run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy --ledger ledger --receipt x.receipt")
        .succeeds();
    let make = "certificate make --receipt x.receipt --ledger ledger -o x.certificate";
    let receipt = "receipt verify x.receipt --ring net.ring --owner keys/owner.pub";
    let all = [
        format!("{receipt} --ledger ledger"),
        format!("{receipt} --proof x.tlog-proof --ledger-key ledger/log.pub"),
        "certificate verify x.certificate --owner keys/owner.pub --ledger-key ledger/log.pub"
            .to_owned(),
    ];
    fs::write(
        workspace.path("a.policy"),
        format!("witness A {}\nquorum A\n", Signer::new(1).vkey()),
    )
    .unwrap();
    for witnessed in [false, true] {
        if witnessed {
            submit(&workspace, &Server::honest(1), &Signer::new(1).vkey()).succeeds();
        }
        workspace.run(make).succeeds();
        workspace
            .run("ledger prove --ledger ledger --receipt x.receipt -o x.tlog-proof")
            .succeeds();
        for words in &all {
            workspace.run(words).succeeds();
            let ran = workspace.run(&format!("{words} --witness-policy a.policy"));
            let json = workspace.run(&format!("{words} --witness-policy a.policy --json"));
            if witnessed {
                assert!(
                    ran.succeeds().stdout.contains("witnessed by witness.example/w1"),
                    "{words}"
                );
                assert_eq!(json.succeeds().json()["witnesses"][0]["at"], 1_700_000_000);
            } else {
                ran.exits(4).says("0 of 1 witnesses cosigned");
                let json = json.exits(4).json();
                assert!(json["witnesses"].is_null() && json["verdict"] == "untrusted", "{words}");
            }
        }
    }
    workspace.run(&format!("{receipt} --witness-policy a.policy")).exits(2);
}
