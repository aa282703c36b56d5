//! A certificate: one file from which a client verifies a decision offline, with the owner's key and
//! the log's (or the validator set that keeps it) and nothing else.
//!
//! ```text
//! "DCERTIFY" | format version: u16 = 1 | outline: bytes | decision: bytes
//! proof: bytes, the text of c2sp.org/tlog-proof@v1 with the entry in its `extra` line
//! validator set: bytes, an entry of kind 9 (none if empty)
//! ```

mod verified;

use std::path::Path;

use deepring::codec::{DecodeError, Reader, Writer};
use deepring::files::{read_plain, replace_file};
use deepring::keys::{Author, log_digest};
use deepring::outline::{AuthenticOutline, Outline, OutlineError};
use deepring::receipt::{ReceiptError, Require};
use deepring::{Decision, Digest, Owner, PublicKey, Trust, VerifiedDecision};
use thiserror::Error;

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::entry::{Entry, EntryError, Event, MAX_ENTRY_BYTES, UnverifiedEntry, ValidatorSet};
use crate::error::{Fault, LedgerError};
use crate::ledger::Ledger;
use crate::log_trust::LogTrust;
use crate::proof::{MAX_PROOF_TEXT, Proof, ProofError, VerifiedInclusion};
use crate::state::{Revocation, Revoked};

pub use verified::VerifiedCertificate;

const MAGIC: [u8; 8] = *b"DCERTIFY";
const FORMAT_VERSION: u16 = 1;
/// Most bytes of a decision in a certificate: a batch of some hundred thousand queries.
const MAX_DECISION: usize = 16 << 20;
/// Most bytes of a certificate.
const MAX_CERTIFICATE: usize = 2 * MAX_ENTRY_BYTES + MAX_DECISION + MAX_PROOF_TEXT + 26;

/// Why there is no certificate, or why one shows nothing.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The file could not be read or written.
    #[error("could not read or write the certificate: {0}")]
    Io(#[from] std::io::Error),
    /// The bytes are no certificate.
    #[error("not a certificate: {0}")]
    Malformed(#[from] DecodeError),
    /// The outline is not the owner's, or not consistent.
    #[error("the outline: {0}")]
    Outline(#[from] OutlineError),
    /// The decision does not verify against the outline, or is not validated as required.
    #[error("the decision: {0}")]
    Decision(#[from] ReceiptError),
    /// The decision is about another nonce than the client's, or about none.
    #[error("the decision is not about the nonce that was given")]
    OtherNonce,
    /// The entry is not shown to be in the log.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The proven entry does not record this decision.
    #[error("the proven entry does not record this decision")]
    OtherEntry,
    /// The decision was made under another deal than the newest that the log knew when it was recorded.
    #[error(
        "the entry says that it was decided under deal {recorded} (0: none), and the outline is of deal {dealt}"
    )]
    OtherDeal {
        /// Number of the deal that the entry states.
        recorded: u32,
        /// Number of the outline's deal.
        dealt: u32,
    },
    /// Something that decided was revoked before the decision was recorded.
    #[error("{} was revoked by entry {}, before this was recorded", match .0.what {
        Revoked::Ring => "the ring",
        Revoked::Owner => "the owner's key",
        Revoked::Host(_) => "a host that signed",
    }, .0.entry)]
    Revoked(Revocation),
    /// The entry's author is no host of Genesis.
    #[error("the entry is not signed by a host of Genesis")]
    NotOfGenesis,
    /// The bytes in the place of the validator set are no entry, or one that is not signed by the
    /// author whom it names.
    #[error("the validator set: {0}")]
    ValidatorSet(#[source] EntryError),
    /// The entry in the place of the validator set is of another kind or of another log.
    #[error("what stands in the place of the validator set is none, or none of this log")]
    NotItsSet,
    /// The ledger holds no entry of the decision by an author with authority.
    #[error("the ledger holds no entry of this decision")]
    NotRecorded,
    /// The ledger could not be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl CertificateError {
    /// The party at fault.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Io(_) => Fault::Io,
            Self::Ledger(e) => e.fault(),
            Self::NotRecorded => Fault::Usage,
            Self::OtherNonce => Fault::Stale,
            // Another log's, which nobody here was told to trust.
            Self::Proof(ProofError::Checkpoint(
                CheckpointError::NotSigned { .. } | CheckpointError::OtherOrigin { .. },
            ))
            | Self::Revoked(_) => Fault::Untrusted,
            Self::Outline(OutlineError::Refused(finding))
            | Self::Decision(ReceiptError::Refused(finding)) => {
                match deepring::Report::of_findings(vec![finding.clone()]).verdict {
                    deepring::Verdict::Untrusted => Fault::Untrusted,
                    deepring::Verdict::Stale => Fault::Stale,
                    _ => Fault::Tampered,
                }
            }
            Self::Proof(ProofError::Quorum(e)) if e.is_untrusted() => Fault::Untrusted,
            _ => Fault::Tampered,
        }
    }
}

