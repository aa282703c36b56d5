//! The author of a ledger's entry: a key of any role.

use std::fmt;

use serde::{Serialize, Serializer};

use super::{Host, Node, Owner, PublicKey, SecretKey, SignerError, SigningOwner};
use crate::crypto::signature::SIGNATURE_LEN;
use crate::crypto::{Digest, label};
use crate::encoding::{DecodeError, Reader, Writer};

/// The public key of an entry's author, of whatever role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Author {
    /// An owner of rings.
    Owner(PublicKey<Owner>),
    /// A host of blocks.
    Host(PublicKey<Host>),
    /// A node that keeps the ledger.
    Node(PublicKey<Node>),
}

/// The secret key of an entry's author.
#[derive(Debug, Clone)]
pub enum AuthorKey {
    /// An owner's, or what signs for one.
    Owner(SigningOwner),
    /// A host's.
    Host(SecretKey<Host>),
    /// A node's.
    Node(SecretKey<Node>),
}

impl Author {
    /// The key's bytes: Ed25519 half, then X25519 half.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 64] {
        match self {
            Self::Owner(key) => key.as_bytes(),
            Self::Host(key) => key.as_bytes(),
            Self::Node(key) => key.as_bytes(),
        }
    }

    /// A short form for messages; never for comparison.
    #[must_use]
    pub fn short(&self) -> String {
        match self {
            Self::Owner(key) => key.short(),
            Self::Host(key) => key.short(),
            Self::Node(key) => key.short(),
        }
    }

    /// `role 1 (0 owner, 1 host, 2 node) | key 64`
    pub fn encode(&self, w: &mut Writer) {
        let role = match self {
            Self::Owner(_) => 0,
            Self::Host(_) => 1,
            Self::Node(_) => 2,
        };
        w.u8(role).raw(self.as_bytes());
    }

    /// Reads what [`encode`](Self::encode) writes.
    ///
    /// # Errors
    /// [`DecodeError`] at the end of the input, and for another role.
    pub fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let role = r.u8("author role")?;
        let key = r.array("author key")?;
        match role {
            0 => Ok(Self::Owner(PublicKey::from_bytes(key))),
            1 => Ok(Self::Host(PublicKey::from_bytes(key))),
            2 => Ok(Self::Node(PublicKey::from_bytes(key))),
            found => Err(DecodeError::BadValue { field: "author role", found: u64::from(found) }),
        }
    }

    /// Returns whether the author signed the entry of these bytes (without signature).
    #[must_use]
    pub fn has_signed_entry(&self, entry: &[u8], signature: &[u8; SIGNATURE_LEN]) -> bool {
        self.has_signed(label::SIGN_ENTRY, &Digest::of(label::ENTRY, &[entry]).0, signature)
    }

    /// Returns whether this key, which takes over from `old`, signed that it does.
    #[must_use]
    pub fn has_signed_rotation(
        &self,
        old: &PublicKey<Owner>,
        signature: &[u8; SIGNATURE_LEN],
    ) -> bool {
        self.has_signed(label::SIGN_ROTATION, old.as_bytes(), signature)
    }

    /// Returns whether this key countersigned an audit: that its copy of what `statement` names gave
    /// the digest in it.
    #[must_use]
    pub fn has_signed_audit(&self, statement: &[u8], signature: &[u8; SIGNATURE_LEN]) -> bool {
        self.has_signed(label::SIGN_AUDIT, &Digest::of(label::AUDIT, &[statement]).0, signature)
    }

    fn has_signed(&self, label: &str, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Owner(key) => key.has_signed(label, message, signature),
            Self::Host(key) => key.has_signed(label, message, signature),
            Self::Node(key) => key.has_signed(label, message, signature),
        }
    }
}

/// The name of a log, as entries are bound to it:
/// `BLAKE3.derive_key["deepring v1 log"](origin)`.
#[must_use]
pub fn log_digest(origin: &str) -> Digest {
    Digest::of(label::LOG, &[origin.as_bytes()])
}

impl AuthorKey {
    /// The public key that belongs to it.
    #[must_use]
    pub fn public(&self) -> Author {
        match self {
            Self::Owner(key) => Author::Owner(key.public()),
            Self::Host(key) => Author::Host(key.public()),
            Self::Node(key) => Author::Node(key.public()),
        }
    }

    /// Signs an entry's bytes (without signature):
    /// `Ed25519["deepring v1 sign entry"](BLAKE3.derive_key["deepring v1 entry digest"](entry))`.
    ///
    /// # Errors
    /// [`SignerError`] of an owner's signer.
    pub fn sign_entry(&self, entry: &[u8]) -> Result<[u8; SIGNATURE_LEN], SignerError> {
        self.sign(label::SIGN_ENTRY, &Digest::of(label::ENTRY, &[entry]).0)
    }

    fn sign(
        &self,
        label: &'static str,
        message: &[u8],
    ) -> Result<[u8; SIGNATURE_LEN], SignerError> {
        match self {
            Self::Owner(owner) => owner.sign(label, message),
            Self::Host(key) => Ok(key.sign(label, message)),
            Self::Node(key) => Ok(key.sign(label, message)),
        }
    }
}

impl SigningOwner {
    /// Signs that this key takes over from another owner's key.
    ///
    /// # Errors
    /// [`SignerError`].
    pub fn sign_rotation(
        &self,
        old: &PublicKey<Owner>,
    ) -> Result<[u8; SIGNATURE_LEN], SignerError> {
        self.sign(label::SIGN_ROTATION, old.as_bytes())
    }
}

impl SecretKey<Host> {
    /// Countersigns an audit of another host's copy.
    #[must_use]
    pub fn sign_audit(&self, statement: &[u8]) -> [u8; SIGNATURE_LEN] {
        self.sign(label::SIGN_AUDIT, &Digest::of(label::AUDIT, &[statement]).0)
    }
}

impl From<SigningOwner> for AuthorKey {
    fn from(owner: SigningOwner) -> Self {
        Self::Owner(owner)
    }
}

impl From<SecretKey<Owner>> for AuthorKey {
    fn from(key: SecretKey<Owner>) -> Self {
        Self::Owner(key.into())
    }
}

impl From<SecretKey<Host>> for AuthorKey {
    fn from(key: SecretKey<Host>) -> Self {
        Self::Host(key)
    }
}

impl From<SecretKey<Node>> for AuthorKey {
    fn from(key: SecretKey<Node>) -> Self {
        Self::Node(key)
    }
}

/// The key's text form.
impl fmt::Display for Author {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner(key) => key.fmt(f),
            Self::Host(key) => key.fmt(f),
            Self::Node(key) => key.fmt(f),
        }
    }
}

impl Serialize for Author {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}
