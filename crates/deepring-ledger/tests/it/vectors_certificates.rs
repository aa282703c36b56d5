//! Vectors of certificates: intact ones, and each part exchanged, cut or another's.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use deepring::codec::Writer;
use deepring::keys::{AuthorKey, Node};
use deepring::outline::Outline;
use deepring::{Decision, Digest, SecretKey};
use deepring_ledger::log::CheckpointBody;
use deepring_ledger::{Checkpoint, Entry, Event, Ledger, ValidatorSet, VerifierKey};
use serde_json::{Map, Value};

use crate::rows::sign_leaves;
use crate::vectors_entries::{
    bound, host, many_nodes, most_validators, owner, registered, signed, validators, with_node,
};
use crate::vectors_ledger::{
    Due, HOSTS, INTACT, LOG, Made, ORIGIN, OTHER_LOG, OWNER, STRANGER, TAMPERED, UNTRUSTED,
    folder_of, ledger_of, log_key, owner_of, record,
};

/// The parts that a certificate is made of.
#[derive(Clone)]
struct Parts {
    magic: [u8; 8],
    version: u16,
    outline: Vec<u8>,
    decision: Vec<u8>,
    proof: String,
    set: Vec<u8>,
}

impl Parts {
    fn bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.raw(&self.magic).u16(self.version).bytes(&self.outline).bytes(&self.decision);
        w.bytes(self.proof.as_bytes()).bytes(&self.set);
        w.finish()
    }

    fn with(&self, edit: impl FnOnce(&mut Self)) -> Vec<u8> {
        let mut parts = self.clone();
        edit(&mut parts);
        parts.bytes()
    }
}

fn decided(outline: &str, decision: &[u8]) -> Event {
    let outline = Outline::decode(&record(outline)).unwrap().verify_consistent().unwrap();
    let decision_id = Decision::decode(decision).unwrap().id();
    Event::Decisions {
        ring_digest: outline.ring_digest(),
        decision_id,
        count: 2,
        dealt: outline.deal_number(),
    }
}

/// The parts of the certificate of a decision that stands in a log behind a registration and a validator set.
fn parts(outline: &str, receipt: &str, seed: u8) -> Parts {
    let decision = record(receipt);
    let set = signed(2, &validators(ORIGIN, 1), &owner());
    let entry = signed(3, &decided(outline, &decision), &host(0));
    let (_dir, ledger) = ledger_of(&[registered(outline), set.clone(), entry], seed);
    let proof = ledger.prove(2).unwrap().to_string();
    let set = set.as_bytes().to_vec();
    Parts { magic: *b"DCERTIFY", version: 1, outline: record(outline), decision, proof, set }
}

/// A proof of the last of these entries, authority or not.
fn proof_of(entries: &[Entry]) -> String {
    let dir = folder_of(ORIGIN, LOG);
    drop(Ledger::open_or_create(dir.path()).unwrap());
    let leaves: Vec<&[u8]> = entries.iter().map(Entry::as_bytes).collect();
    sign_leaves(dir.path(), &leaves);
    let ledger = Ledger::open_read(dir.path(), None).unwrap();
    ledger.prove(entries.len() as u64 - 1).unwrap().to_string()
}

fn add_one<'a>(
    made: &'a mut Made,
    name: &str,
    defect: &str,
    bytes: Vec<u8>,
    due: Due,
) -> &'a mut Map<String, Value> {
    let vector = made.add((name, "certificate"), defect, bytes, due);
    vector.insert("owner".into(), owner_of(OWNER).public().to_string().into());
    vector
}

