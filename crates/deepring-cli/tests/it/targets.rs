//! Files that outputs never replace: secret keys, ledgers and trust stores, whoever's they are; and what is read beside them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::workspace::Workspace;

const RUN: &str = "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy";

/// Every file below a folder, with its bytes.
fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => all.extend(contents(&path)),
            false => all.push((path.clone(), fs::read(path).unwrap())),
        }
    }
    all.sort();
    all
}

/// A trusted ring, somebody's keys, ledger and trust store in `theirs`, and what outputs are made of.
fn workspace() -> Workspace {
    let workspace = Workspace::with_trusted_ring();
    workspace.run("keygen --out theirs").succeeds();
    workspace.run("keygen --node --out theirs").succeeds();
    workspace.run("ledger init theirs/ledger --trust theirs/store").succeeds();
    workspace.register("net.ring", "ledger");
    workspace.run(&format!("{RUN} --ledger ledger --receipt x.receipt")).succeeds();
    workspace
}

const KEPT: [&str; 9] = [
    "owner.key",
    "host.key",
    "node.key",
    "store",
    "store.lock",
    "ledger/log.key",
    "ledger/log.pub",
    "ledger/ledger.redb",
    "ledger/checkpoint",
];

#[test]
fn no_command_writes_over_anybodys_key_ledger_or_trust_store() {
    let workspace = workspace();
    let before = contents(&workspace.path("theirs"));
    for kept in KEPT {
        for words in [
            "export net.ring --key keys/owner.key -o".to_owned(),
            "seal net.onnx --owner keys/owner.key --host keys/host.pub -o".to_owned(),
            "grant net.ring --owner-key keys/owner.key --host theirs/host.pub -o".to_owned(),
            "ledger prove --ledger ledger -o".to_owned(),
            "ledger report --ledger ledger -o".to_owned(),
            format!("{RUN} --receipt"),
            #[cfg(feature = "attacks")]
            "quantise net.onnx -o".to_owned(),
            #[cfg(feature = "attacks")]
            "attack net.onnx --kind zero -o".to_owned(),
            #[cfg(feature = "attacks")]
            "attack x.receipt --kind receipt-replay -o".to_owned(),
        ] {
            workspace
                .run(&format!("{words} theirs/{kept}"))
                .exits(1)
                .says("no other command replaces");
        }
        workspace.run(&format!("repair theirs/{kept} --from net.ring")).exits(3);
        assert!(contents(&workspace.path("theirs")) == before, "{kept}");
    }
}

/// The names are the command's own; what lies there need not be.
#[cfg(unix)]
#[test]
fn files_that_a_command_names_itself_are_no_more_written_over_nor_through_links() {
    let workspace = workspace();
    let before = contents(&workspace.path("theirs"));
    let plant = |folder: &str, name: &str, kept: &str| {
        fs::create_dir_all(workspace.path(folder)).unwrap();
        let place = workspace.path(folder).join(name);
        let _ = fs::remove_file(&place);
        std::os::unix::fs::symlink(workspace.path("theirs").join(kept), place).unwrap();
    };
    for kept in ["owner.key", "store", "ledger/log.key", "ledger/ledger.redb"] {
        for (part, name) in [
            ("", "bench.json"),
            ("", "bench.md"),
            ("rest", "bench-rest.json"),
            ("growth", "bench-growth.md"),
            ("products", "bench-products.json"),
        ] {
            let folder = format!("{name}-{}", kept.replace('/', "-"));
            plant(&folder, name, kept);
            let words = format!("bench {part} -o {folder}");
            workspace.run(&words).exits(1).says("no other command replaces");
        }
        for (option, name) in [("--output-dir", "logits.npy"), ("--save-inputs", "image.npy")] {
            let folder = format!("{option}-{}", kept.replace('/', "-"));
            let folder = folder.trim_start_matches('-');
            plant(folder, name, kept);
            let words = format!("{RUN} {option} {folder} --ledger ledger");
            let recorded = workspace.acknowledged("ledger");
            workspace.run(&words).exits(1).says("no other command replaces");
            assert_eq!(workspace.acknowledged("ledger"), recorded, "decided before it was refused");
        }
        assert!(contents(&workspace.path("theirs")) == before, "{kept}");
    }
}

