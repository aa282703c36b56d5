//! Vectors of outlines.

use deepring::{Owner, SecretKey, VerifiedRing};
use serde_json::json;

use crate::forge::{derive, sign};
use crate::small_ring::{OWNER_SEED, STRANGER_SEED, host_a, intact, owner, stranger};
use crate::vectors::{Expected, folder};
use crate::vectors_dealt::{plain, three, two};
use crate::vectors_records::{Made, place, tampered};

/// Offsets in an outline: behind magic, version and kind.
const KIND: usize = 10;
const RING_ID: usize = 12;
const VERSION: usize = 28;
const RING_DIGEST: usize = 36;
const PREVIOUS: usize = 68;
const REVISION: usize = 172;

fn outline(ring: &VerifiedRing) -> Vec<u8> {
    ring.outline().as_outline().encode()
}

fn signed(outline: &mut [u8], seed: &[u8; 32]) {
    let unsigned = outline.len() - 64;
    let digest = derive("deepring v1 outline digest", &outline[..unsigned]);
    outline[unsigned..].copy_from_slice(&sign(seed, "deepring v1 sign outline", &digest));
}

/// The outline after an edit that its owner signs.
fn edited(honest: &[u8], edit: &dyn Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = honest.to_vec();
    edit(&mut out);
    signed(&mut out, &OWNER_SEED);
    out
}

fn at(honest: &[u8], name: &[u8]) -> usize {
    honest.windows(name.len()).position(|w| w == name).unwrap()
}

/// Where an outline says of a part that it is a graph.
fn graphs_of(outline: &[u8]) -> Vec<usize> {
    let number = |at: usize| u32::from_le_bytes(outline[at..at + 4].try_into().unwrap()) as usize;
    let mut graphs = Vec::new();
    let mut block = at(outline, b"\x07\0genesis");
    for _ in 0..number(block - 4) {
        let name = usize::from(outline[block]);
        let places = block + 2 + name + 32;
        let parts = places + 4 + 2 * number(places);
        let end = parts + 4 + number(parts);
        graphs.extend((parts + 4..end).filter(|part| outline[*part] == 1));
        block = end;
    }
    graphs
}