fn expected_by_readers(made: &mut Made, two: &Parts) {
    let three = parts("dealt_three.outline", "three_copies.receipt", LOG);
    let plain = parts("plain.outline", "of_plain.receipt", LOG);
    let nonce = parts("dealt_two.outline", "nonce.receipt", LOG);
    let (right, other) = ("07".repeat(32), "08".repeat(32));
    let unvalidated = ("untrusted", Some(1), Some("file"));
    let stale = ("stale", None, Some("file"));
    type Case<'a> = (&'a str, &'a str, &'a Parts, Option<&'a str>, Option<&'a str>, Due);
    let cases: [Case<'_>; 14] = [
        ("two_copies", "nothing", two, None, None, INTACT),
        ("two_copies", "nothing", two, Some("validated"), None, INTACT),
        ("two_copies", "nothing", two, Some("none"), None, INTACT),
        ("two_copies", "two copies are no majority", two, Some("majority"), None, unvalidated),
        ("two_copies", "no nonce, and the reader sent one", two, None, Some(&right), stale),
        ("three_copies", "nothing", &three, None, None, INTACT),
        ("three_copies", "nothing", &three, Some("majority"), None, INTACT),
        ("not_dealt", "nothing; the ring is not dealt", &plain, None, None, INTACT),
        ("not_dealt", "nobody validated it", &plain, Some("validated"), None, unvalidated),
        ("not_dealt", "nobody validated it", &plain, Some("majority"), None, unvalidated),
        ("nonce", "nothing; the reader's nonce", &nonce, None, Some(&right), INTACT),
        ("nonce", "nothing; a nonce, and the reader sent none", &nonce, None, None, INTACT),
        ("nonce", "another nonce than the reader's", &nonce, None, Some(&other), stale),
        (
            "not_dealt_nonce",
            "no nonce and no validation, and the reader requires both",
            &plain,
            Some("validated"),
            Some(&right),
            unvalidated,
        ),
    ];
    for (name, defect, parts, require, nonce, due) in cases {
        let vector = add_one(made, name, defect, parts.bytes(), due);
        for (name, value) in [("require", require), ("nonce", nonce)] {
            if let Some(value) = value {
                vector.insert(name.into(), value.into());
            }
        }
    }
    let due = ("untrusted", None, Some("closure"));
    add_one(made, "two_copies", "another owner than expected", two.bytes(), due)["owner"] =
        owner_of(STRANGER).public().to_string().into();
    add_one(made, "two_copies", "another log's key of the same name", two.bytes(), UNTRUSTED)["log_key"] =
        log_key(ORIGIN, OTHER_LOG).into();
    add_one(made, "two_copies", "a log's key of another name", two.bytes(), UNTRUSTED)["log_key"] =
        log_key("example.org/other", LOG).into();
}

fn exchanged(made: &mut Made, two: &Parts) {
    let nonce = parts("dealt_two.outline", "nonce.receipt", LOG);
    let foreign = parts("dealt_two.outline", "two_copies.receipt", OTHER_LOG);
    let stale = ("stale", None, Some("file"));
    let outline = |name: &str| two.with(|p| p.outline = record(name));
    let mut flipped = two.outline.clone();
    flipped[172] ^= 2;
    let mut salt = two.decision.clone();
    *salt.last_mut().unwrap() ^= 1;
    let other_set = signed(2, &validators("example.org/other", 1), &owner());
    let bound_set = bound("example.org/other", 2, &validators(ORIGIN, 1), &owner());
    let mut unsigned_set = two.set.clone();
    *unsigned_set.last_mut().unwrap() ^= 1;
    let no_set = signed(1, &Event::KeyRevoked { reason: String::new() }, &owner());
    let closure = ("tampered", None, Some("closure"));
    let cases = [
        ("without_set", "nothing; no validator set", two.with(|p| p.set.clear()), INTACT),
        (
            "without_salt",
            "nothing; the decision without its salt",
            two.with(|p| p.decision = record("without_salt.receipt")),
            INTACT,
        ),
        (
            "outline_of_other_deal",
            "the outline of another deal of the ring",
            outline("dealt_three.outline"),
            stale,
        ),
        (
            "outline_of_no_deal",
            "the outline of the revision before the deal",
            outline("plain.outline"),
            stale,
        ),
        (
            "outline_of_version_2",
            "the outline of version 2",
            outline("version_2_of_ring.outline"),
            stale,
        ),
        (
            "outline_bit_flipped",
            "one bit of the outline",
            two.with(|p| p.outline = flipped),
            closure,
        ),
        (
            "decision_of_other_entry",
            "another decision, which another entry records",
            two.with(|p| p.decision = nonce.decision.clone()),
            TAMPERED,
        ),
        ("decision_of_other_salt", "one bit of the salt", two.with(|p| p.decision = salt), closure),
        (
            "proof_of_other_decision",
            "the entry of another decision",
            two.with(|p| p.proof = nonce.proof.clone()),
            TAMPERED,
        ),
        (
            "proof_of_other_log",
            "the proof of another log",
            two.with(|p| p.proof = foreign.proof.clone()),
            UNTRUSTED,
        ),
        (
            "set_of_other_log",
            "the validator set of another log",
            two.with(|p| p.set = other_set.as_bytes().to_vec()),
            TAMPERED,
        ),
        (
            "set_for_other_log",
            "a validator set that was signed for another log",
            two.with(|p| p.set = bound_set.as_bytes().to_vec()),
            TAMPERED,
        ),
        (
            "set_unsigned",
            "one bit of the validator set's signature",
            two.with(|p| p.set = unsigned_set),
            TAMPERED,
        ),
        (
            "set_of_other_kind",
            "a revocation for the validator set",
            two.with(|p| p.set = no_set.as_bytes().to_vec()),
            TAMPERED,
        ),
        (
            "set_malformed",
            "one byte for the validator set",
            two.with(|p| p.set = vec![2]),
            TAMPERED,
        ),
    ];
    for (name, defect, bytes, due) in cases {
        add_one(made, name, defect, bytes, due);
    }
}

