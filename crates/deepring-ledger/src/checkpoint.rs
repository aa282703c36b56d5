//! A signed statement of a log's size and root: `c2sp.org/tlog-checkpoint` in a signed note.

use std::fmt;

use signed_note::{Note, NoteError};
use thiserror::Error;
use tlog_tiles::tlog::{EMPTY_HASH, Hash};

use crate::key::{LogKey, VerifierKey};

/// Longest checkpoint text that is read, in bytes; room for a hundred witnesses.
pub(crate) const MAX_CHECKPOINT_TEXT: usize = 1 << 16;
/// Longest text of a body that is read, in bytes: the longest name of a log fits.
const MAX_BODY_TEXT: usize = 1024;
/// Largest tree, in entries; far above any real one and below where index arithmetic could wrap.
pub(crate) const MAX_TREE_SIZE: u64 = 1 << 60;

/// Why a text is not a checkpoint of the expected log.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The text is not a signed note.
    #[error("not a signed note")]
    NotANote,
    /// The note's text is not a checkpoint.
    #[error("not a checkpoint")]
    NotACheckpoint,
    /// No signature of the expected key is on the note.
    #[error("not signed by `{key}`")]
    NotSigned {
        /// The expected key.
        key: String,
    },
    /// The expected key's signature is on the note and is wrong.
    #[error("signature of `{key}` is wrong")]
    WrongSignature {
        /// The expected key.
        key: String,
    },
    /// The checkpoint is of another log.
    #[error("checkpoint of `{found}`, not of `{expected}`")]
    OtherOrigin {
        /// Origin in the checkpoint.
        found: String,
        /// Origin of the expected key.
        expected: String,
    },
    /// The size is larger than any log, or the root of an empty log is not the empty root.
    #[error("impossible tree of size {size}")]
    ImpossibleTree {
        /// Size in the checkpoint, in entries.
        size: u64,
    },
}

/// The statement of a checkpoint, without who signed it: ledgers of one name that hold the same entries
/// have equal bodies, whichever keys they are signed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointBody {
    origin: String,
    size: u64,
    root: [u8; 32],
}

/// A checkpoint whose signature was verified; no other value of this type exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    text: String,
    body: CheckpointBody,
}

impl CheckpointBody {
    /// Reads what [`Display`](fmt::Display) writes, and nothing else: no extension lines. Who reads one
    /// knows nothing of it before a signature over it is verified.
    ///
    /// # Errors
    /// [`CheckpointError::NotACheckpoint`]; [`CheckpointError::ImpossibleTree`].
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        if text.len() > MAX_BODY_TEXT {
            return Err(CheckpointError::NotACheckpoint);
        }
        let tree = tlog_tiles::Checkpoint::from_bytes(text.as_bytes())
            .map_err(|_| CheckpointError::NotACheckpoint)?;
        let body = Self::of(&tree)?;
        match body.to_string() == text {
            true => Ok(body),
            false => Err(CheckpointError::NotACheckpoint),
        }
    }

    /// Reads a note's text, which must be a checkpoint of the log of this name; extension lines are left aside.
    fn read(text: &[u8], origin: &str) -> Result<Self, CheckpointError> {
        let tree = tlog_tiles::Checkpoint::from_bytes(text)
            .map_err(|_| CheckpointError::NotACheckpoint)?;
        if tree.origin() != origin {
            return Err(CheckpointError::OtherOrigin {
                found: tree.origin().to_owned(),
                expected: origin.to_owned(),
            });
        }
        Self::of(&tree)
    }

    fn of(tree: &tlog_tiles::Checkpoint) -> Result<Self, CheckpointError> {
        let size = tree.size();
        if size > MAX_TREE_SIZE || (size == 0 && *tree.hash() != EMPTY_HASH) {
            return Err(CheckpointError::ImpossibleTree { size });
        }
        Ok(Self { origin: tree.origin().to_owned(), size, root: tree.hash().0 })
    }

    /// Name of the log.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Number of entries that the checkpoint commits to.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Root of the Merkle tree over these entries (RFC 6962, section 2.1).
    #[must_use]
    pub fn root(&self) -> &[u8; 32] {
        &self.root
    }
}

/// The note's text, which signatures are over: name, size and root, a line each.
impl fmt::Display for CheckpointBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, Hash(self.root))
    }
}

impl Checkpoint {
    /// Verifies a checkpoint text under the log's key.
    ///
    /// Signatures by other keys (witnesses) and extension lines are kept in the text and otherwise
    /// ignored, as `c2sp.org/tlog-checkpoint` requires.
    ///
    /// # Errors
    /// [`CheckpointError`]; the text is not a note, not signed by `key`, or not a checkpoint of the
    /// log that `key` names.
    pub fn verify(text: &str, key: &VerifierKey) -> Result<Self, CheckpointError> {
        if text.len() > MAX_CHECKPOINT_TEXT {
            return Err(CheckpointError::NotANote);
        }
        let note = Note::from_bytes(text.as_bytes()).map_err(|_| CheckpointError::NotANote)?;
        note.verify(key).map_err(|e| match e {
            NoteError::InvalidSignature { .. } => {
                CheckpointError::WrongSignature { key: key.to_string() }
            }
            _ => CheckpointError::NotSigned { key: key.to_string() },
        })?;
        let body = CheckpointBody::read(note.text(), key.origin())?;
        Ok(Self { text: text.to_owned(), body })
    }

