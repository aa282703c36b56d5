//! Replacing a file at once: written beside the target, synced, renamed; never half there.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

use crate::kept::spare_kept;
use crate::path::folder_of;

/// Who can open a new file.
#[derive(Clone, Copy)]
enum Access {
    /// Those who can open the target, or would if it were made now.
    AsTarget,
    /// Those who can open the target; its user, if there is none.
    AsTargetOrPrivate,
    /// Its user.
    Private,
}

/// The new content of a file, which no one finds under the file's name before all of it is there.
#[derive(Debug)]
pub struct Replacement {
    file: NamedTempFile,
    target: PathBuf,
}

impl Replacement {
    /// For `target`, to be opened by whoever can open it now, or could if it were made now.
    ///
    /// # Errors
    /// Where `target` is a folder, a device or a pipe, or [kept](spare_kept) by another command; and where the system
    /// refuses.
    pub fn of(target: &Path) -> io::Result<Self> {
        Ok(Self { file: temporary_beside(target)?, target: target.into() })
    }

    /// For `target`, as it can be opened now; by its user alone, if there is none.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub fn private_unless_there(target: &Path) -> io::Result<Self> {
        spare_kept(target)?;
        Ok(Self { file: temporary(target, Access::AsTargetOrPrivate)?, target: target.into() })
    }

    /// Puts the file in its target's place: its bytes are on disk before the name points to them, and the name is on
    /// disk before this returns.
    ///
    /// # Errors
    /// Where the system refuses; the target is as it was, or replaced whole.
    pub fn commit(self) -> io::Result<()> {
        commit(self.file, &self.target)
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

/// A temporary file in the target's folder, removed when dropped before [`commit`].
pub(crate) fn temporary_beside(target: &Path) -> io::Result<NamedTempFile> {
    spare_kept(target)?;
    temporary(target, Access::AsTarget)
}

/// Does not look at what is kept there: for who keeps it, and after [`spare_kept`].
fn temporary(target: &Path, access: Access) -> io::Result<NamedTempFile> {
    if target.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    // A rename would put a plain file in a device's or pipe's place (`-o /dev/null`).
    if fs::metadata(target).is_ok_and(|m| !m.is_file()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "exists and is not a plain file"));
    }
    let name = target.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    Builder::new()
        .prefix(&format!(".{name}.partial-"))
        .accessible(target, access)
        .tempfile_in(folder_of(target))
}

/// Puts the temporary file in the target's place: its bytes are on disk before the name points to
/// them, and the name is on disk before this returns.
pub(crate) fn commit(file: NamedTempFile, target: &Path) -> io::Result<()> {
    file.as_file().sync_all()?;
    file.persist(target).map_err(|e| e.error)?;
    sync_folder(&folder_of(target))
}

/// Writes `bytes` as the whole new content of `target`.
///
/// # Errors
/// As [`Replacement::of`] and [`Replacement::commit`].
pub fn replace_file(target: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = temporary_beside(target)?;
    io::Write::write_all(&mut file, bytes)?;
    commit(file, target)
}

/// Writes `bytes` as the whole new content of `target`, which its user alone can read and write from then on. For the trust
/// store, which keeps what lies there.
pub(crate) fn replace_private_file(target: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = temporary(target, Access::Private)?;
    io::Write::write_all(&mut file, bytes)?;
    commit(file, target)
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

/// Makes a temporary file with its mode: `run --sandbox` has given up changing modes.
trait Accessible {
    fn accessible(&mut self, target: &Path, access: Access) -> &mut Self;
}

impl Accessible for Builder<'_, '_> {
    #[cfg(unix)]
    fn accessible(&mut self, target: &Path, access: Access) -> &mut Self {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = match access {
            // Without a target, 0o666 less the process's umask, which the system applies at creation.
            Access::AsTarget => {
                fs::metadata(target).map_or(0o666, |m| m.permissions().mode() & 0o777)
            }
            Access::AsTargetOrPrivate => {
                fs::metadata(target).map_or(0o600, |m| m.permissions().mode() & 0o777)
            }
            Access::Private => 0o600,
        };
        self.permissions(fs::Permissions::from_mode(mode))
    }

    #[cfg(not(unix))]
    fn accessible(&mut self, _: &Path, _: Access) -> &mut Self {
        self
    }
}
