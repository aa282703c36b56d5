//! A region: bytes on pages of their own, written once and then frozen.

use std::fmt;
use std::hint::black_box;
use std::sync::Arc;

use crate::pages::{PageKind, Pages};
use crate::protection::SecretQuota;
use crate::{Protection, Use};

/// From this length on, in bytes, a mapping asks for huge pages and is aligned to them where it can
/// be.
const HUGE: usize = 2 << 20;
/// Alignment of shared bytes: a page's beginning, whatever the machine's page size.
const PLACES: usize = 64 << 10;
/// Most regions that are mapped behind one; more are copied, since a process has a limit of
/// mappings.
const MOST: usize = 1024;

/// Whole pages of its own with an inaccessible guard page on both sides; zeroed at first; wiped
/// when dropped.
///
/// The bytes begin a page, so they are always aligned to 64 bytes. Pages are allocated at the first
/// write, to the thread that writes.
pub struct Region {
    pages: Pages,
    len: usize,
    /// The first `own` bytes are this region's; the bytes of shared regions follow.
    own: usize,
    purpose: Use,
    /// The first `written` bytes may have been written; the rest never was.
    written: usize,
    /// The regions whose bytes appear here. Frozen, and wiped when the last region that shows them
    /// is dropped: fields are dropped in this order.
    shared: Vec<Arc<Region>>,
    /// Returned after the pages.
    _quota: Option<SecretQuota>,
}

impl Region {
    /// A region of `len` bytes, which may be 0; `None` if the memory cannot be allocated.
    #[must_use]
    pub fn new(len: usize, purpose: Use) -> Option<Self> {
        let (pages, quota) = match purpose {
            Use::Secrets => (Pages::secret(len).or_else(|| Pages::locked(len)), None),
            Use::SmallParameters => {
                let quota = Pages::whole(len).and_then(SecretQuota::take);
                match quota.as_ref().and_then(|_| Pages::secret(len)) {
                    Some(pages) => (Some(pages), quota),
                    None => (Pages::private(len, len >= HUGE), None),
                }
            }
            Use::Bulk => (Pages::private(len, len >= HUGE), None),
            Use::Shared => (Pages::shared(len), None),
        };
        let (pages, shared) = (pages?, Vec::new());
        Some(Self { pages, len, own: len, purpose, written: 0, shared, _quota: quota })
    }

    /// A region of use [`Use::Bulk`] with `len` bytes of its own, behind which the bytes of each
    /// `shared` region appear at the given offset, with zeros between. They take no memory here
    /// (except where the system cannot map a page twice: there they are copied), cannot be written
    /// here, and live as long as this region.
    ///
    /// [`bytes`](Self::bytes) returns all bytes; [`bytes_mut`](Self::bytes_mut) and
    /// [`freeze`](Self::freeze) are about the region's own.
    ///
    /// `None` if the memory cannot be allocated, a shared region is not [frozen](Self::freeze) or
    /// not of [`Use::Shared`], or an offset is not a multiple of 64 KiB, or lies before the end of
    /// what precedes it.
    #[must_use]
    pub fn with_shared(len: usize, shared: Vec<(usize, Arc<Self>)>) -> Option<Self> {
        let mut end = len;
        for (at, region) in &shared {
            let fits = *at >= end && at % PLACES == 0;
            let ready = region.purpose == Use::Shared && (region.frozen() || !cfg!(unix));
            if !fits || !ready {
                return None;
            }
            end = at.checked_add(region.len)?;
        }
        let pages: Vec<(usize, &Pages)> = shared.iter().map(|(at, r)| (*at, &r.pages)).collect();
        let pages = if pages.len() <= MOST { Pages::behind(len, &pages) } else { None };
        if let Some(pages) = pages {
            let shared = shared.into_iter().map(|(_, region)| region).collect();
            let purpose = Use::Bulk;
            return Some(Self {
                pages,
                len: end,
                own: len,
                purpose,
                written: 0,
                shared,
                _quota: None,
            });
        }
        let mut copied = Self::new(end, Use::Bulk)?;
        for (at, region) in &shared {
            copied.bytes_mut().get_mut(*at..*at + region.len)?.copy_from_slice(region.bytes());
        }
        copied.own = len;
        Some(copied)
    }

