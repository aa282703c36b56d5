//! Who may say what: each entry with authority, and each refusal.

use deepring::codec::DecodeError;
use deepring::keys::{Author, AuthorKey, Node};
use deepring::outline::{AuthenticOutline, Outline};
use deepring::{Digest, PublicKey, SecretKey};
use deepring_ledger::entry::{Audit, EntryError};
use deepring_ledger::state::NoAuthority;
use deepring_ledger::{Binding, Entry, Event, Ledger, LedgerError, ValidatorSet};
use tempfile::TempDir;

use crate::rings::{Sealed, host, host_key, owner_key};
use crate::sample::{ORIGIN, alarm_about, by_host, digest, registration_of};
use crate::vectors_entries::most_validators;

pub(crate) struct Fixture {
    _dir: TempDir,
    pub(crate) ring: Sealed,
    pub(crate) outline: AuthenticOutline,
    pub(crate) ledger: Ledger,
}

pub(crate) fn by_owner(n: u8) -> AuthorKey {
    owner_key(n).into()
}

pub(crate) fn its(outline: &AuthenticOutline) -> Box<Outline> {
    Box::new(outline.as_outline().clone())
}

impl Fixture {
    /// A ledger in which a ring of owner 0 in as many copies is registered.
    pub(crate) fn new(copies: usize) -> Self {
        Self::named(ORIGIN, copies)
    }

    fn named(origin: &str, copies: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut ledger = crate::sample::ledger_named(origin, dir.path()).unwrap();
        let ring = Sealed::new(0, copies);
        let outline = ring.outline();
        ledger.register(&outline, &by_owner(0)).unwrap();
        Self { _dir: dir, ring, outline, ledger }
    }

    pub(crate) fn allowed(&mut self, event: &Event, author: &AuthorKey) -> u64 {
        self.ledger.record(event, author).unwrap()
    }

    /// The refusal of an event, of which nothing is written.
    pub(crate) fn refused(&mut self, event: &Event, author: &AuthorKey) -> NoAuthority {
        let before = self.ledger.checkpoint().clone();
        let error = self.ledger.record(event, author).unwrap_err();
        assert_eq!(*self.ledger.checkpoint(), before);
        let LedgerError::NoAuthority { position: 0, source } = error else { panic!("{error}") };
        source
    }

    pub(crate) fn decisions(&self) -> Event {
        decisions(&self.outline)
    }

    pub(crate) fn revoke_ring(&self, version: Option<Digest>) -> Event {
        let ring_id = self.outline.ring_id();
        Event::RingRevoked { ring_id, ring_digest: version, reason: "poisoned".into() }
    }

    pub(crate) fn alarm(&self, accused: u8, block: Option<u32>) -> Event {
        let ring = (self.outline.ring_id(), self.outline.ring_digest());
        alarm_about(ring, host(accused), block)
    }

    pub(crate) fn repair(&self, blocks: &[u32], audit: Audit) -> Event {
        Event::Repair {
            ring_id: self.outline.ring_id(),
            ring_digest: self.outline.ring_digest(),
            blocks: blocks.to_vec(),
            source: "copy.ring".into(),
            audit,
        }
    }

    pub(crate) fn lift(&self, of: u8, blocks: &[u32]) -> Event {
        Event::QuarantineLifted {
            ring_id: self.outline.ring_id(),
            ring_digest: self.outline.ring_digest(),
            host: host(of),
            blocks: blocks.to_vec(),
            reason: "replaced".into(),
        }
    }

    fn set(&self, epoch: u64, owners: &[u8]) -> Event {
        set_of(self.ledger.key().origin(), epoch, owners)
    }
}

fn set_of(origin: &str, epoch: u64, owners: &[u8]) -> Event {
    let node =
        |n: u8| SecretKey::<Node>::from_halves(&[n + 51; 32], &[n + 61; 32]).unwrap().public();
    Event::ValidatorSet(ValidatorSet {
        epoch,
        origin: origin.to_owned(),
        owners: owners.iter().map(|n| owner_key(*n).public()).collect(),
        nodes: (0..4).map(node).collect(),
    })
}

