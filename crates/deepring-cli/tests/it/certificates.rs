//! A decision in one file: made from receipt and ledger, checked with two public keys and nothing else.

use std::fs;

use deepring::SecretKey;
use deepring::keys::Node;
use deepring_ledger::Ledger;
use deepring_ledger::witness::WitnessKey;

use crate::workspace::Workspace;

const NONCE: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// A dealt ring of three hosts, a query with a nonce on the ledger, and its certificate.
fn certified() -> Workspace {
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
    workspace
        .run(&format!(
            "run net.ring --owner keys/owner.pub --key a/host.key --key b/host.key --key c/host.key --input x.npy \
             --ledger ledger --receipt x.receipt --output-dir out --nonce {NONCE}"
        ))
        .succeeds();
    workspace
        .run("certificate make --receipt x.receipt --ledger ledger -o x.certificate")
        .succeeds();
    workspace
}

#[test]
fn a_certificate_convinces_with_two_public_keys_and_is_about_this_question() {
    let workspace = certified();
    // Nothing else is at hand: no ring, no ledger, no trust store.
    for name in ["net.ring", "net.deal", "x.receipt"] {
        fs::remove_file(workspace.path(name)).unwrap();
    }
    fs::copy(workspace.path("ledger/log.pub"), workspace.path("log.pub")).unwrap();
    fs::remove_dir_all(workspace.path("ledger")).unwrap();
    let verify = "certificate verify x.certificate --owner keys/owner.pub --ledger-key log.pub";
    let shown = workspace.run(verify).succeeds().stdout;
    assert!(shown.contains("NOT compared") && shown.contains("validated by drhost1"), "{shown}");
    workspace
        .run(&format!(
            "{verify} --nonce {NONCE} --require validated --input x.npy --output out/logits.npy"
        ))
        .succeeds();
    let other = NONCE.replace("00", "01");
    workspace.run(&format!("{verify} --nonce {other}")).exits(5).says("nonce");
    workspace.run(&format!("{verify} --require majority")).exits(4).says("majority");
    let shown = workspace.run(&format!("{verify} --json")).succeeds().json();
    assert_eq!(shown["verdict"], "intact");
    workspace.run("keygen --out stranger").succeeds();
    let strange = verify.replace("keys/owner.pub", "stranger/owner.pub");
    workspace.run(&strange).exits(4).says("not trusted");
}

#[test]
fn a_changed_certificate_is_refused() {
    let workspace = certified();
    let verify =
        "certificate verify x.certificate --owner keys/owner.pub --ledger-key ledger/log.pub";
    let whole = fs::read(workspace.path("x.certificate")).unwrap();
    // The last 32 bytes of the decision are its salt; a step that meets every field.
    for at in (0..whole.len()).step_by(131).chain([whole.len() - 1]) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(workspace.path("x.certificate"), &bytes).unwrap();
        let code = workspace.run(verify).code;
        assert!(matches!(code, Some(3 | 4)), "byte {at} of {}: exit {code:?}", whole.len());
    }
    fs::write(workspace.path("x.certificate"), &whole[..whole.len() - 1]).unwrap();
    workspace.run(verify).exits(3);
}

/// A host goes back to the file from before the deal, and the ledger was not told of the deal yet.
#[test]
fn a_certificate_from_before_a_deal_is_stale_where_the_deal_was_seen() {
    let workspace = Workspace::with_ring();
    workspace.run("keygen --out more").succeeds();
    workspace.run("ledger init ledger").succeeds();
    workspace.register("net.ring", "ledger");
    workspace
        .run(
            "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy --ledger ledger \
             --receipt x.receipt",
        )
        .succeeds();
    workspace
        .run("certificate make --receipt x.receipt --ledger ledger -o x.certificate")
        .succeeds();
    let verify =
        "certificate verify x.certificate --owner keys/owner.pub --ledger-key ledger/log.pub";
    let shown = workspace.run(&format!("{verify} --json")).succeeds().json();
    assert_eq!(shown["newer_version"], serde_json::Value::Null);
    workspace
        .run(
            "deal net.ring --owner-key keys/owner.key --leg 1-2=keys/host.pub --leg 3-5=more/host.pub \
             -o net.deal",
        )
        .succeeds();
    workspace.run(verify).exits(5).says("before its deal 2");
    let refused = workspace.run(&format!("{verify} --json")).exits(5).json();
    assert_eq!(refused["verdict"], "stale");
    workspace.run(&format!("{verify} --require none")).succeeds();
    // Another reader saw nothing of it.
    workspace.run(&format!("{verify} --trust none.json")).succeeds();
    fs::write(workspace.path("garbage.json"), "garbage").unwrap();
    workspace.run(&format!("{verify} --trust garbage.json")).exits(1).says("not a trust store");
}

