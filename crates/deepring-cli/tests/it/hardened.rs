//! Another process of the same user does not get at the running command.
#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::workspace::Workspace;

/// The user `nobody`, for whom root has its children run: root may do everything.
const NOBODY: u32 = 65534;

/// Whether a process of this user can open another one's memory.
fn opens_memory(of: &Child, user: u32) -> bool {
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec 3</proc/$0/mem", &of.id().to_string()]).stderr(Stdio::null());
    shell.uid(user).gid(user).status().unwrap().success()
}

fn end(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn the_running_command_is_closed_to_its_own_user_and_leaves_no_core() {
    let workspace = Workspace::with_ring();
    workspace.register("net.ring", "ledger");
    let me = fs::metadata("/proc/self").unwrap().uid();
    let user = if me == 0 { NOBODY } else { me };
    if me == 0 {
        let mut all = vec![workspace.path("")];
        while let Some(path) = all.pop() {
            chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
            if path.is_dir() {
                all.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
        }
    }
    let as_user = |command: &mut Command| {
        if me == 0 {
            command.uid(NOBODY).gid(NOBODY);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()
    };

    let other = as_user(&mut Command::new("cat")).unwrap();
    let reachable = opens_memory(&other, user);
    end(other);
    if !reachable {
        crate::skip::skip("system", "on this system no process opens another's memory anyway");
        return;
    }

    let run = "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy --ledger ledger \
               --repeat 1000000";
    let mut child = match as_user(&mut workspace.command(run)) {
        Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => {
            crate::skip::skip(
                "system",
                format_args!("another user may not run the command here: {e}"),
            );
            return;
        }
        child => child.unwrap(),
    };
    // It is at work, so it is past the beginning of `main`.
    while workspace.acknowledged("ledger") < 2 {
        assert!(child.try_wait().unwrap().is_none(), "the run ended early");
        std::thread::yield_now();
    }
    assert!(!opens_memory(&child, user), "its own user opens its memory");
    let limits = fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
    let core = limits.lines().find(|l| l.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"]);
    end(child);
}

#[test]
fn a_run_says_what_keeps_others_out() {
    let workspace = Workspace::with_ring();
    let run = "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy";
    let ran = workspace.run(&format!("{run} --json")).succeeds().json();
    let found = &ran["hardening"];
    assert_eq!(
        [&found["not_dumpable"], &found["no_core_files"], &found["sandbox"]],
        [&json!(true), &json!(true), &json!(null)]
    );
    // Each block's parameters and secrets got something, and no pages are left as they were.
    let blocks = workspace.ring("net.ring").layers().len() as u64;
    for memory in [&found["memory"]["parameters"], &found["memory"]["check_secrets"]] {
        let memory = memory.as_object().unwrap();
        assert_eq!(memory.values().map(|n| n.as_u64().unwrap()).sum::<u64>(), blocks);
        assert!(!memory.contains_key("plain"), "{memory:?}");
    }
    let words = "process: closed to its own user since main began, not to root \
                 (ptrace, /proc/PID/mem, process_vm_*), without core files";
    let verbose = workspace.run(&format!("{run} --verbose")).succeeds().says(words);
    assert!(verbose.stderr.contains("memory: parameters of blocks: "), "{}", verbose.stderr);
    assert!(!workspace.run(run).succeeds().stderr.contains("process: "));
}