fn decisions(outline: &AuthenticOutline) -> Event {
    Event::Decisions {
        ring_digest: outline.ring_digest(),
        decision_id: digest(7),
        count: 1,
        dealt: outline.deal_number(),
    }
}

fn revoke_key() -> Event {
    Event::KeyRevoked { reason: "lost".into() }
}

fn revoke_host(n: u8, ring: Option<&AuthenticOutline>) -> Event {
    let ring_id = ring.map(AuthenticOutline::ring_id);
    Event::HostRevoked { host: host(n), ring_id, reason: "left".into() }
}

/// Entries of every kind, each with authority after those before it.
pub(crate) fn one_of_each_kind() -> Vec<Entry> {
    one_of_each_kind_in(ORIGIN)
}

/// The same for a ledger of another name.
pub(crate) fn one_of_each_kind_in(origin: &str) -> Vec<Entry> {
    let mut bench = Fixture::named(origin, 2);
    let evidence = Box::new(bench.ring.equivocation());
    let owner = by_owner(0);
    bench.ledger.register(&bench.ring.granted(9), &owner).unwrap();
    let outline = bench.outline.clone();
    let mut audit = Audit { nonce: [1; 32], digest: digest(2), countersignature: None };
    // The repair is host 0's second entry that counts.
    let bound = Binding::new(origin, 2);
    let by = audit.countersign(bound, &outline.ring_digest(), &[1], &host(0), &host_key(1));
    audit.countersignature = Some(by);
    let mut proof = bench.alarm(0, Some(1));
    if let Event::Alarm { evidence: place, .. } = &mut proof {
        *place = Some(evidence);
    }
    let events = [
        (bench.decisions(), by_host(0)),
        (bench.alarm(0, Some(1)), by_host(0)),
        (bench.repair(&[1], audit), by_host(0)),
        (proof, by_host(1)),
        (bench.lift(0, &[1, 2]), owner.clone()),
        (bench.set(1, &[0, 1]), owner.clone()),
        (Event::RingUpgraded { outline: its(&bench.ring.next(2).outline()) }, owner.clone()),
        (revoke_host(3, Some(&outline)), owner.clone()),
        (bench.revoke_ring(Some(outline.ring_digest())), owner.clone()),
        (Event::rotation(&owner_key(0).public(), owner_key(5)).unwrap(), owner),
        (revoke_key(), by_host(2)),
    ];
    for (event, author) in &events {
        bench.allowed(event, author);
    }
    assert!(bench.ledger.verify().unwrap().is_intact());
    bench.ledger.iter(0..u64::MAX).map(|row| row.unwrap().1).collect()
}

#[test]
fn every_kind_has_an_entry_with_authority() {
    let entries = one_of_each_kind();
    let kinds: std::collections::BTreeSet<u8> = entries.iter().map(|e| e.as_bytes()[1]).collect();
    assert_eq!(kinds, (1..=12).collect());
}

#[test]
fn a_ring_is_registered_by_the_owner_of_its_outline() {
    let mut bench = Fixture::new(1);
    let other = Sealed::new(1, 1).outline();
    let registered = Event::RingRegistered { outline: its(&other) };
    let refused = bench.refused(&registered, &by_host(0));
    assert!(matches!(refused, NoAuthority::WrongRole { needed: "owner", .. }), "{refused}");
    let refused = bench.refused(&registered, &by_owner(0));
    assert_eq!(refused, NoAuthority::OutlineOfAnother { named: owner_key(1).public() });
    bench.allowed(&registered, &by_owner(1));
    let refused = bench.refused(&registered, &by_owner(1));
    assert_eq!(refused, NoAuthority::AlreadyRegistered { ring: other.ring_id() });
}

#[test]
fn an_outline_that_was_changed_is_refused() {
    let mut bench = Fixture::new(1);
    let mut bytes = Sealed::new(1, 1).outline().as_outline().encode();
    bytes[40] ^= 1;
    let event = Event::RingRegistered { outline: Box::new(Outline::decode(&bytes).unwrap()) };
    let refused = bench.refused(&event, &by_owner(1));
    assert!(matches!(refused, NoAuthority::Outline(_)), "{refused}");
}

