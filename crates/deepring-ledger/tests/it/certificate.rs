//! Certificates: what is true verifies with two keys alone, and nothing near it does.

use deepring::codec::Writer;
use deepring::keys::{Author, AuthorKey, Node};
use deepring::outline::AuthenticOutline;
use deepring::receipt::Require;
use deepring::{Decision, Digest, SecretKey};
use deepring_ledger::certificate::{CertificateError, Expected};
use deepring_ledger::proof::ProofError;
use deepring_ledger::witness::{CosignatureError, QuorumError, WitnessKey};
use deepring_ledger::{
    Binding, Certificate, Entry, Event, Fault, Ledger, LogTrust, Proof, ValidatorSet, VerifierKey,
};
use proptest::prelude::*;

use crate::authority::{Fixture, by_owner};
use crate::rings::{Sealed, host, owner_key};
use crate::rows::sign_leaves;
use crate::sample::{ORIGIN, Random, by_host, registration_of};
use crate::witnesses::Witness;

/// A recorded decision, with its certificate's parts.
pub(crate) struct Made {
    pub(crate) bench: Fixture,
    decision: Decision,
    pub(crate) certificate: Certificate,
    key: VerifierKey,
}

fn nonce() -> Digest {
    Digest([0x55; 32])
}

pub(crate) fn made(copies: usize) -> Made {
    let mut bench = Fixture::new(copies);
    let set = Event::ValidatorSet(ValidatorSet {
        epoch: 1,
        origin: bench.ledger.key().origin().to_owned(),
        owners: vec![owner_key(0).public()],
        nodes: vec![deepring::PublicKey::from_bytes(std::array::from_fn(|n| n as u8))],
    });
    bench.allowed(&set, &by_owner(0));
    let decision = bench.ring.decide(2, Some(nonce()));
    bench.ledger.record_decision(&decision, &bench.outline, &by_host(0)).unwrap();
    let certificate = Certificate::make(&decision, &bench.ledger, Require::AsDealt).unwrap();
    let key = bench.ledger.key().clone();
    Made { bench, decision, certificate, key }
}

fn expected(key: &VerifierKey) -> Expected<'_> {
    let owner = owner_key(0).public();
    Expected { owner, log: LogTrust::Key(key), require: Require::AsDealt, nonce: Some(nonce()) }
}

fn assemble(outline: &[u8], decision: &[u8], proof: &str, set: &[u8]) -> Vec<u8> {
    let mut w = Writer::new();
    w.raw(b"DCERTIFY").u16(1).bytes(outline).bytes(decision);
    w.bytes(proof.as_bytes()).bytes(set);
    w.finish()
}

fn verify(bytes: &[u8], expected: &Expected<'_>) -> Result<(), CertificateError> {
    Certificate::decode(bytes)?.verify(expected).map(|_| ())
}

#[test]
fn a_certificate_verifies_with_two_keys_and_nothing_else() {
    let Made { bench, decision, certificate, key } = made(2);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.certificate");
    certificate.write(&path).unwrap();
    drop(bench.ledger);
    let read = Certificate::read(&path).unwrap();
    assert_eq!(read, certificate);
    assert_eq!(read.claimed_origin(), key.origin());
    let shown = read.verify(&expected(&key)).unwrap();
    assert_eq!(shown.decision().id(), decision.id());
    assert_eq!((shown.index(), shown.checkpoint().size()), (2, 3));
    assert_eq!(shown.validators().unwrap().epoch, 1);
    let text = shown.to_string();
    for said in ["shown:", "not shown:", "validated by", "revoked", "when:", "nonce"] {
        assert!(text.contains(said), "{said}: {text}");
    }
    let size = certificate.encode().len();
    println!("certificate of 6 blocks, 4 legs, 2 copies: {size} bytes");
    assert!(size < 20_000, "{size}");
}

