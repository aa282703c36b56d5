//! Ring replication: each leg of a dealt ring is computed by two or three hosts that commit, reveal,
//! compare and validate each other.
//!
//! A [`LegCopy`] is one host's part in one leg of one query: a state machine of bytes in, bytes out.
//! It holds no clock and draws no randomness, so the same inputs give the same bytes; who carries
//! the bytes (one process, a network, a simulation) is its driver's business. The protocol is
//! `docs/REPLICATION.md`, the model `models/replication.pml`; the transitions have the same names.

mod dispute;
mod evidence;
mod leg_copy;
mod message;
mod outcome;

pub use dispute::{Dispute, DisputeError, OpenedDispute};
pub use evidence::{ClaimedOutputs, Evidence, EvidenceError};
pub use leg_copy::{LegCopy, NotACopy, Outgoing};
pub use message::{Message, MessageError};
pub use outcome::{CopyFault, FailedCopy, LegOutcome, Settled};