/// The expectations that a verifier holds a certificate against.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The owner whose ring it must be.
    pub owner: PublicKey<Owner>,
    /// Who keeps the log.
    pub log: LogTrust<'a>,
    /// The validation that every leg must have.
    pub require: Require,
    /// The nonce that the client sent with its query; `None` for a client that sent none.
    pub nonce: Option<Digest>,
}

/// A certificate as it was made or read; it shows nothing before [`verify`](Self::verify).
#[derive(Debug, Clone, PartialEq)]
pub struct Certificate {
    outline: Outline,
    decision: Decision,
    proof: Proof,
    validators: Option<UnverifiedEntry>,
}

impl Certificate {
    /// Makes the certificate of a recorded decision; one that would not verify is not made. Whoever
    /// is to confirm no guess of inputs and outputs is given it of the decision
    /// [without its salt](Decision::without_salt).
    ///
    /// # Errors
    /// [`CertificateError::NotRecorded`]; [`CertificateError::Decision`] where it does not verify
    /// against a registered outline; [`CertificateError::Ledger`].
    pub fn make(
        decision: &Decision,
        ledger: &Ledger,
        require: Require,
    ) -> Result<Self, CertificateError> {
        Self::make_under(decision, ledger, ledger.checkpoint(), require)
    }

    /// As [`make`](Self::make), with a proof under this checkpoint of the ledger, which may be older than the newest: the one that
    /// a validator set has cosigned, for whom it is verified.
    ///
    /// # Errors
    /// As [`make`](Self::make); [`CertificateError::Ledger`] where the checkpoint does not reach to the entry.
    pub fn make_under(
        decision: &Decision,
        ledger: &Ledger,
        checkpoint: &Checkpoint,
        require: Require,
    ) -> Result<Self, CertificateError> {
        let state = ledger.state()?;
        let index = ledger.find_decision(decision)?;
        let index = index.ok_or(CertificateError::NotRecorded)?;
        let recorded = ledger.entry(index)?;
        let outline = outline_of(decision, &recorded, ledger, require)?;
        let signers = decision.chain().signers().into_iter().chain([decision.closed_by()]);
        if let Some(revocation) = state.revoked_before(index, &outline, signers) {
            return Err(CertificateError::Revoked(revocation));
        }
        let validators = match &state.validators {
            Some((entry, _)) => Some(UnverifiedEntry::from(ledger.entry(*entry)?)),
            None => None,
        };
        let certificate = Self {
            outline: outline.as_outline().clone(),
            decision: decision.clone(),
            proof: ledger.prove_under(index, checkpoint)?,
            validators,
        };
        let log = LogTrust::Key(ledger.key());
        let expected = Expected { owner: outline.owner(), log, require, nonce: None };
        Self::decode(&certificate.encode())?.verify(&expected)?;
        Ok(certificate)
    }

