//! The ring that must have decided, where the reader says so: the owner's key alone vouches for all that he ever sealed.

use std::cmp::Ordering;

use deepring::outline::AuthenticOutline;
use deepring::{Owner, PublicKey, RingId, Trust, UnverifiedRing};

use crate::cli::RingPin;
use crate::error::{CliError, Exit};

/// The facts of an owner's ring that were pinned.
pub(super) struct PinnedRing {
    ring: Option<RingId>,
    version: Option<u64>,
}

impl PinnedRing {
    /// Of the options. A file says the ring and its version once its signature and headers verify under the owner's key.
    pub(super) fn of(args: &RingPin, owner: PublicKey<Owner>) -> Result<Self, CliError> {
        let Some(path) = &args.ring else {
            return Ok(Self { ring: args.ring_id, version: args.model_version });
        };
        let ring = UnverifiedRing::open(path)?.authenticate(&Trust::owner(owner))?;
        Ok(Self { ring: Some(ring.ring_id()), version: Some(ring.model_version()) })
    }

    /// Refuses what another ring or version decided, by name.
    pub(super) fn check(&self, outline: &AuthenticOutline) -> Result<(), CliError> {
        let (ring, version) = (outline.ring_id(), outline.model_version());
        if let Some(pinned) = self.ring.filter(|pinned| *pinned != ring) {
            let message = format!("ring {ring}, version {version}, decided, and not ring {pinned}");
            return Err(CliError::new(Exit::Untrusted, message));
        }
        let Some(pinned) = self.version else { return Ok(()) };
        let exit = match version.cmp(&pinned) {
            Ordering::Equal => return Ok(()),
            Ordering::Less => Exit::Stale,
            Ordering::Greater => Exit::Untrusted,
        };
        let message = format!("version {version} of ring {ring} decided, and not version {pinned}");
        Err(CliError::new(exit, message))
    }
}
