//! Replaces a file in one step: written where no name leads to it, synced, then named; never partly
//! there.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::{Builder, TempPath};

use crate::kept::spare_kept;
use crate::path::{PathWalk, folder_of, is_absence};

/// Bytes of a target's name with which the name of its temporary file begins: both fit where the
/// target's alone does.
const NAME_PART: usize = 100;

/// The new content of a file, which nobody finds under the file's name before all of it is there.
///
/// Where the system has unnamed files (Linux with /proc, on most file systems), it has no name
/// before [`commit`](Self::commit): however the process ends, nothing of it remains, unless it is
/// killed between two system calls of a `commit` that replaces a file, when the new file or the old
/// one can remain as below. Elsewhere it lies beside its target under a hidden name,
/// `.NAME.partial-` and six characters, and is removed when it is dropped; if the process is killed
/// it remains, and may be deleted.
#[derive(Debug)]
pub struct Replacement {
    file: File,
    /// `None` while it has no name.
    named: Option<TempPath>,
    target: PathBuf,
    there: There,
}

/// The file that lay at a target when its replacement was begun.
#[derive(Debug)]
struct There {
    seen: FileId,
    /// Keeps its inode number from being given to another file meanwhile.
    _held: Option<pinned::PinnedFile>,
}

impl There {
    fn at(target: &Path) -> io::Result<Self> {
        let held = pinned::pin(target);
        Ok(Self { seen: seen_at(target)?, _held: held })
    }
}

/// The file at a path, by device and inode number; `None` if there is none. On systems without
/// these, only whether there is one.
type FileId = Option<(u64, u64)>;

impl Replacement {
    /// For `target`, with the permissions of the file there, or of one that was created now.
    ///
    /// # Errors
    /// Where `target` is a folder, a device or a pipe, or [kept](spare_kept) by another command;
    /// and where the system refuses.
    pub fn of(target: &Path) -> io::Result<Self> {
        Self::sparing(target, 0o666)
    }

