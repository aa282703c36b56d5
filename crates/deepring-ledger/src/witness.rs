//! Witnesses: their keys, their cosignatures on checkpoints, and how many of them a reader asks for.
//!
//! A witness (`c2sp.org/tlog-witness`) cosigns a checkpoint only if it extends the one that it
//! cosigned before. So whoever asks for the cosignatures of witnesses that the log's keeper does not
//! rule is shown the one history that they saw. The nodes that keep a log together cosign it in the same form.

mod cosignature;
mod key;
mod node;
mod policy;
mod validators;

pub use cosignature::{Cosignature, CosignatureError, CosignedCheckpoint};
pub use key::{WitnessKey, WitnessKeyError};
pub use node::CosignError;
pub use policy::{LineFault, NotWitnessed, WitnessPolicy, WitnessPolicyError, Witnessed};
pub use validators::QuorumError;
