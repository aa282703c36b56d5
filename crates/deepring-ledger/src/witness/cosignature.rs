//! Cosignatures on a checkpoint (`c2sp.org/tlog-cosignature`): verified before anything is kept.

use signed_note::Signature;
use thiserror::Error;

use super::key::WitnessKey;
use crate::checkpoint::{Checkpoint, CheckpointBody, MAX_CHECKPOINT_TEXT};

/// Most signature lines on a note that are read; signed notes of other readers allow as many.
const MAX_LINES: usize = 100;

/// Why signature lines are not the cosignatures that they claim to be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CosignatureError {
    /// A line is not a signature line of a note.
    #[error("line {line} is not a signature line")]
    NotALine {
        /// Number of the line, from 1.
        line: usize,
    },
    /// No line is by one of the keys that were given.
    #[error("no cosignature by a key that was given")]
    Unknown,
    /// A line names a given key, and its signature is not of this checkpoint.
    #[error("cosignature of `{witness}` is wrong")]
    Wrong {
        /// Name of the witness.
        witness: String,
    },
    /// The time is zero, by which a cosigner says nothing about what it saw last, or beyond 2^63 - 1.
    #[error("cosignature of `{witness}` has the time {timestamp}")]
    Time {
        /// Name of the witness.
        witness: String,
        /// The time, in seconds since the Unix epoch.
        timestamp: u64,
    },
    /// More signatures than readers of notes take.
    #[error("too many signatures for one checkpoint")]
    TooMany,
}

/// A witness's statement that, at a time, a checkpoint was the largest that it had seen of the log;
/// only verification makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosignature {
    witness: WitnessKey,
    timestamp: u64,
}

/// A checkpoint to which verified cosignatures were added; only verification makes one.
///
/// ```compile_fail,E0451
/// use deepring_ledger::witness::CosignedCheckpoint;
///
/// fn made(of: CosignedCheckpoint) -> CosignedCheckpoint {
///     CosignedCheckpoint { ..of } // error: the fields are private
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CosignedCheckpoint {
    checkpoint: Checkpoint,
    added: Vec<Cosignature>,
}

impl Cosignature {
    /// Key that it was verified under.
    #[must_use]
    pub fn witness(&self) -> &WitnessKey {
        &self.witness
    }

    /// When the witness says that it cosigned, in seconds since the Unix epoch, by its clock.
    #[must_use]
    pub fn timestamp(&self) -> u64 {
        self.timestamp
    }
}

impl CosignedCheckpoint {
    /// The checkpoint, with the signatures that it had before and the new ones.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The cosignatures that were added.
    #[must_use]
    pub fn added(&self) -> &[Cosignature] {
        &self.added
    }
}

impl Checkpoint {
    /// The cosignatures by these keys on it, in the order of its lines. Lines of other keys are
    /// ignored, as signed notes require; of several lines of one key each must verify.
    ///
    /// # Errors
    /// [`CosignatureError::Wrong`] and [`CosignatureError::Time`]: who has a wrong signature by a key
    /// that the reader knows was shown a checkpoint that somebody tampered with.
    pub fn cosignatures(&self, keys: &[WitnessKey]) -> Result<Vec<Cosignature>, CosignatureError> {
        let (_, signatures) = self.parts();
        let mut cosignatures = Vec::new();
        for (number, line) in signatures.lines().enumerate() {
            let signature = signature(number, line)?;
            if let Some(cosignature) = self.cosignature(&signature, keys)? {
                cosignatures.push(cosignature);
            }
        }
        Ok(cosignatures)
    }