    /// For `target`, with the permissions of the file there; private to its user, if there is none.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub fn private_unless_there(target: &Path) -> io::Result<Self> {
        Self::sparing(target, 0o600)
    }

    fn sparing(target: &Path, mode: u32) -> io::Result<Self> {
        // Held first: a key that is put there after this look is another file, and not replaced.
        let there = There::at(target)?;
        spare_kept(target)?;
        Self::begin(target, mode_of(target).unwrap_or(mode), there)
    }

    /// For `target`, with these permissions less the process's umask. They are set when the file is
    /// created: `run --sandbox` has given up the right to change them. Does not check whether
    /// `target` is kept: for the command that keeps it.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub fn with_mode(target: &Path, mode: u32) -> io::Result<Self> {
        Self::begin(target, mode, There::at(target)?)
    }

    fn begin(target: &Path, mode: u32, there: There) -> io::Result<Self> {
        if target.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if target.file_name().is_none() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // `/dev/stdout` is a link, too: the new file would replace it.
        if PathWalk::of(target)?.through_a_descriptor {
            let reason = "is a name of an open descriptor: name the file itself";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        }
        // A rename would put a plain file in a device's or pipe's place (`-o /dev/null`).
        if fs::metadata(target).is_ok_and(|m| !m.is_file()) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "exists and is not a plain file",
            ));
        }
        // Otherwise detected only when the name is given, after all the work.
        let looked_for = fs::symlink_metadata(target);
        if let Err(e) = looked_for
            && e.kind() == io::ErrorKind::InvalidFilename
        {
            return Err(e);
        }
        match unnamed::open(&folder_of(target), mode) {
            Some(file) => Ok(Self { file, named: None, target: target.into(), there }),
            None => Self::named(target, mode, there),
        }
    }

    fn named(target: &Path, mode: u32, there: There) -> io::Result<Self> {
        let (file, path) = temporary(target, mode)?.into_parts();
        Ok(Self { file, named: Some(path), target: target.into(), there })
    }

    /// The path that the file is for.
    #[must_use]
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// The file that is written to.
    #[must_use]
    pub fn as_file(&self) -> &File {
        &self.file
    }

    /// A path by which this process can open the file before it is committed.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.named.as_ref().map_or_else(|| unnamed::path(&self.file), |path| path.to_path_buf())
    }

    /// Puts the file in its target's place: its bytes are on disk before the name points to them,
    /// and the name is on disk before this returns.
    ///
    /// # Errors
    /// Where the system refuses; the target is as it was, or replaced whole.
    /// [`AlreadyExists`](io::ErrorKind::AlreadyExists) where another file lies there than when this
    /// was begun: the caller looked at that one, or at none.
    pub fn commit(self) -> io::Result<()> {
        let folder = folder_of(&self.target);
        self.commit_unsynced()?;
        sync_folder(&folder)
    }

    /// As [`commit`](Self::commit), but the name is not synced: a power cut may bring the old file
    /// back, whole.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub fn commit_unsynced(self) -> io::Result<()> {
        if self.there.seen.is_none() {
            return self.commit_new().map_err(|e| match e.kind() {
                io::ErrorKind::AlreadyExists => meanwhile(),
                _ => e,
            });
        }
        self.file.sync_all()?;
        let Self { file, named, target, there } = self;
        if seen_at(&target)? != there.seen {
            return Err(meanwhile());
        }
        let named = match named {
            Some(path) => path,
            // A link cannot replace another file's name; so the file first gets a name of its own.
            None => link_beside(&file, &target)?,
        };
        exchange::put(named, &target, there.seen)
    }

    /// Gives the file its target's name, unless that is taken; syncs the file, not the folder.
    ///
    /// # Errors
    /// [`AlreadyExists`](io::ErrorKind::AlreadyExists) where the name is taken; else as
    /// [`commit`](Self::commit).
    pub fn commit_new(self) -> io::Result<()> {
        self.file.sync_all()?;
        match self.named {
            Some(path) => path.persist_noclobber(&self.target).map_err(|e| e.error),
            None => unnamed::link(&self.file, &self.target),
        }
    }
}

impl io::Write for Replacement {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn meanwhile() -> io::Error {
    let reason = "what lies there is not what lay there when this was begun";
    io::Error::new(io::ErrorKind::AlreadyExists, reason)
}

fn seen_at(target: &Path) -> io::Result<FileId> {
    match fs::symlink_metadata(target) {
        #[cfg(unix)]
        Ok(about) => {
            use std::os::unix::fs::MetadataExt as _;
            Ok(Some((about.dev(), about.ino())))
        }
        #[cfg(not(unix))]
        Ok(_) => Ok(Some((0, 0))),
        Err(e) if is_absence(&e) => Ok(None),
        Err(e) => Err(e),
    }
}

/// Writes `bytes` as the whole new content of `target`.
///
/// # Errors
/// As [`Replacement::of`] and [`Replacement::commit`].
pub fn replace_file(target: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = Replacement::of(target)?;
    io::Write::write_all(&mut file, bytes)?;
    file.commit()
}

/// Writes `bytes` as the whole new content of `target`, which only its user can read and write from
/// then on.
pub(crate) fn replace_private_file(target: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = Replacement::with_mode(target, 0o600)?;
    io::Write::write_all(&mut file, bytes)?;
    file.commit()
}

/// Gives an unnamed file a name beside the target, for a few system calls.
fn link_beside(file: &File, target: &Path) -> io::Result<TempPath> {
    let mut builder = Builder::new();
    let prefix = prefix_for(target);
    let linked =
        builder.prefix(&prefix).make_in(folder_of(target), |path| unnamed::link(file, path));
    Ok(linked.map_err(|e| without_name(&folder_of(target), e))?.into_temp_path())
}

fn temporary(target: &Path, mode: u32) -> io::Result<tempfile::NamedTempFile> {
    let prefix = prefix_for(target);
    let mut builder = Builder::new();
    builder.prefix(&prefix);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(mode));
    #[cfg(not(unix))]
    let _ = mode;
    let folder = folder_of(target);
    builder.tempfile_in(&folder).map_err(|e| without_name(&folder, e))
}

