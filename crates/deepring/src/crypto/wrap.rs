//! HPKE base mode (RFC 9180): DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM.
//!
//! Base mode does not authenticate the sender; the signature over what carries the sealed bytes
//! does (the owner's on a header, the host's on a receipt).

use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use zeroize::Zeroizing;

use super::stack;

/// Size of the encapsulated key, in bytes.
pub(crate) const ENC_LEN: usize = 32;
/// Size of the AEAD tag, in bytes.
pub(crate) const TAG_LEN: usize = 16;

/// The recipient's key could not be used, or the sealed bytes are not for it.
///
/// It deliberately does not say which: the difference helps only an attacker that probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HpkeFailed;

/// Seals `plaintext` for the holder of `public`; returns the encapsulated key and the ciphertext:
/// `enc, ct = HPKE.SealBase(pkR = public, info, aad, pt = plaintext)` (RFC 9180, section 6.1).
pub(crate) fn seal(
    public: &[u8; 32],
    info: &[u8],
    aad: &[u8],
    plaintext: &[u8],
) -> Result<([u8; ENC_LEN], Vec<u8>), HpkeFailed> {
    let public =
        <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(public).map_err(|_| HpkeFailed)?;
    let (enc, ciphertext) = hpke::single_shot_seal::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
        &OpModeS::Base,
        &public,
        info,
        plaintext,
        aad,
    )
    .map_err(|_| HpkeFailed)?;
    let mut out = [0; ENC_LEN];
    out.copy_from_slice(&enc.to_bytes());
    Ok((out, ciphertext))
}

/// Opens what [`seal`] made: `pt = HPKE.OpenBase(enc, skR = secret, info, aad, ct)` (RFC 9180,
/// section 6.1).
pub(crate) fn open(
    secret: &[u8; 32],
    enc: &[u8; ENC_LEN],
    info: &[u8],
    aad: &[u8],
    ciphertext: &[u8],
) -> Result<Zeroizing<Vec<u8>>, HpkeFailed> {
    let enc = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(enc).map_err(|_| HpkeFailed)?;
    stack::wiped(|| {
        let secret =
            <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(secret).map_err(|_| HpkeFailed)?;
        hpke::single_shot_open::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
            &OpModeR::Base,
            &secret,
            &enc,
            info,
            ciphertext,
            aad,
        )
        .map(Zeroizing::new)
        .map_err(|_| HpkeFailed)
    })
}

/// The public key that belongs to an X25519 secret: `X25519(secret, 9)` (RFC 7748, section 6.1).
pub(crate) fn public_of(secret: &[u8; 32]) -> Result<[u8; 32], HpkeFailed> {
    stack::wiped(|| {
        let secret =
            <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(secret).map_err(|_| HpkeFailed)?;
        let mut out = [0; 32];
        out.copy_from_slice(&<X25519HkdfSha256 as Kem>::sk_to_pk(&secret).to_bytes());
        Ok(out)
    })
}
