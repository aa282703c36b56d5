//! Proof that a log only grew: the `add-checkpoint` body of `c2sp.org/tlog-witness`.

use std::fmt;

use tlog_tiles::tlog::{Hash, check_tree};

use crate::checkpoint::Checkpoint;
use crate::key::VerifierKey;
use crate::proof::{ProofError, hashes, number, split};

/// A claim that a log begins with an earlier state of itself (RFC 6962, section 2.1.2).
///
/// Its text form is the one sent to a C2SP witness: `old N`, the hashes, a blank line, the
/// checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct ExtensionProof {
    old_size: u64,
    path: Vec<Hash>,
    checkpoint: String,
}

/// Two checkpoints of which the later was verified to extend the earlier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedExtension {
    old: Checkpoint,
    new: Checkpoint,
}

impl ExtensionProof {
    pub(crate) fn new(old_size: u64, path: Vec<Hash>, checkpoint: &Checkpoint) -> Self {
        Self { old_size, path, checkpoint: checkpoint.as_str().to_owned() }
    }

    /// Reads the text form; accepts exactly what the `Display` form writes. Verifies nothing.
    ///
    /// # Errors
    /// [`ProofError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, ProofError> {
        let (head, checkpoint) = split(text)?;
        let mut lines = head.split('\n');
        let old_size = number(lines.next(), "old ", "line `old N`")?;
        let path = hashes(lines)?;
        Ok(Self { old_size, path, checkpoint: checkpoint.to_owned() })
    }

    /// Verifies that the proof's checkpoint, signed by `key`, extends `old`.
    ///
    /// # Errors
    /// [`ProofError::Checkpoint`], [`ProofError::OtherSize`] or [`ProofError::NotAnExtension`].
    pub fn verify(
        &self,
        old: &Checkpoint,
        key: &VerifierKey,
    ) -> Result<VerifiedExtension, ProofError> {
        let new = Checkpoint::verify(&self.checkpoint, key)?;
        if self.old_size != old.size() {
            return Err(ProofError::OtherSize { found: self.old_size, expected: old.size() });
        }
        let refused = ProofError::NotAnExtension { old: old.size(), new: new.size() };
        if old.origin() != new.origin() {
            return Err(refused);
        }
        // Every log extends the empty one, and RFC 6962 has no proof for it.
        let extends = if old.size() == 0 {
            self.path.is_empty()
        } else {
            check_tree(&self.path, new.size(), new.root_hash(), old.size(), old.root_hash()).is_ok()
        };
        if extends { Ok(VerifiedExtension { old: old.clone(), new }) } else { Err(refused) }
    }
}

impl fmt::Display for ExtensionProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old_size)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

impl VerifiedExtension {
    /// The earlier state.
    #[must_use]
    pub fn earlier(&self) -> &Checkpoint {
        &self.old
    }

    /// The later state.
    #[must_use]
    pub fn later(&self) -> &Checkpoint {
        &self.new
    }
}
