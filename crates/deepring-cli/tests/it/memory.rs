//! Trust that does not forget: who is trusted, what is kept of rings, and what is bound to which path.

mod receipts;
mod store;

use std::fs;

use deepring::seal::{RingPlan, RingSealer};
use deepring::{Owner, PartKind, SecretKey};
use deepring_testkit::plans::{block, tensor};

use crate::workspace::Workspace;

/// A workspace with `a.ring` and, of a second owner in `b`, `b.ring`; both for the host of `keys`.
fn two_owners() -> Workspace {
    let workspace = Workspace::with_keys();
    workspace.run("keygen --out b").succeeds();
    workspace.seal("a.ring", "");
    workspace.run("seal net.onnx --owner b/owner.key --host keys/host.pub -o b.ring").succeeds();
    workspace
}

/// Seals, with B's key, a ring under the id of another's, as somebody would with software of his own.
fn claimed(workspace: &Workspace, target: &str, id_of: &str) {
    let theirs = workspace.ring(id_of);
    let [x, y] = ["x", "y"].map(|name| tensor(name, 2));
    let plan = RingPlan {
        kind: deepring::RingKind::Network,
        deal: None,
        model_version: u64::MAX,
        previous: Some((&theirs).into()),
        sealed_at: 0,
        blocks: vec![
            block("genesis", (y.clone(), x.clone()), vec![(PartKind::Manifest, 8)], &[]),
            block("layer", (x, y), vec![(PartKind::Graph, 3)], &[]),
        ],
    };
    let owner = SecretKey::<Owner>::read(&workspace.path("b/owner.key")).unwrap();
    let mut sealer = RingSealer::create(&workspace.path(target), &plan, &owner).unwrap();
    sealer.seal_block(b"manifest").unwrap();
    sealer.seal_block(b"op!").unwrap();
    sealer.finish().unwrap();
}

const RUN: &str = "--key keys/host.key --input x.npy";

#[test]
fn another_owners_ring_under_the_same_id_does_not_bring_an_old_version_back() {
    let workspace = two_owners();
    workspace.seal("a2.ring", "--previous a.ring");
    workspace.run("trust add keys/owner.pub").succeeds();
    workspace.run("verify a2.ring").succeeds();
    workspace.run("verify a.ring").exits(5);

    claimed(&workspace, "claimed.ring", "a.ring");
    workspace.run("verify claimed.ring --owner b/owner.pub").succeeds();
    workspace.run("verify claimed.ring --owner b/owner.pub --remember").succeeds();
    // Bound and remembered, too; that it cannot be run is found later.
    workspace.run(&format!("run claimed.ring --owner b/owner.pub {RUN}")).exits(4);

    for owner in ["", "--owner keys/owner.pub"] {
        workspace.run(&format!("verify a.ring {owner}")).exits(5).says("older than version 2");
        workspace.run(&format!("run a.ring {owner} {RUN}")).exits(5);
        workspace.run(&format!("verify a2.ring {owner}")).succeeds();
    }
}

#[test]
fn a_look_at_a_foreign_ring_makes_nobody_trusted() {
    let workspace = two_owners();
    workspace.run("inspect b.ring").succeeds();
    workspace.run("verify b.ring --owner b/owner.pub").succeeds();
    workspace.run(&format!("run b.ring --owner b/owner.pub {RUN} --receipt b.receipt")).succeeds();
    workspace.run("receipt verify b.receipt --ring b.ring --owner b/owner.pub").succeeds();
    workspace.run("repair b.ring --from b.ring --owner b/owner.pub").succeeds();
    workspace.run("grant b.ring --owner-key b/owner.key --host b/host.pub").succeeds();
    let listed = workspace.run("trust list --json").succeeds().json();
    assert_eq!(listed["owners"], serde_json::json!([]));

    workspace.run("trust add keys/owner.pub").succeeds();
    workspace.run(&format!("run a.ring {RUN}")).succeeds();
    fs::copy(workspace.path("b.ring"), workspace.path("a.ring")).unwrap();
    workspace.run(&format!("run a.ring {RUN}")).exits(4).says("not trusted here");
}

