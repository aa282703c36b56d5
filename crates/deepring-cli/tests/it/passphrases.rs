//! Key files under a passphrase: every command that takes a secret key opens them, and says what is wrong otherwise.
#![cfg(target_os = "linux")]

use std::fs;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::workspace::{Ran, Workspace};

const ARMOR: &str = "-----BEGIN AGE ENCRYPTED FILE-----";

/// Runs the command without a terminal, with lines to read at the descriptors that are named by their numbers.
fn run_with(workspace: &Workspace, words: &str, lines: &[(u32, &str)]) -> Ran {
    let mut script = format!("exec {} {words}", env!("CARGO_BIN_EXE_deepring"));
    for (n, line) in lines {
        fs::write(workspace.path(&format!("fd{n}")), line).unwrap();
        script.push_str(&format!(" {n}<fd{n}"));
    }
    // In a session of its own, which has no terminal: the one of whoever runs the tests must not be asked.
    let mut shell = Command::new("setsid");
    shell.args(["--wait", "sh", "-c", &script]).current_dir(workspace.path(""));
    workspace.surround(&mut shell);
    let output = shell.stdin(std::process::Stdio::null()).output().unwrap();
    for said in [&output.stdout, &output.stderr] {
        let said = String::from_utf8_lossy(said);
        assert!(
            lines.iter().all(|(_, line)| line.trim().is_empty() || !said.contains(line.trim()))
        );
    }
    Ran::of(words, output)
}

/// Keys under the passphrase `correct horse`, of an owner and a host, and in `nodes` of a node.
fn with_encrypted_keys() -> Workspace {
    let workspace = Workspace::new();
    let given = [(3, "correct horse\n")];
    run_with(&workspace, "keygen --out keys --passphrase-fd 3", &given).succeeds();
    run_with(&workspace, "keygen --node --out keys --passphrase --passphrase-fd 3", &given)
        .succeeds();
    workspace
}

#[test]
fn a_key_with_another_name_gets_no_passphrase_that_the_other_name_would_lack() {
    let workspace = Workspace::new();
    run_with(&workspace, "keygen --out keys", &[]).succeeds();
    let (key, other) = (workspace.path("keys/owner.key"), workspace.path("other.key"));
    fs::hard_link(&key, &other).unwrap();
    let text = fs::read(&key).unwrap();
    let change = "key passphrase keys/owner.key --new-passphrase-fd 3";
    let refused = run_with(&workspace, change, &[(3, "correct horse\n")]);
    refused.exits(1).says("other names");
    assert_eq!(fs::read(&key).unwrap(), text);
    fs::remove_file(&other).unwrap();
    run_with(&workspace, change, &[(3, "correct horse\n")]).succeeds();
}

#[test]
fn every_command_that_takes_a_secret_key_opens_it_with_its_passphrase_and_not_without() {
    let workspace = with_encrypted_keys();
    for name in ["owner", "host", "node"] {
        let text = fs::read_to_string(workspace.path(&format!("keys/{name}.key"))).unwrap();
        assert!(text.starts_with(ARMOR), "{name}");
    }
    run_with(&workspace, "ledger init ledger", &[]).succeeds();
    run_with(&workspace, "keygen --out plain", &[]).succeeds();
    let commands = [
        "seal net.onnx --owner keys/owner.key --host keys/host.pub -o net.ring",
        "verify net.ring --owner keys/owner.pub --key keys/host.key",
        "verify net.ring --owner keys/owner.pub --key keys/owner.key",
        "ledger register net.ring --owner-key keys/owner.key --ledger ledger",
        "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy --ledger ledger",
        "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy --sandbox",
        "repair net.ring --from net.ring --owner keys/owner.pub --ledger ledger --key keys/host.key",
        "export net.ring --key keys/owner.key --owner keys/owner.pub -o out.onnx",
        "grant net.ring --owner-key keys/owner.key --host plain/host.pub",
        "deal net.ring --owner-key keys/owner.key --leg 1=keys/host.pub --leg 2-9=plain/host.pub -o net.deal",
        "revoke host plain/host.pub --owner-key keys/owner.key --ledger ledger --reason gone",
        "revoke ring net.ring --owner-key keys/owner.key --ledger ledger --reason old",
        "revoke key --key keys/host.key --ledger ledger --reason lost",
        "revoke key --key keys/owner.key --ledger ledger --reason lost",
    ];
    for words in commands {
        run_with(&workspace, words, &[])
            .exits(2)
            .says("there is no terminal to ask")
            .says("hint: have a descriptor give it, as `--passphrase-fd 3 3< FILE` does");
        let given = format!("{words} --passphrase-fd 3");
        let done = run_with(&workspace, &given, &[(3, "correct horse\nmore")]);
        if words.starts_with("deal") {
            // How many blocks there are does not matter here: the key was read.
            assert!(!done.stderr.contains("passphrase"), "{}", done.stderr);
            continue;
        }
        done.succeeds();
    }
    let words =
        "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy --passphrase-fd 3";
    run_with(&workspace, words, &[(3, "Correct horse")])
        .exits(1)
        .says("keys/host.key: the passphrase is wrong")
        .says("hint: ");
}

