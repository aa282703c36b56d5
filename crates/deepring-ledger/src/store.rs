//! The database: four tables in `ledger.redb`, one transaction per append.

use std::any::Any;
#[cfg(unix)]
use std::fs::Permissions;
use std::fs::{File, OpenOptions};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use deepring::files::open_plain_with;
use redb::{
    Builder, Database, Durability, MultimapTableDefinition, ReadOnlyMultimapTable, ReadOnlyTable,
    ReadableDatabase, StorageBackend, TableDefinition, WriteTransaction,
};
use tlog_tiles::tlog::{Hash, stored_hash_index, stored_hashes, tree_hash};

use crate::backend::{Access, LedgerFile};
use crate::checkpoint::Checkpoint;
use crate::entry::Entry;
use crate::error::{LedgerError, failure};
use crate::key::LogKey;
use crate::tree::{Frontier, with_hashes};

/// Name of the layout below; a reader refuses any other.
pub(crate) const FORMAT: &str = "deepring-ledger/2";

const META: TableDefinition<'_, &str, &str> = TableDefinition::new("meta");
const ENTRIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("entries");
const HASHES: TableDefinition<'_, u64, &[u8; 32]> = TableDefinition::new("hashes");
const DECISIONS: MultimapTableDefinition<'_, &[u8; 32], u64> =
    MultimapTableDefinition::new("decisions");

pub(crate) const META_FORMAT: &str = "format";
pub(crate) const META_KEY: &str = "key";
pub(crate) const META_CHECKPOINT: &str = "checkpoint";
const META_HEIGHT: &str = "height";

/// Bytes of pages kept in memory; bounds the cost of a large ledger to a small machine.
const CACHE: usize = 32 << 20;
/// Time between two tries to open a locked database.
const RETRY: Duration = Duration::from_millis(10);

/// An open database.
pub(crate) struct Store {
    /// `None` only while dropping.
    database: Option<Database>,
    path: PathBuf,
}

/// The tables at one moment.
pub(crate) struct Snapshot {
    pub(crate) path: PathBuf,
    pub(crate) meta: ReadOnlyTable<&'static str, &'static str>,
    pub(crate) entries: ReadOnlyTable<u64, &'static [u8]>,
    pub(crate) hashes: ReadOnlyTable<u64, &'static [u8; 32]>,
    pub(crate) decisions: ReadOnlyMultimapTable<&'static [u8; 32], u64>,
}

/// A height of an agreement, and the indices of the entries that it brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Height {
    pub(crate) height: u64,
    pub(crate) entries: Range<u64>,
}

/// The expected content of a file when it is opened.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Contents {
    Empty,
    Database,
}

impl Store {
    /// Writes an empty ledger, signed by `key`, into a new file at `path`.
    pub(crate) fn create(path: &Path, key: &LogKey) -> Result<(), LedgerError> {
        shielded(path, || {
            let store = Self::try_open(path, Access::Write, Contents::Empty)?;
            store.begin_ledger(path, key)
        })
    }

    fn begin_ledger(&self, path: &Path, key: &LogKey) -> Result<(), LedgerError> {
        let txn = self.begin(path)?;
        {
            let root = Frontier::default().root();
            let checkpoint = sign(key, 0, root)?;
            let mut meta = txn.open_table(META).map_err(|e| failure(path, e))?;
            for (name, value) in [
                (META_FORMAT, FORMAT),
                (META_KEY, key.verifier.as_str()),
                (META_CHECKPOINT, checkpoint.as_str()),
            ] {
                meta.insert(name, value).map_err(|e| failure(path, e))?;
            }
            txn.open_table(ENTRIES).map_err(|e| failure(path, e))?;
            txn.open_table(HASHES).map_err(|e| failure(path, e))?;
            txn.open_multimap_table(DECISIONS).map_err(|e| failure(path, e))?;
        }
        txn.commit().map_err(|e| failure(path, e))
    }

    /// Opens the database, waiting at most `wait` for its lock.
    ///
    /// The checksum of every page is verified on the way: redb promises an error for a damaged file
    /// only then, and may panic otherwise. It costs one pass over the file.
    pub(crate) fn open(path: &Path, access: Access, wait: Duration) -> Result<Self, LedgerError> {
        let started = Instant::now();
        loop {
            let opened = shielded(path, || Self::try_open(path, access, Contents::Database));
            match opened {
                Err(LedgerError::InUse { .. }) if started.elapsed() < wait => {
                    thread::sleep(RETRY.min(wait));
                }
                Err(LedgerError::InUse { path, .. }) => {
                    return Err(LedgerError::InUse { path, waited: started.elapsed() });
                }
                other => return other,
            }
        }
    }

