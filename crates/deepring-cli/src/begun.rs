//! The file that a command writes: begun, and its turn taken, before anything is asked about what lies there.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use deepring::files::{Replacement, ResolvedPath, Turn};

use crate::error::{CliError, Exit};
use crate::output;
use crate::rings;

/// An output that is not there yet. Its path was walked once, nothing is bound there, and it is none of the files that the
/// command reads. Of two commands that write there one waits for the other, and another file that is put there meanwhile stays.
pub(crate) struct Begun {
    target: ResolvedPath,
    file: Replacement,
    turn: Turn,
}

impl Begun {
    /// Begins the file for a path. `read` is what the command reads, `store` the `--trust` option.
    pub(crate) fn at<'a>(
        path: &Path,
        read: impl IntoIterator<Item = &'a Path>,
        store: Option<&Path>,
    ) -> Result<Self, CliError> {
        Self::made(path, read, store, Replacement::of)
    }

    /// The same, of a file that is its user's alone if none is there.
    pub(crate) fn private_at<'a>(
        path: &Path,
        read: impl IntoIterator<Item = &'a Path>,
        store: Option<&Path>,
    ) -> Result<Self, CliError> {
        Self::made(path, read, store, Replacement::private_unless_there)
    }

    fn made<'a>(
        path: &Path,
        read: impl IntoIterator<Item = &'a Path>,
        store: Option<&Path>,
        begin: impl FnOnce(&Path) -> std::io::Result<Replacement>,
    ) -> Result<Self, CliError> {
        let target = output::resolved_path(path)?;
        output::keep_at(&target, read)?;
        let kept = rings::store_files(store);
        output::keep_at(&target, kept.iter().map(PathBuf::as_path))?;
        let turn = rings::turn(&target)?;
        let file = begin(target.entry()).map_err(|e| failed(path, &e))?;
        rings::spare_bound(&target, store)?;
        Ok(Self { target, file, turn })
    }

    /// Writes the whole of it.
    pub(crate) fn write(mut self, bytes: &[u8]) -> Result<(), CliError> {
        let written = self.file.write_all(bytes).and_then(|()| self.file.commit());
        written.map_err(|e| failed(self.target.given(), &e))
    }

    /// Writes the whole of it, as that of another file.
    #[cfg(feature = "attacks")]
    pub(crate) fn copy(mut self, from: &Path) -> Result<(), CliError> {
        let copied = deepring::files::open_plain(from)
            .and_then(|mut from| std::io::copy(&mut from, &mut self.file))
            .and_then(|_| self.file.commit());
        copied.map_err(|e| failed(self.target.given(), &e))
    }

    /// The file, for who writes it himself while he holds the turn.
    pub(crate) fn into_file(self) -> (Replacement, Turn) {
        (self.file, self.turn)
    }
}

fn failed(path: &Path, e: &std::io::Error) -> CliError {
    CliError::new(Exit::Failed, format!("{}: {e}", path.display()))
}
