//! A decision: a chain that reached the last block and returned to Genesis, closed and signed.

mod standing;

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;
use thiserror::Error;

use super::chain::{Chain, ChainError, VerifiedPrefix};
use super::check::Check;
use super::value::{Salt, batch_digest};
use crate::crypto::signature::SIGNATURE_LEN;
use crate::crypto::{Digest, label};
use crate::encoding::{DecodeError, Reader, Writer};
use crate::finding::{Finding, Section};
use crate::keys::{Host, PublicKey, SecretKey};
use crate::outline::AuthenticOutline;
use crate::plain_file::open_plain;
use crate::replace::replace_file;
use standing::refuse_standing;
pub use standing::{DecidedLeg, Deviation, Require, Standing};

const MAGIC: [u8; 8] = *b"DRECEIPT";
const FORMAT_VERSION: u16 = 4;
/// Most queries in one batch.
const MAX_ITEMS: usize = 1 << 20;
/// Longest receipt file that is read, in bytes: the largest batch and any real chain fit.
const MAX_FILE: u64 = 128 << 20;

/// One query of a batch, by the digests of its inputs and outputs under the query's salt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Item {
    /// Digest over the query's input tensors.
    pub inputs: Digest,
    /// Digest over the query's output tensors.
    pub outputs: Digest,
}

/// A closed chain of receipts with its items, not verified before [`verify`](Self::verify).
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    chain: Chain,
    items: Vec<Item>,
    closed_by: PublicKey<Host>,
    signature: [u8; SIGNATURE_LEN],
    salt: Option<Salt>,
}

/// Why a receipt was not accepted.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// The file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The bytes are not a receipt.
    #[error("not a receipt: {0}")]
    Malformed(#[from] DecodeError),
    /// The receipt does not verify against the ring, or is not validated as the reader requires.
    #[error("{0}")]
    Refused(Finding),
}

impl From<ChainError> for ReceiptError {
    fn from(e: ChainError) -> Self {
        Self::Refused(e.finding)
    }
}

/// A decision of which everything was verified against an authentic outline; only
/// [`Decision::verify`] makes one, and nothing changes it:
///
/// ```compile_fail,E0451
/// use deepring::VerifiedDecision;
///
/// fn made(of: VerifiedDecision) -> VerifiedDecision {
///     VerifiedDecision { ..of } // error: the fields are private
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VerifiedDecision {
    id: Digest,
    ring_digest: Digest,
    model_version: u64,
    opened_at: u64,
    nonce: Option<Digest>,
    closed_by: PublicKey<Host>,
    check: Check,
    legs: Vec<DecidedLeg>,
    items: Vec<Item>,
    #[serde(skip)]
    salt: Option<Salt>,
    chain: Chain,
}

impl VerifiedDecision {
    /// The decision's digest, by which a ledger names it.
    #[must_use]
    pub fn id(&self) -> Digest {
        self.id
    }

    /// Ring digest.
    #[must_use]
    pub fn ring_digest(&self) -> Digest {
        self.ring_digest
    }

    /// Version of the model.
    #[must_use]
    pub fn model_version(&self) -> u64 {
        self.model_version
    }

    /// Time of opening by the host's clock, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn opened_at(&self) -> u64 {
        self.opened_at
    }

    /// The client's nonce; `None` where it gave none.
    #[must_use]
    pub fn nonce(&self) -> Option<Digest> {
        self.nonce
    }

    /// The host that closed it.
    #[must_use]
    pub fn closed_by(&self) -> PublicKey<Host> {
        self.closed_by
    }

    /// The weakest check that any host made.
    #[must_use]
    pub fn check(&self) -> Check {
        self.check
    }

    /// Leg by leg, who stands behind it.
    #[must_use]
    pub fn legs(&self) -> &[DecidedLeg] {
        &self.legs
    }

    /// The queries of the batch.
    #[must_use]
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// The salt of its digests, where the receipt has it.
    #[must_use]
    pub fn salt(&self) -> Option<&Salt> {
        self.salt.as_ref()
    }

    /// The chain of records.
    #[must_use]
    pub fn chain(&self) -> &Chain {
        &self.chain
    }
}

