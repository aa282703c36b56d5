//! A docket of the agreement: submissions in their order, after a parent.
//!
//! Its entries become leaves in this order, at its height. One without submissions is a heartbeat and
//! makes no leaf. The digest is SHA-256 of the canonical bytes, and those name the parent: so a
//! digest that a quorum finalised fixes everything before it. The first docket of a log is computed
//! from the log's name, so that no vote for one log counts in another.

use std::sync::Arc;

use bytes::{Buf as _, BufMut};
use commonware_codec::{Buf, EncodeSize, Error as CodecError, Read, Write};
use commonware_consensus::types::Height;
use commonware_consensus::{Block as ConsensusBlock, BoundedBlock, Heightable};
use commonware_cryptography::{Digestible, Hasher as _, Sha256, sha256};
use deepring::codec::{DecodeError, Reader, Writer};
use deepring::keys::log_digest;
use thiserror::Error;

use super::submission::{MAX_SUBMISSION_BYTES, Submission};

/// SHA-256 of a docket's bytes.
pub type DocketDigest = sha256::Digest;

/// Most bytes of an encoded docket.
pub const MAX_DOCKET_BYTES: usize = 1 << 20;
/// Most submissions of a docket.
pub const MAX_DOCKET_SUBMISSIONS: usize = 1024;
/// `version 1 | parent 32 | height 8 | timestamp 8 | count 4`
const HEADER_BYTES: usize = 1 + 32 + 8 + 8 + 4;
const VERSION: u8 = 1;

// One submission always fits.
const _: () = assert!(HEADER_BYTES + MAX_SUBMISSION_BYTES <= MAX_DOCKET_BYTES);

/// Room for submissions in a docket.
pub(crate) const DOCKET_ROOM: usize = MAX_DOCKET_BYTES - HEADER_BYTES;

/// Why submissions make no docket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{submissions} submissions of {bytes} bytes are more than a docket holds")]
pub struct DocketTooLarge {
    /// Number of submissions.
    pub submissions: usize,
    /// Their bytes.
    pub bytes: usize,
}

/// A docket, with its bytes and their digest. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Docket {
    parent: DocketDigest,
    height: u64,
    timestamp: u64,
    submissions: Arc<[Submission]>,
    bytes: Arc<[u8]>,
    digest: DocketDigest,
}

impl Docket {
    /// The docket after `parent`. The time, in milliseconds since the Unix epoch, is what the
    /// proposer's clock said: it orders nothing and is not verified, so that a clock that is wrong stops nobody.
    ///
    /// # Errors
    /// [`DocketTooLarge`].
    pub fn new(
        parent: DocketDigest,
        height: u64,
        timestamp: u64,
        submissions: Vec<Submission>,
    ) -> Result<Self, DocketTooLarge> {
        let bytes: usize = submissions.iter().map(Submission::encoded_len).sum();
        if submissions.len() > MAX_DOCKET_SUBMISSIONS || bytes > DOCKET_ROOM {
            return Err(DocketTooLarge { submissions: submissions.len(), bytes });
        }
        let mut w = Writer::new();
        w.u8(VERSION).raw(&parent).u64(height).u64(timestamp).count(submissions.len());
        submissions.iter().for_each(|submission| submission.encode(&mut w));
        let bytes: Arc<[u8]> = w.finish().into();
        let digest = Sha256::hash(&[&bytes]);
        Ok(Self { parent, height, timestamp, submissions: submissions.into(), bytes, digest })
    }

    /// The first docket of the log of this name: height 0, nothing in it.
    #[must_use]
    pub fn genesis(origin: &str) -> Self {
        let parent = Sha256::hash(&[b"deepring v1 agreement", &log_digest(origin).0]);
        // A docket of nothing is never too large.
        let mut w = Writer::new();
        w.u8(VERSION).raw(&parent).u64(0).u64(0).count(0);
        let bytes: Arc<[u8]> = w.finish().into();
        let digest = Sha256::hash(&[&bytes]);
        Self { parent, height: 0, timestamp: 0, submissions: Arc::new([]), bytes, digest }
    }

    /// Digest of the docket before.
    #[must_use]
    pub fn parent(&self) -> DocketDigest {
        self.parent
    }

    /// Number of dockets before it.
    #[must_use]
    pub fn height(&self) -> u64 {
        self.height
    }

    /// The time by the proposer's clock, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn timestamp(&self) -> u64 {
        self.timestamp
    }

    /// The submissions, in the order of their leaves.
    #[must_use]
    pub fn submissions(&self) -> &[Submission] {
        &self.submissions
    }

    /// SHA-256 of its bytes.
    #[must_use]
    pub fn digest(&self) -> DocketDigest {
        self.digest
    }

    /// Its canonical bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Reads canonical bytes, and no others; verifies no submission.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > MAX_DOCKET_BYTES {
            let (found, limit) = (bytes.len() as u64, MAX_DOCKET_BYTES as u64);
            return Err(DecodeError::TooLong { field: "docket", found, limit });
        }
        let mut r = Reader::new(bytes);
        match r.u8("docket version")? {
            VERSION => {}
            found => {
                return Err(DecodeError::BadValue { field: "docket version", found: found.into() });
            }
        }
        let parent = sha256::Digest(r.array("parent")?);
        let (height, timestamp) = (r.u64("height")?, r.u64("timestamp")?);
        let count = r.count("submissions", MAX_DOCKET_SUBMISSIONS, 8)?;
        let mut submissions = Vec::with_capacity(count);
        for _ in 0..count {
            submissions.push(Submission::decode(&mut r)?);
        }
        r.finish()?;
        let digest = Sha256::hash(&[bytes]);
        Ok(Self {
            parent,
            height,
            timestamp,
            submissions: submissions.into(),
            bytes: bytes.into(),
            digest,
        })
    }
}

/// `length 4 | canonical bytes`
impl Write for Docket {
    fn write(&self, buf: &mut impl BufMut) {
        // A docket's bytes are bounded far below 2^32.
        buf.put_u32(u32::try_from(self.bytes.len()).unwrap_or(u32::MAX));
        buf.put_slice(&self.bytes);
    }
}

impl EncodeSize for Docket {
    fn encode_size(&self) -> usize {
        4 + self.bytes.len()
    }
}

impl Read for Docket {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, CodecError> {
        if buf.remaining() < 4 {
            return Err(CodecError::EndOfBuffer);
        }
        let len = buf.get_u32() as usize;
        if len > MAX_DOCKET_BYTES {
            return Err(CodecError::InvalidLength(len));
        }
        if buf.remaining() < len {
            return Err(CodecError::EndOfBuffer);
        }
        let mut bytes = vec![0; len];
        buf.copy_to_slice(&mut bytes);
        Self::decode(&bytes).map_err(|_| CodecError::Invalid("docket", "not canonical"))
    }
}

impl Digestible for Docket {
    type Digest = DocketDigest;

    fn digest(&self) -> DocketDigest {
        self.digest
    }
}

impl Heightable for Docket {
    fn height(&self) -> Height {
        Height::new(self.height)
    }
}

impl ConsensusBlock for Docket {
    fn parent(&self) -> DocketDigest {
        self.parent
    }
}

impl BoundedBlock for Docket {
    fn max_encode_size((): &()) -> usize {
        4 + MAX_DOCKET_BYTES
    }
}

#[cfg(test)]
mod tests;
