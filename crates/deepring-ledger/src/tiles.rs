//! The log as static files: `c2sp.org/tlog-tiles`, for whoever mirrors or monitors it.
//!
//! ```text
//! checkpoint                     the newest signed note, replaced last
//! tile/<L>/<N>, .../<N>.p/<W>    hashes: 256 of them, or W at the right edge
//! tile/entries/<N>, ...          entries, each after its length as a big-endian u16
//! ```
//!
//! The tiles hang on the entries alone: logs of one name and the same entries have the same ones,
//! whoever signs their checkpoints.

mod cutter;
mod folder;

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::checkpoint::Checkpoint;
use crate::error::{Fault, LedgerError};
use crate::ledger::Ledger;
use cutter::{ENTRIES_PER_TILE, TileCutter};
use folder::ExportFolder;

/// Why a log was not exported, or not all of it. What is there already is as it was.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TilesError {
    /// A file or folder of the export could not be read, written or synced.
    #[error("could not {doing} {}: {source}", path.display())]
    Io {
        /// The action that was attempted.
        doing: &'static str,
        /// File or folder concerned.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The folder holds something else than an export.
    #[error("{} is no export of a log: it holds `{found}`", dir.display())]
    NotAnExport {
        /// The folder.
        dir: PathBuf,
        /// Name of what lies there.
        found: String,
    },
    /// The folder's checkpoint is none that this ledger extends: it is of another log, of more
    /// entries, or of others.
    #[error("the export in {} is not of this ledger: {source}", dir.display())]
    OtherLog {
        /// The folder.
        dir: PathBuf,
        /// How its checkpoint is refused.
        source: Box<LedgerError>,
    },
    /// A file that never changes has other bytes than the log gives it.
    #[error("{} has other bytes than this log gives it", path.display())]
    Differs {
        /// The tile or bundle.
        path: PathBuf,
    },
    /// The ledger could not be read, or its entries do not have the signed root.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl TilesError {
    /// The party at fault.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Io { .. } => Fault::Io,
            Self::NotAnExport { .. } => Fault::Usage,
            Self::OtherLog { .. } | Self::Differs { .. } => Fault::Tampered,
            Self::Ledger(e) => e.fault(),
        }
    }

    fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, path: path.to_owned(), source }
    }
}

/// The result of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TilesExport {
    /// Entries that the export held before; 0 for a new one.
    pub before: u64,
    /// The checkpoint that it holds now.
    pub checkpoint: Checkpoint,
    /// Tiles and bundles that were written.
    pub files: usize,
}

impl Ledger {
    /// Writes the log as static files (`c2sp.org/tlog-tiles`) into a folder, which is made where
    /// there is none; an export of this ledger that lies there is extended. Each file is synced before
    /// it has its name, all of them before the checkpoint that needs them. No file but `checkpoint`
    /// ever changes; partial tiles of earlier sizes stay.
    ///
    /// Takes time in proportion to all entries: they are shown to have the signed root first.
    ///
    /// # Errors
    /// [`TilesError`].
    pub fn export_tiles(&self, dir: impl AsRef<Path>) -> Result<TilesExport, TilesError> {
        let dir = dir.as_ref();
        // Nothing is written of entries that the log's key did not sign for.
        let mut cutter = TileCutter::new(None);
        self.each_chunk(|entries| cutter.push(entries))?;
        self.shown(&cutter)?;

        let folder = ExportFolder::open(dir)?;
        let before = match folder.checkpoint()? {
            Some(text) => {
                let known = self.verify_against(&text);
                let dir = || dir.to_owned();
                known
                    .map_err(|e| TilesError::OtherLog { dir: dir(), source: Box::new(e) })?
                    .earlier()
                    .size()
            }
            None => 0,
        };
        let mut cutter = TileCutter::new(Some(folder));
        self.each_chunk(|entries| cutter.push(entries))?;
        self.shown(&cutter)?;
        let files = cutter.finish(self.checkpoint())?;
        Ok(TilesExport { before, checkpoint: self.checkpoint().clone(), files })
    }

    fn each_chunk(
        &self,
        mut work: impl FnMut(&[Vec<u8>]) -> Result<(), TilesError>,
    ) -> Result<(), TilesError> {
        let mut from = 0;
        while from < self.len() {
            let to = self.len().min(from.saturating_add(ENTRIES_PER_TILE));
            let entries = self.store().read(|snapshot| snapshot.entries(from..to))?;
            if entries.is_empty() {
                break;
            }
            from += entries.len() as u64;
            work(&entries)?;
        }
        Ok(())
    }

    /// Refuses entries that do not have the signed root; also where some are missing.
    fn shown(&self, cutter: &TileCutter) -> Result<(), TilesError> {
        if (cutter.size(), cutter.root()) == (self.len(), self.checkpoint().root_hash()) {
            return Ok(());
        }
        let path = self.store().path();
        Err(LedgerError::damaged(path, "entries do not have the signed root").into())
    }
}
