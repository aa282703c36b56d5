//! HPKE base mode (RFC 9180): DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM.
//!
//! Base mode does not authenticate the sender; the signature over what carries the sealed bytes
//! does (the owner's on a header, the host's on a receipt).

use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use std::convert::Infallible;

use hpke::rand_core::{TryCryptoRng, TryRng};
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

/// As [`seal`], with 32 random bytes that the caller drew, of which the encapsulated key is derived
/// (`DeriveKeyPair` of RFC 9180, section 7.1.3): used once, and as secret as the plaintext.
pub(crate) fn seal_with(
    random: &[u8; 32],
    public: &[u8; 32],
    (info, aad): (&[u8], &[u8]),
    plaintext: &[u8],
) -> Result<([u8; ENC_LEN], Vec<u8>), HpkeFailed> {
    let public =
        <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(public).map_err(|_| HpkeFailed)?;
    let mut drawn = Drawn { bytes: Zeroizing::new(*random), at: 0 };
    let (enc, ciphertext) = hpke::single_shot_seal_with_rng::<
        AesGcm256,
        HkdfSha256,
        X25519HkdfSha256,
    >(&OpModeS::Base, &public, info, plaintext, aad, &mut drawn)
    .map_err(|_| HpkeFailed)?;
    // A library that drew more than it was given would have repeated itself.
    if drawn.at != drawn.bytes.len() {
        return Err(HpkeFailed);
    }
    let mut out = [0; ENC_LEN];
    out.copy_from_slice(&enc.to_bytes());
    Ok((out, ciphertext))
}

/// Random bytes that were drawn already, given out once; whoever asks for more is found out by `at`.
struct Drawn {
    bytes: Zeroizing<[u8; 32]>,
    at: usize,
}

impl TryRng for Drawn {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut out = [0; 4];
        self.try_fill_bytes(&mut out)?;
        Ok(u32::from_le_bytes(out))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut out = [0; 8];
        self.try_fill_bytes(&mut out)?;
        Ok(u64::from_le_bytes(out))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for byte in out {
            *byte = self.bytes.get(self.at).copied().unwrap_or(0);
            self.at += 1;
        }
        Ok(())
    }
}

impl TryCryptoRng for Drawn {}

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
