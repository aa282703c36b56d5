//! The least that could be done with a file instead: reading, hashing and copying it.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{channel, sync_channel};

use super::super::at;
use crate::error::{CliError, Exit};

/// Read at once, small enough to be in a core's cache still when it is hashed; `update_rayon` divides it
/// among all cores.
const PIECE: usize = 2 << 20;

/// Hashes a file on all cores; with `copy`, writes it there in the same pass and syncs. One thread reads ahead,
/// so that reading and hashing overlap.
#[allow(clippy::disallowed_methods, reason = "in a folder of its own, which is gone afterwards")]
pub(super) fn hash(path: &Path, copy: Option<&Path>) -> Result<blake3::Hash, CliError> {
    let mut file = File::open(path).map_err(at(path))?;
    let mut copy = match copy {
        Some(path) => Some((path, File::create(path).map_err(at(path))?)),
        None => None,
    };
    let mut hasher = blake3::Hasher::new();
    std::thread::scope(|scope| {
        let (give, pieces) = sync_channel(1);
        let (give_back, used) = channel::<Vec<u8>>();
        scope.spawn(move || {
            loop {
                let mut piece = used.try_recv().unwrap_or_else(|_| vec![0; PIECE]);
                let read = file.read(&mut piece).map(|n| (n, piece));
                let more = matches!(read, Ok((1.., _)));
                // Whoever hashes has stopped at an error of its own.
                if give.send(read).is_err() || !more {
                    break;
                }
            }
        });
        for piece in pieces {
            let (n, piece) = piece.map_err(at(path))?;
            let read = piece.get(..n).unwrap_or_default();
            hasher.update_rayon(read);
            if let Some((path, copy)) = &mut copy {
                copy.write_all(read).map_err(at(path))?;
            }
            // At the end nobody takes it back.
            drop(give_back.send(piece));
        }
        Ok::<_, CliError>(())
    })?;
    if let Some((path, copy)) = &mut copy {
        copy.sync_all().map_err(at(path))?;
    }
    Ok(hasher.finalize())
}

pub(super) fn remove(path: &Path) -> Result<(), CliError> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(at(path)(e)),
        _ => Ok(()),
    }
}

pub(super) fn b3sum_version() -> Option<String> {
    let output = Command::new("b3sum").arg("--version").stdin(Stdio::null()).output().ok()?;
    let version = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !version.is_empty()).then(|| version.trim().to_owned())
}

/// Has `b3sum` hash a file.
pub(super) fn b3sum(path: &Path) -> Result<(), CliError> {
    let mut command = Command::new("b3sum");
    command.arg(path).stdout(Stdio::null()).stdin(Stdio::null());
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        _ => Err(CliError::new(Exit::Failed, "b3sum failed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_hashes_and_copies_the_whole_file() {
        let folder = tempfile::tempdir().unwrap();
        let (path, copy) = (folder.path().join("a"), folder.path().join("b"));
        let bytes: Vec<u8> = (0..PIECE + 5).map(|i| (i % 251) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(hash(&path, Some(&copy)).unwrap(), blake3::hash(&bytes));
        assert_eq!(std::fs::read(&copy).unwrap(), bytes);
    }
}
