//! This process' memory, written as a debugger or an exploit writes it: through a file, behind the compiler's back.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};

const MEMORY: &str = "/proc/self/mem";

/// An open handle on the memory of this process; only Linux has one.
#[derive(Debug)]
pub(crate) struct Memory(File);

impl Memory {
    /// Fails where the system has no such file, or forbids writing to it.
    pub(crate) fn open() -> io::Result<Self> {
        OpenOptions::new().read(true).write(true).open(MEMORY).map(Self)
    }

    /// Writes `bytes` over a stretch of `live` that begins at `at`, which must hold `before`.
    pub(crate) fn replace(
        &mut self,
        live: &[u8],
        at: usize,
        before: &[u8],
        bytes: &[u8],
    ) -> io::Result<()> {
        let end = at.checked_add(bytes.len()).filter(|end| *end <= live.len());
        if end.is_none() || before.len() != bytes.len() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let address = live.as_ptr().addr() as u64 + at as u64;
        let mut present = vec![0; bytes.len()];
        self.0.seek(SeekFrom::Start(address))?;
        self.0.read_exact(&mut present)?;
        if present != before {
            return Err(io::Error::other("the bytes are not where they should be"));
        }
        self.write(address, bytes)
    }

    /// Writes at an address, whatever is there.
    pub(crate) fn write(&mut self, address: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.seek(SeekFrom::Start(address))?;
        self.0.write_all(bytes)
    }
}