/// The first who registers an id has it; who seals under it later gets no foot in.
#[test]
fn nobody_else_registers_or_upgrades_a_ring_under_its_id() {
    let mut bench = Fixture::new(1);
    let ring = bench.outline.ring_id();
    let previous = Some((ring, bench.outline.ring_digest()));
    let squatter = Sealed::version(1, 1, 2, previous).outline();
    for event in [
        Event::RingRegistered { outline: its(&squatter) },
        Event::RingUpgraded { outline: its(&squatter) },
        Event::Deal { outline: its(&squatter) },
        bench.revoke_ring(None),
        revoke_host(0, Some(&squatter)),
        bench.lift(0, &[1]),
    ] {
        assert_eq!(bench.refused(&event, &by_owner(1)), NoAuthority::NotTheOwner { ring });
    }
}

#[test]
fn an_upgrade_is_newer_and_names_the_version_before() {
    let mut bench = Fixture::new(1);
    let second = bench.ring.next(1);
    let owner = by_owner(0);
    let up = |sealed: &Sealed| Event::RingUpgraded { outline: its(&sealed.outline()) };
    let same = Event::RingUpgraded { outline: its(&bench.outline) };
    assert_eq!(bench.refused(&same, &owner), NoAuthority::NotNewer { version: 1, newest: 1 });
    bench.allowed(&up(&second), &owner);
    let fork = bench.ring.next(1);
    assert_eq!(bench.refused(&up(&fork), &owner), NoAuthority::NotNewer { version: 2, newest: 2 });
    let previous = Some((bench.outline.ring_id(), bench.outline.ring_digest()));
    let skipping = Sealed::version(0, 1, 3, previous);
    let expected = second.outline().ring_digest();
    assert_eq!(bench.refused(&up(&skipping), &owner), NoAuthority::OtherPrevious { expected });
    let unknown = Sealed::new(0, 1);
    let refused = bench.refused(&up(&unknown), &owner);
    assert!(matches!(refused, NoAuthority::NotRegistered { .. }), "{refused}");
}

#[test]
fn a_deal_is_a_newer_revision_of_a_registered_version() {
    let mut bench = Fixture::new(1);
    let owner = by_owner(0);
    let granted = bench.ring.granted(9);
    let deal = |outline: &AuthenticOutline| Event::Deal { outline: its(outline) };
    let refused = bench.refused(&deal(&bench.outline.clone()), &owner);
    assert_eq!(refused, NoAuthority::NotNewerRevision { revision: 0, newest: 0 });
    bench.allowed(&deal(&granted), &owner);
    let refused = bench.refused(&deal(&granted), &owner);
    assert_eq!(refused, NoAuthority::NotNewerRevision { revision: 1, newest: 1 });
    let refused = bench.refused(&deal(&Sealed::new(0, 1).outline()), &owner);
    assert!(matches!(refused, NoAuthority::NotRegistered { .. }), "{refused}");
    // From now on the new host may decide.
    bench.allowed(&bench.decisions(), &by_host(9));
}

#[test]
fn decisions_are_recorded_by_a_host_of_genesis() {
    let mut bench = Fixture::new(2);
    let event = bench.decisions();
    for n in [2, 3, 9] {
        let expected = NoAuthority::NotAHost { host: host(n), block: Some(0) };
        assert_eq!(bench.refused(&event, &by_host(n)), expected);
    }
    let refused = bench.refused(&event, &by_owner(0));
    assert!(matches!(refused, NoAuthority::WrongRole { needed: "host", .. }), "{refused}");
    let unknown =
        Event::Decisions { ring_digest: digest(1), decision_id: digest(2), count: 1, dealt: 0 };
    let refused = bench.refused(&unknown, &by_host(0));
    assert!(matches!(refused, NoAuthority::NotRegistered { .. }), "{refused}");
    for n in [0, 1] {
        bench.allowed(&event, &by_host(n));
    }
}