    /// The file's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.raw(&MAGIC).u16(FORMAT_VERSION);
        w.bytes(&self.outline.encode()).bytes(&self.decision.encode());
        w.bytes(self.proof.to_string().as_bytes());
        w.bytes(self.validators.as_ref().map(UnverifiedEntry::as_bytes).unwrap_or_default());
        w.finish()
    }

    /// Decodes a certificate strictly; verifies nothing.
    ///
    /// # Errors
    /// [`CertificateError::Malformed`], [`CertificateError::Proof`] and
    /// [`CertificateError::ValidatorSet`] where the bytes are not what
    /// [`encode`](Self::encode) writes.
    pub fn decode(bytes: &[u8]) -> Result<Self, CertificateError> {
        if bytes.len() > MAX_CERTIFICATE {
            let (found, limit) = (bytes.len() as u64, MAX_CERTIFICATE as u64);
            return Err(DecodeError::TooLong { field: "certificate", found, limit }.into());
        }
        let mut r = Reader::new(bytes);
        r.header(&MAGIC, FORMAT_VERSION)?;
        let outline = Outline::decode(r.bytes("outline", MAX_ENTRY_BYTES)?)?;
        let decision = Decision::decode(r.bytes("decision", MAX_DECISION)?)?;
        let proof = r.bytes("proof", MAX_PROOF_TEXT)?;
        let proof = std::str::from_utf8(proof).map_err(|_| DecodeError::NotUtf8 { field: "proof" });
        let proof = Proof::parse(proof?)?;
        proof.unverified_entry()?;
        let validators = match r.bytes("validator set", MAX_ENTRY_BYTES)? {
            [] => None,
            bytes => {
                let set = UnverifiedEntry::decode(bytes);
                Some(set.map_err(CertificateError::ValidatorSet)?)
            }
        };
        r.finish()?;
        Ok(Self { outline, decision, proof, validators })
    }

    /// Reads a certificate file.
    ///
    /// # Errors
    /// [`CertificateError::Io`]; else as [`decode`](Self::decode).
    pub fn read(path: &Path) -> Result<Self, CertificateError> {
        Self::decode(&read_plain(path, MAX_CERTIFICATE as u64)?)
    }

    /// Writes a certificate file, whole or not at all.
    ///
    /// # Errors
    /// [`CertificateError::Io`].
    pub fn write(&self, path: &Path) -> Result<(), CertificateError> {
        Ok(replace_file(path, &self.encode())?)
    }

    /// Name of the log that it claims to be from; not verified. For whoever has several logs' keys.
    #[must_use]
    pub fn claimed_origin(&self) -> &str {
        self.proof.claimed_origin()
    }

    /// Verifies everything: that the owner signed the outline, the decision against it, and that an
    /// entry of this decision, signed by a host of Genesis, is under a checkpoint of the log.
    ///
    /// # Errors
    /// The first that holds, in this order: [`CertificateError::Outline`],
    /// [`Decision`](CertificateError::Decision), [`OtherNonce`](CertificateError::OtherNonce),
    /// [`Proof`](CertificateError::Proof),
    /// [`OtherEntry`](CertificateError::OtherEntry), [`OtherDeal`](CertificateError::OtherDeal),
    /// [`NotOfGenesis`](CertificateError::NotOfGenesis),
    /// [`ValidatorSet`](CertificateError::ValidatorSet),
    /// [`NotItsSet`](CertificateError::NotItsSet).
    pub fn verify(&self, expected: &Expected<'_>) -> Result<VerifiedCertificate, CertificateError> {
        let outline = self.outline.clone().verify(&Trust::owner(expected.owner))?;
        let decision = self.decision.verify(&outline, expected.require)?;
        if expected.nonce.is_some() && decision.nonce() != expected.nonce {
            return Err(CertificateError::OtherNonce);
        }
        let inclusion = self.proof.verify_trusting(expected.log)?;
        inclusion.entry().records(&decision, &outline)?;
        let validators = self.verify_set(&inclusion)?;
        Ok(VerifiedCertificate {
            outline,
            decision,
            inclusion,
            validators,
            require: expected.require,
            nonce: expected.nonce,
        })
    }

    fn verify_set(
        &self,
        inclusion: &VerifiedInclusion,
    ) -> Result<Option<ValidatorSet>, CertificateError> {
        let Some(entry) = self.validators.clone() else { return Ok(None) };
        let set = ValidatorSet::of_entry(entry)?;
        match set.origin == inclusion.checkpoint().origin() {
            true => Ok(Some(set)),
            false => Err(CertificateError::NotItsSet),
        }
    }
}

