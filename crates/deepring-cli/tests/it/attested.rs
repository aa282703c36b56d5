//! `verify --svr`: what was found intact is attested, and nothing else.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::workspace::{Ran, Workspace};

/// Made for these tests with `openssl genpkey`.
const KEY: &str = "\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgBc//TNcKZ/SwZLF5
fGsX2/2FANQiDvqdDkMzHcag7DChRANCAARyBChrttCcE+F1fFPxUPvDg+Mkqavv
QeotC5KdesF1ofop5njCKsOW5BPcnieWNORKrRxJ8nC9bhD5zrDaIaMO
-----END PRIVATE KEY-----
";

fn with_key() -> Workspace {
    let workspace = Workspace::with_ring();
    write_key(&workspace, "attest.pem", KEY);
    workspace
}

fn write_key(workspace: &Workspace, name: &str, text: &str) {
    let path = workspace.path(name);
    fs::write(&path, text).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

const ATTEST: &str = "verify net.ring --owner keys/owner.pub --svr attest.pem -o net.svr.json";

fn statement(workspace: &Workspace) -> Value {
    let bundle: Value =
        serde_json::from_slice(&fs::read(workspace.path("net.svr.json")).unwrap()).unwrap();
    let payload = bundle["dsseEnvelope"]["payload"].as_str().unwrap();
    serde_json::from_slice(&STANDARD.decode(payload).unwrap()).unwrap()
}

#[test]
fn an_intact_ring_is_attested_with_its_owner_and_version() {
    let workspace = with_key();
    let ran = workspace.run(ATTEST).succeeds().says("ni:///sha-256;");
    assert!(ran.stdout.starts_with("intact: "));
    let ring = workspace.ring("net.ring");
    let statement = statement(&workspace);
    assert_eq!(statement["subject"][0]["digest"]["deepringRingDigest"], ring.digest().to_string());
    let properties = statement["predicate"]["properties"].as_array().unwrap();
    assert!(properties.contains(&"DEEPRING_VERIFIED_ALL_BYTES".into()));
    assert!(properties.contains(&format!("DEEPRING_OWNER_{}", ring.owner()).into()));
    // With a key that opens blocks, a URI of one's own, and over the one before.
    let more = format!("{ATTEST} --key keys/host.key --verifier-id https://example.com/v1 --json");
    let shown = workspace.run(&more).succeeds().json();
    assert_eq!(shown["verdict"], "intact");
    let predicate = &self::statement(&workspace)["predicate"];
    assert_eq!(predicate["verifier"]["id"], "https://example.com/v1");
}

#[test]
fn of_a_ring_about_which_anything_is_found_nothing_is_attested() {
    let workspace = with_key();
    let len = fs::metadata(workspace.path("net.ring")).unwrap().len();
    workspace.run("keygen --out other").succeeds();
    for (words, code) in [
        // Another owner than the one that is trusted; an owner whom nobody knows; a key for no block.
        (ATTEST.replace("keys/owner.pub", "other/owner.pub"), 4),
        (ATTEST.replace("--owner keys/owner.pub", ""), 4),
        (format!("{ATTEST} --key other/host.key"), 4),
    ] {
        workspace.run(&words).exits(code);
        assert!(!workspace.path("net.svr.json").exists(), "{words}");
    }
    // One byte of any part.
    for at in [30, 400, len as usize / 2, len as usize - 1] {
        workspace.flip("net.ring", at);
        for words in [ATTEST, &format!("{ATTEST} --key keys/host.key --json")] {
            workspace.run(words).exits(3);
            assert!(!workspace.path("net.svr.json").exists(), "byte {at}");
        }
        workspace.flip("net.ring", at);
    }
    // A version older than one that was seen.
    workspace.run("trust add keys/owner.pub").succeeds();
    workspace.seal("next.ring", "--previous net.ring");
    workspace.run("verify next.ring").succeeds();
    workspace.run(ATTEST).exits(5);
    assert!(!workspace.path("net.svr.json").exists());
}

#[test]
fn only_a_key_that_is_its_users_alone_attests_and_it_is_not_written_over() {
    let workspace = with_key();
    workspace.run("verify net.ring --owner keys/owner.pub --svr attest.pem").exits(2);
    workspace.run("verify net.ring --owner keys/owner.pub -o x.json").exits(2);
    for id in ["me", "x:<script>alert(1)</script>\"&", "x:%4g", "x:\u{e9}"] {
        let words = ATTEST.split(' ').chain(["--verifier-id", id]);
        let output = workspace.command_of(words).output().unwrap();
        Ran::of(id, output).exits(2).says("is a URI");
        assert!(!workspace.path("net.svr.json").exists(), "{id}");
    }
    for target in ["attest.pem", "net.ring", "keys/owner.pub", "keys/host.key"] {
        let words = ATTEST.replace("net.svr.json", target);
        let refused = workspace.run(&words);
        assert!(matches!(refused.code, Some(1 | 2)), "{target}: {}", refused.stderr);
    }
    assert_eq!(fs::read_to_string(workspace.path("attest.pem")).unwrap(), KEY);
    for (text, says) in [
        (KEY.replace("PRIVATE", "EC PRIVATE"), "it is a `EC PRIVATE KEY`"),
        (fs::read_to_string(workspace.path("keys/owner.key")).unwrap(), "the text is not PEM"),
    ] {
        write_key(&workspace, "attest.pem", &text);
        workspace.run(ATTEST).exits(1).says(says).says("hint: `openssl genpkey");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        write_key(&workspace, "attest.pem", KEY);
        let loose = fs::Permissions::from_mode(0o644);
        fs::set_permissions(workspace.path("attest.pem"), loose).unwrap();
        workspace.run(ATTEST).exits(1).says("hint: chmod 600 attest.pem");
    }
    assert!(!workspace.path("net.svr.json").exists());
}
