//! Cuts entries and hashes into tiles, level by level, in one pass.

use tlog_tiles::tlog::{Hash, record_hash};

use super::TilesError;
use super::folder::{ExportFolder, TileKind};
use crate::checkpoint::Checkpoint;
use crate::tree::Frontier;

/// Hashes of a full tile, and entries of a full bundle.
pub(super) const ENTRIES_PER_TILE: u64 = 256;

/// A pass over the log. Without a folder it writes nothing, and tells the root.
pub(super) struct TileCutter {
    tree: Frontier,
    folder: Option<ExportFolder>,
    bundle: Vec<u8>,
    levels: Vec<Level>,
    files: usize,
}

/// The tile that is being filled at one level.
#[derive(Default)]
struct Level {
    /// Full tiles before it.
    full: u64,
    hashes: Vec<Hash>,
}

impl TileCutter {
    /// Into a folder, or into none.
    pub(super) fn new(folder: Option<ExportFolder>) -> Self {
        let tree = Frontier::default();
        Self { tree, folder, bundle: Vec::new(), levels: Vec::new(), files: 0 }
    }

    /// Takes the next entries; they begin at a multiple of 256, and are 256 or the last.
    pub(super) fn push(&mut self, entries: &[Vec<u8>]) -> Result<(), TilesError> {
        for entry in entries {
            let leaf = record_hash(entry);
            self.tree.push(leaf);
            if self.folder.is_none() {
                continue;
            }
            // The format of entries bounds them to what fits here.
            self.bundle
                .extend_from_slice(&u16::try_from(entry.len()).unwrap_or(u16::MAX).to_be_bytes());
            self.bundle.extend_from_slice(entry);
            if self.tree.size().is_multiple_of(ENTRIES_PER_TILE) {
                let bundle = std::mem::take(&mut self.bundle);
                self.write(
                    TileKind::Entries,
                    self.tree.size() / ENTRIES_PER_TILE - 1,
                    None,
                    &bundle,
                )?;
            }
            self.hash(leaf)?;
        }
        Ok(())
    }

    /// Adds a leaf to level 0, and to those above the root of each tile that it fills.
    fn hash(&mut self, leaf: Hash) -> Result<(), TilesError> {
        let mut hash = leaf;
        for number in 0.. {
            if self.levels.len() == number {
                self.levels.push(Level::default());
            }
            let Some(level) = self.levels.get_mut(number) else { break };
            level.hashes.push(hash);
            if (level.hashes.len() as u64) < ENTRIES_PER_TILE {
                break;
            }
            let hashes = std::mem::take(&mut level.hashes);
            let index = level.full;
            level.full += 1;
            self.write(TileKind::Hashes(number), index, None, &bytes(&hashes))?;
            let mut tile = Frontier::default();
            for hash in hashes {
                tile.push(hash);
            }
            hash = tile.root();
        }
        Ok(())
    }

    /// Writes what is partly full, and then the checkpoint; returns how many tiles and bundles were
    /// written.
    pub(super) fn finish(mut self, checkpoint: &Checkpoint) -> Result<usize, TilesError> {
        let partial = self.tree.size() % ENTRIES_PER_TILE;
        if partial != 0 {
            let bundle = std::mem::take(&mut self.bundle);
            self.write(
                TileKind::Entries,
                self.tree.size() / ENTRIES_PER_TILE,
                Some(partial),
                &bundle,
            )?;
        }
        for (number, level) in std::mem::take(&mut self.levels).into_iter().enumerate() {
            if !level.hashes.is_empty() {
                let width = Some(level.hashes.len() as u64);
                self.write(TileKind::Hashes(number), level.full, width, &bytes(&level.hashes))?;
            }
        }
        if let Some(folder) = &mut self.folder {
            folder.replace_checkpoint(checkpoint.as_str())?;
        }
        Ok(self.files)
    }

    fn write(
        &mut self,
        kind: TileKind,
        index: u64,
        width: Option<u64>,
        bytes: &[u8],
    ) -> Result<(), TilesError> {
        // Also what an earlier export wrote: a file that was changed since is refused, and one that is
        // gone is made anew.
        if let Some(folder) = &mut self.folder {
            self.files += usize::from(folder.place(kind, index, width, bytes)?);
        }
        Ok(())
    }

    pub(super) fn size(&self) -> u64 {
        self.tree.size()
    }

    pub(super) fn root(&self) -> Hash {
        self.tree.root()
    }
}

fn bytes(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}