#[test]
fn a_passphrase_comes_from_any_open_descriptor_or_is_refused() {
    let workspace = with_encrypted_keys();
    let words =
        "seal net.onnx --owner keys/owner.key --host keys/host.pub -o net.ring --passphrase-fd";
    let seal = |n: u32, lines: &[(u32, &str)]| run_with(&workspace, &format!("{words} {n}"), lines);
    seal(0, &[(0, "correct horse\r\n")]).succeeds();
    seal(7, &[(7, "correct horse")]).succeeds();
    seal(9, &[]).exits(2).says("descriptor 9 gives no passphrase");
    seal(3, &[(3, "\n")]).exits(2).says("an empty passphrase protects nothing");
    seal(3, &[(3, &"x".repeat(5000))]).exits(2).says("more than 1024 bytes");
    // A key without one needs none, and a descriptor that is not needed is not read.
    run_with(&workspace, "keygen --out plain", &[]).succeeds();
    let words = "seal net.onnx --owner plain/owner.key --host plain/host.pub -o plain.ring --passphrase-fd 9";
    run_with(&workspace, words, &[]).succeeds();
}

#[test]
fn a_key_gets_a_passphrase_another_one_and_none() {
    let workspace = Workspace::with_ring();
    let before = fs::read_to_string(workspace.path("keys/host.key")).unwrap();
    let key = |more: &str, lines: &[(u32, &str)]| {
        run_with(&workspace, &format!("key passphrase keys/host.key {more}"), lines)
    };
    let verify = |line: &str| {
        let words = "verify net.ring --owner keys/owner.pub --key keys/host.key --passphrase-fd 3";
        run_with(&workspace, words, &[(3, line)])
    };
    key("", &[]).exits(2).says("there is no terminal to ask").says("--new-passphrase-fd 3");
    key("--remove", &[]).exits(2).says("has no passphrase");
    key("--passphrase-fd 3 --remove", &[(3, "x")]).exits(1).says("has no passphrase");
    assert_eq!(fs::read_to_string(workspace.path("keys/host.key")).unwrap(), before);
    key("--new-passphrase-fd 4", &[(4, "one one")])
        .succeeds()
        .says("may still be read off the disk");
    verify("one one").succeeds();
    key("--passphrase-fd 3 --new-passphrase-fd 3", &[(3, "one one")]).exits(2);
    key("--passphrase-fd 3 --new-passphrase-fd 4", &[(3, "one one\ntwo two"), (4, "one one")])
        .exits(2)
        .says("the new passphrase is the old one");
    key("--passphrase-fd 3 --new-passphrase-fd 4", &[(3, "two two"), (4, "three")])
        .exits(1)
        .says("the passphrase is wrong");
    key("--passphrase-fd 3 --new-passphrase-fd 4", &[(3, "one one"), (4, "two two")]).succeeds();
    verify("one one").exits(1).says("the passphrase is wrong");
    verify("two two").succeeds();
    key("--passphrase-fd 3 --remove", &[(3, "two two")]).succeeds().says("no passphrase any more");
    assert_eq!(fs::read_to_string(workspace.path("keys/host.key")).unwrap(), before);
    run_with(&workspace, "key passphrase keys/host.pub --new-passphrase-fd 4", &[(4, "x y")])
        .exits(1)
        .says("this is a host public key");
}

#[test]
fn an_encrypted_key_that_asks_for_hours_or_for_another_program_is_refused_at_once() {
    let workspace = Workspace::with_ring();
    let salt = "AAAAAAAAAAAAAAAAAAAAAA";
    let wrapped = "A".repeat(42) + "A";
    let mac = "A".repeat(43);
    let file = |stanza: &str| {
        let head = format!("age-encryption.org/v1\n-> {stanza}\n{wrapped}\n--- {mac}\n");
        let bytes = [head.as_bytes(), &[0; 16 + 32]].concat();
        let base64 = STANDARD.encode(bytes);
        let lines: Vec<&str> =
            base64.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("{ARMOR}\n{}\n-----END AGE ENCRYPTED FILE-----\n", lines.join("\n"))
    };
    for (stanza, says) in [
        (format!("scrypt {salt} 21"), "asks for scrypt with N = 2^21, more than the 2^20 allowed"),
        (format!("scrypt {salt} 60"), "asks for scrypt with N = 2^60, more than the 2^20 allowed"),
        ("X25519 AAAA".to_owned(), "encrypted for other keys, not with a passphrase"),
        ("scrypt".to_owned(), "the encrypted text is damaged"),
    ] {
        fs::write(workspace.path("keys/host.key"), file(&stanza)).unwrap();
        let words = "verify net.ring --owner keys/owner.pub --key keys/host.key --passphrase-fd 3";
        run_with(&workspace, words, &[(3, "correct horse")]).exits(1).says(says);
    }
}

