//! A decision: a chain that reached the last block and returned to Genesis, closed and signed.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;
use thiserror::Error;

use super::chain::{Chain, ChainError};
use super::check::Check;
use super::value::batch_digest;
use crate::crypto::signature::SIGNATURE_LEN;
use crate::crypto::{Digest, label};
use crate::encoding::{DecodeError, Reader, Writer};
use crate::finding::{Finding, Section};
use crate::keys::{Host, SecretKey};
use crate::plain_file::open_plain;
use crate::replace::replace_file;
use crate::ring::AuthenticRing;

const MAGIC: [u8; 8] = *b"DRECEIPT";
const FORMAT_VERSION: u16 = 3;
/// Most queries in one batch.
const MAX_ITEMS: usize = 1 << 20;
/// Longest receipt file that is read, in bytes: the largest batch and any real chain fit.
const MAX_FILE: u64 = 128 << 20;

/// One query of a batch, by the digests of its inputs and outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Item {
    /// Digest over the query's input tensors.
    pub inputs: Digest,
    /// Digest over the query's output tensors.
    pub outputs: Digest,
}

/// A closed chain of receipts with its items, not verified before [`verify`](Self::verify).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    chain: Chain,
    items: Vec<Item>,
    signature: [u8; SIGNATURE_LEN],
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
    /// The receipt does not verify against the ring.
    #[error("{0}")]
    Refused(Finding),
}

impl From<ChainError> for ReceiptError {
    fn from(e: ChainError) -> Self {
        Self::Refused(e.finding)
    }
}

/// A decision of which everything was verified against an authentic ring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifiedDecision {
    /// The decision's digest, by which a ledger names it.
    pub id: Digest,
    /// Ring digest.
    pub ring_digest: Digest,
    /// Version of the model.
    pub model_version: u64,
    /// Time of opening by the host's clock, in milliseconds since the Unix epoch.
    pub opened_at: u64,
    /// The weakest check that any host made.
    pub check: Check,
    /// The queries of the batch.
    pub items: Vec<Item>,
    /// The chain of records.
    pub chain: Chain,
}

impl Decision {
    /// Closes a chain: checks it against the ring, that it reached the last block, and that it
    /// carries the items' digests; then signs. `host` must be the key that opened the chain.
    ///
    /// # Errors
    /// [`ReceiptError::Refused`] where one of these does not hold.
    pub fn close(
        chain: Chain,
        items: Vec<Item>,
        ring: &AuthenticRing,
        host: &SecretKey<Host>,
    ) -> Result<Self, ReceiptError> {
        if chain.opening().host != host.public() {
            let finding = Finding::tampered(Section::File, "closed by another key than opened");
            return Err(ReceiptError::Refused(finding));
        }
        let mut decision = Self { chain, items, signature: [0; SIGNATURE_LEN] };
        decision.check_chain(ring)?;
        decision.signature = host.sign(label::SIGN_DECISION, &decision.id().0);
        Ok(decision)
    }

    /// The decision's digest: over the chain and the items.
    #[must_use]
    pub fn id(&self) -> Digest {
        Digest::of(label::DECISION, &[&self.encode_unsigned()])
    }

    /// The chain, not verified here.
    #[must_use]
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Verifies everything: the chain against the ring, that it is complete, the items, the closing
    /// signature.
    ///
    /// # Errors
    /// [`ReceiptError::Refused`]. Its verdict is stale if the decision is about another version of
    /// the ring, or signed by a host that this revision of the ring does not name; else tampered.
    pub fn verify(&self, ring: &AuthenticRing) -> Result<VerifiedDecision, ReceiptError> {
        self.check_chain(ring)?;
        let id = self.id();
        let opening = self.chain.opening();
        if !opening.host.has_signed(label::SIGN_DECISION, &id.0, &self.signature) {
            let finding = Finding::tampered(Section::Closure, "the closing signature does not fit");
            return Err(ReceiptError::Refused(finding));
        }
        let check = self.chain.receipts().iter().map(|r| r.check).min().unwrap_or(Check::None);
        Ok(VerifiedDecision {
            id,
            ring_digest: opening.ring_digest,
            model_version: opening.model_version,
            opened_at: opening.opened_at,
            check,
            items: self.items.clone(),
            chain: self.chain.clone(),
        })
    }

    fn check_chain(&self, ring: &AuthenticRing) -> Result<(), ReceiptError> {
        let refuse =
            |reason: &str| Err(ReceiptError::Refused(Finding::tampered(Section::Closure, reason)));
        let verified = self.chain.verify(ring)?;
        if verified.next_block() as usize != ring.layers().len() + 1 {
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
        Ok(())
    }

    /// The receipt file's bytes: `magic 8 | format version 2 | chain | items | signature 64`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes.extend_from_slice(&self.encode_unsigned());
        bytes.extend_from_slice(&self.signature);
        bytes
    }

    fn encode_unsigned(&self) -> Vec<u8> {
        let mut w = Writer::new();
        self.chain.encode(&mut w);
        w.count(self.items.len());
        for item in &self.items {
            w.raw(&item.inputs.0).raw(&item.outputs.0);
        }
        w.finish()
    }

    /// Decodes a receipt file's bytes strictly; verifies nothing.
    ///
    /// # Errors
    /// [`DecodeError`] where the bytes are not what [`encode`](Self::encode) writes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        if r.array("magic")? != MAGIC {
            return Err(DecodeError::WrongMagic { expected: "DRECEIPT" });
        }
        let version = r.u16("format version")?;
        if version != FORMAT_VERSION {
            return Err(DecodeError::BadValue {
                field: "format version",
                found: u64::from(version),
            });
        }
        let chain = Chain::decode(&mut r)?;
        let n = r.count("items", MAX_ITEMS, 64)?;
        let mut items = Vec::with_capacity(n);
        for _ in 0..n {
            items.push(Item {
                inputs: Digest(r.array("item inputs")?),
                outputs: Digest(r.array("item outputs")?),
            });
        }
        let signature = r.array("signature")?;
        r.finish()?;
        Ok(Self { chain, items, signature })
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
