//! A message from one host to those that run the next leg: the chain so far, and, sealed for them,
//! the query's salt and the live tensors.
//!
//! ```text
//! chain
//! recipients: list of (host key 64 | encapsulated key 32 | wrapped content key 48)
//! body: bytes, the sealed contents in chunks of 64 KiB
//!
//! contents: salt 32 | list of queries, each a list of tensor values
//! ```
//!
//! The content key is random and seals one body. It is wrapped for each recipient with HPKE; the
//! body is sealed once for all of them, chunk by chunk as a block's is. Both are bound to the
//! chain's head.

use thiserror::Error;
use zeroize::Zeroizing;

use super::chain::{Chain, ChainError, VerifiedPrefix};
use super::value::{Salt, TensorValue, batch_digest, tensors_digest};
use crate::crypto::aead::{BlockKey, CHUNK_LEN, TAG_LEN};
use crate::crypto::{Digest, NoRandomness, label, wrap};
use crate::encoding::{DecodeError, Reader, Writer};
use crate::finding::{Finding, Section};
use crate::keys::{Host, PublicKey, SecretKey};
use crate::outline::AuthenticOutline;

/// Most bytes of sealed tensors in one parcel.
const MAX_SEALED: usize = u32::MAX as usize;
const MAX_ITEMS: usize = 1 << 20;
const MAX_TENSORS: usize = 4096;
/// Most recipients of a parcel: the copies of a leg, or those that stand in for Genesis.
const MAX_RECIPIENTS: usize = 4096;
const WRAPPED_LEN: usize = 32 + wrap::TAG_LEN;

/// The chain so far, in the clear, and the salt and the batch's live tensors, sealed for the hosts
/// of the next leg.
#[derive(Debug, Clone, PartialEq)]
pub struct Parcel {
    chain: Chain,
    recipients: Vec<Wrapped>,
    sealed: Vec<u8>,
}

/// The content key, wrapped for one host.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wrapped {
    host: PublicKey<Host>,
    enc: [u8; wrap::ENC_LEN],
    key: [u8; WRAPPED_LEN],
}

