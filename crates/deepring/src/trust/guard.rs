//! Refusal of a store whose file others can write, or in whose place they can put another.

#[cfg(unix)]
use std::fs;
use std::fs::File;
use std::path::Path;

use super::error::TrustError;
#[cfg(unix)]
use crate::path::{PathStep, PathWalk, is_absence};
#[cfg(unix)]
use crate::plain_file::read_plain_text;

/// Refuses a file that others than its user and root can write.
#[cfg(unix)]
pub(super) fn guarded(path: &Path, file: &File) -> Result<(), TrustError> {
    use std::os::unix::fs::MetadataExt as _;
    let about = file.metadata().map_err(|source| TrustError::Io { path: path.into(), source })?;
    if !is_own(about.uid()) {
        return Err(TrustError::Foreign { path: path.into(), owner: about.uid() });
    }
    match about.mode() & 0o777 {
        mode if mode & 0o022 != 0 => Err(TrustError::Loose { path: path.into(), mode }),
        _ => Ok(()),
    }
}

/// Refuses a way to a file on which users other than its own and root can put another file in its
/// place: in the folder that it lies in, in one above, or in one that holds a link to it. In a
/// folder with the sticky bit, as /tmp, others can add files, and remove or rename only their own.
#[cfg(unix)]
pub(super) fn guarded_path(path: &Path) -> Result<(), TrustError> {
    use std::os::unix::fs::MetadataExt as _;
    let io = |source| TrustError::Io { path: path.into(), source };
    for step in PathWalk::of(path).map_err(io)?.steps {
        let about = match &step {
            PathStep::Folder(folder) => fs::metadata(folder),
            PathStep::Link(link) => fs::symlink_metadata(link),
        };
        let about = match about {
            Ok(about) => about,
            // A folder that is missing is created for its user only.
            Err(e) if is_absence(&e) => continue,
            Err(e) => return Err(io(e)),
        };
        let (mode, owner) = (about.mode() & 0o7777, about.uid());
        match step {
            PathStep::Link(_) if !is_own(owner) => {
                return Err(TrustError::Foreign { path: path.into(), owner });
            }
            PathStep::Folder(folder)
                if !(is_own(owner) || is_unmapped(owner))
                    || (mode & 0o022 != 0 && mode & 0o1000 == 0) =>
            {
                return Err(TrustError::LooseFolder { path: path.into(), folder, mode, owner });
            }
            PathStep::Link(_) | PathStep::Folder(_) => {}
        }
    }
    Ok(())
}

/// Returns whether this is a user against whom no file of ours is protected anyway.
#[cfg(unix)]
pub(super) fn is_own(user: u32) -> bool {
    user == 0 || user == rustix::process::geteuid().as_raw()
}

/// Returns whether this process could not tell this user from root: in a user namespace that maps
/// some users only, the others, root among them, appear as one, which owns the topmost folders.
#[cfg(unix)]
fn is_unmapped(user: u32) -> bool {
    let read = |name: &str| read_plain_text(Path::new(name), 4096).unwrap_or_default();
    let everybody = format!("{}", u32::MAX);
    let maps_all = |line: &str| line.split_whitespace().eq(["0", "0", everybody.as_str()]);
    let map = read("/proc/self/uid_map");
    let overflow = read("/proc/sys/kernel/overflowuid").trim().parse() == Ok(user);
    overflow && !map.is_empty() && !map.lines().any(maps_all)
}

#[cfg(not(unix))]
pub(super) fn guarded(_: &Path, _: &File) -> Result<(), TrustError> {
    Ok(())
}

#[cfg(not(unix))]
pub(super) fn guarded_path(_: &Path) -> Result<(), TrustError> {
    Ok(())
}
