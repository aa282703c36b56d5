//! The turn to rewrite a file: several processes take it one after the other.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::in_line::InLine;
use crate::plain_file::{open_plain, open_plain_with};
use crate::replace::Replacement;

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// Why a file's turn was not taken.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TurnError {
    /// The system refused.
    #[error("{}: {source}", InLine(path.display()))]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Another process held the file for the whole wait.
    #[error("{}: another process is rewriting it (waited {waited:?})", InLine(path.display()))]
    Busy {
        /// The file.
        path: PathBuf,
        /// Time that was waited.
        waited: Duration,
    },
}

/// The right to rewrite a file, until it is dropped.
///
/// A process that reads a file and writes it back with a change takes the file's turn before it
/// reads: else a change that another process makes in between is lost. The lock is on the file
/// itself, so nothing lies beside it, a process that was killed leaves nothing behind, and users
/// who share a folder wait for each other.
#[derive(Debug)]
pub struct Turn(#[allow(dead_code, reason = "holds the lock")] Option<File>);

impl Turn {
    /// Time to wait for other processes by default.
    pub const WAIT: Duration = Duration::from_secs(30);

    /// The turn of a file that does not have its name yet: a process that opens it by that name
    /// waits until this is dropped, so that its maker's remaining work is done first. No turn where
    /// the file system has no locks.
    #[must_use]
    pub fn of_new(file: &Replacement) -> Self {
        // On other systems a lock keeps its own process from reading the file by another handle.
        let own = if cfg!(unix) { file.as_file().try_clone().ok() } else { None };
        Self(own.filter(|file| file.try_lock().is_ok()))
    }

    /// Waits for the turn to rewrite the file at `path`; returns at once where there is no file.
    ///
    /// # Errors
    /// [`TurnError::Busy`] where another process holds it for longer than `wait`; [`TurnError::Io`]
    /// where the file cannot be opened or locked.
    pub fn take(path: &Path, wait: Duration) -> Result<Self, TurnError> {
        let io = |source| TurnError::Io { path: path.into(), source };
        let started = Instant::now();
        loop {
            // A pipe would block here; the code that reads it reports it.
            if !path.metadata().is_ok_and(|m| m.is_file()) {
                return Ok(Self(None));
            }
            let file = open(path).map_err(io)?;
            match wait_for(&file, wait.saturating_sub(started.elapsed())) {
                // A file system without locks is taken to be one process's own.
                Err(e) if e.kind() == io::ErrorKind::Unsupported => return Ok(Self(None)),
                Err(e) => return Err(io(e)),
                Ok(false) => return Err(TurnError::Busy { path: path.into(), waited: wait }),
                // The previous holder may have put another file there: that one must be locked.
                Ok(true) if !is_at(&file, path) => {}
                Ok(true) => return Ok(Self(Some(file))),
            }
        }
    }
}

/// Waits for the exclusive lock on a file; `false` if another holds it for longer than `wait`.
pub(crate) fn wait_for(file: &File, wait: Duration) -> io::Result<bool> {
    let started = Instant::now();
    let mut pause = Duration::from_millis(5);
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::Error(e)) => return Err(e),
            Err(TryLockError::WouldBlock) => {}
        }
        let left = wait.saturating_sub(started.elapsed());
        if left.is_zero() {
            return Ok(false);
        }
        thread::sleep(pause.min(left));
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Opens a file with as much access as is allowed: over a network, only a process that may write
/// can lock.
fn open(path: &Path) -> io::Result<File> {
    match open_plain_with(path, OpenOptions::new().read(true).write(true)) {
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
            ) =>
        {
            open_plain(path)
        }
        opened => opened,
    }
}

/// Returns whether this file still lies there.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let (Ok(held), Ok(there)) = (file.metadata(), path.metadata()) else { return false };
    (held.dev(), held.ino()) == (there.dev(), there.ino())
}

#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_TIME: Duration = Duration::ZERO;

    #[test]
    fn one_waits_for_the_other_and_not_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "1").unwrap();
        let held = Turn::take(&path, NO_TIME).unwrap();
        assert!(matches!(Turn::take(&path, NO_TIME), Err(TurnError::Busy { .. })));
        drop(held);
        Turn::take(&path, NO_TIME).unwrap();
    }

    #[test]
    fn the_turn_is_of_the_file_that_lies_there_when_it_comes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "0").unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let _turn = Turn::take(&path, Turn::WAIT).unwrap();
                        let n: u32 = std::fs::read_to_string(&path).unwrap().parse().unwrap();
                        crate::files::replace_file(&path, (n + 1).to_string().as_bytes()).unwrap();
                    }
                });
            }
        });
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "160");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn where_no_file_is_nothing_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        Turn::take(&folder.path().join("none"), NO_TIME).unwrap();
        Turn::take(folder.path(), NO_TIME).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