#[test]
fn about_a_revoked_ring_nothing_is_said_but_revocations() {
    for whole in [true, false] {
        let mut bench = Fixture::new(1);
        let version = (!whole).then_some(bench.outline.ring_digest());
        bench.allowed(&bench.alarm(0, Some(1)), &by_host(0));
        let entry = bench.allowed(&bench.revoke_ring(version), &by_owner(0));
        let granted = bench.ring.granted(9);
        for (event, author) in [
            (bench.decisions(), by_host(0)),
            (bench.alarm(0, Some(1)), by_host(0)),
            (bench.repair(&[1], Audit::none()), by_host(0)),
            (Event::Deal { outline: its(&granted) }, by_owner(0)),
            (bench.lift(0, &[1]), by_owner(0)),
        ] {
            assert_eq!(bench.refused(&event, &author), NoAuthority::RingRevoked { entry });
        }
        let next = Event::RingUpgraded { outline: its(&bench.ring.next(1).outline()) };
        match whole {
            true => {
                assert_eq!(bench.refused(&next, &by_owner(0)), NoAuthority::RingRevoked { entry });
            }
            false => _ = bench.allowed(&next, &by_owner(0)),
        }
        bench.allowed(&bench.revoke_ring(None), &by_owner(0));
        bench.allowed(&revoke_host(0, Some(&granted)), &by_owner(0));
        let unknown = bench.revoke_ring(Some(digest(3)));
        let refused = bench.refused(&unknown, &by_owner(0));
        assert!(matches!(refused, NoAuthority::NotRegistered { .. }), "{refused}");
    }
}

#[test]
fn a_revoked_key_says_nothing_more() {
    let mut bench = Fixture::new(1);
    for (author, event) in [
        (by_host(0), bench.decisions()),
        (by_owner(0), bench.revoke_ring(None)),
        (SecretKey::<Node>::from_halves(&[1; 32], &[1; 32]).unwrap().into(), revoke_key()),
    ] {
        let entry = bench.allowed(&revoke_key(), &author);
        let expected = NoAuthority::AuthorRevoked { author: author.public(), entry };
        assert_eq!(bench.refused(&event, &author), expected);
        assert_eq!(bench.refused(&revoke_key(), &author), expected);
        assert_eq!(bench.ledger.state().unwrap().key_revoked(&author.public()), Some(entry));
    }
    // A key of the same bytes in another role is another key.
    let same = PublicKey::from_bytes(*host(0).as_bytes());
    assert_eq!(bench.ledger.state().unwrap().key_revoked(&Author::Owner(same)), None);
}

#[test]
fn an_owner_revokes_a_host_for_one_ring_or_for_all_of_his() {
    let mut bench = Fixture::new(1);
    let second = Sealed::new(0, 1).outline();
    let others = Sealed::new(1, 1).outline();
    bench.ledger.register(&second, &by_owner(0)).unwrap();
    bench.ledger.register(&others, &by_owner(1)).unwrap();
    let outline = bench.outline.clone();
    let entry = bench.allowed(&revoke_host(0, Some(&outline)), &by_owner(0));
    let revoked = NoAuthority::HostRevoked { entry };
    assert_eq!(bench.refused(&bench.decisions(), &by_host(0)), revoked);
    assert_eq!(bench.refused(&bench.alarm(0, Some(1)), &by_host(0)), revoked);
    bench.allowed(&decisions(&second), &by_host(0));
    let entry = bench.allowed(&revoke_host(0, None), &by_owner(0));
    let revoked = NoAuthority::HostRevoked { entry };
    assert_eq!(bench.refused(&decisions(&second), &by_host(0)), revoked);
    bench.allowed(&decisions(&others), &by_host(0));
    let refused = bench.refused(&revoke_host(0, None), &by_owner(2));
    assert_eq!(refused, NoAuthority::NoRing { owner: owner_key(2).public() });
    // A ring of his that comes later is meant too.
    let later = Sealed::new(0, 1).outline();
    bench.ledger.register(&later, &by_owner(0)).unwrap();
    assert_eq!(bench.refused(&decisions(&later), &by_host(0)), revoked);
}

