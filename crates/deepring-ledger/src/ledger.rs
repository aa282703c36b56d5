//! An open ledger: opening it, and appending to it.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use tlog_tiles::tlog::{check_record, prove_record, prove_tree, record_hash};

use crate::backend::Access;
use crate::checkpoint::Checkpoint;
use crate::directory::Directory;
use crate::entry::{Entry, UnverifiedEntry};
use crate::error::LedgerError;
use crate::extension::{ExtensionProof, VerifiedExtension};
use crate::fsck::{self, LedgerReport};
use crate::history::{self, Depth};
use crate::key::{LogKey, VerifierKey};
use crate::proof::Proof;
use crate::state::State;
use crate::store::{FORMAT, META_CHECKPOINT, META_FORMAT, META_KEY, Snapshot, Store};
use crate::tree::with_hashes;

/// Time that an opening waits for another process to close the ledger, by default.
const DEFAULT_WAIT: Duration = Duration::from_secs(5);

/// An append-only record of entries in a directory.
///
/// An open ledger was checked as far as is quick: the database's own checksums, the signature on
/// its checkpoint, the checkpoint's root against the stored tree, and the `checkpoint` file against
/// both. Every entry that is read is verified to be under that root before it is returned.
/// [`Ledger::verify`] checks everything else: each entry, each hash and each row of the index.
#[derive(Debug)]
pub struct Ledger {
    store: Store,
    directory: Directory,
    key: VerifierKey,
    /// Only a ledger opened for writing has one.
    secret: Option<LogKey>,
    /// The checkpoint that the key last signed; commits to every entry there is.
    head: Checkpoint,
    /// Made for the first question, and kept up to date from then on.
    state: OnceLock<State>,
}

/// Options for opening a ledger.
///
/// ```no_run
/// # fn main() -> Result<(), deepring_ledger::LedgerError> {
/// use std::time::Duration;
/// let ledger = deepring_ledger::LedgerOptions::new()
///     .pinned_key("deepring.local/ledger/0a1b2c3d+...")
///     .wait(Duration::from_secs(30))
///     .open_read("ledger")?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct LedgerOptions {
    pinned: Option<String>,
    wait: Duration,
}

impl Default for LedgerOptions {
    fn default() -> Self {
        Self { pinned: None, wait: DEFAULT_WAIT }
    }
}

impl LedgerOptions {
    /// No pinned key; waits five seconds for a ledger in use.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Accepts only the ledger of this verifier key. Without it, the key found beside the database
    /// is used, and an attacker that can replace all files can replace the ledger by one of its
    /// own.
    #[must_use]
    pub fn pinned_key(mut self, key: impl Into<String>) -> Self {
        self.pinned = Some(key.into());
        self
    }

    /// Sets the time to wait for another process to close the ledger.
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Opens an existing ledger for appending. Creates none: an attacker that can remove a ledger
    /// could otherwise have its records, revocations too, forgotten without a word.
    ///
    /// # Errors
    /// Any [`LedgerError`]; [`LedgerError::NotALedger`] where there is none. In particular, a
    /// ledger that was rolled back or whose stored tree is not the signed one is refused: its key
    /// signs nothing on top of that.
    pub fn open(&self, dir: impl AsRef<Path>) -> Result<Ledger, LedgerError> {
        let directory = Directory::new(dir.as_ref());
        let secret = directory.signing_key()?;
        self.open_to_append(directory, secret)
    }

    /// Opens a ledger for appending, and creates directory, key and database where there are none.
    /// With a pinned key it creates none: a ledger made now could not have that key.
    ///
    /// # Errors
    /// As [`LedgerOptions::open`].
    pub fn open_or_create(&self, dir: impl AsRef<Path>) -> Result<Ledger, LedgerError> {
        if self.pinned.is_some() {
            return self.open(dir);
        }
        let directory = Directory::new(dir.as_ref());
        let secret = directory.create()?;
        self.open_to_append(directory, secret)
    }

    fn open_to_append(&self, directory: Directory, secret: LogKey) -> Result<Ledger, LedgerError> {
        self.check_pinned(&secret.verifier)?;
        let store = Store::open(&directory.database(), Access::Write, self.wait)?;
        let key = secret.verifier.clone();
        let ledger = Ledger::load(store, directory, key, Some(secret))?;
        let saved = ledger.check_saved()?;
        if saved.is_none() && !ledger.is_empty() {
            return Err(LedgerError::CheckpointMissing { path: ledger.directory.checkpoint() });
        }
        // A process that was killed between commit and rename left an older file, or none.
        if saved.as_ref() != Some(&ledger.head) {
            let path = ledger.directory.checkpoint();
            let written = ledger.directory.write_checkpoint(ledger.head.as_str());
            written.map_err(LedgerError::io("replace", &path))?;
        }
        Ok(ledger)
    }

