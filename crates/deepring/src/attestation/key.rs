//! The ECDSA key of who attests: in-toto's and Sigstore's verifiers take no Ed25519 key by hint.

use std::fmt;
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _,
    UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pem_rfc7468::LineEnding;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::key_file::{KeyFileError, SecretKeyFile};

/// Why nothing was attested.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AttestationError {
    /// The key file could not be read, or is not its user's alone.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// The text is no private key of the form that is taken.
    #[error("no ECDSA P-256 private key in PKCS#8 PEM (`BEGIN PRIVATE KEY`): {found}")]
    NoKey {
        /// A description of what the text is instead.
        found: String,
    },
    /// The verifier's id is no URI.
    #[error("a verifier's id is a URI, such as https://example.com/verifier/v1")]
    VerifierId,
    /// The library did not sign, or signed something else.
    #[error("the key did not sign")]
    NotSigned,
}

/// An ECDSA P-256 key that signs with SHA-256.
pub struct AttestationKey {
    pair: EcdsaKeyPair,
    /// SubjectPublicKeyInfo (RFC 5280), as PEM.
    public_pem: String,
    name: String,
}

impl AttestationKey {
    /// Reads a key file that no user but its own can read or write.
    ///
    /// # Errors
    /// [`AttestationError::File`] and [`AttestationError::NoKey`].
    pub fn read(path: &Path) -> Result<Self, AttestationError> {
        let file = SecretKeyFile::read(path)?;
        let key = Self::from_pem(file.text())?;
        file.refuse_loose()?;
        Ok(key)
    }

    /// The key in a PEM text (RFC 7468): one `PRIVATE KEY`, which is PKCS#8 (RFC 5958).
    ///
    /// # Errors
    /// [`AttestationError::NoKey`].
    pub fn from_pem(pem: &str) -> Result<Self, AttestationError> {
        let no_key = |found: &str| AttestationError::NoKey { found: found.to_owned() };
        let (label, der) =
            pem_rfc7468::decode_vec(pem.as_bytes()).map_err(|_| no_key("the text is not PEM"))?;
        let der = Zeroizing::new(der);
        if label != "PRIVATE KEY" {
            return Err(no_key(&format!("it is a `{label}`")));
        }
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &der)
            .map_err(|_| no_key("it is a key of another kind, or damaged"))?;
        let spki: PublicKeyX509Der<'_> =
            pair.public_key().as_der().map_err(|_| no_key("it has no public key"))?;
        let public_pem = pem_rfc7468::encode_string("PUBLIC KEY", LineEnding::LF, spki.as_ref())
            .map_err(|_| no_key("its public key cannot be written"))?;
        let public_pem = format!("{}\n", public_pem.trim_end());
        let hash = digest(&SHA256, spki.as_ref());
        let name = format!("ni:///sha-256;{}", URL_SAFE_NO_PAD.encode(hash));
        Ok(Self { pair, public_pem, name })
    }

    /// The public key in PEM, for who verifies.
    #[must_use]
    pub fn public_pem(&self) -> &str {
        &self.public_pem
    }

    /// A URI that names the public key: the SHA-256 of its SubjectPublicKeyInfo (RFC 6920).
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The hint by which a bundle's reader finds the key: the SHA-256 of the public key's PEM
    /// text, in hexadecimal, as OpenSSF Model Signing has it.
    #[must_use]
    pub fn hint(&self) -> String {
        let hash = digest(&SHA256, self.public_pem.as_bytes());
        hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The signature (ASN.1 DER), which verifies under the public key, or none.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, AttestationError> {
        let signed = self.pair.sign(&SystemRandom::new(), message);
        let signature = signed.map_err(|_| AttestationError::NotSigned)?;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, self.pair.public_key().as_ref())
            .verify(message, signature.as_ref())
            .map_err(|_| AttestationError::NotSigned)?;
        Ok(signature.as_ref().to_vec())
    }
}

impl fmt::Debug for AttestationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AttestationKey({})", self.name)
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::EcdsaSigningAlgorithm;
    use aws_lc_rs::signature::{ECDSA_P384_SHA384_ASN1_SIGNING, Ed25519KeyPair};

    use super::*;

    fn pem(label: &str, der: &[u8]) -> String {
        pem_rfc7468::encode_string(label, LineEnding::LF, der).unwrap()
    }

    fn ecdsa(algorithm: &'static EcdsaSigningAlgorithm) -> Vec<u8> {
        EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).unwrap().as_ref().to_vec()
    }

    #[test]
    fn a_key_is_a_p256_key_in_pkcs8_and_nothing_else() {
        let der = ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING);
        let key = AttestationKey::from_pem(&pem("PRIVATE KEY", &der)).unwrap();
        assert!(key.public_pem().starts_with("-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYI"));
        assert_eq!((key.hint().len(), key.name().len()), (64, "ni:///sha-256;".len() + 43));
        let p384 = ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING);
        let ed25519 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        for other in [
            pem("EC PRIVATE KEY", &der),
            pem("ENCRYPTED PRIVATE KEY", &der),
            pem("PUBLIC KEY", &der),
            pem("PRIVATE KEY", &der[..der.len() - 1]),
            pem("PRIVATE KEY", &p384),
            pem("PRIVATE KEY", ed25519.as_ref()),
            String::new(),
            "DROWNERSECRET1QQQQ".to_owned(),
        ] {
            let refused = AttestationKey::from_pem(&other);
            assert!(matches!(refused, Err(AttestationError::NoKey { .. })), "{other}");
        }
    }

    #[test]
    fn what_a_key_signs_verifies_and_no_secret_is_shown() {
        let der = ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING);
        let key = AttestationKey::from_pem(&pem("PRIVATE KEY", &der)).unwrap();
        let signature = key.sign(b"message").unwrap();
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.pair.public_key());
        assert!(public.verify(b"message", &signature).is_ok());
        assert!(public.verify(b"messagf", &signature).is_err());
        assert_eq!(format!("{key:?}"), format!("AttestationKey({})", key.name()));
    }
}