#[test]
fn a_certificate_says_where_nobody_validated() {
    let Made { certificate, key, .. } = made(1);
    let shown = certificate.verify(&expected(&key)).unwrap();
    assert!(shown.to_string().contains("that nobody validated"), "{shown}");
    let validated = Expected { require: Require::Validated, ..expected(&key) };
    let error = certificate.verify(&validated).unwrap_err();
    assert!(matches!(error, CertificateError::Decision(_)), "{error}");
    assert_eq!(error.fault(), Fault::Untrusted);
}

#[test]
fn another_owner_log_nonce_or_validation_than_expected_is_refused() {
    let Made { certificate, key, .. } = made(2);
    let good = expected(&key);
    let other = Expected { owner: owner_key(1).public(), ..good };
    let error = certificate.verify(&other).unwrap_err();
    assert!(matches!(error, CertificateError::Outline(_)), "{error}");
    assert_eq!(error.fault(), Fault::Untrusted);
    let dir = tempfile::tempdir().unwrap();
    let foreign = crate::sample::ledger_at(dir.path()).unwrap().key().clone();
    let error = certificate.verify(&Expected { log: LogTrust::Key(&foreign), ..good }).unwrap_err();
    assert!(matches!(error, CertificateError::Proof(_)), "{error}");
    let error = certificate.verify(&Expected { nonce: Some(Digest([1; 32])), ..good }).unwrap_err();
    assert!(matches!(error, CertificateError::OtherNonce), "{error}");
    assert_eq!(error.fault(), Fault::Stale);
    certificate.verify(&Expected { nonce: None, ..good }).unwrap();
    let error = certificate.verify(&Expected { require: Require::Majority, ..good }).unwrap_err();
    assert!(matches!(error, CertificateError::Decision(_)), "{error}");
    assert!(certificate.verify(&good).unwrap().validators().is_some());
}

#[test]
fn each_part_of_another_certificate_is_refused() {
    let (a, b) = (made(2), made(2));
    let part = |made: &Made| {
        let outline = made.bench.outline.as_outline().encode();
        let index = made.bench.ledger.find_decision(&made.decision).unwrap().unwrap();
        let proof = made.bench.ledger.prove(index).unwrap().to_string();
        let set = made.bench.ledger.entry(1).unwrap().as_bytes().to_vec();
        (outline, made.decision.encode(), proof, set)
    };
    let (mine, theirs) = (part(&a), part(&b));
    let all = assemble(&mine.0, &mine.1, &mine.2, &mine.3);
    assert_eq!(all, a.certificate.encode());
    let refused = |bytes: Vec<u8>| verify(&bytes, &expected(&a.key)).unwrap_err();
    let error = refused(assemble(&theirs.0, &mine.1, &mine.2, &mine.3));
    assert!(matches!(error, CertificateError::Decision(_)), "{error}");
    let error = refused(assemble(&mine.0, &theirs.1, &mine.2, &mine.3));
    assert!(matches!(error, CertificateError::Decision(_)), "{error}");
    let error = refused(assemble(&mine.0, &mine.1, &theirs.2, &mine.3));
    assert!(matches!(error, CertificateError::Proof(_)), "{error}");
    // A set of another log, and one of this log's name that was signed for another.
    for (named, bound) in [("another.log", "another.log"), (ORIGIN, "another.log")] {
        let set = Event::ValidatorSet(ValidatorSet {
            epoch: 1,
            origin: named.to_owned(),
            owners: vec![owner_key(0).public()],
            nodes: vec![deepring::PublicKey::from_bytes(std::array::from_fn(|n| n as u8))],
        });
        let set = Entry::sign(Binding::new(bound, 1), 1, &set, &by_owner(0)).unwrap();
        let error = refused(assemble(&mine.0, &mine.1, &mine.2, set.as_bytes()));
        assert!(matches!(error, CertificateError::NotItsSet), "{error}");
    }
    let decided = a.bench.ledger.entry(2).unwrap().as_bytes().to_vec();
    let error = refused(assemble(&mine.0, &mine.1, &mine.2, &decided));
    assert!(matches!(error, CertificateError::NotItsSet), "{error}");
    let mut unsigned = mine.3.clone();
    *unsigned.last_mut().unwrap() ^= 1;
    let error = refused(assemble(&mine.0, &mine.1, &mine.2, &unsigned));
    assert!(matches!(error, CertificateError::ValidatorSet(_)), "{error}");
    let of_the_set = a.bench.ledger.prove(1).unwrap().to_string();
    let error = refused(assemble(&mine.0, &mine.1, &of_the_set, &mine.3));
    assert!(matches!(error, CertificateError::OtherEntry), "{error}");
    verify(&assemble(&mine.0, &mine.1, &mine.2, &[]), &expected(&a.key)).unwrap();
    let salted = a.decision.clone().without_salt().encode();
    verify(&assemble(&mine.0, &salted, &mine.2, &mine.3), &expected(&a.key)).unwrap();
    for (at, to) in [(0, b'X'), (8, 2), (9, 1)] {
        let mut bytes = all.clone();
        bytes[at] = to;
        assert!(matches!(refused(bytes), CertificateError::Malformed(_)), "{at}");
    }
    let mut longer = all.clone();
    longer.push(0);
    assert!(matches!(refused(longer), CertificateError::Malformed(_)));
    for cut in (0..all.len()).step_by(97) {
        assert!(verify(&all[..cut], &expected(&a.key)).is_err(), "{cut}");
    }
}