    /// Opens a ledger for reading; creates and changes nothing.
    ///
    /// # Errors
    /// Any [`LedgerError`]; [`LedgerError::NotALedger`] where there is none.
    pub fn open_read(&self, dir: impl AsRef<Path>) -> Result<Ledger, LedgerError> {
        let directory = Directory::new(dir.as_ref());
        let (store, key) = self.open_store(&directory)?;
        let ledger = Ledger::load(store, directory, key, None)?;
        ledger.check_saved()?;
        Ok(ledger)
    }

    /// Recomputes everything, even of a ledger that is too damaged to open.
    ///
    /// # Errors
    /// Only errors that keep the ledger from being examined (no ledger there, in use, I/O, another
    /// key than the pinned one); defects of its contents are findings of the report.
    pub fn verify(&self, dir: impl AsRef<Path>) -> Result<LedgerReport, LedgerError> {
        let directory = Directory::new(dir.as_ref());
        let found = match self.open_store(&directory) {
            Ok((store, key)) => fsck::check_ledger(&store, &directory, &key),
            Err(e) => Err(e),
        };
        found.or_else(LedgerReport::of_error)
    }

    fn open_store(&self, directory: &Directory) -> Result<(Store, VerifierKey), LedgerError> {
        directory.check_database()?;
        let path = directory.database();
        let store = Store::open(&path, Access::Read, self.wait)?;
        let named = store.read(|snapshot| snapshot.meta(META_KEY))?;
        let named = named.ok_or_else(|| LedgerError::damaged(&path, "names no key"))?;
        let named = VerifierKey::parse(&named)
            .map_err(|source| LedgerError::BadKey { path: path.clone(), source })?;
        self.check_pinned(&named)?;
        // A pinned key decides alone; otherwise the file beside the database must agree with it.
        if self.pinned.is_none()
            && let Some(beside) = directory.read_public_key()?
            && beside != named
        {
            return Err(LedgerError::KeyMismatch {
                path: directory.public_key(),
                found: beside.to_string(),
                expected: named.to_string(),
            });
        }
        Ok((store, named))
    }

    fn check_pinned(&self, found: &VerifierKey) -> Result<(), LedgerError> {
        let Some(pinned) = &self.pinned else { return Ok(()) };
        let pinned = VerifierKey::parse(pinned).map_err(LedgerError::BadPinnedKey)?;
        if pinned == *found {
            return Ok(());
        }
        Err(LedgerError::OtherKey { found: found.to_string(), pinned: pinned.to_string() })
    }
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
        let secret = self.secret.as_ref().ok_or(LedgerError::ReadOnly)?;
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let changed = self.state()?.after(entries)?;
        let first = self.head.size();
        self.head = self.store.append(&self.head, entries, secret)?;
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

    /// What all entries come to. The first call after opening reads every entry and verifies that
    /// they have the signed root; later ones answer from memory.
    ///
    /// # Errors
    /// [`LedgerError::Damaged`] where the database is not the one that was signed;
    /// [`LedgerError::EntryUnreadable`] for an entry of a kind that this program does not know.
    pub fn state(&self) -> Result<&State, LedgerError> {
        if let Some(state) = self.state.get() {
            return Ok(state);
        }
        let state = history::replay(&self.store, &self.head, Depth::State, |_, _| ())?;
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
        self.store.read(|snapshot| {
            let (bytes, path) = self.prove_in(snapshot, index)?;
            signed(&bytes, index)?;
            Ok(Proof::new(index, bytes, path, &self.head))
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
        secret: Option<LogKey>,
    ) -> Result<Self, LedgerError> {
        let path = directory.database();
        let head = store.read(|snapshot| {
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
            Ok(head)
        })?;
        Ok(Self { store, directory, key, secret, head, state: OnceLock::new() })
    }

    /// Checks that the database extends the `checkpoint` file, and returns the file's checkpoint.
    ///
    /// The database and the file are changed one after the other, so an honest file is never ahead.
    fn check_saved(&self) -> Result<Option<Checkpoint>, LedgerError> {
        let Some(text) = self.directory.read_checkpoint()? else { return Ok(None) };
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
        let (bytes, _) = self.prove_in(snapshot, index)?;
        signed(&bytes, index)
    }

    /// An entry's bytes and the path that proves them to be under the head. An attacker that
    /// changed the database cannot make such a path for other bytes.
    fn prove_in(
        &self,
        snapshot: &Snapshot,
        index: u64,
    ) -> Result<(Vec<u8>, Vec<tlog_tiles::tlog::Hash>), LedgerError> {
        let size = self.len();
        if index >= size {
            return Err(LedgerError::NoSuchEntry { index, size });
        }
        let damaged = || LedgerError::EntryDamaged { index };
        let bytes = snapshot.entry(index)?.ok_or_else(damaged)?;
        let path = with_hashes(&snapshot.path, &snapshot.hashes, |hashes| {
            prove_record(size, index, hashes)
        })?;
        check_record(&path, size, self.head.root_hash(), index, record_hash(&bytes))
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