/// A folder that was given away, with the marker of a demo and links in it.
#[cfg(all(unix, feature = "attacks"))]
#[test]
fn a_demo_follows_no_link_out_of_its_folder_and_removes_nothing_of_others() {
    let workspace = workspace();
    fs::create_dir(workspace.path("theirs/owner")).unwrap();
    fs::copy(workspace.path("theirs/owner.key"), workspace.path("theirs/owner/owner.key")).unwrap();
    let before = contents(&workspace.path("theirs"));
    for (name, leads) in [("keys", ""), ("ledger", "ledger"), ("trust.json", "store")] {
        for marked in [true, false] {
            let folder = workspace.path(&format!("demo-{name}-{marked}"));
            fs::create_dir(&folder).unwrap();
            if marked {
                fs::write(folder.join(".deepring-demo"), "").unwrap();
            }
            let theirs = workspace.path("theirs").join(leads);
            std::os::unix::fs::symlink(theirs, folder.join(name)).unwrap();
            workspace
                .run(&format!("demo --out {}", folder.display()))
                .exits(1)
                .says("no demo made it");
            assert!(contents(&workspace.path("theirs")) == before, "{name} {marked}");
        }
    }
    // Keys that lie there themselves, whatever the marker says.
    fs::create_dir_all(workspace.path("mine/keys/host-a")).unwrap();
    fs::write(workspace.path("mine/.deepring-demo"), "").unwrap();
    fs::copy(workspace.path("keys/host.key"), workspace.path("mine/keys/host-a/host.key")).unwrap();
    let before = contents(&workspace.path("mine"));
    workspace.run("demo --out mine").exits(1).says("kept by another command");
    assert!(contents(&workspace.path("mine")) == before);
}

/// Another process's folders are reached through /proc, by a text that leads elsewhere in one's own.
#[cfg(target_os = "linux")]
#[test]
fn nothing_is_written_or_read_in_another_view_of_the_folders() {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};
    let workspace = workspace();
    fs::create_dir(workspace.path("mnt")).unwrap();
    fs::copy(workspace.path("net.ring"), workspace.path("mnt/a.ring")).unwrap();
    let script = "mount -t tmpfs none mnt && cp theirs/owner.key mnt/k && cp net.ring mnt/a.ring && echo well && read end";
    let mut other = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
        .current_dir(workspace.path(""))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(other.stdout.take().unwrap()).read_line(&mut said).unwrap();
    if said != "well\n" {
        crate::skip::skip("system", "no view of the folders of one's own is to be had here");
        other.wait().unwrap();
        return;
    }
    let theirs = format!("/proc/{}/root{}", other.id(), workspace.path("mnt").display());
    let read = |name: &str| fs::read(format!("{theirs}/{name}")).unwrap();
    let before = (read("k"), read("a.ring"), contents(&workspace.path("mnt")));
    for words in [
        format!("seal net.onnx --owner keys/owner.key --host keys/host.pub -o {theirs}/k"),
        format!("export net.ring --key keys/owner.key -o {theirs}/k"),
        format!("grant {theirs}/a.ring --owner-key keys/owner.key --host theirs/host.pub"),
        format!("repair {theirs}/a.ring --from net.ring"),
        format!("bench -o {theirs}"),
        format!("verify {theirs}/a.ring"),
    ] {
        workspace.run(&words).exits(1).says("that no name leads to");
        assert!((read("k"), read("a.ring"), contents(&workspace.path("mnt"))) == before, "{words}");
    }
    drop(other.stdin.take());
    other.wait().unwrap();
}

#[test]
fn an_output_is_no_file_that_the_same_command_reads_or_writes_else() {
    let workspace = workspace();
    fs::create_dir(workspace.path("out")).unwrap();
    fs::copy(workspace.path("x.npy"), workspace.path("out/logits.npy")).unwrap();
    fs::copy(workspace.path("ledger/log.pub"), workspace.path("ours.pub")).unwrap();
    workspace.run("trust add keys/owner.pub --trust new.json").succeeds();
    let recorded = || workspace.acknowledged("ledger");
    let (before, entries) = (workspace.files(), recorded());
    let pinned = format!("{RUN} --ledger ledger --ledger-key ours.pub");
    for words in [
        format!("{pinned} --receipt x.npy"),
        format!("{pinned} --receipt ours.pub"),
        format!("{pinned} --receipt trust.json"),
        format!("{pinned} --receipt ./keys/../trust.json"),
        format!("{pinned} --receipt trust.json.lock"),
        format!("{pinned} --receipt none.json --trust none.json"),
        format!("{pinned} --receipt keys/owner.pub"),
        format!("{pinned} --receipt ledger/log.key"),
        format!("{pinned} --receipt ledger/ledger.redb"),
        format!("{RUN} --ledger fresh --receipt fresh/checkpoint"),
        format!("{pinned} --receipt out/logits.npy --output-dir out"),
        format!("{pinned} --receipt fresh/logits.npy --output-dir fresh"),
        format!("{pinned} --receipt fresh/image.npy --save-inputs fresh"),
        format!("{} --output-dir out", pinned.replace("x.npy", "out/logits.npy")),
        format!("{} --output-dir out", pinned.replace("x.npy", "image=out/logits.npy")),
        "run net.onnx --plain --input out/logits.npy --output-dir out".to_owned(),
        "ledger prove --ledger ledger --receipt x.receipt -o x.receipt".to_owned(),
        "ledger prove --ledger ledger --ledger-key ours.pub -o ours.pub".to_owned(),
        "export net.ring --key keys/owner.key --owner keys/owner.pub -o keys/owner.pub".to_owned(),
    ] {
        workspace.run(&words).exits(2).says("would be overwritten");
        let _ = fs::remove_dir(workspace.path("fresh"));
        assert_eq!((workspace.files(), recorded()), (before.clone(), entries), "{words}");
    }
}