#[test]
fn a_rotated_owner_goes_on_under_the_new_key_alone() {
    let mut bench = Fixture::new(1);
    let (old, new) = (by_owner(0), by_owner(5));
    let revoked = bench.allowed(&revoke_host(0, None), &old);
    let rotation = Event::rotation(&owner_key(0).public(), owner_key(5)).unwrap();
    let mut forged = rotation.clone();
    if let Event::OwnerRotated { signature, .. } = &mut forged {
        signature[0] ^= 1;
    }
    assert_eq!(bench.refused(&forged, &old), NoAuthority::RotationNotSigned);
    let of_another = Event::rotation(&owner_key(1).public(), owner_key(5)).unwrap();
    assert_eq!(bench.refused(&of_another, &old), NoAuthority::RotationNotSigned);
    let entry = bench.allowed(&rotation, &old);

    let owner = owner_key(0).public();
    for event in [bench.revoke_ring(None), revoke_key(), rotation] {
        assert_eq!(bench.refused(&event, &old), NoAuthority::RotatedAway { owner, entry });
    }
    let state = bench.ledger.state().unwrap();
    assert_eq!(state.owner_of(&bench.outline.ring_id()), Some(owner_key(5).public()));
    // What the old key said stays said.
    assert_eq!(state.host_revoked(&bench.outline.ring_id(), &host(0)), Some(revoked));
    // A grant keeps the key that the ring was sealed under; the present one speaks for it.
    let granted = bench.ring.granted(9);
    bench.allowed(&Event::Deal { outline: its(&granted) }, &new);
    let previous = Some((bench.outline.ring_id(), bench.outline.ring_digest()));
    let second = Sealed::version(5, 1, 2, previous);
    bench.allowed(&Event::RingUpgraded { outline: its(&second.outline()) }, &new);
    bench.allowed(&bench.revoke_ring(None), &new);
}

#[test]
fn a_key_that_is_known_takes_nothing_over() {
    let mut bench = Fixture::new(1);
    bench.ledger.register(&Sealed::new(1, 1).outline(), &by_owner(1)).unwrap();
    bench.allowed(&revoke_key(), &by_owner(3));
    let to = |n: u8| Event::rotation(&owner_key(0).public(), owner_key(n)).unwrap();
    for known in [0, 1, 3] {
        assert_eq!(bench.refused(&to(known), &by_owner(0)), NoAuthority::KeyInUse);
    }
    bench.allowed(&to(5), &by_owner(0));
    let back = Event::rotation(&owner_key(5).public(), owner_key(0)).unwrap();
    assert_eq!(bench.refused(&back, &by_owner(5)), NoAuthority::KeyInUse);
    let stranger = Event::rotation(&owner_key(8).public(), owner_key(9)).unwrap();
    let owner = owner_key(8).public();
    assert_eq!(bench.refused(&stranger, &by_owner(8)), NoAuthority::NoRing { owner });
}

#[test]
fn no_ledger_takes_a_set_in_which_one_party_counts_twice() {
    let mut bench = Fixture::new(1);
    let set = bench.set(1, &[0]);
    let Event::ValidatorSet(right) = &set else { panic!("no set") };
    let halves = |node: usize| right.nodes[node].as_bytes().split_at(32);
    let (one, other) = (halves(0), halves(1));
    for [first, second] in [
        [one.0, other.1],
        [other.0, one.1],
        [one.1, one.0],
        [other.0, one.0],
        [one.1, other.1],
        [other.0, other.0],
    ] {
        let mut set = right.clone();
        set.nodes[1] = PublicKey::from_bytes([first, second].concat().try_into().unwrap());
        set.nodes.sort_by_key(|node| *node.as_bytes());
        let refused = bench.refused(&Event::ValidatorSet(set), &by_owner(0));
        assert!(matches!(refused, NoAuthority::CountsTwice { .. }), "{refused}");
    }
    bench.allowed(&set, &by_owner(0));
}

