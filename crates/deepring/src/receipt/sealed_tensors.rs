//! A query's salt and tensors, sealed once for several hosts and bound to the record that names the tensors.
//!
//! ```text
//! recipients: list of (host key 64 | encapsulated key 32 | wrapped content key 48)
//! body: bytes, the sealed contents in chunks of 64 KiB
//!
//! contents: salt 32 | list of queries, each a list of tensor values
//! ```
//!
//! The content key is random and seals one body. It is wrapped for each recipient with HPKE; the
//! body is sealed once for all of them, chunk by chunk as a block's is. Both are bound to the
//! record: what was sealed under one cannot be shown under another.

use zeroize::Zeroizing;

use super::parcel::ParcelError;
use super::value::{Salt, TensorValue, batch_digest, tensors_digest};
use crate::crypto::aead::{BlockKey, CHUNK_LEN, TAG_LEN};
use crate::crypto::{Digest, Random, label, wrap};
use crate::encoding::{DecodeError, Reader, Writer};
use crate::keys::{Host, PublicKey, SecretKey};

/// Most bytes of sealed tensors in one parcel.
pub(super) const MAX_SEALED: usize = u32::MAX as usize;
const MAX_ITEMS: usize = 1 << 20;
const MAX_TENSORS: usize = 4096;
/// Most recipients: the copies of a leg, or those that stand in for Genesis.
const MAX_RECIPIENTS: usize = 4096;
const WRAPPED_LEN: usize = 32 + wrap::TAG_LEN;
const RECIPIENT_LEN: usize = 64 + wrap::ENC_LEN + WRAPPED_LEN;

/// Salt and tensors, sealed for some hosts and bound to a record: an opening or a receipt.
#[derive(Debug, Clone, PartialEq)]
pub struct SealedTensors {
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

impl SealedTensors {
    /// Seals the tensors that a record names, once for all of `hosts`. `random` is drawn from once
    /// for the content key and once for each host.
    ///
    /// `HPKE.SealBase(pkR = host, info = "deepring v3 seal parcel", aad = record digest 32 || host
    /// key 64, content key 32)` for each host, and the contents in chunks under the content key.
    ///
    /// # Errors
    /// [`ParcelError::UnusableRecipient`], [`ParcelError::TooLarge`], [`ParcelError::NoRandomness`].
    pub fn seal(
        record: Digest,
        salt: &Salt,
        batch: &[Vec<TensorValue>],
        hosts: &[PublicKey<Host>],
        random: &mut Random<'_>,
    ) -> Result<Self, ParcelError> {
        let unusable = || ParcelError::UnusableRecipient;
        let key = BlockKey::random_from(random)?;
        let cipher = key.parcel_cipher(record).ok_or_else(unusable)?;
        let plaintext = Zeroizing::new(encode_contents(salt, batch));
        let bytes = sealed_len(plaintext.len());
        if bytes > MAX_SEALED {
            return Err(ParcelError::TooLarge { bytes });
        }
        let mut sealed = Vec::with_capacity(bytes);
        let count = plaintext.len().div_ceil(CHUNK_LEN);
        for (i, chunk) in plaintext.chunks(CHUNK_LEN).enumerate() {
            cipher.seal(i as u64, i + 1 == count, chunk, &mut sealed).map_err(|_| unusable())?;
        }
        let mut recipients = Vec::with_capacity(hosts.len());
        for host in hosts {
            let mut drawn = Zeroizing::new([0; 32]);
            random(drawn.as_mut_slice())?;
            let (info, aad) = (label::SEAL_PARCEL.as_bytes(), aad(record, host));
            let wrapped = host.seal_with(&drawn, info, &aad, key.as_bytes());
            let (enc, wrapped) = wrapped.map_err(|_| unusable())?;
            let key = wrapped.try_into().map_err(|_| unusable())?;
            recipients.push(Wrapped { host: *host, enc, key });
        }
        Ok(Self { recipients, sealed })
    }

    /// Opens the tensors and compares them with those that the record names.
    ///
    /// # Errors
    /// [`ParcelError::NotForThisHost`], [`ParcelError::Damaged`], [`ParcelError::Malformed`];
    /// [`ParcelError::OtherTensors`] where they are not those of `outputs`.
    pub fn open(
        &self,
        record: Digest,
        outputs: Digest,
        host: &SecretKey<Host>,
    ) -> Result<(Salt, Vec<Vec<TensorValue>>), ParcelError> {
        let (salt, batch) = self.contents(record, host)?;
        match digest_of(&salt, &batch) == outputs {
            true => Ok((salt, batch)),
            false => Err(ParcelError::OtherTensors),
        }
    }