    /// Adds the cosignatures that a witness replied with (`c2sp.org/tlog-witness`, the body of a 200
    /// to `add-checkpoint`). Lines by other keys than these are dropped; an older line of the same
    /// key is replaced.
    ///
    /// # Errors
    /// [`CosignatureError`]; nothing of a reply with a wrong line is taken.
    pub fn cosigned(
        &self,
        reply: &str,
        keys: &[WitnessKey],
    ) -> Result<CosignedCheckpoint, CosignatureError> {
        if reply.len() > MAX_CHECKPOINT_TEXT {
            return Err(CosignatureError::TooMany);
        }
        if !reply.ends_with('\n') {
            return Err(CosignatureError::NotALine { line: reply.lines().count() });
        }
        let (mut lines, mut added) = (Vec::new(), Vec::<Cosignature>::new());
        for (number, line) in reply.split_terminator('\n').enumerate() {
            if number == MAX_LINES {
                return Err(CosignatureError::TooMany);
            }
            let signature = signature(number, line)?;
            if let Some(cosignature) = self.cosignature(&signature, keys)?
                && added.iter().all(|known| known.witness != cosignature.witness)
            {
                added.push(cosignature);
                lines.push(signature);
            }
        }
        if added.is_empty() {
            return Err(CosignatureError::Unknown);
        }
        let (text, old) = self.parts();
        let mut whole = format!("{text}\n");
        let mut count = lines.len();
        for (number, line) in old.lines().enumerate() {
            let old = signature(number, line)?;
            if lines.iter().all(|new| (new.name(), new.id()) != (old.name(), old.id())) {
                whole.push_str(&format!("{line}\n"));
                count += 1;
            }
        }
        for line in &lines {
            whole.push_str(&String::from_utf8_lossy(&line.to_bytes()));
        }
        if whole.len() > MAX_CHECKPOINT_TEXT || count > MAX_LINES {
            return Err(CosignatureError::TooMany);
        }
        Ok(CosignedCheckpoint { checkpoint: self.with_text(whole), added })
    }

    /// The cosignature that a line is, if it names one of these keys.
    fn cosignature(
        &self,
        line: &Signature,
        keys: &[WitnessKey],
    ) -> Result<Option<Cosignature>, CosignatureError> {
        cosignature(self.body(), self.parts().0, line, keys)
    }

    /// The note's text, with the line feed that ends it, and its signature lines.
    fn parts(&self) -> (&str, &str) {
        let text = self.as_str();
        // It was read as a note, so that the blank line is there: the last one.
        let at = text.rfind("\n\n").map_or(text.len(), |at| at + 1);
        (&text[..at], text[at..].strip_prefix('\n').unwrap_or_default())
    }
}

/// The cosignature that a line is of a checkpoint with this text, if it names one of these keys.
pub(super) fn cosignature(
    body: &CheckpointBody,
    note_text: &str,
    line: &Signature,
    keys: &[WitnessKey],
) -> Result<Option<Cosignature>, CosignatureError> {
    let names = |key: &&WitnessKey| (key.name(), key.id()) == (line.name(), line.id());
    let mut wrong = None;
    // Two keys may have one name and one id of 32 bits; the line is of the one that verifies it.
    for key in keys.iter().filter(names) {
        let witness = || key.name().to_owned();
        let parts = line.signature().split_first_chunk::<8>();
        let parts = parts.filter(|(_, signature)| signature.len() == key.signature_len());
        let Some((timestamp, signature)) = parts else {
            wrong = Some(CosignatureError::Wrong { witness: witness() });
            continue;
        };
        let timestamp = u64::from_be_bytes(*timestamp);
        if timestamp == 0 || i64::try_from(timestamp).is_err() {
            wrong = Some(CosignatureError::Time { witness: witness(), timestamp });
        } else if key.verifies(body, note_text, timestamp, signature) {
            return Ok(Some(Cosignature { witness: key.clone(), timestamp }));
        } else {
            wrong = Some(CosignatureError::Wrong { witness: witness() });
        }
    }
    wrong.map_or(Ok(None), Err)
}

pub(super) fn signature(number: usize, line: &str) -> Result<Signature, CosignatureError> {
    Signature::from_bytes(line.as_bytes())
        .map_err(|_| CosignatureError::NotALine { line: number + 1 })
}
