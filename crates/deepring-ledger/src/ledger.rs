//! An open ledger: opening it, and appending to it.

mod options;

use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::OnceLock;

use tlog_tiles::tlog::{check_record, prove_record, prove_tree, record_hash};

use crate::checkpoint::Checkpoint;
use crate::directory::Directory;
use crate::entry::{Entry, UnverifiedEntry};
use crate::error::LedgerError;
use crate::extension::{ExtensionProof, VerifiedExtension};
use crate::fsck::{self, LedgerReport};
use crate::history::{self, Depth};
use crate::kept;
use crate::key::{LogKey, VerifierKey};
use crate::proof::Proof;
use crate::state::State;
use crate::store::{Beside, FORMAT, META_CHECKPOINT, META_FORMAT, META_KEY, Snapshot, Store};
use crate::tree::with_hashes;
use crate::witness::CosignedCheckpoint;

pub use options::LedgerOptions;

/// An append-only record of entries in a directory.
///
/// One process has it open for writing, any number for reading, at the same time. A ledger that was
/// opened for reading stays at the size that it had then; open it again to see more.
///
/// An open ledger was checked as far as is quick: the database's own checksums, the signature on
/// its checkpoint, the checkpoint's root against the stored tree, and the `checkpoint` file against
/// both. Every entry that is read is verified to be under that root before it is returned.
/// [`Ledger::verify`] checks everything else: each entry, each hash and each row of the index.
#[derive(Debug)]
pub struct Ledger {
    pub(crate) store: Store,
    pub(crate) directory: Directory,
    key: VerifierKey,
    /// Only a ledger opened for writing has one.
    secret: Option<LogKey>,
    /// Held by a ledger that was opened for writing; released last.
    _writer: Option<File>,
    /// The checkpoint that the key last signed; commits to every entry there is.
    pub(crate) head: Checkpoint,
    /// The stored state with its note, as the database had them when it was opened.
    kept: Option<(String, Vec<u8>)>,
    /// Made for the first question, and kept up to date from then on.
    state: OnceLock<State>,
    /// Bytes of the state that is stored, where this ledger wrote it or found it whole.
    stored: Option<Vec<u8>>,
}

impl Ledger {
    /// Opens an existing ledger for appending; see [`LedgerOptions::open`].
    ///
    /// # Errors
    /// As [`LedgerOptions::open`].
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, LedgerError> {
        LedgerOptions::new().open(dir)
    }

    /// Opens a ledger for appending, and creates one where there is none; see
    /// [`LedgerOptions::open_or_create`].
    ///
    /// # Errors
    /// As [`LedgerOptions::open`].
    pub fn open_or_create(dir: impl AsRef<Path>) -> Result<Self, LedgerError> {
        LedgerOptions::new().open_or_create(dir)
    }

    /// Opens a ledger for reading, under `pinned_key` if one is given; see
    /// [`LedgerOptions::open_read`].
    ///
    /// # Errors
    /// As [`LedgerOptions::open_read`].
    pub fn open_read(dir: impl AsRef<Path>, pinned_key: Option<&str>) -> Result<Self, LedgerError> {
        let options = LedgerOptions::new();
        match pinned_key {
            Some(key) => options.pinned_key(key).open_read(dir),
            None => options.open_read(dir),
        }
    }

    /// Appends entries in this order, all or none, and returns their indices. Each must have
    /// authority where those before it leave off (`docs/LEDGER.md`, "Authority").
    ///
    /// When this returns `Ok`, the entries and the checkpoint that commits to them are on stable
    /// storage: neither the death of the process nor that of the machine loses them. A batch costs
    /// hardly more than a single entry.
    ///
    /// # Errors
    /// [`LedgerError::ReadOnly`], [`LedgerError::NoAuthority`], [`LedgerError::Io`] and
    /// [`LedgerError::Damaged`]: nothing was acknowledged. (After an I/O error while syncing, the
    /// entries may or may not be there; open the ledger again to see. It takes no more entries
    /// until then.) [`LedgerError::CheckpointFile`]: the entries *are* recorded.
    pub fn append(&mut self, entries: &[Entry]) -> Result<Vec<u64>, LedgerError> {
        if self.secret.is_some() && entries.is_empty() {
            return Ok(Vec::new());
        }
        self.write(entries, None)
    }

