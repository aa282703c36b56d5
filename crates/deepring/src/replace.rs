//! Replacing a file at once: written beside the target, synced, renamed; never half there.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

use crate::keys::is_secret_key_file;

/// Who can open a new file.
#[derive(Clone, Copy)]
enum Access {
    /// Those who can open the target, or would if it were made now.
    AsTarget,
    /// Its user.
    Private,
}

/// A temporary file in the target's folder, removed when dropped before [`commit`].
pub(crate) fn temporary_beside(target: &Path) -> io::Result<NamedTempFile> {
    temporary(target, Access::AsTarget)
}

fn temporary(target: &Path, access: Access) -> io::Result<NamedTempFile> {
    if target.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    // A rename would put a plain file in a device's or pipe's place (`-o /dev/null`).
    if fs::metadata(target).is_ok_and(|m| !m.is_file()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "exists and is not a plain file"));
    }
    // Nothing brings a secret key back (`-o owner.key`).
    if is_secret_key_file(target) {
        let kept = "is a secret key file, which no command replaces";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, kept));
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
pub fn replace_file(target: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = temporary_beside(target)?;
    io::Write::write_all(&mut file, bytes)?;
    commit(file, target)
}

/// Writes `bytes` as the whole new content of `target`, which its user alone can read and write from then on.
pub(crate) fn replace_private_file(target: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = temporary(target, Access::Private)?;
    io::Write::write_all(&mut file, bytes)?;
    commit(file, target)
}

fn folder_of(target: &Path) -> PathBuf {
    match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.into(),
        _ => PathBuf::from("."),
    }
}

#[cfg(unix)]
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
            Access::Private => 0o600,
        };
        self.permissions(fs::Permissions::from_mode(mode))
    }

    #[cfg(not(unix))]
    fn accessible(&mut self, _: &Path, _: Access) -> &mut Self {
        self
    }
}