#[test]
fn what_could_not_be_written_is_said_before_anything_is_recorded() {
    let workspace = workspace();
    let entries = workspace.acknowledged("ledger");
    fs::write(workspace.path("file"), "").unwrap();
    for words in
        ["--receipt none/x", "--receipt keys", "--output-dir file/out", "--save-inputs file"]
    {
        workspace.run(&format!("{RUN} --ledger ledger {words}")).exits(1);
        assert_eq!(workspace.acknowledged("ledger"), entries, "{words}");
    }
}

/// A data set is read file by file, and an evaluation's own files have names that a network could have.
#[cfg(feature = "attacks")]
#[test]
fn nothing_is_written_into_a_data_set_nor_over_an_evaluated_network() {
    let workspace = Workspace::with_keys();
    fs::create_dir_all(workspace.path("data/images")).unwrap();
    fs::create_dir(workspace.path("ev")).unwrap();
    fs::write(workspace.path("data/images/a_1.jpg"), "picture").unwrap();
    for name in ["ev/report.html", "ev/tables.md", "ev/results.jsonl", "ev/plot.svg"] {
        fs::copy(workspace.path("net.onnx"), workspace.path(name)).unwrap();
        let words = format!("evaluate --model {name} --data data --attack zero -o ./data/../ev");
        workspace.run(&words).exits(2).says("would be overwritten");
    }
    // By the name that leads there, and through the parameters beside a network.
    let stack = deepring_onnx::synthetic::Stack { layers: 2, width: 8 };
    stack.write(&workspace.path("stack.onnx"), 1).unwrap();
    workspace
        .run("seal net.onnx --owner keys/owner.key --host keys/host.pub -o net.ring")
        .succeeds();
    let reseal = "attack net.ring --kind ring-reseal --with stack.onnx -o stack.data";
    workspace.run(reseal).exits(2).says("would be overwritten");
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("ev/tables.md", workspace.path("link.onnx")).unwrap();
        let words = "evaluate --model link.onnx --data data --attack zero -o ev";
        workspace.run(words).exits(2).says("would be overwritten");
        fs::create_dir(workspace.path("bench")).unwrap();
        fs::rename(workspace.path("stack.data"), workspace.path("bench/bench.json")).unwrap();
        std::os::unix::fs::symlink("bench/bench.json", workspace.path("stack.data")).unwrap();
        workspace.run("bench --model stack.onnx -o bench").exits(2).says("would be overwritten");
    }
    for words in [
        "attack net.onnx --kind zero --data data -o data/images/a_1.jpg",
        "attack net.onnx --kind zero --data ./ev/../data/images -o data/images/a_1.jpg",
    ] {
        workspace.run(words).exits(2).says("which this command reads");
    }
    assert_eq!(fs::read(workspace.path("data/images/a_1.jpg")).unwrap(), b"picture");
    assert_eq!(fs::read_dir(workspace.path("data/images")).unwrap().count(), 1);
}

#[test]
fn the_parameters_beside_a_network_are_read_too() {
    let workspace = Workspace::with_keys();
    let stack = deepring_onnx::synthetic::Stack { layers: 2, width: 8 };
    stack.write(&workspace.path("stack.onnx"), 1).unwrap();
    let parameters = fs::read(workspace.path("stack.data")).unwrap();
    fs::create_dir(workspace.path("out")).unwrap();
    let seal = ["seal stack.onnx --owner keys/owner.key --host keys/host.pub -o stack.data"];
    let attacks = [
        "quantise stack.onnx -o ./out/../stack.data",
        "attack stack.onnx --kind zero -o stack.data",
    ];
    let attacks = attacks.into_iter().filter(|_| cfg!(feature = "attacks"));
    for words in seal.into_iter().chain(attacks) {
        workspace.run(words).exits(2).says("would be overwritten");
        assert_eq!(fs::read(workspace.path("stack.data")).unwrap(), parameters, "{words}");
    }
    workspace
        .run("seal stack.onnx --owner keys/owner.key --host keys/host.pub -o stack.ring")
        .succeeds();
}
