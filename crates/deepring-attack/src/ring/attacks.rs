//! Attacks on ring files, none of which has the owner's key. Each writes a file and says what it changed.

mod flip;
mod relabel;
mod reseal;
mod splice;

use std::path::{Path, PathBuf};

use deepring::keys::NoRandomness;
use deepring::opening::OpenError;
use deepring::seal::SealError;
use deepring::{AuthenticRing, RingError, Trust, UnverifiedRing};
use deepring_infer::inputs::NpyError;
use deepring_infer::sealing::SealModelError;
use serde::Serialize;
use thiserror::Error;

use super::file::RingFileError;
use super::fork::ForkError;
use crate::network::NetworkError;

pub use flip::{FlipOptions, ring_flip};
pub use relabel::ring_relabel;
pub use reseal::{ResealForm, ring_reseal};
pub use splice::{ring_rollback, ring_splice};

/// The changes of an attack on a ring file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RingTampered {
    /// Its effect, in a sentence.
    pub what: String,
    /// The places; one for the whole file, where all of it is another.
    pub changed: Vec<RingChange>,
}

/// A changed stretch of a ring file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RingChange {
    /// The block; `None` for the file as a whole.
    pub block: Option<u32>,
    /// Its name, where it has one.
    pub name: Option<String>,
    /// Tensor, `graph`, `manifest`; or `header`, `closure`, `file`.
    pub part: String,
    /// First byte in the file and one past the last.
    pub bytes: [u64; 2],
    /// Bits that differ.
    pub bits: u64,
}

/// Why a ring was not attacked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RingAttackError {
    /// The ring that was given is refused itself, or cannot be read.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// It cannot be rearranged, or the result not be written.
    #[error(transparent)]
    File(#[from] RingFileError),
    /// The tampered network cannot be sealed.
    #[error(transparent)]
    SealModel(#[from] SealModelError),
    /// The attacker's ring cannot be written.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A block of the ring cannot be opened with the key that was given.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The tampered network cannot be written.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// No temporary folder.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// No keys.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The ring has no such block, or the block no such tensor.
    #[error("the ring has no {what}")]
    Missing {
        /// Block or tensor.
        what: String,
    },
    /// The attack needs another file.
    #[error("it needs {what}")]
    NeedsFile {
        /// The file that is missing.
        what: &'static str,
    },
    /// The attack is none on files.
    #[error("`{kind}` is no attack on files")]
    NotOnFiles {
        /// The attack.
        kind: &'static str,
    },
    /// A tensor cannot be read.
    #[error(transparent)]
    Npy(#[from] NpyError),
    /// A receipt that says nothing of an output.
    #[error("the receipt is not about {}", output.display())]
    AnotherOutput {
        /// The output.
        output: PathBuf,
    },
    /// The ledger cannot be forked.
    #[error(transparent)]
    Fork(#[from] ForkError),
    /// The two rings do not fit the attack.
    #[error("{reason}")]
    Unfit {
        /// Why.
        reason: &'static str,
    },
}

/// The ring as anybody reads it: under the key that it names itself.
fn read(path: &Path) -> Result<AuthenticRing, RingAttackError> {
    let ring = UnverifiedRing::open(path)?;
    let trust = Trust::owner(ring.claimed_owner());
    Ok(ring.authenticate(&trust)?)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), RingAttackError> {
    let io = |source| RingFileError::Io { path: PathBuf::from(path), source };
    Ok(deepring::files::replace_file(path, bytes).map_err(io)?)
}

/// A change of a part of a block, in the whole of its stretch.
fn change(ring: &AuthenticRing, block: u32, part: &str, bytes: [u64; 2], bits: u64) -> RingChange {
    let name = ring.headers().get(block as usize).map(|h| h.name.clone());
    RingChange { block: Some(block), name, part: part.to_owned(), bytes, bits }
}

/// The file as a whole.
fn whole(len: usize) -> RingChange {
    let (part, bytes) = ("file".to_owned(), [0, len as u64]);
    RingChange { block: None, name: None, part, bytes, bits: 0 }
}

/// Bits in which two stretches differ.
fn distance(a: &[u8], b: &[u8]) -> u64 {
    let shared: u64 = a.iter().zip(b).map(|(x, y)| u64::from((x ^ y).count_ones())).sum();
    shared + 8 * a.len().abs_diff(b.len()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_that_only_one_stretch_has_all_differ() {
        assert_eq!(distance(&[0x0f, 0xff], &[0xf0, 0xff]), 8);
        assert_eq!(distance(&[1], &[0, 0, 0]), 1 + 16);
        assert_eq!(distance(&[0; 3], &[]), 24);
        assert_eq!(distance(&[], &[]), 0);
        let file = whole(10);
        assert_eq!((file.block, file.part.as_str(), file.bytes), (None, "file", [0, 10]));
    }
}
