//! A block's body in chunks: AES-256-GCM with the order and the end bound in the nonce.
//!
//! This is the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár 2015) with age's nonce:
//! `nonce(i, last) = i (11 bytes, big-endian) || last (1 byte)`, where `last` is 1 for the last
//! chunk only. A block key is random and encrypts one body once, so no nonce repeats. GCM does not
//! commit to its key; the header therefore carries [`BlockKey::commitment`], and a key that does
//! not match it is refused before anything is decrypted.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::{Zeroize as _, Zeroizing};

use super::{Digest, NoRandomness, Random, fill_randomly, label, stack};

/// Plaintext bytes in every chunk but the last.
pub(crate) const CHUNK_LEN: usize = 64 * 1024;
/// Size of the tag after each chunk's ciphertext, in bytes.
pub(crate) const TAG_LEN: usize = 16;

/// A random key of one body: a block's own, from which everything secret about it follows, or the
/// content key of a parcel. On the heap, so that
/// a move leaves nothing behind.
pub(crate) struct BlockKey(Box<Zeroizing<[u8; 32]>>);

/// A content digest in the making: keyed, so it is wiped when it is dropped.
pub(crate) struct ContentHasher(Box<blake3::Hasher>);

impl ContentHasher {
    pub(crate) fn update(&mut self, plaintext: &[u8]) {
        stack::wiped(|| _ = self.0.update_rayon(plaintext));
    }

    /// As many zeros, as lie between the parts of a block.
    pub(crate) fn zeros(&mut self, mut count: u64) {
        const ZEROS: [u8; 4096] = [0; 4096];
        while count > 0 {
            let now = count.min(ZEROS.len() as u64);
            self.update(ZEROS.get(..now as usize).unwrap_or_default());
            count -= now;
        }
    }

    pub(crate) fn finish(mut self, shared: &[Digest]) -> Digest {
        stack::wiped(|| {
            shared.iter().for_each(|digest| _ = self.0.update(&digest.0));
            Digest(*self.0.finalize().as_bytes())
        })
    }
}

impl Drop for ContentHasher {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl BlockKey {
    pub(crate) fn random() -> Result<Self, NoRandomness> {
        Self::random_from(&mut fill_randomly)
    }