    /// Opens salt and tensors as they were sealed, and compares them with nothing.
    pub(super) fn contents(
        &self,
        record: Digest,
        host: &SecretKey<Host>,
    ) -> Result<(Salt, Vec<Vec<TensorValue>>), ParcelError> {
        let public = host.public();
        let mine = self.recipients.iter().find(|r| r.host == public);
        let mine = mine.ok_or(ParcelError::NotForThisHost)?;
        let plaintext = self.decrypt(record, host, mine).ok_or(ParcelError::Damaged)?;
        Ok(decode_contents(&plaintext)?)
    }

    /// `mine`: the content key that is wrapped for `host`.
    fn decrypt(
        &self,
        record: Digest,
        host: &SecretKey<Host>,
        mine: &Wrapped,
    ) -> Option<Zeroizing<Vec<u8>>> {
        let public = host.public();
        let info = label::SEAL_PARCEL.as_bytes();
        let key = host.open_sealed(&mine.enc, info, &aad(record, &public), &mine.key).ok()?;
        let cipher = BlockKey::from_bytes(&key)?.parcel_cipher(record)?;
        let count = self.sealed.len().div_ceil(CHUNK_LEN + TAG_LEN);
        let len = self.sealed.len().checked_sub(count * TAG_LEN)?;
        let mut plaintext = Zeroizing::new(vec![0; len]);
        let chunks = self.sealed.chunks(CHUNK_LEN + TAG_LEN);
        for (i, (sealed, plain)) in chunks.zip(plaintext.chunks_mut(CHUNK_LEN)).enumerate() {
            cipher.open(i as u64, i + 1 == count, sealed, plain).ok()?;
        }
        Some(plaintext)
    }

    /// The hosts that it is sealed for; not verified.
    pub fn recipients(&self) -> impl Iterator<Item = PublicKey<Host>> + '_ {
        self.recipients.iter().map(|r| r.host)
    }

    /// Bytes of the sealed body.
    #[must_use]
    pub fn body_len(&self) -> usize {
        self.sealed.len()
    }

    /// Bytes of a sealed body whose contents are `plain` bytes long.
    #[must_use]
    pub fn body_len_of(plain: usize) -> usize {
        sealed_len(plain)
    }

    /// Its bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        self.encode(&mut w);
        w.finish()
    }

    /// Decodes it strictly; opens nothing.
    ///
    /// # Errors
    /// [`DecodeError`] where the bytes are not what [`to_bytes`](Self::to_bytes) writes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let this = Self::decode(&mut r)?;
        r.finish()?;
        Ok(this)
    }

    pub(super) fn encode(&self, w: &mut Writer) {
        w.count(self.recipients.len());
        for recipient in &self.recipients {
            w.raw(recipient.host.as_bytes()).raw(&recipient.enc).raw(&recipient.key);
        }
        w.bytes(&self.sealed);
    }

    pub(super) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let n = r.count("recipients", MAX_RECIPIENTS, RECIPIENT_LEN)?;
        let mut recipients = Vec::with_capacity(n);
        for _ in 0..n {
            recipients.push(Wrapped {
                host: PublicKey::from_bytes(r.array("host key")?),
                enc: r.array("encapsulated key")?,
                key: r.array("wrapped key")?,
            });
        }
        let sealed = r.bytes("sealed tensors", MAX_SEALED)?.to_vec();
        Ok(Self { recipients, sealed })
    }
}

/// The digest over a batch of tensor sets.
pub(super) fn digest_of(salt: &Salt, batch: &[Vec<TensorValue>]) -> Digest {
    batch_digest(&batch.iter().map(|t| tensors_digest(salt, t)).collect::<Vec<_>>())
}

fn sealed_len(plain: usize) -> usize {
    plain.saturating_add(plain.div_ceil(CHUNK_LEN) * TAG_LEN)
}

/// `record digest 32 || host key 64`
fn aad(record: Digest, host: &PublicKey<Host>) -> [u8; 96] {
    let mut aad = [0; 96];
    aad[..32].copy_from_slice(&record.0);
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
