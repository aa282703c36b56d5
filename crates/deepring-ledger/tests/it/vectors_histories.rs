//! Vectors of authority: entries of a ledger from its first on, of which the last may say what it says, or may not.

use deepring::codec::Writer;
use deepring::keys::AuthorKey;
use deepring::{Digest, Host, PublicKey, RingId, SecretKey};
use deepring_ledger::{Binding, Entry, Event, ValidatorSet};

use crate::vectors_entries::{bound, host, outline, owner, signed, validators};
use crate::vectors_ledger::{
    HOSTS, INTACT, Made, ORIGIN, OWNER, STRANGER, TAMPERED, host_of, owner_of,
};

pub(crate) fn stranger() -> AuthorKey {
    owner_of(STRANGER).into()
}

pub(crate) fn public(n: usize) -> PublicKey<Host> {
    host_of(HOSTS[n]).public()
}

pub(crate) fn ring() -> (RingId, Digest) {
    let outline = outline("plain.outline").verify_consistent().unwrap();
    (outline.ring_id(), outline.ring_digest())
}

pub(crate) type Said = (Event, AuthorKey);

pub(crate) fn registered(name: &str) -> Said {
    (Event::RingRegistered { outline: outline(name) }, owner())
}

pub(crate) fn dealt(name: &str) -> Said {
    (Event::Deal { outline: outline(name) }, owner())
}

pub(crate) fn upgraded(name: &str) -> Said {
    (Event::RingUpgraded { outline: outline(name) }, owner())
}

pub(crate) fn revoked(version: bool) -> Said {
    let (ring_id, ring_digest) = ring();
    let ring_digest = version.then_some(ring_digest);
    (Event::RingRevoked { ring_id, ring_digest, reason: "poisoned".into() }, owner())
}

pub(crate) fn decided(by: AuthorKey) -> Said {
    decided_under(2, by)
}

/// Under the deal of this number: of the ring in two copies 2, of no deal 0.
pub(crate) fn decided_under(dealt: u32, by: AuthorKey) -> Said {
    let (_, ring_digest) = ring();
    (Event::Decisions { ring_digest, decision_id: Digest([3; 32]), count: 2, dealt }, by)
}

pub(crate) fn key_revoked(by: AuthorKey) -> Said {
    (Event::KeyRevoked { reason: "lost".into() }, by)
}

pub(crate) fn host_revoked(n: usize, of_ring: bool, by: AuthorKey) -> Said {
    let ring_id = of_ring.then_some(ring().0);
    (Event::HostRevoked { host: public(n), ring_id, reason: "left".into() }, by)
}

pub(crate) fn set_of_stranger() -> Said {
    let event = validators(ORIGIN, 1);
    let Event::ValidatorSet(set) = event else { return (event, stranger()) };
    let owners = vec![owner_of(STRANGER).public()];
    (Event::ValidatorSet(ValidatorSet { owners, ..set }), stranger())
}

/// The number of each repair among its author's entries.
pub(crate) const REPAIR_NUMBER: u64 = 1000;

/// The entries' bytes, as a list.
fn history(said: &[Said]) -> Vec<u8> {
    numbered(said, |at, event| match event {
        // Repairs have one number, which countersignatures are over.
        Event::Repair { .. } => REPAIR_NUMBER,
        _ => at,
    })
}

/// The same with other numbers, each of its place and event.
pub(crate) fn numbered(said: &[Said], number: impl Fn(u64, &Event) -> u64) -> Vec<u8> {
    let mut w = Writer::new();
    w.count(said.len());
    for (at, (event, author)) in (1..).zip(said) {
        let number = number(at, event);
        let binding = Binding::new(ORIGIN, number);
        let entry = Entry::sign(binding, at, event, author).unwrap();
        w.bytes(entry.as_bytes());
    }
    w.finish()
}

/// Behind a ring that was registered and then dealt in two copies.
pub(crate) fn behind(made: &mut Made, name: &str, defect: &str, more: Vec<Said>) {
    let mut all = vec![registered("plain.outline"), dealt("dealt_two.outline")];
    all.extend(more);
    from_nothing(made, name, defect, &all);
}

pub(crate) fn from_nothing(made: &mut Made, name: &str, defect: &str, all: &[Said]) {
    let due = if defect.starts_with("nothing") { INTACT } else { TAMPERED };
    made.add((name, "history"), defect, history(all), due);
}

