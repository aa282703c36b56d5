//! Key files under a passphrase: made, opened, and written anew under another one or none.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{KeyFileError, Pair, SecretKeyFile, read_text, secret_file_text};
use crate::keys::encrypted::{decrypt, encrypt};
use crate::keys::{Host, Node, Owner, ParseKeyError, Passphrase, Role, SecretKey};
use crate::path::resolved;
use crate::replace::{Replacement, leftovers};
use crate::turn::Turn;

/// As [`write_key_pair`](super::write_key_pair), with the secret file under a passphrase: an
/// armored age file, which other programs for that format open, too.
///
/// # Errors
/// As [`write_key_pair`](super::write_key_pair), and [`KeyFileError::Passphrase`].
pub fn write_encrypted_key_pair<R: Role>(
    dir: &Path,
    key: &SecretKey<R>,
    passphrase: &Passphrase,
) -> Result<(), KeyFileError> {
    let pair = Pair::in_folder::<R>(dir)?;
    let text = encrypt(&secret_file_text(key), passphrase);
    let text = text.map_err(|source| failed(&pair.secret, source))?;
    pair.write(key, &text)
}

impl SecretKeyFile {
    /// The file as it is without its passphrase. Takes about a second and 256 MiB; some seconds and
    /// 1 GiB at most, whatever the file asks for.
    ///
    /// # Errors
    /// [`KeyFileError::NotEncrypted`]; [`KeyFileError::Passphrase`].
    pub fn decrypt(self, passphrase: &Passphrase) -> Result<Self, KeyFileError> {
        if !self.is_encrypted() {
            return Err(KeyFileError::NotEncrypted { path: self.path });
        }
        match decrypt(&self.text, passphrase) {
            Ok(text) => Ok(Self { text, ..self }),
            Err(source) => Err(failed(&self.path, source)),
        }
    }

    /// Refuses a text that is no secret key of any role: it would be gone once it is written over.
    fn is_a_key(&self) -> Result<(), KeyFileError> {
        let wrong_role = |e: &KeyFileError| {
            matches!(e, KeyFileError::Parse { source: ParseKeyError::WrongKind { .. }, .. })
        };
        match self.key::<Owner>() {
            Err(e) if wrong_role(&e) => match self.key::<Host>() {
                Err(e) if wrong_role(&e) => self.key::<Node>().map(drop),
                other => other.map(drop),
            },
            other => other.map(drop),
        }
    }
}

/// A secret key file that is about to get another passphrase, its first one, or none.
///
/// The new file is begun before the old one is read, so what is put in its place meanwhile is not
/// replaced; it takes the old one's place whole and synced, or not at all.
#[derive(Debug)]
pub struct Rewriting {
    file: SecretKeyFile,
    into: Replacement,
    wait: Duration,
}

impl Rewriting {
    /// Begins with the file at a path. Where that is a link, it stays one: what it leads to is
    /// rewritten.
    ///
    /// # Errors
    /// As [`SecretKeyFile::read`], [`KeyFileError::Io`] where no file can be written beside it, and
    /// [`KeyFileError::OtherNames`].
    pub fn begin(path: &Path) -> Result<Self, KeyFileError> {
        let io = |source| KeyFileError::Io { path: path.into(), source };
        let place: PathBuf = resolved(path).map_err(io)?;
        if fs::symlink_metadata(&place).map_err(io)?.nlink() > 1 {
            return Err(KeyFileError::OtherNames { path: path.into() });
        }
        let into = Replacement::with_mode(&place, 0o600).map_err(io)?;
        let file = SecretKeyFile { path: path.into(), ..SecretKeyFile::read(&place)? };
        Ok(Self { file, into, wait: Turn::WAIT })
    }

    /// Sets the time that it waits for another process that puts a new file in the same place; 30
    /// seconds by default.
    #[must_use]
    pub fn wait(self, wait: Duration) -> Self {
        Self { wait, ..self }
    }

    /// Returns whether the key is under a passphrase now.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.file.is_encrypted()
    }

    /// Writes the key under `new`, or as text where that is `None`; `old` is its passphrase so far.
    /// What was encrypted is opened again before it takes the place of the old file.
    ///
    /// The bytes of the old file may stay on the disk until they are written over. A process that was
    /// killed while a new file took the old one's place can have left one of the two beside it, as
    /// `.NAME.partial-` and six characters. Such a file is removed here if it holds the key as text; one
    /// under a passphrase stays, which opens it still.
    ///
    /// # Errors
    /// [`KeyFileError::Parse`] where the file holds no secret key, or is encrypted and `old` is
    /// `None`; [`KeyFileError::NotEncrypted`] where it is not, and `old` is given;
    /// [`KeyFileError::Passphrase`], [`KeyFileError::Loose`] and [`KeyFileError::Io`];
    /// [`KeyFileError::Turn`] where another process changes the same file for too long. The file is
    /// as it was, or replaced whole. [`KeyFileError::LeftBehind`] where it was replaced, and a text
    /// of the key beside it cannot be removed.
    pub fn write(
        self,
        old: Option<&Passphrase>,
        new: Option<&Passphrase>,
    ) -> Result<(), KeyFileError> {
        let Self { file, mut into, wait } = self;
        let plain = match old {
            Some(old) => file.decrypt(old)?,
            None => file,
        };
        plain.is_a_key()?;
        let path = &plain.path;
        let io = |source| KeyFileError::Io { path: path.clone(), source };
        let encrypted = match new {
            None => None,
            Some(new) => {
                let text = encrypt(&plain.text, new).map_err(|source| failed(path, source))?;
                let again = decrypt(&text, new).map_err(|source| failed(path, source))?;
                if *again != *plain.text {
                    return Err(failed(path, crate::keys::EncryptedKeyError::NotEncrypted));
                }
                Some(text)
            }
        };
        let place = into.target().to_owned();
        // From here on one process at a time: while files change places, another's has the name of a
        // leftover. Whoever comes to the new file before all is done waits for it, too.
        let _turns = (Turn::take(&place, wait)?, Turn::of_new(&into));
        let text = encrypted.as_ref().map_or(plain.text.as_bytes(), |text| text.as_bytes());
        into.write_all(text).map_err(io)?;
        into.commit().map_err(io)?;
        // What else lies there is somebody's.
        let is_this_key = |left: &PathBuf| read_text(left).is_ok_and(|(t, _)| *t == *plain.text);
        let mut removed = Ok(());
        for left in leftovers(&place).into_iter().filter(is_this_key) {
            removed =
                removed.and(std::fs::remove_file(&left).map_err(|source| {
                    KeyFileError::LeftBehind { path: path.clone(), left, source }
                }));
        }
        removed
    }
}

fn failed(path: &Path, source: crate::keys::EncryptedKeyError) -> KeyFileError {
    KeyFileError::Passphrase { path: path.into(), source }
}
