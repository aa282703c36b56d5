//! The name of a ring, and its kind.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::encoding::{DecodeError, Reader};

/// Most blocks of a ring, Genesis included.
pub(crate) const MAX_BLOCKS: u32 = 1 << 16;

/// The id of a ring in all its versions; random, made at the first sealing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RingId(pub [u8; 16]);

impl RingId {
    /// Parses 32 lower-case hexadecimal digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut id = [0; 16];
        if text.len() != 32 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        for (i, byte) in id.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(2 * i..2 * i + 2)?, 16).ok()?;
        }
        Some(Self(id))
    }
}

impl fmt::Display for RingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl Serialize for RingId {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// The kind of a ring: of a network, or of weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RingKind {
    /// A network: blocks that compute, and those that hold what they share.
    Network,
    /// Weights alone: blocks of tensors, and a manifest that says which files they make.
    Weights,
}

impl RingKind {
    pub(crate) fn code(self) -> u16 {
        match self {
            Self::Network => 0,
            Self::Weights => 1,
        }
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match r.u16("kind")? {
            0 => Ok(Self::Network),
            1 => Ok(Self::Weights),
            found => Err(DecodeError::BadValue { field: "kind", found: u64::from(found) }),
        }
    }
}
