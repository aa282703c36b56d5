//! Vectors of entries: each kind as its author signs it, and what no writer would have written.

use deepring::keys::{AuthorKey, Node};
use deepring::outline::Outline;
use deepring::replication::Evidence;
use deepring::{Digest, PublicKey, RingId, SecretKey};
use deepring_ledger::entry::Audit;
use deepring_ledger::{Binding, Entry, Event, ValidatorSet};

use crate::vectors_ledger::{
    HOSTS, INTACT, Made, ORIGIN, OWNER, STRANGER, TAMPERED, host_of, owner_of, record,
};

pub(crate) fn owner() -> AuthorKey {
    owner_of(OWNER).into()
}

pub(crate) fn host(n: usize) -> AuthorKey {
    host_of(HOSTS[n]).into()
}

pub(crate) fn outline(name: &str) -> Box<Outline> {
    Box::new(Outline::decode(&record(name)).unwrap())
}

fn ring() -> (RingId, Digest) {
    let outline = outline("dealt_two.outline").verify_consistent().unwrap();
    (outline.ring_id(), outline.ring_digest())
}

pub(crate) fn signed(at: u64, event: &Event, author: &AuthorKey) -> Entry {
    bound(ORIGIN, at, event, author)
}

/// Signed for a log of this name, with the time for its number.
pub(crate) fn bound(origin: &str, at: u64, event: &Event, author: &AuthorKey) -> Entry {
    Entry::sign(Binding::new(origin, at), at, event, author).unwrap()
}

pub(crate) fn registered(name: &str) -> Entry {
    signed(1, &Event::RingRegistered { outline: outline(name) }, &owner())
}

/// Nodes, as many as are asked for, none of which shares a half with another.
pub(crate) fn many_nodes(count: u8) -> Vec<SecretKey<Node>> {
    let half = |n, which| {
        let mut half = [n; 32];
        half[0] = which;
        half
    };
    (0..count).map(|n| SecretKey::from_halves(&half(n, 1), &half(n, 2)).unwrap()).collect()
}

/// The largest set that there can be.
pub(crate) fn most_validators() -> Event {
    let Event::ValidatorSet(four) = validators(ORIGIN, 1) else { panic!("no set") };
    let nodes = many_nodes(100).iter().map(SecretKey::public).collect();
    Event::ValidatorSet(ValidatorSet { nodes, ..four })
}

pub(crate) fn validators(origin: &str, epoch: u64) -> Event {
    let node = |n: u8| SecretKey::<Node>::from_halves(&[n; 32], &[n + 1; 32]).unwrap().public();
    Event::ValidatorSet(ValidatorSet {
        epoch,
        origin: origin.to_owned(),
        owners: vec![owner_of(OWNER).public(), owner_of(STRANGER).public()],
        nodes: [0x91, 0xa1, 0xb1, 0xc1].map(node).to_vec(),
    })
}

/// The first set, with a fourth node that is made of its own key and the third's.
pub(crate) fn with_node(origin: &str, edit: impl Fn(&mut [u8; 64], &[u8; 64])) -> Event {
    let Event::ValidatorSet(mut set) = validators(origin, 1) else { panic!("no set") };
    let (mut fourth, third) = (*set.nodes[3].as_bytes(), *set.nodes[2].as_bytes());
    edit(&mut fourth, &third);
    set.nodes[3] = PublicKey::from_bytes(fourth);
    set.nodes.sort_by_key(|node| *node.as_bytes());
    Event::ValidatorSet(set)
}

/// When the intact ones are said, and their number.
const AT: u64 = 1_700_000_000_000;

fn revocation() -> Event {
    let (ring_id, ring_digest) = ring();
    Event::RingRevoked { ring_id, ring_digest: Some(ring_digest), reason: "poisoned".into() }
}

fn alarm() -> Event {
    let (ring_id, ring_digest) = ring();
    Event::Alarm {
        ring_id,
        ring_digest,
        accused: host_of(HOSTS[0]).public(),
        block: Some(1),
        name: "conv1".into(),
        part: "body".into(),
        tensor: Some("conv1.weight".into()),
        bytes: Some([64, 128]),
        reason: "chunk does not open".into(),
        evidence: None,
    }
}

