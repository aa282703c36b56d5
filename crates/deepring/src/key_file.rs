//! Key files: secrets that only their owner may read, and that are never overwritten.

#[cfg(feature = "passphrase")]
mod encrypted;

use std::fmt;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;
use zeroize::Zeroizing;

use crate::keys::text::{ARMOR, key_line};
use crate::keys::{ParseKeyError, PublicKey, Role, SecretKey};
use crate::plain_file::open_plain;
use crate::replace::Replacement;

#[cfg(feature = "passphrase")]
pub use encrypted::{Rewriting, write_encrypted_key_pair};

/// A key file is a few hundred bytes; nothing longer is read.
const MAX_KEY_FILE: u64 = 16 * 1024;

/// Why a key file could not be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// The file system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file exists; keys are never overwritten.
    #[error("{}: exists already, and keys are never overwritten", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Users other than its own can read or write the secret key file.
    #[error("{}: mode {mode:04o} lets others than you read or change this secret key", path.display())]
    Loose {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file holds no key of the kind asked for.
    #[error("{}: {source}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// The parsing error.
        source: ParseKeyError,
    },
    /// The encrypted file was not opened, or not made.
    #[cfg(feature = "passphrase")]
    #[error("{}: {source}", path.display())]
    Passphrase {
        /// The file.
        path: PathBuf,
        /// The fault of the file, or of the passphrase.
        source: crate::keys::EncryptedKeyError,
    },
    /// Another process was changing the file's passphrase for the whole wait.
    #[cfg(feature = "passphrase")]
    #[error(transparent)]
    Turn(#[from] crate::turn::TurnError),
    /// The file has other names (hard links), which would keep the key as it is.
    #[cfg(feature = "passphrase")]
    #[error("{}: this file has other names besides, which would keep the key as it is: remove them", path.display())]
    OtherNames {
        /// The file.
        path: PathBuf,
    },
    /// The file was replaced, and beside it lies its key as text, which a killed process left and which
    /// cannot be removed.
    #[cfg(feature = "passphrase")]
    #[error(
        "{} was rewritten, but {} holds its key without a passphrase and cannot be removed: {source}",
        path.display(), left.display()
    )]
    LeftBehind {
        /// The file.
        path: PathBuf,
        /// The file beside it.
        left: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file is not encrypted, and a passphrase was given to open it with.
    #[error("{}: this secret key has no passphrase", path.display())]
    NotEncrypted {
        /// The file.
        path: PathBuf,
    },
}

impl<R: Role> PublicKey<R> {
    /// Reads a public key file.
    ///
    /// # Errors
    /// [`KeyFileError::Io`] and [`KeyFileError::Parse`].
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        let (text, _) = read_text(path)?;
        text.parse().map_err(|source| KeyFileError::Parse { path: path.into(), source })
    }
}

impl<R: Role> SecretKey<R> {
    /// Reads a secret key file that no user but its own can read or write.
    ///
    /// # Errors
    /// [`KeyFileError::Io`] and [`KeyFileError::Parse`], the latter also for a file under a
    /// passphrase, which [`SecretKeyFile`] opens; [`KeyFileError::Loose`] where others may have the
    /// key, or may have put it there. (On systems without Unix permissions this is not checked.)
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        SecretKeyFile::read(path)?.key()
    }
}

/// A secret key file as it was read: its key as text, or under a passphrase.
pub struct SecretKeyFile {
    path: PathBuf,
    text: Zeroizing<String>,
    mode: Option<u32>,
}

