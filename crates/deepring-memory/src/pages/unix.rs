//! The owner of a mapping: the one place where pages are mapped, protected, written although
//! frozen, and unmapped.
//!
//! Every `unsafe` of this crate but one system call is here. A [`Pages`] owns its addresses from
//! creation to drop, lends them as slices that borrow it, and lends no mutable slice while the
//! pages are read-only. No language can describe an attacker that changes them from outside;
//! readers go through `black_box`, so that each read is one.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::ptr::NonNull;

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mlock, mmap_anonymous, mprotect, munmap};
use zeroize::Zeroize as _;

use super::PageKind;

/// A mapping with a guard page on both sides.
pub(crate) struct Pages {
    /// The first of `room` bytes, at the beginning of a page.
    first: NonNull<u8>,
    room: usize,
    /// The first `own` bytes are this one's: whole pages. The pages behind them are not written
    /// through this one.
    own: usize,
    kind: PageKind,
    writable: bool,
    /// Unmapped last.
    _around: Reserved,
}

// SAFETY: a `Pages` is the only owner of its mapping, which any thread may use and unmap. The
// fields that describe it change under `&mut` only.
unsafe impl Send for Pages {}
// SAFETY: a shared `Pages` lends shared slices only; a mutable slice needs `&mut`. `tamper` is the
// documented exception.
unsafe impl Sync for Pages {}

impl Pages {
    /// Length in bytes of the pages that hold `len` bytes: at least one page.
    pub(crate) fn whole(len: usize) -> Option<usize> {
        len.max(1).checked_next_multiple_of(page())
    }

    /// Ordinary memory; with `huge`, in huge pages where the system has them.
    pub(crate) fn private(len: usize, huge: bool) -> Option<Self> {
        let room = Self::whole(len)?;
        let around = Reserved::new(room, if huge { HUGE } else { page() })?;
        let first = around.first();
        // SAFETY: the pages lie within `around`, which nobody has a slice of.
        unsafe { mprotect(first.as_ptr().cast(), room, read_write()) }.ok()?;
        let kind = PageKind::Private;
        let pages = Self { first, room, own: room, kind, writable: true, _around: around };
        pages.begin(huge);
        Some(pages)
    }

    /// Advises the system about new private pages, and in tests registers them with the hook for
    /// attacks.
    fn begin(&self, huge: bool) {
        #[cfg(any(test, feature = "tamper"))]
        tampering::note(self.first.as_ptr() as usize, self.own, true);
        #[cfg(target_os = "linux")]
        {
            use rustix::mm::Advice;
            self.advise(Advice::LinuxDontDump);
            if huge {
                self.advise(Advice::LinuxHugepage);
            }
        }
        #[cfg(not(target_os = "linux"))]
        let _ = huge;
    }

    /// Memory whose pages [`behind`](Self::behind) can map a second time.
    #[cfg(target_os = "linux")]
    pub(crate) fn shared(len: usize) -> Option<Self> {
        use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};