    /// A key of bytes that the caller draws.
    pub(crate) fn random_from(random: &mut Random<'_>) -> Result<Self, NoRandomness> {
        let mut key = Self(Box::new(Zeroizing::new([0; 32])));
        random(key.0.as_mut_slice())?;
        Ok(key)
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut key = Self(Box::new(Zeroizing::new([0; 32])));
        let place = key.0.as_mut_slice();
        (place.len() == bytes.len()).then(|| place.copy_from_slice(bytes))?;
        Some(key)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A public value that fixes the key: nobody can find two keys with one commitment.
    /// `BLAKE3.derive_key["deepring v1 block key commitment"](block key)`
    pub(crate) fn commitment(&self) -> Digest {
        Digest(stack::wiped(|| blake3::derive_key(label::COMMITMENT, self.0.as_slice())))
    }

    /// The keyed digest over the plaintext that the block's body holds, and over the content
    /// digests of the shared blocks that hold the rest: it reveals nothing without the block key.
    /// `BLAKE3.keyed_hash[k](plaintext || shared digests)`, where
    /// `k = BLAKE3.derive_key["deepring v1 content digest key"](block key)`.
    pub(crate) fn content_digest(&self, plaintext: &[u8], shared: &[Digest]) -> Digest {
        let mut hasher = self.content_hasher();
        hasher.update(plaintext);
        hasher.finish(shared)
    }

    /// [`content_digest`](Self::content_digest) of a plaintext that is given piece by piece.
    pub(crate) fn content_hasher(&self) -> ContentHasher {
        ContentHasher(stack::wiped(|| {
            let mut key = blake3::derive_key(label::CONTENT_KEY, self.0.as_slice());
            let hasher = Box::new(blake3::Hasher::new_keyed(&key));
            key.zeroize();
            hasher
        }))
    }

    /// A host's answer to an audit of this block: `BLAKE3.keyed_hash[k](question || plaintext)`,
    /// where `k = BLAKE3.derive_key["deepring v1 audit key"](block key)`. Without the block key it
    /// confirms no guess of the plaintext.
    pub(crate) fn audit_digest(&self, question: &[u8], plaintext: &[u8]) -> Digest {
        stack::wiped(|| {
            let mut key = blake3::derive_key(label::AUDIT_KEY, self.0.as_slice());
            let mut hasher = blake3::Hasher::new_keyed(&key);
            key.zeroize();
            hasher.update(question).update_rayon(plaintext);
            let digest = Digest(*hasher.finalize().as_bytes());
            hasher.zeroize();
            digest
        })
    }

    /// The cipher for this block's chunks, under
    /// `BLAKE3.derive_key["deepring v1 chunk encryption key"](block key)`; `None` only if the
    /// library refuses a 32-byte key.
    pub(crate) fn cipher(&self, context: [u8; 32]) -> Option<ChunkCipher> {
        self.cipher_under(label::CHUNK_KEY, context)
    }

    /// The cipher for the chunks of a parcel, of which this is the content key, under
    /// `BLAKE3.derive_key["deepring v1 parcel encryption key"](content key)`.
    pub(crate) fn parcel_cipher(&self, head: Digest) -> Option<ChunkCipher> {
        self.cipher_under(label::PARCEL_KEY, head.0)
    }

    fn cipher_under(&self, label: &'static str, context: [u8; 32]) -> Option<ChunkCipher> {
        let key = stack::wiped(|| {
            let mut key = blake3::derive_key(label, self.0.as_slice());
            let unbound = UnboundKey::new(&AES_256_GCM, &key).ok();
            key.zeroize();
            unbound.map(|unbound| Box::new(LessSafeKey::new(unbound)))
        });
        Some(ChunkCipher { key: key?, context })
    }
}

/// Seals and opens single chunks of one body, in any order and from several threads.
pub(crate) struct ChunkCipher {
    key: Box<LessSafeKey>,
    /// Ring, version and index of the block, or the chain's head of a parcel; authenticated with every
    /// chunk.
    context: [u8; 32],
}

/// A chunk's bytes are not those that were sealed at this place of this block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChunkRefused;

impl ChunkCipher {
    /// Appends chunk `index` of the body to `out`:
    /// `AES-256-GCM[k, nonce(index, last), aad = context](plaintext)`, ciphertext then tag (NIST SP
    /// 800-38D, section 7.1).
    pub(crate) fn seal(
        &self,
        index: u64,
        last: bool,
        plaintext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), ChunkRefused> {
        let start = out.len();
        out.extend_from_slice(plaintext);
        let tag = self
            .key
            .seal_in_place_separate_tag(
                nonce(index, last),
                Aad::from(self.context),
                &mut out[start..],
            )
            .map_err(|_| ChunkRefused)?;
        out.extend_from_slice(tag.as_ref());
        Ok(())
    }

    /// Verifies and decrypts chunk `index` (ciphertext and tag) into `plaintext`, which must be
    /// exactly as long as the ciphertext without its tag (NIST SP 800-38D, section 7.2).
    pub(crate) fn open(
        &self,
        index: u64,
        last: bool,
        sealed: &[u8],
        plaintext: &mut [u8],
    ) -> Result<(), ChunkRefused> {
        let (ciphertext, tag) = sealed.split_last_chunk::<TAG_LEN>().ok_or(ChunkRefused)?;
        if ciphertext.len() != plaintext.len() {
            return Err(ChunkRefused);
        }
        self.key
            .open_separate_gather(
                nonce(index, last),
                Aad::from(self.context),
                ciphertext,
                tag,
                plaintext,
            )
            .map_err(|_| ChunkRefused)
    }
}

fn nonce(index: u64, last: bool) -> Nonce {
    let mut n = [0; 12];
    n[3..11].copy_from_slice(&index.to_be_bytes());
    n[11] = u8::from(last);
    Nonce::assume_unique_for_key(n)
}
