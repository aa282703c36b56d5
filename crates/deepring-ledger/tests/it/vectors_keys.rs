//! Vectors of authority over keys: revocations of keys and hosts, validator sets, rotations.

use deepring::SecretKey;
use deepring::keys::{AuthorKey, Node};
use deepring_ledger::{Event, ValidatorSet};

use crate::vectors_entries::{host, owner, validators, with_node};
use crate::vectors_histories::{
    Said, behind, dealt, decided, decided_under, from_nothing, host_revoked, key_revoked, numbered,
    registered, revoked, set_of_stranger, stranger, upgraded,
};
use crate::vectors_ledger::{INTACT, Made, ORIGIN, OWNER, STRANGER, TAMPERED, owner_of};

fn rotated(new: u8, by: AuthorKey) -> Said {
    (Event::rotation(&owner_of(OWNER).public(), owner_of(new)).unwrap(), by)
}

/// A node of the sets.
fn node_key(n: u8) -> SecretKey<Node> {
    SecretKey::from_halves(&[n; 32], &[n + 1; 32]).unwrap()
}

fn set(epoch: u64, by: AuthorKey) -> Said {
    (validators(ORIGIN, epoch), by)
}

/// The reach of a revocation or a rotation, and its limits.
fn reaching(made: &mut Made) {
    let known = || vec![set(1, owner()), registered("plain.outline")];
    let mut all = known();
    all.extend([host_revoked(0, false, stranger()), decided_under(0, host(0))]);
    let defect = "nothing; the host is revoked for all rings of another owner";
    from_nothing(made, "decided_by_host_revoked_by_another", defect, &all);
    let mut all = known();
    all.extend([rotated(0xd1, owner()), (set(2, owner()).0, owner_of(0xd1).into())]);
    let defect = "nothing; the key that the set's owner rotated to brings the next";
    from_nothing(made, "set_after_rotation", defect, &all);
    behind(
        made,
        "decided_after_owner_revoked",
        "nothing; the owner's key is revoked, and no version of the ring",
        vec![key_revoked(owner()), decided(host(0))],
    );
    behind(
        made,
        "upgraded_from_revoked_version",
        "nothing; version 2 follows a revoked version",
        vec![revoked(true), upgraded("version_2_of_ring.outline")],
    );
}

/// Numbers that whoever had a key for a moment would use up.
fn far_ahead(made: &mut Made) {
    let known = || vec![registered("plain.outline"), host_revoked(0, true, owner())];
    for (name, defect, number, due) in [
        ("number_far_ahead", "the owner's second number is 2^20 + 2", (1 << 20) + 2, TAMPERED),
        ("number_as_far_as_it_may", "nothing; it is 2^20 + 1", (1 << 20) + 1, INTACT),
    ] {
        let bytes = numbered(&known(), |at, _| if at == 2 { number } else { at });
        made.add((name, "history"), defect, bytes, due);
    }
    let mut all = known();
    all.push(key_revoked(owner()));
    let bytes = numbered(&all, |at, _| if at == 3 { 1 } else { at });
    let defect = "nothing; a key revokes itself, whatever its numbers are";
    made.add(("key_revoked_behind_its_numbers", "history"), defect, bytes, INTACT);
}

/// The first validator set of a ledger that has rings.
fn first_sets(made: &mut Made) {
    let behind_ring = |said| vec![registered("plain.outline"), said];
    let defect = "nothing; the ring's owner brings it";
    from_nothing(made, "first_set_behind_ring", defect, &behind_ring(set(1, owner())));
    let defect = "by an owner of no ring";
    from_nothing(made, "first_set_by_owner_of_no_ring", defect, &behind_ring(set(1, stranger())));
    let Event::ValidatorSet(of_stranger) = set_of_stranger().0 else { return };
    let with = |owners: Vec<_>| Event::ValidatorSet(ValidatorSet { owners, ..of_stranger.clone() });
    let both = vec![owner_of(OWNER).public(), owner_of(STRANGER).public()];
    let third = owner_of(0xd1);
    let mut two_rings = vec![registered("plain.outline")];
    two_rings.push((with(both), owner()));
    let defect = "nothing; it names another owner, too";
    from_nothing(made, "first_set_with_another", defect, &two_rings);
    let left_out = with(vec![third.public(), owner_of(STRANGER).public()]);
    let defect = "it leaves out the ring's owner, who brings it";
    from_nothing(made, "first_set_without_its_author", defect, &behind_ring((left_out, owner())));
    let defect = "to an owner of the validator set";
    let all = [set(1, owner()), registered("plain.outline"), rotated(STRANGER, owner())];
    from_nothing(made, "rotated_to_owner_of_set", defect, &all);
}