#[test]
fn an_entry_by_who_has_no_authority_or_about_something_else_is_refused() {
    let ring = Sealed::new(0, 2);
    let outline = ring.outline();
    let decision = ring.decide(2, Some(nonce()));
    let dealt = outline.deal_number();
    let event = |ring_digest, decision_id, count| Event::Decisions {
        ring_digest,
        decision_id,
        count,
        dealt,
    };
    let right = event(outline.ring_digest(), decision.id(), 2);
    for (event, author, of_genesis) in [
        (right.clone(), by_host(3), false),
        (right.clone(), by_owner(0), false),
        (event(Digest([1; 32]), decision.id(), 2), by_host(0), true),
        (event(outline.ring_digest(), Digest([1; 32]), 2), by_host(0), true),
        (event(outline.ring_digest(), decision.id(), 3), by_host(0), true),
        (Event::KeyRevoked { reason: String::new() }, by_host(0), true),
    ] {
        let dir = tempfile::tempdir().unwrap();
        drop(crate::sample::ledger_at(dir.path()).unwrap());
        let registered = registration_of(&outline, &by_owner(0));
        let entry = crate::sample::sign(1, &event, &author).unwrap();
        sign_leaves(dir.path(), &[registered.as_bytes(), entry.as_bytes()]);
        let ledger = Ledger::open_read(dir.path(), None).unwrap();
        let proof = ledger.prove(1).unwrap().to_string();
        assert!(Proof::parse(&proof).unwrap().verify(ledger.key()).is_ok());
        let (outline, decided) = (outline.as_outline().encode(), decision.encode());
        let bytes = assemble(&outline, &decided, &proof, &[]);
        let error = verify(&bytes, &expected(ledger.key())).unwrap_err();
        match of_genesis {
            true => assert!(matches!(error, CertificateError::OtherEntry), "{error}"),
            false => assert!(matches!(error, CertificateError::NotOfGenesis), "{error}"),
        }
        // A count of other queries has authority, and still certifies nothing.
        assert!(Certificate::make(&decision, &ledger, Require::AsDealt).is_err());
    }
}

