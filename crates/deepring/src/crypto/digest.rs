//! BLAKE3 digests under labels (`derive_key` mode), and the keyed digest of a block's content.

use std::fmt;

use serde::{Serialize, Serializer};

use super::NoRandomness;

/// 32 bytes that stand for the data that they were computed over.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// All zero: stands for "none" where the format has a digest field that may be empty.
    pub const NONE: Self = Self([0; 32]);

    /// 32 bytes from the system's generator, as a client's nonce; never all zero.
    ///
    /// # Errors
    /// [`NoRandomness`] where that fails.
    pub fn random() -> Result<Self, NoRandomness> {
        let drawn = Self(super::random()?);
        if drawn == Self::NONE { Err(NoRandomness) } else { Ok(drawn) }
    }

    /// The digest of `parts`, one after the other, under `label`:
    /// `BLAKE3.derive_key[label](parts[0] || parts[1] || …)`.
    ///
    /// The caller's parts must be an unambiguous encoding; lengths are not added here.
    pub(crate) fn of(label: &'static str, parts: &[&[u8]]) -> Self {
        let mut h = blake3::Hasher::new_derive_key(label);
        for part in parts {
            h.update(part);
        }
        Self(*h.finalize().as_bytes())
    }

    /// The digest of one sealed chunk, `BLAKE3.hash(ciphertext || tag)`; the list that it stands in
    /// binds its place.
    pub(crate) fn of_chunk(ciphertext: &[u8]) -> Self {
        Self(*blake3::hash(ciphertext).as_bytes())
    }

    /// Lower-case hexadecimal.
    #[must_use]
    pub fn to_hex(&self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }

    /// Parses 64 hexadecimal digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        blake3::Hash::from_hex(text).ok().map(|h| Self(*h.as_bytes()))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({})", self.to_hex())
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}
