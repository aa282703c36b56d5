//! Messages between hosts that keep their copies whole, beside the messages of queries.
//!
//! ```text
//! kind 1 | version 1 = 1 | number 8 | contents
//!   32 asks a chunk:             ring digest 32 | block 4 | chunk 8
//!   33 chunk:                    1 to 65,552 bytes, as they are in the ring's file
//!   34 asks a countersignature:  ring digest 32 | block 4 | nonce 32 | answer 32 | log 32 | sequence 8
//!   35 countersigns:             signature 64
//!   36 asks an answer:           ring digest 32 | block 4 | nonce 32 | answer 32
//!   37 answers:                  answer 32
//!   38 refuses:                  reason 1
//! ```
//!
//! The number is the asker's, and comes back. Kinds below 32 are those of queries.

use deepring::Digest;
use deepring::codec::{DecodeError, Reader, Writer};
use deepring::maintenance::{ChunkPlace, MAX_CHUNK_BYTES};

const FIRST: u8 = 32;
const VERSION: u8 = 1;
/// `kind 1 | version 1 | number 8`
const HEAD: usize = 10;
/// Most bytes of a message: those of a chunk.
pub(crate) const MAX_MEND_BYTES: usize = HEAD + MAX_CHUNK_BYTES;

/// A question about a copy, or an answer to one; nothing of it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MendMessage {
    /// The asker's, which an answer repeats.
    pub(crate) number: u64,
    pub(crate) body: MendBody,
}

/// See [`MendMessage`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MendBody {
    AskChunk {
        ring: Digest,
        place: ChunkPlace,
    },
    /// Encrypted, as it is in the file.
    Chunk(Vec<u8>),
    /// The asker opened its copy anew, and this is its answer to the nonce: is it what your copy gives for me? Then sign that, for
    /// the entry of this number in this log.
    AskCountersignature {
        audit: CopyAudit,
        log: Digest,
        sequence: u64,
    },
    Countersigned([u8; 64]),
    /// This is my copy's answer to the nonce: what is yours?
    AskAnswer(CopyAudit),
    Answer(Digest),
    Refused(CopyRefusal),
}

/// A challenge about one block, and the asker's answer to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CopyAudit {
    pub(crate) ring: Digest,
    pub(crate) block: u32,
    pub(crate) nonce: [u8; 32],
    pub(crate) answer: Digest,
}

/// Why a copy does not do what another asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CopyRefusal {
    /// It has another version of the ring.
    OtherRing,
    /// The block is not one that both hosts hold.
    NotShared,
    /// Its own copy is damaged, or quarantined.
    NotWhole,
    /// Its own copy gives another answer.
    Differs,
    /// It was asked too much in a short time.
    TooOften,
    /// It keeps another log, or none.
    OtherLog,
}

const REFUSALS: [(u8, CopyRefusal, &str); 6] = [
    (1, CopyRefusal::OtherRing, "has another version of the ring"),
    (2, CopyRefusal::NotShared, "says that not both hold the block"),
    (3, CopyRefusal::NotWhole, "says that its own copy is damaged or quarantined"),
    (4, CopyRefusal::Differs, "says that its own copy gives another answer"),
    (5, CopyRefusal::TooOften, "was asked too often"),
    (6, CopyRefusal::OtherLog, "keeps another log"),
];

impl std::fmt::Display for CopyRefusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let words = REFUSALS.iter().find(|(_, refusal, _)| refusal == self);
        f.write_str(words.map_or("refuses", |(_, _, words)| words))
    }
}

impl MendMessage {
    /// Whether a host's message is one of these, by its first byte, or of a query.
    pub(crate) fn is_one(bytes: &[u8]) -> bool {
        bytes.first().is_some_and(|kind| *kind >= FIRST)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        let kind = match &self.body {
            MendBody::AskChunk { .. } => 32,
            MendBody::Chunk(_) => 33,
            MendBody::AskCountersignature { .. } => 34,
            MendBody::Countersigned(_) => 35,
            MendBody::AskAnswer(_) => 36,
            MendBody::Answer(_) => 37,
            MendBody::Refused(_) => 38,
        };
        w.u8(kind).u8(VERSION).u64(self.number);
        match &self.body {
            MendBody::AskChunk { ring, place } => w.raw(&ring.0).u32(place.block).u64(place.chunk),
            MendBody::Chunk(bytes) => w.raw(bytes),
            MendBody::AskCountersignature { audit, log, sequence } => {
                audit.encode(&mut w);
                w.raw(&log.0).u64(*sequence)
            }
            MendBody::Countersigned(signature) => w.raw(signature),
            MendBody::AskAnswer(audit) => audit.encode(&mut w),
            MendBody::Answer(answer) => w.raw(&answer.0),
            MendBody::Refused(refusal) => {
                let code = REFUSALS.iter().find(|(_, known, _)| known == refusal);
                w.u8(code.map_or(0, |(code, ..)| *code))
            }
        };
        w.finish()
    }

