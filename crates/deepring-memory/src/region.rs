//! A region: bytes on pages of their own, written once and then frozen.

use std::fmt;
use std::hint::black_box;

use crate::pages::{Kind, Pages};
use crate::protection::Share;
use crate::{Protection, Use};

/// From here on a mapping asks for huge pages, and begins where one can.
const HUGE: usize = 2 << 20;

/// Whole pages of its own with an inaccessible guard page on both sides; zeroed at first; wiped when dropped.
///
/// The bytes begin a page, so they are aligned to 64 bytes for certain. The pages come when they are first
/// written, to the threads that write them.
pub struct Region {
    pages: Pages,
    len: usize,
    purpose: Use,
    /// The first so many bytes may have been written; the rest was never.
    written: usize,
    /// Returned after the pages: fields are dropped in this order.
    _share: Option<Share>,
}

impl Region {
    /// A region of `len` bytes, which may be 0; `None` if the memory is not to be had.
    #[must_use]
    pub fn new(len: usize, purpose: Use) -> Option<Self> {
        let (pages, share) = match purpose {
            Use::Secrets => (Pages::secret(len).or_else(|| Pages::locked(len)), None),
            Use::SmallParameters => {
                let share = Pages::whole(len).and_then(Share::take);
                match share.as_ref().and_then(|_| Pages::secret(len)) {
                    Some(pages) => (Some(pages), share),
                    None => (Pages::private(len, len >= HUGE), None),
                }
            }
            Use::Bulk => (Pages::private(len, len >= HUGE), None),
        };
        Some(Self { pages: pages?, len, purpose, written: 0, _share: share })
    }