impl Decision {
    /// Closes a chain: checks it against the ring, that it reached the last block, that it carries
    /// the items' digests, and under a deal that every leg is validated; then signs. `host` is one
    /// of Genesis: the one that opened the chain, or another that steps in for it.
    ///
    /// # Errors
    /// [`ReceiptError::Refused`] where one of these does not hold.
    pub fn close(
        chain: Chain,
        items: Vec<Item>,
        salt: Salt,
        outline: &AuthenticOutline,
        host: &SecretKey<Host>,
    ) -> Result<Self, ReceiptError> {
        Self::close_after(chain, items, salt, outline, host, None)
    }

    /// As [`close`](Self::close), without verifying again what `known` says was.
    ///
    /// # Errors
    /// As [`close`](Self::close).
    pub fn close_after(
        chain: Chain,
        items: Vec<Item>,
        salt: Salt,
        outline: &AuthenticOutline,
        host: &SecretKey<Host>,
        known: Option<&VerifiedPrefix>,
    ) -> Result<Self, ReceiptError> {
        let signature = [0; SIGNATURE_LEN];
        let mut decision =
            Self { chain, items, closed_by: host.public(), signature, salt: Some(salt) };
        decision.check_chain(outline, known)?;
        decision.signature = host.sign(label::SIGN_DECISION, &decision.id().0);
        Ok(decision)
    }

    /// The decision's digest: over the chain, the items and the closing host. It does not depend on
    /// whether the salt is at hand.
    #[must_use]
    pub fn id(&self) -> Digest {
        Digest::of(label::DECISION, &[&self.encode_unsigned()])
    }

    /// The chain, not verified here.
    #[must_use]
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The queries, not verified here.
    #[must_use]
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// The host that says to have closed it; not verified here.
    #[must_use]
    pub fn closed_by(&self) -> PublicKey<Host> {
        self.closed_by
    }

    /// The salt of its digests, not verified here; `None` where the receipt is without it.
    #[must_use]
    pub fn salt(&self) -> Option<&Salt> {
        self.salt.as_ref()
    }

    /// The same decision without the salt: who reads it cannot confirm a guess of inputs or outputs,
    /// and cannot compare them with tensors that it has.
    #[must_use]
    pub fn without_salt(self) -> Self {
        Self { salt: None, ..self }
    }

    /// Verifies everything: the chain against the ring's outline, that it is complete, the items,
    /// the closing signature, the salt where there is one; and that every leg is validated as
    /// `require` says.
    ///
    /// # Errors
    /// [`ReceiptError::Refused`]. Its verdict is stale if the decision is about another version or
    /// deal of the ring, or signed by a host that this revision of the ring does not name;
    /// untrusted if it is less validated than required; else tampered.
    pub fn verify(
        &self,
        outline: &AuthenticOutline,
        require: Require,
    ) -> Result<VerifiedDecision, ReceiptError> {
        self.check_chain(outline, None)?;
        let id = self.id();
        let opening = self.chain.opening();
        if !self.closed_by.has_signed(label::SIGN_DECISION, &id.0, &self.signature) {
            let finding = Finding::tampered(Section::Closure, "the closing signature does not fit");
            return Err(ReceiptError::Refused(finding));
        }
        let check = self.chain.receipts().map(|r| r.check).min().unwrap_or(Check::None);
        let copies = outline.deal().filter(|_| self.chain.is_dealt()).map(|deal| deal.copies());
        let legs: Vec<DecidedLeg> =
            self.chain.legs().iter().map(|leg| DecidedLeg::of(leg, copies)).collect();
        if let Some(finding) = refuse_standing(&legs, outline, require) {
            return Err(ReceiptError::Refused(finding));
        }
        Ok(VerifiedDecision {
            id,
            ring_digest: opening.ring_digest,
            model_version: opening.model_version,
            opened_at: opening.opened_at,
            nonce: Some(opening.nonce).filter(|nonce| *nonce != Digest::NONE),
            closed_by: self.closed_by,
            check,
            legs,
            items: self.items.clone(),
            salt: self.salt,
            chain: self.chain.clone(),
        })
    }

