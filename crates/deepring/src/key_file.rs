//! Key files: secrets that only their owner may read, and that are never overwritten.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;
use zeroize::Zeroizing;

use crate::keys::{ParseKeyError, PublicKey, Role, SecretKey};
use crate::plain_file::open_plain;
use crate::replace::Replacement;

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
    /// [`KeyFileError::Io`] and [`KeyFileError::Parse`]; [`KeyFileError::Loose`] where others may
    /// have the key, or may have put it there. (On systems without Unix permissions this is not
    /// checked.)
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        let (text, mode) = read_text(path)?;
        let key = Self::from_secret_text(&text)
            .map_err(|source| KeyFileError::Parse { path: path.into(), source })?;
        // Checked only now, so that a public key is reported as one.
        match mode {
            Some(mode) if mode & 0o077 != 0 => Err(KeyFileError::Loose { path: path.into(), mode }),
            _ => Ok(key),
        }
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
    let secret = dir.join(format!("{}.key", R::NAME));
    let public = dir.join(format!("{}.pub", R::NAME));
    for path in [&secret, &public] {
        if fs::symlink_metadata(path).is_ok() {
            return Err(KeyFileError::Exists { path: path.clone() });
        }
    }
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
    create(&secret, text.as_bytes(), 0o600)?;
    create(&public, format!("{}\n", key.public()).as_bytes(), 0o644)
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
    // As large as it may get, since it may be a secret: see `write_key_pair`.
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