#[test]
fn inspect_verify_and_receipts_remember_versions_of_trusted_owners_only() {
    for trusted in [true, false] {
        let workspace = two_owners();
        workspace.seal("a2.ring", "--previous a.ring");
        workspace
            .run(&format!(
                "run a2.ring --owner keys/owner.pub {RUN} --receipt x.receipt --trust else.json"
            ))
            .succeeds();
        if trusted {
            workspace.run("trust add keys/owner.pub").succeeds();
        }
        for look in [
            "inspect a2.ring",
            "verify a2.ring --owner keys/owner.pub",
            "receipt verify x.receipt --ring a2.ring --owner keys/owner.pub",
        ] {
            let before = fs::read(workspace.path("trust.json")).ok();
            workspace.run(look).succeeds();
            let listed = workspace.run("trust list --json").succeeds().json();
            let versions: Vec<_> = listed["rings"].as_array().unwrap().iter().collect();
            if trusted {
                assert_eq!(versions.len(), 1, "{look}");
                assert_eq!(versions[0]["model_version"], 2, "{look}");
                workspace.run("verify a.ring --owner keys/owner.pub").exits(5);
                // Each look is to be the first.
                fs::write(workspace.path("trust.json"), before.unwrap()).unwrap();
            } else {
                assert!(versions.is_empty() && !workspace.path("trust.json").exists(), "{look}");
            }
        }
    }
}

#[test]
fn at_a_bound_path_no_other_ring_is_accepted_by_any_command_until_it_is_bound_anew() {
    let workspace = two_owners();
    workspace.seal("own.ring", "");
    workspace.run("trust add keys/owner.pub b/owner.pub").succeeds();
    workspace
        .run(&format!("run a.ring --owner keys/owner.pub {RUN} --receipt a.receipt"))
        .succeeds();
    let [a, b] = ["keys/owner.pub", "b/owner.pub"]
        .map(|file| fs::read_to_string(workspace.path(file)).unwrap().trim().to_owned());
    fs::copy(workspace.path("a.ring"), workspace.path("kept.ring")).unwrap();

    fs::copy(workspace.path("b.ring"), workspace.path("a.ring")).unwrap();
    for words in [
        format!("run a.ring {RUN}"),
        format!("run a.ring --owner b/owner.pub {RUN}"),
        format!("run a.ring --owner b/owner.pub --remember {RUN}"),
        "verify a.ring".to_owned(),
        "verify a.ring --owner b/owner.pub".to_owned(),
        "receipt verify a.receipt --ring a.ring --owner b/owner.pub".to_owned(),
        "repair a.ring --from b.ring --owner b/owner.pub".to_owned(),
        "grant a.ring --owner-key b/owner.key --host b/host.pub".to_owned(),
        "export a.ring --key b/owner.key -o out.onnx".to_owned(),
        "seal net.onnx --owner b/owner.key --host keys/host.pub --previous a.ring -o c.ring"
            .to_owned(),
    ] {
        let said =
            workspace.run(&words).exits(4).says("is bound to").says("deepring trust bind").stderr;
        assert!(said.contains(&a) && said.contains(&b), "{words}: {said}");
    }
    // Shown, and not as what belongs there.
    for words in ["inspect a.ring", "inspect a.ring --json"] {
        let shown = workspace.run(words).exits(4).says("is bound to");
        assert!(shown.stdout.contains(&b), "{}", shown.stdout);
    }
    fs::copy(workspace.path("b.ring"), workspace.path("other.ring")).unwrap();
    let repair = "repair other.ring --from a.ring --owner b/owner.pub";
    workspace.run(repair).exits(4).says("is bound to");
    // Nor may a grant or a repair from another ring put it there.
    workspace
        .run("grant b.ring --owner-key b/owner.key --host b/host.pub -o a.ring")
        .exits(4)
        .says("is bound to");
    fs::write(workspace.path("a.ring"), "destroyed").unwrap();
    workspace.run("repair a.ring --from b.ring --owner b/owner.pub").exits(4).says("is bound to");
    // Another ring of the same owner is another ring.
    fs::copy(workspace.path("own.ring"), workspace.path("a.ring")).unwrap();
    workspace.run(&format!("run a.ring --owner keys/owner.pub {RUN}")).exits(4).says("is bound to");
    // What is bound is fine, and so is its next version.
    fs::copy(workspace.path("kept.ring"), workspace.path("a.ring")).unwrap();
    workspace.run(&format!("run a.ring {RUN}")).succeeds();
    workspace.seal("a.ring", "--previous kept.ring");
    workspace.run(&format!("run a.ring {RUN}")).succeeds();

    fs::copy(workspace.path("b.ring"), workspace.path("a.ring")).unwrap();
    workspace.run("trust bind a.ring --owner keys/owner.pub").exits(4);
    workspace.run("trust bind a.ring --owner b/owner.pub").succeeds().says("it was bound to");
    workspace.run(&format!("run a.ring --owner b/owner.pub {RUN}")).succeeds();
    fs::copy(workspace.path("kept.ring"), workspace.path("a.ring")).unwrap();
    workspace.run(&format!("run a.ring {RUN}")).exits(4);
    // Unbound, any trusted ring passes; and what was seen of A's is remembered all the while.
    workspace.run("trust remove --path a.ring").succeeds();
    workspace.run(&format!("run a.ring {RUN}")).exits(5).says("older than version 2");
}

