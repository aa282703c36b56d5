//! The folder that the demo writes to, and what in it is the demo's own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use deepring::files::ledger_files;

use crate::error::{CliError, Exit};

/// Says that the files listed below were written by an earlier demo.
const MARKER: &str = ".deepring-demo";

/// The files that a demo writes, but those of its ledger.
const OWN_FILES: [&str; 24] = [
    "fashion-resnet8.onnx",
    "fashion-resnet8.ring",
    "backup.ring",
    "tampered.ring",
    "plain.onnx",
    "attacked-label-swap.onnx",
    "attacked-noise-dense.onnx",
    "attacked-noise-all.onnx",
    "attacked-exponent-bit.onnx",
    "images-idx3-ubyte",
    "labels-idx1-ubyte",
    "labels.txt",
    "first.npy",
    "trust.json",
    "trust.json.lock",
    "decision.receipt",
    "decision.tlog-proof",
    "report.html",
    "keys/owner/owner.key",
    "keys/owner/owner.pub",
    "keys/host-a/host.key",
    "keys/host-a/host.pub",
    "keys/host-b/host.key",
    "keys/host-b/host.pub",
];

/// Every file that a demo writes. Nothing else is ever removed.
fn own_files() -> impl Iterator<Item = String> {
    let of_the_ledger = ledger_files::ALL.into_iter().map(|name| format!("ledger/{name}"));
    OWN_FILES.into_iter().map(str::to_owned).chain(of_the_ledger)
}

/// The folders that a demo makes, inner ones first; removed only when empty.
const OWN_FOLDERS: [&str; 5] = ["ledger", "keys/owner", "keys/host-a", "keys/host-b", "keys"];

/// Most bytes of a file that a demo wrote.
const MAX_FILE: u64 = 1 << 30;

#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
}

impl Folder {
    /// Makes the folder. What an earlier demo left there goes; files of anybody else stay, and stand in
    /// the way if they have a name that the demo needs.
    pub(super) fn prepare(root: &Path) -> Result<Self, CliError> {
        let folder = Self { root: root.into() };
        let mut made = fs::DirBuilder::new();
        made.recursive(true);
        // Others could put another trust store into one that they can write, whatever the umask is.
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut made, 0o755);
        made.create(root).map_err(|e| failed(root, &e))?;
        let present = |name: &str| fs::symlink_metadata(folder.path(name)).is_ok();
        if present(MARKER) {
            folder.clear()?;
        } else if let Some(name) = own_files().find(|name| present(name)) {
            let message = format!("{}: exists, and no demo wrote it", folder.path(&name).display());
            return Err(
                CliError::new(Exit::Failed, message).hint("choose another folder with `--out`")
            );
        }
        folder.write(MARKER, b"Written by `deepring demo`, which may replace its files here.\n")?;
        for name in OWN_FOLDERS.iter().rev() {
            let path = folder.path(name);
            fs::create_dir_all(&path).map_err(|e| failed(&path, &e))?;
        }
        Ok(folder)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, CliError> {
        let path = self.path(name);
        deepring::files::replace_file(&path, bytes).map_err(|e| failed(&path, &e))?;
        Ok(path)
    }

    pub(super) fn read(&self, name: &str) -> Result<Vec<u8>, CliError> {
        let path = self.path(name);
        deepring::files::read_plain(&path, MAX_FILE).map_err(|e| failed(&path, &e))
    }

    pub(super) fn copy(&self, from: &str, to: &str) -> Result<(), CliError> {
        let bytes = self.read(from)?;
        self.write(to, &bytes).map(|_| ())
    }

    fn clear(&self) -> Result<(), CliError> {
        for name in own_files() {
            let path = self.path(&name);
            match fs::remove_file(&path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed(&path, &e)),
                _ => {}
            }
        }
        for name in OWN_FOLDERS {
            // A folder that holds something else stays.
            let _ = fs::remove_dir(self.path(name));
        }
        Ok(())
    }
}

pub(super) fn failed(path: &Path, e: &io::Error) -> CliError {
    CliError::new(Exit::Failed, format!("{}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_demos_own_files_are_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::prepare(dir.path()).unwrap();
        folder.write("report.html", b"old").unwrap();
        folder.write("keys/owner/owner.key", b"old").unwrap();
        folder.write("keys/mine.key", b"mine").unwrap();
        folder.write("ledger/writer.lock", b"").unwrap();
        folder.write("notes.txt", b"mine").unwrap();
        let folder = Folder::prepare(dir.path()).unwrap();
        assert!(!folder.path("report.html").exists());
        assert!(!folder.path("keys/owner/owner.key").exists());
        assert_eq!(fs::read_dir(folder.path("ledger")).unwrap().count(), 0);
        assert_eq!(folder.read("keys/mine.key").unwrap(), b"mine");
        assert_eq!(folder.read("notes.txt").unwrap(), b"mine");
    }

    #[test]
    fn a_file_that_no_demo_wrote_stands_in_the_way() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("report.html"), b"mine").unwrap();
        assert!(Folder::prepare(dir.path()).is_err());
        assert_eq!(fs::read(dir.path().join("report.html")).unwrap(), b"mine");
    }
}
