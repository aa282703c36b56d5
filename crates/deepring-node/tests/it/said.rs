//! What clients say in these tests: made once, so that two runs of one seed see the same bytes.

use std::sync::LazyLock;

use deepring::Decision;
use deepring::keys::AuthorKey;
use deepring_ledger::{Binding, Entry, Event};
use deepring_node::agreement::Submission;
use deepring_testkit::rings::{Sealed, host_key, owner_key};

use crate::net::{ORIGIN, set};

/// Everything that is said, by owners 0 and 1 and the hosts of their rings.
pub(crate) struct Said {
    /// The first entry: whose rings are taken, and who keeps the log.
    pub(crate) set: Submission,
    pub(crate) ring: Sealed,
    pub(crate) registered: Submission,
    pub(crate) other_registered: Submission,
    pub(crate) decisions: Vec<Submission>,
    pub(crate) revoked_host: Submission,
    pub(crate) revoked_key: Submission,
    pub(crate) alarm: Submission,
    pub(crate) deal: Submission,
    /// What no honest validator takes, whatever is committed.
    pub(crate) forged: Vec<Submission>,
}

pub(crate) fn entry(sequence: u64, event: &Event, key: impl Into<AuthorKey>) -> Entry {
    Entry::sign(Binding::new(ORIGIN, sequence), 0, event, &key.into()).unwrap()
}

fn said(sequence: u64, event: &Event, key: impl Into<AuthorKey>) -> Submission {
    Submission::of(&entry(sequence, event, key)).unwrap()
}

fn outline(ring: &Sealed) -> Box<deepring::outline::Outline> {
    Box::new(ring.outline().as_outline().clone())
}

pub(crate) fn decided(ring: &Sealed, decision: &Decision) -> Event {
    Event::Decisions {
        ring_digest: ring.outline().ring_digest(),
        decision_id: decision.id(),
        count: u32::try_from(decision.items().len()).unwrap(),
        dealt: ring.outline().deal_number(),
    }
}

/// A complaint by host `n` of a ring about the next one, the `sequence`-th.
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
    said(sequence, &event, host_key(n))
}

pub(crate) static SAID: LazyLock<Said> = LazyLock::new(|| {
    let (ring, other) = (Sealed::new(0, 2), Sealed::new(1, 3));
    let decisions: Vec<Decision> = (1..=6).map(|n| ring.decide(n, None)).collect();
    let record = |decision: &Decision| {
        let entry = entry(0, &decided(&ring, decision), host_key(0));
        Submission::decided(&entry, decision).unwrap()
    };
    let equivocation = Event::accusation(
        ring.outline().ring_id(),
        &ring.equivocation(),
        host_key(0).public(),
        "two receipts",
    );
    let undone = ring.decide_unvalidated(1);
    let by_host_3 = entry(0, &decided(&ring, &decisions[0]), host_key(3));
    let third_ring = Sealed::new(2, 2);
    let forged = vec![
        // Evidence of another decision, none, and changed.
        Submission::forged(
            entry(0, &decided(&ring, &decisions[5]), host_key(0)).as_bytes(),
            record(&decisions[1]).evidence(),
        ),
        Submission::forged(record(&decisions[5]).entry(), &[]),
        Submission::forged(
            record(&decisions[5]).entry(),
            &changed(record(&decisions[5]).evidence()),
        ),
        Submission::forged(record(&decisions[5]).entry(), &decisions[5].encode()),
        // Less validated than the deal promises.
        Submission::decided(&entry(0, &decided(&ring, &undone), host_key(0)), &undone).unwrap(),
        // Not by a host of Genesis, and by nobody at all.
        Submission::decided(&by_host_3, &decisions[0]).unwrap(),
        Submission::forged(
            &changed(record(&decisions[5]).entry()),
            record(&decisions[5]).evidence(),
        ),
        // Of an owner whom the set does not name.
        said(1, &Event::RingRegistered { outline: outline(&third_ring) }, owner_key(2)),
        Submission::forged(b"nothing", b""),
    ];
    Said {
        set: said(1, &Event::ValidatorSet(set()), owner_key(0)),
        registered: said(2, &Event::RingRegistered { outline: outline(&ring) }, owner_key(0)),
        other_registered: said(
            1,
            &Event::RingRegistered { outline: outline(&other) },
            owner_key(1),
        ),
        decisions: decisions.iter().map(record).collect(),
        revoked_host: said(
            2,
            &Event::HostRevoked {
                host: host_key(3).public(),
                ring_id: Some(other.outline().ring_id()),
                reason: "sold".to_owned(),
            },
            owner_key(1),
        ),
        revoked_key: said(1, &Event::KeyRevoked { reason: "lost".to_owned() }, host_key(9)),
        alarm: said(1, &equivocation, host_key(1)),
        deal: said(
            3,
            &Event::Deal { outline: Box::new(ring.dealt(3).as_outline().clone()) },
            owner_key(0),
        ),
        forged,
        ring,
    }
});

fn changed(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let at = bytes.len() - 40;
    bytes[at] ^= 1;
    bytes
}
