//! The folder that the demo writes to, and what in it is the demo's own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use deepring::files::{ledger_files, spare_kept};
use deepring::keys::Role;
use deepring::{Host, Owner, SecretKey, TrustStore};

use crate::error::{CliError, Exit};
use crate::own_names;

/// Says that the files listed below were written by an earlier demo; a line of it is [`SAID`], the others are the public keys
/// of the demo that it made.
const MARKER: &str = ".deepring-demo";

const SAID: &str = "Written by `deepring demo`, which may replace its files here.";

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

/// Secret keys, ledger and trust store: what nothing would bring back if it were somebody else's.
const OWNER_KEY: &str = "keys/owner/owner.key";
const HOST_KEYS: [&str; 2] = ["keys/host-a/host.key", "keys/host-b/host.key"];
const STORE: &str = "trust.json";
const LEDGER: &str = "ledger";

/// The folders that a demo makes, inner ones first; removed only when empty.
const OWN_FOLDERS: [&str; 5] = ["ledger", "keys/owner", "keys/host-a", "keys/host-b", "keys"];

/// Most bytes of a file that a demo wrote.
const MAX_FILE: u64 = 1 << 30;

#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    /// Public keys, as text, of the secrets that lie here, or are about to.
    keys: Vec<String>,
}

impl Folder {
    /// Makes the folder. What an earlier demo left there goes; files of anybody else stay, and stand in
    /// the way if they have a name that the demo needs. So do links under its names, through which its files would be
    /// another folder's, and secret keys, ledgers and trust stores of others, whatever the marker says. `trust` is the `--trust`
    /// option, whose store is none of the demo's files.
    pub(super) fn prepare(root: &Path, trust: Option<&Path>) -> Result<Self, CliError> {
        own_names::spare(root, own_files().chain([MARKER.to_owned()]), [], trust)?;
        let mut folder = Self { root: root.into(), keys: Vec::new() };
        folder.refuse_what_is_not_plain()?;
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
            return Err(stands_in_the_way(&folder.path(&name), "exists, and no demo wrote it"));
        }
        folder.claim([])?;
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

    /// Says in the marker that the secrets of these public keys are the demo's own: before they are written, so that the next
    /// demo knows them however this one ends. (A ledger makes its key itself: the demo that is killed before it said so leaves
    /// one that stands in the way of the next.)
    pub(super) fn claim(&mut self, keys: impl IntoIterator<Item = String>) -> Result<(), CliError> {
        self.keys.extend(keys);
        let lines = std::iter::once(SAID).chain(self.keys.iter().map(String::as_str));
        let text: String = lines.map(|line| format!("{line}\n")).collect();
        self.write(MARKER, text.as_bytes()).map(drop)
    }

    /// Refuses what no demo makes under its names: links, and other things that are not as it makes them.
    fn refuse_what_is_not_plain(&self) -> Result<(), CliError> {
        let folders = OWN_FOLDERS.iter().rev().map(|name| (self.path(name), true));
        let files = own_files().chain([MARKER.to_owned()]).map(|name| (self.path(&name), false));
        for (path, is_folder) in folders.chain(files) {
            // Not what a link leads to.
            match fs::symlink_metadata(&path) {
                Ok(about) if is_folder && about.is_dir() => {}
                Ok(about) if !is_folder && about.is_file() => {}
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(failed(&path, &e)),
                Ok(_) => {
                    let what = if is_folder { "is no folder" } else { "is no plain file" };
                    return Err(stands_in_the_way(&path, &format!("{what}, and no demo made it")));
                }
            }
        }
        Ok(())
    }

    /// Refuses a file that another command keeps, unless an earlier demo says that it made it.
    fn refuse_of_others(&self, name: &str, demos: &[String]) -> Result<(), CliError> {
        let path = self.path(name);
        match spare_kept(&path) {
            Err(e)
                if e.kind() == io::ErrorKind::AlreadyExists && !self.is_the_demos(name, demos) =>
            {
                Err(stands_in_the_way(
                    &path,
                    "is kept by another command, and not of the last demo here",
                ))
            }
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(failed(&path, &e)),
            _ => Ok(()),
        }
    }

    /// Returns whether a key, a ledger's file or a trust store belongs to one of these public keys.
    fn is_the_demos(&self, name: &str, demos: &[String]) -> bool {
        let is = |key: &str| demos.iter().any(|known| known == key);
        match name {
            OWNER_KEY => self.public_of::<Owner>(name).is_some_and(|key| is(&key)),
            _ if HOST_KEYS.contains(&name) => {
                self.public_of::<Host>(name).is_some_and(|key| is(&key))
            }
            _ if name.starts_with(STORE) => {
                TrustStore::open(&self.path(STORE)).is_ok_and(|store| {
                    store.owners().next().is_some()
                        && store.owners().all(|owner| is(&owner.to_string()))
                })
            }
            _ if name.starts_with(LEDGER) => {
                let key = self.read(&format!("{LEDGER}/{}", ledger_files::PUBLIC_KEY));
                key.is_ok_and(|key| is(String::from_utf8_lossy(&key).trim_end()))
            }
            _ => false,
        }
    }

