//! Entries of a log, as its authors sign them, for the unit tests of this module.
#![allow(clippy::unwrap_used, reason = "fixtures of tests fail loudly")]

use deepring::keys::{AuthorKey, Node};
use deepring::{Decision, SecretKey};
use deepring_ledger::{Binding, Entry, Event, State, ValidatorSet};
use deepring_testkit::rings::{Sealed, host_key, owner_key};

use super::committee::{Committees, voter};
use super::consent::{Consent, SetApproval};
use super::submission::Submission;

pub(crate) const ORIGIN: &str = "deepring.local/ledger/test";

pub(crate) fn node_key(n: u8) -> SecretKey<Node> {
    SecretKey::from_halves(&[n + 31; 32], &[n + 131; 32]).unwrap()
}

/// The set of the first nodes, which takes the rings of owner 0.
pub(crate) fn set(nodes: u8) -> ValidatorSet {
    let mut nodes: Vec<_> = (0..nodes).map(|n| node_key(n).public()).collect();
    nodes.sort_by_key(|node| *node.as_bytes());
    let owners = vec![owner_key(0).public()];
    ValidatorSet { epoch: 1, origin: ORIGIN.to_owned(), owners, nodes }
}

/// Of node 0, whose operator approved nothing.
pub(crate) fn consent() -> Consent {
    let me = voter(&node_key(0).public()).unwrap();
    Consent::new(set(4), me, SetApproval::default(), Committees::default())
}

/// An entry that follows a state.
pub(crate) fn said(state: &State, event: &Event, key: &AuthorKey) -> Entry {
    Entry::sign(state.binding(&key.public()), 0, event, key).unwrap()
}

pub(crate) fn numbered(sequence: u64, event: &Event, key: &AuthorKey) -> Entry {
    Entry::sign(Binding::new(ORIGIN, sequence), 0, event, key).unwrap()
}

pub(crate) fn registered(ring: &Sealed) -> Event {
    Event::RingRegistered { outline: Box::new(ring.outline().as_outline().clone()) }
}

pub(crate) fn decided(ring: &Sealed, decision: &Decision) -> Event {
    Event::Decisions {
        ring_digest: ring.outline().ring_digest(),
        decision_id: decision.id(),
        count: u32::try_from(decision.items().len()).unwrap(),
        dealt: ring.outline().deal_number(),
    }
}

/// The state after a ring of owner 0 is registered, and how that was said.
pub(crate) fn after_registration(ring: &Sealed) -> (State, Submission) {
    let mut state = State::new(ORIGIN);
    let entry = said(&state, &registered(ring), &owner_key(0).into());
    state.advance(&entry).unwrap();
    (state, Submission::of(&entry).unwrap())
}

/// A decision by a ring, said by its host of Genesis.
pub(crate) fn decision(ring: &Sealed, queries: u8) -> Submission {
    let decision = ring.decide(queries, None);
    let entry = numbered(0, &decided(ring, &decision), &host_key(0).into());
    Submission::decided(&entry, &decision).unwrap()
}

/// A revocation of its own key by the host of this number, which is no host of any ring.
pub(crate) fn revocation(n: u8) -> Submission {
    let key = host_key(n);
    let event = Event::KeyRevoked { reason: "lost".to_owned() };
    Submission::of(&numbered(1, &event, &key.into())).unwrap()
}

/// A complaint by host `n` about a host of the ring: it has an effect on nothing but its count.
pub(crate) fn complaint(ring: &Sealed, n: u8, sequence: u64) -> Submission {
    let outline = ring.outline();
    let event = Event::Alarm {
        ring_id: outline.ring_id(),
        ring_digest: outline.ring_digest(),
        accused: host_key((n + 1) % 4).public(),
        block: None,
        name: String::new(),
        part: "outputs".to_owned(),
        tensor: None,
        bytes: None,
        reason: "late".to_owned(),
        evidence: None,
    };
    Submission::of(&numbered(sequence, &event, &host_key(n).into())).unwrap()
}
