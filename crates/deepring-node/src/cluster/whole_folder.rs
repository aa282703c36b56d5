//! A folder that appears whole or not at all.

use std::fs;
use std::io;
#[cfg(unix)]
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::error::ClusterError;

/// Makes a folder for its user alone, whatever the umask says, or makes one that is there so.
pub(super) fn private_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    builder.mode(0o700);
    builder.create(path)?;
    #[cfg(unix)]
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    Ok(())
}

/// A folder under another name, beside where it is to be; gone with this unless it is committed.
pub(super) struct WholeFolder {
    made: TempDir,
    target: PathBuf,
}

impl WholeFolder {
    /// Begins a folder that is not there yet. Its files are for its user alone.
    pub(super) fn begin(target: &Path) -> Result<Self, ClusterError> {
        if target.symlink_metadata().is_ok() {
            return Err(ClusterError::Exists(target.to_owned()));
        }
        let target = std::path::absolute(target).map_err(ClusterError::io(target))?;
        let parent = target.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(parent).map_err(ClusterError::io(parent))?;
        let made = tempfile::Builder::new()
            .prefix(".deepring-")
            .tempdir_in(parent)
            .map_err(ClusterError::io(parent))?;
        private_folder(made.path()).map_err(ClusterError::io(made.path()))?;
        Ok(Self { made, target })
    }

    pub(super) fn path(&self) -> &Path {
        self.made.path()
    }

    /// Gives it its name. What came to lie there meanwhile stays, if it is more than an empty folder.
    #[expect(clippy::disallowed_methods, reason = "a folder replaces an empty folder at most")]
    pub(super) fn commit(self) -> Result<(), ClusterError> {
        let Self { made, target } = self;
        match fs::rename(made.path(), &target) {
            Ok(()) => {
                // Nothing is left under the old name.
                let _ = made.keep();
                let parent = target.parent().unwrap_or(Path::new("/"));
                fs::File::open(parent)
                    .and_then(|parent| parent.sync_all())
                    .map_err(ClusterError::io(parent))
            }
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotADirectory
                ) =>
            {
                Err(ClusterError::Exists(target))
            }
            Err(e) => Err(ClusterError::io(&target)(e)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_whole_or_not_there_and_what_is_there_stays() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a/b");
        let begun = WholeFolder::begin(&target).unwrap();
        fs::write(begun.path().join("file"), b"x").unwrap();
        drop(begun);
        assert_eq!(fs::read_dir(target.parent().unwrap()).unwrap().count(), 0);
        let begun = WholeFolder::begin(&target).unwrap();
        fs::write(begun.path().join("file"), b"x").unwrap();
        begun.commit().unwrap();
        assert_eq!(fs::read(target.join("file")).unwrap(), b"x");
        #[cfg(unix)]
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::read_dir(target.parent().unwrap()).unwrap().count(), 1);
        assert!(matches!(WholeFolder::begin(&target), Err(ClusterError::Exists(_))));
        // It came to lie there meanwhile.
        let other = folder.path().join("c");
        let begun = WholeFolder::begin(&other).unwrap();
        fs::create_dir(&other).unwrap();
        fs::write(other.join("theirs"), b"y").unwrap();
        assert!(matches!(begun.commit(), Err(ClusterError::Exists(_))));
        assert_eq!(fs::read(other.join("theirs")).unwrap(), b"y");
    }
}