impl SecretKeyFile {
    /// Reads a secret key file of whatever role.
    ///
    /// # Errors
    /// [`KeyFileError::Io`]; [`KeyFileError::Parse`] where it is no text; [`KeyFileError::Loose`]
    /// where it is encrypted, and others may have put it there: before anybody is asked for the
    /// passphrase.
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        let (text, mode) = read_text(path)?;
        let file = Self { path: path.into(), text, mode };
        if file.is_encrypted() {
            file.refuse_loose()?;
        }
        Ok(file)
    }

    /// Returns whether the key is under a passphrase.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        key_line(&self.text) == Some(ARMOR)
    }

    /// The key.
    ///
    /// # Errors
    /// [`KeyFileError::Parse`] where it holds no key of this role, or is encrypted;
    /// [`KeyFileError::Loose`] as [`SecretKey::read`] has it.
    pub fn key<R: Role>(&self) -> Result<SecretKey<R>, KeyFileError> {
        let key = SecretKey::from_secret_text(&self.text)
            .map_err(|source| KeyFileError::Parse { path: self.path.clone(), source })?;
        // Checked only now, so that a public key is reported as one.
        self.refuse_loose()?;
        Ok(key)
    }

    /// Its text, encrypted or not.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Refuses a file that others than its user can read or write.
    pub(crate) fn refuse_loose(&self) -> Result<(), KeyFileError> {
        match self.mode {
            Some(mode) if mode & 0o077 != 0 => {
                Err(KeyFileError::Loose { path: self.path.clone(), mode })
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for SecretKeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretKeyFile").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Writes `ROLE.key` (mode 0600) and `ROLE.pub` into `dir`; refuses if either exists.
///
/// The secret file is created with its final mode, so it is at no moment readable by others.
///
/// # Errors
/// [`KeyFileError::Exists`], or [`KeyFileError::Io`] where the system refuses. The secret file may
/// be there then.
pub fn write_key_pair<R: Role>(dir: &Path, key: &SecretKey<R>) -> Result<(), KeyFileError> {
    let pair = Pair::in_folder::<R>(dir)?;
    pair.write(key, &secret_file_text(key))
}

/// The files of a key pair that is to be written.
struct Pair {
    secret: PathBuf,
    public: PathBuf,
}

impl Pair {
    /// Refuses where one of them exists.
    fn in_folder<R: Role>(dir: &Path) -> Result<Self, KeyFileError> {
        let secret = dir.join(format!("{}.key", R::NAME));
        let public = dir.join(format!("{}.pub", R::NAME));
        for path in [&secret, &public] {
            if fs::symlink_metadata(path).is_ok() {
                return Err(KeyFileError::Exists { path: path.clone() });
            }
        }
        Ok(Self { secret, public })
    }

    fn write<R: Role>(&self, key: &SecretKey<R>, secret: &str) -> Result<(), KeyFileError> {
        create(&self.secret, secret.as_bytes(), 0o600)?;
        create(&self.public, format!("{}\n", key.public()).as_bytes(), 0o644)
    }
}

/// The text of a secret key file.
fn secret_file_text<R: Role>(key: &SecretKey<R>) -> Zeroizing<String> {
    let name = R::NAME;
    let comment = format!(
        "# DeepRing {name} secret key. Whoever reads it can act as this {name}.\n# public key: {}\n",
        key.public(),
    );
    let secret_text = key.to_secret_text();
    // As large as it gets: a string that grows leaves its earlier copies behind, unwiped.
    let mut text = Zeroizing::new(String::with_capacity(comment.len() + secret_text.len() + 1));
    for part in [&comment, secret_text.as_str(), "\n"] {
        text.push_str(part);
    }
    text
}

/// Creates a file whole, if none is there.
fn create(path: &Path, bytes: &[u8], mode: u32) -> Result<(), KeyFileError> {
    let written = Replacement::with_mode(path, mode).and_then(|mut file| {
        file.write_all(bytes)?;
        file.commit_new()
    });
    written.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => KeyFileError::Exists { path: path.into() },
        _ => KeyFileError::Io { path: path.into(), source },
    })
}

/// A key file's text, and its permissions where the system has them: those of the very file that
/// was read.
fn read_text(path: &Path) -> Result<(Zeroizing<String>, Option<u32>), KeyFileError> {
    let io = |source| KeyFileError::Io { path: path.into(), source };
    // As large as it may get, since it may be a secret: see `secret_file_text`.
    let mut text = Zeroizing::new(String::with_capacity(MAX_KEY_FILE as usize + 1));
    let file = open_plain(path).map_err(io)?;
    let mode = mode_of(&file).map_err(io)?;
    match file.take(MAX_KEY_FILE).read_to_string(&mut text) {
        Ok(_) => Ok((text, mode)),
        Err(e) if e.kind() == io::ErrorKind::InvalidData => {
            Err(KeyFileError::Parse { path: path.into(), source: ParseKeyError::NotText })
        }
        Err(e) => Err(io(e)),
    }
}

#[cfg(unix)]
fn mode_of(file: &fs::File) -> io::Result<Option<u32>> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(Some(file.metadata()?.permissions().mode() & 0o7777))
}

#[cfg(not(unix))]
fn mode_of(_: &fs::File) -> io::Result<Option<u32>> {
    Ok(None)
}