    /// Appends the entries that a height of an agreement brings, after `expected_size` others, as
    /// [`Ledger::append`] does; of no entries, the height alone is recorded. The height is stored in
    /// the same transaction, so that whoever is not sure whether this came to its end may do it
    /// again: the same height with the same entries gives the same indices and writes nothing.
    ///
    /// # Errors
    /// [`LedgerError::HeightTaken`] for other entries or another size at a height that is recorded;
    /// [`LedgerError::HeightPassed`] for one below it; [`LedgerError::UnexpectedSize`]; else as
    /// [`Ledger::append`].
    pub fn append_at(
        &mut self,
        height: u64,
        expected_size: u64,
        entries: &[Entry],
    ) -> Result<Vec<u64>, LedgerError> {
        if self.secret.is_none() {
            return Err(LedgerError::ReadOnly);
        }
        let known = self.store.read(Snapshot::height)?;
        if let Some(known) = known.filter(|known| height <= known.height) {
            if height < known.height {
                return Err(LedgerError::HeightPassed { height, known: known.height });
            }
            let stored = self.store.read(|snapshot| snapshot.entries(known.entries.clone()))?;
            let same = known.entries.start == expected_size
                && stored.len() as u64 == known.entries.end - known.entries.start
                && stored.iter().map(Vec::as_slice).eq(entries.iter().map(Entry::as_bytes));
            return match same {
                true => Ok(known.entries.collect()),
                false => Err(LedgerError::HeightTaken { height }),
            };
        }
        let size = self.len();
        if expected_size != size {
            return Err(LedgerError::UnexpectedSize { expected: expected_size, size });
        }
        self.write(entries, Some(height))
    }

    /// The newest height that [`Ledger::append_at`] recorded.
    ///
    /// # Errors
    /// [`LedgerError::Damaged`].
    pub fn height(&self) -> Result<Option<u64>, LedgerError> {
        Ok(self.store.read(Snapshot::height)?.map(|known| known.height))
    }

    fn write(&mut self, entries: &[Entry], height: Option<u64>) -> Result<Vec<u64>, LedgerError> {
        let secret = self.secret.as_ref().ok_or(LedgerError::ReadOnly)?;
        let state = self.state()?;
        let changed = state.after(entries)?;
        let bytes = match (&changed, &self.stored) {
            (None, Some(stored)) => None.ok_or(stored),
            (changed, _) => Ok(kept::bytes(changed.as_ref().unwrap_or(state))),
        };
        let beside = Beside {
            height,
            state: bytes.as_ref().map_or_else(|stored| stored.as_slice(), Vec::as_slice),
            state_changed: bytes.is_ok(),
        };
        let first = self.head.size();
        self.head = self.store.append(&self.head, entries, beside, secret)?;
        if let Ok(bytes) = bytes {
            self.stored = Some(bytes);
        }
        let recorded = first..self.head.size();
        match changed {
            Some(state) => self.state = OnceLock::from(state),
            None => {
                if let Some(state) = self.state.get_mut() {
                    state.skip(entries.len() as u64);
                }
            }
        }
        self.directory.write_checkpoint(self.head.as_str()).map_err(|source| {
            LedgerError::CheckpointFile {
                first,
                count: recorded.end - first,
                path: self.directory.checkpoint(),
                source,
            }
        })?;
        Ok(recorded.collect())
    }

    /// Keeps cosignatures with the newest checkpoint, in the database and its file: proofs and
    /// certificates that are made until the next append carry them.
    ///
    /// # Errors
    /// [`LedgerError::ReadOnly`]; [`LedgerError::NotTheNewest`] where the ledger has grown since;
    /// [`LedgerError::CheckpointFile`] where they are in the database, and only there.
    pub fn keep_cosignatures(&mut self, cosigned: &CosignedCheckpoint) -> Result<(), LedgerError> {
        if self.secret.is_none() {
            return Err(LedgerError::ReadOnly);
        }
        let new = cosigned.checkpoint();
        let (size, cosigned) = (self.len(), new.size());
        // Bodies of one log and size that differ are two histories, of which the key signed both.
        if new.body() != self.head.body() {
            return Err(match cosigned == size && new.origin() == self.head.origin() {
                true => LedgerError::Rewritten { known: size },
                false => LedgerError::NotTheNewest { cosigned, size },
            });
        }
        self.store.replace_checkpoint(&self.head, new)?;
        self.head = new.clone();
        let written = self.directory.write_checkpoint(self.head.as_str());
        written.map_err(|source| LedgerError::CheckpointFile {
            first: size,
            count: 0,
            path: self.directory.checkpoint(),
            source,
        })
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.head.size()
    }