/// About host B, whom the records prove to have signed two receipts.
fn alarm_with_evidence() -> Event {
    let (ring_id, ring_digest) = ring();
    Event::Alarm {
        ring_id,
        ring_digest,
        accused: host_of(HOSTS[1]).public(),
        block: None,
        name: String::new(),
        part: "file".into(),
        tensor: None,
        bytes: None,
        reason: "two receipts".into(),
        evidence: Some(Box::new(Evidence::from_bytes(&record("perjury.evidence")).unwrap())),
    }
}

fn repair(countersigned: bool) -> Event {
    let (ring_id, ring_digest) = ring();
    let mut audit = Audit { nonce: [1; 32], digest: Digest([2; 32]), countersignature: None };
    let (blocks, key) = (vec![0, 1], host_of(HOSTS[1]));
    if countersigned {
        let repaired = host_of(HOSTS[0]).public();
        let binding = Binding::new(ORIGIN, AT);
        audit.countersignature =
            Some(audit.countersign(binding, &ring_digest, &blocks, &repaired, &key));
    }
    Event::Repair { ring_id, ring_digest, blocks, source: "copy.ring".into(), audit }
}

fn intact_ones(made: &mut Made) {
    let (ring_id, ring_digest) = ring();
    let decisions =
        Event::Decisions { ring_digest, decision_id: Digest([3; 32]), count: 2, dealt: 2 };
    let of_host = |ring_id| Event::HostRevoked {
        host: host_of(HOSTS[2]).public(),
        ring_id,
        reason: "left".into(),
    };
    let lift = Event::QuarantineLifted {
        ring_id,
        ring_digest,
        host: host_of(HOSTS[0]).public(),
        blocks: vec![1, 2],
        reason: "replaced".into(),
    };
    let node: SecretKey<Node> = SecretKey::from_halves(&[0x91; 32], &[0x92; 32]).unwrap();
    let lost = Event::KeyRevoked { reason: "lost".into() };
    let all = Event::RingRevoked { ring_id, ring_digest: None, reason: String::new() };
    let upgraded = Event::RingUpgraded { outline: outline("version_2_of_ring.outline") };
    let registered = Event::RingRegistered { outline: outline("plain.outline") };
    let rotated = Event::rotation(&owner_of(OWNER).public(), owner_of(STRANGER)).unwrap();
    let cases: [(&str, &str, Event, AuthorKey); 19] = [
        ("registered", "a ring registered", registered, owner()),
        ("upgraded", "a ring upgraded", upgraded, owner()),
        ("revoked", "a version revoked", revocation(), owner()),
        ("revoked_all", "all versions revoked, without a reason", all, owner()),
        ("decisions", "decisions", decisions, host(0)),
        ("alarm", "an alarm", alarm(), host(0)),
        ("alarm_with_evidence", "an alarm with evidence", alarm_with_evidence(), host(0)),
        ("repair", "a repair", repair(false), host(0)),
        ("repair_countersigned", "a countersigned repair", repair(true), host(0)),
        ("key_revoked", "a host's key revoked", lost.clone(), host(2)),
        ("key_revoked_of_owner", "an owner's key revoked", lost.clone(), owner()),
        ("key_revoked_of_node", "a node's key revoked", lost, node.into()),
        ("dealt", "a deal", Event::Deal { outline: outline("dealt_two.outline") }, owner()),
        ("validators", "a validator set", validators(ORIGIN, 1), owner()),
        ("validators_most", "a validator set of 100 nodes", most_validators(), owner()),
        ("host_revoked", "a host revoked for all rings", of_host(None), owner()),
        ("host_revoked_of_ring", "a host revoked for a ring", of_host(Some(ring_id)), owner()),
        ("rotated", "an owner's key rotated", rotated, owner()),
        ("lifted", "a quarantine lifted", lift, owner()),
    ];
    for (name, defect, event, author) in cases {
        let entry = signed(AT, &event, &author);
        made.add((name, "entry"), &format!("nothing; {defect}"), entry.as_bytes(), INTACT);
    }
}

fn sign(entry: &mut Vec<u8>, author: &AuthorKey) {
    let signature = author.sign_entry(entry).unwrap();
    entry.extend(signature);
}

/// An entry after an edit, which its author signs anew.
fn edited(event: &Event, author: &AuthorKey, edit: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = signed(1, event, author).as_bytes().to_vec();
    bytes.truncate(bytes.len() - 64);
    edit(&mut bytes);
    sign(&mut bytes, author);
    bytes
}

