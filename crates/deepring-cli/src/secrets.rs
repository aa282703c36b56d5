//! Secret keys as a command is given them: read from their files, and opened where they have a passphrase.

use std::cell::{OnceCell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use deepring::files::{InLine, KeyFileError, SecretKeyFile};
use deepring::keys::{AuthorKey, Node, ParseKeyError, Passphrase, Role};
use deepring::{Host, OpeningKey, Owner, SecretKey};

use crate::cli::PassphraseArg;
use crate::error::CliError;
use crate::passphrase::{from_descriptor, prompted};

/// The secret key files of one command, and the passphrases that were given for them.
pub(crate) struct Secrets {
    descriptor: Option<u32>,
    /// The passphrase that the descriptor gave, once.
    given: OnceCell<Rc<Passphrase>>,
    /// The passphrases that were typed before the command gave up the terminal, by file.
    typed: RefCell<Vec<(PathBuf, Rc<Passphrase>)>>,
}

impl Secrets {
    pub(crate) fn of(arg: &PassphraseArg) -> Self {
        let typed = RefCell::default();
        Self { descriptor: arg.passphrase_fd, given: OnceCell::new(), typed }
    }

    /// Has the passphrases of these files at hand from now on: for a command that is about to give up the terminal and its
    /// descriptors. What is wrong with a file is told when its key is read.
    pub(crate) fn prepare(&self, paths: &[PathBuf]) -> Result<(), CliError> {
        for path in paths {
            if SecretKeyFile::read(path).is_ok_and(|file| file.is_encrypted()) {
                let passphrase = self.passphrase_of(path)?;
                self.typed.borrow_mut().push((path.clone(), passphrase));
            }
        }
        Ok(())
    }

    /// The secret key of this role in a file.
    pub(crate) fn key<R: Role>(&self, path: &Path) -> Result<SecretKey<R>, CliError> {
        Ok(self.open(path)?.key()?)
    }

    /// The secret keys of this role in some files.
    pub(crate) fn keys<'a, R: Role>(
        &self,
        paths: impl IntoIterator<Item = &'a PathBuf>,
    ) -> Result<Vec<SecretKey<R>>, CliError> {
        paths.into_iter().map(|path| self.key(path)).collect()
    }

    /// The secret key that opens blocks, of either role.
    pub(crate) fn opening(&self, path: &Path) -> Result<AnyKey, CliError> {
        let file = self.open(path)?;
        match file.key() {
            Ok(key) => Ok(AnyKey::Host(key)),
            Err(e) if is_of_another_kind(&e) => Ok(AnyKey::Owner(file.key()?)),
            Err(e) => Err(e.into()),
        }
    }

    /// The secret key of whatever role, to sign with.
    pub(crate) fn author(&self, path: &Path) -> Result<AuthorKey, CliError> {
        let file = self.open(path)?;
        match file.key::<Host>() {
            Ok(key) => return Ok(key.into()),
            Err(e) if is_of_another_kind(&e) => {}
            Err(e) => return Err(e.into()),
        }
        match file.key::<Owner>() {
            Ok(key) => Ok(key.into()),
            Err(e) => match file.key::<Node>() {
                Ok(key) => Ok(key.into()),
                Err(KeyFileError::Parse { .. }) => Err(e.into()),
                Err(other) => Err(other.into()),
            },
        }
    }

    /// The file without its passphrase, if it has one.
    fn open(&self, path: &Path) -> Result<SecretKeyFile, CliError> {
        let file = SecretKeyFile::read(path)?;
        match file.is_encrypted() {
            true => Ok(file.decrypt(&*self.passphrase_of(path)?)?),
            false => Ok(file),
        }
    }

    fn passphrase_of(&self, path: &Path) -> Result<Rc<Passphrase>, CliError> {
        if let Some((_, typed)) = self.typed.borrow().iter().find(|(of, _)| of == path) {
            return Ok(Rc::clone(typed));
        }
        let Some(descriptor) = self.descriptor else {
            let prompt = format!("passphrase of {}", InLine(path.display()));
            return Ok(Rc::new(prompted(&prompt, "--passphrase-fd")?));
        };
        if let Some(given) = self.given.get() {
            return Ok(Rc::clone(given));
        }
        let given = Rc::new(from_descriptor(descriptor)?);
        Ok(Rc::clone(self.given.get_or_init(|| given)))
    }
}

fn is_of_another_kind(e: &KeyFileError) -> bool {
    matches!(e, KeyFileError::Parse { source: ParseKeyError::WrongKind { .. }, .. })
}

/// A secret key of either role that opens blocks.
pub(crate) enum AnyKey {
    Owner(SecretKey<Owner>),
    Host(SecretKey<Host>),
}

impl AnyKey {
    pub(crate) fn opening(&self) -> OpeningKey<'_> {
        match self {
            Self::Owner(key) => key.into(),
            Self::Host(key) => key.into(),
        }
    }
}
