//! The files of a ledger: their names, and how each is created without ever being partly there.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use deepring::files::{Replacement, ledger_files, open_plain, open_plain_with};
use zeroize::Zeroizing;

use crate::checkpoint::MAX_CHECKPOINT_TEXT;
use crate::error::LedgerError;
use crate::key::{KeyError, LogKey, VerifierKey};
use crate::store::Store;

/// Mode of the secret key and the database: files that only the ledger's user opens. The database
/// is no secret, but opening it is enough to lock it, and so to keep its user waiting.
const PRIVATE: u32 = 0o600;
/// Mode of the others, less the process's umask.
const PUBLIC: u32 = 0o644;
/// Time between two tries to become the writer.
const RETRY: Duration = Duration::from_millis(10);
/// Longest key text that is read, in bytes.
const MAX_KEY_TEXT: u64 = 4096;

/// Paths inside a ledger's directory.
#[derive(Debug, Clone)]
pub(crate) struct Directory {
    dir: PathBuf,
}

impl Directory {
    pub(crate) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.dir.join(ledger_files::DATABASE)
    }

    pub(crate) fn checkpoint(&self) -> PathBuf {
        self.dir.join(ledger_files::CHECKPOINT)
    }

    pub(crate) fn public_key(&self) -> PathBuf {
        self.dir.join(ledger_files::PUBLIC_KEY)
    }

    fn writer_lock(&self) -> PathBuf {
        self.dir.join(ledger_files::WRITER_LOCK)
    }

    fn secret_key(&self) -> PathBuf {
        self.dir.join(ledger_files::SECRET_KEY)
    }

    /// Creates the files of a ledger that are not there yet; returns its signing key.
    ///
    /// Every file appears whole, under its name, or not at all, and none is ever replaced here. So
    /// a process that is killed leaves a state from which the next one goes on, and of two
    /// processes that create at once one finds the other's files.
    ///
    /// The order (key, public key, database, checkpoint) lets a missing file tell damage from a
    /// beginning: a later file cannot be there without the earlier ones.
    ///
    /// A new key is for a log of the name `origin`, or of a random one; a key that is there is
    /// taken as it is.
    pub(crate) fn create(&self, origin: Option<&str>) -> Result<LogKey, LedgerError> {
        fs::create_dir_all(&self.dir).map_err(LedgerError::io("create", &self.dir))?;
        // Checked from the last made to the first, so that a process creating at the same time
        // cannot make an earlier one seem missing.
        let had_checkpoint = self.has(&self.checkpoint())?;
        let had_database = self.has(&self.database())?;
        let secret = self.secret_key();
        if !self.has(&secret)? {
            if had_database {
                return Err(LedgerError::KeyMissing { path: secret });
            }
            let text = LogKey::generate(origin).map_err(|source| match source {
                KeyError::BadName => LedgerError::BadOrigin(source),
                source => LedgerError::BadKey { path: secret.clone(), source },
            })?;
            self.place(&secret, PRIVATE, |file| file.write_all(text.as_bytes()))?;
        }
        let key = self.key_pair()?;
        if !had_database && !self.has(&self.database())? {
            if had_checkpoint {
                return Err(LedgerError::DatabaseMissing { path: self.database() });
            }
            self.create_database(&key)?;
        }
        Ok(key)
    }

    /// Waits at most `wait` to become the one process that writes; it is for as long as it holds what
    /// is returned. The file is empty, and is made where there is none.
    pub(crate) fn lock_writer(&self, wait: Duration) -> Result<File, LedgerError> {
        let path = self.writer_lock();
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            options.mode(PRIVATE);
        }
        let file = open_plain_with(&path, &mut options).map_err(LedgerError::io("open", &path))?;
        let started = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(e)) => return Err(LedgerError::io("lock", &path)(e)),
                Err(TryLockError::WouldBlock) if started.elapsed() < wait => {
                    thread::sleep(RETRY.min(wait));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(LedgerError::InUse { path, waited: started.elapsed() });
                }
            }
        }
    }

    /// The signing key of an existing ledger.
    pub(crate) fn signing_key(&self) -> Result<LogKey, LedgerError> {
        self.check_database()?;
        self.key_pair()
    }

    /// Checks that there is a database; if not, whether there was one.
    pub(crate) fn check_database(&self) -> Result<(), LedgerError> {
        let path = self.database();
        if self.has(&path)? {
            return Ok(());
        }
        let remains = self.has(&self.checkpoint())? || self.has(&self.public_key())?;
        Err(match remains {
            true => LedgerError::DatabaseMissing { path },
            false => LedgerError::NotALedger { dir: self.dir.clone() },
        })
    }

    /// The signing key; its public half is written to a file where that is missing.
    fn key_pair(&self) -> Result<LogKey, LedgerError> {
        let key = read_secret(&self.secret_key())?;
        let public = self.public_key();
        if !self.has(&public)? {
            let text = format!("{}\n", key.verifier);
            self.place(&public, PUBLIC, |file| file.write_all(text.as_bytes()))?;
        }
        let found = self.read_public_key()?;
        if found.as_ref().is_some_and(|found| *found != key.verifier) {
            return Err(LedgerError::KeyMismatch {
                path: public,
                found: found.map(|key| key.to_string()).unwrap_or_default(),
                expected: key.verifier.to_string(),
            });
        }
        Ok(key)
    }

    /// The key in `log.pub`, if that file is there.
    pub(crate) fn read_public_key(&self) -> Result<Option<VerifierKey>, LedgerError> {
        let path = self.public_key();
        let Some(text) = read_text(&path, MAX_KEY_TEXT)? else { return Ok(None) };
        let key = VerifierKey::parse(&text);
        key.map(Some).map_err(|source| LedgerError::BadKey { path, source })
    }

    /// The text in `checkpoint`, if that file is there. Not verified.
    pub(crate) fn read_checkpoint(&self) -> Result<Option<String>, LedgerError> {
        let text = read_text(&self.checkpoint(), MAX_CHECKPOINT_TEXT as u64 + 1)?;
        Ok(text.map(|text| text.as_str().to_owned()))
    }

    /// Replaces the checkpoint file.
    ///
    /// The new one is synced before it takes the name; the rename itself is not: after a power cut
    /// the older file may be back, and an older checkpoint is as true as a newer one.
    pub(crate) fn write_checkpoint(&self, text: &str) -> io::Result<()> {
        let mut file = Replacement::with_mode(&self.checkpoint(), PUBLIC)?;
        file.write_all(text.as_bytes())?;
        file.commit_unsynced()
    }

    pub(crate) fn has(&self, path: &Path) -> Result<bool, LedgerError> {
        path.try_exists().map_err(LedgerError::io("look for", path))
    }

    fn create_database(&self, key: &LogKey) -> Result<(), LedgerError> {
        let path = self.database();
        let file = Replacement::with_mode(&path, PRIVATE)
            .map_err(LedgerError::io("create a file in", &self.dir))?;
        Store::create(&file.path(), key)?;
        self.commit_synced(file, &path)
    }

    /// Writes an unnamed file, syncs it, and gives it its name unless that is taken.
    fn place(
        &self,
        path: &Path,
        mode: u32,
        write: impl FnOnce(&mut Replacement) -> io::Result<()>,
    ) -> Result<(), LedgerError> {
        let mut file = Replacement::with_mode(path, mode)
            .map_err(LedgerError::io("create a file in", &self.dir))?;
        write(&mut file).map_err(LedgerError::io("write", path))?;
        self.commit_synced(file, path)
    }

    fn commit_synced(&self, file: Replacement, path: &Path) -> Result<(), LedgerError> {
        match file.commit_new() {
            Ok(()) => {}
            // Another process was first; its file is as good.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(LedgerError::io("create", path)(e)),
        }
        // An entry acknowledged later must not vanish with the name of its file.
        self.sync_names().map_err(LedgerError::io("sync", &self.dir))
    }

    #[cfg(unix)]
    #[allow(clippy::disallowed_methods, reason = "folders, which are not read")]
    fn sync_names(&self) -> io::Result<()> {
        File::open(&self.dir)?.sync_all()?;
        match self.dir.canonicalize()?.parent() {
            // A parent that may not be read (a container's mount point) cannot be synced by this
            // process.
            Some(parent) => match File::open(parent) {
                Ok(parent) => parent.sync_all(),
                Err(_) => Ok(()),
            },
            None => Ok(()),
        }
    }

    #[cfg(not(unix))]
    fn sync_names(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads the signing key from a file that no user but its own can read or write.
fn read_secret(path: &Path) -> Result<LogKey, LedgerError> {
    let opened =
        open_text(path)?.ok_or_else(|| LedgerError::KeyMissing { path: path.to_owned() })?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let metadata = opened.metadata().map_err(LedgerError::io("read", path))?;
        let mode = metadata.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(LedgerError::LooseKey { path: path.to_owned(), mode });
        }
    }
    let text = read_opened(opened, path, MAX_KEY_TEXT)?;
    LogKey::parse(&text).map_err(|source| LedgerError::BadKey { path: path.to_owned(), source })
}

/// Reads at most `limit` bytes of a text file; `None` if there is none. Bytes that are not UTF-8
/// become replacement characters, which no key and no checkpoint contains.
fn read_text(path: &Path, limit: u64) -> Result<Option<Zeroizing<String>>, LedgerError> {
    open_text(path)?.map(|file| read_opened(file, path, limit)).transpose()
}

fn open_text(path: &Path) -> Result<Option<File>, LedgerError> {
    match open_plain(path) {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(LedgerError::io("open", path)(e)),
    }
}

fn read_opened(file: File, path: &Path, limit: u64) -> Result<Zeroizing<String>, LedgerError> {
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(limit).read_to_end(&mut bytes).map_err(LedgerError::io("read", path))?;
    Ok(Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned()))
}