    fn check_chain(
        &self,
        outline: &AuthenticOutline,
        known: Option<&VerifiedPrefix>,
    ) -> Result<(), ReceiptError> {
        let refuse =
            |reason: &str| Err(ReceiptError::Refused(Finding::tampered(Section::Closure, reason)));
        let verified = self.chain.verify_after(outline, known)?;
        if verified.next_block() as usize != outline.layers().len() + 1 {
            return refuse("the chain ends before the last block");
        }
        if self.items.is_empty() {
            return refuse("the decision is about no query");
        }
        let column =
            |f: fn(&Item) -> Digest| batch_digest(&self.items.iter().map(f).collect::<Vec<_>>());
        if column(|i| i.inputs) != self.chain.opening().inputs {
            return refuse("the items' inputs are not those that the chain opened with");
        }
        if column(|i| i.outputs) != verified.outputs() {
            return refuse("the items' outputs are not those of the last block");
        }
        if self.salt.is_some_and(|salt| salt.commitment() != self.chain.opening().salt) {
            return refuse("the salt is not the one that the opening commits to");
        }
        if !closes(outline, &self.chain, &self.closed_by) {
            return refuse("closed by a host that does not stand in for Genesis");
        }
        Ok(())
    }

    /// The receipt file's bytes: `magic 8 | format version 2 | chain | items | closing host 64 |
    /// signature 64 | salt 32`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes.extend_from_slice(&self.encode_unsigned());
        bytes.extend_from_slice(&self.signature);
        bytes.extend_from_slice(self.salt.as_ref().map_or(&[0; 32][..], |salt| salt.as_bytes()));
        bytes
    }

    fn encode_unsigned(&self) -> Vec<u8> {
        let mut w = Writer::new();
        self.chain.encode(&mut w);
        w.count(self.items.len());
        for item in &self.items {
            w.raw(&item.inputs.0).raw(&item.outputs.0);
        }
        w.raw(self.closed_by.as_bytes());
        w.finish()
    }

    /// Decodes a receipt file's bytes strictly; verifies nothing.
    ///
    /// # Errors
    /// [`DecodeError`] where the bytes are not what [`encode`](Self::encode) writes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        r.header(&MAGIC, FORMAT_VERSION)?;
        let chain = Chain::decode(&mut r)?;
        let n = r.count("items", MAX_ITEMS, 64)?;
        let mut items = Vec::with_capacity(n);
        for _ in 0..n {
            items.push(Item {
                inputs: Digest(r.array("item inputs")?),
                outputs: Digest(r.array("item outputs")?),
            });
        }
        let closed_by = PublicKey::from_bytes(r.array("closing host")?);
        let signature = r.array("signature")?;
        let salt = Salt::from_bytes(r.array("salt")?);
        r.finish()?;
        Ok(Self { chain, items, closed_by, signature, salt })
    }

    /// Reads a receipt file.
    ///
    /// # Errors
    /// [`ReceiptError::Io`] where the file cannot be read; [`ReceiptError::Malformed`] where it is
    /// no receipt.
    pub fn read(path: &Path) -> Result<Self, ReceiptError> {
        let io = |source| ReceiptError::Io { path: path.into(), source };
        let mut bytes = Vec::new();
        open_plain(path).map_err(io)?.take(MAX_FILE).read_to_end(&mut bytes).map_err(io)?;
        Ok(Self::decode(&bytes)?)
    }

    /// Writes a receipt file, whole or not at all.
    ///
    /// # Errors
    /// [`ReceiptError::Io`] where the system refuses; a file that was there is as it was, or
    /// replaced whole.
    pub fn write(&self, path: &Path) -> Result<(), ReceiptError> {
        replace_file(path, &self.encode())
            .map_err(|source| ReceiptError::Io { path: path.into(), source })
    }
}

/// Returns whether a host may close a chain: one that the deal names for Genesis; of a ring that is
/// not dealt, the one that opened it.
fn closes(outline: &AuthenticOutline, chain: &Chain, host: &PublicKey<Host>) -> bool {
    match outline.deal().filter(|_| chain.is_dealt()) {
        Some(deal) => deal.genesis.contains(host) && outline.genesis().has_host(host),
        None => chain.opening().host == *host,
    }
}
