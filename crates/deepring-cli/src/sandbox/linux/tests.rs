//! A confined child tries what an attacker in it would; before that it tried the same, and could.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, IoSliceMut, Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::SystemTime;

use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use rustix::process::{
    DumpableBehavior, PidfdFlags, Resource, Rlimit, getrlimit, pidfd_open, prlimit,
    set_dumpable_behavior, setpriority_process,
};

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

/// Calls that an attacker tries on another process; each must have been possible.
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

/// Calls that an attacker tries in the process that is his.
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

/// Calls that an attacker tries so that other processes get less of the machine.
fn starve(other: &Child) -> [io::Result<()>; 2] {
    let pid = Some(rustix::process::Pid::from_child(other));
    let limit = || prlimit(pid, Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    [setpriority_process(pid, 19), limit().map(|_| ())].map(|r| r.map_err(io::Error::from))
}

/// Calls that an attacker tries so that others may open a file, or to hide that it changed; `readable` he may read.
fn mark(other: &Path, readable: &Path) -> [io::Result<()>; 4] {
    let everybody = || fs::Permissions::from_mode(0o666);
    [
        fs::set_permissions(other, everybody()),
        fs::set_permissions(readable, everybody()),
        File::open(readable).and_then(|file| file.set_permissions(everybody())),
        File::open(readable).and_then(|file| file.set_modified(SystemTime::UNIX_EPOCH)),
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
    assert!(starve(&other).iter().all(io::Result::is_ok));
    let marks = || mark(&in_folder("other"), &in_folder("read"));
    assert!(marks().iter().all(io::Result::is_ok));

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
    let tried = spread().into_iter().chain(starve(&other)).chain(marks());
    tried.for_each(denied);
    // Its own limits it may have.
    assert_eq!(prlimit(None, Resource::Core, getrlimit(Resource::Core)).map(drop), Ok(()));
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

/// The kernel's verdict on a system call: the program it is given, run here, since no safe function makes the call.
fn verdict(program: &BpfProgram, call: i64, arguments: [u64; 6]) -> u32 {
    let arch: u32 = match std::env::consts::ARCH {
        "x86_64" => 0xC000_003E,
        "aarch64" => 0xC000_00B7,
        "riscv64" => 0xC000_00F3,
        other => panic!("{other}"),
    };
    // `struct seccomp_data`: number, architecture, instruction pointer, arguments.
    let mut data = Vec::new();
    data.extend_from_slice(&u32::try_from(call).unwrap().to_le_bytes());
    data.extend_from_slice(&arch.to_le_bytes());
    data.extend_from_slice(&0u64.to_le_bytes());
    arguments.iter().for_each(|a| data.extend_from_slice(&a.to_le_bytes()));

    let (mut at, mut a) = (0, 0u32);
    loop {
        let step = &program[at];
        at += 1;
        let jump = |taken: bool| usize::from(if taken { step.jt } else { step.jf });
        match step.code {
            0x20 => {
                let from = step.k as usize;
                a = u32::from_le_bytes(data[from..from + 4].try_into().unwrap());
            }
            0x54 => a &= step.k,
            0x05 => at += step.k as usize,
            0x15 => at += jump(a == step.k),
            0x25 => at += jump(a > step.k),
            0x35 => at += jump(a >= step.k),
            0x06 => return step.k,
            other => panic!("instruction {other:#x}"),
        }
    }
}

#[test]
fn what_only_numbers_can_ask_for_is_refused_too() {
    const REFUSED: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM.unsigned_abs();
    let (program, _) = filter(false).unwrap();
    let of = |call, arguments: &[u64]| {
        let mut all = [0; 6];
        all[..arguments.len()].copy_from_slice(arguments);
        verdict(&program, call, all)
    };
    for call in [libc::SYS_shmget, libc::SYS_semget, libc::SYS_msgget, libc::SYS_mq_open] {
        assert_eq!(of(call, &[]), REFUSED, "{call}");
    }
    for call in [libc::SYS_lsetxattr, libc::SYS_lremovexattr, 452, 463, 466, 469] {
        assert_eq!(of(call, &[]), REFUSED, "{call}");
    }
    // The kernel reads the lower half of a request: what is in the upper one hides nothing.
    let [sti, linux, setd, winsize] = [0x5412, 0x541C, 0x5423, 0x5413];
    for request in [sti, linux, setd] {
        assert_eq!(of(libc::SYS_ioctl, &[0, request]), REFUSED);
        assert_eq!(of(libc::SYS_ioctl, &[0, request | 1 << 32]), REFUSED);
    }
    let limit = |pid| of(libc::SYS_prlimit64, &[pid]);
    assert_eq!([limit(1), limit(1 << 32 | 1)], [REFUSED; 2]);
    #[cfg(target_arch = "x86_64")]
    {
        assert_eq!(of(X32 | libc::SYS_shmget, &[]), REFUSED);
        assert_eq!(of(X32 | X32_IOCTL, &[0, sti]), REFUSED);
    }

    // And what a run does is allowed.
    let window = of(libc::SYS_ioctl, &[0, winsize]);
    let rest = [of(libc::SYS_openat, &[]), of(libc::SYS_futex, &[]), limit(0), limit(1 << 32)];
    assert_eq!((window, rest), (libc::SECCOMP_RET_ALLOW, [libc::SECCOMP_RET_ALLOW; 4]));
}
