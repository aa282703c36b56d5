//! Runs one test of this binary in another process, on a path.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const PATH_VARIABLE: &str = "DEEPRING_TEST_CHILD_PATH";

/// The command that runs the ignored test `name` alone; it finds `path` by [`path`].
pub(crate) fn command(name: &str, path: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([name, "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
    command.env(PATH_VARIABLE, path).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The same, with no file growing beyond `kib` KiB: writes fail as they do on a full disk.
pub(crate) fn command_on_full_disk(name: &str, path: &Path, kib: u32) -> Command {
    let child = command(name, path);
    let mut shell = Command::new("bash");
    // With the signal ignored, a write beyond the limit is an error that the program sees.
    let script = format!("trap '' XFSZ; ulimit -f {kib}; exec \"$0\" \"$@\"");
    shell.arg("-c").arg(script).arg(child.get_program()).args(child.get_args());
    shell.env(PATH_VARIABLE, path).stdout(Stdio::piped()).stderr(Stdio::piped());
    shell
}

/// The path that the parent gave to [`command`].
pub(crate) fn path() -> PathBuf {
    let path = std::env::var_os(PATH_VARIABLE);
    PathBuf::from(path.expect("run by another test of this binary, not by hand"))
}