        let room = Self::whole(len)?;
        let mut around = Reserved::new(room, page())?;
        let file =
            memfd_create("deepring", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).ok()?;
        ftruncate(&file, u64::try_from(room).ok()?).ok()?;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let anywhere = unsafe {
            let access = ProtFlags::READ | ProtFlags::WRITE;
            rustix::mm::mmap(std::ptr::null_mut(), room, access, MapFlags::SHARED, &file, 0)
        };
        around.take(0, anywhere.ok()?, room)?;
        // Root can open what is mapped (`/proc/PID/map_files`): the seals allow no write but
        // through the existing mapping, no further writable mapping, and no other length.
        let seals = SealFlags::FUTURE_WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        fcntl_add_seals(&file, seals).ok()?;
        let (first, kind) = (around.first(), PageKind::Private);
        let pages = Self { first, room, own: room, kind, writable: true, _around: around };
        pages.begin(false);
        // A forked child would write, and wipe, its parent's pages.
        pages.advise(rustix::mm::Advice::LinuxDontFork);
        Some(pages)
    }

    /// Ordinary memory for `len` bytes, and behind it, each at its offset, the pages of `shared`:
    /// they are in memory once, and read-only here while they are mapped. Between them are zeros.
    /// `None` if an offset is not a page's beginning, or two of them overlap.
    #[cfg(target_os = "linux")]
    pub(crate) fn behind(len: usize, shared: &[(usize, &Self)]) -> Option<Self> {
        let own = Self::whole(len)?;
        let mut room = own;
        for (at, pages) in shared {
            if at % page() != 0 || *at < room || pages.writable {
                return None;
            }
            room = at.checked_add(pages.room)?;
        }
        let huge = own >= HUGE;
        let mut around = Reserved::new(room, if huge { HUGE } else { page() })?;
        let first = around.first();
        // SAFETY: the pages lie within `around`, which nobody has a slice of. Between the pages
        // that follow, pages that are only read take no memory.
        unsafe { mprotect(first.as_ptr().cast(), room, MprotectFlags::READ) }.ok()?;
        // SAFETY: the first `own` bytes of the same range.
        unsafe { mprotect(first.as_ptr().cast(), own, read_write()) }.ok()?;
        for (at, pages) in shared {
            // SAFETY: this moves no bytes of a shared mapping: its pages appear a second time, at
            // an address of the kernel's choice, and with the same access.
            let again = unsafe {
                let flags = rustix::mm::MremapFlags::MAYMOVE;
                rustix::mm::mremap(pages.first.as_ptr().cast(), 0, pages.room, flags)
            };
            around.take(*at, again.ok()?, pages.room)?;
        }
        #[cfg(any(test, feature = "tamper"))]
        for (at, pages) in shared {
            tampering::note(first.as_ptr() as usize + at, pages.room, false);
        }
        let pages =
            Self { first, room, own, kind: PageKind::Private, writable: true, _around: around };
        pages.begin(huge);
        Some(pages)
    }

    /// Memory that is never written to swap, or ordinary memory where the system does not allow
    /// that.
    pub(crate) fn locked(len: usize) -> Option<Self> {
        let mut pages = Self::private(len, false)?;
        // SAFETY: the mapping is this one's; locking changes nothing that a reader sees.
        if unsafe { mlock(pages.first.as_ptr().cast(), pages.room) }.is_ok() {
            pages.kind = PageKind::Locked;
        }
        Some(pages)
    }

    /// Memory that is absent from the kernel's map of memory; `None` where the system has none, or
    /// none left.
    #[cfg(target_os = "linux")]
    pub(crate) fn secret(len: usize) -> Option<Self> {
        use rustix::mm::{Advice, mmap};

        let room = Self::whole(len)?;
        let file = super::secret::file(room)?;
        let mut around = Reserved::new(room, page())?;
        // Mapped anywhere first, where failure (the limit of locked memory) leaves no trace, and
        // then moved to its place.
        // SAFETY: a new mapping at an address of the kernel's choice.
        let anywhere = unsafe {
            let access = ProtFlags::READ | ProtFlags::WRITE;
            mmap(std::ptr::null_mut(), room, access, MapFlags::SHARED, &file, 0)
        }
        .ok()?;
        around.take(0, anywhere, room)?;
        let (first, kind) = (around.first(), PageKind::Secret);
        let pages = Self { first, room, own: room, kind, writable: true, _around: around };
        #[cfg(any(test, feature = "tamper"))]
        tampering::note(first.as_ptr() as usize, room, true);
        // It is shared memory: a forked child would wipe it for its parent.
        pages.advise(Advice::LinuxDontFork);
        pages.advise(Advice::LinuxDontDump);
        Some(pages)
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn secret(_len: usize) -> Option<Self> {
        None
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn shared(len: usize) -> Option<Self> {
        Self::private(len, false)
    }

    /// Always `None`: pages are mapped twice on Linux only.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn behind(_len: usize, _shared: &[(usize, &Self)]) -> Option<Self> {
        None
    }

    /// Gives the system advice; a refusal does no harm.
    #[cfg(target_os = "linux")]
    fn advise(&self, advice: rustix::mm::Advice) {
        // SAFETY: the mapping is this one's, and none of the advice that is given here (no dump, no
        // fork, huge pages) changes a byte.
        let _ = unsafe { rustix::mm::madvise(self.first.as_ptr().cast(), self.own, advice) };
    }

    pub(crate) fn kind(&self) -> PageKind {
        self.kind
    }

    pub(crate) fn writable(&self) -> bool {
        self.writable
    }

    /// Makes the pages writable or read-only; returns whether they are so now.
    pub(crate) fn set_writable(&mut self, writable: bool) -> bool {
        if self.writable != writable {
            let access = if writable { read_write() } else { MprotectFlags::READ };
            // SAFETY: the mapping is this one's, it stays readable, and `&mut self` rules out a
            // mutable slice of it.
            if unsafe { mprotect(self.first.as_ptr().cast(), self.own, access) }.is_ok() {
                self.writable = writable;
                #[cfg(any(test, feature = "tamper"))]
                tampering::note(self.first.as_ptr() as usize, self.own, writable);
            }
        }
        self.writable == writable
    }

    /// All bytes of the pages.
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: `room` bytes from `first` are mapped, readable and initialised (zeros at first)
        // as long as this lives, and nobody writes them through Rust while the slice is borrowed
        // (except `tamper`): shared pages were read-only when they were mapped here, and their
        // owner keeps them so while others map them (`Region`).
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.room) }
    }

    /// All bytes of its own pages; none while they are read-only.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        let own = if self.writable { self.own } else { 0 };
        // SAFETY: as in `bytes`; writable, and borrowed from `&mut self`, so by nobody else: the
        // pages behind them, which others map too, are no part of it.
        unsafe { std::slice::from_raw_parts_mut(self.first.as_ptr(), own) }
    }

    /// Zeros the first `len` bytes and the rest of their last word, in words: a store for each byte
    /// takes as long as opening a block does.
    pub(crate) fn wipe(&mut self, len: usize) {
        let len = len.next_multiple_of(size_of::<u64>());
        let bytes = self.bytes_mut();
        let bytes = bytes.get_mut(..len).unwrap_or_default();
        // SAFETY: any eight bytes are a `u64`. Pages begin aligned and have whole words, so nothing
        // is left over.
        let (_, words, _) = unsafe { bytes.align_to_mut::<u64>() };
        words.zeroize();
    }

    /// Writes to the pages although they are frozen, and freezes them again.
    #[cfg(any(test, feature = "tamper"))]
    pub(crate) fn tamper(&self, at: usize, bytes: &[u8]) -> bool {
        let first = self.first.as_ptr() as usize;
        first.checked_add(at).is_some_and(|address| tampering::write(address, bytes))
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        #[cfg(any(test, feature = "tamper"))]
        tampering::forget(self.first.as_ptr() as usize, self.room);
    }
}