/// By whatever way the path is named, and though nothing is there.
#[cfg(unix)]
#[test]
fn no_other_ring_is_put_where_a_bound_one_is_gone() {
    let workspace = two_owners();
    workspace.run("trust add keys/owner.pub b/owner.pub").succeeds();
    fs::create_dir_all(workspace.path("w/sub")).unwrap();
    std::os::unix::fs::symlink("w", workspace.path("way")).unwrap();
    fs::copy(workspace.path("a.ring"), workspace.path("w/a.ring")).unwrap();
    workspace.run(&format!("run w/a.ring --owner keys/owner.pub {RUN}")).succeeds();
    fs::remove_file(workspace.path("w/a.ring")).unwrap();
    workspace.run("ledger init ledger").succeeds();
    for path in ["w/a.ring", "w/sub/../a.ring", "way/a.ring", "b/../way/sub/../a.ring"] {
        for words in [
            "grant b.ring --owner-key b/owner.key --host keys/host.pub",
            "seal net.onnx --owner b/owner.key --host keys/host.pub",
            "seal net.onnx --owner keys/owner.key --host keys/host.pub",
            "seal net.onnx --owner b/owner.key --host keys/host.pub --previous b.ring",
            "export b.ring --key b/owner.key --owner b/owner.pub",
            #[cfg(feature = "attacks")]
            "attack a.ring --kind ring-rollback --with b.ring",
            #[cfg(feature = "attacks")]
            "attack net.onnx --kind zero",
            #[cfg(feature = "attacks")]
            "quantise net.onnx",
        ] {
            let words = format!("{words} -o {path}");
            workspace.run(&words).exits(4).says("is bound to");
            assert!(!workspace.path("w/a.ring").exists(), "{words}");
        }
        for words in [
            format!("run b.ring --owner b/owner.pub {RUN} --receipt {path}"),
            format!("ledger prove --ledger ledger -o {path}"),
        ] {
            workspace.run(&words).exits(4).says("is bound to");
            assert!(!workspace.path("w/a.ring").exists(), "{words}");
        }
    }
}

/// Each link on the way counts, whichever of them is turned.
#[cfg(unix)]
#[test]
fn where_a_link_on_the_way_is_turned_every_name_behind_it_stays_bound() {
    use std::os::unix::fs::symlink;
    let workspace = two_owners();
    workspace.run("trust add keys/owner.pub b/owner.pub").succeeds();
    for folder in ["one", "two"] {
        fs::create_dir_all(workspace.path(folder)).unwrap();
    }
    symlink("now", workspace.path("way")).unwrap();
    symlink("one", workspace.path("now")).unwrap();
    fs::copy(workspace.path("a.ring"), workspace.path("one/x.ring")).unwrap();
    workspace.run(&format!("run way/x.ring --owner keys/owner.pub {RUN}")).succeeds();
    fs::remove_file(workspace.path("now")).unwrap();
    symlink("two", workspace.path("now")).unwrap();
    fs::copy(workspace.path("b.ring"), workspace.path("two/x.ring")).unwrap();
    for path in ["way/x.ring", "now/x.ring", "two/../now/x.ring"] {
        workspace.run(&format!("run {path} {RUN}")).exits(4).says("is bound to");
        let seal = format!("seal net.onnx --owner b/owner.key --host keys/host.pub -o {path}");
        workspace.run(&seal).exits(4).says("is bound to");
    }
    // Named by none of the links it is another file.
    workspace.run(&format!("run two/x.ring --owner b/owner.pub {RUN}")).succeeds();
}

