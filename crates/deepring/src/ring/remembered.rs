//! The records that a trust store keeps of a ring: of an authentic one only.

use std::path::Path;

use super::verified::AuthenticRing;
use crate::resolved_path::ResolvedPath;
use crate::trust::{OwnedRing, TrustError, TrustStore};

impl TrustStore {
    /// Remembers a ring's version, so that older ones are refused. Adds no owner. Records that
    /// another process made meanwhile stay; a version never goes back, and another owner's record
    /// of the same ring id is another record.
    ///
    /// # Errors
    /// As [`add_owner`](Self::add_owner).
    pub fn remember(&mut self, ring: &AuthenticRing) -> Result<(), TrustError> {
        self.remember_version(&ring.version())
    }

    /// Binds a path to the ring that lies there, and remembers its version: from now on
    /// [`Trust::at`](crate::Trust::at) refuses another ring at that path. Adds no owner.
    ///
    /// # Errors
    /// [`TrustError::BoundToAnother`] where the path is bound already to another ring; else as
    /// [`add_owner`](Self::add_owner).
    pub fn bind(&mut self, path: &Path, ring: &AuthenticRing) -> Result<(), TrustError> {
        self.bind_by(&Self::resolve(path)?, ring)
    }

    /// As [`bind`](Self::bind), for a path that was walked: the names of that walk are bound,
    /// wherever the path leads now.
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    pub fn bind_by(&mut self, way: &ResolvedPath, ring: &AuthenticRing) -> Result<(), TrustError> {
        self.bind_version(way, &ring.version())
    }

    /// Binds a path to the ring that lies there, whatever it was bound to, and remembers its
    /// version; returns the other rings that it was bound to. The path is bound at every moment.
    ///
    /// # Errors
    /// As [`add_owner`](Self::add_owner).
    pub fn rebind(
        &mut self,
        path: &Path,
        ring: &AuthenticRing,
    ) -> Result<Vec<OwnedRing>, TrustError> {
        self.rebind_version(&Self::resolve(path)?, &ring.version())
    }
}