/// A ring that was granted to another host since, and dealt no differently, still certifies.
#[test]
fn what_was_decided_under_an_earlier_revision_is_certified_under_it() {
    let mut bench = Fixture::new(2);
    let decision = bench.ring.decide(1, None);
    bench.ledger.record_decision(&decision, &bench.outline, &by_host(0)).unwrap();
    bench.ledger.register(&bench.ring.granted(9), &by_owner(0)).unwrap();
    let certificate = Certificate::make(&decision, &bench.ledger, Require::AsDealt).unwrap();
    let expected = Expected { nonce: None, ..expected(bench.ledger.key()) };
    certificate.verify(&expected).unwrap();
}

/// Whoever knows a decision's id can put it on the ledger of a ring of his own, or with another count, and first.
#[test]
fn a_decision_is_not_recorded_by_what_others_say_of_its_id() {
    let mut bench = Fixture::new(2);
    let decision = bench.ring.decide(2, None);
    let others = Sealed::new(1, 2).outline();
    bench.ledger.register(&others, &by_owner(1)).unwrap();
    let of = |outline: &AuthenticOutline, count| Event::Decisions {
        ring_digest: outline.ring_digest(),
        decision_id: decision.id(),
        count,
        dealt: outline.deal_number(),
    };
    bench.allowed(&of(&others, 2), &by_host(0));
    bench.allowed(&of(&bench.outline, 1_000_000), &by_host(1));
    assert_eq!(bench.ledger.find_decision(&decision).unwrap(), None);
    let missing = Certificate::make(&decision, &bench.ledger, Require::AsDealt).unwrap_err();
    assert!(matches!(missing, CertificateError::NotRecorded), "{missing}");
    let index = bench.ledger.record_decision(&decision, &bench.outline, &by_host(0)).unwrap();
    assert_eq!(bench.ledger.find_decision(&decision).unwrap(), Some(index));
    let certificate = Certificate::make(&decision, &bench.ledger, Require::AsDealt).unwrap();
    certificate.verify(&Expected { nonce: None, ..expected(bench.ledger.key()) }).unwrap();
}

/// One host, with the stolen key of the copy that validates it.
#[test]
fn what_a_revoked_host_validated_is_not_certified() {
    let mut bench = Fixture::new(2);
    let decision = bench.ring.decide(1, None);
    let ring_id = Some(bench.outline.ring_id());
    let event = Event::HostRevoked { host: host(1), ring_id, reason: "stolen".into() };
    let entry = bench.allowed(&event, &by_owner(0));
    bench.ledger.record_decision(&decision, &bench.outline, &by_host(0)).unwrap();
    match Certificate::make(&decision, &bench.ledger, Require::None) {
        Err(CertificateError::Revoked(revocation)) => assert_eq!(revocation.entry, entry),
        other => panic!("{other:?}"),
    }
}

/// The owner's outline from before the deal, and a decision that one host made up under it.
#[test]
fn a_decision_under_an_earlier_deal_than_the_logs_is_not_certified() {
    let mut bench = Fixture::new(1);
    let decision = bench.ring.decide(1, None);
    let dealt = bench.ring.dealt(2);
    bench.ledger.register(&dealt, &by_owner(0)).unwrap();
    // What the ledger takes of it is an entry that says the newest deal.
    bench.ledger.record_decision(&decision, &bench.outline, &by_host(0)).unwrap_err();
    let index = bench.ledger.record_decision(&decision, &dealt, &by_host(0)).unwrap();
    let proof = bench.ledger.prove(index).unwrap().to_string();
    let outline = bench.outline.as_outline().encode();
    let bytes = assemble(&outline, &decision.encode(), &proof, &[]);
    let error = verify(&bytes, &Expected { nonce: None, ..expected(bench.ledger.key()) });
    let error = error.unwrap_err();
    assert!(matches!(error, CertificateError::OtherDeal { dealt: 0, .. }), "{error}");
}

