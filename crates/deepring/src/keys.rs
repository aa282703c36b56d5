//! Owner keys, host keys and node keys: a signing half (Ed25519) each, and a second one: with which owners and hosts open
//! (X25519), and nodes cosign checkpoints (Ed25519).
//!
//! The roles have different types and different text prefixes, so an owner key can never be
//! passed where a host key is expected. A secret is kept once, in memory of its own that its clones
//! share; it is wiped when the last of them is dropped, never printed, and written only to files
//! that no other user may read.

mod author;
#[cfg(feature = "passphrase")]
pub(crate) mod encrypted;
mod network;
mod passphrase;
mod signer;
pub(crate) mod text;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use deepring_memory::{Protection, SecretBytes};
use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

use crate::crypto::{fill_randomly, signature, wrap};

pub use crate::crypto::{NoRandomness, Random};
pub use author::{Author, AuthorKey, log_digest};
#[cfg(feature = "passphrase")]
pub use encrypted::{EncryptedKeyError, MAX_WORK};
pub use passphrase::{MAX_PASSPHRASE, Passphrase, UnusablePassphrase};
pub use signer::{OwnerMessage, OwnerOpening, OwnerSigner, SignerError, SigningOwner};
pub use text::ParseKeyError;

/// Bytes of a public key: Ed25519 key, then X25519 key (of a node: another Ed25519 key).
pub(crate) const PUBLIC_LEN: usize = 64;
/// Bytes of a secret key: Ed25519 seed, then X25519 secret (of a node: another Ed25519 seed).
const SECRET_LEN: usize = 64;

mod sealed {
    pub trait Sealed {
        /// The public bytes to which the second half of a secret key is the secret.
        fn second_half(secret: &[u8; 32]) -> Option<[u8; 32]>;
    }

    /// A role whose second half opens what was sealed for it.
    pub trait Opens: super::Role {}
}

pub(crate) use sealed::Opens;

/// The role of a key; closed to the three roles of the format.
pub trait Role: sealed::Sealed + Copy + Eq + fmt::Debug + Send + Sync + 'static {
    /// The role's name in files and messages.
    const NAME: &'static str;
    /// Human-readable part of the public key's text form.
    const PUBLIC_PREFIX: &'static str;
    /// Human-readable part of the secret key's text form.
    const SECRET_PREFIX: &'static str;
}

/// The role that signs rings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner;

/// The role that opens blocks and signs receipts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Host;

/// The role that votes on a ledger's entries and cosigns its checkpoints. It opens nothing: its second half is an Ed25519 key
/// of its own, which signs cosignatures of checkpoints ([`SecretKey::cosign`]) and nothing else, as the first signs labelled
/// records and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node;

impl sealed::Sealed for Owner {
    fn second_half(secret: &[u8; 32]) -> Option<[u8; 32]> {
        wrap::public_of(secret).ok()
    }
}

impl sealed::Sealed for Host {
    fn second_half(secret: &[u8; 32]) -> Option<[u8; 32]> {
        wrap::public_of(secret).ok()
    }
}

impl sealed::Sealed for Node {
    fn second_half(secret: &[u8; 32]) -> Option<[u8; 32]> {
        signature::public_of(secret)
    }
}

impl Opens for Owner {}
impl Opens for Host {}

impl Role for Owner {
    const NAME: &'static str = "owner";
    const PUBLIC_PREFIX: &'static str = "drowner";
    const SECRET_PREFIX: &'static str = "drownersecret";
}

impl Role for Host {
    const NAME: &'static str = "host";
    const PUBLIC_PREFIX: &'static str = "drhost";
    const SECRET_PREFIX: &'static str = "drhostsecret";
}

impl Role for Node {
    const NAME: &'static str = "node";
    const PUBLIC_PREFIX: &'static str = "drnode";
    const SECRET_PREFIX: &'static str = "drnodesecret";
}

/// A public key of one role.
pub struct PublicKey<R: Role> {
    bytes: [u8; PUBLIC_LEN],
    role: PhantomData<R>,
}

impl<R: Role> PublicKey<R> {
    /// Returns whether whoever signs with this key signs with the other, too: their first halves are
    /// equal. Two such keys are one party, whatever their second halves.
    #[must_use]
    pub fn signs_as(&self, other: &Self) -> bool {
        self.bytes.first_chunk::<32>() == other.bytes.first_chunk::<32>()
    }

    /// The key with these bytes (Ed25519 key, then X25519 key; of a node, another Ed25519 key). All bytes are
    /// accepted: a key that is no curve point verifies nothing and opens nothing.
    #[must_use]
    pub fn from_bytes(bytes: [u8; PUBLIC_LEN]) -> Self {
        Self { bytes, role: PhantomData }
    }

    /// The key's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; PUBLIC_LEN] {
        &self.bytes
    }

    /// A short form for messages; never for comparison.
    #[must_use]
    pub fn short(&self) -> String {
        let text = self.to_string();
        let cut = R::PUBLIC_PREFIX.len() + 11;
        text.get(..cut).map_or(text.clone(), |head| format!("{head}…"))
    }

    fn signing_half(&self) -> &[u8; 32] {
        // The array is 64 bytes long, so the first 32 always exist.
        self.bytes.first_chunk().unwrap_or(&[0; 32])
    }

    fn second_half(&self) -> &[u8; 32] {
        self.bytes.last_chunk().unwrap_or(&[0; 32])
    }

    pub(crate) fn has_signed(&self, label: &str, message: &[u8], signature: &[u8]) -> bool {
        signature::is_signed(self.signing_half(), label, message, signature)
    }
}

