//! Parts of a body's plaintext: the bytes of each tensor, of the operators, or of the manifest.

use serde::Serialize;

use crate::encoding::{DecodeError, Reader, Writer};
use crate::tensor::{Dim, TensorSpec};

/// Parts start at multiples of this many bytes, so that an engine can read tensors in place.
pub(crate) const ALIGNMENT: u64 = 64;
/// Shared parts start at multiples of this many bytes behind a block's own parts, so that their
/// pages can be mapped there.
pub const SHARED_ALIGNMENT: u64 = 64 * 1024;
/// Most parts that a block may have.
pub(crate) const MAX_PARTS: usize = 1 << 20;

/// The content of a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum PartKind {
    /// The manifest; Genesis has this part and no other.
    Manifest,
    /// The block's operators, attributes, edges and small constants: an ONNX model whose parameters
    /// are external data. The last part of every layer block, but for its shared parts.
    Graph,
    /// One parameter tensor; its dimensions are all fixed. In a block that computes, its own come
    /// first, and those that it shares with others last; a shared block has nothing else.
    Parameter(TensorSpec),
}

impl PartKind {
    /// A word for messages: the parameter's name, `graph` or `manifest`.
    #[must_use]
    pub fn label(&self) -> &str {
        match self {
            Self::Manifest => "manifest",
            Self::Graph => "graph",
            Self::Parameter(spec) => &spec.name,
        }
    }
}

/// A named range of a body's plaintext.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part {
    /// Its content.
    pub kind: PartKind,
    /// First byte, counted from the start of the plaintext; a multiple of 64.
    pub offset: u64,
    /// Number of bytes.
    pub len: u64,
    /// Index of the shared block whose body holds the bytes; `None` for this block's own body.
    pub shared: Option<u32>,
}

impl Part {
    /// The parameter's name, if the part is one.
    #[must_use]
    pub fn parameter_name(&self) -> Option<&str> {
        match &self.kind {
            PartKind::Parameter(spec) => Some(&spec.name),
            _ => None,
        }
    }

    /// A word for messages: the parameter's name, `graph` or `manifest`.
    #[must_use]
    pub fn label(&self) -> &str {
        self.kind.label()
    }

    /// One past the last byte. Cannot overflow: parts are checked when they are laid out or
    /// decoded.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(self.len)
    }

    fn encode(&self, w: &mut Writer) {
        match &self.kind {
            PartKind::Manifest => {
                w.u8(0);
            }
            PartKind::Graph => {
                w.u8(1);
            }
            PartKind::Parameter(spec) => {
                w.u8(if self.shared.is_some() { 4 } else { 2 });
                spec.encode(w);
                self.shared.map(|block| w.u32(block));
            }
        }
        w.u64(self.offset).u64(self.len);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut shared = None;
        let kind = match r.u8("part kind")? {
            0 => PartKind::Manifest,
            1 => PartKind::Graph,
            2 => PartKind::Parameter(TensorSpec::decode(r)?),
            // 3 is a part of older format versions.
            4 => {
                let spec = TensorSpec::decode(r)?;
                shared = Some(r.u32("shared block")?);
                PartKind::Parameter(spec)
            }
            found => {
                return Err(DecodeError::BadValue { field: "part kind", found: u64::from(found) });
            }
        };
        Ok(Self { kind, offset: r.u64("part offset")?, len: r.u64("part length")?, shared })
    }
}

/// Gives every part its place: in the order given, aligned, without other gaps.
///
/// Returns the parts and the plaintext's length, or `None` if that does not fit 63 bits
/// or a part is empty.
pub(crate) fn lay_out(parts: Vec<(PartKind, u64)>) -> Option<(Vec<Part>, u64)> {
    let mut end = 0u64;
    let mut out = Vec::with_capacity(parts.len());
    for (kind, len) in parts {
        if len == 0 {
            return None;
        }
        let offset = end.checked_next_multiple_of(ALIGNMENT)?;
        end = offset.checked_add(len).filter(|e| *e <= i64::MAX as u64)?;
        out.push(Part { kind, offset, len, shared: None });
    }
    Some((out, end))
}