/// The contents of a parcel.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivered {
    /// The chain so far, verified.
    pub chain: Chain,
    /// What of it need not be verified again.
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
    /// The sealed tensors are not for this host, or were changed.
    #[error("the parcel does not open with this host's key")]
    NotForThisHost,
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
    /// The opened tensors are not those that the last record names.
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
    /// `HPKE.SealBase(pkR = host, info = "deepring v3 seal parcel", aad = chain head 32 || host key
    /// 64, content key 32)` for each host, and the contents in chunks under the content key.
    ///
    /// # Errors
    /// [`ParcelError::UnusableRecipient`], [`ParcelError::TooLarge`], [`ParcelError::NoRandomness`].
    pub fn seal(
        chain: Chain,
        salt: &Salt,
        batch: &[Vec<TensorValue>],
        next: &[PublicKey<Host>],
    ) -> Result<Self, ParcelError> {
        let unusable = || ParcelError::UnusableRecipient;
        let head = chain.head();
        let key = BlockKey::random()?;
        let cipher = key.parcel_cipher(head).ok_or_else(unusable)?;
        let plaintext = Zeroizing::new(encode_contents(salt, batch));
        let bytes = plaintext.len() + plaintext.len().div_ceil(CHUNK_LEN) * TAG_LEN;
        if bytes > MAX_SEALED {
            return Err(ParcelError::TooLarge { bytes });
        }
        let mut sealed = Vec::with_capacity(bytes);
        let count = plaintext.len().div_ceil(CHUNK_LEN);
        for (i, chunk) in plaintext.chunks(CHUNK_LEN).enumerate() {
            cipher.seal(i as u64, i + 1 == count, chunk, &mut sealed).map_err(|_| unusable())?;
        }
        let wrap = |host: &PublicKey<Host>| {
            let info = label::SEAL_PARCEL.as_bytes();
            let (enc, wrapped) = host.seal_for(info, &aad(head, host), key.as_bytes()).ok()?;
            Some(Wrapped { host: *host, enc, key: wrapped.try_into().ok()? })
        };
        let recipients = next.iter().map(wrap).collect::<Option<Vec<_>>>().ok_or_else(unusable)?;
        Ok(Self { chain, recipients, sealed })
    }

    /// Verifies the chain so far against the ring, and only then opens the tensors and compares them
    /// with those that the last record names.
    ///
    /// # Errors
    /// [`ParcelError::Chain`] before anything is opened; [`ParcelError::NotForThisHost`],
    /// [`ParcelError::Malformed`] and [`ParcelError::Refused`].
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
        let plaintext = self.decrypt(host).ok_or(ParcelError::NotForThisHost)?;
        let (salt, batch) = decode_contents(&plaintext)?;
        let refuse = |reason| {
            let finding = Finding::tampered(Section::File, reason).in_block(next, None);
            Err(ParcelError::Refused(finding))
        };
        if salt.commitment() != self.chain.opening().salt {
            return refuse("the parcel's salt is not the one that the opening commits to");
        }
        let digests: Vec<Digest> = batch.iter().map(|t| tensors_digest(&salt, t)).collect();
        if batch_digest(&digests) != expected {
            return refuse("the parcel's tensors are not those that the last receipt names");
        }
        Ok(Delivered { chain: self.chain, prefix, salt, batch })
    }

    fn decrypt(&self, host: &SecretKey<Host>) -> Option<Zeroizing<Vec<u8>>> {
        let (head, public) = (self.chain.head(), host.public());
        let mine = self.recipients.iter().find(|r| r.host == public)?;
        let info = label::SEAL_PARCEL.as_bytes();
        let key = host.open_sealed(&mine.enc, info, &aad(head, &public), &mine.key).ok()?;
        let cipher = BlockKey::from_bytes(&key)?.parcel_cipher(head)?;
        let count = self.sealed.len().div_ceil(CHUNK_LEN + TAG_LEN);
        let len = self.sealed.len().checked_sub(count * TAG_LEN)?;
        let mut plaintext = Zeroizing::new(vec![0; len]);
        let chunks = self.sealed.chunks(CHUNK_LEN + TAG_LEN);
        for (i, (sealed, plain)) in chunks.zip(plaintext.chunks_mut(CHUNK_LEN)).enumerate() {
            cipher.open(i as u64, i + 1 == count, sealed, plain).ok()?;
        }
        Some(plaintext)
    }

    /// The chain, not verified here.
    #[must_use]
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The hosts that it is sealed for; not verified.
    pub fn recipients(&self) -> impl Iterator<Item = PublicKey<Host>> + '_ {
        self.recipients.iter().map(|r| r.host)
    }

    /// The bytes that are sent.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        self.chain.encode(&mut w);
        w.count(self.recipients.len());
        for recipient in &self.recipients {
            w.raw(recipient.host.as_bytes()).raw(&recipient.enc).raw(&recipient.key);
        }
        w.bytes(&self.sealed);
        w.finish()
    }

    /// Decodes a parcel strictly; verifies nothing.
    ///
    /// # Errors
    /// [`DecodeError`] where the bytes are not what [`encode`](Self::encode) writes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let chain = Chain::decode(&mut r)?;
        let n = r.count("recipients", MAX_RECIPIENTS, 64 + wrap::ENC_LEN + WRAPPED_LEN)?;
        let mut recipients = Vec::with_capacity(n);
        for _ in 0..n {
            recipients.push(Wrapped {
                host: PublicKey::from_bytes(r.array("host key")?),
                enc: r.array("encapsulated key")?,
                key: r.array("wrapped key")?,
            });
        }
        let sealed = r.bytes("sealed tensors", MAX_SEALED)?.to_vec();
        r.finish()?;
        Ok(Self { chain, recipients, sealed })
    }
}

/// `chain head 32 || host key 64`
fn aad(head: Digest, host: &PublicKey<Host>) -> [u8; 96] {
    let mut aad = [0; 96];
    aad[..32].copy_from_slice(&head.0);
    aad[32..].copy_from_slice(host.as_bytes());
    aad
}

/// `salt 32 || list of queries (live tensors)`
pub(crate) fn encode_contents(salt: &Salt, batch: &[Vec<TensorValue>]) -> Vec<u8> {
    let mut w = Writer::new();
    w.raw(salt.as_bytes()).count(batch.len());
    for tensors in batch {
        w.count(tensors.len());
        tensors.iter().for_each(|t| t.encode(&mut w));
    }
    w.finish()
}

pub(crate) fn decode_contents(bytes: &[u8]) -> Result<(Salt, Vec<Vec<TensorValue>>), DecodeError> {
    let mut r = Reader::new(bytes);
    let none = DecodeError::BadValue { field: "salt", found: 0 };
    let salt = Salt::from_bytes(r.array("salt")?).ok_or(none)?;
    let n = r.count("items", MAX_ITEMS, 4)?;
    let mut batch = Vec::with_capacity(n);
    for _ in 0..n {
        let n = r.count("tensors", MAX_TENSORS, 11)?;
        batch.push((0..n).map(|_| TensorValue::decode(&mut r)).collect::<Result<_, _>>()?);
    }
    r.finish()?;
    Ok((salt, batch))
}
