//! Canonical bytes of an entry: `docs/LEDGER.md`, "Entries", is the same table.

use deepring::codec::{DecodeError, Reader, Writer};

use super::{Entry, Event};

/// Largest encoded entry, in bytes.
pub const MAX_ENTRY_BYTES: usize = 1 << 20;

const VERSION: u8 = 1;

const RING_REGISTERED: u8 = 1;
const RING_UPGRADED: u8 = 2;
const RING_REVOKED: u8 = 3;
const DECISIONS: u8 = 4;
const ALARM: u8 = 5;
const REPAIR: u8 = 6;
const KEY_REVOKED: u8 = 7;

impl Entry {
    /// Canonical bytes: version, kind, time, then the fields of the kind in the order of their
    /// declaration. Equal entries have equal bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(VERSION).u8(self.event.kind()).u64(self.at);
        self.event.write(&mut w);
        w.finish()
    }

    /// Reads canonical bytes; accepts exactly what [`Entry::encode`] writes.
    ///
    /// # Errors
    /// Any [`DecodeError`]: an unknown version or kind, a field cut short or out of bounds, blocks
    /// that are not in ascending order, more than [`MAX_ENTRY_BYTES`], bytes after the last field.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
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
        let event = Event::read(kind, &mut r)?;
        r.finish()?;
        Ok(Self { at, event })
    }
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
        }
    }

    fn write(&self, w: &mut Writer) {
        match self {
            Self::RingRegistered {
                ring_id,
                ring_digest,
                model_version,
                owner,
                closure_signature,
            } => {
                w.raw(ring_id).raw(ring_digest).u64(*model_version);
                w.raw(owner).raw(closure_signature);
            }
            Self::RingUpgraded {
                ring_id,
                ring_digest,
                previous_digest,
                model_version,
                owner,
                closure_signature,
            } => {
                w.raw(ring_id).raw(ring_digest).raw(previous_digest).u64(*model_version);
                w.raw(owner).raw(closure_signature);
            }
            Self::RingRevoked { ring_id, ring_digest, reason } => {
                w.raw(ring_id).raw(ring_digest).string(reason);
            }
            Self::Decisions { ring_digest, decision_id, count } => {
                w.raw(ring_digest).raw(decision_id).u32(*count);
            }
            Self::Alarm { ring_id, ring_digest, block, name, part, tensor, bytes, reason } => {
                w.raw(ring_id).raw(ring_digest);
                option(w, block.as_ref(), |w, b| {
                    w.u32(*b);
                });
                w.string(name).string(part);
                option(w, tensor.as_ref(), |w, t| {
                    w.string(t);
                });
                option(w, bytes.as_ref(), |w, [start, end]| {
                    w.u64(*start).u64(*end);
                });
                w.string(reason);
            }
            Self::Repair { ring_id, ring_digest, blocks, source } => {
                let mut ascending = blocks.clone();
                ascending.sort_unstable();
                ascending.dedup();
                w.raw(ring_id).raw(ring_digest).count(ascending.len());
                for block in ascending {
                    w.u32(block);
                }
                w.string(source);
            }
            Self::KeyRevoked { key, reason } => {
                w.raw(key).string(reason);
            }
        }
    }

    // Struct fields are evaluated in the order in which they are written, which is the order of
    // the bytes.
    fn read(kind: u8, r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match kind {
            RING_REGISTERED => Self::RingRegistered {
                ring_id: r.array("ring_id")?,
                ring_digest: r.array("ring_digest")?,
                model_version: r.u64("model_version")?,
                owner: r.array("owner")?,
                closure_signature: r.array("closure_signature")?,
            },
            RING_UPGRADED => Self::RingUpgraded {
                ring_id: r.array("ring_id")?,
                ring_digest: r.array("ring_digest")?,
                previous_digest: r.array("previous_digest")?,
                model_version: r.u64("model_version")?,
                owner: r.array("owner")?,
                closure_signature: r.array("closure_signature")?,
            },
            RING_REVOKED => Self::RingRevoked {
                ring_id: r.array("ring_id")?,
                ring_digest: r.array("ring_digest")?,
                reason: r.string("reason")?,
            },
            DECISIONS => Self::Decisions {
                ring_digest: r.array("ring_digest")?,
                decision_id: r.array("decision_id")?,
                count: r.u32("count")?,
            },
            ALARM => Self::Alarm {
                ring_id: r.array("ring_id")?,
                ring_digest: r.array("ring_digest")?,
                block: present(r, "block")?.then(|| r.u32("block")).transpose()?,
                name: r.string("name")?,
                part: r.string("part")?,
                tensor: present(r, "tensor")?.then(|| r.string("tensor")).transpose()?,
                bytes: match present(r, "bytes")? {
                    true => Some([r.u64("bytes")?, r.u64("bytes")?]),
                    false => None,
                },
                reason: r.string("reason")?,
            },
            REPAIR => Self::Repair {
                ring_id: r.array("ring_id")?,
                ring_digest: r.array("ring_digest")?,
                blocks: read_blocks(r)?,
                source: r.string("source")?,
            },
            KEY_REVOKED => Self::KeyRevoked { key: r.array("key")?, reason: r.string("reason")? },
            found => return Err(DecodeError::BadValue { field: "kind", found: found.into() }),
        })
    }
}

fn option<T>(w: &mut Writer, value: Option<&T>, write: impl FnOnce(&mut Writer, &T)) {
    match value {
        Some(value) => {
            w.u8(1);
            write(w, value);
        }
        None => {
            w.u8(0);
        }
    }
}

fn present(r: &mut Reader<'_>, field: &'static str) -> Result<bool, DecodeError> {
    match r.u8(field)? {
        0 => Ok(false),
        1 => Ok(true),
        found => Err(DecodeError::BadValue { field, found: found.into() }),
    }
}

fn read_blocks(r: &mut Reader<'_>) -> Result<Vec<u32>, DecodeError> {
    let count = r.count("blocks", MAX_ENTRY_BYTES / 4, 4)?;
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
