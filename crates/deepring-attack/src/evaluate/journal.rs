//! The file `results.jsonl`: what is finished is in it, whatever happens to the process.

use std::collections::HashSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use deepring::files::{open_plain_with, read_plain, spare_kept};
use thiserror::Error;

use super::record::{Line, Model, Row, Run};
use crate::catalogue::Kind;

/// Most bytes of results that are read.
const MAX_RESULTS: u64 = 4 << 30;

/// Why results could not be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The message.
        source: std::io::Error,
    },
    /// Another process writes to it.
    #[error("{}: another evaluation writes to it", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// A line, not the last, is none of ours.
    #[error("{}, line {line}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Its number, from 1.
        line: usize,
        /// The reason.
        reason: String,
    },
}

/// All that is known.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Results {
    /// Runs, the first first.
    pub runs: Vec<Run>,
    /// Networks.
    pub models: Vec<Model>,
    /// Cells.
    pub rows: Vec<Row>,
}

/// The open file.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// Opens the file, or makes it, and reads what is in it. A last line without its end is cut off: the process
    /// died while it wrote it.
    pub(super) fn open(path: &Path) -> Result<(Self, Results), JournalError> {
        let io = |source| JournalError::Io { path: path.into(), source };
        // What has no line yet would be cut off, a key among it.
        spare_kept(path).map_err(io)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = open_plain_with(path, &mut options).map_err(io)?;
        // What is appended here would be appended to whatever else it is: a link to a ledger's lock is an empty file, too.
        if file.metadata().map_err(io)?.nlink() > 1 {
            let why = "has other names besides: nothing is appended to it";
            return Err(io(std::io::Error::new(std::io::ErrorKind::AlreadyExists, why)));
        }
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(JournalError::Busy { path: path.into() }),
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io)?;
        let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        let results = parse(path, bytes.get(..whole).unwrap_or_default())?;
        file.set_len(whole as u64).map_err(io)?;
        file.seek(SeekFrom::End(0)).map_err(io)?;
        Ok((Self { path: path.into(), file }, results))
    }

    /// Adds a line; when this returns, the process may die.
    pub(super) fn add(&mut self, line: &Line) -> Result<(), JournalError> {
        let io = |source| JournalError::Io { path: self.path.clone(), source };
        let mut text = serde_json::to_vec(line).map_err(|e| io(e.into()))?;
        text.push(b'\n');
        self.file.write_all(&text).and_then(|()| self.file.flush()).map_err(io)
    }
}

impl Results {
    /// Reads a file of results.
    ///
    /// # Errors
    /// [`JournalError::Io`] where the file cannot be read; [`JournalError::Malformed`] for a line, not the last, that no evaluation
    /// wrote.
    pub fn read(path: &Path) -> Result<Self, JournalError> {
        let io = |source| JournalError::Io { path: path.into(), source };
        let bytes = read_plain(path, MAX_RESULTS).map_err(io)?;
        let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        parse(path, bytes.get(..whole).unwrap_or_default())
    }

    /// Puts everything into the order that does not depend on which cell ended first.
    pub(super) fn sort(&mut self) {
        let places: Vec<&str> = Kind::all().iter().map(|k| k.name()).collect();
        let place = |name: &str| places.iter().position(|p| *p == name);
        let models: Vec<String> = self.models.iter().map(|m| m.sha256.clone()).collect();
        let model = |sha: &str| models.iter().position(|m| m == sha);
        let layer = |row: &Row| {
            let found = self.models.iter().find(|m| m.sha256 == row.model);
            found.and_then(|m| m.layers.iter().position(|l| Some(&l.name) == row.layer.as_ref()))
        };
        let number = |r: &Row| {
            let flips = r.strength.flips.unwrap_or(0);
            (r.strength.rho.map_or(0, f64::to_bits), flips, r.seed)
        };
        self.rows.sort_by_cached_key(|r| {
            (model(&r.model), place(&r.attack), layer(r), number(r), r.key.clone())
        });
    }

    /// The keys of all cells.
    pub(super) fn keys(&self) -> HashSet<String> {
        self.rows.iter().map(|r| r.key.clone()).collect()
    }

    /// Takes a line in; of two with one key, the first.
    pub(super) fn take(&mut self, line: Line) {
        match line {
            Line::Run(run) => self.runs.push(run),
            Line::Model(model) => {
                let same = |m: &Model| m.sha256 == model.sha256 && m.settings == model.settings;
                if !self.models.iter().any(same) {
                    self.models.push(model);
                }
            }
            Line::Cell(row) => self.rows.push(*row),
        }
    }
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Results, JournalError> {
    let mut results = Results::default();
    let mut keys = HashSet::new();
    for (at, line) in bytes.split(|b| *b == b'\n').enumerate() {
        if line.is_empty() {
            continue;
        }
        let line: Line = serde_json::from_slice(line).map_err(|e| JournalError::Malformed {
            path: path.into(),
            line: at + 1,
            reason: e.to_string(),
        })?;
        match line {
            Line::Cell(row) if !keys.insert(row.key.clone()) => {}
            line => results.take(line),
        }
    }
    Ok(results)
}

#[cfg(test)]
mod tests;