/// Entries that are in the log and do not record this decision by a host of Genesis.
fn entries(made: &mut Made, two: &Parts) {
    let Event::Decisions { ring_digest, decision_id, .. } =
        decided("dealt_two.outline", &two.decision)
    else {
        return;
    };
    let event = |ring_digest, decision_id, count| Event::Decisions {
        ring_digest,
        decision_id,
        count,
        dealt: 2,
    };
    let right = event(ring_digest, decision_id, 2);
    let first = registered("dealt_two.outline");
    let cases: [(&str, &str, Event, AuthorKey, Due); 9] = [
        (
            "entry_by_stand_in",
            "nothing; host B, of Genesis too, recorded it",
            right.clone(),
            host(1),
            INTACT,
        ),
        (
            "entry_by_no_host_of_genesis",
            "recorded by host C, which is none of Genesis",
            right.clone(),
            host(2),
            TAMPERED,
        ),
        ("entry_by_owner", "recorded by the owner", right.clone(), owner(), TAMPERED),
        (
            "entry_by_host_as_owner",
            "recorded by the key of host A in the role of an owner",
            right,
            owner_of(HOSTS[0]).into(),
            TAMPERED,
        ),
        (
            "entry_of_other_deal",
            "decided under no deal, and the outline has one",
            Event::Decisions { ring_digest, decision_id, count: 2, dealt: 0 },
            host(0),
            TAMPERED,
        ),
        (
            "entry_of_other_ring",
            "of another ring digest",
            event(Digest([1; 32]), decision_id, 2),
            host(0),
            TAMPERED,
        ),
        (
            "entry_of_other_decision",
            "of another decision",
            event(ring_digest, Digest([1; 32]), 2),
            host(0),
            TAMPERED,
        ),
        (
            "entry_of_other_count",
            "of three queries, and there are two",
            event(ring_digest, decision_id, 3),
            host(0),
            TAMPERED,
        ),
        (
            "entry_of_other_kind",
            "a revocation",
            Event::KeyRevoked { reason: String::new() },
            host(0),
            TAMPERED,
        ),
    ];
    for (name, defect, event, author, due) in cases {
        let entry = signed(2, &event, &author);
        let proof = proof_of(&[first.clone(), entry]);
        add_one(made, name, defect, two.with(|p| p.proof = proof), due);
    }
    let elsewhere = bound("example.org/other", 2, &event(ring_digest, decision_id, 2), &host(0));
    let proof = proof_of(&[first, elsewhere]);
    let defect = "signed for another log";
    add_one(made, "entry_for_other_log", defect, two.with(|p| p.proof = proof), TAMPERED);
}

