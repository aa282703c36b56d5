//! `ledger-fork`: one ledger continued in two ways, and how a reader who kept a checkpoint notices.

use std::path::{Path, PathBuf};

use deepring::Finding;
use deepring::Section;
use deepring_ledger::{Entry, Ledger, LedgerError};
use serde::Serialize;
use thiserror::Error;

use super::verdict::Verification;

/// Two ledgers of one key with a common beginning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fork {
    /// Entries that both have.
    pub common: u64,
    /// Where they are.
    pub folders: [PathBuf; 2],
    /// The checkpoint that each shows to whoever asks, signed by the ledger's key.
    pub checkpoints: [String; 2],
    /// Their sizes.
    pub sizes: [u64; 2],
    /// Roots of their trees, in hexadecimal.
    pub roots: [String; 2],
}

/// Why a ledger was not forked or could not be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ForkError {
    /// A file could not be copied.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's message.
        source: std::io::Error,
    },
    /// The ledger could not be read or appended to.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Copies a ledger twice, to the new folders `a` and `b` in the folder `out`, and continues each copy with entries of its own.
///
/// The attacker is the ledger's holder: the folder has its key. The ledger itself stays as it is.
///
/// # Errors
/// [`ForkError::Ledger`] where the ledger cannot be read or its copies not be appended to; [`ForkError::Io`] where a file
/// cannot be copied.
pub fn ledger_fork(
    ledger: &Path,
    out: &Path,
    continuations: [&[Entry]; 2],
) -> Result<Fork, ForkError> {
    let common = Ledger::open_read(ledger, None)?.len();
    let branch = |name: &str, entries: &[Entry]| -> Result<_, ForkError> {
        let folder = out.join(name);
        copy_folder(ledger, &folder)?;
        let mut branch = Ledger::open(&folder)?;
        branch.append(entries)?;
        let head = branch.checkpoint();
        let root = head.root().iter().map(|b| format!("{b:02x}")).collect::<String>();
        Ok((folder, head.as_str().to_owned(), head.size(), root))
    };
    let [first, second] = continuations;
    let (a, b) = (branch("a", first)?, branch("b", second)?);
    Ok(Fork {
        common,
        folders: [a.0, b.0],
        checkpoints: [a.1, b.1],
        sizes: [a.2, b.2],
        roots: [a.3, b.3],
    })
}

/// Verifies a ledger against a checkpoint that a reader kept, as `deepring ledger verify` does.
///
/// # Errors
/// As [`Ledger::open_read`]; a ledger that does not extend the checkpoint is no error here.
pub fn verify_ledger(ledger: &Path, kept: &str) -> Result<Verification, ForkError> {
    let ledger = Ledger::open_read(ledger, None)?;
    match ledger.verify_against(kept) {
        Ok(_) => Ok(Verification::of(Vec::new())),
        Err(
            e @ (LedgerError::RolledBack { .. }
            | LedgerError::Rewritten { .. }
            | LedgerError::Checkpoint { .. }),
        ) => Ok(Verification::of(vec![Finding::tampered(Section::File, e.to_string())])),
        Err(e) => Err(e.into()),
    }
}

/// Copies the plain files of a folder into a new one; a ledger has no others.
#[allow(
    clippy::disallowed_methods,
    reason = "the folder is made here, so nothing is there to be written over"
)]
fn copy_folder(from: &Path, to: &Path) -> Result<(), ForkError> {
    let io = |path: &Path, source| ForkError::Io { path: path.into(), source };
    if let Some(above) = to.parent() {
        std::fs::create_dir_all(above).map_err(|e| io(above, e))?;
    }
    std::fs::create_dir(to).map_err(|e| io(to, e))?;
    for entry in std::fs::read_dir(from).map_err(|e| io(from, e))? {
        let entry = entry.map_err(|e| io(from, e))?;
        let path = entry.path();
        if path.is_file() {
            std::fs::copy(&path, to.join(entry.file_name())).map_err(|e| io(&path, e))?;
        }
    }
    Ok(())
}