#[test]
fn no_command_writes_over_an_encrypted_key() {
    let workspace = with_encrypted_keys();
    let before = fs::read(workspace.path("keys/owner.key")).unwrap();
    run_with(&workspace, "keygen --out keys --passphrase-fd 3", &[(3, "x y")])
        .exits(1)
        .says("never overwritten");
    workspace.run("keygen --out plain").succeeds();
    workspace
        .run("seal net.onnx --owner plain/owner.key --host plain/host.pub -o keys/owner.key")
        .exits(1)
        .says("is a secret key file");
    assert_eq!(fs::read(workspace.path("keys/owner.key")).unwrap(), before);
}

/// A number that nobody gave a descriptor for would be that of a file of the command's own: a key file's first line is public.
#[test]
fn a_descriptor_that_was_not_given_is_refused_and_nothing_is_encrypted() {
    let workspace = Workspace::new();
    run_with(&workspace, "keygen --out keys", &[]).succeeds();
    let key = |workspace: &Workspace| fs::read(workspace.path("keys/host.key")).unwrap();
    let before = key(&workspace);
    for n in 1..16 {
        let words = format!("key passphrase keys/host.key --new-passphrase-fd {n}");
        // The shell that starts it may have descriptors of its own.
        let refused = run_with(&workspace, &words, &[]).exits(2);
        assert!(n > 4 || refused.stderr.contains("was not started with it"), "{}", refused.stderr);
        let words = format!("keygen --out new{n} --passphrase-fd {n}");
        run_with(&workspace, &words, &[]).exits(2);
        assert_eq!(key(&workspace), before, "{n}");
    }
    run_with(&workspace, "key passphrase keys/host.key --new-passphrase-fd 3", &[(3, "right\n")]);
    let encrypted = key(&workspace);
    for n in [3, 5, 6] {
        let words =
            format!("key passphrase keys/host.key --passphrase-fd 4 --new-passphrase-fd {n}");
        run_with(&workspace, &words, &[(4, "right\n")]).exits(2);
        assert_eq!(key(&workspace), encrypted, "{n}");
    }
}

#[test]
fn a_pipe_that_stays_open_behind_the_line_is_not_waited_for() {
    let workspace = Workspace::new();
    let script = format!(
        "mkfifo p; (echo right; sleep 60) > p & exec {} keygen --out keys --passphrase-fd 3 3<p",
        env!("CARGO_BIN_EXE_deepring")
    );
    let mut shell = Command::new("timeout");
    shell.args(["30", "sh", "-c", &script]).current_dir(workspace.path(""));
    workspace.surround(&mut shell);
    let ended = shell.stdin(std::process::Stdio::null()).output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    assert!(workspace.path("keys/host.key").exists());
}

/// A log that is appended to would give its first line, which is no secret, if it were opened by its name.
#[test]
fn a_descriptor_that_is_not_for_reading_gives_no_passphrase() {
    let workspace = Workspace::with_keys();
    let before = fs::read(workspace.path("keys/host.key")).unwrap();
    for to in ["0>>log", "3>>log", "3>log"] {
        fs::write(workspace.path("log"), "the first line\n").unwrap();
        let n = &to[..1];
        let script = format!(
            "exec {} key passphrase keys/host.key --new-passphrase-fd {n} {to}",
            env!("CARGO_BIN_EXE_deepring")
        );
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).current_dir(workspace.path(""));
        workspace.surround(&mut shell);
        let output = shell.stdin(std::process::Stdio::null()).output().unwrap();
        Ran::of(to, output).exits(2).says("gives no passphrase");
        assert_eq!(fs::read(workspace.path("keys/host.key")).unwrap(), before, "{to}");
    }
}

/// It would show what is typed; without the option the terminal is asked, and shows nothing.
#[test]
fn a_terminal_is_not_read_as_a_descriptor() {
    let workspace = Workspace::with_keys();
    for n in [0, 3] {
        let words = format!(
            "{} key passphrase keys/host.key --new-passphrase-fd {n} {n}</dev/tty",
            env!("CARGO_BIN_EXE_deepring")
        );
        let mut script = Command::new("script");
        script.args(["-qec", &words, "/dev/null"]).current_dir(workspace.path(""));
        workspace.surround(&mut script);
        let output = match script.stdin(std::process::Stdio::null()).output() {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                println!("skipped: no `script` to make a terminal: {e}");
                return;
            }
            output => output.unwrap(),
        };
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains(&format!("descriptor {n} is a terminal")), "{said}");
        assert_eq!(output.status.code(), Some(2));
    }
}
