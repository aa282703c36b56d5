//! The page for an auditor: every entry with a proof that verifies, and nothing in it that an entry's author could run.

use std::fs;

use deepring_ledger::{Proof, VerifierKey};

use crate::witness::{Server, Signer};
use crate::workspace::Workspace;

/// The texts between a tag that carries proofs and its end, as a browser shows them.
fn copied(page: &str) -> Vec<String> {
    let pieces = page.split("<pre class=\"copy\">").skip(1);
    let texts = pieces.map(|piece| piece.split_once("</pre>").unwrap().0);
    texts.map(|text| text.replace("&#39;", "'").replace("&amp;", "&")).collect()
}

fn section<'a>(page: &'a str, id: &str) -> &'a str {
    let from = page.split_once(&format!("<section id=\"{id}\">")).unwrap().1;
    from.split_once("</section>").unwrap().0
}

/// A ledger with a ring, a decision, an alarm, a repair, an upgrade and a revocation, whose reasons are hostile.
fn lived() -> Workspace {
    let workspace = Workspace::with_ring();
    workspace.register("net.ring", "ledger");
    let run =
        "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy --ledger ledger";
    workspace.run(run).succeeds();
    workspace.run(run).succeeds();
    fs::copy(workspace.path("net.ring"), workspace.path("whole.ring")).unwrap();
    let at = fs::metadata(workspace.path("net.ring")).unwrap().len() / 2;
    workspace.flip("net.ring", at as usize);
    workspace.run(run).exits(3);
    workspace
        .run("repair net.ring --from whole.ring --owner keys/owner.pub --key keys/host.key --ledger ledger")
        .succeeds();
    workspace.seal("two.ring", "--previous net.ring");
    workspace.register("two.ring", "ledger");
    let reason = "</p><script>alert(1)</script>\u{202e}&<img src=x onerror='y'>";
    let words =
        ["revoke", "key", "--key", "keys/host.key", "--ledger", "ledger", "--reason", reason];
    assert!(workspace.command_of(words).status().unwrap().success());
    workspace
}

#[test]
fn a_report_tells_each_entry_with_a_proof_and_runs_nothing() {
    let workspace = lived();
    let report = "ledger report --ledger ledger -o page.html";
    workspace.run(report).succeeds().says("wrote page.html");
    let page = fs::read_to_string(workspace.path("page.html")).unwrap();
    #[cfg(feature = "attacks")]
    assert!(deepring_attack::report::is_well_formed(&page));
    for text in ["<script", "<img", "\u{202e}", "http://", "https://", "onerror='"] {
        assert!(!page.contains(text), "{text}");
    }
    assert!(page.contains("default-src 'none'"));
    assert!(section(&page, "revocations").contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(section(&page, "alarms").contains("ALARM: "));
    assert!(section(&page, "repairs").contains("repair of blocks"));
    let versions = section(&page, "versions");
    assert!(versions.contains("Version 1") && versions.contains("Version 2"), "{versions}");
    assert!(versions.contains("2 queries in 2 decisions"), "{versions}");

    // Every entry is there once, and its proof holds under the ledger's key.
    let key = fs::read_to_string(workspace.path("ledger/log.pub")).unwrap();
    let key = VerifierKey::parse(&key).unwrap();
    let proofs = copied(&page).into_iter().filter(|text| text.starts_with("c2sp.org/tlog-proof"));
    let mut told: Vec<u64> =
        proofs.map(|text| Proof::parse(&text).unwrap().verify(&key).unwrap().index()).collect();
    told.sort_unstable();
    let size = workspace.acknowledged("ledger");
    assert_eq!(told, (0..size).collect::<Vec<_>>());
    let checkpoint = fs::read_to_string(workspace.path("ledger/checkpoint")).unwrap();
    assert!(copied(&page).contains(&checkpoint));

    // Of many decisions the newest.
    workspace.run(&format!("{report} --decisions 1")).succeeds();
    let page = fs::read_to_string(workspace.path("page.html")).unwrap();
    let decisions = section(&page, "decisions");
    assert_eq!(decisions.matches("<li ").count(), 1);
    assert!(decisions.contains("1 earlier one left out"), "{decisions}");
}

#[test]
fn there_is_no_report_on_a_ledger_that_does_not_verify_or_is_not_witnessed_as_asked() {
    let workspace = Workspace::with_keys();
    workspace.run("ledger init ledger").succeeds();
    workspace.run("revoke key --key keys/host.key --ledger ledger --reason lost").succeeds();
    let signer = Signer::new(1);
    fs::write(workspace.path("a.policy"), format!("witness A {}\nquorum A\n", signer.vkey()))
        .unwrap();
    let report = "ledger report --ledger ledger -o page.html --witness-policy a.policy";
    workspace.run(report).exits(4);
    assert!(!workspace.path("page.html").exists());
    let server = Server::honest(1);
    let words =
        format!("ledger witness {} --ledger ledger --witness-key {}", server.url, signer.vkey());
    workspace.run(&words).succeeds();
    workspace.run(report).succeeds();
    let page = fs::read_to_string(workspace.path("page.html")).unwrap();
    assert!(page.contains("witness.example/w1 at 2023-11-14"));

    fs::remove_file(workspace.path("page.html")).unwrap();
    let database = fs::read(workspace.path("ledger/ledger.redb")).unwrap();
    let at = database.windows(4).position(|bytes| bytes == b"lost").unwrap();
    workspace.flip("ledger/ledger.redb", at);
    workspace.run("ledger report --ledger ledger -o page.html").exits(3);
    assert!(!workspace.path("page.html").exists());
    // Nor is it written over what the command keeps or reads.
    workspace.run("ledger report --ledger ledger -o keys/host.key").exits(1);
}
