//! Beside a host's key, the rings of which it signed receipts: a journal of them that is gone must not be begun anew in silence.
//!
//! One ring digest in hexadecimal digits a line, the newest last. What this does not show: a journal that was put back to an earlier
//! state, and a key that was put back without the file beside it.

use std::io;
use std::path::{Path, PathBuf};

use deepring::Digest;
use deepring::files::{read_plain_text, replace_file};

/// Rings that are remembered of a key; the oldest are forgotten.
const MOST: usize = 256;
/// Most bytes of the file: 64 digits and a line feed for each, and room for what is none of ours to be seen as such.
const MAX_FILE: u64 = 65 * MOST as u64 + 64;

/// The file, which need not be there.
#[derive(Debug, Clone)]
pub(crate) struct SignedMarker(PathBuf);

impl SignedMarker {
    pub(crate) fn at(path: PathBuf) -> Self {
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Whether the key signed receipts of this ring.
    pub(crate) fn names(&self, ring: Digest) -> io::Result<bool> {
        Ok(self.rings()?.contains(&ring))
    }

    /// Says so, durably.
    pub(crate) fn add(&self, ring: Digest) -> io::Result<()> {
        let mut rings = self.rings()?;
        if rings.contains(&ring) {
            return Ok(());
        }
        rings.push(ring);
        let newest = rings.iter().skip(rings.len().saturating_sub(MOST));
        let text: String = newest.map(|ring| format!("{}\n", ring.to_hex())).collect();
        replace_file(&self.0, text.as_bytes())
    }

    /// Says it of this ring no more, durably.
    pub(crate) fn forget(&self, ring: Digest) -> io::Result<()> {
        let mut rings = self.rings()?;
        rings.retain(|named| *named != ring);
        if rings.is_empty() {
            return std::fs::remove_file(&self.0);
        }
        let text: String = rings.iter().map(|ring| format!("{}\n", ring.to_hex())).collect();
        replace_file(&self.0, text.as_bytes())
    }

    fn rings(&self) -> io::Result<Vec<Digest>> {
        let text = match read_plain_text(&self.0, MAX_FILE) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(e),
        };
        let none = || io::Error::new(io::ErrorKind::InvalidData, "a line of it is no ring digest");
        if text.is_empty() {
            // It is written with a line.
            return Err(none());
        }
        text.lines().map(|line| Digest::from_hex(line).ok_or_else(none)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_are_named_and_so_many_of_them() {
        let folder = tempfile::tempdir().unwrap();
        let marker = SignedMarker::at(folder.path().join("host.key.signed"));
        let ring = |n: usize| Digest([u8::try_from(n % 250).unwrap() + 1; 32]);
        let other = Digest([0xee; 32]);
        assert!(!marker.names(ring(1)).unwrap());
        marker.add(ring(1)).unwrap();
        marker.add(ring(2)).unwrap();
        marker.add(ring(1)).unwrap();
        assert!(marker.names(ring(1)).unwrap() && marker.names(ring(2)).unwrap());
        assert!(!marker.names(other).unwrap());
        assert_eq!(std::fs::read_to_string(marker.path()).unwrap().lines().count(), 2);
        marker.forget(ring(1)).unwrap();
        assert!(!marker.names(ring(1)).unwrap() && marker.names(ring(2)).unwrap());
        marker.forget(ring(2)).unwrap();
        assert!(!marker.names(ring(2)).unwrap());
        let many: String = (0..MOST).map(|n| format!("{n:064x}\n")).collect();
        std::fs::write(marker.path(), many).unwrap();
        marker.add(other).unwrap();
        assert!(marker.names(other).unwrap());
        assert_eq!(std::fs::read_to_string(marker.path()).unwrap().lines().count(), MOST);
    }

    #[test]
    fn what_is_no_such_file_is_not_taken_for_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        let marker = SignedMarker::at(folder.path().join("host.key.signed"));
        for bad in ["", "x", "\n", &"0".repeat(63), &"z".repeat(64)] {
            std::fs::write(marker.path(), bad).unwrap();
            assert!(marker.names(Digest([1; 32])).is_err(), "{bad}");
            assert!(marker.add(Digest([1; 32])).is_err(), "{bad}");
        }
        std::fs::write(marker.path(), vec![b'0'; MAX_FILE as usize + 1]).unwrap();
        assert!(marker.names(Digest([1; 32])).is_err());
        assert!(SignedMarker::at(folder.path().into()).names(Digest([1; 32])).is_err());
    }
}
