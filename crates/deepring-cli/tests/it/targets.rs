//! What outputs never replace: secret keys, ledgers and trust stores, whoever's they are; and what is read beside them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::desk::Desk;

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
fn desk() -> Desk {
    let desk = Desk::with_trusted_ring();
    desk.run("keygen --out theirs").succeeds();
    desk.run("ledger init theirs/ledger --trust theirs/store").succeeds();
    desk.run("ledger init ledger").succeeds();
    desk.run(&format!("{RUN} --ledger ledger --receipt x.receipt")).succeeds();
    desk
}

const KEPT: [&str; 8] = [
    "owner.key",
    "host.key",
    "store",
    "store.lock",
    "ledger/log.key",
    "ledger/log.pub",
    "ledger/ledger.redb",
    "ledger/checkpoint",
];

#[test]
fn no_command_writes_over_anybodys_key_ledger_or_trust_store() {
    let desk = desk();
    let before = contents(&desk.path("theirs"));
    for kept in KEPT {
        for words in [
            "export net.ring --key keys/owner.key -o".to_owned(),
            "seal net.onnx --owner keys/owner.key --host keys/host.pub -o".to_owned(),
            "grant net.ring --owner-key keys/owner.key --host theirs/host.pub -o".to_owned(),
            "ledger prove --ledger ledger -o".to_owned(),
            format!("{RUN} --receipt"),
            #[cfg(feature = "attacks")]
            "quantise net.onnx -o".to_owned(),
            #[cfg(feature = "attacks")]
            "attack net.onnx --kind zero -o".to_owned(),
            #[cfg(feature = "attacks")]
            "attack x.receipt --kind receipt-replay -o".to_owned(),
        ] {
            desk.run(&format!("{words} theirs/{kept}")).exits(1).says("no other command replaces");
        }
        desk.run(&format!("repair theirs/{kept} --from net.ring")).exits(3);
        assert!(contents(&desk.path("theirs")) == before, "{kept}");
    }
}

/// The names are the command's own; what lies there need not be.
#[cfg(unix)]
#[test]
fn files_that_a_command_names_itself_are_no_more_written_over_nor_through_links() {
    let desk = desk();
    let before = contents(&desk.path("theirs"));
    let plant = |folder: &str, name: &str, kept: &str| {
        fs::create_dir_all(desk.path(folder)).unwrap();
        let place = desk.path(folder).join(name);
        let _ = fs::remove_file(&place);
        std::os::unix::fs::symlink(desk.path("theirs").join(kept), place).unwrap();
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
            desk.run(&words).exits(1).says("no other command replaces");
        }
        for (option, name) in [("--output-dir", "logits.npy"), ("--save-inputs", "image.npy")] {
            let folder = format!("{option}-{}", kept.replace('/', "-"));
            let folder = folder.trim_start_matches('-');
            plant(folder, name, kept);
            let words = format!("{RUN} {option} {folder} --ledger ledger");
            let recorded = desk.acknowledged("ledger");
            desk.run(&words).exits(1).says("no other command replaces");
            assert_eq!(desk.acknowledged("ledger"), recorded, "decided before it was refused");
        }
        assert!(contents(&desk.path("theirs")) == before, "{kept}");
    }
}

/// Another process's folders are reached through /proc, by a text that leads elsewhere in one's own.
#[cfg(target_os = "linux")]
#[test]
fn nothing_is_written_or_read_in_another_view_of_the_folders() {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};
    let desk = desk();
    fs::create_dir(desk.path("mnt")).unwrap();
    fs::copy(desk.path("net.ring"), desk.path("mnt/a.ring")).unwrap();
    let script = "mount -t tmpfs none mnt && cp theirs/owner.key mnt/k && cp net.ring mnt/a.ring && echo well && read end";
    let mut other = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
        .current_dir(desk.path(""))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(other.stdout.take().unwrap()).read_line(&mut said).unwrap();
    if said != "well\n" {
        println!("skipped: no view of the folders of one's own is to be had here");
        other.wait().unwrap();
        return;
    }
    let theirs = format!("/proc/{}/root{}", other.id(), desk.path("mnt").display());
    let read = |name: &str| fs::read(format!("{theirs}/{name}")).unwrap();
    let before = (read("k"), read("a.ring"), contents(&desk.path("mnt")));
    for words in [
        format!("seal net.onnx --owner keys/owner.key --host keys/host.pub -o {theirs}/k"),
        format!("export net.ring --key keys/owner.key -o {theirs}/k"),
        format!("grant {theirs}/a.ring --owner-key keys/owner.key --host theirs/host.pub"),
        format!("repair {theirs}/a.ring --from net.ring"),
        format!("bench -o {theirs}"),
        format!("verify {theirs}/a.ring"),
    ] {
        desk.run(&words).exits(1).says("that no name leads to");
        assert!((read("k"), read("a.ring"), contents(&desk.path("mnt"))) == before, "{words}");
    }
    drop(other.stdin.take());
    other.wait().unwrap();
}

