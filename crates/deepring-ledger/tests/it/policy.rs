//! Rings and hosts that a ledger refuses to let run, and what stays as it was.

use deepring::SecretKey;
use deepring::keys::{Author, Node};
use deepring_ledger::entry::Audit;
use deepring_ledger::policy::{AdmitError, Refusal};
use deepring_ledger::state::Revoked;
use deepring_ledger::witness::QuorumError;
use deepring_ledger::{Event, Fault, Ledger, LedgerError};

use crate::authority::{Fixture, by_owner, its};
use crate::rings::{Sealed, host, owner_key};
use crate::sample::{by_host, digest};

impl Fixture {
    fn refusal(&self, outline: &deepring::outline::AuthenticOutline) -> Refusal {
        match self.ledger.admit(outline, [host(0)]) {
            Err(AdmitError::Refused(refusal)) => refusal,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_ring_is_registered_once_for_each_version_and_revision_and_admitted() {
    let mut bench = Fixture::new(1);
    let (first, owner) = (bench.outline.clone(), by_owner(0));
    assert!(bench.ledger.admit(&first, [host(0)]).unwrap().quarantined.is_empty());
    assert_eq!(bench.ledger.register(&first, &owner).unwrap(), None);
    let granted = bench.ring.granted(9);
    assert_eq!(bench.ledger.register(&granted, &owner).unwrap(), Some(1));
    assert!(matches!(bench.ledger.entry(1).unwrap().event(), Event::Deal { .. }));
    // An earlier revision is known, too.
    assert_eq!(bench.ledger.register(&first, &owner).unwrap(), None);
    let second = bench.ring.next(1).outline();
    assert_eq!(bench.ledger.register(&second, &owner).unwrap(), Some(2));
    assert!(matches!(bench.ledger.entry(2).unwrap().event(), Event::RingUpgraded { .. }));
    assert!(bench.ledger.admit(&second, [host(0)]).is_ok());
    let state = bench.ledger.state().unwrap();
    assert_eq!(state.outlines(&first.ring_digest()).count(), 2);
    assert_eq!(state.newest(&first.ring_id()), Some(&second));
    let newest = bench.ledger.newest_version(&first.ring_id()).unwrap();
    assert_eq!(newest, Some((2, second.ring_digest())));
}

#[test]
fn an_older_version_and_another_ring_of_the_same_version_are_refused() {
    let mut bench = Fixture::new(1);
    let first = bench.outline.clone();
    let (second, twin) = (bench.ring.next(1).outline(), bench.ring.next(1).outline());
    bench.ledger.register(&second, &by_owner(0)).unwrap();
    assert_eq!(bench.refusal(&first), Refusal::Older { version: 1, known: 2 });
    assert_eq!(bench.refusal(&twin), Refusal::Twin { version: 2 });
    let after = |before| bench.ledger.upgraded_before(&first.owned(), 1, before).unwrap();
    assert_eq!((after(2), after(1)), (Some((1, 2)), None));
    assert_eq!(bench.ledger.upgraded_before(&first.owned(), 2, 9).unwrap(), None);
}

#[test]
fn a_ring_that_is_not_registered_or_is_anothers_is_refused() {
    let bench = Fixture::new(1);
    assert_eq!(bench.refusal(&Sealed::new(0, 1).outline()), Refusal::NotRegistered);
    let newer = bench.ring.next(1).outline();
    assert_eq!(bench.refusal(&newer), Refusal::NotRegistered);
    let previous = Some((bench.outline.ring_id(), bench.outline.ring_digest()));
    let squatter = Sealed::version(1, 1, 2, previous).outline();
    assert_eq!(bench.refusal(&squatter), Refusal::OtherOwner);
    assert_eq!(bench.ledger.upgraded_before(&squatter.owned(), 0, 9).unwrap(), None);
}

#[test]
fn a_revoked_ring_owner_or_host_is_refused_and_the_entry_is_named() {
    let reason = || "lost".to_owned();
    for what in ["ring", "version", "owner", "host", "host by its owner"] {
        let mut bench = Fixture::new(1);
        let ring_id = bench.outline.ring_id();
        let digest = bench.outline.ring_digest();
        let of_host = Revoked::Host(host(0));
        let (event, author, revoked) = match what {
            "ring" => (bench.revoke_ring(None), by_owner(0), Revoked::Ring),
            "version" => (bench.revoke_ring(Some(digest)), by_owner(0), Revoked::Ring),
            "owner" => (Event::KeyRevoked { reason: reason() }, by_owner(0), Revoked::Owner),
            "host" => (Event::KeyRevoked { reason: reason() }, by_host(0), of_host),
            _ => {
                let (host, ring_id) = (host(0), Some(ring_id));
                (Event::HostRevoked { host, ring_id, reason: reason() }, by_owner(0), of_host)
            }
        };
        let decided = bench.allowed(&bench.decisions(), &by_host(0));
        let entry = bench.allowed(&event, &author);
        let Refusal::Revoked(revocation) = bench.refusal(&bench.outline) else { panic!("{what}") };
        assert_eq!((revocation.what, revocation.entry), (revoked, entry), "{what}");
        // Without that host, and only then, a revoked host is nobody's concern.
        assert_eq!(bench.ledger.admit(&bench.outline, []).is_ok(), what.starts_with("host"));
        // What was decided before stays decided.
        let state = bench.ledger.state().unwrap();
        let before = |index| state.revoked_before(index, &bench.outline, [host(0)]);
        assert_eq!((before(decided), before(entry)), (None, None));
        assert_eq!(before(entry + 1), Some(revocation));
        assert_eq!(
            bench
                .ledger
                .find_decided(&bench.outline.ring_digest(), &crate::sample::digest(7), 1)
                .unwrap(),
            Some(decided)
        );
    }
}

#[test]
fn what_an_owner_has_recorded_is_what_he_asked_for() {
    let mut bench = Fixture::new(1);
    let version = (bench.outline.ring_id(), bench.outline.ring_digest());
    let (ring_id, digest) = version;
    let (owner, reason) = (by_owner(0), || "lost".to_owned());
    bench.allowed(&bench.alarm(0, Some(1)), &by_host(0));
    let lift = bench.lift(0, &[1]);
    let node = SecretKey::<Node>::from_halves(&[51; 32], &[61; 32]).unwrap().public();
    let state = bench.ledger.state().unwrap();
    let set = state.next_validators(vec![owner_key(0).public()], vec![node]).unwrap();
    assert_eq!((set.epoch, set.origin.as_str()), (1, bench.ledger.key().origin()));
    let ledger = &mut bench.ledger;
    let due = [
        (
            ledger.lift_quarantine(version, host(0), vec![1], "replaced".into(), &owner).unwrap(),
            lift,
        ),
        (
            ledger.revoke_host(host(1), None, reason(), &owner).unwrap(),
            Event::HostRevoked { host: host(1), ring_id: None, reason: reason() },
        ),
        (ledger.set_validators(set.clone(), &owner).unwrap(), Event::ValidatorSet(set)),
        (
            ledger.rotate_owner(owner_key(0), owner_key(5)).unwrap(),
            Event::rotation(&owner_key(0).public(), owner_key(5)).unwrap(),
        ),
        (
            ledger.revoke_ring(ring_id, Some(digest), reason(), &by_owner(5)).unwrap(),
            Event::RingRevoked { ring_id, ring_digest: Some(digest), reason: reason() },
        ),
        (
            ledger.revoke_key(reason(), &by_owner(5)).unwrap(),
            Event::KeyRevoked { reason: reason() },
        ),
    ];
    for (entry, event) in due {
        assert_eq!(*bench.ledger.entry(entry).unwrap().event(), event);
    }
    // The next set follows this one; one of which a party would count twice is none.
    let state = bench.ledger.state().unwrap();
    let next = |nodes| state.next_validators(vec![owner_key(5).public()], nodes);
    assert_eq!(next(vec![node]).map(|set| set.epoch), Ok(2));
    let twice = next(vec![node, node]);
    assert!(matches!(twice, Err(QuorumError::UncountableNode { epoch: 2, .. })), "{twice:?}");
}

#[test]
fn a_copy_under_quarantine_is_refused_to_its_host_and_named_to_others() {
    let mut bench = Fixture::new(2);
    let finding = deepring::Finding::tampered(deepring::Section::Body, "changed");
    let findings = [finding.clone().in_block(1, Some("layer1")), finding];
    let version = (bench.outline.ring_id(), bench.outline.ring_digest());
    let indices = bench.ledger.record_findings(version, host(0), &findings, &by_host(0)).unwrap();
    assert_eq!(indices, [1, 2]);
    let Refusal::Quarantined(found) = bench.refusal(&bench.outline) else { panic!() };
    assert_eq!((found.host, found.block, found.entry), (host(0), 1, 1));
    assert_eq!(bench.ledger.admit(&bench.outline, [host(1)]).unwrap().quarantined, [found]);
    assert_eq!(bench.ledger.admit(&bench.outline, []).unwrap().quarantined, [found]);
    let by_itself = bench.ledger.record_repair(
        version,
        vec![1],
        "copy.ring".into(),
        Audit::none(),
        &by_host(0),
    );
    assert!(matches!(by_itself, Err(LedgerError::NoAuthority { .. })));
    bench.allowed(&bench.lift(0, &[1]), &by_owner(0));
    assert!(bench.ledger.admit(&bench.outline, [host(0)]).is_ok());
}

#[test]
fn a_decision_is_found_by_its_id_and_by_nothing_else() {
    let mut bench = Fixture::new(1);
    let decision = bench.ring.decide(3, None);
    let index = bench.ledger.record_decision(&decision, &bench.outline, &by_host(0)).unwrap();
    bench.ledger.record_decision(&decision, &bench.outline, &by_host(0)).unwrap();
    assert_eq!(bench.ledger.find_decision(&decision).unwrap(), Some(index));
    assert_eq!(
        bench
            .ledger
            .find_decided(&bench.outline.ring_digest(), &bench.outline.ring_digest(), 3)
            .unwrap(),
        None
    );
    assert_eq!(
        bench.ledger.find_decided(&bench.outline.ring_digest(), &digest(7), 3).unwrap(),
        None
    );
    let entry = bench.ledger.entry(index).unwrap();
    assert_eq!(*entry.author(), Author::Host(host(0)));
    let Event::Decisions { count: 3, .. } = entry.event() else { panic!("{entry:?}") };
}

/// A ledger that was rolled back is no ledger that says nothing.
#[test]
fn a_ledger_that_was_put_back_admits_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (place, kept) = (dir.path().join("ledger"), dir.path().join("kept"));
    let mut ledger = crate::sample::ledger_at(&place).unwrap();
    let outline = Sealed::new(0, 1).outline();
    ledger.register(&outline, &by_owner(0)).unwrap();
    drop(ledger);
    let database = place.join("ledger.redb");
    std::fs::copy(&database, &kept).unwrap();
    let mut ledger = Ledger::open(&place).unwrap();
    ledger.record(&Event::KeyRevoked { reason: "lost".into() }, &by_owner(0)).unwrap();
    drop(ledger);
    std::fs::copy(&kept, &database).unwrap();
    let opened = Ledger::open_read(&place, None).map_err(AdmitError::from);
    let asked = opened.and_then(|ledger| ledger.admit(&outline, []));
    let Err(AdmitError::Ledger(error)) = asked else { panic!("{asked:?}") };
    assert!(matches!(error, LedgerError::RolledBack { .. }), "{error}");
    assert_eq!(error.fault(), Fault::Stale);
}

#[test]
fn a_registration_by_another_key_than_the_outlines_is_refused() {
    let mut bench = Fixture::new(1);
    let other = Sealed::new(1, 1).outline();
    let error = bench.ledger.register(&other, &by_owner(0)).unwrap_err();
    assert!(matches!(error, LedgerError::NoAuthority { .. }), "{error}");
    assert_eq!(other.owner(), owner_key(1).public());
    let its = Event::RingRegistered { outline: its(&other) };
    bench.allowed(&its, &by_owner(1));
}