#[test]
fn no_ledger_takes_a_set_that_names_a_node_that_revoked_its_own_key() {
    let mut bench = Fixture::new(1);
    let Event::ValidatorSet(right) = bench.set(1, &[0]) else { panic!("no set") };
    let lost = SecretKey::<Node>::from_halves(&[41; 32], &[42; 32]).unwrap();
    let with_lost = |epoch| {
        let mut set = ValidatorSet { epoch, ..right.clone() };
        set.nodes[1] = lost.public();
        set.nodes.sort_by_key(|node| *node.as_bytes());
        Event::ValidatorSet(set)
    };
    bench.allowed(&with_lost(1), &by_owner(0));
    let revoked = Event::KeyRevoked { reason: "lost".to_owned() };
    bench.allowed(&revoked, &lost.clone().into());
    let refused = bench.refused(&with_lost(2), &by_owner(0));
    assert!(matches!(refused, NoAuthority::NodeRevoked { .. }), "{refused}");
    bench.allowed(&Event::ValidatorSet(ValidatorSet { epoch: 2, ..right }), &by_owner(0));
}

#[test]
fn a_validator_set_follows_the_one_before_and_says_whose_rings_are_taken() {
    let mut bench = Fixture::new(1);
    let owner = |n: u8| owner_key(n).public();
    let refused = bench.refused(&bench.set(1, &[1]), &by_owner(0));
    assert_eq!(refused, NoAuthority::NotOfTheSet { owner: owner(0) });
    let elsewhere = set_of("example.com/other", 1, &[0]);
    let refused = bench.refused(&elsewhere, &by_owner(0));
    assert!(matches!(refused, NoAuthority::OtherOrigin { .. }), "{refused}");
    let refused = bench.refused(&bench.set(1, &[0]), &by_host(0));
    assert!(matches!(refused, NoAuthority::WrongRole { .. }), "{refused}");
    // Else no set could ever follow.
    let refused = bench.refused(&bench.set(1 << 32, &[0]), &by_owner(0));
    assert_eq!(refused, NoAuthority::FirstEpoch { found: 1 << 32, most: (1 << 32) - 1 });
    bench.allowed(&bench.set(7, &[0, 1]), &by_owner(0));

    let refused = bench.refused(&bench.set(9, &[0]), &by_owner(1));
    assert_eq!(refused, NoAuthority::OtherEpoch { found: 9, expected: 8 });
    let refused = bench.refused(&bench.set(8, &[2]), &by_owner(2));
    assert_eq!(refused, NoAuthority::NotOfTheSet { owner: owner(2) });
    let stranger = Event::RingRegistered { outline: its(&Sealed::new(2, 1).outline()) };
    let refused = bench.refused(&stranger, &by_owner(2));
    assert_eq!(refused, NoAuthority::NotAdmitted { owner: owner(2) });
    bench.allowed(&bench.set(8, &[1, 2]), &by_owner(1));
    bench.allowed(&stranger, &by_owner(2));
    // Who was taken out registers no newer version, and still revokes.
    let next = Event::RingUpgraded { outline: its(&bench.ring.next(1).outline()) };
    let refused = bench.refused(&next, &by_owner(0));
    assert_eq!(refused, NoAuthority::NotAdmitted { owner: owner(0) });
    bench.allowed(&bench.revoke_ring(None), &by_owner(0));
    assert_eq!(bench.ledger.state().unwrap().validators().unwrap().epoch, 8);
}

#[test]
fn a_batch_with_an_entry_without_authority_is_not_recorded_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = crate::sample::ledger_at(dir.path()).unwrap();
    let outline = Sealed::new(0, 1).outline();
    let registration = registration_of(&outline, &by_owner(0));
    let entry = |n| crate::sample::sign(1, &decisions(&outline), &by_host(n)).unwrap();
    let (good, bad) = (entry(0), entry(1));
    let batch = [registration.clone(), good.clone(), bad, good.clone()];
    let error = ledger.append(&batch).unwrap_err();
    assert!(matches!(error, LedgerError::NoAuthority { position: 2, .. }), "{error}");
    assert_eq!(error.fault(), deepring_ledger::Fault::Untrusted);
    assert!(ledger.is_empty());
    assert_eq!(ledger.state().unwrap().size(), 0);
    // What a batch says first holds for what it says after.
    assert_eq!(ledger.append(&[registration, good]).unwrap(), [0, 1]);
    assert_eq!(ledger.state().unwrap().size(), 2);
}

