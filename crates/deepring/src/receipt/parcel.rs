//! A message from one host to those that run the next leg: the chain so far, and, sealed for them,
//! the query's salt and the live tensors.
//!
//! ```text
//! chain
//! sealed tensors, bound to the chain's head
//! ```

use thiserror::Error;

use super::chain::{Chain, ChainError, VerifiedPrefix};
use super::sealed_tensors::{MAX_SEALED, SealedTensors, digest_of};
use super::value::{Salt, TensorValue};
use crate::crypto::{NoRandomness, Random, fill_randomly};
use crate::encoding::{DecodeError, Reader, Writer};
use crate::finding::{Finding, Section};
use crate::keys::{Host, PublicKey, SecretKey};
use crate::outline::AuthenticOutline;

/// The chain so far, in the clear, and the salt and the batch's live tensors, sealed for the hosts
/// of the next leg.
#[derive(Debug, Clone, PartialEq)]
pub struct Parcel {
    chain: Chain,
    tensors: SealedTensors,
}

/// The contents of a parcel.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivered {
    /// The chain so far, verified.
    pub chain: Chain,
    /// The part of it that need not be verified again.
    pub prefix: VerifiedPrefix,
    /// The salt of the query's digests; the one that its opening commits to.
    pub salt: Salt,
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
    /// Nothing is sealed for this host.
    #[error("the parcel does not open with this host's key")]
    NotForThisHost,
    /// The tensors are sealed for this host and do not decrypt: the wrapped key or the contents
    /// were changed, or were sealed under another record.
    #[error("the sealed tensors do not decrypt: they were changed, or sealed under another record")]
    Damaged,
    /// A recipient's public key is not usable.
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
    /// The opened tensors are not those that the record names under which they are sealed.
    #[error("the tensors are not those that the record names")]
    OtherTensors,
    /// The opened tensors or salt are not those that the chain names.
    #[error("{0}")]
    Refused(Finding),
    /// The system's generator failed.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

impl Parcel {
    /// Seals the batch's live tensors, once for all of `next`. They are bound to the chain: a
    /// parcel's content cannot be moved to another chain.
    ///
    /// # Errors
    /// As [`SealedTensors::seal`].
    pub fn seal(
        chain: Chain,
        salt: &Salt,
        batch: &[Vec<TensorValue>],
        next: &[PublicKey<Host>],
    ) -> Result<Self, ParcelError> {
        Self::seal_with(chain, salt, batch, next, &mut fill_randomly)
    }

    /// As [`seal`](Self::seal), with random bytes of the caller's.
    ///
    /// # Errors
    /// As [`SealedTensors::seal`].
    pub fn seal_with(
        chain: Chain,
        salt: &Salt,
        batch: &[Vec<TensorValue>],
        next: &[PublicKey<Host>],
        random: &mut Random<'_>,
    ) -> Result<Self, ParcelError> {
        let tensors = SealedTensors::seal(chain.head(), salt, batch, next, random)?;
        Ok(Self { chain, tensors })
    }

    /// Verifies the chain so far against the ring, and only then opens the tensors and compares them
    /// with those that the last record names.
    ///
    /// # Errors
    /// [`ParcelError::Chain`] before anything is opened; [`ParcelError::NotForThisHost`],
    /// [`ParcelError::Damaged`], [`ParcelError::Malformed`] and [`ParcelError::Refused`].
    pub fn open(
        self,
        outline: &AuthenticOutline,
        host: &SecretKey<Host>,
    ) -> Result<Delivered, ParcelError> {
        self.open_after(outline, host, None)
    }

    /// As [`open`](Self::open), without verifying again what `known` says was.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_after(
        self,
        outline: &AuthenticOutline,
        host: &SecretKey<Host>,
        known: Option<&VerifiedPrefix>,
    ) -> Result<Delivered, ParcelError> {
        let verified = self.chain.verify_after(outline, known)?;
        let prefix = verified.prefix();
        let (expected, next) = (verified.outputs(), verified.next_block());
        let refuse = |reason| {
            let finding = Finding::tampered(Section::File, reason).in_block(next, None);
            Err(ParcelError::Refused(finding))
        };
        let (salt, batch) = self.tensors.contents(self.chain.head(), host)?;
        if salt.commitment() != self.chain.opening().salt {
            return refuse("the parcel's salt is not the one that the opening commits to");
        }
        if digest_of(&salt, &batch) != expected {
            return refuse("the parcel's tensors are not those that the last receipt names");
        }
        Ok(Delivered { chain: self.chain, prefix, salt, batch })
    }

    /// The chain, not verified here.
    #[must_use]
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The sealed tensors.
    #[must_use]
    pub fn tensors(&self) -> &SealedTensors {
        &self.tensors
    }

    /// The hosts that it is sealed for; not verified.
    pub fn recipients(&self) -> impl Iterator<Item = PublicKey<Host>> + '_ {
        self.tensors.recipients()
    }

    /// The bytes that are sent.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        self.chain.encode(&mut w);
        self.tensors.encode(&mut w);
        w.finish()
    }

    /// Decodes a parcel strictly; verifies nothing.
    ///
    /// # Errors
    /// [`DecodeError`] where the bytes are not what [`encode`](Self::encode) writes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let chain = Chain::decode(&mut r)?;
        let tensors = SealedTensors::decode(&mut r)?;
        r.finish()?;
        Ok(Self { chain, tensors })
    }
}
