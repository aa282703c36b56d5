//! Opening a ledger: what is accepted, what is waited for, what is made.

use std::path::Path;
use std::time::Duration;

use super::Ledger;
use crate::backend::Access;
use crate::directory::Directory;
use crate::error::LedgerError;
use crate::fsck::{self, LedgerReport};
use crate::key::{LogKey, VerifierKey};
use crate::store::{META_KEY, Store};

/// Time that is waited for another process to be done with the ledger, by default.
const DEFAULT_WAIT: Duration = Duration::from_secs(5);

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
    origin: Option<String>,
    wait: Duration,
}

impl Default for LedgerOptions {
    fn default() -> Self {
        Self { pinned: None, origin: None, wait: DEFAULT_WAIT }
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

    /// Gives a new ledger this name instead of a random one, and accepts no other. Ledgers of one
    /// name that hold the same entries have equal checkpoint bodies; nobody but whoever keeps one
    /// log in several places should use a name twice.
    #[must_use]
    pub fn origin(mut self, name: impl Into<String>) -> Self {
        self.origin = Some(name.into());
        self
    }

    /// Sets the time to wait: for another writer to close the ledger, and at each reading and
    /// appending for others to be done with the database.
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
        let secret = directory.create(self.origin.as_deref())?;
        self.open_to_append(directory, secret)
    }

    fn open_to_append(&self, directory: Directory, secret: LogKey) -> Result<Ledger, LedgerError> {
        self.check_pinned(&secret.verifier)?;
        let lock = directory.lock_writer(self.wait)?;
        let saved = directory.read_checkpoint()?;
        let store = Store::open(&directory.database(), Access::Write, self.wait)?;
        let key = secret.verifier.clone();
        let ledger = Ledger::load(store, directory, key, Some((secret, lock)))?;
        let saved = ledger.check_saved(saved)?;
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
        let saved = directory.read_checkpoint()?;
        let (store, key) = self.open_store(&directory)?;
        let ledger = Ledger::load(store, directory, key, None)?;
        ledger.check_saved(saved)?;
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
        if let Some(expected) = self.origin.as_ref().filter(|origin| *origin != found.origin()) {
            let (found, expected) = (found.origin().to_owned(), expected.clone());
            return Err(LedgerError::OtherOrigin { found, expected });
        }
        let Some(pinned) = &self.pinned else { return Ok(()) };
        let pinned = VerifierKey::parse(pinned).map_err(LedgerError::BadPinnedKey)?;
        if pinned == *found {
            return Ok(());
        }
        Err(LedgerError::OtherKey { found: found.to_string(), pinned: pinned.to_string() })
    }
}