#[test]
fn an_entry_is_not_said_again_nor_in_another_log() {
    let mut bench = Fixture::new(1);
    let (alarm, lift) = (bench.alarm(0, Some(1)), bench.lift(0, &[1]));
    let alarmed = bench.allowed(&alarm, &by_host(0));
    let lifted = bench.allowed(&lift, &by_owner(0));
    let read = |bench: &Fixture, index| bench.ledger.entry(index).unwrap();
    // Whoever holds the folder, and no key, puts the host's old alarm after its lift, or the owner's lift after a new alarm.
    let again = |bench: &mut Fixture, index| {
        let entry = read(bench, index);
        let error = bench.ledger.append(&[entry]).unwrap_err();
        let LedgerError::NoAuthority { position: 0, source } = error else { panic!("{error}") };
        source
    };
    let refused = again(&mut bench, alarmed);
    assert_eq!(refused, NoAuthority::Repeated { sequence: 1, newest: 1 });
    bench.allowed(&alarm, &by_host(0));
    assert_eq!(again(&mut bench, lifted), NoAuthority::Repeated { sequence: 2, newest: 2 });
    let digest = bench.outline.ring_digest();
    assert_eq!(bench.ledger.state().unwrap().quarantined(&digest).count(), 1);

    // A drill on a ledger of another name.
    let dir = tempfile::tempdir().unwrap();
    let options = deepring_ledger::LedgerOptions::new().origin("example.com/drill");
    let mut drill = options.open_or_create(dir.path()).unwrap();
    drill.register(&bench.outline, &by_owner(0)).unwrap();
    let revoked = drill.record(&bench.revoke_ring(None), &by_owner(0)).unwrap();
    let entry = drill.entry(revoked).unwrap();
    let error = bench.ledger.append(&[entry]).unwrap_err();
    let is_of_another_log =
        matches!(error, LedgerError::NoAuthority { source: NoAuthority::OtherLog, .. });
    assert!(is_of_another_log, "{error}");
    // Decisions may be said twice, and say nothing new.
    let decided = bench.allowed(&bench.decisions(), &by_host(0));
    let entry = read(&bench, decided);
    bench.ledger.append(&[entry]).unwrap();
}

#[test]
fn evidence_has_its_effect_once() {
    let mut bench = Fixture::new(2);
    let mut proof = bench.alarm(0, Some(1));
    if let Event::Alarm { evidence, .. } = &mut proof {
        *evidence = Some(Box::new(bench.ring.equivocation()));
    }
    bench.allowed(&proof, &by_host(1));
    let digest = bench.outline.ring_digest();
    let quarantined = |bench: &Fixture| bench.ledger.state().unwrap().quarantined(&digest).count();
    assert_eq!(quarantined(&bench), 2);
    bench.allowed(&bench.lift(0, &[1, 2]), &by_owner(0));
    // Another host, and the host itself, tell the old story anew: it is kept, and quarantines nobody.
    for teller in [1, 0] {
        bench.allowed(&proof, &by_host(teller));
        assert_eq!(quarantined(&bench), 0);
    }
    assert_eq!(bench.ledger.state().unwrap().accusations(&digest).count(), 2);
}

