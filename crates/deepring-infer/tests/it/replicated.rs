//! Dealt rings: every leg by its copies, which validate each other, in one process.

use deepring::deal::Copies;
use deepring::receipt::{Require, Standing};
use deepring::replication::CopyFault;
use deepring::{Check, Digest};
use deepring_infer::{RunError, Session, SessionOptions, Validate};

use crate::live_memory::flip;
use crate::zoo::{Sealed, answer, copies, host, images, network};
use deepring_infer::CutPolicy;

const LEGS: [(u32, u32, u8); 4] = [(1, 1, 1), (2, 2, 2), (3, 4, 3), (5, 5, 4)];

/// LeNet's five blocks in four legs.
fn lenet(of: Copies) -> Sealed {
    Sealed::dealt(&network("fashion-lenet5"), &LEGS, copies(of))
}

fn session(ring: &Sealed, seeds: &[u8], validation: Validate) -> Result<Session, RunError> {
    let keys: Vec<_> = seeds.iter().map(|seed| host(*seed)).collect();
    let options = SessionOptions {
        check: Check::Run,
        threads: 1.try_into().ok(),
        validation,
        ..SessionOptions::default()
    };
    Session::open(ring.ring(), &keys, options)
}

#[test]
fn a_dealt_ring_answers_as_one_host_does_and_every_leg_is_validated() {
    let input = images(0, 3);
    let alone = Sealed::new(&network("fashion-lenet5"), CutPolicy::Op);
    let wanted = answer(&alone.session(Check::Run), &input);
    for (of, validators) in [(Copies::Two, 1), (Copies::Three, 1)] {
        let ring = lenet(of);
        let session = session(&ring, &[1, 2, 3, 4], Validate::AsDealt).unwrap();
        let outcome = session.run(vec![input.clone()]).unwrap();
        assert_eq!(outcome.outputs[0][0], wanted);
        assert!(outcome.named.is_empty(), "{:?}", outcome.named);
        let decision = outcome.decision.verify(ring.ring().outline(), Require::AsDealt).unwrap();
        assert_eq!(decision.legs().len(), 4);
        for (leg, (first, last, seed)) in decision.legs().iter().zip(LEGS) {
            assert_eq!(
                (leg.first_block, leg.end_block, leg.host),
                (first, last + 1, host(seed).public())
            );
            let neighbour = host(seed % 4 + 1).public();
            match (&leg.standing, of) {
                (Standing::Validated { by }, Copies::Two) => assert_eq!(*by, neighbour),
                (Standing::Majority { by }, Copies::Three) => {
                    assert_eq!((by.len(), by[0]), (validators, neighbour));
                }
                (other, _) => panic!("{other}"),
            }
        }
    }
}

#[test]
fn an_eager_deal_has_three_copies_compute_each_time() {
    let mut plan = copies(Copies::Three);
    plan.eager = true;
    let ring = Sealed::dealt(&network("fashion-lenet5"), &LEGS, plan);
    let session = session(&ring, &[1, 2, 3, 4], Validate::AsDealt).unwrap();
    let outcome = session.run(vec![images(0, 1)]).unwrap();
    let decision = outcome.decision.verify(ring.ring().outline(), Require::Majority).unwrap();
    for leg in decision.legs() {
        assert!(
            matches!(&leg.standing, Standing::Majority { by } if by.len() == 2),
            "{}",
            leg.standing
        );
    }
}

#[test]
fn a_batch_with_a_nonce_is_validated_as_one() {
    let ring = lenet(Copies::Two);
    let mut session = session(&ring, &[1, 2, 3, 4], Validate::AsDealt).unwrap();
    session.set_nonce(Some(Digest([9; 32])));
    let batch: Vec<_> = (0..3).map(|i| vec![images(i, i + 1)]).collect();
    let outcome = session.run_batch(batch).unwrap();
    let decision = outcome.decision.verify(ring.ring().outline(), Require::Validated).unwrap();
    assert_eq!((decision.items().len(), decision.nonce()), (3, Some(Digest([9; 32]))));
}