    /// The bytes, as they are now: the compiler cannot know what they were.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        black_box(self.pages.bytes().get(..self.len).unwrap_or_default())
    }

    /// The bytes, to be written. Makes the pages writable again if they were frozen; should the system refuse
    /// that, the slice is empty.
    #[must_use]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.pages.set_writable(true);
        self.written = self.written.max(self.len);
        self.pages.bytes_mut().get_mut(..self.len).unwrap_or_default()
    }

    /// Makes the pages read-only and returns what they have now. A second call changes nothing.
    pub fn freeze(&mut self) -> Protection {
        self.pages.set_writable(false);
        self.protection()
    }

    /// Whether the pages are read-only.
    #[must_use]
    pub fn frozen(&self) -> bool {
        !self.pages.writable()
    }

    /// What the pages have now; [`Protection::Plain`] while they can be written.
    #[must_use]
    pub fn protection(&self) -> Protection {
        if !self.frozen() {
            return Protection::Plain;
        }
        match self.pages.kind() {
            Kind::Private => Protection::ReadOnly,
            Kind::Locked => Protection::Locked,
            Kind::Secret => Protection::Secret,
        }
    }

    /// The same mapping with another length, writable again and its bytes as they are, if it is large enough;
    /// else a new region of the same use, zeroed. `None` if the memory is not to be had.
    ///
    /// For one block after the other: fresh memory costs a page fault for each page.
    #[must_use]
    pub fn resized(mut self, len: usize) -> Option<Self> {
        if len <= self.pages.bytes().len() && self.pages.set_writable(true) {
            self.len = len;
            return Some(self);
        }
        let purpose = self.purpose;
        drop(self);
        Self::new(len, purpose)
    }

    /// Writes although the region is frozen, as an attacker would who makes the touched pages writable, and
    /// freezes them again if they were; `false` if that is out of range or refused by the system.
    ///
    /// The owner's hook for attacks and tests. Who reads the bytes meanwhile sees old ones, new ones or some of
    /// both, which is what the attack is.
    #[cfg(any(test, feature = "tamper"))]
    pub fn tamper(&self, at: usize, bytes: &[u8]) -> bool {
        let end = at.checked_add(bytes.len());
        end.is_some_and(|end| end <= self.len) && self.pages.tamper(at, bytes)
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // Pages that were never written are not made to come for this. What `tamper` wrote is no secret of ours.
        if self.written > 0 && self.pages.set_writable(true) {
            self.pages.wipe(self.written);
        }
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Region")
            .field("len", &self.len)
            .field("purpose", &self.purpose)
            .field("protection", &self.protection())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USES: [Use; 3] = [Use::Secrets, Use::SmallParameters, Use::Bulk];

    #[test]
    fn a_region_is_zeroed_aligned_and_just_as_long_as_asked() {
        for purpose in USES {
            for len in [0, 1, 63, 64, 65, 4096, 4097, 3 << 20] {
                let mut region = Region::new(len, purpose).unwrap();
                assert_eq!(region.bytes().len(), len);
                assert!(region.bytes().iter().all(|b| *b == 0));
                assert_eq!(region.bytes().as_ptr() as usize % 4096, 0);
                region.bytes_mut().fill(7);
                assert!(region.bytes().len() == len && region.bytes().iter().all(|b| *b == 7));
            }
        }
    }

    #[test]
    fn lengths_that_no_memory_has_are_none() {
        for purpose in USES {
            for len in [usize::MAX, usize::MAX - 4096, usize::MAX / 2] {
                assert!(Region::new(len, purpose).is_none(), "{len} of {purpose:?}");
            }
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_frozen_region_says_so_and_can_be_written_again() {
        for purpose in USES {
            let mut region = Region::new(100, purpose).unwrap();
            assert!(!region.frozen());
            assert_eq!(region.protection(), Protection::Plain);
            region.bytes_mut().fill(1);
            let obtained = region.freeze();
            assert!(obtained >= Protection::ReadOnly && region.frozen());
            assert_eq!((region.freeze(), region.protection()), (obtained, obtained));
            assert_eq!(region.bytes(), [1; 100]);
            region.bytes_mut().fill(2);
            assert!(!region.frozen() && region.bytes() == [2; 100]);
            assert_eq!(region.freeze(), obtained);
        }
    }

    #[test]
    fn a_region_is_reused_where_it_is_large_enough_and_made_anew_where_not() {
        for purpose in USES {
            let mut region = Region::new(10_000, purpose).unwrap();
            region.bytes_mut().fill(7);
            region.freeze();
            let first = region.bytes().as_ptr();
            for len in [65, 0, 10_000] {
                region = region.resized(len).unwrap();
                assert!(!region.frozen());
                assert_eq!((region.bytes().len(), region.bytes().as_ptr()), (len, first));
                assert!(region.bytes().iter().all(|b| *b == 7));
            }
            let region = region.resized(100_000).unwrap();
            assert!(region.bytes().len() == 100_000 && region.bytes().iter().all(|b| *b == 0));
        }
    }

    #[test]
    fn wiping_leaves_nothing_of_what_was_written_though_the_region_shrank() {
        for purpose in USES {
            let mut region = Region::new(10_001, purpose).unwrap();
            region.bytes_mut().fill(7);
            let mut region = region.resized(10).unwrap();
            assert_eq!(region.written, 10_001);
            region.pages.wipe(region.written);
            let region = region.resized(10_001).unwrap();
            assert!(region.bytes().iter().all(|b| *b == 0));
        }
    }

    #[test]
    #[cfg(unix)]
    fn tampering_changes_just_these_bytes_and_the_pages_are_read_only_after_it() {
        for purpose in USES {
            let mut region = Region::new(10_000, purpose).unwrap();
            region.bytes_mut().fill(7);
            let obtained = region.freeze();
            assert!(region.tamper(4090, &[1; 20]), "over the edge of a page");
            assert_eq!(region.protection(), obtained);
            #[cfg(target_os = "linux")]
            assert_eq!(access(&region), ["r--"; 3], "the system agrees");
            let changed = |i: usize| (4090..4110).contains(&i);
            assert!(region.bytes().iter().enumerate().all(|(i, b)| (*b == 1) == changed(i)));
            assert!(!region.tamper(9_999, &[1; 2]) && !region.tamper(usize::MAX, &[1]));
            assert!(region.tamper(10_000, &[]));
        }
    }

    /// What the system lets this process do with each page of a region.
    #[cfg(target_os = "linux")]
    fn access(region: &Region) -> Vec<String> {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let first = region.bytes().as_ptr() as usize;
        let page = |at: usize| {
            let holds = |line: &&str| {
                let (begin, rest) = line.split_once('-').unwrap();
                let end = rest.split_once(' ').unwrap().0;
                let number = |hex| usize::from_str_radix(hex, 16).unwrap();
                (number(begin)..number(end)).contains(&at)
            };
            let line = maps.lines().find(holds).unwrap();
            line.split_once(' ').unwrap().1[..3].to_owned()
        };
        (first..first + region.len).step_by(4096).map(page).collect()
    }

    #[test]
    fn debug_shows_no_bytes() {
        let mut region = Region::new(4, Use::Secrets).unwrap();
        region.bytes_mut().fill(0xAB);
        let shown = format!("{region:?}");
        assert!(!shown.contains("171") && !shown.to_lowercase().contains("ab"), "{shown}");
    }
}