/// Certificates with two faults at once, for an earlier check and a later one: the first check that fails decides, and of
/// what does not decode none is made.
fn in_order(made: &mut Made, two: &Parts) {
    let unvalidated = ("untrusted", Some(1), Some("file"));
    let other_owner = ("untrusted", None, Some("closure"));
    let extra = two.proof.split('\n').nth(1).unwrap().to_owned();
    let with_entry = |entry: &[u8]| {
        let line = format!("extra {}", BASE64_STANDARD.encode(entry));
        two.with(|p| p.proof = p.proof.replacen(&extra, &line, 1))
    };
    let entry = BASE64_STANDARD.decode(extra.strip_prefix("extra ").unwrap()).unwrap();
    let mut unsigned = entry.clone();
    *unsigned.last_mut().unwrap() ^= 1;
    let mut unsigned_set = two.set.clone();
    *unsigned_set.last_mut().unwrap() ^= 1;
    let (head, _) = two.proof.split_once("\n\n").unwrap();
    let cases = [
        (
            "proof_without_entry",
            "the proof carries no entry",
            two.with(|p| p.proof = p.proof.replacen(&format!("{extra}\n"), "", 1)),
            None,
        ),
        (
            "proof_without_checkpoint",
            "the proof ends before its checkpoint",
            two.with(|p| p.proof = head.to_owned()),
            None,
        ),
        (
            "proof_of_cut_entry",
            "the proof's entry lacks its last byte",
            with_entry(&entry[..entry.len() - 1]),
            None,
        ),
        ("set_malformed", "one byte for the validator set", two.with(|p| p.set = vec![2]), None),
        (
            "proof_of_unsigned_entry",
            "one bit of the signature of the proof's entry",
            with_entry(&unsigned),
            Some(()),
        ),
        (
            "set_unsigned",
            "one bit of the validator set's signature",
            two.with(|p| p.set = unsigned_set),
            Some(()),
        ),
    ];
    for (name, defect, bytes, decodes) in cases {
        let due = |due| decodes.map_or(TAMPERED, |()| due);
        let twice = format!("{defect}, and two copies are no majority");
        add_one(made, name, &twice, bytes.clone(), due(unvalidated))
            .insert("require".into(), "majority".into());
        let twice = format!("{defect}, and another owner than expected");
        add_one(made, name, &twice, bytes, due(other_owner))["owner"] =
            owner_of(STRANGER).public().to_string().into();
    }
}

fn malformed(made: &mut Made, two: &Parts) {
    let all = two.bytes();
    let lengths = [10, 14 + two.outline.len(), 18 + two.outline.len() + two.decision.len()];
    let oversized = |at: usize| {
        let mut bytes = all.clone();
        bytes[at..at + 4].fill(0xff);
        bytes
    };
    let hash = two.proof.split('\n').nth(3).unwrap().to_owned();
    let extra = two.proof.split('\n').nth(1).unwrap().to_owned();
    let cut = |from: &str| {
        assert!(two.proof.contains(from));
        two.with(|p| p.proof = p.proof.replacen(from, "", 1))
    };
    let cases = [
        ("magic_changed", "one bit of the magic", two.with(|p| p.magic[0] ^= 1)),
        ("version_0", "format version 0", two.with(|p| p.version = 0)),
        ("version_2", "format version 2", two.with(|p| p.version = 2)),
        ("outline_oversized", "an outline of 2^32-1 bytes", oversized(lengths[0])),
        ("decision_oversized", "a decision of 2^32-1 bytes", oversized(lengths[1])),
        ("proof_oversized", "a proof of 2^32-1 bytes", oversized(lengths[2])),
        ("outline_missing", "no outline", two.with(|p| p.outline.clear())),
        ("decision_missing", "no decision", two.with(|p| p.decision.clear())),
        ("proof_missing", "no proof", two.with(|p| p.proof.clear())),
        ("proof_without_hash", "a hash of the proof is missing", cut(&format!("{hash}\n"))),
        ("proof_without_entry", "the proof carries no entry", cut(&format!("{extra}\n"))),
        ("decision_version_3", "a decision of format version 3", two.with(|p| p.decision[8] = 3)),
        ("trailing_byte", "a byte follows the end", [all.as_slice(), &[0]].concat()),
        ("cut", "the last byte is missing", all[..all.len() - 1].to_vec()),
    ];
    for (name, defect, bytes) in cases {
        add_one(made, name, defect, bytes, TAMPERED);
    }
}

