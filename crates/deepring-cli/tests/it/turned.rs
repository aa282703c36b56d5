//! A link that is turned while a command runs, stopped behind each look at one: links are followed once.
#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::symlink;

use crate::desk::{Desk, Ran};

/// Most links that a command reads here.
const MOST: usize = 40;

/// What became of a command that was to be stopped.
enum Stopped {
    /// It was, and then went on to its end.
    Ran(Ran),
    /// It read fewer links.
    Not,
    /// No process here may stop another.
    Refused(String),
}

/// Runs a command and, when it has read its `nth` link, does something before it goes on.
#[cfg(target_arch = "x86_64")]
fn stopped_behind(desk: &Desk, words: &str, nth: usize, then: impl FnOnce()) -> Stopped {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use nix::libc::{SYS_readlink, SYS_readlinkat};
    use nix::sys::ptrace::{self, Options};
    use nix::sys::signal::Signal;
    use nix::sys::wait::{WaitStatus, waitpid};
    use nix::unistd::Pid;

    // Waits until it is watched; from then on the process is the command's.
    let mut command = Command::new("sh");
    command.args(["-c", "read go; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_deepring")]);
    command.args(words.split_whitespace()).current_dir(desk.path(""));
    desk.surround(&mut command);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    if let Err(e) = ptrace::seize(pid, Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_EXITKILL)
    {
        child.kill().unwrap();
        child.wait().unwrap();
        return Stopped::Refused(e.to_string());
    }
    ptrace::interrupt(pid).unwrap();
    assert!(matches!(waitpid(pid, None).unwrap(), WaitStatus::PtraceEvent(..)));
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    let (mut read, mut signal) = (0, None);
    loop {
        ptrace::syscall(pid, signal.take()).unwrap();
        match waitpid(pid, None).unwrap() {
            WaitStatus::PtraceSyscall(_) => {
                let registers = ptrace::getregs(pid).unwrap();
                let call = i64::try_from(registers.orig_rax).unwrap_or(-1);
                // Negative while it is still to be done, and where there was no link.
                let found = registers.rax.cast_signed() > 0;
                read += usize::from(found && [SYS_readlink, SYS_readlinkat].contains(&call));
                if read == nth {
                    break;
                }
            }
            // That the command itself begins: not for it.
            WaitStatus::Stopped(_, Signal::SIGTRAP) | WaitStatus::PtraceEvent(..) => {}
            WaitStatus::Stopped(_, other) => signal = Some(other),
            // Waited for here, so not by `child`.
            WaitStatus::Exited(..) | WaitStatus::Signaled(..) => return Stopped::Not,
            other => panic!("{other:?}"),
        }
    }
    then();
    ptrace::detach(pid, None).unwrap();
    Stopped::Ran(Ran::of(words, child.wait_with_output().unwrap()))
}

#[cfg(not(target_arch = "x86_64"))]
fn stopped_behind(_: &Desk, _: &str, _: usize, _: impl FnOnce()) -> Stopped {
    Stopped::Refused("which system call it was is not known on this processor".to_owned())
}

/// Puts a link that leads to `to` in the place of `link`, which is there all the while.
fn turn(desk: &Desk, link: &str, to: &str) {
    symlink(to, desk.path("turned")).unwrap();
    fs::rename(desk.path("turned"), desk.path(link)).unwrap();
}

/// Has `link` lead from `from` to `to` behind each look at a link: all is well, at `from`; and `to` is as it was, unread, and
/// bound to nothing.
fn follows_once(desk: &Desk, words: &str, link: &str, from: &str, to: &str, prepare: impl Fn()) {
    let mut met = 0;
    for nth in 1..MOST {
        prepare();
        let _ = fs::remove_file(desk.path("trust.json"));
        turn(desk, link, from);
        let [before, spared] = [from, to].map(|name| fs::read(desk.path(name)).ok());
        let ran = match stopped_behind(desk, words, nth, || turn(desk, link, to)) {
            Stopped::Ran(ran) => ran,
            Stopped::Not => break,
            Stopped::Refused(why) => {
                println!("skipped: no process here may stop another: {why}");
                return;
            }
        };
        ran.succeeds();
        let [after, still] = [from, to].map(|name| fs::read(desk.path(name)).ok());
        assert!(still == spared, "{words}: {to} was written, stopped behind link {nth}");
        assert!(after != before, "{words}: {from} was not written, stopped behind link {nth}");
        let store = fs::read_to_string(desk.path("trust.json")).unwrap();
        let bound = |name: &str| store.contains(&format!("/{name}\": {{"));
        assert!(!bound(to), "{words}: {to} was bound, stopped behind link {nth}");
        assert!(bound(from), "{words}: {from} was not bound, stopped behind link {nth}");
        met = nth;
    }
    println!("{words}: stopped behind {met} links");
    assert!((1..MOST - 1).contains(&met), "{words}: {met} links");
}

/// A ring, another of the same owner, a third host, and something else that is not to be lost.
fn desk() -> Desk {
    let desk = Desk::with_ring();
    desk.run("keygen --out more").succeeds();
    desk.seal("other.ring", "");
    fs::copy(desk.path("net.ring"), desk.path("intact.ring")).unwrap();
    fs::write(desk.path("notes.txt"), "not to be lost").unwrap();
    desk
}

#[test]
fn a_grant_follows_a_link_once() {
    let desk = desk();
    let fresh = || {
        fs::copy(desk.path("intact.ring"), desk.path("net.ring")).unwrap();
        let _ = fs::remove_file(desk.path("new.ring"));
    };
    let grant = "--owner-key keys/owner.key --host more/host.pub";
    for to in ["other.ring", "notes.txt", "more/host.pub"] {
        let words = format!("grant link.ring {grant}");
        follows_once(&desk, &words, "link.ring", "net.ring", to, fresh);
        let words = format!("grant intact.ring {grant} -o link.ring");
        follows_once(&desk, &words, "link.ring", "new.ring", to, fresh);
    }
}

#[test]
fn a_repair_follows_a_link_once() {
    let desk = desk();
    let at = fs::metadata(desk.path("net.ring")).unwrap().len() - 100;
    let damage = || {
        fs::copy(desk.path("intact.ring"), desk.path("net.ring")).unwrap();
        desk.flip("net.ring", usize::try_from(at).unwrap());
    };
    let words = "repair link.ring --from intact.ring --owner keys/owner.pub";
    for to in ["other.ring", "notes.txt", "none.ring"] {
        follows_once(&desk, words, "link.ring", "net.ring", to, damage);
    }
}
