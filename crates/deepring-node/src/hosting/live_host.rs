//! The opened blocks of a host, shared by those who compute with them and by who opens them anew.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError};

use deepring_infer::RingHost;
use deepring_infer::engine::Engine;

/// A [`RingHost`] of which a block can be opened anew while queries go on. Cheap to clone.
///
/// Nobody holds it while it waits for anything but computing: a block that is opened anew has the blocks to itself.
pub struct LiveHost<E: Engine>(Arc<RwLock<RingHost<E>>>);

impl<E: Engine> Clone for LiveHost<E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<E: Engine> std::fmt::Debug for LiveHost<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LiveHost").finish_non_exhaustive()
    }
}

impl<E: Engine> LiveHost<E> {
    /// Of a host that has opened its blocks.
    #[must_use]
    pub fn new(host: RingHost<E>) -> Self {
        Self(Arc::new(RwLock::new(host)))
    }

    /// To compute with. Blocks the thread while a block is opened anew.
    pub fn read(&self) -> RwLockReadGuard<'_, RingHost<E>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`read`](Self::read), for those that must not be blocked: `None` while a block is opened anew.
    pub(crate) fn try_read(&self) -> Option<RwLockReadGuard<'_, RingHost<E>>> {
        match self.0.try_read() {
            Ok(host) => Some(host),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// To open blocks anew.
    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, RingHost<E>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
