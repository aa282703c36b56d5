//! Files put in a file's place, or a link's, while a command runs, which is stopped there: links are followed once, a file is
//! opened once, and nothing that came meanwhile is lost.
#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::symlink;

use crate::workspace::{Ran, Workspace};

/// So many calls of one kind, at most, is a command stopped behind.
const MOST: usize = 60;

/// Where a command is stopped: behind each of the calls `at` that succeeds, from the first of `since` on.
#[derive(Clone, Copy)]
struct Calls {
    since: &'static [&'static str],
    at: &'static [&'static str],
}

/// Behind each link that is read.
const LINKS: Calls = Calls { since: &["readlink"], at: &["readlink"] };
/// Behind each file that is opened after that.
const OPENED: Calls = Calls { since: &["readlink"], at: &["open"] };

/// While a file is begun: its turn was taken before.
const BEGUN: Calls = Calls { since: &["flock"], at: &["open", "stat"] };
/// While a file that is whole gets its name.
const NAMED: Calls = Calls { since: &["link"], at: &["link", "stat"] };

/// The fate of a command that was to be stopped.
enum Stopped {
    /// It was, and then went on to its end.
    Ran(Ran),
    /// It made fewer of these calls.
    Not,
    /// No process here may stop another.
    Refused(String),
}