#[test]
fn a_certificate_is_verified_by_the_nodes_that_keep_the_ledger() {
    let workspace = certified();
    let nodes = ["n1", "n2", "n3", "n4"];
    for node in nodes {
        workspace.run(&format!("keygen --node --out {node}")).succeeds();
    }
    let all = nodes.map(|node| format!("--node {node}/node.pub")).join(" ");
    workspace
        .run(&format!(
            "ledger validator-set --owner-key keys/owner.key --owner keys/owner.pub {all} --ledger ledger -o set.entry"
        ))
        .succeeds();
    let make = "certificate make --receipt x.receipt --ledger ledger -o x.certificate";
    let verify = "certificate verify x.certificate --owner keys/owner.pub --validators set.entry";
    let mut secrets = Vec::new();
    for (count, node) in (1..).zip(nodes) {
        let text = fs::read_to_string(workspace.path(&format!("{node}/node.key"))).unwrap();
        secrets.push(SecretKey::<Node>::from_secret_text(&text).unwrap());
        let mut ledger = Ledger::open(workspace.path("ledger")).unwrap();
        let checkpoint = ledger.checkpoint().clone();
        let lines: String = secrets
            .iter()
            .map(|key| checkpoint.body().cosign(key, 1_700_000_000).unwrap())
            .collect();
        let keys: Vec<_> =
            secrets.iter().map(|key| WitnessKey::of_node(&key.public()).unwrap()).collect();
        ledger.keep_cosignatures(&checkpoint.cosigned(&lines, &keys).unwrap()).unwrap();
        drop(ledger);
        workspace.run(make).succeeds();
        match count >= 3 {
            true => {
                let shown = workspace.run(verify).succeeds().stdout;
                assert!(shown.contains(&format!("{count} nodes of the validator set")), "{shown}");
                let shown = workspace.run(&format!("{verify} --json")).succeeds().json();
                assert_eq!(shown["cosigned_by"].as_array().unwrap().len(), count);
            }
            false => _ = workspace.run(verify).exits(4).says("3 are needed"),
        }
    }
    workspace.run(&format!("{verify} --ledger-key ledger/log.pub")).exits(2);
    workspace.run(&verify.replace(" --validators set.entry", "")).exits(2);
    let mut bytes = fs::read(workspace.path("set.entry")).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(workspace.path("set.entry"), bytes).unwrap();
    workspace.run(verify).exits(3).says("set.entry");
    fs::write(workspace.path("set.entry"), b"").unwrap();
    workspace.run(verify).exits(3).says("validator-set -o");
}

/// Decided before anybody validated it, and under no deal, whatever was dealt since.
#[test]
fn a_certificate_says_in_how_many_copies_a_decision_was_made_and_under_which_deal_if_any() {
    let workspace = Workspace::with_ring();
    for host in ["a", "b", "c"] {
        workspace.run(&format!("keygen --out {host}")).succeeds();
    }
    workspace.run("ledger init ledger").succeeds();
    workspace.register("net.ring", "ledger");
    let run = "run net.ring --owner keys/owner.pub --input x.npy --ledger ledger";
    workspace.run(&format!("{run} --key keys/host.key --receipt before.receipt")).succeeds();
    let deal = "deal net.ring --owner-key keys/owner.key --leg 1-2=a/host.pub --leg 3-4=b/host.pub --leg 5=c/host.pub -o net.deal";
    workspace.run(deal).succeeds();
    workspace.register("net.ring", "ledger");
    let keys = "--key a/host.key --key b/host.key --key c/host.key";
    workspace.run(&format!("{run} {keys} --require none --receipt alone.receipt")).succeeds();
    let made = |receipt: &str| {
        let words = format!(
            "certificate make --receipt {receipt} --ledger ledger --require none -o {receipt}.certificate --json"
        );
        let json = workspace.run(&words).succeeds().json();
        assert_eq!(json["certificate"], format!("{receipt}.certificate"));
        workspace
            .run(&format!(
                "certificate verify {receipt}.certificate --owner keys/owner.pub --ledger-key ledger/log.pub --require none"
            ))
            .succeeds()
            .stdout
    };
    let before = made("before.receipt");
    assert!(before.contains("not dealt: its owner asked for no validation"), "{before}");
    let alone = made("alone.receipt");
    assert!(alone.contains("on one copy of each leg, outside its deal"), "{alone}");
    assert!(!alone.contains("under its deal"), "{alone}");
}

#[test]
fn a_file_of_validators_that_nobody_signed_so_is_tampered_with() {
    let workspace = certified();
    fs::write(workspace.path("none.entry"), "no entry").unwrap();
    workspace
        .run("certificate verify x.certificate --owner keys/owner.pub --validators none.entry")
        .exits(3)
        .says("validator-set -o FILE");
}
