//! A confined child tries what an attacker in it would; before that it tried the same, and could.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, IoSliceMut, Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use rustix::process::{DumpableBehavior, PidfdFlags, pidfd_open, set_dumpable_behavior};

use super::*;

const FOLDER: &str = "DEEPRING_TEST_SANDBOX";

fn again(folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let test = "sandbox::linux::tests::a_confined_process_is_refused_what_a_run_does_not_need";
    command.args(["--exact", test, "--nocapture"]).env(FOLDER, folder);
    command
}

#[test]
fn a_confined_process_is_refused_what_a_run_does_not_need() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return confined(Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("read"), "to be read").unwrap();
    fs::write(folder.path().join("other"), "none of its business").unwrap();
    fs::create_dir(folder.path().join("change")).unwrap();
    let output = again(folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

/// What an attacker tries on another process; each must have been possible.
fn reach(other: &Child) -> [Result<(), Errno>; 3] {
    let pid = Pid::from_raw(i32::try_from(other.id()).unwrap());
    let attached = ptrace::attach(pid);
    if attached.is_ok() {
        waitpid(pid, None).unwrap();
        ptrace::detach(pid, None).unwrap();
    }
    let mut byte = [0];
    let there = RemoteIoVec { base: 0, len: 1 };
    // Nothing is at address 0, which is known only to who may look.
    let read = match process_vm_readv(pid, &mut [IoSliceMut::new(&mut byte)], &[there]) {
        Err(Errno::EFAULT) => Ok(()),
        other => other.map(|_| ()),
    };
    let pid = rustix::process::Pid::from_child(other);
    let opened = pidfd_open(pid, PidfdFlags::empty()).map(|_| ());
    [attached, read, opened.map_err(|e| Errno::from_raw(e.raw_os_error()))]
}

/// What an attacker tries in the process that is his.
fn spread() -> [io::Result<()>; 5] {
    let code = || memmap2::MmapMut::map_anon(4096)?.make_exec().map(|_| ());
    let mut program = Command::new("true");
    [
        program.status().map(|_| ()),
        TcpListener::bind("127.0.0.1:0").map(|_| ()),
        UnixStream::pair().map(|_| ()),
        code(),
        set_dumpable_behavior(DumpableBehavior::Dumpable).map_err(io::Error::from),
    ]
}

fn denied<T: std::fmt::Debug>(outcome: io::Result<T>) {
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::PermissionDenied);
}

fn confined(folder: &Path) {
    let in_folder = |name: &str| folder.join(name);
    let mut other =
        Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    // Once it answers it is `cat`: who attaches to what is about to become it sees another stop than his own.
    other.stdin.as_mut().unwrap().write_all(b"?").unwrap();
    other.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    assert_eq!(reach(&other), [Ok(()), Ok(()), Ok(())], "nothing else is in the way");
    assert!(spread().iter().all(io::Result::is_ok));

    let needs =
        Needs { read: vec![in_folder("read")], change: vec![in_folder("change")], code: false };
    let sandbox = restrict(&needs).unwrap();
    assert!(sandbox.landlock >= 3 && sandbox.denied == NEVER.len());

    // What it needs, it can do.
    assert_eq!(fs::read_to_string(in_folder("read")).unwrap(), "to be read");
    fs::write(in_folder("change/new"), "new").unwrap();
    fs::rename(in_folder("change/new"), in_folder("change/newer")).unwrap();
    File::open(in_folder("change")).unwrap().sync_all().unwrap();
    fs::remove_file(in_folder("change/newer")).unwrap();

    // And nothing else.
    denied(OpenOptions::new().write(true).open(in_folder("read")));
    denied(OpenOptions::new().append(true).open(in_folder("read")));
    denied(fs::read(in_folder("other")));
    denied(fs::write(in_folder("more"), "more"));
    denied(fs::remove_file(in_folder("other")));
    denied(fs::rename(in_folder("change"), in_folder("elsewhere")));
    denied(fs::read_dir(folder).map(|_| ()));
    for path in ["/etc/passwd", "/proc/self/mem", "/proc/self/environ"] {
        denied(File::open(path));
    }
    assert_eq!(reach(&other), [Err(Errno::EPERM); 3]);
    for outcome in spread() {
        denied(outcome);
    }
    if sandbox.landlock >= 6 {
        denied(other.kill());
    }
    // A thread that is started now is as confined.
    std::thread::spawn(|| denied(File::open("/etc/passwd"))).join().unwrap();
    // Not killed: it ends as its input does, with this process.
    drop(other.stdin.take());
    other.wait().unwrap();
}

#[test]
fn a_process_of_several_threads_is_not_confined_by_half() {
    // The thread of this test is the second one.
    let refused = only_thread().unwrap_err();
    assert!(refused.contains("threads already"), "{refused}");
}
