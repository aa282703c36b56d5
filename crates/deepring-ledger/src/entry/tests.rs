use deepring::codec::DecodeError;
use deepring::keys::Node;
use deepring::{Host, Owner, PublicKey, RingId, SecretKey};
use proptest::prelude::*;

use super::*;

fn author() -> AuthorKey {
    SecretKey::<Host>::from_halves(&[1; 32], &[2; 32]).unwrap().into()
}

/// Signed for a log named `log`, as its author's entry of number `at`, or the first.
fn sign(at: u64, event: &Event, author: &AuthorKey) -> Result<Entry, EntryError> {
    Entry::sign(Binding::new("log", at.max(1)), at, event, author)
}

fn authors() -> impl Strategy<Value = AuthorKey> {
    (0..3_u8, any::<[u8; 32]>()).prop_map(|(role, seed)| match role {
        0 => SecretKey::<Owner>::from_halves(&seed, &[2; 32]).unwrap().into(),
        1 => SecretKey::<Host>::from_halves(&seed, &[2; 32]).unwrap().into(),
        _ => SecretKey::<Node>::from_halves(&seed, &[2; 32]).unwrap().into(),
    })
}

fn wide() -> impl Strategy<Value = [u8; 64]> {
    any::<([u8; 32], [u8; 32])>().prop_map(|(a, b)| {
        let mut out = [0; 64];
        out[..32].copy_from_slice(&a);
        out[32..].copy_from_slice(&b);
        out
    })
}

fn digests() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest)
}

fn ring() -> impl Strategy<Value = (RingId, Digest)> {
    (any::<[u8; 16]>().prop_map(RingId), digests())
}

fn blocks() -> impl Strategy<Value = Vec<u32>> {
    proptest::collection::btree_set(any::<u32>(), 1..9).prop_map(|set| set.into_iter().collect())
}

fn host() -> impl Strategy<Value = PublicKey<Host>> {
    wide().prop_map(PublicKey::from_bytes)
}

fn keys<R: deepring::keys::Role>() -> impl Strategy<Value = Vec<PublicKey<R>>> {
    let keys = proptest::collection::vec(wide(), 1..5);
    keys.prop_map(|mut keys| {
        keys.sort_unstable();
        keys.dedup();
        keys.into_iter().map(PublicKey::from_bytes).collect()
    })
}

fn audit() -> impl Strategy<Value = Audit> {
    let by = proptest::option::of((host(), wide()));
    (any::<[u8; 32]>(), digests(), by).prop_map(|(nonce, digest, by)| Audit {
        nonce,
        digest,
        countersignature: by.map(|(host, signature)| Countersignature { host, signature }),
    })
}

/// Events of every kind but those with an outline and with evidence, which have tests of their own.
fn events() -> impl Strategy<Value = Event> {
    prop_oneof![
        (ring(), any::<bool>(), ".*").prop_map(|((ring_id, digest), all, reason)| {
            let ring_digest = (!all).then_some(digest);
            Event::RingRevoked { ring_id, ring_digest, reason }
        }),
        (digests(), digests(), any::<(u32, u32)>()).prop_map(
            |(ring_digest, decision_id, (count, dealt))| Event::Decisions {
                ring_digest,
                decision_id,
                count,
                dealt
            }
        ),
        (
            (ring(), host()),
            any::<Option<u32>>(),
            (".*", ".*", ".*"),
            proptest::option::of(".*"),
            any::<Option<[u64; 2]>>()
        )
            .prop_map(
                |(((ring_id, ring_digest), accused), block, texts, tensor, bytes)| {
                    let (name, part, reason) = texts;
                    Event::Alarm {
                        ring_id,
                        ring_digest,
                        accused,
                        block,
                        name,
                        part,
                        tensor,
                        bytes,
                        reason,
                        evidence: None,
                    }
                }
            ),
        (ring(), blocks(), ".*", audit()).prop_map(
            |((ring_id, ring_digest), blocks, source, audit)| {
                Event::Repair { ring_id, ring_digest, blocks, source, audit }
            }
        ),
        ".*".prop_map(|reason| Event::KeyRevoked { reason }),
        (any::<u64>(), ".*", keys(), keys()).prop_map(|(epoch, origin, owners, nodes)| {
            Event::ValidatorSet(ValidatorSet { epoch, origin, owners, nodes })
        }),
        (host(), ring(), any::<bool>(), ".*").prop_map(|(host, (id, _), all, reason)| {
            Event::HostRevoked { host, ring_id: (!all).then_some(id), reason }
        }),
        (wide(), wide()).prop_map(|(key, signature)| Event::OwnerRotated {
            new_owner: PublicKey::from_bytes(key),
            signature
        }),
        (ring(), host(), blocks(), ".*").prop_map(
            |((ring_id, ring_digest), host, blocks, reason)| {
                Event::QuarantineLifted { ring_id, ring_digest, host, blocks, reason }
            }
        ),
    ]
}

