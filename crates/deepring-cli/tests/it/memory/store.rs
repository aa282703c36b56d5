//! The store's own file: of an old format, and where others can read or change it.

use std::fs;

use super::{RUN, two_owners};
use crate::workspace::Workspace;

#[test]
fn a_store_of_format_1_is_refused_with_what_to_do_and_left_as_it_is() {
    let workspace = two_owners();
    let old = "{ \"format\": 1, \"owners\": [], \"rings\": {} }";
    fs::write(workspace.path("trust.json"), old).unwrap();
    for words in ["verify a.ring --owner keys/owner.pub", "trust list", "trust add keys/owner.pub"]
    {
        workspace.run(words).exits(1).says("format 1").says("hint: move it away");
    }
    assert_eq!(fs::read_to_string(workspace.path("trust.json")).unwrap(), old);
}

/// Another user needs nothing but to open a file in order to lock it, and so to keep every command waiting.
#[cfg(unix)]
#[test]
fn another_user_can_open_neither_the_stores_lock_nor_the_ledgers_database() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;
    let workspace = two_owners();
    let script = format!(
        "umask 0; {0} ledger register a.ring --owner-key keys/owner.key --ledger ledger --new-ledger && \
         exec {0} run a.ring --owner keys/owner.pub {RUN} --ledger ledger",
        env!("CARGO_BIN_EXE_deepring")
    );
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &script]).current_dir(workspace.path(""));
    workspace.surround(&mut shell);
    assert!(shell.output().unwrap().status.success());
    let private = ["trust.json.lock", "trust.json", "ledger/ledger.redb", "ledger/log.key"];
    for name in private {
        assert_eq!(fs::metadata(workspace.path(name)).unwrap().mode() & 0o777, 0o600, "{name}");
    }
    if fs::metadata(workspace.path("")).unwrap().uid() != 0 {
        crate::skip::skip("system", "only root can play another user");
        return;
    }
    fs::set_permissions(workspace.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    let opens = |name: &str| {
        let mut cat = std::process::Command::new("cat");
        let cat = cat.arg(workspace.path(name)).uid(65534).gid(65534);
        cat.output().unwrap().status.success()
    };
    assert!(opens("ledger/log.pub"), "the folders can be entered");
    private.iter().for_each(|name| assert!(!opens(name), "{name}"));
}

#[cfg(unix)]
#[test]
fn a_store_that_others_can_write_is_refused_with_the_command_that_helps() {
    use std::os::unix::fs::PermissionsExt as _;
    let workspace = Workspace::with_trusted_ring();
    let store = workspace.path("trust.json");
    for mode in [0o620, 0o602, 0o666] {
        fs::set_permissions(&store, fs::Permissions::from_mode(mode)).unwrap();
        for words in ["verify net.ring", "trust list", "trust add keys/owner.pub"] {
            workspace.run(words).exits(1).says("others can write").says("chmod 600 ");
        }
    }
    fs::set_permissions(&store, fs::Permissions::from_mode(0o600)).unwrap();
    workspace.run("verify net.ring").succeeds();
}

/// A store counts for nothing where others can change it, or put another in its place.
#[cfg(unix)]
#[test]
fn a_store_of_another_user_or_in_a_folder_that_others_can_write_is_refused() {
    use std::os::unix::fs::{PermissionsExt as _, chown};
    let workspace = Workspace::with_ring();
    fs::create_dir(workspace.path("f")).unwrap();
    let set =
        |mode| fs::set_permissions(workspace.path("f"), fs::Permissions::from_mode(mode)).unwrap();
    let all = [
        "verify net.ring --owner keys/owner.pub --trust f/t.json",
        "trust list --trust f/t.json",
        "trust add keys/owner.pub --trust f/t.json",
        "ledger init ledger --trust f/t.json",
    ];
    let refused = |why: &str| {
        for words in all {
            workspace.run(words).exits(1).says(why);
        }
        assert!(!workspace.path("ledger").exists());
    };
    for there in [false, true] {
        for mode in [0o777, 0o775, 0o757] {
            set(mode);
            refused("others can put another file in the place of this trust store");
        }
        // As in /tmp: what others add is theirs, and what is ours stays.
        set(0o1777);
        workspace.run(all[0]).succeeds();
        if !there {
            workspace.run(all[2]).succeeds();
        }
    }
    set(0o700);
    workspace.run(all[0]).succeeds();
    if chown(workspace.path("f/t.json"), Some(12_345), None).is_err() {
        crate::skip::skip("system", "only root gives files away");
        return;
    }
    refused("belongs to another user (uid 12345)");
    chown(workspace.path("f/t.json"), Some(0), None).unwrap();
    chown(workspace.path("f"), Some(12_345), None).unwrap();
    refused("uid 12345");
}

#[cfg(unix)]
#[test]
fn a_store_behind_a_link_is_written_where_the_link_leads() {
    let workspace = Workspace::with_ring();
    fs::create_dir(workspace.path("real")).unwrap();
    for (link, leads_to) in [("one", "real/trust"), ("two", "real/new")] {
        std::os::unix::fs::symlink(leads_to, workspace.path(link)).unwrap();
        workspace.run(&format!("trust add keys/owner.pub --trust {link}")).succeeds();
        assert!(workspace.path(link).is_symlink());
        workspace.run(&format!("verify net.ring --trust {leads_to}")).succeeds();
        assert!(workspace.path(&format!("{leads_to}.lock")).exists());
        assert!(!workspace.path(&format!("{link}.lock")).exists());
    }
}
