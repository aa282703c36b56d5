//! The files of an export: their paths, and how none is ever there in part.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use deepring::files::{Replacement, read_plain, read_plain_text};

use super::TilesError;
use crate::checkpoint::MAX_CHECKPOINT_TEXT;
use crate::entry::MAX_ENTRY_BYTES;

/// Mode of the files, less the process's umask; they are to be served.
const PUBLIC: u32 = 0o644;
/// Longest file that this writes: a bundle of the longest entries.
const MAX_FILE: u64 = 256 * (MAX_ENTRY_BYTES as u64 + 2);

/// The kind of contents of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TileKind {
    Entries,
    /// Hashes of this level.
    Hashes(usize),
}

/// A folder that holds an export, or the beginning of one.
pub(super) struct ExportFolder {
    dir: PathBuf,
    /// Folders with names that are not synced yet.
    unsynced: BTreeSet<PathBuf>,
}

impl ExportFolder {
    /// Makes the folder where there is none.
    pub(super) fn open(dir: &Path) -> Result<Self, TilesError> {
        fs::create_dir_all(dir).map_err(TilesError::io("create", dir))?;
        let folder = Self { dir: dir.to_owned(), unsynced: BTreeSet::new() };
        folder.check()?;
        Ok(folder)
    }

    /// The checkpoint's text, if that file is there. Not verified.
    pub(super) fn checkpoint(&self) -> Result<Option<String>, TilesError> {
        let path = self.dir.join("checkpoint");
        match read_plain_text(&path, MAX_CHECKPOINT_TEXT as u64) {
            Ok(text) => Ok(Some(text)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(TilesError::io("read", &path)(e)),
        }
    }

    /// Refuses a folder that holds anything else, such as a ledger. Tiles without a checkpoint are
    /// of an export that was interrupted, and are compared when their turn comes.
    fn check(&self) -> Result<(), TilesError> {
        for entry in fs::read_dir(&self.dir).map_err(TilesError::io("list", &self.dir))? {
            let name = entry.map_err(TilesError::io("list", &self.dir))?.file_name();
            if name != "tile" && name != "checkpoint" {
                let found = name.to_string_lossy().into_owned();
                return Err(TilesError::NotAnExport { dir: self.dir.clone(), found });
            }
        }
        Ok(())
    }

    /// Puts a tile or bundle in its place; false if it is there already, with these bytes.
    pub(super) fn place(
        &mut self,
        kind: TileKind,
        index: u64,
        width: Option<u64>,
        bytes: &[u8],
    ) -> Result<bool, TilesError> {
        let path = self.dir.join(relative(kind, index, width));
        if Self::has(&path, bytes)? {
            return Ok(false);
        }
        let folder = path.parent().unwrap_or(&self.dir).to_owned();
        fs::create_dir_all(&folder).map_err(TilesError::io("create", &folder))?;
        let mut file =
            Replacement::with_mode(&path, PUBLIC).map_err(TilesError::io("create", &path))?;
        file.write_all(bytes).map_err(TilesError::io("write", &path))?;
        match file.commit_new() {
            Ok(()) => {}
            // Another export was first; its file is as good, if it is the same.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                // A link that leads nowhere is there, and is no file.
                if !Self::has(&path, bytes)? {
                    return Err(TilesError::Differs { path });
                }
            }
            Err(e) => return Err(TilesError::io("write", &path)(e)),
        }
        for folder in folder.ancestors().take_while(|folder| folder.starts_with(&self.dir)) {
            self.unsynced.insert(folder.to_owned());
        }
        Ok(true)
    }

    /// Whether a file is there, with these bytes; one with others is an error.
    fn has(path: &Path, bytes: &[u8]) -> Result<bool, TilesError> {
        match read_plain(path, MAX_FILE) {
            Ok(found) if found == bytes => Ok(true),
            Ok(_) => Err(TilesError::Differs { path: path.to_owned() }),
            Err(e) if e.kind() == io::ErrorKind::FileTooLarge => {
                Err(TilesError::Differs { path: path.to_owned() })
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(TilesError::io("read", path)(e)),
        }
    }

    /// Replaces the checkpoint. What it commits to is on disk before.
    pub(super) fn replace_checkpoint(&mut self, text: &str) -> Result<(), TilesError> {
        for folder in std::mem::take(&mut self.unsynced) {
            sync(&folder).map_err(TilesError::io("sync", &folder))?;
        }
        let path = self.dir.join("checkpoint");
        // Not with a mode of its own: what others keep behind a link there is spared.
        let written = Replacement::of(&path).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.commit()
        });
        written.map_err(TilesError::io("replace", &path))
    }
}

/// `tile/<L>/<N>[.p/<W>]`, with the index in elements of three digits, all but the last after an `x`.
fn relative(kind: TileKind, index: u64, width: Option<u64>) -> String {
    let mut number = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        number = format!("x{:03}/{number}", rest % 1000);
        rest /= 1000;
    }
    let level = match kind {
        TileKind::Entries => "entries".to_owned(),
        TileKind::Hashes(level) => level.to_string(),
    };
    match width {
        Some(width) => format!("tile/{level}/{number}.p/{width}"),
        None => format!("tile/{level}/{number}"),
    }
}

#[cfg(unix)]
#[allow(clippy::disallowed_methods, reason = "folders, which are not read")]
fn sync(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the specification, "Merkle Tree".
    #[test]
    fn paths_are_those_of_the_specification() {
        assert_eq!(relative(TileKind::Hashes(0), 1_234_067, None), "tile/0/x001/x234/067");
        assert_eq!(relative(TileKind::Hashes(2), 0, Some(1)), "tile/2/000.p/1");
        assert_eq!(relative(TileKind::Entries, 273, Some(112)), "tile/entries/273.p/112");
        assert_eq!(relative(TileKind::Entries, 1000, None), "tile/entries/x001/000");
    }
}