    /// The bytes as they are now: the compiler cannot assume earlier values.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        black_box(self.pages.bytes().get(..self.len).unwrap_or_default())
    }

    /// The region's own bytes, for writing. Makes the pages writable again if they were frozen; the
    /// slice is empty if the system refuses that.
    #[must_use]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.pages.set_writable(true);
        self.written = self.written.max(self.own);
        self.pages.bytes_mut().get_mut(..self.own).unwrap_or_default()
    }

    /// Makes the pages read-only and returns the protection that they have now. A second call
    /// changes nothing.
    pub fn freeze(&mut self) -> Protection {
        self.pages.set_writable(false);
        self.protection()
    }

    /// Returns whether the pages are read-only.
    #[must_use]
    pub fn frozen(&self) -> bool {
        !self.pages.writable()
    }

    /// The protection that the pages have now; [`Protection::Plain`] while they can be written.
    #[must_use]
    pub fn protection(&self) -> Protection {
        if !self.frozen() {
            return Protection::Plain;
        }
        match self.pages.kind() {
            PageKind::Private => Protection::ReadOnly,
            PageKind::Locked => Protection::Locked,
            PageKind::Secret => Protection::Secret,
        }
    }

    /// The same mapping with another length, writable again and with its bytes as they are, if it
    /// is large enough; else a new region of the same use, zeroed. `None` if the memory cannot be
    /// allocated.
    ///
    /// For buffers that take one block after the other: fresh memory costs a page fault for each
    /// page.
    #[must_use]
    pub fn resized(mut self, len: usize) -> Option<Self> {
        let room = self.pages.bytes().len();
        if self.shared.is_empty() && len <= room && self.pages.set_writable(true) {
            (self.len, self.own) = (len, len);
            return Some(self);
        }
        let purpose = self.purpose;
        drop(self);
        Self::new(len, purpose)
    }

    pub(crate) fn kind(&self) -> PageKind {
        self.pages.kind()
    }

    /// Zeros the bytes that may have been written; does nothing if the system refuses to make the
    /// pages writable.
    pub(crate) fn wipe(&mut self) {
        // Pages that were never written are not faulted in for this. Bytes that `tamper` wrote are
        // no secret of ours.
        if self.written > 0 && self.pages.set_writable(true) {
            self.pages.wipe(self.written);
        }
    }

    /// Writes although the region is frozen, as an attacker would that makes the touched pages
    /// writable, and freezes them again if they were; `false` if the range is out of bounds or the
    /// system refuses.
    ///
    /// A hook for attacks and tests. A concurrent reader sees old bytes, new bytes, or some of
    /// both, which is the attack.
    #[cfg(any(test, feature = "tamper"))]
    pub fn tamper(&self, at: usize, bytes: &[u8]) -> bool {
        let end = at.checked_add(bytes.len());
        end.is_some_and(|end| end <= self.len) && self.pages.tamper(at, bytes)
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        self.wipe();
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

    /// A frozen region of use `Shared`, full of one byte.
    fn shared(len: usize, fill: u8) -> Arc<Region> {
        let mut region = Region::new(len, Use::Shared).unwrap();
        region.bytes_mut().fill(fill);
        region.freeze();
        Arc::new(region)
    }

    #[test]
    fn shared_bytes_appear_behind_those_of_each_region_and_only_its_own_are_written() {
        let (a, b) = (shared(100_000, 1), shared(70, 2));
        let places = [(65_536, Arc::clone(&a)), (196_608, Arc::clone(&b))];
        for len in [0, 1, 4097, 65_536] {
            let mut region = Region::with_shared(len, places.to_vec()).unwrap();
            assert_eq!(region.bytes_mut().len(), len);
            region.bytes_mut().fill(7);
            let obtained = region.freeze();
            assert!(obtained >= Protection::ReadOnly || !cfg!(unix));
            let bytes = region.bytes();
            assert_eq!(bytes.len(), 196_608 + 70);
            assert!(bytes[..len].iter().all(|b| *b == 7));
            assert!(bytes[len..65_536].iter().all(|b| *b == 0));
            assert!(bytes[65_536..165_536].iter().all(|b| *b == 1));
            assert!(bytes[165_536..196_608].iter().all(|b| *b == 0));
            assert!(bytes[196_608..].iter().all(|b| *b == 2));
        }
    }

    #[test]
    fn shared_bytes_stay_as_long_as_a_region_shows_them_and_are_gone_with_the_last() {
        let a = shared(100_000, 1);
        let weak = Arc::downgrade(&a);
        let first = Region::with_shared(10, vec![(65_536, Arc::clone(&a))]).unwrap();
        let second = Region::with_shared(20, vec![(65_536, a)]).unwrap();
        drop(first);
        assert!(second.bytes()[65_536..].iter().all(|b| *b == 1));
        #[cfg(target_os = "linux")]
        assert!(weak.upgrade().is_some());
        drop(second);
        assert!(weak.upgrade().is_none());
    }

    #[test]
    fn shared_bytes_in_no_place_for_them_are_refused() {
        let a = shared(100, 1);
        let with = |len, places: &[usize]| {
            Region::with_shared(len, places.iter().map(|at| (*at, Arc::clone(&a))).collect())
        };
        assert!(with(65_536, &[65_536, 131_072]).is_some());
        for (len, places) in [(0, &[4096][..]), (65_537, &[65_536]), (0, &[65_536, 65_536])] {
            assert!(with(len, places).is_none(), "{len} {places:?}");
        }
        assert!(with(usize::MAX - 70_000, &[usize::MAX - 65_535]).is_none());
        let bulk = Arc::new(Region::new(100, Use::Bulk).unwrap());
        assert!(Region::with_shared(0, vec![(65_536, bulk)]).is_none(), "of another use");
        let writable = Arc::new(Region::new(100, Use::Shared).unwrap());
        #[cfg(unix)]
        assert!(Region::with_shared(0, vec![(65_536, writable)]).is_none(), "not frozen");
    }

    /// The bytes are in memory once: an edit shows in every region, and the pages are read-only in
    /// each.
    #[test]
    #[cfg(target_os = "linux")]
    fn an_edit_of_shared_bytes_shows_wherever_they_appear() {
        let a = shared(100_000, 1);
        let one = Region::with_shared(10, vec![(65_536, Arc::clone(&a))]).unwrap();
        let other = Region::with_shared(10, vec![(65_536, Arc::clone(&a))]).unwrap();
        assert!(crate::tamper(one.bytes(), 65_536 + 5_000, &[9]));
        assert_eq!((a.bytes()[5_000], other.bytes()[65_536 + 5_000]), (9, 9));
        assert_eq!(access(&one)[16..], vec!["r--"; 25]);
        assert!(!crate::tamper(one.bytes(), 30_000, &[9]), "between the two");
    }

    /// Root has two ways to write to other frozen pages: `/proc/PID/mem`, and the file that is
    /// mapped.
    #[test]
    #[cfg(target_os = "linux")]
    fn shared_pages_are_written_neither_through_memory_nor_through_their_file() {
        use std::fs::File;
        use std::os::unix::fs::FileExt as _;

        let a = shared(100_000, 1);
        let one = Region::with_shared(10, vec![(65_536, Arc::clone(&a))]).unwrap();
        let own = File::options().write(true).open("/proc/self/mem").unwrap();
        let mut bulk = Region::new(10, Use::Bulk).unwrap();
        bulk.freeze();
        println!("of other pages: {:?}", own.write_at(&[9], bulk.bytes().as_ptr() as u64));
        for bytes in [a.bytes(), &one.bytes()[65_536..]] {
            assert!(own.write_at(&[9], bytes.as_ptr() as u64).is_err());
            let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
            let start = format!("{:x}-", bytes.as_ptr() as usize);
            let line = maps.lines().find(|line| line.trim_start_matches('0').starts_with(&start));
            let range = line.unwrap().split_once(' ').unwrap().0;
            let mapped = format!("/proc/self/map_files/{range}");
            match File::options().read(true).write(true).open(&mapped) {
                Ok(file) => {
                    assert!(file.write_at(&[9], 0).is_err(), "{mapped}");
                    assert!(file.set_len(0).is_err() && file.set_len(1 << 20).is_err());
                }
                Err(e) => crate::skip::skip(
                    "system",
                    format_args!("this user may not open {mapped}: {e}"),
                ),
            }
            assert!(bytes.iter().all(|b| *b == 1));
        }
    }

    /// The access that the system grants this process to each page of a region.
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