    /// Reads a text as a checkpoint of the log of this name, whoever signed it: whoever calls counts signatures before this
    /// is given out.
    pub(crate) fn of_note(text: &str, origin: &str) -> Result<Self, CheckpointError> {
        if text.len() > MAX_CHECKPOINT_TEXT {
            return Err(CheckpointError::NotANote);
        }
        let note = Note::from_bytes(text.as_bytes()).map_err(|_| CheckpointError::NotANote)?;
        let body = CheckpointBody::read(note.text(), origin)?;
        Ok(Self { text: text.to_owned(), body })
    }

    /// Signs the statement that the log has this size and root.
    pub(crate) fn sign(key: &LogKey, size: u64, root: Hash) -> Result<Self, CheckpointError> {
        let origin = key.verifier.origin().to_owned();
        let body = CheckpointBody { origin, size, root: root.0 };
        let mut note = Note::new(body.to_string().as_bytes(), &[])
            .map_err(|_| CheckpointError::NotACheckpoint)?;
        note.add_sigs(&[&key.note])
            .map_err(|_| CheckpointError::NotSigned { key: key.verifier.to_string() })?;
        let text = String::from_utf8(note.to_bytes()).map_err(|_| CheckpointError::NotANote)?;
        Ok(Self { text, body })
    }

    /// The signed note, verbatim.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its statement, without its signatures.
    #[must_use]
    pub fn body(&self) -> &CheckpointBody {
        &self.body
    }

    /// Name of the log.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.body.origin
    }

    /// Number of entries that the checkpoint commits to.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.body.size
    }

    /// Root of the Merkle tree over these entries (RFC 6962, section 2.1).
    #[must_use]
    pub fn root(&self) -> &[u8; 32] {
        &self.body.root
    }

    /// The same statement, with other signatures beside the log's; whoever calls has verified them.
    pub(crate) fn with_text(&self, text: String) -> Self {
        Self { text, body: self.body.clone() }
    }

    pub(crate) fn root_hash(&self) -> Hash {
        Hash(self.body.root)
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> LogKey {
        LogKey::parse(&LogKey::generate(None).unwrap()).unwrap()
    }

    #[test]
    fn what_was_signed_verifies_and_nothing_near_it_does() {
        let key = key();
        let signed = Checkpoint::sign(&key, 7, Hash([3; 32])).unwrap();
        assert_eq!(Checkpoint::verify(signed.as_str(), &key.verifier).as_ref(), Ok(&signed));

        let other_size = signed.as_str().replacen("\n7\n", "\n8\n", 1);
        assert!(matches!(
            Checkpoint::verify(&other_size, &key.verifier),
            Err(CheckpointError::WrongSignature { .. })
        ));
        let other_key = self::key();
        assert!(matches!(
            Checkpoint::verify(signed.as_str(), &other_key.verifier),
            Err(CheckpointError::NotSigned { .. })
        ));
        assert_eq!(
            Checkpoint::verify("seven entries", &key.verifier),
            Err(CheckpointError::NotANote)
        );
    }

    #[test]
    fn a_checkpoint_of_another_log_by_the_same_key_is_refused() {
        let key = key();
        let tree = tlog_tiles::Checkpoint::new("example.com/other", 1, Hash([0; 32]), "").unwrap();
        let mut note = Note::new(&tree.to_bytes(), &[]).unwrap();
        note.add_sigs(&[&key.note]).unwrap();
        let text = String::from_utf8(note.to_bytes()).unwrap();
        assert!(matches!(
            Checkpoint::verify(&text, &key.verifier),
            Err(CheckpointError::OtherOrigin { .. })
        ));
    }

    #[test]
    fn impossible_trees_are_refused_although_signed() {
        let key = key();
        for (size, root) in [(0, Hash([1; 32])), (u64::MAX, Hash([1; 32]))] {
            let signed = Checkpoint::sign(&key, size, root).unwrap();
            assert_eq!(
                Checkpoint::verify(signed.as_str(), &key.verifier),
                Err(CheckpointError::ImpossibleTree { size })
            );
        }
        let empty = Checkpoint::sign(&key, 0, EMPTY_HASH).unwrap();
        assert_eq!(Checkpoint::verify(empty.as_str(), &key.verifier), Ok(empty));
    }

    #[test]
    fn a_witness_signature_does_not_disturb() {
        let (key, witness) = (key(), self::key());
        let signed = Checkpoint::sign(&key, 7, Hash([3; 32])).unwrap();
        let mut note = Note::from_bytes(signed.as_str().as_bytes()).unwrap();
        note.add_sigs(&[&witness.note]).unwrap();
        let text = String::from_utf8(note.to_bytes()).unwrap();
        let verified = Checkpoint::verify(&text, &key.verifier).unwrap();
        assert_eq!((verified.size(), verified.as_str()), (7, text.as_str()));
    }
}
