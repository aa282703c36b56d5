//! Receipts: who ran which blocks of which ring on what, signed, and closed into a decision.
//!
//! A query is a chain. Genesis' host *opens* it (it commits to the inputs), each host *signs a
//! receipt* for the consecutive blocks that it ran, and the host that opened the chain *closes* it into
//! a [`Decision`]. Every record names the one before by digest and the ring by its digest, and the
//! blocks by content digests that were computed over the bytes that ran: a receipt about other
//! parameters, another order, another query or another version does not fit in.
//!
//! One chain may carry a batch of queries: digests of all inputs and outputs, one signature a host.

mod chain;
mod decision;
mod parcel;
mod record;
mod value;

pub use chain::{Chain, ChainError, VerifiedChain};
pub use decision::{Decision, Item, ReceiptError, VerifiedDecision};
pub use parcel::{Parcel, ParcelError};
#[cfg(any(test, fuzzing))]
pub(crate) use parcel::{decode_batch, encode_batch};
pub use record::{Check, Opening, Receipt};
pub use value::{TensorValue, ValueError, batch_digest, tensors_digest};