/// Where the fields of a kind begin, and what stands before them.
const FIELDS: usize = 115;
const SEQUENCE: usize = 42;
const ROLE: usize = 50;
const AUTHOR: usize = 51;

fn set(at: usize, to: u8) -> impl FnOnce(&mut Vec<u8>) {
    move |bytes| bytes[at] = to
}

fn malformed(made: &mut Made) {
    let (lost, o) = (Event::KeyRevoked { reason: "lost".into() }, owner());
    let reason = FIELDS..FIELDS + 2;
    let long = |n: u16| {
        let reason = reason.clone();
        move |b: &mut Vec<u8>| {
            b.truncate(reason.start);
            b.extend(n.to_le_bytes());
            b.extend(vec![b'x'; usize::from(n)]);
        }
    };
    let add = |made: &mut Made, name: &str, defect: &str, bytes: Vec<u8>| {
        made.add((name, "entry"), defect, bytes, TAMPERED);
    };
    add(made, "version_1", "version 1", edited(&lost, &o, set(0, 1)));
    add(made, "version_2", "version 2", edited(&lost, &o, set(0, 2)));
    add(made, "version_4", "version 4", edited(&lost, &o, set(0, 4)));
    add(made, "kind_0", "kind 0", edited(&lost, &o, set(1, 0)));
    add(made, "kind_13", "kind 13", edited(&lost, &o, set(1, 13)));
    let no_number = edited(&lost, &o, set(SEQUENCE, 0));
    add(made, "number_0", "a revocation of number 0", no_number);
    let (_, ring_digest) = ring();
    let decisions =
        Event::Decisions { ring_digest, decision_id: Digest([3; 32]), count: 2, dealt: 2 };
    let counted = edited(&decisions, &host(0), set(SEQUENCE, 1));
    add(made, "decisions_with_number", "decisions of number 1", counted);
    add(made, "role_3", "an author of role 3", edited(&lost, &o, set(ROLE, 3)));
    add(
        made,
        "reason_not_utf8",
        "a reason that is not UTF-8",
        edited(&lost, &o, set(FIELDS + 2, 0xff)),
    );
    add(made, "reason_too_long", "a reason of 4097 bytes", edited(&lost, &o, long(4097)));
    let longest = edited(&lost, &o, long(4096));
    made.add(("reason_longest", "entry"), "nothing; a reason of 4096 bytes", longest, INTACT);
    add(made, "field_too_many", "a byte before the signature", edited(&lost, &o, |b| b.push(0)));
    let honest = signed(1, &lost, &o).as_bytes().to_vec();
    let padded = [honest.as_slice(), &[0]].concat();
    add(made, "trailing_byte", "a byte after the signature", padded);
    add(made, "cut", "the last byte is missing", honest[..honest.len() - 1].to_vec());
    add(made, "empty", "no byte at all", Vec::new());

    let h = host(0);
    let blocks = FIELDS + 16 + 32;
    let swapped = |b: &mut Vec<u8>| b[blocks + 4..blocks + 12].rotate_left(4);
    add(made, "blocks_out_of_order", "blocks 1 and 0", edited(&repair(true), &h, swapped));
    let twice = |b: &mut Vec<u8>| b[blocks + 4] = 1;
    add(made, "block_twice", "block 1 twice", edited(&repair(true), &h, twice));
    let none = |b: &mut Vec<u8>| {
        b.drain(blocks + 4..blocks + 12);
        b[blocks] = 0;
    };
    add(made, "no_block", "a repair of no block", edited(&repair(true), &h, none));
    let many = |b: &mut Vec<u8>| b[blocks..blocks + 4].fill(0xff);
    add(made, "blocks_oversized", "2^32-1 blocks", edited(&repair(true), &h, many));
    let audit = blocks + 12 + 2 + b"copy.ring".len() + 64;
    add(made, "option_2", "a countersignature flag of 2", edited(&repair(true), &h, set(audit, 2)));
    let flag = FIELDS + 16;
    add(
        made,
        "option_without_value",
        "a digest's flag of 0 and a digest",
        edited(&revocation(), &o, set(flag, 0)),
    );

    let keys = FIELDS + 8 + 2 + ORIGIN.len();
    let swapped = |b: &mut Vec<u8>| b[keys + 4..keys + 132].rotate_left(64);
    let set_of = validators(ORIGIN, 1);
    add(made, "owners_out_of_order", "owners out of order", edited(&set_of, &o, swapped));
    let twice = |b: &mut Vec<u8>| b.copy_within(keys + 4..keys + 68, keys + 68);
    add(made, "owner_twice", "one owner twice", edited(&set_of, &o, twice));
    let none = |b: &mut Vec<u8>| {
        b.drain(keys + 4..keys + 132);
        b[keys] = 0;
    };
    add(made, "no_owner", "no owner", edited(&set_of, &o, none));
    let no_node = |b: &mut Vec<u8>| {
        b.truncate(keys + 132 + 4);
        b[keys + 132] = 0;
    };
    add(made, "no_node", "no node", edited(&set_of, &o, no_node));
    let swapped = |b: &mut Vec<u8>| b[keys + 136..keys + 264].rotate_left(64);
    add(made, "nodes_out_of_order", "nodes out of order", edited(&set_of, &o, swapped));
    let one_more = |b: &mut Vec<u8>| {
        b[keys + 132] += 1;
        b.extend([0xff; 64]);
    };
    let most = most_validators();
    add(made, "validators_too_many", "101 nodes", edited(&most, &o, one_more));
    let too_long = |b: &mut Vec<u8>| {
        let nodes = b.split_off(keys + 132);
        b.truncate(keys);
        b.extend(1022u32.to_le_bytes());
        (0..1022u16).for_each(|n| {
            b.extend(n.to_be_bytes());
            b.extend([0; 62]);
        });
        b.extend(nodes);
    };
    add(
        made,
        "too_long",
        "65880 bytes, of which each field is as it may be",
        edited(&set_of, &o, too_long),
    );

    let registered = Event::RingRegistered { outline: outline("plain.outline") };
    add(
        made,
        "outline_of_version_2",
        "an outline of version 2",
        edited(&registered, &o, set(FIELDS + 4 + 8, 2)),
    );
    let evidence = alarm_with_evidence();
    let kind = FIELDS + 112 + 1 + 2 + 6 + 1 + 1 + 2 + b"two receipts".len() + 4;
    add(made, "evidence_of_kind_9", "evidence of kind 9", edited(&evidence, &h, set(kind, 9)));
}

