//! Canonical bytes of an entry: `docs/LEDGER.md`, "Entries", is the same table.

use deepring::codec::{DecodeError, Reader, Writer};
use deepring::keys::{Author, Role};
use deepring::outline::Outline;
use deepring::replication::Evidence;
use deepring::{Digest, PublicKey, RingId};

use super::event::{Audit, Countersignature, Event, MAX_VALIDATORS, ValidatorSet, ascending};
use super::{Binding, Entry};

/// Largest entry, in bytes: what the length of an entry in a C2SP tile can say.
pub const MAX_ENTRY_BYTES: usize = 65_535;

const VERSION: u8 = 3;
const SIGNATURE: usize = 64;

const RING_REGISTERED: u8 = 1;
const RING_UPGRADED: u8 = 2;
const RING_REVOKED: u8 = 3;
const DECISIONS: u8 = 4;
const ALARM: u8 = 5;
const REPAIR: u8 = 6;
const KEY_REVOKED: u8 = 7;
const DEAL: u8 = 8;
const VALIDATOR_SET: u8 = 9;
const HOST_REVOKED: u8 = 10;
const OWNER_ROTATED: u8 = 11;
const QUARANTINE_LIFTED: u8 = 12;

/// Everything that the author signs: version, kind, time, log, sequence, author, then the fields of
/// the kind in the order of their declaration.
pub(super) fn encode_unsigned(
    binding: Binding,
    at: u64,
    author: &Author,
    event: &Event,
) -> Vec<u8> {
    let sequence = if event.kind() == DECISIONS { 0 } else { binding.sequence };
    let mut w = Writer::new();
    w.u8(VERSION).u8(event.kind()).u64(at).raw(&binding.log.0).u64(sequence);
    author.encode(&mut w);
    event.write(&mut w);
    w.finish()
}

/// Reads an entry; the signature is stepped over.
pub(super) fn decode(bytes: &[u8]) -> Result<Entry, DecodeError> {
    if bytes.len() > MAX_ENTRY_BYTES {
        return Err(DecodeError::TooLong {
            field: "entry",
            found: bytes.len() as u64,
            limit: MAX_ENTRY_BYTES as u64,
        });
    }
    let mut r = Reader::new(bytes);
    let version = r.u8("version")?;
    if version != VERSION {
        return Err(DecodeError::BadValue { field: "version", found: version.into() });
    }
    let kind = r.u8("kind")?;
    let at = r.u64("at")?;
    let log = Digest(r.array("log")?);
    let sequence = r.u64("sequence")?;
    // Decisions are not counted, and everything else from 1.
    if (kind == DECISIONS) != (sequence == 0) {
        return Err(DecodeError::BadValue { field: "sequence", found: sequence });
    }
    let author = Author::decode(&mut r)?;
    let event = Event::read(kind, &mut r)?;
    r.raw("signature", SIGNATURE)?;
    r.finish()?;
    Ok(Entry { bytes: bytes.to_vec(), at, log, sequence, author, event })
}

impl Event {
    fn kind(&self) -> u8 {
        match self {
            Self::RingRegistered { .. } => RING_REGISTERED,
            Self::RingUpgraded { .. } => RING_UPGRADED,
            Self::RingRevoked { .. } => RING_REVOKED,
            Self::Decisions { .. } => DECISIONS,
            Self::Alarm { .. } => ALARM,
            Self::Repair { .. } => REPAIR,
            Self::KeyRevoked { .. } => KEY_REVOKED,
            Self::Deal { .. } => DEAL,
            Self::ValidatorSet(_) => VALIDATOR_SET,
            Self::HostRevoked { .. } => HOST_REVOKED,
            Self::OwnerRotated { .. } => OWNER_ROTATED,
            Self::QuarantineLifted { .. } => QUARANTINE_LIFTED,
        }
    }