/// Runs a command and, behind the `nth` of these calls, does something before it goes on.
#[cfg(target_arch = "x86_64")]
#[allow(clippy::zombie_processes, reason = "a process that has ended was waited for by its number")]
fn stopped_behind(
    workspace: &Workspace,
    words: &str,
    calls: Calls,
    nth: usize,
    then: impl FnOnce(),
) -> Stopped {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use nix::libc;
    use nix::sys::ptrace::{self, Options};
    use nix::sys::signal::Signal;
    use nix::sys::wait::{WaitStatus, waitpid};
    use nix::unistd::Pid;

    let name = |call: i64| match call {
        libc::SYS_readlink | libc::SYS_readlinkat => "readlink",
        libc::SYS_open | libc::SYS_openat => "open",
        libc::SYS_flock => "flock",
        libc::SYS_link | libc::SYS_linkat => "link",
        libc::SYS_statx | libc::SYS_newfstatat | libc::SYS_lstat | libc::SYS_stat => "stat",
        _ => "another",
    };
    // Waits until it is watched; from then on the process is the command's.
    let mut command = Command::new("sh");
    command.args(["-c", "read go; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_deepring")]);
    command.args(words.split_whitespace()).current_dir(workspace.path(""));
    workspace.surround(&mut command);
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
    let (mut since, mut met, mut signal) = (false, 0, None);
    loop {
        ptrace::syscall(pid, signal.take()).unwrap();
        match waitpid(pid, None).unwrap() {
            WaitStatus::PtraceSyscall(_) => {
                let registers = ptrace::getregs(pid).unwrap();
                let call = i64::try_from(registers.orig_rax).unwrap_or(-1);
                // Negative while it is still to be done, and where it failed.
                let well = registers.rax.cast_signed() >= 0;
                since |= well && calls.since.contains(&name(call));
                met += usize::from(since && well && calls.at.contains(&name(call)));
                if met == nth {
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
fn stopped_behind(_: &Workspace, _: &str, _: Calls, _: usize, _: impl FnOnce()) -> Stopped {
    Stopped::Refused("which system call it was is not known on this processor".to_owned())
}

/// Puts a link that leads to `to` in the place of `link`, which is there all the while.
fn turn(workspace: &Workspace, link: &str, to: &str) {
    symlink(to, workspace.path("turned")).unwrap();
    fs::rename(workspace.path("turned"), workspace.path(link)).unwrap();
}

/// Runs a command again and again, each time prepared anew and stopped behind the next of the calls, and looks at what became
/// of it. Gives how often that was, or nothing where no process here may stop another.
fn at_each(
    workspace: &Workspace,
    words: &str,
    calls: Calls,
    prepare: impl Fn(),
    then: impl Fn(),
    look: impl Fn(Ran, usize),
) -> Option<usize> {
    for nth in 1..MOST {
        prepare();
        match stopped_behind(workspace, words, calls, nth, &then) {
            Stopped::Ran(ran) => look(ran, nth),
            Stopped::Not => {
                println!("{words}: stopped {} times", nth - 1);
                return Some(nth - 1);
            }
            Stopped::Refused(why) => {
                crate::skip::skip(
                    "system",
                    format_args!("no process here may stop another: {why}"),
                );
                return None;
            }
        }
    }
    Some(MOST)
}

/// Has `link` lead from `from` to `to` behind each look at a link: all is well, at `from`; and `to` is as it was, unread, and
/// bound to nothing.
fn follows_once(
    workspace: &Workspace,
    words: &str,
    link: &str,
    from: &str,
    to: &str,
    prepare: impl Fn(),
) {
    let read = |name: &str| fs::read(workspace.path(name)).ok();
    let prepare = || {
        prepare();
        let _ = fs::remove_file(workspace.path("trust.json"));
        turn(workspace, link, from);
    };
    prepare();
    let [before, spared] = [from, to].map(read);
    let look = |ran: Ran, nth| {
        ran.succeeds();
        assert!(read(to) == spared, "{words}: {to} was written, stopped behind link {nth}");
        assert!(read(from) != before, "{words}: {from} was not written, stopped behind link {nth}");
        let store = fs::read_to_string(workspace.path("trust.json")).unwrap();
        let bound = |name: &str| store.contains(&format!("/{name}\": {{"));
        assert!(!bound(to), "{words}: {to} was bound, stopped behind link {nth}");
        assert!(bound(from), "{words}: {from} was not bound, stopped behind link {nth}");
    };
    let met = at_each(workspace, words, LINKS, prepare, || turn(workspace, link, to), look);
    assert!(met.is_none_or(|met| (1..MOST).contains(&met)), "{words}: {met:?} links");
}

/// A ring, another of the same owner, a third host, and something else that is not to be lost.
fn workspace() -> Workspace {
    let workspace = Workspace::with_ring();
    workspace.run("keygen --out more").succeeds();
    workspace.seal("other.ring", "");
    fs::copy(workspace.path("net.ring"), workspace.path("intact.ring")).unwrap();
    fs::write(workspace.path("notes.txt"), "not to be lost").unwrap();
    workspace
}

#[test]
fn a_grant_follows_a_link_once() {
    let workspace = workspace();
    let fresh = || {
        fs::copy(workspace.path("intact.ring"), workspace.path("net.ring")).unwrap();
        let _ = fs::remove_file(workspace.path("new.ring"));
    };
    let grant = "--owner-key keys/owner.key --host more/host.pub";
    for to in ["other.ring", "notes.txt", "more/host.pub"] {
        let words = format!("grant link.ring {grant}");
        follows_once(&workspace, &words, "link.ring", "net.ring", to, fresh);
        let words = format!("grant intact.ring {grant} -o link.ring");
        follows_once(&workspace, &words, "link.ring", "new.ring", to, fresh);
    }
}

#[test]
fn a_repair_follows_a_link_once() {
    let workspace = workspace();
    let at = fs::metadata(workspace.path("net.ring")).unwrap().len() - 100;
    let damage = || {
        fs::copy(workspace.path("intact.ring"), workspace.path("net.ring")).unwrap();
        workspace.flip("net.ring", usize::try_from(at).unwrap());
    };
    let words = "repair link.ring --from intact.ring --owner keys/owner.pub";
    for to in ["other.ring", "notes.txt", "none.ring"] {
        follows_once(&workspace, words, "link.ring", "net.ring", to, damage);
    }
}

/// From a bound place no other ring is taken, though it came there when the copy had been looked at.
#[test]
fn a_repair_takes_from_the_copy_that_it_looked_at() {
    let workspace = workspace();
    workspace.run("trust bind intact.ring --owner keys/owner.pub").succeeds();
    symlink("intact.ring", workspace.path("link.ring")).unwrap();
    let prepare = || {
        fs::copy(workspace.path("net.ring"), workspace.path("intact.ring")).unwrap();
        for name in ["hurt.ring", "another.ring"] {
            fs::copy(workspace.path("other.ring"), workspace.path(name)).unwrap();
        }
        let at = fs::metadata(workspace.path("hurt.ring")).unwrap().len() - 100;
        workspace.flip("hurt.ring", usize::try_from(at).unwrap());
    };
    prepare();
    let hurt = fs::read(workspace.path("hurt.ring")).unwrap();
    let words = "repair hurt.ring --from link.ring --owner keys/owner.pub";
    let put = || fs::rename(workspace.path("another.ring"), workspace.path("intact.ring")).unwrap();
    let met = at_each(&workspace, words, OPENED, prepare, put, |ran, nth| {
        assert!([Some(4), Some(5)].contains(&ran.code), "{nth}: {:?} {}", ran.code, ran.stderr);
        assert!(fs::read(workspace.path("hurt.ring")).unwrap() == hurt, "{nth}");
    });
    assert!(met.is_none_or(|met| (1..MOST).contains(&met)), "{met:?}");
}

/// Puts a file in a place behind each of the calls (the first of them, where there are many): there it is when the command has ended, whatever became of that.
fn keeps_what_comes(
    workspace: &Workspace,
    words: &str,
    calls: Calls,
    place: &str,
    prepare: impl Fn(),
) {
    let prepare = || {
        prepare();
        let _ = fs::remove_file(workspace.path("trust.json"));
        fs::copy(workspace.path("more/owner.key"), workspace.path("comes")).unwrap();
    };
    let put = || fs::rename(workspace.path("comes"), workspace.path(place)).unwrap();
    let key = fs::read(workspace.path("more/owner.key")).unwrap();
    at_each(workspace, words, calls, prepare, put, |ran, nth| {
        let there = fs::read(workspace.path(place)).unwrap();
        assert!(there == key, "{words}, stopped {nth} times: {:?} {}", ran.code, ran.stderr);
        let left = workspace.files().into_iter().find(|name| name.starts_with('.'));
        assert!(left.is_none(), "{words}, stopped {nth} times: {left:?} was left");
    });
}

#[test]
fn what_comes_while_a_repair_reads_is_not_lost() {
    let workspace = workspace();
    symlink("net.ring", workspace.path("link.ring")).unwrap();
    let at = fs::metadata(workspace.path("net.ring")).unwrap().len() - 100;
    let damage = || {
        let _ = fs::remove_file(workspace.path("net.ring"));
        fs::copy(workspace.path("intact.ring"), workspace.path("net.ring")).unwrap();
        workspace.flip("net.ring", usize::try_from(at).unwrap());
    };
    let words = "repair link.ring --from intact.ring --owner keys/owner.pub";
    keeps_what_comes(&workspace, words, OPENED, "net.ring", damage);
}

#[test]
fn what_comes_while_an_output_is_begun_or_gets_its_name_is_not_lost() {
    let workspace = workspace();
    let old = || {
        let _ = fs::remove_file(workspace.path("out"));
        fs::write(workspace.path("out"), "what was there before").unwrap();
    };
    let export = "export net.ring --owner keys/owner.pub --key keys/host.key -o out";
    let grant = "grant net.ring --owner-key keys/owner.key --host more/host.pub -o out";
    for calls in [BEGUN, NAMED] {
        keeps_what_comes(&workspace, export, calls, "out", old);
    }
    keeps_what_comes(&workspace, grant, NAMED, "out", old);
}
