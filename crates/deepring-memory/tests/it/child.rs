//! This test program run again as a child in some role, as this user or as nobody.

use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::OnceLock;

use deepring_memory::{Protection, Region, Use};

/// The user `nobody`, who owns nothing.
pub(crate) const NOBODY: u32 = 65534;

const ROLE: &str = "DEEPRING_MEMORY_TEST_ROLE";

/// The role of this process in the test that runs; `None` in the parent.
pub(crate) fn role() -> Option<String> {
    std::env::var(ROLE).ok()
}

/// Tells the parent a line. The test harness writes to stdout, so this is stderr.
pub(crate) fn tell(line: &str) {
    eprintln!("{line}");
}

/// Waits for the parent's next line.
pub(crate) fn wait() {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Returns whether this kernel has secret memory; says so if not.
pub(crate) fn has_secret_memory() -> bool {
    let has = Region::new(1, Use::Secrets).unwrap().freeze() == Protection::Secret;
    if !has {
        crate::skip::skip("system", "the kernel has no memfd_secret");
    }
    has
}

/// A child that runs one test of this program in a role.
pub(crate) struct Role {
    child: Child,
    lines: BufReader<ChildStderr>,
}

impl Role {
    /// As the user with this id, or as this process's.
    pub(crate) fn start(test: &str, role: &str, user: Option<u32>) -> Self {
        let run = |program: PathBuf| {
            let mut command = Command::new(program);
            command.args(["--exact", test, "--nocapture"]).env(ROLE, role).current_dir("/");
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
            if let Some(user) = user {
                command.uid(user).gid(user);
            }
            command.spawn()
        };
        let mut child = match run(std::env::current_exe().unwrap()) {
            Err(e) if e.kind() == ErrorKind::PermissionDenied => run(for_everybody()).unwrap(),
            started => started.unwrap(),
        };
        let lines = BufReader::new(child.stderr.take().unwrap());
        Self { child, lines }
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// The next line that the child tells.
    pub(crate) fn hear(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Lets the child go on.
    pub(crate) fn go_on(&mut self) {
        writeln!(self.child.stdin.as_mut().unwrap()).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A copy of this program that every user may run, for where the build folder is closed to others.
fn for_everybody() -> PathBuf {
    static COPY: OnceLock<PathBuf> = OnceLock::new();
    let copy = COPY.get_or_init(|| {
        let copy = std::env::temp_dir().join(format!("deepring-memory-it-{}", std::process::id()));
        // Another process copies: a file that is open for writing here, and so in any child that is just being
        // started, cannot be run.
        let mut cp = Command::new("cp");
        assert!(cp.arg(std::env::current_exe().unwrap()).arg(&copy).status().unwrap().success());
        std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o755)).unwrap();
        copy
    });
    copy.clone()
}