    fn write(&self, w: &mut Writer) {
        match self {
            Self::RingRegistered { outline }
            | Self::RingUpgraded { outline }
            | Self::Deal { outline } => {
                w.bytes(&outline.encode());
            }
            Self::RingRevoked { ring_id, ring_digest, reason } => {
                w.raw(&ring_id.0);
                option(w, ring_digest.as_ref(), |w, digest| _ = w.raw(&digest.0));
                w.string(reason);
            }
            Self::Decisions { ring_digest, decision_id, count, dealt } => {
                w.raw(&ring_digest.0).raw(&decision_id.0).u32(*count).u32(*dealt);
            }
            Self::Alarm {
                ring_id,
                ring_digest,
                accused,
                block,
                name,
                part,
                tensor,
                bytes,
                reason,
                evidence,
            } => {
                w.raw(&ring_id.0).raw(&ring_digest.0).raw(accused.as_bytes());
                option(w, block.as_ref(), |w, b| _ = w.u32(*b));
                w.string(name).string(part);
                option(w, tensor.as_ref(), |w, t| _ = w.string(t));
                option(w, bytes.as_ref(), |w, [start, end]| _ = w.u64(*start).u64(*end));
                w.string(reason);
                w.bytes(&evidence.as_ref().map(|e| e.to_bytes()).unwrap_or_default());
            }
            Self::Repair { ring_id, ring_digest, blocks, source, audit } => {
                w.raw(&ring_id.0).raw(&ring_digest.0);
                write_blocks(blocks, w);
                w.string(source).raw(&audit.nonce).raw(&audit.digest.0);
                option(w, audit.countersignature.as_ref(), |w, c| {
                    w.raw(c.host.as_bytes()).raw(&c.signature);
                });
            }
            Self::KeyRevoked { reason } => {
                w.string(reason);
            }
            Self::ValidatorSet(set) => {
                set.encode(w);
            }
            Self::HostRevoked { host, ring_id, reason } => {
                w.raw(host.as_bytes());
                option(w, ring_id.as_ref(), |w, id| _ = w.raw(&id.0));
                w.string(reason);
            }
            Self::OwnerRotated { new_owner, signature } => {
                w.raw(new_owner.as_bytes()).raw(signature);
            }
            Self::QuarantineLifted { ring_id, ring_digest, host, blocks, reason } => {
                w.raw(&ring_id.0).raw(&ring_digest.0).raw(host.as_bytes());
                write_blocks(blocks, w);
                w.string(reason);
            }
        }
    }

    // Struct fields are evaluated in the order in which they are written, which is the order of
    // the bytes.
    fn read(kind: u8, r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match kind {
            RING_REGISTERED => Self::RingRegistered { outline: read_outline(r)? },
            RING_UPGRADED => Self::RingUpgraded { outline: read_outline(r)? },
            RING_REVOKED => Self::RingRevoked {
                ring_id: RingId(r.array("ring id")?),
                ring_digest: read_option(r, "ring digest", |r| r.array("ring digest"))?.map(Digest),
                reason: r.string("reason")?,
            },
            DECISIONS => Self::Decisions {
                ring_digest: Digest(r.array("ring digest")?),
                decision_id: Digest(r.array("decision id")?),
                count: r.u32("count")?,
                dealt: r.u32("dealt")?,
            },
            ALARM => Self::Alarm {
                ring_id: RingId(r.array("ring id")?),
                ring_digest: Digest(r.array("ring digest")?),
                accused: PublicKey::from_bytes(r.array("accused")?),
                block: read_option(r, "block", |r| r.u32("block"))?,
                name: r.string("name")?,
                part: r.string("part")?,
                tensor: read_option(r, "tensor", |r| r.string("tensor"))?,
                bytes: read_option(r, "bytes", |r| Ok([r.u64("bytes")?, r.u64("bytes")?]))?,
                reason: r.string("reason")?,
                evidence: match r.bytes("evidence", MAX_ENTRY_BYTES)? {
                    [] => None,
                    bytes => Some(Box::new(Evidence::from_bytes(bytes)?)),
                },
            },
            REPAIR => Self::Repair {
                ring_id: RingId(r.array("ring id")?),
                ring_digest: Digest(r.array("ring digest")?),
                blocks: read_blocks(r)?,
                source: r.string("source")?,
                audit: Audit {
                    nonce: r.array("nonce")?,
                    digest: Digest(r.array("audit digest")?),
                    countersignature: read_option(r, "countersignature", |r| {
                        let host = PublicKey::from_bytes(r.array("countersigner")?);
                        Ok(Countersignature { host, signature: r.array("countersignature")? })
                    })?,
                },
            },
            KEY_REVOKED => Self::KeyRevoked { reason: r.string("reason")? },
            DEAL => Self::Deal { outline: read_outline(r)? },
            VALIDATOR_SET => Self::ValidatorSet(ValidatorSet::decode(r)?),
            HOST_REVOKED => Self::HostRevoked {
                host: PublicKey::from_bytes(r.array("host")?),
                ring_id: read_option(r, "ring id", |r| r.array("ring id"))?.map(RingId),
                reason: r.string("reason")?,
            },
            OWNER_ROTATED => Self::OwnerRotated {
                new_owner: PublicKey::from_bytes(r.array("new owner")?),
                signature: r.array("rotation signature")?,
            },
            QUARANTINE_LIFTED => Self::QuarantineLifted {
                ring_id: RingId(r.array("ring id")?),
                ring_digest: Digest(r.array("ring digest")?),
                host: PublicKey::from_bytes(r.array("host")?),
                blocks: read_blocks(r)?,
                reason: r.string("reason")?,
            },
            found => return Err(DecodeError::BadValue { field: "kind", found: found.into() }),
        })
    }
}