    /// Returns whether nothing was recorded yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The newest checkpoint; commits to every entry. Keep copies elsewhere: each one pins the
    /// past.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.head
    }

    /// The key that checkpoints are signed with; give it to the verifiers of proofs.
    #[must_use]
    pub fn key(&self) -> &VerifierKey {
        &self.key
    }

    /// The state that all entries come to. The first call after opening takes what the log's key signed that
    /// they do; where no such note fits the checkpoint, it reads every entry and verifies that they
    /// have the signed root. Later ones answer from memory.
    ///
    /// # Errors
    /// [`LedgerError::Damaged`] where the database is not the one that was signed;
    /// [`LedgerError::EntryUnreadable`] for an entry of a kind that this program does not know.
    pub fn state(&self) -> Result<&State, LedgerError> {
        if let Some(state) = self.state.get() {
            return Ok(state);
        }
        let kept = self.kept.as_ref();
        let kept = kept.and_then(|(note, b)| kept::read(&self.key, note, self.head.body(), b));
        let state = match kept {
            Some(state) => state,
            None => history::replay(&self.store, &self.head, Depth::State, |_, _| ())?,
        };
        Ok(self.state.get_or_init(|| state))
    }

    /// The entry at an index, verified to be under the newest checkpoint and signed by its author.
    ///
    /// # Errors
    /// [`LedgerError::NoSuchEntry`]; [`LedgerError::EntryUnreadable`]; [`LedgerError::EntryDamaged`], [`LedgerError::Damaged`] where
    /// the database is not the one that was signed.
    pub fn entry(&self, index: u64) -> Result<Entry, LedgerError> {
        self.store.read(|snapshot| self.entry_in(snapshot, index))
    }

    /// The entries of a range of indices, cut at the end of the ledger, each as by
    /// [`Ledger::entry`].
    ///
    /// # Errors
    /// Each item, as [`Ledger::entry`].
    pub fn iter(
        &self,
        range: Range<u64>,
    ) -> impl Iterator<Item = Result<(u64, Entry), LedgerError>> + '_ {
        let range = range.start..range.end.min(self.len());
        range.map(|index| Ok((index, self.entry(index)?)))
    }

    /// Proves to anybody who has the key that the entry at this index is in the ledger.
    ///
    /// # Errors
    /// As [`Ledger::entry`].
    pub fn prove(&self, index: u64) -> Result<Proof, LedgerError> {
        self.prove_under(index, &self.head)
    }

    /// As [`prove`](Self::prove), under a checkpoint of this ledger that may be older than the newest: others may have cosigned that one.
    ///
    /// # Errors
    /// As [`prove`](Self::prove); [`LedgerError::Checkpoint`], [`LedgerError::RolledBack`] and [`LedgerError::Rewritten`] where the
    /// checkpoint is not this ledger's, or is of more or other entries.
    pub fn prove_under(&self, index: u64, checkpoint: &Checkpoint) -> Result<Proof, LedgerError> {
        if *checkpoint != self.head {
            self.verify_against(checkpoint.as_str())?;
        }
        self.store.read(|snapshot| {
            let (bytes, path) = self.prove_in(snapshot, index, checkpoint)?;
            signed(&bytes, index)?;
            Ok(Proof::new(index, bytes, path, checkpoint))
        })
    }

    /// Proves that the ledger begins with its entries at an earlier size.
    ///
    /// # Errors
    /// [`LedgerError::NoSuchSize`]; [`LedgerError::Damaged`] where hashes are missing.
    pub fn prove_extension(&self, old_size: u64) -> Result<ExtensionProof, LedgerError> {
        let size = self.len();
        if old_size > size {
            return Err(LedgerError::NoSuchSize { asked: old_size, size });
        }
        if old_size == 0 {
            return Ok(ExtensionProof::new(0, Vec::new(), &self.head));
        }
        self.store.read(|snapshot| {
            let path = with_hashes(&snapshot.path, &snapshot.hashes, |hashes| {
                prove_tree(size, old_size, hashes)
            })?;
            Ok(ExtensionProof::new(old_size, path, &self.head))
        })
    }

    /// Checks that this ledger extends a checkpoint of it that was kept elsewhere.
    ///
    /// # Errors
    /// [`LedgerError::Checkpoint`] if the text is no checkpoint of this ledger;
    /// [`LedgerError::RolledBack`] and [`LedgerError::Rewritten`] if entries that it commits to are
    /// gone or are others.
    pub fn verify_against(&self, old_checkpoint: &str) -> Result<VerifiedExtension, LedgerError> {
        let old = Checkpoint::verify(old_checkpoint, &self.key).map_err(|source| {
            LedgerError::Checkpoint { whose: "the earlier checkpoint", source }
        })?;
        let known = old.size();
        if known > self.len() {
            return Err(LedgerError::RolledBack { size: self.len(), known });
        }
        let proof = self.prove_extension(known)?;
        proof.verify(&old, &self.key).map_err(|_| LedgerError::Rewritten { known })
    }

    /// Recomputes everything: every entry, every hash, the index, the checkpoint and its file.
    ///
    /// # Errors
    /// Only errors that keep the ledger from being read; its defects are findings.
    pub fn verify(&self) -> Result<LedgerReport, LedgerError> {
        fsck::check_ledger(&self.store, &self.directory, &self.key).or_else(LedgerReport::of_error)
    }

    fn load(
        store: Store,
        directory: Directory,
        key: VerifierKey,
        writer: Option<(LogKey, File)>,
    ) -> Result<Self, LedgerError> {
        let path = directory.database();
        let (head, kept) = store.read(|snapshot| {
            let format = snapshot.meta(META_FORMAT)?.unwrap_or_default();
            if format != FORMAT {
                return Err(LedgerError::UnknownFormat { found: format });
            }
            let named = snapshot.meta(META_KEY)?.unwrap_or_default();
            if named != key.as_str() {
                return Err(LedgerError::KeyMismatch {
                    path: path.clone(),
                    found: named,
                    expected: key.to_string(),
                });
            }
            let text = snapshot.meta(META_CHECKPOINT)?.unwrap_or_default();
            let head = Checkpoint::verify(&text, &key).map_err(|source| {
                LedgerError::Checkpoint { whose: "the database's checkpoint", source }
            })?;
            if snapshot.root(head.size())? != head.root_hash() {
                return Err(LedgerError::damaged(&path, "stored tree is not the signed one"));
            }
            Ok((head, snapshot.state()?))
        })?;
        let (secret, lock) = writer.unzip();
        // Only what is signed need not be written again.
        let signed = |(note, b): &&(String, Vec<u8>)| kept::is_signed(&key, note, head.body(), b);
        let stored = kept.as_ref().filter(signed).map(|(_, bytes)| bytes.clone());
        let state = OnceLock::new();
        Ok(Self { store, directory, key, secret, _writer: lock, head, kept, state, stored })
    }

    /// Checks that the database extends the `checkpoint` file, given its text, and returns the file's
    /// checkpoint.
    ///
    /// The database and the file are changed one after the other, so an honest file that was read
    /// before the database is never ahead.
    fn check_saved(&self, text: Option<String>) -> Result<Option<Checkpoint>, LedgerError> {
        let Some(text) = text else { return Ok(None) };
        let saved = Checkpoint::verify(&text, &self.key)
            .map_err(|source| LedgerError::Checkpoint { whose: "the checkpoint file", source })?;
        let known = saved.size();
        if known > self.len() {
            return Err(LedgerError::RolledBack { size: self.len(), known });
        }
        let root = self.store.read(|snapshot| snapshot.root(known))?;
        if root != saved.root_hash() {
            return Err(LedgerError::Rewritten { known });
        }
        Ok(Some(saved))
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn entry_in(&self, snapshot: &Snapshot, index: u64) -> Result<Entry, LedgerError> {
        let (bytes, _) = self.prove_in(snapshot, index, &self.head)?;
        signed(&bytes, index)
    }

    /// An entry's bytes and the path that proves them to be under a checkpoint of this ledger. An attacker that
    /// changed the database cannot make such a path for other bytes.
    fn prove_in(
        &self,
        snapshot: &Snapshot,
        index: u64,
        under: &Checkpoint,
    ) -> Result<(Vec<u8>, Vec<tlog_tiles::tlog::Hash>), LedgerError> {
        let size = under.size();
        if index >= size {
            return Err(LedgerError::NoSuchEntry { index, size });
        }
        let damaged = || LedgerError::EntryDamaged { index };
        let bytes = snapshot.entry(index)?.ok_or_else(damaged)?;
        let path = with_hashes(&snapshot.path, &snapshot.hashes, |hashes| {
            prove_record(size, index, hashes)
        })?;
        check_record(&path, size, under.root_hash(), index, record_hash(&bytes))
            .map_err(|_| damaged())?;
        Ok((bytes, path))
    }
}

fn signed(bytes: &[u8], index: u64) -> Result<Entry, LedgerError> {
    let entry = UnverifiedEntry::decode(bytes).and_then(UnverifiedEntry::verify);
    entry.map_err(|source| LedgerError::EntryUnreadable { index, source })
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}
