//! The ring: file layout, closure, and the road from bytes to verified things.
//!
//! Each step gives a type that nothing else can make:
//! [`UnverifiedRing`] (a file that has the right outline) → [`AuthenticRing`] (closure, headers and
//! links are the trusted owner's, and not older than what was seen before) → [`VerifiedRing`] (every
//! byte of every body, too).

pub(crate) mod closure;
mod examine;
pub(crate) mod layout;
mod opened;
mod report;
pub(crate) mod storage;
mod verified;

use std::fmt;

use serde::{Serialize, Serializer};

pub use examine::UnverifiedRing;
pub use opened::{DecryptedBlock, OpenedBlock};
pub use report::{Finding, PartName, Report, Verdict};
pub use storage::Storage;
pub(crate) use verified::examine_sharing;
pub use verified::{AuthenticRing, RingError, VerifiedRing};

/// Names a ring for all its versions; random, made at the first sealing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RingId(pub [u8; 16]);

impl RingId {
    /// Parses 32 lower-case hexadecimal digits.
    pub(crate) fn from_hex(text: &str) -> Option<Self> {
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