pub(crate) fn add(made: &mut Made) {
    reaching(made);
    far_ahead(made);
    first_sets(made);
    behind(
        made,
        "key_revoked_twice",
        "a revoked key says that it is",
        vec![key_revoked(host(2)), key_revoked(host(2))],
    );
    behind(
        made,
        "host_revoked_by_stranger",
        "an owner without a ring revokes a host for all rings",
        vec![host_revoked(0, false, stranger())],
    );
    behind(
        made,
        "host_revoked_for_ring_of_another",
        "another owner revokes a host for the ring",
        vec![host_revoked(0, true, stranger())],
    );
    behind(
        made,
        "host_revoked_by_host",
        "a host revokes a host",
        vec![host_revoked(0, true, host(1))],
    );
    from_nothing(
        made,
        "host_revoked_by_set",
        "nothing; an owner of the validator set revokes a host",
        &[set(1, owner()), host_revoked(0, false, stranger())],
    );

    from_nothing(made, "first_set", "nothing; an owner of the set brings it", &[set(7, owner())]);
    from_nothing(
        made,
        "first_set_of_the_last_epoch",
        "the first set uses the epochs up",
        &[set(u64::MAX, owner())],
    );
    from_nothing(
        made,
        "second_set",
        "nothing; the next epoch",
        &[set(7, owner()), set(8, stranger())],
    );
    from_nothing(made, "set_of_same_epoch", "the same epoch", &[set(7, owner()), set(7, owner())]);
    from_nothing(
        made,
        "set_over_a_gap",
        "an epoch is left out",
        &[set(7, owner()), set(9, owner())],
    );
    from_nothing(
        made,
        "set_by_no_owner_of_it",
        "by an owner whom it does not name",
        &[(set_of_stranger().0, owner())],
    );
    from_nothing(
        made,
        "set_by_owner_of_the_next",
        "by an owner whom the set before does not name",
        &[set_of_stranger(), set(2, owner())],
    );
    from_nothing(
        made,
        "set_with_a_revoked_node",
        "a node that it names revoked its own key",
        &[set(1, owner()), key_revoked(node_key(0xa1).into()), set(2, owner())],
    );
    from_nothing(
        made,
        "node_revoked_in_the_set_that_stands",
        "nothing; the set stands until another one does",
        &[set(1, owner()), key_revoked(node_key(0xa1).into()), registered("plain.outline")],
    );
    from_nothing(made, "set_by_host", "by a host", &[set(1, host(0))]);
    from_nothing(
        made,
        "set_of_other_log",
        "of another log",
        &[(validators("example.org/other", 1), owner())],
    );
    let swap = |own: &mut [u8; 64], earlier: &[u8; 64]| {
        own[..32].copy_from_slice(&earlier[32..]);
        own[32..].copy_from_slice(&earlier[..32]);
    };
    type Edit<'a> = &'a dyn Fn(&mut [u8; 64], &[u8; 64]);
    let twice: [(&str, &str, Edit<'_>); 5] = [
        ("first_half", "the first half", &|own, earlier| own[..32].copy_from_slice(&earlier[..32])),
        ("second_half", "the second half", &|own, earlier| {
            own[32..].copy_from_slice(&earlier[32..]);
        }),
        ("first_as_second_half", "the second half as its first", &|own, earlier| {
            own[..32].copy_from_slice(&earlier[32..]);
        }),
        ("second_as_first_half", "the first half as its second", &|own, earlier| {
            own[32..].copy_from_slice(&earlier[..32]);
        }),
        ("exchanged_halves", "both halves, exchanged", &swap),
    ];
    for (name, shares, edit) in twice {
        let defect = format!("a node has {shares} of another one");
        let set = (with_node(ORIGIN, edit), owner());
        from_nothing(made, &format!("set_with_{name}"), &defect, &[set]);
    }
    let equal = with_node(ORIGIN, |own, _| own.copy_within(..32, 32));
    from_nothing(made, "set_with_equal_halves", "a node has one half twice", &[(equal, owner())]);

    behind(made, "rotation", "nothing; a new key signs", vec![rotated(STRANGER, owner())]);
    behind(
        made,
        "rotated_by_stranger",
        "the new key gives the old one over",
        vec![rotated(STRANGER, stranger())],
    );
    behind(made, "rotated_by_host", "a host rotates", vec![rotated(STRANGER, host(0))]);
    let unsigned =
        Event::OwnerRotated { new_owner: owner_of(STRANGER).public(), signature: [7; 64] };
    behind(made, "rotated_unsigned", "the new key did not sign", vec![(unsigned, owner())]);
    behind(made, "rotated_to_itself", "to the same key", vec![rotated(OWNER, owner())]);
    from_nothing(
        made,
        "rotated_by_unknown",
        "an owner without a ring rotates",
        &[rotated(STRANGER, owner())],
    );
    behind(
        made,
        "rotated_and_revoked",
        "nothing; the new key revokes the ring",
        vec![rotated(STRANGER, owner()), (revoked(false).0, stranger())],
    );
    behind(
        made,
        "rotated_and_said",
        "the old key revokes the ring",
        vec![rotated(STRANGER, owner()), revoked(false)],
    );
    behind(
        made,
        "rotated_and_key_revoked",
        "the old key revokes itself",
        vec![rotated(STRANGER, owner()), key_revoked(owner())],
    );
    behind(
        made,
        "rotated_and_revised",
        "nothing; the new key records a revision that the old one signed",
        vec![rotated(STRANGER, owner()), (dealt("revision_2.outline").0, stranger())],
    );
    behind(
        made,
        "rotated_and_upgraded",
        "the new key records a version that names the old one",
        vec![rotated(STRANGER, owner()), (upgraded("version_2_of_ring.outline").0, stranger())],
    );
}