#[test]
fn an_output_is_no_file_that_the_same_command_reads_or_writes_else() {
    let desk = desk();
    fs::create_dir(desk.path("out")).unwrap();
    fs::copy(desk.path("x.npy"), desk.path("out/logits.npy")).unwrap();
    fs::copy(desk.path("ledger/log.pub"), desk.path("ours.pub")).unwrap();
    desk.run("trust add keys/owner.pub --trust new.json").succeeds();
    let recorded = || desk.acknowledged("ledger");
    let (before, entries) = (desk.files(), recorded());
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
        format!("{RUN} --ledger fresh --new-ledger --receipt fresh/checkpoint"),
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
        desk.run(&words).exits(2).says("would be overwritten");
        let _ = fs::remove_dir(desk.path("fresh"));
        assert_eq!((desk.files(), recorded()), (before.clone(), entries), "{words}");
    }
}

#[test]
fn what_could_not_be_written_is_said_before_anything_is_recorded() {
    let desk = desk();
    let entries = desk.acknowledged("ledger");
    fs::write(desk.path("file"), "").unwrap();
    for words in
        ["--receipt none/x", "--receipt keys", "--output-dir file/out", "--save-inputs file"]
    {
        desk.run(&format!("{RUN} --ledger ledger {words}")).exits(1);
        assert_eq!(desk.acknowledged("ledger"), entries, "{words}");
    }
}

/// A data set is read file by file, and an evaluation's own files have names that a network could have.
#[cfg(feature = "attacks")]
#[test]
fn nothing_is_written_into_a_data_set_nor_over_an_evaluated_network() {
    let desk = Desk::with_keys();
    fs::create_dir_all(desk.path("data/images")).unwrap();
    fs::create_dir(desk.path("ev")).unwrap();
    fs::write(desk.path("data/images/a_1.jpg"), "picture").unwrap();
    for name in ["ev/report.html", "ev/tables.md", "ev/results.jsonl", "ev/plot.svg"] {
        fs::copy(desk.path("net.onnx"), desk.path(name)).unwrap();
        let words = format!("evaluate --model {name} --data data --attack zero -o ./data/../ev");
        desk.run(&words).exits(2).says("would be overwritten");
    }
    // By the name that leads there, and through the parameters beside a network.
    let stack = deepring_onnx::synthetic::Stack { layers: 2, width: 8 };
    stack.write(&desk.path("stack.onnx"), 1).unwrap();
    desk.run("seal net.onnx --owner keys/owner.key --host keys/host.pub -o net.ring").succeeds();
    let reseal = "attack net.ring --kind ring-reseal --with stack.onnx -o stack.data";
    desk.run(reseal).exits(2).says("would be overwritten");
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("ev/tables.md", desk.path("link.onnx")).unwrap();
        let words = "evaluate --model link.onnx --data data --attack zero -o ev";
        desk.run(words).exits(2).says("would be overwritten");
        fs::create_dir(desk.path("bench")).unwrap();
        fs::rename(desk.path("stack.data"), desk.path("bench/bench.json")).unwrap();
        std::os::unix::fs::symlink("bench/bench.json", desk.path("stack.data")).unwrap();
        desk.run("bench --model stack.onnx -o bench").exits(2).says("would be overwritten");
    }
    for words in [
        "attack net.onnx --kind zero --data data -o data/images/a_1.jpg",
        "attack net.onnx --kind zero --data ./ev/../data/images -o data/images/a_1.jpg",
    ] {
        desk.run(words).exits(2).says("which this command reads");
    }
    assert_eq!(fs::read(desk.path("data/images/a_1.jpg")).unwrap(), b"picture");
    assert_eq!(fs::read_dir(desk.path("data/images")).unwrap().count(), 1);
}

#[test]
fn the_parameters_beside_a_network_are_read_too() {
    let desk = Desk::with_keys();
    let stack = deepring_onnx::synthetic::Stack { layers: 2, width: 8 };
    stack.write(&desk.path("stack.onnx"), 1).unwrap();
    let parameters = fs::read(desk.path("stack.data")).unwrap();
    fs::create_dir(desk.path("out")).unwrap();
    let seal = ["seal stack.onnx --owner keys/owner.key --host keys/host.pub -o stack.data"];
    let attacks = [
        "quantise stack.onnx -o ./out/../stack.data",
        "attack stack.onnx --kind zero -o stack.data",
    ];
    let attacks = attacks.into_iter().filter(|_| cfg!(feature = "attacks"));
    for words in seal.into_iter().chain(attacks) {
        desk.run(words).exits(2).says("would be overwritten");
        assert_eq!(fs::read(desk.path("stack.data")).unwrap(), parameters, "{words}");
    }
    desk.run("seal stack.onnx --owner keys/owner.key --host keys/host.pub -o stack.ring")
        .succeeds();
}