#[test]
fn with_too_few_keys_a_dealt_ring_is_not_run_unless_unvalidated_is_asked_for() {
    let ring = lenet(Copies::Two);
    match session(&ring, &[1, 2, 3], Validate::AsDealt) {
        // Leg 3 is dealt to hosts 3 and 4.
        Err(RunError::TooFewCopies { block: 3, lacking, .. }) => {
            assert_eq!(lacking, host(4).public().short());
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        session(&ring, &[1, 2], Validate::AsDealt),
        Err(RunError::NoKey { block: 3, .. }) | Err(RunError::TooFewCopies { .. })
    ));
    // Hosts 1 and 3 hold all blocks between them.
    let alone = session(&ring, &[1, 3], Validate::Nobody).unwrap();
    let outcome = alone.run(vec![images(0, 1)]).unwrap();
    let ring = ring.ring();
    let unvalidated = outcome.decision.verify(ring.outline(), Require::None).unwrap();
    assert!(unvalidated.legs().iter().all(|leg| leg.standing == Standing::Unvalidated));
    for require in [Require::AsDealt, Require::Validated, Require::Majority] {
        let refused = outcome.decision.verify(ring.outline(), require).unwrap_err();
        assert!(refused.to_string().contains("unvalidated"), "{refused}");
    }
}

#[test]
fn with_three_copies_a_host_that_refuses_its_own_memory_is_passed_over() {
    let input = images(0, 2);
    for (of, goes_on) in [(Copies::Two, false), (Copies::Three, true)] {
        let ring = lenet(of);
        let session = session(&ring, &[1, 2, 3, 4], Validate::AsDealt).unwrap();
        let wanted = answer(&session, &input);
        // The first host of the leg of blocks 3 and 4.
        flip(session.live_bytes(3).unwrap(), 5, 0x40);
        match (session.run(vec![input.clone()]), goes_on) {
            (Ok(outcome), true) => {
                assert_eq!(outcome.outputs[0][0], wanted);
                let named: Vec<_> = outcome.named.iter().map(|n| n.host).collect();
                assert_eq!(named, [host(3).public()]);
                assert!(matches!(outcome.named[0].fault, CopyFault::Absent));
                let decision =
                    outcome.decision.verify(ring.ring().outline(), Require::AsDealt).unwrap();
                assert_eq!(decision.legs()[2].host, host(4).public());
                assert_eq!(session.alarms().len(), 1);
            }
            (Err(RunError::Tampered(finding)), false) => assert_eq!(finding.block, Some(3)),
            (other, _) => panic!("{other:?}"),
        }
    }
}

/// A host that checks nothing and computes with other parameters than were sealed gives outputs that nobody asked for: whether
/// it was tampered with or lies, the others cannot tell, and need not.
#[test]
fn other_outputs_of_one_copy_are_disputed_by_two_and_outvoted_by_three() {
    let input = images(0, 2);
    let unchecked = |ring: &Sealed| {
        let keys: Vec<_> = [1, 2, 3, 4].map(host).to_vec();
        let threads = 1.try_into().ok();
        let options = SessionOptions { check: Check::Load, threads, ..SessionOptions::default() };
        Session::open(ring.ring(), &keys, options).unwrap()
    };
    for of in [Copies::Two, Copies::Three] {
        let ring = lenet(of);
        let session = unchecked(&ring);
        let wanted = answer(&session, &input);
        // In the memory of host 3, the primary of the leg of blocks 3 and 4: an exponent's high bit, of a weight that counts.
        let header = &ring.ring().headers()[3].clone();
        let weight = header.parts.iter().find(|p| p.label() == "fc1.weight").unwrap();
        for at in (0..weight.len as usize).step_by(4 * 97) {
            flip(session.live_bytes(3).unwrap(), weight.offset as usize + at + 3, 0x20);
        }
        match (session.run(vec![input.clone()]), of) {
            (Err(RunError::Disputed { block: 3, named, .. }), Copies::Two) => {
                let mut hosts: Vec<_> = named.iter().map(|n| n.host).collect();
                let mut both = vec![host(3).public(), host(4).public()];
                hosts.sort_by_key(|h| *h.as_bytes());
                both.sort_by_key(|h| *h.as_bytes());
                assert_eq!(hosts, both, "neither is believed against the other");
                for n in &named {
                    let CopyFault::Disputed(evidence) = &n.fault else { panic!("{:?}", n.fault) };
                    evidence.verify(ring.ring().outline()).unwrap();
                    assert!(!evidence.is_proof());
                }
            }
            (Ok(outcome), Copies::Three) => {
                assert_eq!(outcome.outputs[0][0], wanted, "the majority's answer is the right one");
                let [named] = &outcome.named[..] else { panic!("{:?}", outcome.named) };
                assert_eq!(named.host, host(3).public());
                let CopyFault::Outvoted(evidence) = &named.fault else {
                    panic!("{:?}", named.fault)
                };
                evidence.verify(ring.ring().outline()).unwrap();
                assert!(evidence.is_proof() && evidence.names() == [host(3).public()]);
                let outline = ring.ring();
                let decision =
                    outcome.decision.verify(outline.outline(), Require::Majority).unwrap();
                assert_eq!(decision.legs()[2].host, host(4).public());
            }
            (other, _) => panic!("{other:?}"),
        }
    }
}
