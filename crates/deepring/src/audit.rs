//! Audits: two hosts are asked, while nothing is computed, if they hold the same bytes of the same blocks.
//!
//! An auditor sends both a [`Challenge`]; each answers with a digest over its opened blocks:
//!
//! ```text
//! k(block)      = BLAKE3.derive_key["deepring v1 audit key"](block key)
//! digest(block) = BLAKE3.keyed_hash[k](nonce 32 | ring digest 32 | host key 64 | index u32 | length u64 | opened bytes)
//! answer        = BLAKE3.derive_key["deepring v1 audit answer"](digest of each block, in ascending order)
//! ```
//!
//! The host that answers is in its answer, so that one that lacks the bytes cannot repeat another's;
//! who compares computes the other's answer from its own copy. Only who can open a block
//! can compute its digest, so an answer that stands on a ledger confirms no guess of parameters. It
//! finds a copy that is damaged, not a host that lies: one that computes with other bytes than it
//! keeps can answer with those that it keeps.

use thiserror::Error;
use zeroize::Zeroizing;

use crate::crypto::{Digest, NoRandomness, label, random};
use crate::encoding::Writer;
use crate::keys::{Host, PublicKey};
use crate::open::{OpenError, OpeningKey, buffer};
use crate::ring::AuthenticRing;

/// The question that the copies of some blocks are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    nonce: [u8; 32],
    blocks: Vec<u32>,
}

/// Why an answer cannot be given.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The blocks that were given are not just those that the challenge names, each once, in order;
    /// or it names none: nothing compared is no answer.
    #[error(
        "the audit asks for {}, and was given {}",
        block(wanted.as_ref()),
        block(given.as_ref())
    )]
    NotAsked {
        /// The block whose turn it was; `None` after the last.
        wanted: Option<u32>,
        /// The block that was given; `None` at the end.
        given: Option<u32>,
    },
    /// The key does not open the block.
    #[error(transparent)]
    Open(#[from] OpenError),
}

fn block(index: Option<&u32>) -> String {
    index.map_or_else(|| "no block".to_owned(), |index| format!("block {index}"))
}

impl Challenge {
    /// Asks about these blocks with a fresh nonce.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn fresh(blocks: &[u32]) -> Result<Self, NoRandomness> {
        Ok(Self::with_nonce(random()?, blocks))
    }

    /// Asks about these blocks, in ascending order and each once, with a nonce that comes from
    /// elsewhere. Whoever could know it before can have its answer ready and have changed the bytes
    /// since.
    #[must_use]
    pub fn with_nonce(nonce: [u8; 32], blocks: &[u32]) -> Self {
        let mut blocks = blocks.to_vec();
        blocks.sort_unstable();
        blocks.dedup();
        Self { nonce, blocks }
    }

    /// The nonce.
    #[must_use]
    pub fn nonce(&self) -> &[u8; 32] {
        &self.nonce
    }

    /// The blocks, in ascending order.
    #[must_use]
    pub fn blocks(&self) -> &[u32] {
        &self.blocks
    }

    /// The whole answer of `host`, made from a ring's file, a block at a time.
    ///
    /// # Errors
    /// [`AuditError::NotAsked`] where the challenge names no block; [`AuditError::Open`] as
    /// [`AuthenticRing::open_block`].
    pub fn answer_from(
        &self,
        host: &PublicKey<Host>,
        ring: &AuthenticRing,
        key: OpeningKey<'_>,
    ) -> Result<Digest, AuditError> {
        let mut answer = self.answer_of(host, ring, key);
        let count = u32::try_from(ring.headers().len()).unwrap_or(u32::MAX);
        for index in &self.blocks {
            let header = ring.headers().get(*index as usize);
            let header = header.ok_or(OpenError::NoSuchBlock { index: *index, count })?;
            let mut opened = Zeroizing::new(buffer(header.plain_len)?);
            ring.open_block(*index, key, &mut opened)?;
            answer.block(*index, &opened)?;
        }
        answer.finish()
    }

    /// Begins the answer of `host`: its own, or, to compare, another's from one's own copy. `key` is
    /// whose copy it is made from.
    #[must_use]
    pub fn answer_of<'a>(
        &'a self,
        host: &PublicKey<Host>,
        ring: &'a AuthenticRing,
        key: OpeningKey<'a>,
    ) -> Answer<'a> {
        let mut question = Writer::new();
        question.raw(&self.nonce).raw(&ring.digest().0).raw(host.as_bytes());
        let hasher = blake3::Hasher::new_derive_key(label::AUDIT_ANSWER);
        Answer { question: question.finish(), due: &self.blocks, ring, key, hasher }
    }
}

/// An answer in the making.
#[derive(Debug)]
pub struct Answer<'a> {
    /// Nonce, ring digest and host.
    question: Vec<u8>,
    due: &'a [u32],
    ring: &'a AuthenticRing,
    key: OpeningKey<'a>,
    hasher: blake3::Hasher,
}

impl Answer<'_> {
    /// The next block's opened bytes, at the places that its header's parts name.
    ///
    /// # Errors
    /// [`AuditError::NotAsked`] where it is not this block's turn; [`AuditError::Open`] where the
    /// ring has no such block, or the key does not open it.
    pub fn block(&mut self, index: u32, opened: &[u8]) -> Result<(), AuditError> {
        let wanted = self.due.first().copied();
        if wanted != Some(index) {
            return Err(AuditError::NotAsked { wanted, given: Some(index) });
        }
        let headers = self.ring.headers();
        let count = u32::try_from(headers.len()).unwrap_or(u32::MAX);
        let header = headers.get(index as usize);
        let header = header.ok_or(OpenError::NoSuchBlock { index, count })?;
        let not_ours = || OpenError::NotForThisKey { index, name: header.name.clone() };
        let key = self.key.block_key(header).ok_or_else(not_ours)?;
        let mut question = Writer::new();
        question.raw(&self.question).u32(index).u64(opened.len() as u64);
        self.hasher.update(&key.audit_digest(&question.finish(), opened).0);
        self.due = self.due.get(1..).unwrap_or_default();
        Ok(())
    }

    /// The answer.
    ///
    /// # Errors
    /// [`AuditError::NotAsked`] where a block is missing, or none was asked for.
    pub fn finish(self) -> Result<Digest, AuditError> {
        match self.due.first() {
            Some(missing) => Err(AuditError::NotAsked { wanted: Some(*missing), given: None }),
            None if self.hasher.count() == 0 => {
                Err(AuditError::NotAsked { wanted: None, given: None })
            }
            None => Ok(Digest(*self.hasher.finalize().as_bytes())),
        }
    }
}
