//! Takes a file's place without removing a file that came there at the last moment.

use std::io;
use std::path::Path;

use tempfile::TempPath;

use super::{FileId, meanwhile, seen_at};

/// Puts a file in the place of the one at `target`, if that is the one that was seen there.
///
/// A rename alone removes whatever lies there at that moment. So the two files change places, and
/// only then is the one that came out examined: if it is another file, they change back. Where the
/// file system cannot do that, a rename has to do.
pub(super) fn put(file: TempPath, target: &Path, seen: FileId) -> io::Result<()> {
    let own = seen_at(&file)?;
    if !exchange(&file, target)? {
        return file.persist(target).map_err(|e| e.error);
    }
    if seen_at(&file)? == seen {
        // The old file. The new one is in place already, whatever becomes of this.
        let _ = file.close();
        return Ok(());
    }
    let back = exchange(&file, target);
    if !matches!((&back, seen_at(&file)), (Ok(true), Ok(there)) if there == own) {
        // The file that came out is somebody's, and must not be removed.
        let _ = file.keep();
    }
    back.and(Err(meanwhile()))
}

/// Makes two files change places; `false` where that cannot be done here.
#[cfg(target_os = "linux")]
fn exchange(one: &Path, other: &Path) -> io::Result<bool> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    match renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(true),
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Ok(false),
        // Nothing lies there any more.
        Err(Errno::NOENT) => Err(meanwhile()),
        Err(e) => Err(e.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn exchange(_: &Path, _: &Path) -> io::Result<bool> {
    Ok(false)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_came_at_the_last_moment_stays() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("file");
        fs::write(&target, "old").unwrap();
        let new = || {
            let file = tempfile::Builder::new().tempfile_in(dir.path()).unwrap().into_temp_path();
            fs::write(&file, "new").unwrap();
            file
        };
        if !exchange(&new(), &target).unwrap() {
            crate::skip::skip("system", "no two files change places here");
            return;
        }
        fs::write(&target, "old").unwrap();
        let seen = seen_at(&target).unwrap();
        for comes in [Some("key"), None] {
            fs::rename(&target, dir.path().join("seen")).unwrap();
            comes.iter().for_each(|key| fs::write(&target, key).unwrap());
            let refused = put(new(), &target, seen).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(fs::read_to_string(&target).ok().as_deref(), comes);
            fs::rename(dir.path().join("seen"), &target).unwrap();
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        }
        let there = seen_at(&target).unwrap();
        put(new(), &target, there).unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "new");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
