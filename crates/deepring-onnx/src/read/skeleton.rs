//! First pass over a model: all of it except the elements of large tensors, whose place is noted.

use prost::encoding::{WireType, encode_key, encode_varint};

use super::error::ImportError;
use super::wire::{Key, SharedFile, Wire, WireReader};

/// Elements in more bytes than this stay in the file.
const INLINE_LIMIT: u64 = 4096;
/// Most bytes that the small tensors of a model may have together.
const ELEMENTS_LIMIT: u64 = 192 << 20;
/// Most bytes that everything else may have, where each field counts as [`FIELD_COST`] more:
/// a field of two bytes decodes into some hundred.
const SKELETON_LIMIT: u64 = 128 << 20;
const FIELD_COST: u64 = 64;
/// Graphs inside nodes inside graphs; prost's own limit of 100 messages lies above this.
const DEPTH_LIMIT: u32 = 24;
/// Number of `TensorProto.payload`.
const PAYLOAD: u32 = 32000;

/// Elements that were left in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Payload {
    pub(crate) offset: u64,
    pub(crate) len: u64,
    pub(crate) form: Form,
}

/// How elements are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Little-endian, densely: `raw_data`, and packed floats.
    Raw,
    Floats,
    Doubles,
    /// One variable-length number per element, as `int32_data` has it.
    Int32s,
    Int64s,
    Uint64s,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
}

enum Action {
    Drop,
    Copy,
    Descend(Kind),
    Elements(Form),
}

impl Kind {
    fn action(self, field: u32) -> Action {
        use Action::{Copy, Descend, Drop, Elements};
        match (self, field) {
            (Self::Model, 7) => Descend(Self::Graph),
            (Self::Model, 1..=5 | 8 | 14 | 20 | 25) => Copy,
            (Self::Graph, 1) => Descend(Self::Node),
            (Self::Graph, 5) => Descend(Self::Tensor),
            (Self::Graph, 2 | 11..=13 | 15) => Copy,
            (Self::Node, 5) => Descend(Self::Attribute),
            (Self::Node, 1..=4 | 7 | 8) => Copy,
            (Self::Attribute, 5 | 10) => Descend(Self::Tensor),
            (Self::Attribute, 6 | 11) => Descend(Self::Graph),
            (Self::Attribute, 1..=4 | 7..=9 | 20..=23) => Copy,
            (Self::Tensor, 9) => Elements(Form::Raw),
            (Self::Tensor, 4) => Elements(Form::Floats),
            (Self::Tensor, 5) => Elements(Form::Int32s),
            (Self::Tensor, 7) => Elements(Form::Int64s),
            (Self::Tensor, 10) => Elements(Form::Doubles),
            (Self::Tensor, 11) => Elements(Form::Uint64s),
            (Self::Tensor, 1..=3 | 6 | 8 | 13 | 14) => Copy,
            // Documentation and what later versions may add; never our own mark.
            _ => Drop,
        }
    }
}

/// The skeleton of the model in `file` as one message, and what was left out of it.
pub(crate) fn read(file: &SharedFile) -> Result<(Vec<u8>, Vec<Payload>), ImportError> {
    let mut pass = Pass {
        reader: WireReader::new(file),
        payloads: Vec::new(),
        skeleton_left: SKELETON_LIMIT,
        elements_left: ELEMENTS_LIMIT,
    };
    let skeleton = pass.message(Kind::Model, file.len(), 0)?;
    Ok((skeleton, pass.payloads))
}

/// Returns whether the fields of the outermost message are those of a model with a graph.
///
/// Stops where the file does: a truncated model still looks like one.
pub(crate) fn has_model_fields(file: &SharedFile) -> bool {
    let mut reader = WireReader::new(file);
    let end = file.len();
    let mut graph = false;
    while reader.position() < end {
        let Ok(Key { number, wire }) = reader.key(end) else { break };
        let expected = match number {
            1 | 5 => Wire::Varint,
            2 | 3 | 4 | 6 | 7 | 8 | 14 | 20 | 25 | 26 => Wire::Bytes,
            _ => return false,
        };
        if wire != expected {
            return false;
        }
        graph |= number == 7;
        let Ok(len) = reader.value_len(wire, end) else { break };
        reader.skip_to(reader.position() + len);
    }
    graph
}

struct Pass<'a> {
    reader: WireReader<'a>,
    payloads: Vec<Payload>,
    skeleton_left: u64,
    elements_left: u64,
}

impl Pass<'_> {
    fn message(&mut self, kind: Kind, end: u64, depth: u32) -> Result<Vec<u8>, ImportError> {
        if depth > DEPTH_LIMIT * 3 {
            return Err(ImportError::TooDeep { limit: DEPTH_LIMIT });
        }
        charge(&mut self.skeleton_left, FIELD_COST, SKELETON_LIMIT)?;
        let mut out = Vec::new();
        let mut payload = None;
        while self.reader.position() < end {
            let key = self.reader.key(end)?;
            let len = self.reader.value_len(key.wire, end)?;
            let value_end = self.reader.position() + len;
            match (kind.action(key.number), key.wire) {
                (Action::Drop, _) => self.reader.skip_to(value_end),
                (Action::Descend(child), Wire::Bytes) => {
                    let body = self.message(child, value_end, depth + 1)?;
                    encode_key(key.number, WireType::LengthDelimited, &mut out);
                    encode_varint(body.len() as u64, &mut out);
                    out.extend_from_slice(&body);
                }
                (Action::Elements(form), Wire::Bytes) if len > INLINE_LIMIT => {
                    if payload.is_some() {
                        return Err(self.reader.malformed("elements of one tensor in two fields"));
                    }
                    payload = Some(Payload { offset: self.reader.position(), len, form });
                    self.reader.skip_to(value_end);
                }
                (Action::Elements(_), Wire::Bytes) => {
                    charge(&mut self.elements_left, len, ELEMENTS_LIMIT)?;
                    self.copy(key, len, &mut out)?;
                }
                _ => {
                    charge(&mut self.skeleton_left, len, SKELETON_LIMIT)?;
                    self.copy(key, len, &mut out)?;
                }
            }
        }
        if let Some(payload) = payload {
            encode_key(PAYLOAD, WireType::Varint, &mut out);
            encode_varint(self.payloads.len() as u64, &mut out);
            self.payloads.push(payload);
        }
        Ok(out)
    }

    fn copy(&mut self, key: Key, len: u64, out: &mut Vec<u8>) -> Result<(), ImportError> {
        charge(&mut self.skeleton_left, FIELD_COST, SKELETON_LIMIT)?;
        let wire = match key.wire {
            Wire::Varint => WireType::Varint,
            Wire::Fixed64 => WireType::SixtyFourBit,
            Wire::Fixed32 => WireType::ThirtyTwoBit,
            Wire::Bytes => WireType::LengthDelimited,
        };
        encode_key(key.number, wire, out);
        if key.wire == Wire::Bytes {
            encode_varint(len, out);
        }
        self.reader.copy(len, out)
    }
}

fn charge(left: &mut u64, cost: u64, limit: u64) -> Result<(), ImportError> {
    *left = left
        .checked_sub(cost)
        .ok_or(ImportError::TooLarge { what: "bytes besides large tensors", limit })?;
    Ok(())
}

#[cfg(test)]
mod tests;
