//! The closure: the owner's signed record that closes a ring.
//!
//! ```text
//! statement:  ring id 16 | model version 8 | count 4 | kind 2 | previous ring digest 32
//!             | owner key 64 | sealed at 8 | body digests 32 × count
//! revision 4
//! rows:       header length 4 | body length 8 | header digest 32     × count
//! outline signature 64
//! signature 64
//! ```
//!
//! The ring digest is over the statement alone: it names the content, no matter which keys open it.
//! Granting a host changes headers, rows and revision, but not the statement, so receipts stay
//! valid. The outline's signature is that of the [outline](crate::outline) which statement and headers
//! make. The last signature is over all of it. A hash chain cannot close on itself: links cover bodies,
//! and this record commits to their order and number.

use std::io;

use super::layout::{PREAMBLE_LEN, Preamble};
use crate::crypto::signature::SIGNATURE_LEN;
use crate::crypto::{Digest, label};
use crate::encoding::{DecodeError, Reader, Writer};
use crate::keys::{Owner, PublicKey, SignerError, SigningOwner};
use crate::outline::Stated;
use crate::ring_id::MAX_BLOCKS;
use crate::ring_id::{RingId, RingKind};
use crate::storage::{Storage, read_range};
use crate::trust::{OwnedRing, RingVersion};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Closure {
    pub(crate) ring_id: RingId,
    pub(crate) model_version: u64,
    pub(crate) kind: RingKind,
    pub(crate) previous: Digest,
    pub(crate) owner: PublicKey<Owner>,
    pub(crate) sealed_at: u64,
    pub(crate) bodies: Vec<Digest>,
    pub(crate) revision: u32,
    pub(crate) rows: Vec<ClosureRow>,
    pub(crate) outline_signature: [u8; SIGNATURE_LEN],
    pub(crate) signature: [u8; SIGNATURE_LEN],
}

/// A block's header length, body length and header digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClosureRow {
    pub(crate) header_len: u32,
    pub(crate) body_len: u64,
    pub(crate) header_digest: Digest,
}

/// Offset of the closure's own count in the file: after preamble, ring id and model version.
const COUNT_AT: u64 = PREAMBLE_LEN + 16 + 8;

/// Longest header in bytes: 64 MiB, enough for 64 GiB of body.
const MAX_HEADER: u32 = 64 << 20;

pub(crate) fn closure_len(count: u32) -> u64 {
    266 + 76 * u64::from(count)
}

impl Closure {
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.bodies.len()).unwrap_or(u32::MAX)
    }

    pub(crate) fn ring_digest(&self) -> Digest {
        Digest::of(label::RING, &[&self.statement()])
    }

    /// The version that it states; true only once its owner's signature and its headers are
    /// verified.
    pub(crate) fn version(&self) -> RingVersion {
        let ring = OwnedRing { owner: self.owner, ring: self.ring_id };
        RingVersion { ring, model_version: self.model_version, digest: self.ring_digest(), deal: 0 }
    }

    /// The statements that the outline repeats.
    pub(crate) fn stated(&self) -> Stated {
        Stated {
            kind: self.kind,
            ring_id: self.ring_id,
            model_version: self.model_version,
            ring_digest: self.ring_digest(),
            previous: self.previous,
            owner: self.owner,
            sealed_at: self.sealed_at,
            revision: self.revision,
            outline_signature: self.outline_signature,
        }
    }

    fn statement(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.raw(&self.ring_id.0).u64(self.model_version).u32(self.count()).u16(self.kind.code());
        w.raw(&self.previous.0);
        w.raw(self.owner.as_bytes()).u64(self.sealed_at);
        for body in &self.bodies {
            w.raw(&body.0);
        }
        w.finish()
    }

    fn rest_unsigned(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u32(self.revision);
        for row in &self.rows {
            w.u32(row.header_len).u64(row.body_len).raw(&row.header_digest.0);
        }
        w.raw(&self.outline_signature);
        w.finish()
    }

    fn signed_message(&self) -> Vec<u8> {
        let mut message = self.ring_digest().0.to_vec();
        message.extend_from_slice(&self.rest_unsigned());
        message
    }

    pub(crate) fn sign(&mut self, owner: &SigningOwner) -> Result<(), SignerError> {
        self.signature = owner.sign(label::SIGN_CLOSURE, &self.signed_message())?;
        Ok(())
    }

    /// Returns whether the owner that the closure names has signed it. Says nothing about trust:
    /// nothing inside a ring can vouch for itself.
    pub(crate) fn is_self_signed(&self) -> bool {
        self.owner.has_signed(label::SIGN_CLOSURE, &self.signed_message(), &self.signature)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = self.statement();
        bytes.extend_from_slice(&self.rest_unsigned());
        bytes.extend_from_slice(&self.signature);
        bytes
    }

    /// The count that the closure itself states, whatever the preamble says; `None` if the file
    /// ends before it.
    pub(crate) fn own_count(storage: &dyn Storage, file_len: u64) -> io::Result<Option<u32>> {
        if file_len < COUNT_AT + 4 {
            return Ok(None);
        }
        let mut count = [0; 4];
        storage.read_at(COUNT_AT, &mut count)?;
        Ok(Some(u32::from_le_bytes(count)))
    }

    /// The closure, found by its own count and without the preamble, if the owner that it names has
    /// signed it.
    pub(crate) fn read_self_signed(
        storage: &dyn Storage,
        file_len: u64,
    ) -> io::Result<Option<Self>> {
        let Some(count) = Self::own_count(storage, file_len)? else { return Ok(None) };
        let range = Preamble { count, file_len }.closure_range();
        if !(2..=MAX_BLOCKS).contains(&count) || range.end > file_len {
            return Ok(None);
        }
        let closure = Self::decode(&read_range(storage, range)?).ok();
        Ok(closure.filter(Self::is_self_signed))
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let ring_id = RingId(r.array("ring id")?);
        let model_version = r.u64("model version")?;
        let count = r.count("block count", MAX_BLOCKS as usize, 32)?;
        let kind = RingKind::decode(&mut r)?;
        let previous = Digest(r.array("previous ring digest")?);
        let owner = PublicKey::from_bytes(r.array("owner key")?);
        let sealed_at = r.u64("sealed at")?;
        let bodies =
            (0..count).map(|_| r.array("body digest").map(Digest)).collect::<Result<_, _>>()?;
        let revision = r.u32("revision")?;
        let rows = (0..count).map(|_| ClosureRow::decode(&mut r)).collect::<Result<_, _>>()?;
        let outline_signature = r.array("outline signature")?;
        let signature = r.array("signature")?;
        r.finish()?;
        Ok(Self {
            ring_id,
            model_version,
            kind,
            previous,
            owner,
            sealed_at,
            bodies,
            revision,
            rows,
            outline_signature,
            signature,
        })
    }
}

impl ClosureRow {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let header_len = r.u32("header length")?;
        if header_len > MAX_HEADER {
            return Err(DecodeError::TooLong {
                field: "header length",
                found: u64::from(header_len),
                limit: u64::from(MAX_HEADER),
            });
        }
        Ok(Self {
            header_len,
            body_len: r.u64("body length")?,
            header_digest: Digest(r.array("header digest")?),
        })
    }
}
