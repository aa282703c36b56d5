//! Heap memory, for systems whose page calls this crate does not know: aligned and wiped, never
//! frozen.

use zeroize::Zeroize as _;

use super::PageKind;

/// A cache line, in bytes; enough for any tensor.
const ALIGNMENT: usize = 64;

/// Bytes that begin at a multiple of [`ALIGNMENT`].
pub(crate) struct Pages {
    /// Never grows, so its bytes never move.
    bytes: Vec<u8>,
    start: usize,
    room: usize,
}

impl Pages {
    /// Bytes that are allocated for `len` bytes.
    pub(crate) fn whole(len: usize) -> Option<usize> {
        len.checked_next_multiple_of(ALIGNMENT)
    }

    pub(crate) fn private(len: usize, _huge: bool) -> Option<Self> {
        let room = Self::whole(len)?;
        let all = room.checked_add(ALIGNMENT)?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(all).ok()?;
        bytes.resize(all, 0);
        let start = (bytes.as_ptr() as usize).wrapping_neg() % ALIGNMENT;
        Some(Self { bytes, start, room })
    }

    pub(crate) fn locked(len: usize) -> Option<Self> {
        Self::private(len, false)
    }

    pub(crate) fn secret(_len: usize) -> Option<Self> {
        None
    }

    pub(crate) fn shared(len: usize) -> Option<Self> {
        Self::private(len, false)
    }

    /// Always `None`: the heap cannot map a page twice.
    pub(crate) fn behind(_len: usize, _shared: &[(usize, &Self)]) -> Option<Self> {
        None
    }

    pub(crate) fn kind(&self) -> PageKind {
        PageKind::Private
    }

    pub(crate) fn writable(&self) -> bool {
        true
    }

    pub(crate) fn set_writable(&mut self, writable: bool) -> bool {
        writable
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(self.start..self.start + self.room).unwrap_or_default()
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..self.start + self.room).unwrap_or_default()
    }

    pub(crate) fn wipe(&mut self, len: usize) {
        self.bytes_mut().get_mut(..len).unwrap_or_default().zeroize();
    }

    /// Always `false`: there is nothing frozen to write to.
    #[cfg(any(test, feature = "tamper"))]
    pub(crate) fn tamper(&self, _at: usize, _bytes: &[u8]) -> bool {
        false
    }
}
