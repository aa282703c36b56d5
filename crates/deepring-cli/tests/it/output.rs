//! The places that output goes to: data to stdout, remarks to stderr, no colours unasked, no panic on a closed pipe.

use std::fs::File;
use std::process::Stdio;

use crate::workspace::{Ran, Workspace};

#[test]
fn data_goes_to_stdout_and_remarks_to_stderr() {
    let workspace = Workspace::with_ring();
    let ran = workspace
        .run("run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy")
        .succeeds();
    assert!(ran.stdout.starts_with("logits [1, 10]\n"), "{}", ran.stdout);
    assert!(ran.stderr.starts_with("load "), "{}", ran.stderr);
    let refused = workspace.run("verify labels.txt").exits(3);
    assert!(refused.stdout.is_empty());
    // What is wrong, a blank line, a hint.
    let mut lines = refused.stderr.lines();
    assert!(lines.next().is_some_and(|l| l.starts_with("error: ")));
    assert!(refused.stderr.contains("\n\nhint: "), "{}", refused.stderr);
}

#[test]
fn nothing_is_coloured_when_nobody_looks_or_no_color_is_set() {
    let workspace = Workspace::with_ring();
    for words in [
        "--help",
        "run --help",
        "frobnicate",
        "seal",
        "verify labels.txt",
        "inspect net.ring",
        "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy",
    ] {
        for no_color in [false, true] {
            let mut command = workspace.command(words);
            command.env("DEEPRING_LOG", "trace");
            if no_color {
                command.env("NO_COLOR", "1");
            }
            let output = command.output().unwrap();
            assert!(!output.stdout.contains(&0x1b), "{words}");
            assert!(!output.stderr.contains(&0x1b), "{words}");
        }
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error_and_no_panic() {
    let workspace = Workspace::with_ring();
    for words in ["inspect net.ring --json", "completions bash", "--help", "run --help"] {
        let mut child =
            workspace.command(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!stderr.contains("panicked"), "{words}: {stderr}");
        assert_ne!(output.status.code(), Some(101), "{words}");
    }
}

#[test]
fn a_full_device_is_an_error() {
    let Ok(full) = File::options().write(true).open("/dev/full") else {
        crate::skip::skip("system", "there is no /dev/full");
        return;
    };
    let workspace = Workspace::with_ring();
    for words in ["inspect net.ring --json", "keygen --out more", "completions bash"] {
        let output = workspace.command(words).stdout(full.try_clone().unwrap()).output().unwrap();
        Ran::of(words, output).exits(1).says("stdout");
    }
}

#[test]
fn every_command_has_help_with_an_example() {
    let workspace = Workspace::new();
    let help = workspace.run("--help").succeeds().stdout;
    assert!(help.contains("Exit codes:"));
    for command in [
        "keygen",
        "seal",
        "inspect",
        "verify",
        "run",
        "receipt verify",
        "ledger init",
        "ledger verify",
        "ledger prove",
        "ledger show",
        "ledger checkpoint",
        "repair",
        "grant",
        "trust add",
        "trust list",
        "trust remove",
        "trust bind",
        "export",
        "completions",
    ]
    .into_iter()
    .chain(cfg!(feature = "attacks").then_some("demo"))
    {
        let help = workspace.run(&format!("{command} --help")).succeeds().stdout;
        assert!(help.contains(&format!("  deepring {command} ")), "{command}: {help}");
    }
}

/// Whoever looks at the exit code must not be told less than whoever reads.
#[test]
fn a_verdict_is_the_exit_code_whatever_becomes_of_what_is_said() {
    let Ok(full) = File::options().write(true).open("/dev/full") else {
        crate::skip::skip("system", "there is no /dev/full");
        return;
    };
    let workspace = Workspace::with_trusted_ring();
    let run = "run net.ring --key keys/host.key --input x.npy";
    workspace.register("net.ring", "ledger");
    workspace.run(&format!("{run} --ledger ledger")).succeeds();
    let mut bytes = std::fs::read(workspace.path("net.ring")).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(workspace.path("bad.ring"), bytes).unwrap();
    std::fs::create_dir(workspace.path("other")).unwrap();
    let closed = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        Stdio::from(writer)
    };
    let full = || Stdio::from(full.try_clone().unwrap());
    for (words, code) in [
        ("verify bad.ring", 3),
        ("verify bad.ring --json", 3),
        ("run bad.ring --key keys/host.key --input x.npy --json --check load", 3),
        ("ledger verify --ledger keys --json", 3),
        ("run net.ring --input x.npy --json", 4),
        ("verify net.onnx --json", 5),
        ("verify nowhere", 1),
        ("frobnicate", 2),
    ] {
        for log in ["", "trace"] {
            for out in [true, false] {
                for err in [closed(), full()] {
                    let mut command = workspace.command(words);
                    command.env("DEEPRING_LOG", log).stderr(err);
                    command.stdout(if out { full() } else { closed() });
                    assert_eq!(command.status().unwrap().code(), Some(code), "{words}");
                }
            }
        }
    }
    for err in [closed(), full()] {
        let mut command = workspace.command(run);
        command.stdout(Stdio::null()).stderr(err).env("DEEPRING_LOG", "trace");
        assert_eq!(command.status().unwrap().code(), Some(0));
    }
}