/// Outlines that an owner may sign, and a ledger takes or does not take behind the ring.
fn later(made: &mut Made, plain: &[u8], second: &[u8]) {
    let content = at(plain, b"\x05\0conv1") + 7;
    let graphs = graphs_of(second);
    type Edit<'a> = &'a dyn Fn(&mut Vec<u8>);
    let edits: [(&str, &str, &[u8], Edit<'_>); 6] = [
        ("version_1_again", "nothing; version 1, of a predecessor of version 1", second, &|o| {
            o[VERSION] = 1;
            o[RING_DIGEST..RING_DIGEST + 32].fill(7);
        }),
        ("revision_2", "nothing; revision 2, without a deal", plain, &|o| o[REVISION] = 2),
        ("revision_2_of_other_content", "nothing; revision 2, of another content", plain, &|o| {
            o[REVISION] = 2;
            o[content] ^= 1;
        }),
        ("version_3_of_ring", "nothing; version 3 of another predecessor", second, &|o| {
            o[VERSION] = 3;
            o[PREVIOUS..PREVIOUS + 32].fill(9);
            o[RING_DIGEST..RING_DIGEST + 32].fill(8);
        }),
        (
            "version_2_of_same_digest",
            "nothing; version 2 of its predecessor's digest",
            second,
            &|o| {
                o.copy_within(PREVIOUS..PREVIOUS + 32, RING_DIGEST);
            },
        ),
        (
            "version_2_of_weights",
            "nothing; version 2, of kind 1 and without graphs",
            second,
            &|o| {
                o[KIND] = 1;
                graphs.iter().for_each(|graph| o[*graph] = 2);
            },
        ),
    ];
    for (name, defect, honest, edit) in edits {
        made.add((name, "outline"), defect, edited(honest, edit), Expected::intact());
    }
}

fn trusted(made: &mut Made, honest: &[u8]) {
    let (id, digest) = (&honest[RING_ID..RING_ID + 16], &honest[RING_DIGEST..RING_DIGEST + 32]);
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let seen = |version: u64, digest: &str, owners: &[String]| {
        let ring = json!({ "model_version": version, "digest": digest, "ledgers": [] });
        let rings = json!({ hex(id): ring });
        json!({
            "format": 3,
            "owners": owners,
            "rings": { owner().public().to_string(): rings },
            "paths": {},
            "ledgers": {},
            "ledger_paths": {},
        })
    };
    let deal_seen = |number: u32, digest: &str, owners: &[String]| {
        let mut store = seen(1, digest, owners);
        store["rings"][owner().public().to_string()][hex(id)]["deal"] = number.into();
        store
    };
    let (ours, digest) = ([owner().public().to_string()], hex(digest));
    let theirs = stranger().public().to_string();
    let stores = [
        ("the store trusts the owner", seen(1, &digest, &ours), Expected::intact()),
        ("version 1, where 2 was seen", seen(2, &digest, &ours), place("stale", None, "closure")),
        (
            "another version 1 than the one that was seen",
            seen(1, &"00".repeat(32), &ours),
            place("stale", None, "closure"),
        ),
        ("the store trusts no owner", seen(1, &digest, &[]), place("untrusted", None, "closure")),
    ];
    let deals = [
        ("its deal, of number 2, was seen", deal_seen(2, &digest, &ours), Expected::intact()),
        ("an earlier deal was seen", deal_seen(1, &digest, &ours), Expected::intact()),
        ("deal 2, where 3 was seen", deal_seen(3, &digest, &ours), place("stale", None, "closure")),
    ];
    let rotated = |from: &str, to: &str, version: u64| {
        let mut store = seen(1, &digest, &ours);
        store["format"] = 4.into();
        let there = json!({ "model_version": version, "digest": "00".repeat(32), "ledgers": [] });
        store["rings"][&theirs] = json!({ hex(id): there });
        store["rotations"] = json!({ hex(id): { from: to } });
        store
    };
    let key = &ours[0];
    let between = SecretKey::<Owner>::from_halves(&[0x77; 32], &[0x78; 32]).unwrap().public();
    let between = between.to_string();
    let said = |mut store: serde_json::Value, more: serde_json::Value| {
        let Some(members) = more.as_object() else { panic!("no members") };
        store["format"] = 5.into();
        store.as_object_mut().unwrap().remove("rotations");
        members.iter().for_each(|(name, value)| store[name] = value.clone());
        store
    };
    let zeros = "00".repeat(32);
    let (ring_digest, zeros) = (digest.as_str(), zeros.as_str());
    // What a ledger says of the owner's key, where `seen` was seen under it.
    let recorded = |seen_here: u64, pinned: bool, last: Option<(u64, &str)>| {
        let mut given = json!({ "next": theirs });
        if let Some((version, digest)) = last {
            given["last"] = json!({ "model_version": version, "digest": digest, "deal": 2 });
        }
        let mut head = json!({ "size": 1, "checkpoint": "" });
        if pinned {
            head["pinned"] = true.into();
        }
        let given_up = json!({ "log+1+k": { hex(id): { key: given } } });
        said(
            seen(seen_here, &"00".repeat(32), &ours),
            json!({ "given_up": given_up, "ledgers": { "log+1+k": head } }),
        )
    };
    let mut dealt_anew = recorded(1, true, Some((1, ring_digest)));
    dealt_anew["rings"][key][hex(id)]["deal"] = 3.into();
    let deal_of_last = |deal: u32| {
        let mut store = recorded(1, true, Some((1, ring_digest)));
        store["given_up"]["log+1+k"][hex(id)][key]["last"]["deal"] = deal.into();
        store
    };
    let words = [
        (
            "deal 2, where 3 was seen by the same key, and the ledger has no later one by it",
            dealt_anew,
            Expected::intact(),
        ),
        (
            "deal 2, where the ledger has 1 by the key that was given up",
            deal_of_last(1),
            place("untrusted", None, "closure"),
        ),
        (
            "deal 2, where 3 was seen by the key that was given up, and the ledger has it",
            {
                let mut store = deal_of_last(3);
                store["rings"][key][hex(id)]["deal"] = 4.into();
                store
            },
            place("stale", None, "closure"),
        ),
        (
            "version 1, where 2 was seen under a key that the reader says came after another one after it",
            said(
                rotated(key, &theirs, 2),
                json!({ "successors": { key: between, &between: theirs } }),
            ),
            place("stale", None, "closure"),
        ),
        (
            "of the last key, by the reader's word",
            said(rotated(key, &theirs, 2), json!({ "successors": { &theirs: key } })),
            Expected::intact(),
        ),
        (
            "version 1, where 9 was seen by the same key, and the ledger has no newer one by it",
            recorded(9, true, Some((1, ring_digest))),
            Expected::intact(),
        ),
        (
            "version 1, where 9 was seen by the same key, which was given up by a ledger that nobody vouches for",
            recorded(9, false, Some((1, ring_digest))),
            place("stale", None, "closure"),
        ),
        (
            "version 1, where the ledger has 2 by the key that was given up",
            recorded(1, true, Some((2, ring_digest))),
            place("stale", None, "closure"),
        ),
        (
            "version 1, where the ledger has 0 by the key that was given up",
            recorded(0, true, Some((0, ring_digest))),
            place("untrusted", None, "closure"),
        ),
        (
            "another version 1 than the ledger has by the key that was given up",
            recorded(0, true, Some((1, zeros))),
            place("stale", None, "closure"),
        ),
        (
            "version 1, where the ledger has none by the key that was given up",
            recorded(0, true, None),
            place("untrusted", None, "closure"),
        ),
    ];
    let rotations = [
        (
            "of a key that was given up: version 1, where 2 was seen under the next one",
            rotated(key, &theirs, 2),
            place("stale", None, "closure"),
        ),
        (
            "of a key that was given up, where a version that is as new was seen under the next one",
            rotated(key, &theirs, 1),
            place("untrusted", None, "closure"),
        ),
        (
            "of a key for which another one was given up: version 1, where 2 was seen under that one",
            rotated(&theirs, key, 2),
            Expected::intact(),
        ),
    ];
    let of_plain = outline(&intact(plain()));
    let stale = place("stale", None, "closure");
    let record = made.add(("plain", "outline"), "no deal, where deal 2 was seen", of_plain, stale);
    (record.owner, record.store) = (None, Some(deal_seen(2, &digest, &ours)));
    let ring = made.files["dealt_two.ring"].clone();
    for (defect, store, expected) in &deals {
        let defect = match expected.verdict.as_str() {
            "intact" => format!("nothing; {defect}"),
            _ => (*defect).to_owned(),
        };
        let record = made.add(("dealt_two", "ring"), &defect, ring.clone(), expected.clone());
        (record.owner, record.store) = (None, Some(store.clone()));
    }
    for (defect, store, expected) in stores.into_iter().chain(deals).chain(rotations).chain(words) {
        let defect = match expected.verdict.as_str() {
            "intact" => format!("nothing; {defect}"),
            _ => defect.to_owned(),
        };
        let record = made.add(("dealt_two", "outline"), &defect, honest.to_vec(), expected);
        (record.owner, record.store) = (None, Some(store));
    }
    let untrusted = place("untrusted", None, "closure");
    let record = made.add(
        ("dealt_two", "outline"),
        "another owner than expected",
        honest.to_vec(),
        untrusted,
    );
    record.owner = Some(stranger().public().to_string());
}

/// Outlines that the owner signed, and that are not consistent.
fn inconsistent(made: &mut Made, honest: &[u8]) {
    // Behind a name: content digest 32, count of hosts 4, their places 2 each, count of parts 4, parts.
    let parts = |name: &[u8], hosts: usize| at(honest, name) + name.len() + 32 + 4 + 2 * hosts + 4;
    let (genesis, conv1, tail) =
        (parts(b"\x07\0genesis", 2), parts(b"\x05\0conv1", 2), parts(b"\x04\0tail", 3));
    assert_eq!((honest[genesis], &honest[conv1..conv1 + 3], honest[tail]), (0, &[2, 2, 1][..], 1));
    let deal = at(honest, b"RINGDEAL");
    let deal_end = honest.len() - 64;
    type Edit<'a> = &'a dyn Fn(&mut Vec<u8>);
    let edits: [(&str, &str, Edit<'_>); 11] = [
        ("genesis_without_manifest", "Genesis has a graph", &|o| o[genesis] = 1),
        ("two_manifests", "block 1 has a manifest", &|o| o[conv1] = 0),
        ("computes_behind_shared", "block 1 computes nothing, and block 2 does", &|o| {
            o[conv1 + 2] = 2;
        }),
        ("weights_that_compute", "of weights, and blocks compute", &|o| o[KIND] = 1),
        ("other_ring_than_dealt", "the deal is of another ring id", &|o| o[RING_ID] ^= 1),
        ("other_version_than_dealt", "the deal is of another ring digest", &|o| {
            o[RING_DIGEST] ^= 1;
        }),
        ("deal_of_later_revision", "revision 0, and a deal of revision 1", &|o| o[REVISION] = 0),
        ("deal_signature_wrong", "one bit of the deal's signature", &|o| o[deal_end - 1] ^= 1),
        ("deal_beyond_computing", "block 3 computes nothing, and is dealt", &|o| o[tail] = 2),
        ("dealt_to_who_cannot_open", "block 1 is open to one host, and dealt to two", &|o| {
            let places = conv1 - 4 - 4;
            o.drain(places + 2..places + 4);
            o[places - 4] = 1;
        }),
        ("signed_deal_byte_changed", "one bit of what the deal's signature covers", &|o| {
            o[deal + 62] ^= 1;
        }),
    ];
    for (name, defect, edit) in edits {
        let found = place("tampered", None, "closure");
        made.add((name, "outline"), defect, edited(honest, edit), found);
    }
    let undealt = outline(&intact(plain()));
    let conv2 = at(&undealt, b"\x05\0conv2") + 7 + 32 + 4 + 2 + 4;
    let bytes = edited(&undealt, &|o| o[conv2 + 2] = 2);
    let defect = "block 2 computes nothing, and block 3 does; no deal";
    let found = place("tampered", None, "closure");
    made.add(("computes_behind_shared_undealt", "outline"), defect, bytes, found);
}

/// Bytes that the encoder would not write.
fn malformed(made: &mut Made, honest: &[u8]) {
    let a = host_a().public();
    let hosts = at(honest, a.as_bytes());
    let genesis = at(honest, b"\x07\0genesis") + 9 + 32 + 4;
    let conv1_parts = at(honest, b"\x05\0conv1") + 7 + 32 + 4 + 4 + 4;
    type Edit<'a> = &'a dyn Fn(&mut Vec<u8>);
    let edits: [(&str, &str, Edit<'_>); 12] = [
        ("magic_changed", "one bit of the magic", &|o| o[0] ^= 1),
        ("version_2", "format version 2", &|o| o[8] = 2),
        ("kind_2", "kind 2", &|o| o[KIND] = 2),
        ("hosts_out_of_order", "hosts not in the order of their first use", &|o| {
            o[genesis..genesis + 4].copy_from_slice(&[1, 0, 0, 0]);
        }),
        ("host_of_no_place", "a place that is none in the list of hosts", &|o| o[genesis + 2] = 9),
        ("host_twice", "one host twice", &|o| o.copy_within(hosts..hosts + 64, hosts + 64)),
        ("host_unused", "a host that no block names", &|o| {
            let end = hosts + 3 * 64;
            o.splice(end..end, [7; 64]);
            o[hosts - 4] = 4;
        }),
        ("part_kind_3", "a part of kind 3", &|o| o[conv1_parts] = 3),
        ("hosts_oversized", "2^32-1 hosts", &|o| o[hosts - 4..hosts].fill(0xff)),
        ("deal_version_2", "a deal of format version 2", &|o| {
            let deal = at(o, b"RINGDEAL");
            o[deal + 8] = 2;
        }),
        ("trailing_byte", "a byte before the signature that is no field", &|o| {
            let end = o.len() - 64;
            o.insert(end, 0);
        }),
        ("deal_cut", "the deal lacks its last byte", &|o| {
            let (deal, end) = (at(o, b"RINGDEAL"), o.len() - 64);
            o.remove(end - 1);
            let len = u32::try_from(end - 1 - deal).unwrap();
            o[deal - 4..deal].copy_from_slice(&len.to_le_bytes());
        }),
    ];
    for (name, defect, edit) in edits {
        made.add((name, "outline"), defect, edited(honest, edit), tampered());
    }
    let alone = edited(&outline(&intact(plain())), &|o| {
        let blocks = at(o, b"\x07\0genesis");
        o.truncate(blocks + 9 + 32 + 4 + 2 * 2 + 4 + 1);
        o[blocks - 4] = 1;
        o[KIND] = 1;
        o.extend([0; 4 + 64]);
    });
    made.add(("one_block", "outline"), "of weights, and Genesis alone", alone, tampered());
    let cut = honest[..honest.len() - 1].to_vec();
    made.add(("cut", "outline"), "the last byte is missing", cut, tampered());
}

pub(crate) fn add(made: &mut Made) {
    let honest = outline(two());
    let second = std::fs::read(folder().join("intact_version_2.ring")).unwrap();
    for (name, defect, bytes) in [
        ("plain", "nothing; no deal", outline(&intact(plain()))),
        ("version_2_of_ring", "nothing; it names its predecessor", outline(&intact(&second))),
        ("dealt_two", "nothing; two copies", honest.clone()),
        ("dealt_three", "nothing; three copies, eager", outline(three())),
    ] {
        made.add((name, "outline"), defect, bytes, Expected::intact());
    }
    later(made, &outline(&intact(plain())), &outline(&intact(&second)));
    trusted(made, &honest);
    let mut strange = honest.clone();
    signed(&mut strange, &STRANGER_SEED);
    let closure = || place("tampered", None, "closure");
    made.add(("signed_by_other", "outline"), "another owner signed it", strange, closure());
    let mut flipped = honest.clone();
    flipped[REVISION] ^= 2;
    made.add(("bit_flipped", "outline"), "one bit of the revision", flipped, closure());
    inconsistent(made, &honest);
    malformed(made, &honest);
}