/// A tensor's file is no ring; still nothing else is put where one is bound.
#[test]
fn no_tensor_is_written_where_a_ring_is_bound() {
    let workspace = two_owners();
    let inspected = workspace.run("inspect a.ring --json").succeeds().json();
    // What Genesis is given is what the network gives.
    let output = inspected["blocks"][0]["inputs"][0]["name"].as_str().unwrap().to_owned();
    fs::create_dir_all(workspace.path("out")).unwrap();
    let bound = format!("out/{output}.npy");
    fs::copy(workspace.path("a.ring"), workspace.path(&bound)).unwrap();
    workspace.run(&format!("trust bind {bound} --owner keys/owner.pub")).succeeds();
    let before = fs::read(workspace.path(&bound)).unwrap();
    workspace
        .run(&format!("run b.ring --owner b/owner.pub {RUN} --output-dir out"))
        .exits(4)
        .says("is bound to");
    assert!(fs::read(workspace.path(&bound)).unwrap() == before);
}

/// Nor is a folder made there, of whatever kind.
#[test]
fn no_folder_is_made_where_a_bound_ring_is_gone() {
    let workspace = two_owners();
    fs::copy(workspace.path("a.ring"), workspace.path("bound")).unwrap();
    workspace.run("trust bind bound --owner keys/owner.pub").succeeds();
    fs::remove_file(workspace.path("bound")).unwrap();
    let run = format!("run b.ring --owner b/owner.pub {RUN}");
    for words in [
        format!("{run} --output-dir bound"),
        format!("{run} --save-inputs ./bound"),
        format!("{run} --output-dir bound --sandbox"),
        "ledger register b.ring --owner-key b/owner.key --ledger bound --new-ledger".to_owned(),
        "run net.onnx --plain --input x.npy --output-dir bound".to_owned(),
        "ledger init bound".to_owned(),
    ] {
        workspace.run(&words).exits(4).says("is bound to");
        assert!(!workspace.path("bound").exists(), "{words}");
    }
}

#[cfg(unix)]
#[test]
fn a_link_in_a_bound_rings_place_is_not_followed_to_another_ring() {
    let workspace = two_owners();
    workspace.run("trust add keys/owner.pub b/owner.pub").succeeds();
    workspace.run(&format!("run a.ring --owner keys/owner.pub {RUN}")).succeeds();
    fs::rename(workspace.path("a.ring"), workspace.path("kept.ring")).unwrap();
    std::os::unix::fs::symlink("b.ring", workspace.path("a.ring")).unwrap();
    workspace.run(&format!("run a.ring {RUN}")).exits(4).says("is bound to");
}

/// Facts for which a grant was refused are not remembered of it.
#[cfg(unix)]
#[test]
fn a_refused_grant_binds_nothing() {
    use std::os::unix::fs::symlink;
    let workspace = two_owners();
    workspace.seal("own.ring", "");
    fs::copy(workspace.path("a.ring"), workspace.path("newer.ring")).unwrap();
    let key = "--owner-key keys/owner.key --host b/host.pub";
    workspace.run(&format!("grant newer.ring {key}")).succeeds();
    symlink("a.ring", workspace.path("link.ring")).unwrap();
    workspace.run("trust bind link.ring --owner keys/owner.pub").succeeds();
    fs::remove_file(workspace.path("link.ring")).unwrap();
    symlink("own.ring", workspace.path("link.ring")).unwrap();
    fs::copy(workspace.path("a.ring"), workspace.path("unbound.ring")).unwrap();
    let before = fs::read(workspace.path("trust.json")).unwrap();
    for (words, code) in [
        (format!("grant link.ring {key}"), 4),
        (format!("grant own.ring {key} -o link.ring"), 4),
        (format!("grant own.ring {key} -o a.ring"), 4),
        (format!("grant unbound.ring {key} -o newer.ring"), 5),
        ("grant own.ring --owner-key keys/owner.key --host 9=b/host.pub".to_owned(), 2),
        (format!("grant own.ring {key} -o none/x.ring"), 1),
        (format!("grant own.ring {}", key.replace("keys/", "b/")), 4),
    ] {
        workspace.run(&words).exits(code);
        assert!(fs::read(workspace.path("trust.json")).unwrap() == before, "{words}");
    }
}