/// Writes to frozen pages, for attacks and tests: records which pages there are, and whether they
/// are frozen now.
#[cfg(any(test, feature = "tamper"))]
pub(crate) mod tampering {
    use std::collections::BTreeMap;
    use std::ffi::c_void;
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use rustix::mm::{MprotectFlags, mprotect};

    use super::{page, read_write};

    /// First address of each mapping; its length in bytes, and whether it is writable.
    static ALL: Mutex<BTreeMap<usize, (usize, bool)>> = Mutex::new(BTreeMap::new());

    fn all() -> MutexGuard<'static, BTreeMap<usize, (usize, bool)>> {
        ALL.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note(first: usize, room: usize, writable: bool) {
        all().insert(first, (room, writable));
    }

    /// Forgets all mappings that begin in this range. Waits for a write that is under way.
    pub(crate) fn forget(first: usize, room: usize) {
        all().retain(|start, _| !(first..first + room).contains(start));
    }

    /// Writes at an address inside a recorded mapping; `false` if there is none, or it ends too
    /// early.
    ///
    /// The lock is held meanwhile, so the mapping stays, and no writer freezes a page that another
    /// is writing.
    pub(crate) fn write(address: usize, bytes: &[u8]) -> bool {
        let all = all();
        let Some((first, (room, writable))) = all.range(..=address).next_back() else {
            return false;
        };
        let Some(end) = address.checked_add(bytes.len()).filter(|end| *end <= first + room) else {
            return false;
        };
        let begin = address - address % page();
        let len = end - begin;
        // SAFETY: whole pages of a mapping that lives as long as the lock is held (`forget` takes
        // it), and that stay readable.
        if !writable && unsafe { mprotect(begin as *mut c_void, len, read_write()) }.is_err() {
            return false;
        }
        for (i, byte) in bytes.iter().enumerate() {
            // SAFETY: within the same mapping, writable now. A concurrent reader of these bytes may
            // see either value: this is an attack on memory, as one from outside the process would
            // be.
            unsafe { ((address + i) as *mut u8).write_volatile(*byte) };
        }
        // SAFETY: as above.
        *writable || unsafe { mprotect(begin as *mut c_void, len, MprotectFlags::READ) }.is_ok()
    }
}

