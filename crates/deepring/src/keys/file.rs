//! Key files: secrets that only their owner may read, and that are never overwritten.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;
use zeroize::Zeroizing;

use super::{ParseKeyError, PublicKey, Role, SecretKey};

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
        /// What the system said.
        source: io::Error,
    },
    /// The file exists; keys are never overwritten.
    #[error("{}: exists already, and keys are never overwritten", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file holds no key of the kind asked for.
    #[error("{}: {source}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong with its text.
        source: ParseKeyError,
    },
}

impl<R: Role> PublicKey<R> {
    /// Reads a public key file.
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        let text = read_text(path)?;
        text.parse().map_err(|source| KeyFileError::Parse { path: path.into(), source })
    }
}

impl<R: Role> SecretKey<R> {
    /// Reads a secret key file.
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        let text = read_text(path)?;
        Self::from_secret_text(&text)
            .map_err(|source| KeyFileError::Parse { path: path.into(), source })
    }
}

/// Writes `ROLE.key` (mode 0600) and `ROLE.pub` into `dir`; refuses if either exists.
///
/// The secret file is created with its final mode, so it is at no moment readable by others.
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
    // As long as it will be: a text that grows leaves its shorter forms behind, unwiped.
    let mut text = Zeroizing::new(String::with_capacity(comment.len() + secret_text.len() + 1));
    for part in [&comment, secret_text.as_str(), "\n"] {
        text.push_str(part);
    }
    create(&secret, text.as_bytes(), true)?;
    create(&public, format!("{}\n", key.public()).as_bytes(), false)
}

fn create(path: &Path, bytes: &[u8], secret: bool) -> Result<(), KeyFileError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(if secret { 0o600 } else { 0o644 });
    }
    #[cfg(not(unix))]
    let _ = secret;
    let mut file = options.open(path).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => KeyFileError::Exists { path: path.into() },
        _ => KeyFileError::Io { path: path.into(), source },
    })?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    written.map_err(|source| {
        // A half-written key is worse than none, and nobody can hold it yet.
        let _ = fs::remove_file(path);
        KeyFileError::Io { path: path.into(), source }
    })
}

fn read_text(path: &Path) -> Result<Zeroizing<String>, KeyFileError> {
    let io = |source| KeyFileError::Io { path: path.into(), source };
    // As long as it may be, since it may be a secret: see `write_key_pair`.
    let mut text = Zeroizing::new(String::with_capacity(MAX_KEY_FILE as usize + 1));
    let file = fs::File::open(path).map_err(io)?;
    match file.take(MAX_KEY_FILE).read_to_string(&mut text) {
        Ok(_) => Ok(text),
        Err(e) if e.kind() == io::ErrorKind::InvalidData => {
            Err(KeyFileError::Parse { path: path.into(), source: ParseKeyError::Damaged })
        }
        Err(e) => Err(io(e)),
    }
}
