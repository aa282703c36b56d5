//! Questions to a ledger.

use std::collections::BTreeSet;

use deepring_ledger::{Entry, Event, Ledger};

use crate::sample::{alarm, decision, digest, registered, ring_id};

fn upgraded(version: u64, from: u64) -> Entry {
    let event = Event::RingUpgraded {
        ring_id: ring_id(),
        ring_digest: digest(version),
        previous_digest: digest(from),
        model_version: version,
        owner: [2; 64],
        closure_signature: [3; 64],
    };
    Entry { at: version, event }
}

fn repair(version: u64, blocks: Vec<u32>) -> Entry {
    let event = Event::Repair {
        ring_id: ring_id(),
        ring_digest: digest(version),
        blocks,
        source: "copy.ring".into(),
    };
    Entry { at: 9, event }
}

fn ledger(entries: &[Entry]) -> (tempfile::TempDir, Ledger) {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open_or_create(dir.path()).unwrap();
    ledger.append(entries).unwrap();
    assert!(ledger.verify().unwrap().is_intact());
    (dir, ledger)
}

#[test]
fn a_decision_is_found_by_its_id_and_by_nothing_else() {
    // The ring digest of a registration equals a decision's id here; kinds must not mix.
    let (_dir, ledger) = ledger(&[registered(4), decision(4), decision(9), decision(4)]);
    assert_eq!(ledger.find_decision(&digest(4)).unwrap(), Some(1));
    assert_eq!(ledger.find_decision(&digest(9)).unwrap(), Some(2));
    assert_eq!(ledger.find_decision(&digest(5)).unwrap(), None);
}

#[test]
fn the_newest_version_is_the_highest_whatever_the_order() {
    let (_dir, ledger) = ledger(&[registered(2), upgraded(5, 2), upgraded(3, 2)]);
    assert_eq!(ledger.newest_version(&ring_id()).unwrap(), Some((5, digest(5))));
    assert_eq!(ledger.newest_version(&[0; 16]).unwrap(), None);
    assert_eq!(ledger.about_ring(&ring_id()).unwrap().len(), 3);
}

#[test]
fn revocations_are_found_and_their_absence_too() {
    let revoke = |version| Entry {
        at: 0,
        event: Event::RingRevoked {
            ring_id: ring_id(),
            ring_digest: digest(version),
            reason: "key lost".into(),
        },
    };
    let key = Entry { at: 0, event: Event::KeyRevoked { key: [8; 64], reason: "lost".into() } };
    let (_dir, ledger) = ledger(&[registered(1), registered(2), revoke(1), key]);
    assert_eq!(ledger.ring_revocation(&digest(1)).unwrap(), Some(2));
    assert_eq!(ledger.ring_revocation(&digest(2)).unwrap(), None);
    assert_eq!(ledger.key_revocation(&[8; 64]).unwrap(), Some(3));
    assert_eq!(ledger.key_revocation(&[2; 64]).unwrap(), None);
}

#[test]
fn an_alarm_quarantines_its_block_until_that_block_is_repaired() {
    let (_dir, mut ledger) = ledger(&[
        alarm(1, Some(3)),
        alarm(1, Some(5)),
        alarm(1, None),
        alarm(2, Some(7)),
        repair(1, vec![5]),
    ]);
    assert_eq!(ledger.quarantined(&digest(1)).unwrap(), BTreeSet::from([3]));
    assert_eq!(ledger.quarantined(&digest(2)).unwrap(), BTreeSet::from([7]));
    ledger.append(&[repair(1, vec![3]), alarm(1, Some(5))]).unwrap();
    assert_eq!(ledger.quarantined(&digest(1)).unwrap(), BTreeSet::from([5]));
}
