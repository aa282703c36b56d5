//! A message from one host to the next: the chain so far, and, sealed for that host, the live
//! tensors.

use thiserror::Error;

use super::chain::{Chain, ChainError};
use super::value::{TensorValue, batch_digest, tensors_digest};
use crate::crypto::{Digest, label, wrap};
use crate::encoding::{DecodeError, Reader, Writer};
use crate::finding::{Finding, Section};
use crate::keys::{Host, PublicKey, SecretKey};
use crate::ring::AuthenticRing;

/// Most bytes of sealed tensors in one parcel.
const MAX_SEALED: usize = u32::MAX as usize;
const MAX_ITEMS: usize = 1 << 20;
const MAX_TENSORS: usize = 4096;

/// The chain so far, in the clear, and the batch's live tensors, sealed with HPKE for one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    chain: Chain,
    enc: [u8; wrap::ENC_LEN],
    sealed: Vec<u8>,
}

/// The contents of a parcel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// The chain so far, verified.
    pub chain: Chain,
    /// For each query the live tensors: those that the chain's last record names.
    pub batch: Vec<Vec<TensorValue>>,
}

/// Why a parcel was not made or not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ParcelError {
    /// The parcel's chain does not verify; nothing was opened.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The sealed tensors are not for this host, or were changed.
    #[error("the parcel does not open with this host's key")]
    NotForThisHost,
    /// The recipient's public key is not usable.
    #[error("the next host's key is not usable")]
    UnusableRecipient,
    /// The batch is too large for one parcel.
    #[error("{bytes} bytes of tensors are more than the {MAX_SEALED} that a parcel can hold")]
    TooLarge {
        /// Bytes after sealing.
        bytes: usize,
    },
    /// The opened bytes are not tensors.
    #[error("the parcel opens to something else than tensors: {0}")]
    Malformed(#[from] DecodeError),
    /// The opened tensors are not those that the last record names.
    #[error("{0}")]
    Refused(Finding),
}

impl Parcel {
    /// Seals the batch's live tensors for the host that runs next. They are bound to the chain: a
    /// parcel's content cannot be moved to another chain.
    /// `HPKE.SealBase(pkR = next, info = "deepring v3 seal parcel", aad = chain head 32, contents)`
    ///
    /// # Errors
    /// [`ParcelError::UnusableRecipient`] and [`ParcelError::TooLarge`].
    pub fn seal(
        chain: Chain,
        batch: &[Vec<TensorValue>],
        next: &PublicKey<Host>,
    ) -> Result<Self, ParcelError> {
        let plaintext = zeroize::Zeroizing::new(encode_contents(batch));
        let (enc, sealed) = next
            .seal_for(label::SEAL_PARCEL.as_bytes(), &chain.head().0, &plaintext)
            .map_err(|_| ParcelError::UnusableRecipient)?;
        if sealed.len() > MAX_SEALED {
            return Err(ParcelError::TooLarge { bytes: sealed.len() });
        }
        Ok(Self { chain, enc, sealed })
    }

    /// Verifies the chain so far against the ring, and only then opens the tensors and compares
    /// them with those that the last record names.
    ///
    /// # Errors
    /// [`ParcelError::Chain`] before anything is opened; [`ParcelError::NotForThisHost`],
    /// [`ParcelError::Malformed`] and [`ParcelError::Refused`].
    pub fn open(
        self,
        ring: &AuthenticRing,
        host: &SecretKey<Host>,
    ) -> Result<Delivered, ParcelError> {
        let verified = self.chain.verify(ring)?;
        let expected = verified.outputs();
        let plaintext = host
            .open_sealed(
                &self.enc,
                label::SEAL_PARCEL.as_bytes(),
                &self.chain.head().0,
                &self.sealed,
            )
            .map_err(|_| ParcelError::NotForThisHost)?;
        let batch = decode_contents(&plaintext)?;
        let digests: Vec<Digest> = batch.iter().map(|t| tensors_digest(t)).collect();
        if batch_digest(&digests) != expected {
            let finding = Finding::tampered(
                Section::File,
                "the parcel's tensors are not those that the last receipt names",
            );
            return Err(ParcelError::Refused(finding.in_block(verified.next_block(), None)));
        }
        Ok(Delivered { chain: self.chain, batch })
    }

    /// The chain, not verified here.
    #[must_use]
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The bytes that are sent: `chain || encapsulated key 32 || length 4 || sealed tensors`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        self.chain.encode(&mut w);
        w.raw(&self.enc).bytes(&self.sealed);
        w.finish()
    }

    /// Decodes a parcel strictly; verifies nothing.
    ///
    /// # Errors
    /// [`DecodeError`] where the bytes are not what [`encode`](Self::encode) writes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let chain = Chain::decode(&mut r)?;
        let enc = r.array("encapsulated key")?;
        let sealed = r.bytes("sealed tensors", MAX_SEALED)?.to_vec();
        r.finish()?;
        Ok(Self { chain, enc, sealed })
    }
}

/// `list of queries (live tensors)`
pub(crate) fn encode_contents(batch: &[Vec<TensorValue>]) -> Vec<u8> {
    let mut w = Writer::new();
    w.count(batch.len());
    for tensors in batch {
        w.count(tensors.len());
        tensors.iter().for_each(|t| t.encode(&mut w));
    }
    w.finish()
}

pub(crate) fn decode_contents(bytes: &[u8]) -> Result<Vec<Vec<TensorValue>>, DecodeError> {
    let mut r = Reader::new(bytes);
    let n = r.count("items", MAX_ITEMS, 4)?;
    let mut batch = Vec::with_capacity(n);
    for _ in 0..n {
        let n = r.count("tensors", MAX_TENSORS, 11)?;
        batch.push((0..n).map(|_| TensorValue::decode(&mut r)).collect::<Result<_, _>>()?);
    }
    r.finish()?;
    Ok(batch)
}