/// Seeds of the nodes of [`validators`].
const NODES: [u8; 4] = [0x91, 0xa1, 0xb1, 0xc1];

fn node(seed: u8) -> SecretKey<Node> {
    SecretKey::from_halves(&[seed; 32], &[seed + 1; 32]).unwrap()
}

/// The body of the checkpoint that its proof is of.
fn body_of(two: &Parts) -> CheckpointBody {
    let checkpoint = two.proof.split_once("\n\n").unwrap().1;
    let log = VerifierKey::parse(&log_key(ORIGIN, LOG)).unwrap();
    Checkpoint::verify(checkpoint, &log).unwrap().body().clone()
}

/// The certificate's parts, with cosignatures of these nodes on its checkpoint, in this order.
fn cosigned(two: &Parts, nodes: &[u8]) -> Parts {
    cosigned_by(two, nodes.iter().map(|seed| node(*seed)))
}

fn cosigned_by(two: &Parts, nodes: impl IntoIterator<Item = SecretKey<Node>>) -> Parts {
    let body = body_of(two);
    let line =
        |(nth, node): (u64, SecretKey<Node>)| body.cosign(&node, 1_700_000_000 + nth).unwrap();
    let lines: String = (0..).zip(nodes).map(line).collect();
    Parts { proof: format!("{}{lines}", two.proof), ..two.clone() }
}