impl ValidatorSet {
    pub(crate) fn encode(&self, w: &mut Writer) {
        w.u64(self.epoch).string(&self.origin);
        write_keys(&self.owners, w);
        write_keys(&self.nodes, w);
    }

    // In the order of the bytes.
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            epoch: r.u64("epoch")?,
            origin: r.string("origin")?,
            owners: read_keys(r, "owners", MAX_ENTRY_BYTES / 64)?,
            nodes: read_keys(r, "nodes", MAX_VALIDATORS)?,
        })
    }
}

fn read_outline(r: &mut Reader<'_>) -> Result<Box<Outline>, DecodeError> {
    Ok(Box::new(Outline::decode(r.bytes("outline", MAX_ENTRY_BYTES)?)?))
}

fn option<T>(w: &mut Writer, value: Option<&T>, write: impl FnOnce(&mut Writer, &T)) {
    w.u8(u8::from(value.is_some()));
    if let Some(value) = value {
        write(w, value);
    }
}

fn read_option<'a, T>(
    r: &mut Reader<'a>,
    field: &'static str,
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, DecodeError>,
) -> Result<Option<T>, DecodeError> {
    r.bool(field)?.then(|| read(r)).transpose()
}

fn write_blocks(blocks: &[u32], w: &mut Writer) {
    let blocks = ascending(blocks);
    w.count(blocks.len());
    blocks.iter().for_each(|block| _ = w.u32(*block));
}

fn read_blocks(r: &mut Reader<'_>) -> Result<Vec<u32>, DecodeError> {
    let count = r.count("blocks", MAX_ENTRY_BYTES / 4, 4)?;
    if count == 0 {
        return Err(DecodeError::BadValue { field: "blocks", found: 0 });
    }
    let mut blocks: Vec<u32> = Vec::with_capacity(count);
    for _ in 0..count {
        let block = r.u32("blocks")?;
        // One set of blocks has one encoding.
        if blocks.last().is_some_and(|last| *last >= block) {
            return Err(DecodeError::BadValue { field: "blocks", found: block.into() });
        }
        blocks.push(block);
    }
    Ok(blocks)
}

fn write_keys<R: Role>(keys: &[PublicKey<R>], w: &mut Writer) {
    let mut keys: Vec<&[u8; 64]> = keys.iter().map(PublicKey::as_bytes).collect();
    keys.sort_unstable();
    keys.dedup();
    w.count(keys.len());
    keys.iter().for_each(|key| _ = w.raw(*key));
}

fn read_keys<R: Role>(
    r: &mut Reader<'_>,
    field: &'static str,
    most: usize,
) -> Result<Vec<PublicKey<R>>, DecodeError> {
    let count = r.count(field, most, 64)?;
    if count == 0 {
        return Err(DecodeError::BadValue { field, found: 0 });
    }
    let mut keys: Vec<PublicKey<R>> = Vec::with_capacity(count);
    for place in 0..count {
        let key = PublicKey::from_bytes(r.array(field)?);
        if keys.last().is_some_and(|last| last.as_bytes() >= key.as_bytes()) {
            return Err(DecodeError::BadValue { field, found: place as u64 });
        }
        keys.push(key);
    }
    Ok(keys)
}