#[test]
fn no_byte_of_a_certificate_may_change() {
    let Made { certificate, key, .. } = made(2);
    let good = certificate.encode();
    let mut random = Random(11);
    for _ in 0..400 {
        let at = random.below(good.len() as u64) as usize;
        let mut bad = good.clone();
        bad[at] ^= 1 + random.below(255) as u8;
        assert!(verify(&bad, &expected(&key)).is_err(), "byte {at}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_decoded_or_refused(rest in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Certificate::decode(&[b"DCERTIFY\x01\0", &rest[..]].concat());
    }
}

/// A certificate's bytes have a place for the checkpoint's signatures already.
#[test]
fn a_certificate_carries_what_witnesses_signed() {
    let Made { mut bench, decision, key, .. } = made(2);
    let (ledger, witness) = (&mut bench.ledger, Witness::new(1));
    let line = witness.line(ledger.checkpoint(), 5);
    let cosigned = ledger.checkpoint().cosigned(&line, &[witness.key()]).unwrap();
    ledger.keep_cosignatures(&cosigned).unwrap();
    let bytes = Certificate::make(&decision, ledger, Require::AsDealt).unwrap().encode();
    let shown = Certificate::decode(&bytes).unwrap().verify(&expected(&key)).unwrap();
    let found = shown.checkpoint().cosignatures(&[witness.key()]).unwrap();
    assert_eq!(found.iter().map(|c| c.witness().name()).collect::<Vec<_>>(), [witness.name]);
}

/// Nodes in the order of their keys, and their set for a log.
fn nodes(origin: &str) -> (Vec<SecretKey<Node>>, ValidatorSet) {
    let mut keys: Vec<SecretKey<Node>> = (1..=7)
        .map(|n| SecretKey::from_halves(&[0x60 + n; 32], &[0x70 + n; 32]).unwrap())
        .collect();
    keys.sort_by_key(|key| *key.public().as_bytes());
    let set = ValidatorSet {
        epoch: 1,
        origin: origin.to_owned(),
        owners: vec![owner_key(0).public()],
        nodes: keys.iter().map(SecretKey::public).collect(),
    };
    (keys, set)
}

/// The certificate of `made` again, once these nodes cosigned.
fn certified(made: &mut Made, by: &[SecretKey<Node>]) -> Certificate {
    let checkpoint = made.bench.ledger.checkpoint().clone();
    let lines: Vec<String> =
        by.iter().map(|node| checkpoint.body().cosign(node, 1_700_000_000).unwrap()).collect();
    let keys: Vec<WitnessKey> =
        by.iter().map(|node| WitnessKey::of_node(&node.public()).unwrap()).collect();
    if !by.is_empty() {
        let cosigned = checkpoint.cosigned(&lines.concat(), &keys).unwrap();
        made.bench.ledger.keep_cosignatures(&cosigned).unwrap();
    }
    Certificate::make(&made.decision, &made.bench.ledger, Require::AsDealt).unwrap()
}

#[test]
fn a_certificate_is_accepted_by_a_quorum_of_the_set_and_by_no_fewer() {
    let mut made = made(2);
    let (keys, set) = nodes(made.key.origin());
    assert_eq!((set.quorum(), set.nodes.len()), (5, 7));
    let owner = owner_key(0).public();
    let trusting = |set| Expected {
        owner,
        log: LogTrust::Validators(set),
        require: Require::AsDealt,
        nonce: Some(nonce()),
    };
    for (count, enough) in [(0, false), (4, false), (5, true), (7, true)] {
        let certificate = certified(&mut made, &keys[..count]);
        match certificate.verify(&trusting(&set)) {
            Ok(shown) => {
                assert!(enough, "{count}");
                assert_eq!(shown.cosigned_by().len(), count);
                let text = shown.to_string();
                assert!(text.contains(&format!("{count} nodes of the validator set")), "{text}");
                assert!(text.contains("taken over since"), "{text}");
            }
            Err(e) => {
                assert!(!enough, "{count}: {e}");
                let few = QuorumError::NoQuorum { found: count, nodes: 7, needed: 5, epoch: 1 };
                let few = CertificateError::Proof(ProofError::Quorum(few));
                assert_eq!(e.to_string(), few.to_string());
                assert_eq!(e.fault(), Fault::Untrusted);
            }
        }
    }
    // Who trusts the log's key is told of no node.
    let certificate = certified(&mut made, &keys);
    assert!(certificate.verify(&expected(&made.key)).unwrap().cosigned_by().is_empty());
    // The nodes' word about this log is none about another.
    let (_, elsewhere) = nodes("example.org/elsewhere");
    let error = certificate.verify(&trusting(&elsewhere)).unwrap_err();
    assert_eq!(error.fault(), Fault::Untrusted, "{error}");
}

#[test]
fn a_set_in_which_one_party_counts_twice_is_refused() {
    let mut made = made(2);
    let (keys, set) = nodes(made.key.origin());
    let certificate = certified(&mut made, &keys);
    let owner = owner_key(0).public();
    let refused = |set: &ValidatorSet| {
        let expected = Expected {
            owner,
            log: LogTrust::Validators(set),
            require: Require::AsDealt,
            nonce: None,
        };
        certificate.verify(&expected).unwrap_err()
    };
    let exchanged = |edit: &dyn Fn(&mut [u8; 64], &[u8; 64])| {
        let mut set = set.clone();
        let (first, mut second) = (*set.nodes[0].as_bytes(), *set.nodes[1].as_bytes());
        edit(&mut second, &first);
        set.nodes[1] = deepring::PublicKey::from_bytes(second);
        set
    };
    let sets = [
        exchanged(&|second, first| second[32..].copy_from_slice(&first[32..])),
        exchanged(&|second, first| second[..32].copy_from_slice(&first[..32])),
        exchanged(&|second, first| second[32..].copy_from_slice(&first[..32])),
        exchanged(&|second, first| second[..32].copy_from_slice(&first[32..])),
        exchanged(&|second, first| {
            second[32..].copy_from_slice(&first[..32]);
            second[..32].copy_from_slice(&first[32..]);
        }),
        exchanged(&|second, _| second.copy_within(32.., 0)),
        // Of small order, and no point at all.
        exchanged(&|second, _| second[32..].copy_from_slice(&[&[1], [0; 31].as_slice()].concat())),
        exchanged(&|second, _| second[32..].copy_from_slice(&[&[2], [0; 31].as_slice()].concat())),
        ValidatorSet { nodes: Vec::new(), ..set.clone() },
    ];
    for set in &sets {
        let error = refused(set);
        assert_eq!(error.fault(), Fault::Untrusted, "{error}");
        let counted = error.to_string().contains(if set.nodes.is_empty() {
            "are needed"
        } else {
            "cannot be counted"
        });
        assert!(counted, "{error}");
    }
}

#[test]
fn the_second_half_of_a_node_key_cosigns_and_the_first_does_not() {
    let made = made(2);
    let body = made.bench.ledger.checkpoint().body();
    let (first, second) = ([0x61; 32], [0x71; 32]);
    let node = SecretKey::<Node>::from_halves(&first, &second).unwrap();
    let keys = [WitnessKey::of_node(&node.public()).unwrap()];
    let cosigned = |by: &SecretKey<Node>| {
        let line = body.cosign(by, 1_700_000_000).unwrap();
        made.bench.ledger.checkpoint().cosigned(&line, &keys).map(|cosigned| cosigned.added().len())
    };
    assert_eq!(cosigned(&node), Ok(1));
    let exchanged = SecretKey::<Node>::from_halves(&second, &first).unwrap();
    assert_eq!(cosigned(&exchanged), Err(CosignatureError::Unknown));
    // Nor is a cosignature a record that the node signed.
    let entry = [7; 40];
    let author = Author::Node(node.public());
    assert!(
        author.has_signed_entry(&entry, &AuthorKey::Node(node.clone()).sign_entry(&entry).unwrap())
    );
    assert!(!author.has_signed_entry(&entry, &node.cosign(1, "a note\n")));
}
