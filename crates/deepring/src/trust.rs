//! The owners that a reader trusts, and the records that a ring is checked against besides its own
//! signature.
//!
//! The public key of the owner decides; nothing inside a ring can vouch for itself. The store also
//! detects a rollback (a ring older than the newest seen is refused), and another owner's ring in
//! the place of one that was bound to its path.

mod contradiction;
mod error;
mod file;
mod guard;
mod ledgers;
mod lock;
mod place;
mod rotations;
mod store;
mod unique;
mod words;

use std::path::Path;

use crate::crypto::Digest;
use crate::finding::{Finding, Section};
use crate::in_line::InLine;
use crate::keys::{Owner, PublicKey};
use crate::resolved_path::ResolvedPath;
use crate::ring_id::RingId;
use contradiction::origin_of;

pub use contradiction::{Contradiction, Speaker};
pub use error::TrustError;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use file::reprint;
pub use ledgers::KnownLedger;
pub use rotations::{KeySuccession, KnownRotation, LastVersion};
pub use store::{SeenDeal, TrustStore};

/// A ring by its owner and its id. An id alone names nothing: ids are public, and anybody can seal
/// under one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OwnedRing {
    /// The key that signed it.
    pub owner: PublicKey<Owner>,
    /// The ring's id, the same in all its versions.
    pub ring: RingId,
}

/// One version of a ring. Made of a closure, which only claims it, or of a ring that was
/// authenticated; the caller says which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RingVersion {
    pub(crate) ring: OwnedRing,
    pub(crate) model_version: u64,
    pub(crate) digest: Digest,
    /// Number of its deal, 0 for none; also 0 of a closure, which does not say.
    pub(crate) deal: u32,
}

/// The owner and the records that a reader checks a ring against.
#[derive(Debug, Clone, Copy, Default)]
pub struct Trust<'a> {
    owner: Option<PublicKey<Owner>>,
    store: Option<&'a TrustStore>,
    any_version: bool,
    /// The path that the ring is read from.
    at: Option<At<'a>>,
}