impl ValidatorSet {
    /// Reads the entry (kind 9) by which an owner said who keeps a log, as `ledger validator-set --output` writes it. That the
    /// owner could say so, and that no other set has followed, the entry alone does not show: whoever takes a set from a file
    /// trusts the file as he would a key.
    ///
    /// # Errors
    /// [`CertificateError::ValidatorSet`] where the bytes are no entry that its author signed; [`CertificateError::NotItsSet`]
    /// for an entry of another kind, or one signed for another log than it names.
    pub fn decode_signed(bytes: &[u8]) -> Result<Self, CertificateError> {
        Self::of_entry(UnverifiedEntry::decode(bytes).map_err(CertificateError::ValidatorSet)?)
    }

    fn of_entry(entry: UnverifiedEntry) -> Result<Self, CertificateError> {
        let entry = entry.verify().map_err(CertificateError::ValidatorSet)?;
        match entry.event() {
            Event::ValidatorSet(set) if entry.binding().log == log_digest(&set.origin) => {
                Ok(set.clone())
            }
            _ => Err(CertificateError::NotItsSet),
        }
    }
}

/// The outline that the decision was recorded under: the ring may have been dealt anew since.
fn outline_of(
    decision: &Decision,
    recorded: &Entry,
    ledger: &Ledger,
    require: Require,
) -> Result<AuthenticOutline, CertificateError> {
    let Event::Decisions { dealt, .. } = recorded.event() else {
        return Err(CertificateError::OtherEntry);
    };
    let mut refused = None;
    let outlines = ledger.state()?.outlines(&decision.chain().opening().ring_digest);
    for outline in outlines.filter(|outline| outline.deal_number() == *dealt) {
        match decision.verify(outline, require) {
            Ok(_) => return Ok(outline.clone()),
            Err(e) => _ = refused.get_or_insert(e),
        }
    }
    Err(refused.map_or(CertificateError::NotRecorded, CertificateError::Decision))
}

impl Entry {
    /// Verifies that this entry records a decision under the deal of `outline`, in the name of a host
    /// of Genesis. That it was said in a log, and for it, its proof shows. Of what else its log knew, such as revocations or a newer deal, it says nothing.
    ///
    /// # Errors
    /// [`CertificateError::OtherEntry`], [`CertificateError::OtherDeal`],
    /// [`CertificateError::NotOfGenesis`].
    pub fn records(
        &self,
        decision: &VerifiedDecision,
        outline: &AuthenticOutline,
    ) -> Result<(), CertificateError> {
        let Event::Decisions { ring_digest, decision_id, count, dealt } = self.event() else {
            return Err(CertificateError::OtherEntry);
        };
        let said = (*ring_digest, *decision_id, u64::from(*count));
        if said != (outline.ring_digest(), decision.id(), decision.items().len() as u64) {
            return Err(CertificateError::OtherEntry);
        }
        let (recorded, dealt) = (*dealt, outline.deal_number());
        if recorded != dealt {
            return Err(CertificateError::OtherDeal { recorded, dealt });
        }
        match self.author() {
            Author::Host(host) if outline.genesis().has_host(host) => Ok(()),
            _ => Err(CertificateError::NotOfGenesis),
        }
    }
}
