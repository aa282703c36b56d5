//! A hook for attacks: writing to frozen regions from within the process.

/// Writes `bytes` over a region's bytes from `at` on, although it is frozen; `live` is the slice
/// that [`Region::bytes`](crate::Region::bytes) returned. Returns `false` if the range is out of
/// bounds, is no region's bytes, or the system refuses.
///
/// This is the write of an attacker that makes the touched pages writable and freezes them again.
/// For attacks and tests; a host that is built without the feature `tamper` has no such function. A
/// concurrent reader sees old bytes, new bytes, or some of both, which is the attack.
#[must_use]
pub fn tamper(live: &[u8], at: usize, bytes: &[u8]) -> bool {
    let end = at.checked_add(bytes.len());
    if end.is_none_or(|end| end > live.len()) {
        return false;
    }
    #[cfg(unix)]
    {
        crate::pages::tampering::write(live.as_ptr() as usize + at, bytes)
    }
    #[cfg(not(unix))]
    false
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::{Region, Use};

    #[test]
    fn frozen_bytes_are_written_and_frozen_again_and_what_is_no_region_is_not() {
        for purpose in [Use::Secrets, Use::SmallParameters, Use::Bulk] {
            let mut region = Region::new(10_000, purpose).unwrap();
            region.freeze();
            assert!(tamper(region.bytes(), 4_090, &[7; 12]));
            assert_eq!(region.bytes()[4_090..4_102], [7; 12]);
            assert_eq!(region.bytes()[4_089], 0);
            assert!(region.frozen());
            assert!(!tamper(region.bytes(), 9_999, &[7; 2]), "beyond the end");
            assert!(tamper(&region.bytes()[5_000..], 1, &[9]));
            assert_eq!(region.bytes()[5_001], 9);
        }
        assert!(!tamper(&[0; 8], 0, &[1]), "no region");
    }
}
