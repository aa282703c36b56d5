//! A lock that only its user can take, with a bounded wait.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;
use std::time::Duration;

use crate::turn::wait_for;

/// Takes the exclusive lock on the file at `path`, which is made if it is not there; `None` if
/// another holds it for longer than `wait`. Dropping the file gives the lock back.
///
/// Opening a file for reading is enough to lock it, so the file is readable by its user only:
/// nobody else can keep the user waiting. A link in its place is not followed: neither the file
/// that it leads to nor its mode is changed.
pub(super) fn lock(path: &Path, wait: Duration) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt as _;
        // Opening a pipe would wait.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
        options.mode(0o600).custom_flags(i32::try_from(flags).unwrap_or(0));
    }
    let opened = options.open(path);
    // The opened file counts, not the one that lay there before; a pipe that nobody reads cannot be
    // opened at all.
    let is_file = match &opened {
        Ok(file) => file.metadata()?.is_file(),
        Err(_) => fs::metadata(path).map_or(true, |about| about.is_file()),
    };
    if !is_file {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a plain file"));
    }
    let file = opened?;
    refuse_others(&file)?;
    make_private(&file);
    Ok(wait_for(&file, wait)?.then_some(file))
}

/// Refuses a lock file that another user put there, who could hold it for ever, and one with
/// another name, whose mode would be changed under that name too.
#[cfg(unix)]
fn refuse_others(file: &File) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let about = file.metadata()?;
    let reason = if !super::guard::is_own(about.uid()) {
        "belongs to another user, who can keep it: remove it, or name another trust store"
    } else if about.nlink() > 1 {
        "has other names besides: remove it"
    } else {
        return Ok(());
    };
    Err(io::Error::new(io::ErrorKind::PermissionDenied, reason))
}

#[cfg(not(unix))]
fn refuse_others(_: &File) -> io::Result<()> {
    Ok(())
}

/// Removes other users' access to a file, if it is this user's; if it is not, they have access
/// anyway.
#[cfg(unix)]
fn make_private(file: &File) {
    use std::os::unix::fs::PermissionsExt as _;
    if file.metadata().is_ok_and(|m| m.permissions().mode() & 0o077 != 0) {
        let _ = file.set_permissions(fs::Permissions::from_mode(0o600));
    }
}

#[cfg(not(unix))]
fn make_private(_: &File) {}