#[test]
fn decisions_are_under_the_newest_deal_that_is_registered() {
    let mut bench = Fixture::new(1);
    let undealt = bench.decisions();
    bench.allowed(&undealt, &by_host(0));
    let dealt = bench.ring.dealt(2);
    bench.ledger.register(&dealt, &by_owner(0)).unwrap();
    let (of_old, newest) = (0, dealt.deal_number());
    let refused = bench.refused(&undealt, &by_host(0));
    assert_eq!(refused, NoAuthority::OtherDeal { dealt: of_old, newest });
    bench.allowed(&decisions(&dealt), &by_host(0));
    // Nor is the old file let in, and the new one is.
    use deepring_ledger::policy::{AdmitError, Refusal};
    let admitted = bench.ledger.admit(&bench.outline, []);
    let refused = Refusal::OlderDeal { dealt: of_old, known: newest };
    assert!(matches!(admitted, Err(AdmitError::Refused(found)) if found == refused));
    bench.ledger.admit(&dealt, []).unwrap();
}

/// Whoever had a key for a moment cannot use its numbers up.
#[test]
fn a_key_revokes_itself_whatever_numbers_were_used_in_its_name() {
    let mut bench = Fixture::new(1);
    let owner = by_owner(0);
    let revoke = |n: u8| revoke_host(n, None);
    let at = |number: u64, event: &Event| {
        Entry::sign(Binding::new(ORIGIN, number), 1, event, &by_owner(0)).unwrap()
    };
    let source = |error| match error {
        LedgerError::NoAuthority { position: 0, source } => source,
        other => panic!("{other}"),
    };
    // The registration was number 1.
    for number in [u64::MAX, (1 << 20) + 2] {
        let refused = source(bench.ledger.append(&[at(number, &revoke(2))]).unwrap_err());
        assert_eq!(refused, NoAuthority::TooFarAhead { sequence: number, newest: 1 });
    }
    bench.ledger.append(&[at((1 << 20) + 1, &revoke(2))]).unwrap();
    // What comes next is taken, and the key's own revocation is whatever its number.
    bench.allowed(&revoke(3), &owner);
    bench.ledger.append(&[at(1, &revoke_key())]).unwrap();
    let refused = bench.refused(&revoke(1), &owner);
    assert!(matches!(refused, NoAuthority::AuthorRevoked { .. }), "{refused}");
}

#[test]
fn the_first_validator_set_of_a_ledger_with_rings_is_their_owners() {
    let mut bench = Fixture::new(1);
    let other = Sealed::new(1, 1).outline();
    bench.ledger.register(&other, &by_owner(1)).unwrap();
    // A stranger, who names everybody and himself; and one of the owners, who leaves the other out.
    let by_stranger = bench.refused(&bench.set(1, &[0, 1, 7]), &by_owner(7));
    assert_eq!(by_stranger, NoAuthority::NoRing { owner: owner_key(7).public() });
    let left_out = bench.refused(&bench.set(1, &[0, 7]), &by_owner(0));
    assert_eq!(left_out, NoAuthority::LeftOut { owner: owner_key(1).public() });
    bench.allowed(&bench.set(1, &[0, 1, 7]), &by_owner(0));
    // Nobody rotates to a key that is another owner's of the set.
    let taken = Event::rotation(&owner_key(0).public(), owner_key(7)).unwrap();
    assert_eq!(bench.refused(&taken, &by_owner(0)), NoAuthority::KeyInUse);
}

/// Enough cosignatures of a larger one fit on no note.
#[test]
fn a_set_of_more_nodes_than_can_be_counted_is_not_made() {
    let Event::ValidatorSet(set) = most_validators() else { panic!("no set") };
    let sign = |set: &ValidatorSet| {
        let event = Event::ValidatorSet(set.clone());
        Entry::sign(Binding::new(&set.origin, 1), 1, &event, &owner_key(0).into())
    };
    sign(&set).unwrap();
    let mut more = set.clone();
    more.nodes.push(PublicKey::from_bytes([0xff; 64]));
    let e = sign(&more).unwrap_err();
    let EntryError::Malformed(e) = e else { panic!("{e}") };
    assert_eq!(e, DecodeError::TooLong { field: "nodes", found: 101, limit: 100 });
    // One that is named twice is one.
    let mut again = set.clone();
    again.nodes.push(set.nodes[0]);
    sign(&again).unwrap();
}
