//! How validators keep one ledger: each entry is agreed on by a quorum before any of them records it.
//!
//! | piece | guarantees | against |
//! |---|---|---|
//! | [`Submission`] | bytes within bounds; its author signed the entry, and the evidence is of it | anybody |
//! | `Gate` | the author has authority where the chain leaves off; the decision verifies as its deal promises | a proposer who lies |
//! | `Pool` | bounded, of each author a share; nothing that was taken is dropped for want of room | an author who floods |
//! | gossip | each validator has what was submitted to any | a leader that dies, or withholds |
//! | [`Docket`] | canonical bytes, of which the digest fixes all before it | a proposer who sends two |
//! | `Voter` | `false` for what is invalid for ever, silence for what is missing; progress at rest | votes by accident of time |
//! | `Consent` | a validator set follows another if 2f + 1 operators approved that very entry | an owner who would keep the log alone |
//! | `Keeper` | a height is on stable storage once, before it is acknowledged or cosigned | crashes, delivery again |
//! | cosigning | a checkpoint that 2f + 1 cosigned verifies offline; contradicting ones are kept | a validator that shows two histories |
//!
//! The engine (commonware simplex and marshal, docs/adr) orders dockets: of 3f + 1 validators f may be faulty in
//! any way, and it needs 2f + 1 that are up and hear each other to go on. It never goes on without
//! them: a partition halts, and heals. What it orders is verified here, and a ledger appends nothing without
//! authority whatever the engine says ([`Ledger::append_at`](deepring_ledger::Ledger::append_at)), so a
//! fault in the engine costs agreement and not authority.
//!
//! What it does not withstand: more than f faulty validators, who can stop it, and together with a
//! partition can fork it (which cosignatures then prove); a validator whose journal is lost and whose
//! key goes on voting; leaders who leave an author out in their own turns. Validators see decisions without their salt: digests of inputs
//! and outputs, and no values.
//!
//! Who votes stands for a term, a fixed number of heights: `schedule` says which set, and `terms` runs an engine for each.
//!
//! [`Validator::start`] starts one.

mod application;
mod chain_states;
mod chamber;
mod channels;
mod committee;
mod consent;
mod cosigning;
mod docket;
mod error;
#[cfg(test)]
mod fixtures;
mod gate;
mod gossip;
mod join;
mod keeper;
mod keeping;
mod pool;
mod recent;
mod schedule;
mod seating;
mod submission;
mod term_store;
mod terms;
mod validator;
mod view_timing;
mod wiring;

#[cfg(feature = "tamper")]
pub use application::Tamper;
pub use chamber::{Committed, Lost, NotNext, SubmitError, Ticket};
pub use channels::{ValidatorChannels, channels};
pub use committee::{network_namespace, voter, voter_key};
pub use consent::SetApproval;
pub use cosigning::SplitView;
pub use docket::{Docket, DocketDigest, DocketTooLarge, MAX_DOCKET_BYTES, MAX_DOCKET_SUBMISSIONS};
pub use error::AgreementError;
pub use gate::Inadmissible;
pub use join::{JoinError, JoinRecord, MAX_JOIN_RECORD};
pub use keeping::LedgerProgress;
pub use pool::{PoolFull, PoolLimits};
pub use submission::{
    EntryId, MAX_EVIDENCE_BYTES, MAX_SUBMISSION_BYTES, Submission, SubmissionError,
};
pub use validator::{AgreedLedger, Config, ValidatorHandle};
pub use view_timing::ViewTiming;
pub use wiring::{Runtime, Validator, max_message_bytes};
