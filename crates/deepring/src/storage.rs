//! Bytes that can be read at any offset, from several threads: a file or a buffer.
//!
//! Files are read, not mapped. A mapping would save the copy out of the page cache, about a third
//! of the processor time of verifying a file that is all in memory, and nothing when it comes from
//! a disk. But an attacker that may write to the file could then end the process (SIGBUS) by
//! truncating it, and change bytes between their check and their use. A buffer that was read stays
//! as it was checked.

use std::fs::File;
use std::io;

/// Random access to a ring's bytes, which are never trusted, only checked.
pub trait Storage: Send + Sync {
    /// Length in bytes.
    ///
    /// # Errors
    /// Where the storage cannot state it.
    fn len(&self) -> io::Result<u64>;

    /// Fills `buf` from byte `offset` on.
    ///
    /// # Errors
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the bytes are not there; and where the
    /// storage cannot be read.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()>;

    /// Returns whether there are no bytes.
    ///
    /// # Errors
    /// As [`len`](Self::len).
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

impl Storage for File {
    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    #[cfg(unix)]
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, buf, offset)
    }

    #[cfg(windows)]
    fn read_at(&self, mut offset: u64, mut buf: &mut [u8]) -> io::Result<()> {
        use std::os::windows::fs::FileExt as _;
        while !buf.is_empty() {
            match self.seek_read(buf, offset)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => {
                    offset += n as u64;
                    buf = &mut buf[n..];
                }
            }
        }
        Ok(())
    }
}

impl Storage for Vec<u8> {
    fn len(&self) -> io::Result<u64> {
        Ok(self.as_slice().len() as u64)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let bytes = usize::try_from(offset)
            .ok()
            .and_then(|start| self.get(start..start.checked_add(buf.len())?))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(bytes);
        Ok(())
    }
}

/// Writes all of `bytes` at `offset`, from any thread.
#[cfg(unix)]
pub(crate) fn write_at(file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

/// Writes all of `bytes` at `offset`, from any thread.
#[cfg(windows)]
pub(crate) fn write_at(file: &File, mut offset: u64, mut bytes: &[u8]) -> io::Result<()> {
    use std::os::windows::fs::FileExt as _;
    while !bytes.is_empty() {
        match file.seek_write(bytes, offset)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            n => {
                offset += n as u64;
                bytes = &bytes[n..];
            }
        }
    }
    Ok(())
}

/// Reads a range into a new buffer; the caller has bounded its length.
pub(crate) fn read_range(
    storage: &dyn Storage,
    range: std::ops::Range<u64>,
) -> io::Result<Vec<u8>> {
    let len = usize::try_from(range.end - range.start)
        .map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
    let mut buf = vec![0; len];
    storage.read_at(range.start, &mut buf)?;
    Ok(buf)
}
