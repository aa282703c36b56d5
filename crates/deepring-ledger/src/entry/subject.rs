//! The subject of an entry, other than a decision: a ring, one version of a ring, or a key.

use super::{Entry, Event};

/// A subject that questions are asked about.
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
