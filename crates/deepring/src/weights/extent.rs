//! Extents: the runs of bytes that a file is made of, and which of them a file of a kind may have.

use std::num::NonZeroU16;

use serde::Serialize;

use crate::crypto::Digest;
use crate::encoding::{DecodeError, Reader, Writer};

/// The kind of a file, which decides how its own header is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum FileKind {
    /// Bytes, and nothing more is known of them.
    Other = 0,
    /// A safetensors file: its header, then tensors without a gap.
    Safetensors = 1,
    /// A GGUF file: its header, then tensors, with padding and whatever else.
    Gguf = 2,
}

impl FileKind {
    pub(super) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match r.u8("kind of a file")? {
            0 => Ok(Self::Other),
            1 => Ok(Self::Safetensors),
            2 => Ok(Self::Gguf),
            found => {
                Err(DecodeError::BadValue { field: "kind of a file", found: u64::from(found) })
            }
        }
    }
}

/// A run of a file's bytes. All but zeros are a part of a block, the next that no extent before has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// As many zeros, in no part.
    Zeros(NonZeroU16),
    /// Bytes as they are: a file's own header, a file that is not of tensors, what lies between tensors.
    Bytes,
    /// A tensor, or its first rows; the digest of all its bytes.
    Tensor(Digest),
    /// The next rows of the tensor before.
    More,
}

impl Extent {
    /// Returns whether it is a part of a block.
    #[must_use]
    pub fn is_part(self) -> bool {
        !matches!(self, Self::Zeros(_))
    }

    pub(super) fn encoded_len(&self) -> usize {
        match self {
            Self::Zeros(_) => 3,
            Self::Bytes | Self::More => 1,
            Self::Tensor(_) => 33,
        }
    }

    pub(super) fn encode(&self, w: &mut Writer) {
        match self {
            Self::Zeros(n) => w.u8(0).u16(n.get()),
            Self::Bytes => w.u8(1),
            Self::Tensor(digest) => w.u8(2).raw(&digest.0),
            Self::More => w.u8(3),
        };
    }

    pub(super) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match r.u8("kind of an extent")? {
            0 => {
                let n = NonZeroU16::new(r.u16("zeros")?);
                n.map(Self::Zeros).ok_or(DecodeError::BadValue { field: "zeros", found: 0 })
            }
            1 => Ok(Self::Bytes),
            2 => Ok(Self::Tensor(Digest(r.array("tensor digest")?))),
            3 => Ok(Self::More),
            found => {
                Err(DecodeError::BadValue { field: "kind of an extent", found: u64::from(found) })
            }
        }
    }
}

/// Checks that a file of this kind may have these extents in this order.
pub(super) fn verify_order(kind: FileKind, extents: &[Extent]) -> Result<(), DecodeError> {
    let of_kind = Err(DecodeError::Contradiction { field: "extents", with: "the file's kind" });
    let of_order = Err(DecodeError::Contradiction { field: "extent", with: "the extent before" });
    if kind != FileKind::Other && extents.first() != Some(&Extent::Bytes) {
        return of_kind;
    }
    let mut before = None;
    for (i, extent) in extents.iter().enumerate() {
        let allowed = match kind {
            FileKind::Other => *extent == Extent::Bytes,
            FileKind::Safetensors => i == 0 || matches!(extent, Extent::Tensor(_) | Extent::More),
            FileKind::Gguf => true,
        };
        if !allowed {
            return of_kind;
        }
        match (before, extent) {
            (Some(Extent::Zeros(_)), Extent::Zeros(_)) => return of_order,
            (Some(Extent::Tensor(_) | Extent::More), Extent::More) => {}
            (_, Extent::More) => return of_order,
            _ => {}
        }
        before = Some(*extent);
    }
    Ok(())
}