fn rings(made: &mut Made) {
    let plain = || registered("plain.outline");
    let by = |said: Said, author: AuthorKey| (said.0, author);
    let owner_as_host: SecretKey<Host> = host_of(OWNER);
    from_nothing(made, "no_entry", "nothing; no entry", &[]);
    from_nothing(made, "registration", "nothing; the owner registers a ring", &[plain()]);
    from_nothing(
        made,
        "registered_by_stranger",
        "another owner registers it",
        &[by(plain(), stranger())],
    );
    from_nothing(made, "registered_by_host", "a host registers it", &[by(plain(), host(0))]);
    from_nothing(
        made,
        "registered_by_owner_as_host",
        "the owner's key signs in the role of a host",
        &[by(plain(), owner_as_host.into())],
    );
    from_nothing(
        made,
        "registered_unsigned",
        "the owner did not sign the outline",
        &[registered("bit_flipped.outline")],
    );
    from_nothing(made, "registered_twice", "a ring is registered twice", &[plain(), plain()]);
    from_nothing(
        made,
        "registered_outside_set",
        "the validator set does not name the owner",
        &[set_of_stranger(), plain()],
    );
    from_nothing(
        made,
        "deal_of_unknown_ring",
        "a deal of a ring that is not registered",
        &[dealt("dealt_two.outline")],
    );
    behind(made, "dealt", "nothing; a deal of a later revision", vec![]);
    behind(
        made,
        "dealt_by_stranger",
        "another owner deals",
        vec![by(dealt("revision_2.outline"), stranger())],
    );
    behind(made, "dealt_by_host", "a host deals", vec![by(dealt("revision_2.outline"), host(0))]);
    behind(
        made,
        "dealt_in_same_revision",
        "a deal of the same revision",
        vec![dealt("dealt_three.outline")],
    );
    behind(
        made,
        "revised",
        "nothing; a later revision without a deal",
        vec![dealt("revision_2.outline")],
    );
    behind(
        made,
        "revised_otherwise",
        "a later revision of other content",
        vec![dealt("revision_2_of_other_content.outline")],
    );
    behind(
        made,
        "upgrade",
        "nothing; version 2 follows version 1",
        vec![upgraded("version_2_of_ring.outline")],
    );
    let second = || upgraded("version_2_of_ring.outline");
    behind(made, "upgraded_by_stranger", "another owner upgrades", vec![by(second(), stranger())]);
    behind(made, "upgraded_to_same_version", "version 2 follows itself", vec![second(), second()]);
    from_nothing(
        made,
        "registered_in_second_version",
        "version 2 of a ring that is registered",
        &[plain(), registered("version_2_of_ring.outline")],
    );
    behind(
        made,
        "upgraded_to_version_1",
        "version 1 follows itself, of another digest",
        vec![upgraded("version_1_again.outline")],
    );
    behind(
        made,
        "upgraded_over_a_gap",
        "version 3 names a predecessor that is not registered",
        vec![upgraded("version_3_of_ring.outline")],
    );
    behind(
        made,
        "upgraded_under_same_digest",
        "version 2 has the digest of version 1",
        vec![upgraded("version_2_of_same_digest.outline")],
    );
    behind(
        made,
        "upgraded_to_weights",
        "version 2 holds weights, and version 1 a network",
        vec![upgraded("version_2_of_weights.outline")],
    );
    from_nothing(
        made,
        "upgrade_of_unknown_ring",
        "an upgrade of a ring that is not registered",
        &[second()],
    );
    behind(
        made,
        "upgraded_revoked",
        "an upgrade of a revoked ring",
        vec![revoked(false), second()],
    );
    behind(made, "ring_revoked", "nothing; the owner revokes a ring", vec![revoked(false)]);
    behind(
        made,
        "ring_revoked_twice",
        "nothing; of what is revoked, revocations alone are said",
        vec![revoked(false), revoked(true)],
    );
    behind(
        made,
        "ring_revoked_by_stranger",
        "another owner revokes it",
        vec![by(revoked(false), stranger())],
    );
    behind(made, "ring_revoked_by_host", "a host revokes it", vec![by(revoked(false), host(0))]);
    let (ring_id, _) = ring();
    let unknown =
        Event::RingRevoked { ring_id, ring_digest: Some(Digest([9; 32])), reason: String::new() };
    behind(
        made,
        "version_revoked_unknown",
        "of a version that is not registered",
        vec![(unknown, owner())],
    );
    behind(
        made,
        "revised_revoked",
        "a later revision of a revoked version",
        vec![revoked(true), dealt("revision_2.outline")],
    );
}

