//! The database: four tables in `ledger.redb`, one transaction per append.

mod shield;
mod snapshot;
#[cfg(test)]
mod tests;

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deepring::files::open_plain_with;
use redb::{
    Builder, Database, Durability, MultimapTableDefinition, StorageBackend, TableDefinition,
    WriteTransaction,
};
use tlog_tiles::tlog::{Hash, stored_hash_index, stored_hashes, tree_hash};

use crate::backend::{Access, LedgerFile, Locked, make_private};
use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::entry::Entry;
use crate::error::{LedgerError, failure};
use crate::kept;
use crate::key::LogKey;
use crate::state::State;
use crate::tree::{Frontier, with_hashes};

pub use shield::in_database;
use shield::shielded;
pub(crate) use snapshot::Snapshot;

/// Name of the layout below; a reader refuses any other.
pub(crate) const FORMAT: &str = "deepring-ledger/3";

pub(crate) const META: TableDefinition<'_, &str, &str> = TableDefinition::new("meta");
pub(crate) const ENTRIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("entries");
pub(crate) const HASHES: TableDefinition<'_, u64, &[u8; 32]> = TableDefinition::new("hashes");
pub(crate) const DECISIONS: MultimapTableDefinition<'_, &[u8; 32], u64> =
    MultimapTableDefinition::new("decisions");

pub(crate) const META_FORMAT: &str = "format";
pub(crate) const META_KEY: &str = "key";
pub(crate) const META_CHECKPOINT: &str = "checkpoint";
pub(crate) const META_HEIGHT: &str = "height";
/// The note under the state's bytes; they are the one row of their table.
pub(crate) const META_STATE: &str = "state";
pub(crate) const STATE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("state");

/// Bytes of pages kept in memory; bounds the cost of a large ledger to a small machine.
const CACHE: usize = 32 << 20;

/// An open database.
///
/// A writer has the file to itself while a transaction lasts, and a reader shares it while a piece
/// of reading lasts; in between neither holds it. A reader whose file was written meanwhile opens
/// it anew. That only one writes is the ledger's business
/// ([`Directory::lock_writer`](crate::directory::Directory::lock_writer)).
pub(crate) struct Store {
    opened: Mutex<Opened>,
    path: PathBuf,
    wait: Duration,
}

struct Opened {
    /// `None` only while dropping, and after a reader failed to open it anew.
    database: Option<Arc<Database>>,
    /// `None` for a database that is in no file.
    file: Option<Watched>,
}

/// A file, and its head as it was when this process last wrote or opened it.
struct Watched {
    file: LedgerFile,
    access: Access,
    head: Vec<u8>,
}

