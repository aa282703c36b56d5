//! Where a repair is recorded, as the one who repairs sees it: what stands against copies, and an entry that ends it.

use std::collections::BTreeSet;

use deepring::keys::AuthorKey;
use deepring::{AuthenticRing, Host, PublicKey, SecretKey};
use deepring_ledger::state::Cause;
use deepring_ledger::{Binding, Entry, State};
use thiserror::Error;

/// Why something is not recorded, or not known.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RecordError {
    /// There is no ledger any more.
    #[error("the ledger is kept here no more")]
    Stopped,
    /// Not now, or not this entry.
    #[error("{why}")]
    Refused {
        /// Why.
        why: String,
    },
}

/// The ledger that a host's repairs go on.
pub trait RepairRecord: Send + 'static {
    /// Reads the standing of the copies by this ledger.
    ///
    /// # Errors
    /// [`RecordError`].
    fn standing(&self) -> impl Future<Output = Result<CopyStanding, RecordError>> + Send;

    /// Has an entry recorded; returns its index when it is on stable storage.
    ///
    /// # Errors
    /// [`RecordError`].
    fn record(&self, entry: Entry) -> impl Future<Output = Result<u64, RecordError>> + Send;
}

/// How copies of one version of a ring stand by a ledger, for one of its hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyStanding {
    /// Blocks of this host's that are quarantined by its own alarm: its repair ends that.
    pub own: BTreeSet<u32>,
    /// Blocks of this host's that are quarantined by proof against it: no repair ends that, and the ring's owner may.
    pub proven: BTreeSet<u32>,
    /// Copies of other hosts that are quarantined, and so cannot countersign.
    quarantined: BTreeSet<([u8; 64], u32)>,
    /// Hosts that were revoked.
    revoked: BTreeSet<[u8; 64]>,
    /// The binding of this host's next entry.
    pub binding: Binding,
}

impl CopyStanding {
    /// By the state of a ledger, for the host with this key.
    #[must_use]
    pub fn of(state: &State, ring: &AuthenticRing, key: &SecretKey<Host>) -> Self {
        let me = key.public();
        let author: AuthorKey = key.clone().into();
        let (mut own, mut proven, mut quarantined) =
            (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for copy in state.quarantined(&ring.digest()) {
            match (copy.host == me, copy.cause) {
                (true, Cause::OwnAlarm) => _ = own.insert(copy.block),
                (true, _) => _ = proven.insert(copy.block),
                (false, _) => _ = quarantined.insert((*copy.host.as_bytes(), copy.block)),
            }
        }
        let hosts = ring.outline().blocks().iter().flat_map(|block| &block.hosts);
        let revoked = hosts.filter(|host| state.host_revoked(&ring.ring_id(), host).is_some());
        let revoked = revoked.map(|host| *host.as_bytes()).collect();
        Self { own, proven, quarantined, revoked, binding: state.binding(&author.public()) }
    }

    /// Whether a host may countersign for its copy of a block.
    #[must_use]
    pub fn is_sound(&self, host: &PublicKey<Host>, block: u32) -> bool {
        !self.is_revoked(host) && !self.quarantined.contains(&(*host.as_bytes(), block))
    }

    /// Whether a host was revoked: then it is none of a block's any more.
    #[must_use]
    pub fn is_revoked(&self, host: &PublicKey<Host>) -> bool {
        self.revoked.contains(host.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use deepring::{Finding, Section};
    use deepring_ledger::Event;
    use deepring_testkit::rings::{Sealed, host_key, owner_key};

    use super::*;

    fn said(state: &mut State, event: &Event, author: &AuthorKey) {
        let entry = Entry::sign(state.binding(&author.public()), 0, event, author).unwrap();
        state.advance(&entry).unwrap();
    }

    #[test]
    fn what_a_proof_quarantined_is_not_this_hosts_to_repair_and_no_others_copy_then_is_sound() {
        let sealed = Sealed::new(0, 2);
        let ring = sealed.ring();
        let mut state = State::new("deepring.local/ledger/test");
        let outline = Box::new(sealed.outline().as_outline().clone());
        said(&mut state, &Event::RingRegistered { outline }, &owner_key(0).into());
        let evidence = sealed.equivocation();
        let (accused, block) = (host_key(0), evidence.receipt().first_block);
        let witness = ring.headers()[block as usize].hosts().find(|h| *h != accused.public());
        let witness = (0..4).map(host_key).find(|key| Some(key.public()) == witness).unwrap();
        let before = CopyStanding::of(&state, &ring, &witness);
        assert!(before.is_sound(&accused.public(), block) && before.own.is_empty());
        let event =
            Event::accusation(ring.ring_id(), &evidence, accused.public(), "signed two receipts");
        said(&mut state, &event, &witness.clone().into());
        let its = CopyStanding::of(&state, &ring, &accused);
        assert!(its.own.is_empty() && its.proven.contains(&block));
        assert!(!CopyStanding::of(&state, &ring, &witness).is_sound(&accused.public(), block));
        // Its own alarm about that copy changes nothing; that of the other is the other's to repair.
        let finding = Finding::tampered(Section::Body, "changed").in_block(block, None);
        for key in [&accused, &witness] {
            let event = Event::alarm((ring.ring_id(), ring.digest()), key.public(), &finding);
            said(&mut state, &event, &key.clone().into());
        }
        let its = CopyStanding::of(&state, &ring, &accused);
        assert!(its.own.is_empty() && its.proven.contains(&block));
        assert_eq!(CopyStanding::of(&state, &ring, &witness).own, [block].into());
        // A revoked host is none of the block's.
        let (ring_id, reason) = (Some(ring.ring_id()), "left".to_owned());
        let host = witness.public();
        said(&mut state, &Event::HostRevoked { host, ring_id, reason }, &owner_key(0).into());
        let its = CopyStanding::of(&state, &ring, &accused);
        assert!(its.is_revoked(&host) && !its.is_sound(&host, block));
    }
}