fn unsigned(made: &mut Made) {
    let (lost, o) = (Event::KeyRevoked { reason: "lost".into() }, owner());
    let honest = signed(1, &lost, &o).as_bytes().to_vec();
    let mut flipped = honest.clone();
    *flipped.last_mut().unwrap() ^= 1;
    made.add(("signature_flipped", "entry"), "one bit of the signature", flipped, TAMPERED);
    let mut later = honest.clone();
    later[2] ^= 1;
    made.add(("time_changed", "entry"), "one bit of the time", later, TAMPERED);
    let mut by_other = honest[..honest.len() - 64].to_vec();
    sign(&mut by_other, &owner_of(STRANGER).into());
    made.add(("signed_by_other", "entry"), "another owner signed it", by_other, TAMPERED);
    let AuthorKey::Host(by_host) = host(2) else { unreachable!() };
    let of_host = signed(1, &lost, &by_host.clone().into()).as_bytes().to_vec();
    let mut relabelled = of_host[..of_host.len() - 64].to_vec();
    let signature = by_host.sign_audit(&relabelled);
    relabelled.extend(signature);
    made.add(
        ("signed_as_audit", "entry"),
        "signed under the labels of an audit",
        relabelled,
        TAMPERED,
    );
    let mut weak = honest;
    let key = PublicKey::<deepring::Owner>::from_bytes({
        let mut key = [0x5a; 64];
        key[..32].fill(0);
        key[0] = 1;
        key
    });
    weak[AUTHOR..FIELDS].copy_from_slice(key.as_bytes());
    let at = weak.len() - 64;
    weak[at..].fill(0x66);
    weak[at] = 0x58;
    weak[at + 32..].fill(0);
    weak[at + 32] = 1;
    let defect = "the author's key is of small order, and its signature fits everything";
    made.add(("signed_by_weak_key", "entry"), defect, weak, TAMPERED);
}

pub(crate) fn add(made: &mut Made) {
    intact_ones(made);
    malformed(made);
    unsigned(made);
}
