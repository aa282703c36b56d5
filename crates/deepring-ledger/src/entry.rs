//! The records of a ledger: an [`Entry`] says when and who, its [`Event`] says what.

mod codec;
mod event;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use deepring::Digest;
use deepring::codec::DecodeError;
use deepring::keys::{Author, AuthorKey, SignerError, log_digest};
use serde::{Serialize, Serializer};
use thiserror::Error;

pub use codec::MAX_ENTRY_BYTES;
pub use event::{Audit, Countersignature, Event, MAX_VALIDATORS, ValidatorSet};

/// Why there is no entry.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EntryError {
    /// The bytes are an entry of an earlier version, which names no log.
    #[error(
        "an entry of version {version}, which could be said again in another ledger: begin a new one, and read the old one with the program that wrote it"
    )]
    OldVersion {
        /// The version, 1 or 2.
        version: u8,
    },
    /// The bytes are no entry.
    #[error("not an entry: {0}")]
    Malformed(#[from] DecodeError),
    /// The event has more bytes than an entry can hold; see [`MAX_ENTRY_BYTES`].
    #[error("an entry of {bytes} bytes, more than the {MAX_ENTRY_BYTES} allowed")]
    TooLarge {
        /// Size that the entry would have.
        bytes: usize,
    },
    /// The author that the entry names did not sign it.
    #[error("the signature is not that of the entry's author")]
    NotSigned,
    /// The owner who was to sign it did not.
    #[error(transparent)]
    Signer(#[from] SignerError),
}

/// The log that an entry is signed for, and its number among its author's entries there. Who holds a
/// signed entry cannot have it said again: not in another log, and not once more in the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding {
    /// Digest of the log's name: [`log_digest`].
    pub log: Digest,
    /// Higher than that of every entry of the same author before it in the log, decisions left
    /// aside. An entry of decisions has none, and 0 here: said twice, it says nothing new.
    pub sequence: u64,
}

impl Binding {
    /// To the log of this name.
    #[must_use]
    pub fn new(origin: &str, sequence: u64) -> Self {
        Self { log: log_digest(origin), sequence }
    }
}

/// One signed record of the ledger.
///
/// An entry is canonical bytes first (`docs/LEDGER.md`, "Entries"): the Merkle leaf is computed
/// over [`Entry::as_bytes`], so whatever an entry says is bound by every later checkpoint. No value
/// of this type exists whose author did not sign it: one is made by [`Entry::sign`], or by
/// [`UnverifiedEntry::verify`]. That the author had the authority to say it is for the ledger's
/// [`State`](crate::State) to judge.
///
/// The JSON form (serde) is for display only and has byte fields in lower-case hexadecimal.
///
/// ```compile_fail,E0451
/// use deepring_ledger::Entry;
///
/// fn made(of: Entry) -> Entry {
///     Entry { ..of } // error: the fields are private
/// }
/// ```
#[derive(Clone, Serialize)]
pub struct Entry {
    #[serde(skip)]
    bytes: Vec<u8>,
    at: u64,
    #[serde(skip)]
    log: Digest,
    sequence: u64,
    author: Author,
    #[serde(flatten)]
    event: Event,
}

/// An entry as it was read; nobody is shown to have signed it before [`verify`](Self::verify).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnverifiedEntry(Entry);

impl Entry {
    /// Signs an event for a log, said to be recorded at `at` (milliseconds since the Unix epoch; see
    /// [`Entry::at`]). What the format cuts or orders (long strings, lists of blocks) is so in the
    /// entry's event too; decisions have the sequence 0, whatever is given.
    ///
    /// # Errors
    /// [`EntryError::TooLarge`]; [`EntryError::Malformed`] for an event that the format has no
    /// bytes for, such as one about no block; [`EntryError::Signer`] of an owner's signer, whose
    /// signature is verified here; [`EntryError::NotSigned`] where there is no memory to sign with.
    pub fn sign(
        binding: Binding,
        at: u64,
        event: &Event,
        author: &AuthorKey,
    ) -> Result<Self, EntryError> {
        let mut bytes = codec::encode_unsigned(binding, at, &author.public(), event);
        let signature = author.sign_entry(&bytes)?;
        bytes.extend_from_slice(&signature);
        if bytes.len() > MAX_ENTRY_BYTES {
            return Err(EntryError::TooLarge { bytes: bytes.len() });
        }
        if signature == [0; 64] {
            return Err(EntryError::NotSigned);
        }
        // What cannot be read back must not be written.
        let UnverifiedEntry(entry) = UnverifiedEntry::decode(&bytes)?;
        Ok(entry)
    }

    /// Signs an event, recorded now by this machine's clock.
    ///
    /// # Errors
    /// As [`Entry::sign`].
    pub fn now(binding: Binding, event: &Event, author: &AuthorKey) -> Result<Self, EntryError> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::sign(binding, u64::try_from(since.as_millis()).unwrap_or(u64::MAX), event, author)
    }

    /// The canonical bytes, signature and all: the Merkle leaf.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Time of recording, in milliseconds since the Unix epoch, by the writer's clock. The index
    /// gives the order, never this field.
    #[must_use]
    pub fn at(&self) -> u64 {
        self.at
    }

    /// The log that it was signed for, and its number among its author's entries.
    #[must_use]
    pub fn binding(&self) -> Binding {
        Binding { log: self.log, sequence: self.sequence }
    }

    /// The key that signed it.
    #[must_use]
    pub fn author(&self) -> &Author {
        &self.author
    }

    /// The event.
    #[must_use]
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// Id of the decision, or batch of decisions, that this entry records.
    #[must_use]
    pub fn decision(&self) -> Option<Digest> {
        match &self.event {
            Event::Decisions { decision_id, .. } => Some(*decision_id),
            _ => None,
        }
    }
}

impl UnverifiedEntry {
    /// Reads canonical bytes; accepts exactly what an [`Entry`] has, but for the signature, which
    /// is not looked at.
    ///
    /// # Errors
    /// [`EntryError::OldVersion`] and [`EntryError::Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, EntryError> {
        if let Some(version @ (1 | 2)) = bytes.first() {
            return Err(EntryError::OldVersion { version: *version });
        }
        codec::decode(bytes).map(Self).map_err(EntryError::from)
    }

    /// Verifies that the author whom the entry names signed it.
    ///
    /// # Errors
    /// [`EntryError::NotSigned`].
    pub fn verify(self) -> Result<Entry, EntryError> {
        let Self(entry) = self;
        let (unsigned, signature) = entry.bytes.split_last_chunk().ok_or(EntryError::NotSigned)?;
        match entry.author.has_signed_entry(unsigned, signature) {
            true => Ok(entry),
            false => Err(EntryError::NotSigned),
        }
    }

    /// The canonical bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// Id of the decision that the entry claims to record.
    pub(crate) fn claimed_decision(&self) -> Option<Digest> {
        self.0.decision()
    }

    /// Whether the entry can change what the ledger says of rings and keys; one about decisions
    /// cannot.
    pub(crate) fn claims_effect(&self) -> bool {
        self.claimed_decision().is_none()
    }
}

impl From<Entry> for UnverifiedEntry {
    fn from(entry: Entry) -> Self {
        Self(entry)
    }
}

/// Equal bytes are equal entries, and no others.
impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Entry {}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("at", &self.at)
            .field("sequence", &self.sequence)
            .field("author", &self.author)
            .field("event", &self.event)
            .finish_non_exhaustive()
    }
}

/// A field of bytes in JSON: lower-case hexadecimal.
pub(crate) fn hex<S: Serializer, const N: usize>(
    bytes: &[u8; N],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&Hex(bytes))
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
