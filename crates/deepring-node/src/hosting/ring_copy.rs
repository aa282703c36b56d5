//! A node's own copy of a ring: the file that it was started with, read through one handle, which a repair turns to another file.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use deepring::files::{Storage, open_plain, resolved};

/// Storage of a ring whose file can be replaced while it is open. What reads through it reads the file that it was opened from, or
/// the one that a repair put in its place, and never one that somebody else put there.
#[derive(Debug)]
pub struct RingCopy {
    place: PathBuf,
    file: RwLock<Arc<File>>,
}

impl RingCopy {
    /// Opens a ring's file. A link is followed once, now: what it leads to is what a repair replaces.
    ///
    /// # Errors
    /// Where it is no plain file, or cannot be opened.
    pub fn open(path: &Path) -> io::Result<Arc<Self>> {
        let place = resolved(path)?;
        let file = open_plain(&place)?;
        Ok(Arc::new(Self { place, file: RwLock::new(Arc::new(file)) }))
    }

    /// Where it lies.
    pub(crate) fn place(&self) -> &Path {
        &self.place
    }

    /// Whether the file that is open lies there still: an owner may have put a newer one there, for the next start, which no repair
    /// may take back.
    pub(crate) fn is_in_place(&self) -> io::Result<bool> {
        use std::os::unix::fs::MetadataExt as _;
        let (held, there) = (self.file().metadata()?, std::fs::symlink_metadata(&self.place)?);
        Ok((held.dev(), held.ino()) == (there.dev(), there.ino()))
    }

    /// From now on this file is read.
    pub(crate) fn turn_to(&self, file: File) {
        *self.file.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(file);
    }

    fn file(&self) -> Arc<File> {
        self.file.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Storage for RingCopy {
    fn len(&self) -> io::Result<u64> {
        Storage::len(&*self.file())
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.file().read_at(offset, buf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_that_is_open_is_read_whatever_lies_there_until_a_repair_turns_to_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.ring");
        std::fs::write(&path, b"one").unwrap();
        let copy = RingCopy::open(&path).unwrap();
        let read = || {
            let mut bytes = [0; 3];
            copy.read_at(0, &mut bytes).unwrap();
            bytes
        };
        assert!(copy.is_in_place().unwrap());
        std::fs::write(folder.path().join("new"), b"two").unwrap();
        std::fs::rename(folder.path().join("new"), &path).unwrap();
        assert_eq!(&read(), b"one");
        assert!(!copy.is_in_place().unwrap());
        copy.turn_to(File::open(&path).unwrap());
        assert_eq!((&read(), Storage::len(&*copy).unwrap()), (b"two", 3));
        assert!(copy.is_in_place().unwrap());
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(folder.path().join("else"), &path).unwrap();
        assert!(!copy.is_in_place().unwrap(), "a link there is not what was opened");
        assert!(RingCopy::open(folder.path()).is_err());
    }
}
