use deepring::codec::DecodeError;
use proptest::prelude::*;

use super::*;

fn any_event() -> impl Strategy<Value = Event> {
    let ring = || (any::<[u8; 16]>(), any::<[u8; 32]>());
    let key = || (any::<[u8; 32]>(), any::<[u8; 32]>()).prop_map(|(a, b)| join(a, b));
    let blocks = proptest::collection::btree_set(any::<u32>(), 0..9);
    prop_oneof![
        (ring(), any::<u64>(), key(), key()).prop_map(
            |((ring_id, ring_digest), model_version, owner, closure_signature)| {
                Event::RingRegistered {
                    ring_id,
                    ring_digest,
                    model_version,
                    owner,
                    closure_signature,
                }
            }
        ),
        (ring(), any::<[u8; 32]>(), any::<u64>(), key(), key()).prop_map(
            |((ring_id, ring_digest), previous_digest, model_version, owner, closure_signature)| {
                Event::RingUpgraded {
                    ring_id,
                    ring_digest,
                    previous_digest,
                    model_version,
                    owner,
                    closure_signature,
                }
            }
        ),
        (ring(), ".*").prop_map(|((ring_id, ring_digest), reason)| Event::RingRevoked {
            ring_id,
            ring_digest,
            reason
        }),
        (any::<[u8; 32]>(), any::<[u8; 32]>(), any::<u32>()).prop_map(
            |(ring_digest, decision_id, count)| Event::Decisions {
                ring_digest,
                decision_id,
                count
            }
        ),
        (
            ring(),
            any::<Option<u32>>(),
            (".*", ".*", ".*"),
            proptest::option::of(".*"),
            any::<Option<[u64; 2]>>()
        )
            .prop_map(
                |((ring_id, ring_digest), block, (name, part, reason), tensor, bytes)| {
                    Event::Alarm { ring_id, ring_digest, block, name, part, tensor, bytes, reason }
                }
            ),
        (ring(), blocks, ".*").prop_map(|((ring_id, ring_digest), blocks, source)| {
            Event::Repair { ring_id, ring_digest, blocks: blocks.into_iter().collect(), source }
        }),
        (key(), ".*").prop_map(|(key, reason)| Event::KeyRevoked { key, reason }),
    ]
}

fn join(a: [u8; 32], b: [u8; 32]) -> [u8; 64] {
    let mut out = [0; 64];
    out[..32].copy_from_slice(&a);
    out[32..].copy_from_slice(&b);
    out
}

proptest! {
    #[test]
    fn what_was_encoded_decodes(at in any::<u64>(), event in any_event()) {
        let entry = Entry { at, event };
        prop_assert_eq!(Entry::decode(&entry.encode()), Ok(entry));
    }

    #[test]
    fn a_changed_byte_is_refused_or_means_something_else(
        at in any::<u64>(), event in any_event(), where_ in any::<prop::sample::Index>(), flip in 1_u8..
    ) {
        let entry = Entry { at, event };
        let mut bytes = entry.encode();
        let position = where_.index(bytes.len());
        bytes[position] ^= flip;
        if let Ok(other) = Entry::decode(&bytes) {
            prop_assert_ne!(&other, &entry);
            prop_assert_eq!(other.encode(), bytes);
        }
    }

    #[test]
    fn every_prefix_and_every_extension_is_refused(at in any::<u64>(), event in any_event()) {
        let mut bytes = Entry { at, event }.encode();
        for cut in 0..bytes.len() {
            prop_assert!(Entry::decode(&bytes[..cut]).is_err());
        }
        bytes.push(0);
        prop_assert!(Entry::decode(&bytes).is_err());
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Entry::decode(&bytes);
    }
}

#[test]
fn an_unknown_kind_or_version_is_refused() {
    let mut bytes =
        Entry { at: 0, event: Event::KeyRevoked { key: [0; 64], reason: String::new() } }.encode();
    bytes[1] = 8;
    assert_eq!(Entry::decode(&bytes), Err(DecodeError::BadValue { field: "kind", found: 8 }));
    bytes[1] = 7;
    bytes[0] = 2;
    assert_eq!(Entry::decode(&bytes), Err(DecodeError::BadValue { field: "version", found: 2 }));
}

#[test]
fn blocks_are_encoded_in_order_and_refused_otherwise() {
    let repair = |blocks| Entry {
        at: 1,
        event: Event::Repair {
            ring_id: [1; 16],
            ring_digest: [2; 32],
            blocks,
            source: "a.ring".into(),
        },
    };
    let mut bytes = repair(vec![7, 3, 7]).encode();
    assert_eq!(Entry::decode(&bytes), Ok(repair(vec![3, 7])));
    let first = 1 + 1 + 8 + 16 + 32 + 4;
    bytes[first] = 9;
    assert_eq!(Entry::decode(&bytes), Err(DecodeError::BadValue { field: "blocks", found: 7 }));
}

#[test]
fn the_encoding_is_frozen() {
    let entry = Entry {
        at: 0x0102_0304_0506_0708,
        event: Event::Alarm {
            ring_id: [0xaa; 16],
            ring_digest: [0xbb; 32],
            block: Some(3),
            name: "fc1".into(),
            part: "body".into(),
            tensor: None,
            bytes: Some([16, 20]),
            reason: "x".into(),
        },
    };
    let mut expected = vec![1, 5, 8, 7, 6, 5, 4, 3, 2, 1];
    expected.extend([0xaa; 16]);
    expected.extend([0xbb; 32]);
    expected.extend([1, 3, 0, 0, 0]);
    expected.extend(b"\x03\0fc1\x04\0body");
    expected.push(0);
    expected.extend([1, 16, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0, 0, 0, 0, 0]);
    expected.extend(b"\x01\0x");
    assert_eq!(entry.encode(), expected);
}

#[test]
fn json_shows_bytes_as_hexadecimal() {
    let entry = Entry {
        at: 5,
        event: Event::Decisions { ring_digest: [0xab; 32], decision_id: [0; 32], count: 2 },
    };
    let json = serde_json::to_value(&entry).unwrap();
    assert_eq!(json["kind"], "decisions");
    assert_eq!(json["at"], 5);
    assert_eq!(json["ring_digest"], "ab".repeat(32));
}
