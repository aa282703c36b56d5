//! Names in rings cannot add a line to what is printed, hide one, or turn one round.

use std::fs;

use deepring::files::disturbs_line;

use crate::workspace::{Ran, Workspace};

/// The same network with other names: of the same length, so that the file stays well-formed.
fn rename(workspace: &Workspace, from: &[u8], to: &[u8]) {
    assert_eq!(from.len(), to.len());
    let mut bytes = fs::read(workspace.path("net.onnx")).unwrap();
    let mut found = 0;
    for at in 0..bytes.len() - from.len() {
        if &bytes[at..at + from.len()] == from {
            bytes[at..at + to.len()].copy_from_slice(to);
            found += 1;
        }
    }
    assert!(found > 0);
    fs::write(workspace.path("net.onnx"), bytes).unwrap();
}

/// Everything that shows names of a ring, in text.
fn printed(workspace: &Workspace) -> Vec<Ran> {
    let run = "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy --top 3";
    workspace.register("net.ring", "ledger");
    let recorded = "--receipt x.receipt --ledger ledger";
    let mut all = vec![
        workspace.run("inspect net.ring").succeeds(),
        workspace.run("verify net.ring --owner keys/owner.pub").succeeds(),
        workspace.run(&format!("{run} {recorded}")).succeeds(),
        workspace.run("receipt verify x.receipt --ring net.ring --owner keys/owner.pub").succeeds(),
        workspace.run(&format!("{run} --input y=x.npy")).exits(1),
    ];
    let at = workspace.ring("net.ring").stored_at(5, 64).unwrap();
    workspace.flip("net.ring", usize::try_from(at).unwrap());
    all.push(workspace.run("verify net.ring --owner keys/owner.pub").exits(3));
    all.push(workspace.run(&format!("{run} --ledger ledger")).exits(3));
    all.push(workspace.run("ledger show --ledger ledger").succeeds());
    all
}

#[test]
fn names_of_blocks_tensors_and_labels_stay_within_their_lines() {
    let desks = [false, true].map(|strange| {
        let workspace = Workspace::with_keys();
        if strange {
            // A line break, an escape sequence, and a right-to-left override.
            rename(&workspace, b"logits", b"lo\n\x1b[A");
            rename(&workspace, b"conv1", "c\u{202e}v".as_bytes());
            let labels = fs::read_to_string(workspace.path("labels.txt")).unwrap();
            let labels = labels.replace("Bag", "B\u{2028}decision deadbeef\u{202e}g\u{200b}");
            fs::write(workspace.path("labels.txt"), labels).unwrap();
        }
        workspace.seal("net.ring", "--cut op");
        workspace
    });
    let [plain, strange] = desks.each_ref().map(printed);
    for (plain, strange) in plain.iter().zip(&strange) {
        for (plain, strange) in [(&plain.stdout, &strange.stdout), (&plain.stderr, &strange.stderr)]
        {
            assert_eq!(plain.lines().count(), strange.lines().count(), "{plain}\n{strange}");
            let disturbing = strange.chars().find(|c| *c != '\n' && disturbs_line(*c));
            assert_eq!(disturbing, None, "{strange:?}");
        }
    }
    let text: String = strange.iter().map(|ran| ran.stdout.as_str()).collect();
    assert!(text.contains("lo\u{fffd}\u{fffd}[A") && text.contains("c\u{fffd}v"), "{text}");
    assert!(text.contains("B\u{fffd}decision deadbeef\u{fffd}g\u{fffd}"), "{text}");
    assert!(!text.lines().any(|line| line.starts_with("decision deadbeef")), "{text}");
}

#[test]
fn json_keeps_strange_names_and_escapes_what_would_steer_a_terminal() {
    let workspace = Workspace::with_keys();
    rename(&workspace, b"logits", "l\u{202e}\u{85}".as_bytes());
    workspace.seal("net.ring", "");
    let ran = workspace.run("inspect net.ring --json").succeeds();
    assert!(!ran.stdout.chars().any(|c| c != '\n' && disturbs_line(c)));
    let outputs = &ran.json()["blocks"][5]["outputs"];
    assert_eq!(outputs[0]["name"], "l\u{202e}\u{85}");
}

#[test]
fn arguments_that_do_not_fit_stay_within_their_lines() {
    let workspace = Workspace::new();
    for evil in ["x\nerror: none", "x\u{202e}y", "x\u{1b}[2Ky", "x\u{2028}y"] {
        for words in [
            vec!["verify", "a.ring", evil],
            vec![evil],
            vec!["completions", evil],
            vec!["run", "a", "--input", "x", "--check", evil],
            vec!["run", "a", "--input", "x", "--threads", evil],
            vec!["seal", "a", "--owner", "b", "--host", "c", "-o", "d", "--preprocess", evil],
        ] {
            let output = workspace.command_of(&words).output().unwrap();
            let ran = Ran::of(&words.join(" "), output).exits(2);
            let disturbing = ran.stderr.chars().find(|c| *c != '\n' && disturbs_line(*c));
            assert_eq!(disturbing, None, "{:?}", ran.stderr);
            let told = ran.stderr.lines().filter(|line| line.starts_with("error: ")).count();
            assert_eq!(told, 1, "{}", ran.stderr);
        }
    }
}