/// The parts of a block that are its own: those that its body holds.
pub(crate) fn own(parts: &[Part]) -> &[Part] {
    let n = parts.iter().take_while(|p| p.shared.is_none()).count();
    parts.get(..n).unwrap_or_default()
}

/// Indices of the shared blocks that parts are in, each once, in order.
pub(crate) fn shared_blocks(parts: &[Part]) -> impl Iterator<Item = u32> + '_ {
    let mut last = None;
    parts.iter().filter_map(|p| p.shared).filter(move |block| last.replace(*block) != Some(*block))
}

/// The places of the parts of shared block `block` behind parts that end at `end`: all of them, in
/// their order, from the next multiple of 64 KiB on. `None` if that does not fit 63 bits.
pub(crate) fn shared_at(end: u64, block: u32, parts: &[Part]) -> Option<Vec<Part>> {
    let base = end.checked_next_multiple_of(SHARED_ALIGNMENT)?;
    let moved = |part: &Part| {
        let offset = base.checked_add(part.offset)?;
        offset.checked_add(part.len).filter(|e| *e <= i64::MAX as u64)?;
        Some(Part { offset, shared: Some(block), ..part.clone() })
    };
    parts.iter().map(moved).collect()
}

pub(crate) fn encode_parts(parts: &[Part], w: &mut Writer) {
    w.count(parts.len());
    for part in parts {
        part.encode(w);
    }
}

/// Decodes the list and checks the layout's rules: no overlap, no gap but alignment, nothing empty,
/// the end where the plaintext ends, a parameter exactly as long as its shape says, and the parts
/// that a block of this index must have: Genesis the manifest; a block that computes parameters, a
/// graph, and parameters that later blocks hold; a shared block parameters alone.
pub(crate) fn decode_parts(
    r: &mut Reader<'_>,
    index: u32,
    count: u32,
    plain_len: u64,
) -> Result<Vec<Part>, DecodeError> {
    let n = r.count("parts", MAX_PARTS, 17)?;
    let mut parts = Vec::with_capacity(n);
    let mut end = 0u64;
    // `shared` is the block that holds the previous part, this one before the first shared part.
    let mut graph = false;
    let mut shared = index;
    for i in 0..n {
        let part = Part::decode(r)?;
        let bad = |field, found| Err(DecodeError::BadValue { field, found });
        let begins = part.shared.is_some_and(|block| block != shared);
        let alignment = if begins { SHARED_ALIGNMENT } else { ALIGNMENT };
        if end.checked_next_multiple_of(alignment) != Some(part.offset) {
            return bad("part offset", part.offset);
        }
        end = match part.offset.checked_add(part.len) {
            Some(end) if part.len > 0 && end <= plain_len => end,
            _ => return bad("part length", part.len),
        };
        let allowed = match &part.kind {
            PartKind::Manifest => index == 0 && n == 1,
            PartKind::Graph => index != 0 && !graph,
            PartKind::Parameter(spec) => {
                if parameter_len(spec) != Some(part.len) {
                    return bad("parameter length", part.len);
                }
                match part.shared {
                    None => index != 0 && !graph,
                    Some(block) => graph && (shared..count).contains(&block) && block != index,
                }
            }
        };
        if !allowed {
            return bad("part kind", i as u64);
        }
        graph |= part.kind == PartKind::Graph;
        shared = part.shared.unwrap_or(shared);
        parts.push(part);
    }
    if end != plain_len || parts.is_empty() {
        return Err(DecodeError::BadValue { field: "plaintext length", found: plain_len });
    }
    Ok(parts)
}

fn parameter_len(spec: &TensorSpec) -> Option<u64> {
    let fixed = spec.dims.as_ref()?.iter().all(|d| matches!(d, Dim::Fixed(_)));
    if !fixed {
        return None;
    }
    spec.len()?.checked_mul(spec.dtype.size() as u64)
}