/// A link that was bound, and leads to another bound ring now, has two bindings.
#[cfg(unix)]
#[test]
fn a_bound_link_that_leads_to_another_bound_ring_is_neither_written_through_nor_taken_from() {
    let workspace = two_owners();
    workspace.run("trust add keys/owner.pub b/owner.pub").succeeds();
    fs::copy(workspace.path("a.ring"), workspace.path("first.ring")).unwrap();
    std::os::unix::fs::symlink("first.ring", workspace.path("link.ring")).unwrap();
    workspace.run("trust bind link.ring --owner keys/owner.pub").succeeds();
    workspace.run("trust bind b.ring --owner b/owner.pub").succeeds();
    fs::remove_file(workspace.path("link.ring")).unwrap();
    std::os::unix::fs::symlink("b.ring", workspace.path("link.ring")).unwrap();
    let before = fs::read(workspace.path("b.ring")).unwrap();
    fs::write(workspace.path("broken.ring"), "broken").unwrap();
    for words in [
        "grant a.ring --owner-key keys/owner.key --host b/host.pub -o link.ring",
        "grant b.ring --owner-key b/owner.key --host b/host.pub -o link.ring",
        "repair broken.ring --from link.ring --owner b/owner.pub",
        "inspect link.ring",
        "verify link.ring",
    ] {
        workspace.run(words).exits(4).says("is bound to");
        assert!(fs::read(workspace.path("b.ring")).unwrap() == before, "{words}");
    }
    // What is forgotten is what was named.
    workspace.run("trust remove --path link.ring").succeeds();
    let listed = workspace.run("trust list --json").succeeds().json();
    let paths: Vec<_> = listed["paths"].as_array().unwrap().iter().map(|p| &p["path"]).collect();
    assert!(paths.iter().any(|p| p.as_str().unwrap().ends_with("/b.ring")), "{paths:?}");
    assert!(!paths.iter().any(|p| p.as_str().unwrap().ends_with("/link.ring")), "{paths:?}");
}

#[test]
fn trust_is_added_listed_and_removed_by_name() {
    let workspace = two_owners();
    let key = fs::read_to_string(workspace.path("keys/owner.pub")).unwrap().trim().to_owned();
    workspace.run("trust list").succeeds().says("no owner is trusted");
    let added = workspace.run("trust add keys/owner.pub").succeeds().stdout;
    assert_eq!(added, format!("trusted from now on: {key}\n"));
    assert!(
        workspace.run("trust add keys/owner.pub").succeeds().stdout.starts_with("trusted already")
    );
    workspace.run("trust add keys/owner.key").exits(1);
    workspace.run("verify a.ring").succeeds();
    workspace.seal("a2.ring", "--previous a.ring");
    workspace.run("verify a2.ring").succeeds();

    workspace.run(&format!("trust remove {key}")).succeeds().says("stays remembered");
    workspace.run("trust remove keys/owner.pub").exits(1).says("trust list");
    workspace.run("verify a2.ring").exits(4);
    let listed = workspace.run("trust list").succeeds().stdout;
    assert!(listed.contains("version 2 seen") && listed.contains("who is not trusted"), "{listed}");
    workspace.run("verify a.ring --owner keys/owner.pub").exits(5);
    workspace.run("trust remove --path a.ring").exits(1).says("is not bound");
    workspace.run("trust remove --ledger nowhere").exits(1).says("is not known");
}

#[test]
fn a_run_that_does_not_open_the_ring_binds_nothing_and_trusts_nobody() {
    let workspace = two_owners();
    workspace.run("keygen --out theirs").succeeds();
    // A host of no block: the ring is authentic, and the run fails.
    let run = "run a.ring --owner keys/owner.pub --remember --key theirs/host.key --input x.npy";
    assert_ne!(workspace.run(run).code, Some(0));
    let listed = workspace.run("trust list --json").succeeds().stdout;
    assert!(!listed.contains("a.ring") && !listed.contains("drowner1"), "{listed}");
    fs::copy(workspace.path("b.ring"), workspace.path("a.ring")).unwrap();
    workspace.run(&format!("run a.ring --owner b/owner.pub {RUN}")).succeeds();
}