/// The height and state that are stored with entries in the same transaction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Beside<'a> {
    pub(crate) height: Option<u64>,
    /// Bytes of the state after the entries.
    pub(crate) state: &'a [u8],
    /// False if they are those that were stored last.
    pub(crate) state_changed: bool,
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
        let store = Self::open_file(path, Access::Write, Contents::Empty, Duration::ZERO)?;
        store.writing(|database| Self::begin_ledger(database, path, key))
    }

    fn begin_ledger(database: &Database, path: &Path, key: &LogKey) -> Result<(), LedgerError> {
        let txn = Self::begin(database, path)?;
        {
            let root = Frontier::default().root();
            let checkpoint = sign(key, 0, root)?;
            let state = kept::bytes(&State::new(checkpoint.origin()));
            let note = sign_state(key, &checkpoint, &state)?;
            let mut meta = txn.open_table(META).map_err(|e| failure(path, e))?;
            let mut table = txn.open_table(STATE).map_err(|e| failure(path, e))?;
            table.insert(META_STATE, state.as_slice()).map_err(|e| failure(path, e))?;
            for (name, value) in [
                (META_FORMAT, FORMAT),
                (META_KEY, key.verifier.as_str()),
                (META_CHECKPOINT, checkpoint.as_str()),
                (META_STATE, note.as_str()),
            ] {
                meta.insert(name, value).map_err(|e| failure(path, e))?;
            }
            txn.open_table(ENTRIES).map_err(|e| failure(path, e))?;
            txn.open_table(HASHES).map_err(|e| failure(path, e))?;
            txn.open_multimap_table(DECISIONS).map_err(|e| failure(path, e))?;
        }
        txn.commit().map_err(|e| failure(path, e))
    }

    /// Opens the database. This, and each reading and writing of it, waits at most `wait` for others
    /// to be done with it.
    ///
    /// The checksum of every page is verified on the way: redb promises an error for a damaged file
    /// only then, and may panic otherwise. It costs one pass over the file.
    pub(crate) fn open(path: &Path, access: Access, wait: Duration) -> Result<Self, LedgerError> {
        Self::open_file(path, access, Contents::Database, wait)
    }

    fn open_file(
        path: &Path,
        access: Access,
        contents: Contents,
        wait: Duration,
    ) -> Result<Self, LedgerError> {
        let mut options = OpenOptions::new();
        let file = open_plain_with(path, options.read(true).write(access == Access::Write));
        let file = file.map_err(LedgerError::io("open", path))?;
        if access == Access::Write {
            make_private(&file);
        }
        let file = LedgerFile::new(file, access).map_err(LedgerError::io("read", path))?;
        let opened = {
            let _locked = lock(&file, path, wait)?;
            // Its length is that of now, and not of before the lock.
            let file = file.anew().map_err(LedgerError::io("read", path))?;
            Opened::of(file, access, contents, path)?
        };
        Ok(Self { opened: Mutex::new(opened), path: path.to_owned(), wait })
    }

    /// A database that no other process can have.
    #[cfg(test)]
    fn on(path: &Path, backend: impl StorageBackend) -> Result<Self, LedgerError> {
        let opened = Opened { database: Some(Arc::new(open_database(path, backend)?)), file: None };
        Ok(Self { opened: Mutex::new(opened), path: path.to_owned(), wait: Duration::ZERO })
    }

    // A panic elsewhere leaves a whole state behind: what may panic, redb, is shielded.
    fn opened(&self) -> MutexGuard<'_, Opened> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the tables as they are now. Not to be called from within itself.
    pub(crate) fn read<T>(
        &self,
        work: impl FnOnce(&Snapshot) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        let path = &self.path;
        let mut opened = self.opened();
        // A writer is alone to change what it reads, and needs no lock to read.
        let reading = opened.file.as_ref().filter(|watched| watched.access == Access::Read);
        let Some(file) = reading.map(|watched| watched.file.clone()) else {
            let database = opened.database(path)?;
            drop(opened);
            return shielded(path, || work(&Snapshot::of(&database, path)?));
        };
        let _locked = lock(&file, path, self.wait)?;
        opened.follow(&file, path)?;
        let database = opened.database(path)?;
        shielded(path, || work(&Snapshot::of(&database, path)?))
    }

    /// Runs a transaction with the file to itself.
    fn writing<T>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        let path = &self.path;
        let mut opened = self.opened();
        let database = opened.database(path)?;
        let Some(watched) = &mut opened.file else { return shielded(path, || work(&database)) };
        let file = watched.file.clone();
        let _locked = lock(&file, path, self.wait)?;
        let head = || file.head().map_err(LedgerError::io("read", path));
        if head()? != watched.head {
            return Err(LedgerError::damaged(path, "another process wrote to it meanwhile"));
        }
        let done = shielded(path, || work(&database));
        watched.head = head()?;
        done
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
        beside: Beside<'_>,
        key: &LogKey,
    ) -> Result<Checkpoint, LedgerError> {
        let path = &self.path;
        self.writing(|database| {
            let txn = Self::begin(database, path)?;
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
                // Of no entries the checkpoint stays, with what others have cosigned.
                let checkpoint = match new_entries.is_empty() {
                    true => head.clone(),
                    false => sign(key, size, root)?,
                };
                meta.insert(META_CHECKPOINT, checkpoint.as_str()).map_err(|e| failure(path, e))?;
                let note = sign_state(key, &checkpoint, beside.state)?;
                meta.insert(META_STATE, note.as_str()).map_err(|e| failure(path, e))?;
                if beside.state_changed {
                    let mut table = txn.open_table(STATE).map_err(|e| failure(path, e))?;
                    table.insert(META_STATE, beside.state).map_err(|e| failure(path, e))?;
                }
                if let Some(height) = beside.height {
                    let row = format!("{height} {} {size}", head.size());
                    meta.insert(META_HEIGHT, row.as_str()).map_err(|e| failure(path, e))?;
                }
                checkpoint
            };
            txn.commit().map_err(|e| failure(path, e))?;
            Ok(checkpoint)
        })
    }

    /// Replaces the text of the newest checkpoint, which must be `old` still, by one with the same
    /// body.
    pub(crate) fn replace_checkpoint(
        &self,
        old: &Checkpoint,
        new: &Checkpoint,
    ) -> Result<(), LedgerError> {
        let path = &self.path;
        if old.body() != new.body() {
            return Err(LedgerError::damaged(path, "the new checkpoint says something else"));
        }
        self.writing(|database| {
            let txn = Self::begin(database, path)?;
            {
                let mut meta = txn.open_table(META).map_err(|e| failure(path, e))?;
                let replaced = meta
                    .insert(META_CHECKPOINT, new.as_str())
                    .map_err(|e| failure(path, e))?
                    .is_some_and(|replaced| replaced.value() == old.as_str());
                if !replaced {
                    return Err(LedgerError::damaged(path, "the checkpoint is another one"));
                }
            }
            txn.commit().map_err(|e| failure(path, e))
        })
    }

    fn begin(database: &Database, path: &Path) -> Result<WriteTransaction, LedgerError> {
        let mut txn = database.begin_write().map_err(|e| failure(path, e))?;
        txn.set_durability(Durability::Immediate).map_err(|e| failure(path, e))?;
        // Entries hold text that others chose. With one phase, recovery would rest on redb's
        // unkeyed checksums, which an attacker that chooses the content might collide.
        txn.set_two_phase_commit(true);
        Ok(txn)
    }
}

