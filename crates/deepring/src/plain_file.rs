//! Opens and reads plain files: waits for no other process, and takes no more memory than is
//! stated.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::path::Path;

/// Opens a plain file for reading. A pipe, a device or a socket in its place is refused, without
/// waiting for its other end.
///
/// # Errors
/// [`IsADirectory`](io::ErrorKind::IsADirectory) for a folder,
/// [`InvalidInput`](io::ErrorKind::InvalidInput) for anything else that is not a plain file; and
/// where the system refuses.
pub fn open_plain(path: &Path) -> io::Result<File> {
    open_plain_with(path, OpenOptions::new().read(true))
}

/// Opens a plain file with these options, which must set no system-specific flags.
///
/// # Errors
/// As [`open_plain`].
pub fn open_plain_with(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    open_following(path, options, true)
}

/// Opens a plain file for reading at `path` itself: a link there is not followed.
pub(crate) fn open_plain_itself(path: &Path) -> io::Result<File> {
    open_following(path, OpenOptions::new().read(true), false)
}

fn open_following(path: &Path, options: &mut OpenOptions, follow: bool) -> io::Result<File> {
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt as _;
        // Opening a pipe waits for its other end.
        let flags = OFlags::NONBLOCK | if follow { OFlags::empty() } else { OFlags::NOFOLLOW };
        options.custom_flags(i32::try_from(flags.bits()).unwrap_or(0));
    }
    #[cfg(not(unix))]
    let _ = follow;
    let opened = options.open(path);
    // A pipe that nobody reads, or a socket, cannot be opened at all.
    let kind = match &opened {
        Ok(file) => file.metadata()?,
        Err(_) => match std::fs::metadata(path) {
            Ok(kind) if !kind.is_file() => kind,
            _ => return opened,
        },
    };
    if kind.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !kind.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a plain file"));
    }
    opened
}

/// Reads a plain file of at most `limit` bytes. A longer one is refused, and not read to its end,
/// and no memory is reserved for the length that it claims.
///
/// # Errors
/// [`FileTooLarge`](io::ErrorKind::FileTooLarge) beyond the limit; else as [`open_plain`].
pub fn read_plain(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = open_plain(path)?;
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        let reason = format!("longer than the {limit} bytes that it may have");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
    }
    Ok(bytes)
}

/// Reads the text of a plain file of at most `limit` bytes.
///
/// # Errors
/// [`InvalidData`](io::ErrorKind::InvalidData) where it is not UTF-8; else as [`read_plain`].
pub fn read_plain_text(path: &Path, limit: u64) -> io::Result<String> {
    let no_text = |_| io::Error::new(io::ErrorKind::InvalidData, "the file is no UTF-8 text");
    String::from_utf8(read_plain(path, limit)?).map_err(no_text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_limit_and_not_beyond() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "four").unwrap();
        assert_eq!(read_plain(&path, 4).unwrap(), b"four");
        assert_eq!(read_plain(&path, 3).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(read_plain(folder.path(), 4).unwrap_err().kind(), io::ErrorKind::IsADirectory);
        let none = read_plain(&folder.path().join("none"), 4).unwrap_err();
        assert_eq!(none.kind(), io::ErrorKind::NotFound);
    }

    /// A file of a terabyte that takes no room on the disk.
    #[test]
    fn no_memory_is_reserved_for_a_length_that_nothing_stands_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sparse");
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(read_plain(&path, 100).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }

    #[cfg(unix)]
    #[test]
    fn pipes_and_devices_are_refused_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        let pipe = made.is_ok_and(|s| s.success()).then_some(pipe);
        let device = Some(std::path::PathBuf::from("/dev/zero"));
        for path in pipe.into_iter().chain(device) {
            for write in [false, true] {
                for read in [!write, true] {
                    let opened = open_plain_with(&path, OpenOptions::new().read(read).write(write));
                    let refused = opened.unwrap_err();
                    assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "{}", path.display());
                }
            }
        }
    }
}