    /// Decodes a message strictly.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let kind = r.u8("message kind")?;
        let version = r.u8("message version")?;
        if version != VERSION {
            return Err(DecodeError::BadValue { field: "message version", found: version.into() });
        }
        let number = r.u64("number")?;
        let body = match kind {
            32 => {
                let ring = Digest(r.array("ring digest")?);
                let place = ChunkPlace { block: r.u32("block")?, chunk: r.u64("chunk")? };
                MendBody::AskChunk { ring, place }
            }
            33 => {
                let len = r.left();
                if !(1..=MAX_CHUNK_BYTES).contains(&len) {
                    let found = len as u64;
                    return Err(DecodeError::BadValue { field: "length of the chunk", found });
                }
                MendBody::Chunk(r.raw("chunk", len)?.to_vec())
            }
            34 => MendBody::AskCountersignature {
                audit: CopyAudit::decode(&mut r)?,
                log: Digest(r.array("log")?),
                sequence: r.u64("sequence")?,
            },
            35 => MendBody::Countersigned(r.array("signature")?),
            36 => MendBody::AskAnswer(CopyAudit::decode(&mut r)?),
            37 => MendBody::Answer(Digest(r.array("answer")?)),
            38 => {
                let found = r.u8("reason")?;
                let known = REFUSALS.iter().find(|(code, ..)| *code == found);
                let bad = DecodeError::BadValue { field: "reason", found: found.into() };
                MendBody::Refused(known.ok_or(bad)?.1)
            }
            found => {
                return Err(DecodeError::BadValue { field: "message kind", found: found.into() });
            }
        };
        r.finish().map(|()| Self { number, body })
    }
}

impl MendBody {
    /// Whether it asks for something, or answers.
    pub(crate) fn asks(&self) -> bool {
        matches!(
            self,
            Self::AskChunk { .. } | Self::AskCountersignature { .. } | Self::AskAnswer(_)
        )
    }
}

impl CopyAudit {
    fn encode<'w>(&self, w: &'w mut Writer) -> &'w mut Writer {
        w.raw(&self.ring.0).u32(self.block).raw(&self.nonce).raw(&self.answer.0)
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            ring: Digest(r.array("ring digest")?),
            block: r.u32("block")?,
            nonce: r.array("nonce")?,
            answer: Digest(r.array("answer")?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<MendMessage> {
        let audit =
            CopyAudit { ring: Digest([1; 32]), block: 7, nonce: [2; 32], answer: Digest([3; 32]) };
        let mut bodies = vec![
            MendBody::AskChunk {
                ring: Digest([1; 32]),
                place: ChunkPlace { block: 3, chunk: u64::MAX },
            },
            MendBody::Chunk(vec![9]),
            MendBody::Chunk(vec![9; MAX_CHUNK_BYTES]),
            MendBody::AskCountersignature { audit, log: Digest([4; 32]), sequence: 5 },
            MendBody::Countersigned([6; 64]),
            MendBody::AskAnswer(audit),
            MendBody::Answer(Digest([8; 32])),
        ];
        bodies.extend(REFUSALS.iter().map(|(_, refusal, _)| MendBody::Refused(*refusal)));
        (0..).zip(bodies).map(|(number, body)| MendMessage { number, body }).collect()
    }

    #[test]
    fn a_message_comes_back_and_is_told_from_those_of_queries() {
        for message in all() {
            let bytes = message.encode();
            assert!(bytes.len() <= MAX_MEND_BYTES && MendMessage::is_one(&bytes));
            assert_eq!(MendMessage::decode(&bytes), Ok(message));
        }
        assert!((0..FIRST).all(|kind| !MendMessage::is_one(&[kind])) && !MendMessage::is_one(&[]));
        assert!(!all()[1].body.asks() && all()[0].body.asks() && all()[3].body.asks());
    }

    #[test]
    fn what_no_host_writes_is_refused() {
        for message in all() {
            let bytes = message.encode();
            let whole = bytes.len();
            for len in (0..whole).filter(|len| *len < 200 || *len + 1 == whole) {
                // A shorter chunk is another chunk.
                let refused = MendMessage::decode(&bytes[..len]);
                let is_chunk = matches!(message.body, MendBody::Chunk(_)) && len > HEAD;
                assert_eq!(refused.is_err(), !is_chunk, "{message:?} {len}");
            }
            let longer = MendMessage::decode(&[&bytes[..], &[0]].concat());
            let may_grow = matches!(&message.body, MendBody::Chunk(c) if c.len() < MAX_CHUNK_BYTES);
            assert_eq!(longer.is_err(), !may_grow, "{message:?}");
            for (at, values) in [(0, vec![0, 9, 31, 39, 255]), (1, vec![0, 2, 255])] {
                for value in values {
                    let mut other = bytes.clone();
                    other[at] = value;
                    assert!(MendMessage::decode(&other).is_err(), "{message:?} {at} {value}");
                }
            }
        }
        for code in [0, 7, 255] {
            let refused = MendMessage { number: 0, body: MendBody::Refused(CopyRefusal::Differs) };
            let mut bytes = refused.encode();
            bytes[HEAD] = code;
            assert!(MendMessage::decode(&bytes).is_err());
        }
    }

    #[test]
    fn whatever_decodes_encodes_to_the_same_bytes() {
        let mut random = fastrand::Rng::with_seed(7);
        let samples: Vec<Vec<u8>> = all().iter().map(MendMessage::encode).collect();
        let mut decoded = 0;
        for _ in 0..20_000 {
            let mut bytes = samples[random.usize(..samples.len())].clone();
            bytes.truncate(random.usize(..=bytes.len().min(200)));
            for _ in 0..random.usize(..3) {
                if !bytes.is_empty() {
                    let at = random.usize(..bytes.len());
                    bytes[at] = random.u8(..);
                }
            }
            if let Ok(message) = MendMessage::decode(&bytes) {
                decoded += 1;
                assert_eq!(message.encode(), bytes);
            }
        }
        assert!(decoded > 1000, "{decoded}");
    }
}
