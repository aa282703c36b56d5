//! One secret value in memory of its own.

use std::fmt;
use std::sync::Arc;

use crate::{Protection, Region, Use};

/// One value of plain bytes kept in a region of use [`Use::Secrets`], e.g. a key.
///
/// It is frozen from the start. Clones share the one copy; it is wiped when the last of them is
/// dropped. A value takes a whole page.
#[derive(Clone)]
pub struct SecretBytes(Arc<Region>);

impl SecretBytes {
    /// A copy of `bytes`; `None` if the memory cannot be allocated. The caller wipes `bytes`.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        Self::filled(bytes.len(), |place| {
            place.copy_from_slice(bytes);
            true
        })
    }

    /// A value of `len` bytes that `fill` writes in place, so that no other copy needs to exist.
    ///
    /// `fill` is given zeros and returns whether it made a value; `None` if it did not, or if the
    /// memory cannot be allocated. It must not let a system call write there: see [`Use::Secrets`].
    #[must_use]
    pub fn filled(len: usize, fill: impl FnOnce(&mut [u8]) -> bool) -> Option<Self> {
        let mut region = Region::new(len, Use::Secrets)?;
        if !fill(region.bytes_mut()) {
            return None;
        }
        region.freeze();
        Some(Self(Arc::new(region)))
    }

    /// The value.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.bytes()
    }

    /// The protection that its page has.
    #[must_use]
    pub fn protection(&self) -> Protection {
        self.0.protection()
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_one_copy_and_debug_shows_nothing_of_it() {
        let key = SecretBytes::new(b"a secret").unwrap();
        let clone = key.clone();
        assert_eq!(clone.expose(), b"a secret");
        assert_eq!(clone.expose().as_ptr(), key.expose().as_ptr());
        drop(key);
        assert_eq!(clone.expose(), b"a secret");
        assert_eq!(format!("{clone:?}"), "SecretBytes(..)");
    }

    #[test]
    fn a_value_that_was_not_made_is_none() {
        assert!(SecretBytes::filled(32, |_| false).is_none());
        let key = SecretBytes::filled(32, |place| {
            place.fill(3);
            true
        });
        assert_eq!(key.unwrap().expose(), [3; 32]);
    }
}
