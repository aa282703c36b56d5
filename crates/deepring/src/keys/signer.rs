//! An owner's signature, wherever the secret is: in this process, or in a token that only signs.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use super::{Owner, PublicKey, SecretKey};
use crate::crypto::signature::{self, SIGNATURE_LEN};

/// A message of this format that an owner is asked to sign; nothing outside this crate makes one.
#[derive(Debug, Clone, Copy)]
pub struct OwnerMessage<'a> {
    label: &'static str,
    message: &'a [u8],
}

impl OwnerMessage<'_> {
    /// The purpose of the signature, e.g. `deepring v1 sign closure` (FORMAT.md, section 4): a signer
    /// may show it, or refuse labels that it does not know.
    #[must_use]
    pub fn label(&self) -> &'static str {
        self.label
    }

    /// The bytes that Ed25519 signs (RFC 8032, pure): `label ‖ 0x00 ‖ message`. A digest of 32
    /// bytes behind the label, or for a closure and a rotation some more.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        signature::labelled(self.label, self.message)
    }
}

/// Signs as an owner: what a token, an agent or a service implements. (A PKCS#11 token signs
/// [`to_bytes`](OwnerMessage::to_bytes) by `CKM_EDDSA` without parameters.)
///
/// It is not trusted to sign rightly. Whatever it returns is verified under the key that it gave at
/// the beginning before anything is made of it ([`SigningOwner`]): a faulty token ends in an error,
/// not in a ring that nobody can verify.
///
/// Only the Ed25519 half of an owner's key signs. Grants and deals also open block keys with the
/// X25519 half, which is given to them apart ([`Granter`](crate::maintenance::Granter)).
pub trait OwnerSigner: fmt::Debug + Send + Sync {
    /// The whole public key, of both halves.
    fn public(&self) -> PublicKey<Owner>;

    /// The Ed25519 signature over [`to_bytes`](OwnerMessage::to_bytes).
    ///
    /// # Errors
    /// [`SignerError`], as far as the signer knows why: [`SignerError::Gone`] or
    /// [`SignerError::Declined`].
    fn sign(&self, message: &OwnerMessage<'_>) -> Result<[u8; SIGNATURE_LEN], SignerError>;
}

/// Why an owner's signer did not sign.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SignerError {
    /// The signer is not there, or not any more: a token was pulled out, an agent ended.
    #[error("the owner's signer is gone: {reason}")]
    Gone {
        /// In the signer's words.
        reason: String,
    },
    /// It is there, and did not sign: not unlocked, not confirmed, not allowed.
    #[error("the owner's signer declined to sign: {reason}")]
    Declined {
        /// In the signer's words.
        reason: String,
    },
    /// It returned something else than a signature of its public key over this message.
    #[error("the owner's signer gave something else than its key's signature ({label})")]
    WrongSignature {
        /// The label of the message that was to be signed.
        label: &'static str,
    },
}

impl OwnerSigner for SecretKey<Owner> {
    fn public(&self) -> PublicKey<Owner> {
        Self::public(self)
    }

    fn sign(&self, message: &OwnerMessage<'_>) -> Result<[u8; SIGNATURE_LEN], SignerError> {
        Ok(SecretKey::sign(self, message.label, message.message))
    }
}

/// An owner who signs, and whose every signature is verified before it is used.
///
/// It is shared: clones ask the same signer. The public key is asked for once, so a signer that
/// later claims another one changes nothing.
#[derive(Debug, Clone)]
pub struct SigningOwner {
    signer: Arc<dyn OwnerSigner>,
    public: PublicKey<Owner>,
}

impl SigningOwner {
    /// The owner behind this signer.
    #[must_use]
    pub fn new(signer: Arc<dyn OwnerSigner>) -> Self {
        Self { public: signer.public(), signer }
    }

    /// The owner's public key.
    #[must_use]
    pub fn public(&self) -> PublicKey<Owner> {
        self.public
    }

    /// A signature that verifies under [`public`](Self::public), or none.
    pub(crate) fn sign(
        &self,
        label: &'static str,
        message: &[u8],
    ) -> Result<[u8; SIGNATURE_LEN], SignerError> {
        let signature = self.signer.sign(&OwnerMessage { label, message })?;
        match self.public.has_signed(label, message, &signature) {
            true => Ok(signature),
            false => Err(SignerError::WrongSignature { label }),
        }
    }
}

impl From<Arc<dyn OwnerSigner>> for SigningOwner {
    fn from(signer: Arc<dyn OwnerSigner>) -> Self {
        Self::new(signer)
    }
}

impl From<SecretKey<Owner>> for SigningOwner {
    fn from(key: SecretKey<Owner>) -> Self {
        Self::new(Arc::new(key))
    }
}

impl From<&SecretKey<Owner>> for SigningOwner {
    fn from(key: &SecretKey<Owner>) -> Self {
        key.clone().into()
    }
}

impl From<&SigningOwner> for SigningOwner {
    fn from(owner: &SigningOwner) -> Self {
        owner.clone()
    }
}

/// The X25519 half of an owner's key, which opens the block keys that are wrapped for the owner.
#[derive(Clone, Copy)]
pub struct OwnerOpening<'a>(&'a [u8; 32]);

impl<'a> OwnerOpening<'a> {
    /// The half with these secret bytes, which its keeper wipes.
    #[must_use]
    pub fn new(secret: &'a [u8; 32]) -> Self {
        Self(secret)
    }

    pub(crate) fn expose(self) -> &'a [u8; 32] {
        self.0
    }
}

impl<'a> From<&'a SecretKey<Owner>> for OwnerOpening<'a> {
    fn from(key: &'a SecretKey<Owner>) -> Self {
        Self(key.second())
    }
}

impl fmt::Debug for OwnerOpening<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnerOpening(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Says that it is one owner and signs as another, or says another thing at each question.
    #[derive(Debug)]
    struct Liar {
        says: Vec<PublicKey<Owner>>,
        asked: AtomicUsize,
        signs: SecretKey<Owner>,
    }

    impl OwnerSigner for Liar {
        fn public(&self) -> PublicKey<Owner> {
            self.says[self.asked.fetch_add(1, Ordering::Relaxed) % self.says.len()]
        }

        fn sign(&self, message: &OwnerMessage<'_>) -> Result<[u8; 64], SignerError> {
            OwnerSigner::sign(&self.signs, message)
        }
    }

    fn key() -> SecretKey<Owner> {
        SecretKey::generate().unwrap()
    }

    #[test]
    fn a_signature_is_passed_on_if_it_is_the_owners_and_only_then() {
        let (mine, other) = (key(), key());
        let signed = SigningOwner::from(&mine).sign("a label", b"message").unwrap();
        assert!(mine.public().has_signed("a label", b"message", &signed));
        let says = vec![other.public(), mine.public()];
        let liar = SigningOwner::new(Arc::new(Liar { says, asked: 0.into(), signs: mine }));
        assert_eq!(liar.public(), other.public());
        let refused = liar.sign("a label", b"message").unwrap_err();
        assert_eq!(refused, SignerError::WrongSignature { label: "a label" });
        assert_eq!(liar.public(), other.public(), "the key is what it was at the beginning");
    }

    #[test]
    fn a_signer_is_shown_what_it_signs() {
        let message = OwnerMessage { label: "a label", message: b"message" };
        assert_eq!(message.to_bytes(), b"a label\0message");
        assert_eq!(format!("{:?}", OwnerOpening::new(&[7; 32])), "OwnerOpening(..)");
    }
}