#[derive(Debug, Clone, Copy)]
enum At<'a> {
    /// Walked when it is needed.
    Path(&'a Path),
    Resolved(&'a ResolvedPath),
}

impl<'a> Trust<'a> {
    /// Trusts exactly this owner.
    #[must_use]
    pub fn owner(owner: PublicKey<Owner>) -> Self {
        Self { owner: Some(owner), ..Self::default() }
    }

    /// Trusts the owners that the store remembers.
    #[must_use]
    pub fn store(store: &'a TrustStore) -> Self {
        Self { store: Some(store), ..Self::default() }
    }

    /// The same trust; also refuses versions older than the store has seen.
    #[must_use]
    pub fn and_store(self, store: &'a TrustStore) -> Self {
        Self { store: Some(store), ..self }
    }

    /// The same trust, for the ring that lies at `path`: if the store has bound that path, another
    /// ring there, by any owner, is untrusted. Without a store it changes nothing.
    #[must_use]
    pub fn at(self, path: &'a Path) -> Self {
        Self { at: Some(At::Path(path)), ..self }
    }

    /// As [`at`](Self::at), for a path that was walked: the names of that walk count.
    #[must_use]
    pub fn by(self, way: &'a ResolvedPath) -> Self {
        Self { at: Some(At::Resolved(way)), ..self }
    }

    /// The same trust; also accepts old versions, for callers that look back at a decision of an
    /// old version; but none that only whoever has a key that its owner gave up can have made. Running or repairing a ring with this gives up rollback protection.
    #[must_use]
    pub fn any_version(self) -> Self {
        Self { any_version: true, ..self }
    }

    /// The objection to a ring that was authenticated, or to its outline, where a later deal of the same
    /// version was seen: who put the earlier file back has nobody validate. Whoever looks back at old
    /// decisions objects to no deal.
    pub(crate) fn refuse_deal(&self, found: &RingVersion) -> Option<Finding> {
        let store = self.store.filter(|_| !self.any_version)?;
        // Nor has whoever holds a key that was given up others validate than the owner's deals say.
        let recorded = store.recorded_deal(&found.ring, found.model_version);
        if recorded.is_some_and(|recorded| found.deal > recorded) {
            let reason = format!(
                "signed by a key that its owner gave up; the ledger has no deal {} by it",
                found.deal
            );
            return Some(Finding::untrusted(Section::Closure, reason));
        }
        // Of an older version than the newest, that is found already.
        let SeenDeal::Number(deal) = store.deal_of(&found.ring, found.model_version) else {
            return None;
        };
        if found.deal >= deal {
            return None;
        }
        let is = if found.deal == 0 { "not dealt".into() } else { format!("deal {}", found.deal) };
        let reason = format!("this is the ring as {is}, and its deal {deal} was seen before");
        Some(Finding::stale(Section::Closure, reason))
    }

    /// The objection to a ring whose closure is consistent in itself and claims to be this version,
    /// if there is one.
    pub(crate) fn refuse_version(&self, claimed: &RingVersion) -> Option<Finding> {
        let found = claimed.ring;
        let untrusted = |reason| Some(Finding::untrusted(Section::Closure, reason));
        let bound = self.store.zip(self.at).map(|(store, at)| match at {
            At::Path(path) => store.bindings_at(path),
            At::Resolved(way) => Ok(store.bindings_by(way)),
        });
        let bound = match bound.transpose() {
            Ok(bound) => bound,
            Err(e) => return untrusted(format!("what is bound to this path is not known: {e}")),
        };
        if let Some(bound) = bound.iter().flatten().find(|bound| **bound != found) {
            let reason = format!(
                "this path is bound to ring {} of owner {}; here is ring {} of owner {}",
                bound.ring, bound.owner, found.ring, found.owner
            );
            return untrusted(reason).map(Finding::against_binding);
        }
        let trusted = match (&self.owner, self.store) {
            (Some(pinned), _) => *pinned == found.owner,
            (None, Some(store)) => store.trusts(&found.owner),
            (None, None) => false,
        };
        if !trusted {
            return untrusted(format!(
                "signed by an owner that is not trusted here: {}",
                found.owner
            ));
        }
        let store = self.store?;
        // An owner that the store trusts for its own rings cannot take over another's. A pinned
        // key can be given for any ring: the caller that gives it has decided.
        if self.owner.is_none()
            && store.seen(&found).is_none()
            && let Some(other) = store.other_owner_of(&found)
        {
            return untrusted(format!("this ring was seen before under another owner: {other}"));
        }
        let newest = store.newest(&found).filter(|_| !self.any_version);
        let stale = |reason| Some(Finding::stale(Section::Closure, reason));
        if let Some((version, _)) = newest
            && claimed.model_version < version
        {
            return stale(format!(
                "model version {} is older than version {version}, seen before",
                claimed.model_version
            ));
        }
        // Whoever has a key that its owner gave up would make the newest version of all with it, and decisions of it. Of
        // the versions before, who looks back cannot tell which are the owner's.
        if let Some((later, seen)) = store.seen_later(&found)
            && (!self.any_version || claimed.model_version >= seen.model_version)
        {
            return untrusted(format!(
                "signed by a key that its owner gave up for {later}, of which a version was seen"
            ));
        }
        if let Some(limit) = store.limit(&found)
            && limit.last.is_none_or(|last| claimed.model_version > last.model_version)
        {
            return untrusted(format!(
                "signed by a key that its owner gave up for {}; ledger {} has no version {} by it",
                limit.next,
                InLine(origin_of(limit.ledger)),
                claimed.model_version
            ));
        }
        if let Some((version, digest)) = newest
            && claimed.model_version == version
            && claimed.digest != digest
        {
            return stale(format!(
                "another ring of the same model version {version} was seen before"
            ));
        }
        None
    }
}
