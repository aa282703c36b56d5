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
//! ledger's public key.
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
mod certificate;
mod checkpoint;
mod directory;
mod entry;
mod error;
mod extension;
mod fsck;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod history;
mod kept;
mod key;
mod ledger;
mod log_trust;
mod policy;
mod proof;
mod query;
mod recording;
mod state;
mod store;
mod tiles;
mod tree;
mod witness;

// Recording and reading.
pub use entry::{
    Audit, Binding, Countersignature, Entry, Event, MAX_ENTRY_BYTES, MAX_VALIDATORS,
    UnverifiedEntry, ValidatorSet,
};
pub use ledger::{Ledger, LedgerOptions};

// What the entries come to, and what is refused.
pub use policy::{AdmitError, Admitted, Refusal};
pub use state::{Accusation, Cause, NoAuthority, Quarantined, Revocation, Revoked, State};

// Checking.
pub use certificate::{Certificate, Expected, VerifiedCertificate};
pub use checkpoint::{Checkpoint, CheckpointBody};
pub use extension::{ExtensionProof, VerifiedExtension};
pub use fsck::{Defect, LedgerFinding, LedgerReport};
pub use key::{VerifierKey, is_log_name};
pub use log_trust::LogTrust;
pub use proof::{Proof, VerifiedInclusion};

// Witnesses, and files for whoever mirrors the log.
pub use tiles::{TilesError, TilesExport};
pub use witness::{
    CosignError, Cosignature, CosignedCheckpoint, LineFault, NotWitnessed, WitnessKey,
    WitnessPolicy, Witnessed,
};

// Errors.
pub use certificate::CertificateError;
pub use checkpoint::CheckpointError;
pub use entry::EntryError;
pub use error::{Fault, LedgerError};
pub use key::KeyError;
pub use proof::ProofError;
pub use store::in_database;
pub use witness::{CosignatureError, QuorumError, WitnessKeyError, WitnessPolicyError};