fn read(bytes: &[u8]) -> Result<Entry, EntryError> {
    UnverifiedEntry::decode(bytes)?.verify()
}

proptest! {
    #[test]
    fn what_was_signed_reads_back(at in any::<u64>(), event in events(), key in authors()) {
        let entry = sign(at, &event, &key).unwrap();
        prop_assert_eq!((entry.at(), *entry.author()), (at, key.public()));
        prop_assert_eq!(entry.event(), &event);
        let again = read(entry.as_bytes()).unwrap();
        prop_assert_eq!(again.event(), &event);
        prop_assert_eq!(again, entry);
    }

    /// The signature covers every byte before it, and itself has one form.
    #[test]
    fn a_changed_byte_is_refused(
        event in events(), key in authors(), at in any::<prop::sample::Index>(), flip in 1_u8..
    ) {
        let mut bytes = sign(7, &event, &key).unwrap().as_bytes().to_vec();
        let position = at.index(bytes.len());
        bytes[position] ^= flip;
        prop_assert!(read(&bytes).is_err());
    }

    #[test]
    fn what_is_decoded_has_one_form(
        event in events(), at in any::<prop::sample::Index>(), flip in 1_u8..
    ) {
        let mut bytes = sign(7, &event, &author()).unwrap().as_bytes().to_vec();
        let position = at.index(bytes.len());
        bytes[position] ^= flip;
        if let Ok(UnverifiedEntry(other)) = UnverifiedEntry::decode(&bytes) {
            let unsigned = codec::encode_unsigned(
                other.binding(),
                other.at,
                &other.author,
                &other.event,
            );
            prop_assert_eq!(&unsigned[..], &bytes[..bytes.len() - 64]);
        }
    }

    #[test]
    fn every_prefix_and_every_extension_is_refused(event in events()) {
        let mut bytes = sign(7, &event, &author()).unwrap().as_bytes().to_vec();
        for cut in 0..bytes.len() {
            prop_assert!(UnverifiedEntry::decode(&bytes[..cut]).is_err());
        }
        bytes.push(0);
        prop_assert!(UnverifiedEntry::decode(&bytes).is_err());
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(
        kind in 0..14_u8, rest in proptest::collection::vec(any::<u8>(), 0..300)
    ) {
        let _ = UnverifiedEntry::decode(&[&[3, kind][..], &rest].concat());
    }
}

fn revoked() -> Vec<u8> {
    let event = Event::KeyRevoked { reason: String::new() };
    sign(0, &event, &author()).unwrap().as_bytes().to_vec()
}

#[test]
fn an_unknown_kind_role_or_version_is_refused() {
    let refused = |at: usize, value: u8| {
        let mut bytes = revoked();
        bytes[at] = value;
        UnverifiedEntry::decode(&bytes).unwrap_err()
    };
    let bad = |field, found| EntryError::Malformed(DecodeError::BadValue { field, found });
    assert_eq!(refused(0, 4), bad("version", 4));
    assert_eq!(refused(1, 0), bad("kind", 0));
    assert_eq!(refused(1, 13), bad("kind", 13));
    assert_eq!(refused(50, 3), bad("author role", 3));
    // Everything but decisions has a number, and they have none.
    assert_eq!(refused(42, 0), bad("sequence", 0));
    assert_eq!(refused(1, 4), bad("sequence", 1));
}

#[test]
fn an_entry_of_an_earlier_version_is_refused_with_a_hint() {
    for version in [1, 2] {
        let mut bytes = revoked();
        bytes[0] = version;
        let error = UnverifiedEntry::decode(&bytes).unwrap_err();
        assert_eq!(error, EntryError::OldVersion { version });
        assert!(error.to_string().contains("begin a new one"), "{error}");
    }
}

#[test]
fn a_signature_of_another_key_or_of_none_is_refused() {
    let mut bytes = revoked();
    let at = bytes.len() - 64;
    bytes[at..].fill(0);
    assert_eq!(read(&bytes), Err(EntryError::NotSigned));
    let other = SecretKey::<Host>::from_halves(&[3; 32], &[2; 32]).unwrap();
    let signature = AuthorKey::Host(other).sign_entry(&bytes[..at]).unwrap();
    bytes[at..].copy_from_slice(&signature);
    assert_eq!(read(&bytes), Err(EntryError::NotSigned));
}

#[test]
fn an_entry_too_large_for_a_tile_is_not_made() {
    let repair = |blocks: u32| Event::Repair {
        ring_id: RingId([1; 16]),
        ring_digest: Digest([2; 32]),
        blocks: (0..blocks).collect(),
        source: String::new(),
        audit: Audit::none(),
    };
    let empty = sign(0, &repair(1), &author()).unwrap().as_bytes().len() - 4;
    let most = ((MAX_ENTRY_BYTES - empty) / 4) as u32;
    let entry = sign(0, &repair(most), &author()).unwrap();
    assert!(entry.as_bytes().len() <= usize::from(u16::MAX));
    let refused = sign(0, &repair(most + 1), &author());
    assert!(matches!(refused, Err(EntryError::TooLarge { .. })));
}

#[test]
fn lists_are_put_in_order_and_refused_otherwise() {
    let repair = |blocks| Event::Repair {
        ring_id: RingId([1; 16]),
        ring_digest: Digest([2; 32]),
        blocks,
        source: "a.ring".into(),
        audit: Audit::none(),
    };
    let entry = sign(1, &repair(vec![7, 3, 7]), &author()).unwrap();
    assert_eq!(entry.event(), &repair(vec![3, 7]));
    let mut bytes = entry.as_bytes().to_vec();
    let first = 1 + 1 + 8 + 40 + 65 + 16 + 32 + 4;
    bytes[first] = 9;
    let bad = |field, found| EntryError::Malformed(DecodeError::BadValue { field, found });
    assert_eq!(UnverifiedEntry::decode(&bytes), Err(bad("blocks", 7)));
    assert_eq!(sign(1, &repair(vec![]), &author()), Err(bad("blocks", 0)));

    let set = |owners: &[u8], nodes: &[u8]| {
        Event::ValidatorSet(ValidatorSet {
            epoch: 1,
            origin: "example.com/log".into(),
            owners: owners.iter().map(|n| PublicKey::from_bytes([*n; 64])).collect(),
            nodes: nodes.iter().map(|n| PublicKey::from_bytes([*n; 64])).collect(),
        })
    };
    let entry = sign(1, &set(&[2, 1, 2], &[4, 3]), &author()).unwrap();
    assert_eq!(entry.event(), &set(&[1, 2], &[3, 4]));
    assert_eq!(sign(1, &set(&[], &[3]), &author()), Err(bad("owners", 0)));
    assert_eq!(sign(1, &set(&[1], &[]), &author()), Err(bad("nodes", 0)));
    let mut bytes = entry.as_bytes().to_vec();
    let first_owner = 1 + 1 + 8 + 40 + 65 + 8 + 2 + 15 + 4;
    bytes[first_owner] = 9;
    assert_eq!(UnverifiedEntry::decode(&bytes), Err(bad("owners", 1)));
}

#[test]
fn a_long_text_is_cut_and_the_entry_says_so() {
    let event = Event::KeyRevoked { reason: "é".repeat(4096) };
    let entry = sign(1, &event, &author()).unwrap();
    assert_eq!(entry.event(), &Event::KeyRevoked { reason: "é".repeat(2048) });
}

#[test]
fn the_encoding_is_frozen() {
    let event = Event::Alarm {
        ring_id: RingId([0xaa; 16]),
        ring_digest: Digest([0xbb; 32]),
        accused: PublicKey::from_bytes([0xcc; 64]),
        block: Some(3),
        name: "fc1".into(),
        part: "body".into(),
        tensor: None,
        bytes: Some([16, 20]),
        reason: "x".into(),
        evidence: None,
    };
    let entry = sign(0x0102_0304_0506_0708, &event, &author()).unwrap();
    let mut expected = vec![3, 5, 8, 7, 6, 5, 4, 3, 2, 1];
    expected.extend(deepring::keys::log_digest("log").0);
    expected.extend([8, 7, 6, 5, 4, 3, 2, 1, 1]);
    expected.extend(author().public().as_bytes());
    expected.extend([0xaa; 16]);
    expected.extend([0xbb; 32]);
    expected.extend([0xcc; 64]);
    expected.extend([1, 3, 0, 0, 0]);
    expected.extend(b"\x03\0fc1\x04\0body");
    expected.push(0);
    expected.extend([1, 16, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0, 0, 0, 0, 0]);
    expected.extend(b"\x01\0x");
    expected.extend([0; 4]);
    let signature = author().sign_entry(&expected).unwrap();
    expected.extend(signature);
    assert_eq!(entry.as_bytes(), expected);
}

#[test]
fn json_shows_bytes_as_hexadecimal_and_keys_as_text() {
    let event = Event::Decisions {
        ring_digest: Digest([0xab; 32]),
        decision_id: Digest([0; 32]),
        count: 2,
        dealt: 5,
    };
    let entry = sign(5, &event, &author()).unwrap();
    let json = serde_json::to_value(&entry).unwrap();
    assert_eq!(json["kind"], "decisions");
    assert_eq!(json["at"], 5);
    assert_eq!(json["ring_digest"], "ab".repeat(32));
    assert_eq!(json["author"], author().public().to_string());
}

#[test]
fn a_statement_binds_entry_ring_nonce_answer_host_and_blocks() {
    let bound = Binding::new("log", 6);
    let host = |n: u8| SecretKey::<Host>::from_halves(&[n; 32], &[2; 32]).unwrap();
    let audit = Audit { nonce: [1; 32], digest: Digest([2; 32]), countersignature: None };
    let (ring, repaired) = (Digest([3; 32]), host(4).public());
    let by = audit.countersign(bound, &ring, &[5, 6], &repaired, &host(7));
    assert!(by.is_over(&audit.statement(bound, &ring, &[6, 5, 5], &repaired)));
    let other = Audit { nonce: [9; 32], ..audit.clone() };
    let another = Audit { digest: Digest([9; 32]), ..audit.clone() };
    for statement in [
        audit.statement(Binding::new("log", 7), &ring, &[5, 6], &repaired),
        audit.statement(Binding::new("gol", 6), &ring, &[5, 6], &repaired),
        audit.statement(bound, &Digest([9; 32]), &[5, 6], &repaired),
        audit.statement(bound, &ring, &[5], &repaired),
        audit.statement(bound, &ring, &[5, 6], &host(7).public()),
        other.statement(bound, &ring, &[5, 6], &repaired),
        another.statement(bound, &ring, &[5, 6], &repaired),
    ] {
        assert!(!by.is_over(&statement));
    }
    let stranger = Countersignature { host: host(8).public(), ..by };
    assert!(!stranger.is_over(&audit.statement(bound, &ring, &[5, 6], &repaired)));
}
