//! Why a participant does not look at something that it was given.

use deepring::codec::DecodeError;
use deepring::receipt::{ChainError, ParcelError, ReceiptError};
use deepring::replication::{EvidenceError, MessageError};
use thiserror::Error;

use crate::error::InputError;

/// A participant cannot be made of this ring and key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NoParticipant {
    /// Nothing is dealt, so that there are no copies.
    #[error("the ring is not dealt: its legs have no copies that validate each other")]
    NotDealt,
    /// The deal names this host for nothing.
    #[error("the ring's deal names this host for no leg and not for Genesis")]
    NotInDeal,
}

/// Why a message or a query was refused. Nothing changed by it but the sender's count of refusals.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NotAccepted {
    /// The sender has no part in the ring's deal.
    #[error("the sender is no host of the ring's deal")]
    Stranger,
    /// The message is longer than any that the ring's hosts send.
    #[error("a message of {found} bytes, where {limit} are the most")]
    TooLong {
        /// Its length.
        found: usize,
        /// The most bytes that it can have.
        limit: usize,
    },
    /// The bytes are no message.
    #[error("not a message between hosts: {0}")]
    Malformed(#[from] DecodeError),
    /// The query runs under no deal, or does not belong to this ring.
    #[error("the query is not under the ring's deal")]
    OtherDeal,
    /// The chain does not verify.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The parcel, or the outputs that were asked for, do not open or are not what a record names.
    #[error(transparent)]
    Parcel(#[from] ParcelError),
    /// The decision does not verify.
    #[error(transparent)]
    Decision(#[from] ReceiptError),
    /// The leg's machine refuses the message.
    #[error(transparent)]
    Leg(MessageError),
    /// The evidence in a report proves nothing.
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    /// The evidence is about another query, or does not name the copy that it is to show at fault.
    #[error("the evidence is about something else than the report")]
    OtherEvidence,
    /// The tensors are not of the shapes that cross there.
    #[error("{0}")]
    Shapes(#[from] InputError),
    /// This host has no part in what the message is about, or the sender has none.
    #[error("the message is about a leg in which {who} has no part")]
    NoPart {
        /// The sender, or this host.
        who: &'static str,
    },
    /// It was not asked for.
    #[error("outputs that were not asked for")]
    NotAsked,
    /// A batch of more queries than this host takes together.
    #[error("a batch of more than {limit} queries")]
    LongBatch {
        /// The most.
        limit: usize,
    },
    /// A bound of this host's is reached.
    #[error("{what}: {limit} are the most")]
    Full {
        /// The thing that there would be too much of.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// This host is no host of Genesis and opens nothing, or the chain is not one that it opened.
    #[error("this host did not open the query")]
    NotOpener,
    /// A query of this name is under way or has ended.
    #[error("the query's name was used before")]
    Known,
    /// The system's generator failed.
    #[error("the system's random number generator failed")]
    NoRandomness,
}
