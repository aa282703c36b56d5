//! Buffers in secret memory for copies that are used for a moment, lent again and again.

use std::fmt;
use std::process;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::pages::PageKind;
use crate::{Region, Use};

/// Idle buffers that are kept. Each is at most [`LARGEST`] bytes: together an eighth of the memory
/// that a process may commonly lock.
const MOST: usize = 8;
/// Length in bytes above which a buffer is returned to the system.
const LARGEST: usize = 128 << 10;

/// A writable [`Region`] of use [`Use::Secrets`] for a copy that is verified, used and dropped.
///
/// The kernel takes each page of secret memory out of its own map at the first write, puts it back
/// when it is unmapped, and flushes it from every core's TLB: that costs several times the work on
/// a copy. So buffers outlive their use. They are wiped at its end as any region is, and are zero
/// when they are lent again. Only secret memory is kept; a buffer of another use, or of a process
/// that was forked, is not lent.
pub struct Scratch {
    /// `None` only while it is being dropped.
    region: Option<Region>,
    len: usize,
}

impl Scratch {
    /// A buffer of `len` bytes, all zero; `None` if the memory cannot be allocated.
    #[must_use]
    pub fn new(len: usize) -> Option<Self> {
        let kept = if len <= LARGEST { idle().take(len) } else { None };
        let region = kept.or_else(|| Region::new(len, Use::Secrets))?;
        Some(Self { region: Some(region), len })
    }

    /// The bytes.
    #[must_use]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let bytes = self.region.as_mut().map(Region::bytes_mut).unwrap_or_default();
        bytes.get_mut(..self.len).unwrap_or_default()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let Some(mut region) = self.region.take() else { return };
        if region.kind() == PageKind::Secret && region.bytes().len() <= LARGEST {
            region.wipe();
            let refused = idle().keep(region);
            // Outside of the lock: unmapping makes all cores wait.
            drop(refused);
        }
    }
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scratch").field("len", &self.len).finish_non_exhaustive()
    }
}

/// Buffers that are not in use; all zero.
#[derive(Default)]
struct Idle {
    /// The process that owns them: a forked child does not have these pages.
    process: u32,
    rooms: Vec<Region>,
}

static IDLE: Mutex<Idle> = Mutex::new(Idle { process: 0, rooms: Vec::new() });

fn idle() -> MutexGuard<'static, Idle> {
    let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
    if idle.process != process::id() {
        // Neither wiped nor unmapped: their addresses may hold another mapping by now.
        std::mem::take(&mut idle.rooms).into_iter().for_each(std::mem::forget);
        idle.process = process::id();
    }
    idle
}

impl Idle {
    /// Takes the smallest buffer that is large enough.
    fn take(&mut self, len: usize) -> Option<Region> {
        let fits = self.rooms.iter().enumerate().filter(|(_, room)| room.bytes().len() >= len);
        let (number, _) = fits.min_by_key(|(_, room)| room.bytes().len())?;
        Some(self.rooms.swap_remove(number))
    }

    /// Keeps a buffer; returns the smallest of all if there is no place for it.
    fn keep(&mut self, region: Region) -> Option<Region> {
        self.rooms.push(region);
        if self.rooms.len() <= MOST {
            return None;
        }
        let smallest = self.rooms.iter().enumerate().min_by_key(|(_, room)| room.bytes().len());
        let number = smallest.map(|(number, _)| number)?;
        Some(self.rooms.swap_remove(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(scratch: &mut Scratch) -> usize {
        scratch.bytes_mut().as_ptr() as usize
    }

    /// One test, so that no other thread of this process takes the buffers that it expects.
    #[test]
    fn rooms_are_zero_whenever_they_are_lent_and_few_are_kept() {
        for len in [0, 1, 65_536, 70_000, LARGEST, LARGEST + 1, 1 << 20] {
            for _ in 0..3 {
                let mut scratch = Scratch::new(len).unwrap();
                assert_eq!(scratch.bytes_mut().len(), len);
                assert!(scratch.bytes_mut().iter().all(|b| *b == 0));
                scratch.bytes_mut().fill(7);
            }
        }
        assert!(Scratch::new(usize::MAX).is_none());
        let mut many: Vec<Scratch> = (0..3 * MOST).map(|_| Scratch::new(65_536).unwrap()).collect();
        let mut places: Vec<usize> = many.iter_mut().map(address).collect();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), 3 * MOST, "no room is lent twice");
        many.iter_mut().for_each(|scratch| scratch.bytes_mut().fill(7));
        drop(many);
        {
            let idle = idle();
            assert!(idle.rooms.len() <= MOST);
            for room in &idle.rooms {
                assert!(room.kind() == PageKind::Secret && room.bytes().len() <= LARGEST);
                assert!(room.bytes().iter().all(|b| *b == 0), "wiped when it came back");
            }
        }
        // A forked child owns none of its parent's buffers.
        IDLE.lock().unwrap().process = 0;
        assert_eq!(idle().rooms.len(), 0);
        assert_eq!(IDLE.lock().unwrap().process, process::id());
        Scratch::new(65_536).map(drop).unwrap();
        assert!(idle().rooms.len() <= 1);
    }
}