/// The error of a file that was to be made in a folder, without the name that it was to have: nobody asked for that one.
fn without_name(folder: &Path, e: io::Error) -> io::Error {
    match fs::metadata(folder) {
        Err(of_the_folder) => of_the_folder,
        Ok(_) => e.kind().into(),
    }
}

/// The files that killed processes left beside a target under names that [`Replacement`] gives for a
/// while; another process may be about to put one of them in the target's place.
#[cfg(feature = "passphrase")]
pub(crate) fn leftovers(target: &Path) -> Vec<PathBuf> {
    let prefix = prefix_for(target);
    let is_one = |name: &str| {
        let rest = name.strip_prefix(&prefix);
        rest.is_some_and(|rest| rest.len() == 6 && rest.bytes().all(|b| b.is_ascii_alphanumeric()))
    };
    let Ok(beside) = fs::read_dir(folder_of(target)) else { return Vec::new() };
    let names = beside.flatten().filter(|file| file.file_name().to_str().is_some_and(is_one));
    names.map(|file| file.path()).collect()
}

fn prefix_for(target: &Path) -> String {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    format!(".{}.partial-", name.get(..name.floor_char_boundary(NAME_PART)).unwrap_or_default())
}

#[cfg(unix)]
fn mode_of(target: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(target).ok().map(|m| m.permissions().mode() & 0o777)
}

#[cfg(not(unix))]
fn mode_of(_: &Path) -> Option<u32> {
    None
}

#[cfg(unix)]
#[allow(clippy::disallowed_methods, reason = "a folder, which is not read")]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

mod exchange;

/// The file at a path, held without being opened for reading: the inode number of a deleted file
/// can be reused at once.
#[cfg(target_os = "linux")]
mod pinned {
    use std::os::fd::OwnedFd;
    use std::path::Path;

    use rustix::fs::{Mode, OFlags, open};

    pub(super) type PinnedFile = OwnedFd;

    /// `None` where there is nothing, or nothing that can be held.
    pub(super) fn pin(target: &Path) -> Option<PinnedFile> {
        open(target, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()).ok()
    }
}

#[cfg(not(target_os = "linux"))]
mod pinned {
    use std::path::Path;

    pub(super) type PinnedFile = std::convert::Infallible;

    pub(super) fn pin(_: &Path) -> Option<PinnedFile> {
        None
    }
}

/// Unnamed files, which the system forgets with the process.
#[cfg(target_os = "linux")]
mod unnamed {
    use std::fs::{File, OpenOptions};
    use std::io;
    use std::os::fd::AsRawFd as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    use std::path::{Path, PathBuf};

    use rustix::fs::{AtFlags, CWD, OFlags, linkat};

    /// `None` where the file system has none, or where it could not be named later.
    pub(super) fn open(folder: &Path, mode: u32) -> Option<File> {
        let flags = i32::try_from(OFlags::TMPFILE.bits()).ok()?;
        let mut options = OpenOptions::new();
        let file =
            options.read(true).write(true).mode(mode).custom_flags(flags).open(folder).ok()?;
        // Without /proc it cannot be named later.
        path(&file).exists().then_some(file)
    }

    pub(super) fn path(file: &File) -> PathBuf {
        format!("/proc/self/fd/{}", file.as_raw_fd()).into()
    }

    pub(super) fn link(file: &File, target: &Path) -> io::Result<()> {
        Ok(linkat(CWD, path(file), CWD, target, AtFlags::SYMLINK_FOLLOW)?)
    }
}

#[cfg(not(target_os = "linux"))]
mod unnamed {
    use std::fs::File;
    use std::io;
    use std::path::{Path, PathBuf};

    pub(super) fn open(_: &Path, _: u32) -> Option<File> {
        None
    }

    pub(super) fn path(_: &File) -> PathBuf {
        PathBuf::new()
    }

    pub(super) fn link(_: &File, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
mod tests;