    fn try_open(path: &Path, access: Access, contents: Contents) -> Result<Self, LedgerError> {
        let mut options = OpenOptions::new();
        let file = open_plain_with(path, options.read(true).write(access == Access::Write));
        let file = file.map_err(LedgerError::io("open", path))?;
        let empty = file.metadata().map_err(LedgerError::io("read", path))?.len() == 0;
        // redb makes a new database of an empty file; an emptied ledger must stay as it is.
        if empty && contents == Contents::Database {
            return Err(LedgerError::damaged(path, "file is empty"));
        }
        if access == Access::Write {
            make_private(&file);
        }
        let backend = LedgerFile::new(file, access).map_err(LedgerError::io("read", path))?;
        Self::on(path, backend)
    }

    fn on(path: &Path, backend: impl StorageBackend) -> Result<Self, LedgerError> {
        let mut builder = Builder::new();
        builder.set_cache_size(CACHE).set_check_integrity_on_open(true);
        let database = builder.create_with_backend(backend).map_err(|e| failure(path, e))?;
        Ok(Self { database: Some(database), path: path.to_owned() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the tables as they are now.
    pub(crate) fn read<T>(
        &self,
        work: impl FnOnce(&Snapshot) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        let path = &self.path;
        shielded(path, || {
            let txn = self.database()?.begin_read().map_err(|e| failure(path, e))?;
            work(&Snapshot {
                path: path.clone(),
                meta: txn.open_table(META).map_err(|e| failure(path, e))?,
                entries: txn.open_table(ENTRIES).map_err(|e| failure(path, e))?,
                hashes: txn.open_table(HASHES).map_err(|e| failure(path, e))?,
                decisions: txn.open_multimap_table(DECISIONS).map_err(|e| failure(path, e))?,
            })
        })
    }

    /// Stores entries after those that `head` commits to; returns the checkpoint that commits to
    /// all of them, which is stored and synced with them.
    ///
    /// The key signs nothing that does not extend `head`: the stored hashes that the new root is
    /// computed from must fold to the root of `head` first, and no row is ever replaced.
    pub(crate) fn append(
        &self,
        head: &Checkpoint,
        new_entries: &[Entry],
        height: Option<u64>,
        key: &LogKey,
    ) -> Result<Checkpoint, LedgerError> {
        let path = &self.path;
        shielded(path, || {
            let txn = self.begin(path)?;
            let checkpoint = {
                let mut meta = txn.open_table(META).map_err(|e| failure(path, e))?;
                let mut entries = txn.open_table(ENTRIES).map_err(|e| failure(path, e))?;
                let mut hashes = txn.open_table(HASHES).map_err(|e| failure(path, e))?;
                let mut decisions =
                    txn.open_multimap_table(DECISIONS).map_err(|e| failure(path, e))?;

                let mut size = head.size();
                if with_hashes(path, &hashes, |h| tree_hash(size, h))? != head.root_hash() {
                    return Err(LedgerError::damaged(path, "stored tree is not the signed one"));
                }
                for entry in new_entries {
                    let new =
                        with_hashes(path, &hashes, |h| stored_hashes(size, entry.as_bytes(), h))?;
                    let mut fresh = entries
                        .insert(size, entry.as_bytes())
                        .map_err(|e| failure(path, e))?
                        .is_none();
                    for (position, hash) in (stored_hash_index(0, size)..).zip(&new) {
                        let old = hashes.insert(position, &hash.0).map_err(|e| failure(path, e))?;
                        fresh &= old.is_none();
                    }
                    if let Some(id) = entry.decision() {
                        decisions.insert(&id.0, size).map_err(|e| failure(path, e))?;
                    }
                    if !fresh {
                        let what = format!("rows beyond the signed size {}", head.size());
                        return Err(LedgerError::damaged(path, what));
                    }
                    size += 1;
                }
                let root = with_hashes(path, &hashes, |h| tree_hash(size, h))?;
                let checkpoint = sign(key, size, root)?;
                meta.insert(META_CHECKPOINT, checkpoint.as_str()).map_err(|e| failure(path, e))?;
                if let Some(height) = height {
                    let row = format!("{height} {} {size}", head.size());
                    meta.insert(META_HEIGHT, row.as_str()).map_err(|e| failure(path, e))?;
                }
                checkpoint
            };
            txn.commit().map_err(|e| failure(path, e))?;
            Ok(checkpoint)
        })
    }

    fn begin(&self, path: &Path) -> Result<WriteTransaction, LedgerError> {
        let mut txn = self.database()?.begin_write().map_err(|e| failure(path, e))?;
        txn.set_durability(Durability::Immediate).map_err(|e| failure(path, e))?;
        // Entries hold text that others chose. With one phase, recovery would rest on redb's
        // unkeyed checksums, which an attacker that chooses the content might collide.
        txn.set_two_phase_commit(true);
        Ok(txn)
    }

    fn database(&self) -> Result<&Database, LedgerError> {
        self.database.as_ref().ok_or_else(|| LedgerError::damaged(&self.path, "database is closed"))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let database = self.database.take();
        // Closing writes; on a damaged file it may fail like any other operation, and every
        // acknowledged entry is synced already.
        let _ = shielded(&self.path, || {
            drop(database);
            Ok(())
        });
    }
}

impl Snapshot {
    pub(crate) fn meta(&self, name: &str) -> Result<Option<String>, LedgerError> {
        let value = self.meta.get(name).map_err(|e| failure(&self.path, e))?;
        Ok(value.map(|value| value.value().to_owned()))
    }

    /// The newest height of an agreement that was recorded, with the entries that it brought.
    pub(crate) fn height(&self) -> Result<Option<Height>, LedgerError> {
        let Some(row) = self.meta(META_HEIGHT)? else { return Ok(None) };
        let numbers: Vec<u64> = row.split(' ').map_while(|n| n.parse().ok()).collect();
        match numbers[..] {
            [height, start, end] if start <= end && format!("{height} {start} {end}") == row => {
                Ok(Some(Height { height, entries: start..end }))
            }
            _ => Err(LedgerError::damaged(&self.path, "the height is no height")),
        }
    }

    pub(crate) fn entry(&self, index: u64) -> Result<Option<Vec<u8>>, LedgerError> {
        let value = self.entries.get(index).map_err(|e| failure(&self.path, e))?;
        Ok(value.map(|value| value.value().to_vec()))
    }

    /// Indices of the entries that the index lists for a decision, ascending.
    pub(crate) fn decision(&self, id: &[u8; 32]) -> Result<Vec<u64>, LedgerError> {
        let rows = self.decisions.get(id).map_err(|e| failure(&self.path, e))?;
        rows.map(|row| Ok(row.map_err(|e| failure(&self.path, e))?.value())).collect()
    }

    /// The entries of a range of indices, as many of them as there are without a gap.
    pub(crate) fn entries(&self, range: Range<u64>) -> Result<Vec<Vec<u8>>, LedgerError> {
        let fail = |e| failure(&self.path, e);
        let mut entries = Vec::new();
        for (row, due) in self.entries.range(range.clone()).map_err(fail)?.zip(range) {
            let (index, bytes) = row.map_err(fail)?;
            if index.value() != due {
                break;
            }
            entries.push(bytes.value().to_vec());
        }
        Ok(entries)
    }

    /// Root of the tree over the first `size` entries, from the stored hashes.
    pub(crate) fn root(&self, size: u64) -> Result<Hash, LedgerError> {
        with_hashes(&self.path, &self.hashes, |hashes| tree_hash(size, hashes))
    }
}

/// Removes other users' access to the database, if it is this user's. Any user that can open it can
/// lock it.
#[cfg(unix)]
fn make_private(file: &File) {
    use std::os::unix::fs::PermissionsExt;
    if file.metadata().is_ok_and(|m| m.permissions().mode() & 0o077 != 0) {
        let _ = file.set_permissions(Permissions::from_mode(0o600));
    }
}

#[cfg(not(unix))]
fn make_private(_: &File) {}

fn sign(key: &LogKey, size: u64, root: Hash) -> Result<Checkpoint, LedgerError> {
    Checkpoint::sign(key, size, root)
        .map_err(|source| LedgerError::Checkpoint { whose: "the new checkpoint", source })
}

/// Runs database work and turns a panic inside redb into an error.
///
/// This is the only place that catches panics. redb checks a file before it trusts it
/// ([`Store::open`]), and a file that passes that check is read without panicking unless an
/// attacker computed its unkeyed checksums anew. Against such a file, this is the last line: the
/// ledger is damaged, and reported so, instead of taking the process with it. (The panic's message
/// still goes through the process's panic hook.)
pub(crate) fn shielded<T>(
    path: &Path,
    work: impl FnOnce() -> Result<T, LedgerError>,
) -> Result<T, LedgerError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        Err(LedgerError::damaged(path, format!("reading it failed: {}", message(&*panic))))
    })
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("unknown reason")
}

#[cfg(test)]
mod tests;
