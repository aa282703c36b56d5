//! Protocol buffer fields read from a file at a position, never more of it than asked for.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use deepring::files::{Storage as _, open_plain};

use super::error::ImportError;

const WINDOW: usize = 64 * 1024;

/// A file that several sources read from, each at its own offsets.
#[derive(Debug)]
pub(crate) struct SharedFile {
    path: PathBuf,
    len: u64,
    file: File,
}

impl SharedFile {
    pub(crate) fn open(path: &Path) -> Result<Self, ImportError> {
        let io = |source| ImportError::Io { path: path.to_path_buf(), source };
        let file = open_plain(path).map_err(|e| match e.kind() {
            // A pipe or device has no length to check offsets against.
            ErrorKind::InvalidInput | ErrorKind::IsADirectory => {
                ImportError::NotOnnx { path: path.to_path_buf() }
            }
            _ => io(e),
        })?;
        let len = file.metadata().map_err(io)?.len();
        Ok(Self { path: path.to_path_buf(), len, file })
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn read_exact_at(&self, offset: u64, out: &mut [u8]) -> Result<(), ImportError> {
        let io = |source| ImportError::Io { path: self.path.clone(), source };
        self.file.read_at(offset, out).map_err(io)
    }
}

/// Wire type and number of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) number: u32,
    pub(crate) wire: Wire,
}

/// How a field's value is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    Varint,
    Fixed64,
    Bytes,
    Fixed32,
}

/// Reads keys and values forward from any position of a file.
pub(crate) struct WireReader<'a> {
    file: &'a SharedFile,
    window: Vec<u8>,
    window_start: u64,
    position: u64,
}

impl<'a> WireReader<'a> {
    pub(crate) fn new(file: &'a SharedFile) -> Self {
        Self { file, window: Vec::new(), window_start: 0, position: 0 }
    }

    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    pub(crate) fn skip_to(&mut self, position: u64) {
        self.position = position;
    }

    pub(crate) fn malformed(&self, what: &'static str) -> ImportError {
        ImportError::Malformed { path: self.file.path.clone(), offset: self.position, what }
    }

    pub(crate) fn key(&mut self, end: u64) -> Result<Key, ImportError> {
        let key = self.varint(end)?;
        let wire = match key & 7 {
            0 => Wire::Varint,
            1 => Wire::Fixed64,
            2 => Wire::Bytes,
            5 => Wire::Fixed32,
            _ => return Err(self.malformed("unknown wire type")),
        };
        match u32::try_from(key >> 3) {
            Ok(number) if number != 0 => Ok(Key { number, wire }),
            _ => Err(self.malformed("invalid field number")),
        }
    }

    pub(crate) fn varint(&mut self, end: u64) -> Result<u64, ImportError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte(end)?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.malformed("number longer than ten bytes"))
    }

    /// Length of the value that follows the key just read, inside the message that ends at `end`.
    pub(crate) fn value_len(&mut self, wire: Wire, end: u64) -> Result<u64, ImportError> {
        let announced = match wire {
            Wire::Varint => {
                let start = self.position;
                self.varint(end)?;
                let len = self.position - start;
                self.position = start;
                len
            }
            Wire::Fixed64 => 8,
            Wire::Fixed32 => 4,
            Wire::Bytes => self.varint(end)?,
        };
        let left = end.saturating_sub(self.position);
        if announced > left {
            return Err(ImportError::Truncated {
                path: self.file.path.clone(),
                field: "field",
                offset: self.position,
                announced,
                left,
            });
        }
        Ok(announced)
    }

    /// Appends the next `len` bytes to `out`; the caller has bounded `len`.
    pub(crate) fn copy(&mut self, len: u64, out: &mut Vec<u8>) -> Result<(), ImportError> {
        let len = usize::try_from(len).map_err(|_| self.malformed("length out of range"))?;
        let start = out.len();
        out.resize(start + len, 0);
        if let Some(target) = out.get_mut(start..) {
            if let Some(ready) = self.window.get(self.in_window()..).and_then(|w| w.get(..len)) {
                target.copy_from_slice(ready);
            } else {
                self.file.read_exact_at(self.position, target)?;
            }
        }
        self.position += len as u64;
        Ok(())
    }

    fn in_window(&self) -> usize {
        self.position
            .checked_sub(self.window_start)
            .and_then(|at| usize::try_from(at).ok())
            .unwrap_or(usize::MAX)
    }

    fn byte(&mut self, end: u64) -> Result<u8, ImportError> {
        if self.position >= end {
            return Err(ImportError::Truncated {
                path: self.file.path.clone(),
                field: "number",
                offset: self.position,
                announced: 1,
                left: 0,
            });
        }
        if self.window.get(self.in_window()).is_none() {
            let left = self.file.len.saturating_sub(self.position);
            let len = usize::try_from(left).unwrap_or(WINDOW).min(WINDOW);
            self.window.resize(len, 0);
            self.window_start = self.position;
            self.file.read_exact_at(self.position, &mut self.window)?;
        }
        let Some(byte) = self.window.get(self.in_window()) else {
            return Err(self.malformed("end of file"));
        };
        self.position += 1;
        Ok(*byte)
    }
}
