//! Why a host does not take part in queries, or a query is not answered.

use deepring::replication::FailedCopy;
use deepring::{Digest, Host, PublicKey};
use deepring_infer::RunError;
use deepring_infer::participant::{NoParticipant, NotAccepted, WhyFailed};
use thiserror::Error;

use super::journal::SignedJournalError;

/// Why a host does not start, or stops. It says and signs nothing afterwards.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HostingError {
    /// Nothing is dealt.
    #[error("the ring is not dealt: its legs have no copies that validate each other")]
    NotDealt,
    /// The deal names this host for nothing.
    #[error("the ring's deal names this host for no leg and not for Genesis")]
    NotInDeal,
    /// A host's key is none that a network can know it by.
    #[error("the network cannot know a host by the key {host}")]
    NoIdentity {
        /// The key, in short.
        host: String,
    },
    /// Two hosts of the deal have one signing half.
    #[error("the deal names two hosts that sign with one key, of which {host} is one")]
    SignAlike {
        /// One of them, in short.
        host: String,
    },
    /// A block that was dealt to this host is not opened by it.
    #[error("block {block} is dealt to this host and not loaded")]
    NotLoaded {
        /// The block.
        block: u32,
    },
    /// The record of what it signed is not known, or can no longer be kept.
    #[error(transparent)]
    Journal(#[from] SignedJournalError),
    /// It cannot take part.
    #[error(transparent)]
    Participant(#[from] NoParticipant),
    /// A part of the host ended.
    #[error("the host's {part} ended")]
    Ended {
        /// Which part.
        part: &'static str,
    },
}

/// Why a query has no answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum QueryError {
    /// It is not taken: its inputs, or a bound.
    #[error(transparent)]
    NotAccepted(#[from] NotAccepted),
    /// Genesis could not open it.
    #[error(transparent)]
    Run(#[from] RunError),
    /// It ended without an answer.
    #[error("query {query} is not answered: {}", in_words(why))]
    Failed {
        /// The query.
        query: Digest,
        /// Why.
        why: WhyFailed,
        /// Copies that failed, as far as this host was told.
        named: Vec<FailedCopy>,
    },
    /// The nonce is all zero, which stands for none.
    #[error("a nonce of zeros is none")]
    ZeroNonce,
    /// The random number generator gave a salt that is none.
    #[error("the random number generator failed")]
    NoRandomness,
    /// Too many queries wait to be opened here.
    #[error("too many queries wait here")]
    Busy,
    /// This host is no more.
    #[error("this host has stopped")]
    Stopped,
}

fn names(hosts: &[PublicKey<Host>]) -> String {
    let names: Vec<String> = hosts.iter().map(PublicKey::short).collect();
    names.join(" and ")
}

fn in_words(why: &WhyFailed) -> String {
    match why {
        WhyFailed::Disputed { first_block, by } => {
            format!("the leg from block {first_block} is disputed, by the word of {}", names(by))
        }
        WhyFailed::TooFew { first_block, by } => {
            format!(
                "too few hosts computed the leg from block {first_block}, by the word of {}",
                names(by)
            )
        }
        WhyFailed::Rejected { queries, why } => {
            format!("{} of its inputs cannot be answered: {why}", queries.len())
        }
        WhyFailed::OutOfPatience => "the time for it was over".to_owned(),
        WhyFailed::ClosedElsewhere(_) => {
            "another host closed it, and the outputs did not come here".to_owned()
        }
        WhyFailed::CannotClose(why) => format!("it cannot be closed: {why}"),
        _ => "for a reason that this host does not know".to_owned(),
    }
}
