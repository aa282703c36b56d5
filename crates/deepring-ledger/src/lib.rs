//! Append-only, crash-safe record of rings, decisions, alarms and repairs, each signed by its
//! author.
//!
//! A [`Ledger`] is a directory with an embedded database. Its entries are the leaves of a Merkle
//! tree (RFC 6962, SHA-256); after every append the ledger's key signs the tree's size and root as
//! a C2SP checkpoint, so that existing witnesses and tools read it. A [`Proof`] proves offline that
//! an entry is in the ledger, an [`ExtensionProof`] that the ledger only grew. `docs/LEDGER.md`
//! specifies the bytes and the trust in each file.
//!
//! An [`Entry`] is signed by its author; the ledger's [`State`] judges who may say what, and a
//! [`Ledger`] appends nothing without authority. Which type when: [`Ledger::open_or_create`] to begin one, [`Ledger::open`] to record;
//! [`Ledger::open_read`] to read, ask and prove; [`LedgerOptions::verify`] to recompute everything,
//! damaged or not; [`Proof::parse`] and [`Proof::verify`] to check a proof with nothing but the
//! ledger's public key. Errors, refusals and reports are in the modules of their topics.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use deepring::{Owner, SecretKey};
//! use deepring_ledger::{Entry, Event, Ledger, Proof, VerifierKey};
//!
//! # let temporary = tempfile::tempdir()?;
//! # let dir = temporary.path().join("ledger");
//! let mut ledger = Ledger::open_or_create(&dir)?;
//! let key = SecretKey::<Owner>::generate()?.into();
//! let index = ledger.record(&Event::KeyRevoked { reason: "lost".into() }, &key)?;
//!
//! // What an auditor is given: the proof, and (once, by another way) the ledger's key.
//! let proof = ledger.prove(index)?.to_string();
//! let ledger_key = ledger.key().to_string();
//!
//! let shown = Proof::parse(&proof)?.verify(&VerifierKey::parse(&ledger_key)?)?;
//! assert_eq!(*shown.entry().author(), key.public());
//! assert!(ledger.verify()?.is_intact());
//! # Ok(())
//! # }
//! ```
//!
//! **Caution.** A ledger held by one party reveals tampering only against something that party
//! cannot change: a pinned key and checkpoints kept elsewhere ([`Ledger::verify_against`]).
#![forbid(unsafe_code)]
#![warn(clippy::missing_errors_doc)]
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests make and damage files of their own")
)]

mod backend;
pub mod certificate;
mod checkpoint;
mod directory;
pub mod entry;
mod error;
pub mod extension;
pub mod fsck;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod history;
mod kept;
mod key;
mod ledger;
mod log_trust;
pub mod policy;
pub mod proof;
mod query;
mod recording;
pub mod state;
mod store;
pub mod tiles;
mod tree;
pub mod witness;

/// A log's name and key, and the bodies of its checkpoints.
pub mod log {
    pub use crate::checkpoint::{CheckpointBody, CheckpointError};
    pub use crate::key::{KeyError, is_log_name};
}

// Recording and reading.
pub use entry::{Binding, Entry, Event, ValidatorSet};
pub use error::{Fault, LedgerError};
pub use ledger::{Ledger, LedgerOptions};
pub use state::State;
pub use store::in_database;

// Checking.
pub use certificate::Certificate;
pub use checkpoint::Checkpoint;
pub use extension::ExtensionProof;
pub use key::VerifierKey;
pub use log_trust::LogTrust;
pub use proof::Proof;