impl<R: Opens> PublicKey<R> {
    pub(crate) fn seal_for(
        &self,
        info: &[u8],
        aad: &[u8],
        plaintext: &[u8],
    ) -> Result<([u8; wrap::ENC_LEN], Vec<u8>), wrap::HpkeFailed> {
        wrap::seal(self.second_half(), info, aad, plaintext)
    }

    /// As [`seal_for`](Self::seal_for), with 32 random bytes that were drawn for this one sealing.
    pub(crate) fn seal_with(
        &self,
        random: &[u8; 32],
        info: &[u8],
        aad: &[u8],
        plaintext: &[u8],
    ) -> Result<([u8; wrap::ENC_LEN], Vec<u8>), wrap::HpkeFailed> {
        wrap::seal_with(random, self.second_half(), (info, aad), plaintext)
    }
}

impl PublicKey<Node> {
    /// The Ed25519 key under which the node's cosignatures of checkpoints verify.
    #[must_use]
    pub fn cosigner(&self) -> &[u8; 32] {
        self.second_half()
    }
}

/// A secret key of one role, with its public key.
pub struct SecretKey<R: Role> {
    /// Both halves, one behind the other.
    secret: SecretBytes,
    public: PublicKey<R>,
}

/// The library refused secret bytes that it would not have made itself, or there was no memory to
/// keep them in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not usable as a secret key")]
pub struct UnusableKey;

impl<R: Role> SecretKey<R> {
    /// A new key from the system's random generator.
    ///
    /// # Errors
    /// [`NoRandomness`] where the generator fails, or there is no memory to keep the key in.
    pub fn generate() -> Result<Self, NoRandomness> {
        let secret = SecretBytes::filled(SECRET_LEN, |place| fill_randomly(place).is_ok());
        Self::from_secret(secret.ok_or(NoRandomness)?).map_err(|_| NoRandomness)
    }

    /// The key with these secret halves: Ed25519 seed and X25519 secret (of a node: another Ed25519 seed).
    ///
    /// # Errors
    /// [`UnusableKey`] where the library refuses them, or there is no memory to keep them in.
    pub fn from_halves(seed: &[u8; 32], second: &[u8; 32]) -> Result<Self, UnusableKey> {
        let secret = SecretBytes::filled(SECRET_LEN, |place| {
            let (signing, rest) = place.split_at_mut(seed.len());
            signing.copy_from_slice(seed);
            rest.copy_from_slice(second);
            true
        });
        Self::from_secret(secret.ok_or(UnusableKey)?)
    }

    /// The key with these halves, one behind the other.
    pub(crate) fn from_secret(secret: SecretBytes) -> Result<Self, UnusableKey> {
        let mut key = Self { secret, public: PublicKey::from_bytes([0; PUBLIC_LEN]) };
        let signing = signature::public_of(key.seed()).ok_or(UnusableKey)?;
        let second = R::second_half(key.second()).ok_or(UnusableKey)?;
        key.public.bytes[..32].copy_from_slice(&signing);
        key.public.bytes[32..].copy_from_slice(&second);
        Ok(key)
    }

    // A secret is 64 bytes long, so both halves always exist.
    fn seed(&self) -> &[u8; 32] {
        self.secret.expose().first_chunk().unwrap_or(&[0; 32])
    }

    fn second(&self) -> &[u8; 32] {
        self.secret.expose().last_chunk().unwrap_or(&[0; 32])
    }

    /// The protection of the secret in memory.
    #[must_use]
    pub fn protection(&self) -> Protection {
        self.secret.protection()
    }

    /// The public key that belongs to it.
    #[must_use]
    pub fn public(&self) -> PublicKey<R> {
        self.public
    }

    pub(crate) fn sign(&self, label: &str, message: &[u8]) -> [u8; signature::SIGNATURE_LEN] {
        signature::sign(self.seed(), label, message)
    }

    fn secret_bytes(&self) -> &[u8] {
        self.secret.expose()
    }
}

impl<R: Opens> SecretKey<R> {
    pub(crate) fn open_sealed(
        &self,
        enc: &[u8; wrap::ENC_LEN],
        info: &[u8],
        aad: &[u8],
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, wrap::HpkeFailed> {
        wrap::open(self.second(), enc, info, aad, ciphertext)
    }
}

impl SecretKey<Node> {
    /// Cosigns a checkpoint with the second half: Ed25519 over `cosignature/v1`, the time and the note's text, a line each
    /// (`c2sp.org/tlog-cosignature`, "Ed25519 signed message"). `timestamp` is in seconds since the Unix epoch, and not 0;
    /// `note_text` is the note's text with the line feed that ends it.
    #[must_use]
    pub fn cosign(&self, timestamp: u64, note_text: &str) -> [u8; signature::SIGNATURE_LEN] {
        let message = format!("cosignature/v1\ntime {timestamp}\n{note_text}");
        signature::sign_as_is(self.second(), message.as_bytes())
    }
}

impl<R: Role> Clone for SecretKey<R> {
    fn clone(&self) -> Self {
        Self { secret: self.secret.clone(), public: self.public }
    }
}

impl<R: Role> Clone for PublicKey<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R: Role> Copy for PublicKey<R> {}

impl<R: Role> PartialEq for PublicKey<R> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl<R: Role> Eq for PublicKey<R> {}

impl<R: Role> Hash for PublicKey<R> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes.hash(state);
    }
}

impl<R: Role> fmt::Debug for PublicKey<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl<R: Role> fmt::Debug for SecretKey<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.public.short())
    }
}

impl<R: Role> Serialize for PublicKey<R> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}
