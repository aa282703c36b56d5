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
    pub(crate) const COMMITMENT: &str = "deepring v1 block key commitment";
    pub(crate) const TENSORS: &str = "deepring v1 tensor digest";
    pub(crate) const BATCH: &str = "deepring v1 batch digest";
    pub(crate) const OPENING: &str = "deepring v1 opening digest";
    pub(crate) const RECEIPT: &str = "deepring v3 receipt digest";
    pub(crate) const DECISION: &str = "deepring v1 decision digest";

    /// Prefixes of signed messages.
    pub(crate) const SIGN_HEADER: &str = "deepring v1 sign header";
    pub(crate) const SIGN_CLOSURE: &str = "deepring v1 sign closure";
    pub(crate) const SIGN_OPENING: &str = "deepring v1 sign opening";
    pub(crate) const SIGN_RECEIPT: &str = "deepring v3 sign receipt";
    pub(crate) const SIGN_DECISION: &str = "deepring v1 sign decision";

    /// HPKE `info` strings.
    pub(crate) const WRAP_BLOCK_KEY: &str = "deepring v1 wrap block key";
    pub(crate) const SEAL_PARCEL: &str = "deepring v3 seal parcel";
}

/// The system's random generator failed; nothing can be sealed or signed without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system's random number generator failed")]
pub struct NoRandomness;

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
