//! An arbiter rules on what the copies of a leg signed against each other, whoever hands it the dispute.

use std::sync::Arc;

use deepring::deal::Copies;
use deepring::receipt::{Agreement, ComputedWith};
use deepring::replication::{Dispute, OpenedDispute};
use deepring::{Check, Digest};
use deepring_infer::arbitration::Ruling;
use deepring_infer::engine::Racing;
use deepring_infer::{RingHost, Rten};

use super::doubles::{Double, LIES, objects_under_another_engine};
use super::world::{Fixture, HOSTS, STEADY, World, alike, arbiter, in_last_bits};
use super::{opener, unlike};

/// A fixture's arbiter, with every block opened.
fn arbiter_of(fixture: &Fixture, engine: Arc<Racing<Rten>>) -> RingHost<Racing<Rten>> {
    let ring = Arc::new(fixture.granted(&arbiter().public()));
    RingHost::open(ring, engine, arbiter(), 1..5, Check::Run, &|_| ()).unwrap()
}

fn opened(fixture: &Fixture, dispute: &Dispute) -> OpenedDispute {
    let bytes = dispute.encode();
    Dispute::decode(&bytes).unwrap().open(fixture.ring.outline(), &arbiter()).unwrap()
}

fn ruled(fixture: &Fixture, by: &RingHost<Racing<Rten>>, dispute: &Dispute) -> Ruling {
    by.arbitrate(&opened(fixture, dispute)).unwrap()
}

/// The disputes of a query with one liar, with the host that handed each out.
fn disputes(fixture: &Fixture, liar: usize, double: Double) -> Vec<(usize, Dispute)> {
    let mut world = World::new(fixture, STEADY, 1).with(liar, double);
    world.open(opener(liar), 6);
    world.run().disputes
}

#[test]
fn of_two_copies_that_contradict_each_other_the_liar_is_found_and_nobody_else_ever_is() {
    let fixture = Fixture::new(Copies::Two, false, &alike);
    let arbiter = arbiter_of(&fixture, alike(0));
    let mut found = 0;
    for (lie, _, double) in LIES {
        for liar in 0..HOSTS {
            for (by, dispute) in disputes(&fixture, liar, double()) {
                let ruling = ruled(&fixture, &arbiter, &dispute);
                let what = format!("{lie}, host {liar}, handed out by {by}: {ruling:?}");
                assert!(ruling.is_decided(), "{what}");
                // A liar that signed the right outputs and objects to them signs outputs of its own all the same.
                assert!(ruling.wrong().iter().all(|host| *host == World::key(liar)), "{what}");
                if by != liar {
                    assert_eq!(ruling.wrong(), [World::key(liar)], "{what}");
                    found += 1;
                }
            }
        }
    }
    assert!(found >= HOSTS, "{found} disputes");
}

#[test]
fn honest_copies_and_a_ring_without_an_arbiter_hand_out_no_dispute() {
    for of in [Copies::Two, Copies::Three] {
        let fixture = Fixture::new(of, false, &alike);
        assert!(disputes(&fixture, 1, Double::honest()).is_empty());
    }
    // Three copies prove it: nobody has to rule.
    let fixture = Fixture::new(Copies::Three, false, &alike);
    let (_, _, double) = LIES[0];
    let handed_out = disputes(&fixture, 1, double());
    assert!(handed_out.iter().all(|(by, _)| *by == 1), "{}", handed_out.len());
}

#[test]
fn copies_of_unlike_engines_are_ruled_on_within_the_tolerance() {
    for of in [Copies::Two, Copies::Three] {
        let fixture = Fixture::new(of, false, &unlike);
        let arbiter = arbiter_of(&fixture, unlike(HOSTS));
        let (_, _, double) = LIES[0];
        let mut found = 0;
        for liar in 0..HOSTS {
            for (by, dispute) in disputes(&fixture, liar, double()) {
                let ruling = ruled(&fixture, &arbiter, &dispute);
                let what = format!("{of:?}, host {liar}, handed out by {by}: {ruling:?}");
                assert!(ruling.wrong().iter().all(|host| *host == World::key(liar)), "{what}");
                let near = |a: &Option<Agreement>| {
                    matches!(a, Some(Agreement::Near { .. } | Agreement::Same))
                };
                if by != liar && of == Copies::Two {
                    assert!(ruling.is_decided(), "{what}");
                    assert_eq!(ruling.wrong(), [World::key(liar)], "{what}");
                    assert!(ruling.claims().iter().any(|c| near(&c.agreement)), "{what}");
                    found += 1;
                }
                // Without the outputs nothing can be compared, and nobody is wrong.
                let opened = opened(&fixture, &dispute);
                let entered = (dispute.chain().clone(), opened.salt(), opened.inputs());
                let arbiter_key = super::world::arbiter().public();
                let mut random = |out: &mut [u8]| {
                    out.fill(3);
                    Ok(())
                };
                let evidence = opened.evidence().clone();
                let bare = Dispute::seal(evidence, entered, &[], &arbiter_key, &mut random);
                let bare = ruled(&fixture, &arbiter, &bare.unwrap());
                assert!(!bare.is_decided() && bare.wrong().is_empty(), "{bare:?}");
            }
        }
        assert!(of == Copies::Three || found >= HOSTS, "{found} disputes");
    }
}

#[test]
fn a_copy_that_contradicts_itself_under_two_engines_stops_no_answer_without_a_dispute() {
    let fixture = Fixture::new(Copies::Two, false, &alike);
    let arbiter = arbiter_of(&fixture, alike(0));
    for liar in 0..HOSTS {
        let mut world = World::new(&fixture, STEADY, 1).with(liar, objects_under_another_engine());
        world.open(opener(liar), 6);
        let world = world.run();
        world.verify(&format!("host {liar}"), Some(liar));
        let mut by_honest = world.disputes.iter().filter(|(by, _)| *by != liar);
        assert!(world.is_answered(Some(liar)) || by_honest.next().is_some(), "host {liar}");
        for (by, dispute) in &world.disputes {
            let wrong = ruled(&fixture, &arbiter, dispute).wrong();
            assert!(wrong.iter().all(|host| *host == World::key(liar)), "{by}: {wrong:?}");
        }
    }
}

/// One of two that state the same engine is a few last bits off. Whoever computes with something else cannot tell which.
#[test]
fn a_lie_within_the_tolerance_is_decided_only_where_the_bits_are_those_of_a_party() {
    let fixture = Fixture::new(Copies::Two, false, &alike);
    let stating = |name: &str| {
        let states = ComputedWith::new(name, Digest::NONE, "processor", 1).unwrap();
        Arc::new(Racing::new(Rten::new(1.try_into().ok()), |_| ()).stating(states))
    };
    let like = arbiter_of(&fixture, alike(0));
    let unlike = arbiter_of(&fixture, stating("another engine"));
    let mut found = 0;
    for (by, dispute) in disputes(&fixture, 1, Double::with(vec![in_last_bits])) {
        assert_eq!(ruled(&fixture, &like, &dispute).wrong(), [World::key(1)], "{by}");
        let ruling = ruled(&fixture, &unlike, &dispute);
        assert!(!ruling.is_decided(), "{by}: {ruling:?}");
        assert!(ruling.wrong().is_empty(), "{by}: {ruling:?}");
        found += 1;
    }
    assert!(found > 0);
}