/// Certificates whose reader trusts a validator set in place of the log's key.
fn by_validators(made: &mut Made, two: &Parts) {
    let mut set = |name: &str, defect: &str, set: &Event| {
        let Event::ValidatorSet(ValidatorSet { origin, .. }) = set else { panic!("no set") };
        let entry = bound(origin, 1, set, &owner());
        made.add((name, "entry"), defect, entry.as_bytes(), INTACT);
        format!("{name}.entry")
    };
    let right = set(
        "set_of_four",
        "nothing; who keeps the log of the certificates",
        &validators(ORIGIN, 1),
    );
    let elsewhere =
        set("set_elsewhere", "nothing; of another log", &validators("example.org/other", 1));
    let hundred =
        set("set_of_a_hundred", "nothing; as many nodes as there can be", &most_validators());
    // The fourth node cosigns with the third one's key.
    let one_key = with_node(ORIGIN, |own, third| own[32..].copy_from_slice(&third[32..]));
    let twice = set(
        "set_with_one_cosigner_twice",
        "nothing by itself; two nodes have one cosigning key",
        &one_key,
    );
    let exchange = |own: &mut [u8; 64], third: &[u8; 64]| {
        own[..32].copy_from_slice(&third[32..]);
        own[32..].copy_from_slice(&third[..32]);
    };
    let exchanged = set(
        "set_with_exchanged_halves",
        "nothing by itself; two nodes have the same halves, exchanged",
        &with_node(ORIGIN, exchange),
    );
    let across = set(
        "set_with_a_first_half_as_second",
        "nothing by itself; a node cosigns with the key that another one votes with",
        &with_node(ORIGIN, |own, third| own[32..].copy_from_slice(&third[..32])),
    );
    let equal = set(
        "set_with_equal_halves",
        "nothing by itself; both halves of a node are one key",
        &with_node(ORIGIN, |own, _| own.copy_within(..32, 32)),
    );
    let by = |nodes: &[u8]| cosigned(two, nodes);
    let [a, b, c, d] = NODES;
    let three = by(&[a, b, c]);
    let without_the_logs = {
        let (head, signatures) = three.proof.rsplit_once("\n\n").unwrap();
        let (_, others) = signatures.split_once('\n').unwrap();
        Parts { proof: format!("{head}\n\n{others}"), ..two.clone() }
    };
    let body = body_of(two);
    // A line of the fourth node, signed with the half that signs labelled records.
    let half_exchanged = {
        let exchanged = SecretKey::<Node>::from_halves(&[d + 1; 32], &[d; 32]).unwrap();
        let right = body.cosign(&node(d), 1_700_000_003).unwrap();
        let wrong = body.cosign(&exchanged, 1_700_000_003).unwrap();
        let payload = |line: &str| {
            BASE64_STANDARD.decode(line.trim_end().rsplit_once(' ').unwrap().1).unwrap()
        };
        let mixed = [&payload(&right)[..12], &payload(&wrong)[12..]].concat();
        let head = right.rsplit_once(' ').unwrap().0;
        format!("{head} {}\n", BASE64_STANDARD.encode(mixed))
    };
    let size = three.proof.rsplit_once("\n\n").unwrap().0.lines().last().unwrap().to_owned();
    let other_size = three.proof.replacen(
        &format!("\n{size}\n\n"),
        "\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n",
        1,
    );
    assert_ne!(other_size, three.proof);
    let at_no_time = {
        let line = three.proof.lines().last().unwrap();
        let (head, payload) = line.rsplit_once(' ').unwrap();
        let id = &BASE64_STANDARD.decode(payload).unwrap()[..4];
        let payload = [id, &[0; 8], &node(c).cosign(0, &body.to_string())].concat();
        let changed = format!("{head} {}", BASE64_STANDARD.encode(payload));
        Parts { proof: three.proof.replacen(line, &changed, 1), ..two.clone() }
    };
    let mixed = Parts { proof: format!("{}{half_exchanged}", three.proof), ..two.clone() };
    let other_root = Parts { proof: other_size, ..two.clone() };
    // Of the last, the first hundred are of the set.
    let of_many = |range| cosigned_by(two, many_nodes(132).drain(range).collect::<Vec<_>>());
    let many = [33..132, 34..100, 0..100].map(of_many);
    let cases = [
        ("by_three_of_four", "nothing; three of four nodes cosigned", &three, &right, INTACT),
        ("by_four_of_four", "nothing; all nodes cosigned", &by(&NODES), &right, INTACT),
        (
            "by_nodes_alone",
            "nothing; the log's own signature is not asked for",
            &without_the_logs,
            &right,
            INTACT,
        ),
        ("by_two_of_four", "two of four nodes cosigned", &by(&[a, b]), &right, UNTRUSTED),
        ("by_nobody", "no node cosigned", two, &right, UNTRUSTED),
        (
            "by_two_of_four_twice",
            "two of four nodes cosigned, one of them twice",
            &by(&[a, b, b]),
            &right,
            UNTRUSTED,
        ),
        (
            "by_two_and_a_stranger",
            "two of four nodes cosigned, and one of no set",
            &by(&[a, b, 0xd1]),
            &right,
            UNTRUSTED,
        ),
        ("by_three_of_four", "of another log than the set", &three, &elsewhere, UNTRUSTED),
        ("by_three_of_four", "one party of the set could count twice", &three, &twice, UNTRUSTED),
        (
            "by_three_of_four",
            "halves of the set's keys are exchanged",
            &three,
            &exchanged,
            UNTRUSTED,
        ),
        ("by_three_of_four", "a half is in two places of the set", &three, &across, UNTRUSTED),
        ("by_three_of_four", "one node of the set has one half twice", &three, &equal, UNTRUSTED),
        ("by_wrong_half", "a node's line is signed with its other half", &mixed, &right, TAMPERED),
        (
            "by_three_of_another_root",
            "another root than the nodes cosigned",
            &other_root,
            &right,
            TAMPERED,
        ),
        (
            "by_67_of_100",
            "nothing; with the log's own line and 32 of others",
            &many[0],
            &hundred,
            INTACT,
        ),
        ("by_66_of_100", "66 of 100 nodes cosigned", &many[1], &hundred, UNTRUSTED),
        (
            "by_100_of_100",
            "all nodes cosigned: with the log's own, more lines than a note may have",
            &many[2],
            &hundred,
            TAMPERED,
        ),
        ("by_three_at_no_time", "the time of a cosignature is 0", &at_no_time, &right, TAMPERED),
    ];
    for (name, defect, parts, set, due) in cases {
        let vector = add_one(made, name, defect, parts.bytes(), due);
        vector.remove("log_key");
        vector.insert("validators".into(), set.as_str().into());
    }
}

pub(crate) fn add(made: &mut Made) {
    let two = parts("dealt_two.outline", "two_copies.receipt", LOG);
    expected_by_readers(made, &two);
    exchanged(made, &two);
    entries(made, &two);
    in_order(made, &two);
    malformed(made, &two);
    by_validators(made, &two);
}