/// Alignment of huge pages, in bytes.
const HUGE: usize = 2 << 20;

/// Reserved, inaccessible addresses: room for pages in the middle, and guard pages around it.
struct Reserved {
    start: NonNull<u8>,
    /// Bytes before the middle; at least a page.
    before: usize,
    room: usize,
    /// Bytes after it; at least a page.
    after: usize,
    /// The middle may belong to another mapping.
    middle_forgotten: bool,
}

impl Reserved {
    /// Room for `room` bytes (whole pages) that begins at a multiple of `alignment` (of whole
    /// pages).
    fn new(room: usize, alignment: usize) -> Option<Self> {
        let page = page();
        let len = room.checked_add(alignment)?.checked_add(page)?;
        // A slice has at most `isize::MAX` bytes.
        isize::try_from(len).ok()?;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let start = unsafe {
            mmap_anonymous(std::ptr::null_mut(), len, ProtFlags::empty(), MapFlags::PRIVATE)
        };
        let start = NonNull::new(start.ok()?.cast::<u8>())?;
        // Between one page and `alignment` bytes before it, as `start` begins a page.
        let before = page + (start.as_ptr() as usize + page).wrapping_neg() % alignment;
        Some(Self { start, before, room, after: len - before - room, middle_forgotten: false })
    }

    fn first(&self) -> NonNull<u8> {
        // SAFETY: `before` is less than the length of the mapping.
        unsafe { self.start.add(self.before) }
    }

    /// Moves a mapping of `room` bytes into the middle, `at` bytes from its beginning. `None` if
    /// the system refuses, or it does not fit there; then the mapping is gone.
    #[cfg(target_os = "linux")]
    fn take(&mut self, at: usize, mapping: *mut c_void, room: usize) -> Option<()> {
        let fits = at.checked_add(room).is_some_and(|end| end <= self.room);
        // SAFETY: both ranges are whole pages of `room` bytes that belong to the caller alone: a
        // mapping that it has just made, and a part of the middle, of which nobody has a slice.
        let moved = fits.then(|| unsafe {
            let flags = rustix::mm::MremapFlags::MAYMOVE;
            let to = self.first().add(at).as_ptr().cast::<c_void>();
            rustix::mm::mremap_fixed(mapping, room, room, flags, to)
        });
        if moved.is_some_and(|moved| moved.is_ok()) {
            return Some(());
        }
        // The middle may be unmapped there, so another mapping may have taken it: it is left as it
        // is.
        self.middle_forgotten |= fits;
        // SAFETY: the caller's mapping, which did not move.
        let _ = unsafe { munmap(mapping, room) };
        None
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let end = self.before + self.room;
        let unmap = |at: usize, len: usize| {
            // SAFETY: whole pages that are this one's, and of which nobody has a slice any more.
            let _ = unsafe { munmap(self.start.as_ptr().add(at).cast(), len) };
        };
        if self.middle_forgotten {
            unmap(0, self.before);
            unmap(end, self.after);
        } else {
            unmap(0, end + self.after);
        }
    }
}

fn page() -> usize {
    rustix::param::page_size()
}

fn read_write() -> MprotectFlags {
    MprotectFlags::READ | MprotectFlags::WRITE
}