fn decisions(made: &mut Made) {
    behind(made, "decided", "nothing; by a host of Genesis", vec![decided(host(0))]);
    behind(
        made,
        "decided_after_upgrade",
        "nothing; under version 1, and there is a second",
        vec![upgraded("version_2_of_ring.outline"), decided(host(1))],
    );
    behind(
        made,
        "decided_by_no_host_of_genesis",
        "by host C, which is none of Genesis",
        vec![decided(host(2))],
    );
    behind(made, "decided_by_owner", "by the owner", vec![decided(owner())]);
    from_nothing(
        made,
        "decided_unregistered",
        "under a ring that is not registered",
        &[decided(host(0))],
    );
    behind(
        made,
        "decided_of_revoked",
        "under a revoked version",
        vec![revoked(true), decided(host(0))],
    );
    behind(
        made,
        "decided_by_revoked_key",
        "by a key that revoked itself",
        vec![key_revoked(host(0)), decided(host(0))],
    );
    behind(
        made,
        "decided_beside_revoked_key",
        "nothing; another host's key is revoked",
        vec![key_revoked(host(0)), decided(host(1))],
    );
    behind(
        made,
        "decided_by_revoked_host",
        "by a host that is revoked for the ring",
        vec![host_revoked(0, true, owner()), decided(host(0))],
    );
    behind(
        made,
        "decided_by_host_revoked_everywhere",
        "by a host that is revoked for all rings",
        vec![host_revoked(0, false, owner()), decided(host(0))],
    );
}

pub(crate) fn add(made: &mut Made) {
    rings(made);
    decisions(made);
    let cut = history(&[registered("plain.outline")]);
    made.add(("entry_cut", "history"), "the last byte is missing", &cut[..cut.len() - 1], TAMPERED);
    let (event, author) = registered("plain.outline");
    let registration = signed(5, &event, &author);
    let listed = |entries: &[Entry]| {
        let mut w = Writer::new();
        w.count(entries.len());
        entries.iter().for_each(|entry| _ = w.bytes(entry.as_bytes()));
        w.finish()
    };
    let lost = Event::HostRevoked { host: public(2), ring_id: None, reason: "left".into() };
    let all = [
        ("number_after_gap", "nothing; a number is left out", signed(7, &lost, &author), INTACT),
        ("number_twice", "the number of the entry before", signed(5, &lost, &author), TAMPERED),
        (
            "number_before",
            "a lower number than the entry before",
            signed(4, &lost, &author),
            TAMPERED,
        ),
        (
            "for_other_log",
            "signed for another log",
            bound("example.org/other", 6, &lost, &author),
            TAMPERED,
        ),
    ];
    for (name, defect, entry, due) in all {
        made.add((name, "history"), defect, listed(&[registration.clone(), entry]), due);
    }
    let (event, by) = decided_under(0, host(0));
    let said = signed(9, &event, &by);
    let twice = listed(&[registration, said.clone(), said]);
    made.add(("decided_twice", "history"), "nothing; decisions said again", twice, INTACT);
    let (event, by) = decided_under(0, host(0));
    let elsewhere = bound("example.org/other", 9, &event, &by);
    let (event, author) = registered("plain.outline");
    let bytes = listed(&[signed(5, &event, &author), elsewhere]);
    let defect = "decisions that were signed for another log";
    made.add(("decided_for_other_log", "history"), defect, bytes, TAMPERED);
    behind(made, "decided_under_no_deal", "under no deal", vec![decided_under(0, host(0))]);
    behind(made, "decided_under_later_deal", "under deal 3", vec![decided_under(3, host(0))]);
    let mut bytes = history(&[registered("plain.outline")]);
    *bytes.last_mut().unwrap() ^= 1;
    made.add(("entry_unsigned", "history"), "one bit of a signature", bytes, TAMPERED);
}
