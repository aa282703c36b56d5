//! The one suite of the format: the reviewed implementation of each primitive, and every label.
//!
//! Nothing here is of our own invention; each file is a thin wrapper that fixes sizes, labels and
//! errors. `docs/CRYPTO.md` argues the choices. There is no negotiation: another suite is another
//! format version.

pub(crate) mod aead;
pub(crate) mod digest;
pub(crate) mod signature;
pub(crate) mod stack;
pub(crate) mod wrap;

pub use digest::Digest;

/// Labels that keep one use of a primitive apart from every other; never reused, never renamed.
pub(crate) mod label {
    /// BLAKE3 `derive_key` contexts.
    pub(crate) const RING: &str = "deepring v1 ring digest";
    pub(crate) const HEADER: &str = "deepring v1 header digest";
    pub(crate) const BODY: &str = "deepring v1 body digest";
    pub(crate) const CONTENT_KEY: &str = "deepring v1 content digest key";
    pub(crate) const CHUNK_KEY: &str = "deepring v1 chunk encryption key";
    pub(crate) const PARCEL_KEY: &str = "deepring v1 parcel encryption key";
    pub(crate) const COMMITMENT: &str = "deepring v1 block key commitment";
    pub(crate) const TENSORS_KEY: &str = "deepring v2 tensor digest key";
    pub(crate) const SALT: &str = "deepring v1 salt commitment";
    pub(crate) const WEIGHTS_FILE: &str = "deepring v1 weights file digest";
    pub(crate) const WEIGHTS_TENSOR: &str = "deepring v1 weights tensor digest";
    pub(crate) const BATCH: &str = "deepring v1 batch digest";
    pub(crate) const OPENING: &str = "deepring v2 opening digest";
    pub(crate) const RECEIPT: &str = "deepring v4 receipt digest";
    pub(crate) const VALIDATION: &str = "deepring v1 validation digest";
    pub(crate) const DECISION: &str = "deepring v2 decision digest";
    pub(crate) const DEAL: &str = "deepring v1 deal digest";
    pub(crate) const OUTLINE: &str = "deepring v1 outline digest";
    pub(crate) const ENTRY: &str = "deepring v1 entry digest";
    pub(crate) const LOG: &str = "deepring v1 log";
    pub(crate) const AUDIT: &str = "deepring v1 audit digest";
    pub(crate) const AUDIT_KEY: &str = "deepring v1 audit key";
    pub(crate) const AUDIT_ANSWER: &str = "deepring v1 audit answer";
    /// Of what a process keeps for itself.
    pub(crate) const PREFIX: &str = "deepring v1 verified prefix";
    pub(crate) const LIBRARY: &str = "deepring v1 library digest";
    pub(crate) const RESULTS: &str = "deepring v1 results digest";
    pub(crate) const REVEAL: &str = "deepring v1 reveal commitment";

    /// Prefixes of signed messages.
    pub(crate) const SIGN_HEADER: &str = "deepring v1 sign header";
    pub(crate) const SIGN_CLOSURE: &str = "deepring v1 sign closure";
    pub(crate) const SIGN_OPENING: &str = "deepring v2 sign opening";
    pub(crate) const SIGN_RECEIPT: &str = "deepring v4 sign receipt";
    pub(crate) const SIGN_VALIDATION: &str = "deepring v1 sign validation";
    pub(crate) const SIGN_DECISION: &str = "deepring v2 sign decision";
    pub(crate) const SIGN_DEAL: &str = "deepring v1 sign deal";
    pub(crate) const SIGN_ENTRY: &str = "deepring v1 sign entry";
    pub(crate) const SIGN_AUDIT: &str = "deepring v1 sign audit";
    pub(crate) const SIGN_ROTATION: &str = "deepring v1 sign key rotation";
    pub(crate) const SIGN_OUTLINE: &str = "deepring v1 sign outline";

    /// HPKE `info` strings.
    pub(crate) const WRAP_BLOCK_KEY: &str = "deepring v1 wrap block key";
    pub(crate) const SEAL_PARCEL: &str = "deepring v3 seal parcel";
}

/// The digest of `parts`, one after the other, under a key derived from `secret`:
/// `BLAKE3.keyed_hash[k](parts[0] || parts[1] || …)`, where `k = BLAKE3.derive_key[label](secret)`.
pub(crate) fn keyed(label: &'static str, secret: &[u8; 32], parts: &[&[u8]]) -> Digest {
    let mut hasher = blake3::Hasher::new_keyed(&blake3::derive_key(label, secret));
    for part in parts {
        hasher.update(part);
    }
    Digest(*hasher.finalize().as_bytes())
}

/// The system's random generator failed; nothing can be sealed or signed without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system's random number generator failed")]
pub struct NoRandomness;

/// A source of random bytes: it fills what it is given. The system's generator is one; a
/// simulation that is to repeat itself has another.
pub type Random<'a> = dyn FnMut(&mut [u8]) -> Result<(), NoRandomness> + 'a;

/// Fills an array from the system's generator.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut out = [0; N];
    fill_randomly(&mut out)?;
    Ok(out)
}

/// Fills bytes in place from the system's generator. The library draws them in the process, so they
/// may be in memory that no system call can write.
pub(crate) fn fill_randomly(out: &mut [u8]) -> Result<(), NoRandomness> {
    aws_lc_rs::rand::fill(out).map_err(|_| NoRandomness)
}
