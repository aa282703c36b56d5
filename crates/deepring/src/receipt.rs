//! Receipts: signed statements of which host ran which blocks of which ring on which inputs, closed
//! into a decision.
//!
//! A query is a chain. Genesis' host *opens* it (it commits to the inputs), each host *signs a
//! receipt* for the consecutive blocks that it ran, and the host that opened the chain *closes* it
//! into a [`Decision`]. Every record names the one before by digest and the ring by its digest, and
//! the blocks by content digests that were computed over the bytes that ran: a receipt about other
//! parameters, another order, another query or another version does not verify.
//!
//! A receipt says how the parameters were checked, part by part of each block ([`Coverage`]).
//!
//! One chain may carry a batch of queries: digests of all inputs and outputs, one signature per
//! host.

mod chain;
mod check;
mod checked;
mod computed_with;
mod coverage;
mod decision;
mod parcel;
mod record;
mod sealed_tensors;
mod validation;
mod value;

pub(crate) use chain::NextRecord;
pub use chain::{
    Chain, ChainError, ChainLeg, LegResult, QueryStart, VerifiedChain, VerifiedPrefix,
};
pub use check::{Check, ParseCheckError, SampleRate, SampleRateError};
pub use checked::{Checked, CheckedError};
pub use computed_with::{ComputedWith, UnusableName};
pub use coverage::Coverage;
pub use decision::{
    DecidedLeg, Decision, Deviation, Item, ReceiptError, Require, Standing, VerifiedDecision,
};
pub use parcel::{Delivered, Parcel, ParcelError};
pub use record::{Opening, Receipt};
pub use sealed_tensors::SealedTensors;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use sealed_tensors::{decode_contents, encode_contents};
pub use validation::{Agreement, Validation};
pub use value::{Salt, TensorValue, ValueError, batch_digest, tensors_digest};