    fn public_of<R: Role>(&self, name: &str) -> Option<String> {
        Some(SecretKey::<R>::read(&self.path(name)).ok()?.public().to_string())
    }

    fn clear(&self) -> Result<(), CliError> {
        let marker = self.read(MARKER)?;
        let marker = String::from_utf8_lossy(&marker);
        let demos: Vec<String> = marker.lines().map(str::to_owned).collect();
        // All before any is removed. The order is one in which the rest stays known if this process is killed meanwhile: a
        // ledger's database and secret key go before its public key, a store before its lock.
        own_files().try_for_each(|name| self.refuse_of_others(&name, &demos))?;
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

fn stands_in_the_way(path: &Path, why: &str) -> CliError {
    CliError::new(Exit::Failed, format!("{}: {why}", path.display()))
        .hint("choose another folder with `--out`")
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
        let folder = Folder::prepare(dir.path(), None).unwrap();
        folder.write("report.html", b"old").unwrap();
        folder.write("keys/owner/owner.key", b"old").unwrap();
        folder.write("keys/mine.key", b"mine").unwrap();
        folder.write("ledger/writer.lock", b"").unwrap();
        folder.write("notes.txt", b"mine").unwrap();
        let folder = Folder::prepare(dir.path(), None).unwrap();
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
        assert!(Folder::prepare(dir.path(), None).is_err());
        assert_eq!(fs::read(dir.path().join("report.html")).unwrap(), b"mine");
    }

    /// A folder with the files of a demo that nothing would bring back.
    fn with_secrets(dir: &Path) -> Folder {
        let mut folder = Folder::prepare(dir, None).unwrap();
        let owner = SecretKey::<Owner>::generate().unwrap();
        folder.claim([owner.public().to_string()]).unwrap();
        deepring::files::write_key_pair(&folder.path("keys/owner"), &owner).unwrap();
        let ledger = deepring_ledger::Ledger::open_or_create(folder.path(LEDGER)).unwrap();
        folder.claim([ledger.key().to_string()]).unwrap();
        TrustStore::open(&folder.path(STORE)).unwrap().add_owner(&owner.public()).unwrap();
        folder
    }

    #[test]
    fn keys_ledger_and_store_of_a_demo_go_and_those_of_others_stay() {
        let dir = tempfile::tempdir().unwrap();
        with_secrets(dir.path());
        with_secrets(dir.path());
        let damages: [fn(&Folder); 6] = [
            // The marker of another demo, or of none.
            |folder| fs::write(folder.path(MARKER), SAID).unwrap(),
            |folder| {
                let key = SecretKey::<Owner>::generate().unwrap();
                fs::remove_dir_all(folder.path("keys/owner")).unwrap();
                fs::create_dir(folder.path("keys/owner")).unwrap();
                deepring::files::write_key_pair(&folder.path("keys/owner"), &key).unwrap();
            },
            |folder| fs::copy(folder.path(OWNER_KEY), folder.path("labels.txt")).map(drop).unwrap(),
            |folder| {
                fs::remove_dir_all(folder.path(LEDGER)).unwrap();
                deepring_ledger::Ledger::open_or_create(folder.path(LEDGER)).map(drop).unwrap();
            },
            |folder| {
                let mine = SecretKey::<Owner>::generate().unwrap().public();
                TrustStore::open(&folder.path(STORE)).unwrap().add_owner(&mine).map(drop).unwrap();
            },
            |folder| {
                let owner = TrustStore::open(&folder.path(STORE)).unwrap().owners().next().unwrap();
                TrustStore::open(&folder.path(STORE))
                    .unwrap()
                    .remove_owner(&owner)
                    .map(drop)
                    .unwrap();
            },
        ];
        for (number, damage) in damages.into_iter().enumerate() {
            let dir = tempfile::tempdir().unwrap();
            let folder = with_secrets(dir.path());
            damage(&folder);
            let e = Folder::prepare(dir.path(), None).unwrap_err();
            assert!(e.to_string().contains("kept by another command"), "{number}: {e}");
            assert!(own_files().any(|name| folder.path(&name).exists()), "{number}");
            assert!(folder.path("ledger/log.key").exists() && folder.path(STORE).exists());
        }
    }

    #[cfg(unix)]
    #[test]
    fn nothing_is_followed_out_of_the_folder() {
        use std::os::unix::fs::symlink;
        for name in OWN_FOLDERS.into_iter().map(str::to_owned).chain(own_files()) {
            let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let folder = with_secrets(dir.path());
            let path = folder.path(&name);
            let theirs = other.path().join("theirs");
            if path.exists() {
                fs::rename(&path, &theirs).unwrap();
            } else {
                fs::write(&theirs, "theirs").unwrap();
            }
            symlink(&theirs, &path).unwrap();
            for marked in [true, false] {
                assert!(Folder::prepare(dir.path(), None).is_err(), "{name}");
                assert!(theirs.exists() && path.is_symlink(), "{name}");
                if marked {
                    fs::remove_file(folder.path(MARKER)).unwrap();
                }
            }
        }
    }
}