impl Opened {
    fn of(
        file: LedgerFile,
        access: Access,
        contents: Contents,
        path: &Path,
    ) -> Result<Self, LedgerError> {
        let len = file.len().map_err(|e| failure(path, redb::Error::Io(e)))?;
        let empty = len == 0;
        // redb makes a new database of an empty file; an emptied ledger must stay as it is.
        if empty && contents == Contents::Database {
            return Err(LedgerError::damaged(path, "file is empty"));
        }
        // Without what a reader's database then changes in memory; with what a writer's repairs.
        let before = file.head().map_err(LedgerError::io("read", path))?;
        let database = shielded(path, || open_database(path, file.clone()))?;
        let head = match access {
            Access::Read => before,
            Access::Write => file.head().map_err(LedgerError::io("read", path))?,
        };
        let file = Some(Watched { file, access, head });
        Ok(Self { database: Some(Arc::new(database)), file })
    }

    fn database(&self, path: &Path) -> Result<Arc<Database>, LedgerError> {
        let database = self.database.as_ref().map(Arc::clone);
        database.ok_or_else(|| LedgerError::damaged(path, "database is closed"))
    }

    /// Opens a reader's file anew if it was written since, or if that failed before.
    fn follow(&mut self, file: &LedgerFile, path: &Path) -> Result<(), LedgerError> {
        let now = file.head().map_err(LedgerError::io("read", path))?;
        if self.database.is_some() && self.file.as_ref().is_some_and(|f| f.head == now) {
            return Ok(());
        }
        file.retire();
        close(path, self.database.take());
        let file = file.anew().map_err(LedgerError::io("read", path))?;
        *self = Self::of(file, Access::Read, Contents::Database, path)?;
        Ok(())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let mut opened = self.opened();
        let database = opened.database.take();
        let Some(Watched { file, access, head }) = &opened.file else {
            return close(&self.path, database);
        };
        // Closing writes. A reader has nothing to write, and what a writer remembers must not come
        // over what others wrote; then the file stays as after a crash. Every acknowledged entry
        // is synced already.
        let locked = match access {
            Access::Read => None,
            Access::Write => file.lock(self.wait).ok().flatten(),
        };
        let as_left = locked.is_some() && file.head().is_ok_and(|now| now == *head);
        if !as_left {
            file.retire();
        }
        close(&self.path, database);
    }
}

/// Drops a database; on a damaged or retired file that may fail like any other operation.
fn close(path: &Path, database: Option<Arc<Database>>) {
    let _ = shielded(path, || {
        drop(database);
        Ok(())
    });
}

fn open_database(path: &Path, backend: impl StorageBackend) -> Result<Database, LedgerError> {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE).set_check_integrity_on_open(true);
    builder.create_with_backend(backend).map_err(|e| failure(path, e))
}

fn lock<'a>(file: &'a LedgerFile, path: &Path, wait: Duration) -> Result<Locked<'a>, LedgerError> {
    let locked = file.lock(wait).map_err(LedgerError::io("lock", path))?;
    locked.ok_or_else(|| LedgerError::InUse { path: path.to_owned(), waited: wait })
}

fn sign_state(key: &LogKey, at: &Checkpoint, state: &[u8]) -> Result<String, LedgerError> {
    let signed = kept::sign(key, at.body(), state);
    signed.map_err(|_| LedgerError::Checkpoint {
        whose: "the note of the new state",
        source: CheckpointError::NotSigned { key: key.verifier.to_string() },
    })
}

fn sign(key: &LogKey, size: u64, root: Hash) -> Result<Checkpoint, LedgerError> {
    Checkpoint::sign(key, size, root)
        .map_err(|source| LedgerError::Checkpoint { whose: "the new checkpoint", source })
}
