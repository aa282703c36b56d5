//! The records of a ledger: an [`Entry`] says when, its [`Event`] says what.

mod codec;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Serialize, Serializer};

pub use codec::MAX_ENTRY_BYTES;

/// One record of the ledger.
///
/// An entry is canonical bytes first (`docs/LEDGER.md`, "Entries"): the Merkle leaf is computed
/// over [`Entry::encode`], so whatever an entry says is bound by every later checkpoint. The JSON
/// form (serde) is for display only and has byte fields in lower-case hexadecimal.
///
/// The ledger records entries as given. It does not check closure signatures or receipts; a caller
/// that relies on an entry checks those against the owner's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Time of recording, in milliseconds since the Unix epoch, by the writer's clock. The index
    /// gives the order, never this field.
    pub at: u64,
    /// The event.
    #[serde(flatten)]
    pub event: Event,
}

/// The event that an [`Entry`] records.
///
/// Strings longer than 4096 bytes are cut at a character boundary when encoded, so that an alarm is
/// never lost because a name in it is long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A ring was closed and put to use.
    RingRegistered {
        /// The ring, through all its versions.
        #[serde(serialize_with = "hex")]
        ring_id: [u8; 16],
        /// Digest of the closure of this version.
        #[serde(serialize_with = "hex")]
        ring_digest: [u8; 32],
        /// Version that the owner gave the model.
        model_version: u64,
        /// The owner's public key.
        #[serde(serialize_with = "hex")]
        owner: [u8; 64],
        /// The owner's signature over the closure.
        #[serde(serialize_with = "hex")]
        closure_signature: [u8; 64],
    },
    /// A ring was replaced by a newer version of itself.
    RingUpgraded {
        /// The ring, through all its versions.
        #[serde(serialize_with = "hex")]
        ring_id: [u8; 16],
        /// Digest of the closure of the new version.
        #[serde(serialize_with = "hex")]
        ring_digest: [u8; 32],
        /// Digest of the closure that the new one names as its predecessor.
        #[serde(serialize_with = "hex")]
        previous_digest: [u8; 32],
        /// Version that the owner gave the model.
        model_version: u64,
        /// The owner's public key.
        #[serde(serialize_with = "hex")]
        owner: [u8; 64],
        /// The owner's signature over the new closure.
        #[serde(serialize_with = "hex")]
        closure_signature: [u8; 64],
    },
    /// One version of a ring must not be used any more.
    RingRevoked {
        /// The ring, through all its versions.
        #[serde(serialize_with = "hex")]
        ring_id: [u8; 16],
        /// Digest of the closure that is revoked.
        #[serde(serialize_with = "hex")]
        ring_digest: [u8; 32],
        /// The reason, for people.
        reason: String,
    },
    /// A batch of decisions was made.
    Decisions {
        /// Digest of the closure of the ring that decided.
        #[serde(serialize_with = "hex")]
        ring_digest: [u8; 32],
        /// The decision's id; of a batch, the root of its Merkle tree.
        #[serde(serialize_with = "hex")]
        decision_id: [u8; 32],
        /// Number of decisions under that root.
        count: u32,
    },
    /// A check failed: a stored or live part of a ring is not what the owner sealed.
    Alarm {
        /// The ring, through all its versions.
        #[serde(serialize_with = "hex")]
        ring_id: [u8; 16],
        /// Digest of the closure of the version that was checked.
        #[serde(serialize_with = "hex")]
        ring_digest: [u8; 32],
        /// Index of the block at fault, Genesis being 0, if one can be named.
        block: Option<u32>,
        /// Name of the block, or of the ring.
        name: String,
        /// Part at fault: `header`, `body`, `link`, `closure`, `file`, ...
        part: String,
        /// Tensor at fault, if one can be named.
        tensor: Option<String>,
        /// First byte at fault and the byte after the last, if known.
        bytes: Option<[u64; 2]>,
        /// The defect that the check found, for people.
        reason: String,
    },
    /// Blocks were restored from an intact copy.
    Repair {
        /// The ring, through all its versions.
        #[serde(serialize_with = "hex")]
        ring_id: [u8; 16],
        /// Digest of the closure of the version that was repaired.
        #[serde(serialize_with = "hex")]
        ring_digest: [u8; 32],
        /// Indices of the restored blocks, Genesis being 0; encoded in ascending order, each once.
        blocks: Vec<u32>,
        /// Origin of the intact copy, for people.
        source: String,
    },
    /// A key must not be trusted any more.
    KeyRevoked {
        /// The public key.
        #[serde(serialize_with = "hex")]
        key: [u8; 64],
        /// The reason, for people.
        reason: String,
    },
}

/// The subject of an entry, other than a decision, that questions are asked about: a ring, one version of it, or a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    Ring([u8; 16]),
    RingVersion([u8; 32]),
    Key([u8; 64]),
}

impl Entry {
    /// Subjects of this entry; each once, none for decisions.
    pub(crate) fn subjects(&self) -> Vec<Subject> {
        match &self.event {
            Event::RingRegistered { ring_id, ring_digest, .. }
            | Event::RingUpgraded { ring_id, ring_digest, .. }
            | Event::RingRevoked { ring_id, ring_digest, .. }
            | Event::Alarm { ring_id, ring_digest, .. }
            | Event::Repair { ring_id, ring_digest, .. } => {
                vec![Subject::Ring(*ring_id), Subject::RingVersion(*ring_digest)]
            }
            Event::KeyRevoked { key, .. } => vec![Subject::Key(*key)],
            Event::Decisions { .. } => Vec::new(),
        }
    }

    /// Id of the decision, or batch of decisions, that this entry records.
    #[must_use]
    pub fn decision(&self) -> Option<[u8; 32]> {
        match &self.event {
            Event::Decisions { decision_id, .. } => Some(*decision_id),
            _ => None,
        }
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
