//! Hosts that each know themselves and the bytes that arrive, in a simulation that a seed repeats: whatever one of them or the
//! network does, no wrong decision is closed, and queries end.

mod arbitrated;
mod doubles;
mod refused;
mod world;

use std::sync::Arc;

use deepring::Digest;
use deepring::deal::Copies;
use deepring::receipt::ComputedWith;
use deepring::replication::CopyFault;
use deepring_infer::Rten;
use deepring_infer::engine::{Race, Racing};
use deepring_infer::participant::WhyFailed;
use rten::Value;

use doubles::{LIES, Wanted, two_receipts_in_one_leg};
use world::{Fixture, HOSTS, PATIENCE, ROUGH, STEADY, World, alike};

const DEALS: [(Copies, bool); 3] =
    [(Copies::Two, false), (Copies::Three, false), (Copies::Three, true)];

/// Of each kind of message that a lossy query sends, some.
pub(crate) fn messages() -> Vec<Vec<u8>> {
    let fixture = Fixture::new(Copies::Three, false, &alike);
    let mut world = World::new(&fixture, ROUGH, 1);
    world.open(0, 6);
    let mut found = std::collections::BTreeMap::<u8, Vec<Vec<u8>>>::new();
    for (.., bytes) in world.run().wire {
        let of_kind = found.entry(bytes[0]).or_default();
        if of_kind.len() < 8 {
            of_kind.push(bytes.to_vec());
        }
    }
    found.into_values().flatten().collect()
}

#[test]
fn honest_hosts_answer_and_name_nobody() {
    for (of, eager) in DEALS {
        let fixture = Fixture::new(of, eager, &alike);
        for opener in 0..of.count() {
            let mut world = World::new(&fixture, STEADY, 1);
            world.open(opener, 6);
            let world = world.run();
            let what = format!("{of:?}, eager {eager}, opened by {opener}");
            world.verify(&what, None);
            assert_eq!(world.blamed(None), [0; 0], "{what}");
            let [(at, _)] = &world.closed[..] else { panic!("{what}: {:?}", world.failed) };
            assert_eq!(*at, opener, "{what}");
            assert!(world.answered_at < Some(500), "{what}: nobody was waited for");
            assert!(world.is_forgotten(), "{what}");
            // Each copy computes its leg once, and a third one none without need.
            let copies = if eager { 3 } else { 2 };
            assert_eq!(world.computed.len(), 4 * copies, "{what}");
        }
    }
}

/// A host of Genesis that is honest.
fn opener(liar: usize) -> usize {
    usize::from(liar == 0)
}

#[test]
fn one_host_that_does_not_play_by_the_rules_closes_nothing_wrong() {
    for (of, eager) in DEALS {
        let fixture = Fixture::new(of, eager, &alike);
        for (lie, wanted, double) in LIES {
            for liar in 0..HOSTS {
                let mut world = World::new(&fixture, STEADY, 1).with(liar, double());
                world.open(opener(liar), 6);
                let world = world.run();
                let what = format!("{lie}, host {liar} of {of:?}, eager {eager}");
                world.verify(&what, Some(liar));
                expect(&world, (of, eager), *wanted, liar, &what);
            }
        }
    }
}

/// Asserts what a query comes to with one liar on a network that loses nothing.
fn expect(world: &World<'_>, (of, eager): (Copies, bool), wanted: Wanted, liar: usize, what: &str) {
    let blamed = world.blamed(Some(liar));
    let answered = world.is_answered(Some(liar));
    match (of, wanted) {
        (Copies::Three, _) | (_, Wanted::Unnoticed) => {
            assert!(answered, "{what}: {:?}", world.failed);
            assert!(blamed.iter().all(|host| *host == liar), "{what}: {blamed:?}");
        }
        // It validates what it was shown, towards hosts that are not in its leg: they cannot tell, and the answer is right.
        (Copies::Two, Wanted::Missed) if answered => {}
        (Copies::Two, _) => {
            assert!(!answered, "{what}");
            let [(_, why, named)] = &world.failed[..] else { panic!("{what}: {:?}", world.failed) };
            let silent = matches!(why, WhyFailed::TooFew { .. });
            assert!(silent || matches!(why, WhyFailed::Disputed { .. }), "{what}: {why:?}");
            assert!(!(silent && wanted == Wanted::Named), "{what}: it was heard, and lied");
            assert!(named.iter().any(|n| n.host == World::key(liar)), "{what}: {named:?}");
        }
    }
    let shown = world.named.iter().any(|(at, named)| {
        *at != liar && named.host == World::key(liar) && !matches!(named.fault, CopyFault::Absent)
    });
    let must_be_named = match wanted {
        Wanted::Unnoticed => false,
        // Where three compute each time, two of them are done before they miss the third.
        Wanted::Missed => !eager,
        Wanted::Named => true,
        Wanted::NamedIfShown => world.showed_two(liar),
    };
    if must_be_named {
        assert!(blamed.contains(&liar), "{what}");
    }
    if must_be_named && wanted != Wanted::Missed && of == Copies::Three {
        assert!(shown, "{what}: {:?}", world.named);
    }
}

#[test]
fn two_receipts_of_one_leg_are_found_out_also_where_three_compute_each_time() {
    for eager in [false, true] {
        let fixture = Fixture::new(Copies::Three, eager, &alike);
        let mut showed = 0;
        for liar in 0..HOSTS {
            let mut world = World::new(&fixture, STEADY, 1).with(liar, two_receipts_in_one_leg());
            world.open(opener(liar), 6);
            let world = world.run();
            let what = format!("host {liar}, eager {eager}");
            world.verify(&what, Some(liar));
            expect(&world, (Copies::Three, eager), Wanted::NamedIfShown, liar, &what);
            showed += usize::from(world.showed_two(liar));
        }
        // The first host has no part in the second leg; of the others those that speak to both sides show two.
        assert!(showed >= 1, "eager {eager}: nobody showed two");
    }
}

#[test]
fn a_host_that_dies_at_any_step_loses_no_query_with_three_copies() {
    for of in [Copies::Two, Copies::Three] {
        let fixture = Fixture::new(of, false, &alike);
        for who in 0..HOSTS {
            let mut honest = World::new(&fixture, STEADY, 3);
            honest.open(0, 6);
            let honest = honest.run();
            let sent = honest.wire.iter().filter(|(_, from, ..)| *from == who).count();
            for step in 1..=sent {
                let each = [None, Some(300), Some(5_000)];
                for (anew, told) in each.iter().flat_map(|a| [(*a, false), (*a, true)]) {
                    let mut world = World::new(&fixture, STEADY, 3);
                    world.dies = Some((who, step, anew));
                    world.tells_cut_off = told;
                    world.open(0, 6);
                    let world = world.run();
                    let what = format!(
                        "{of:?}, host {who} after {step} of {sent}, anew {anew:?}, told {told}"
                    );
                    world.verify(&what, None);
                    let blamed = world.blamed(None);
                    let mut told = world.failed.iter();
                    match of {
                        Copies::Three => {
                            assert!(world.is_answered(None), "{what}: {:?}", world.failed);
                            assert!(blamed.iter().all(|host| *host == who), "{what}: {blamed:?}");
                        }
                        Copies::Two if !world.is_answered(None) && who != 0 => {
                            let names = told.any(|(at, _, named)| {
                                *at == 0 && named.iter().any(|n| n.host == World::key(who))
                            });
                            assert!(names, "{what}: {:?}", world.failed);
                        }
                        Copies::Two => {}
                    }
                }
            }
        }
    }
}

#[test]
fn an_answer_names_the_host_that_was_down_also_in_the_last_leg() {
    let fixture = Fixture::new(Copies::Three, false, &alike);
    for down in 1..HOSTS {
        let mut world = World::new(&fixture, STEADY, 1);
        world.cut_off = Some((down, 0, u64::MAX));
        world.open(0, 6);
        let world = world.run();
        let answered = world.closed.iter().find(|(at, _)| *at == 0);
        let (_, closed) = answered.unwrap_or_else(|| panic!("{down}: {:?}", world.failed));
        assert!(!closed.named.is_empty(), "{down}: nobody is named");
        for named in &closed.named {
            assert_eq!(named.host, World::key(down));
            assert!(matches!(named.fault, CopyFault::Absent), "{down}: {named:?}");
        }
    }
}

#[test]
fn a_host_that_the_transport_has_lost_is_waited_for_half_the_floor() {
    let fixture = Fixture::new(Copies::Three, false, &alike);
    for down in 1..HOSTS {
        let [unknown, told] = [false, true].map(|told| {
            let mut world = World::new(&fixture, STEADY, 1);
            world.cut_off = Some((down, 0, u64::MAX));
            world.tells_cut_off = told;
            world.open(0, 6);
            let world = world.run();
            world.verify("a host that is down", None);
            assert_eq!(world.blamed(None), [down]);
            world.answered_at.unwrap()
        });
        assert!(unknown > PATIENCE.floor, "{down}: {unknown}");
        assert!(told <= unknown - PATIENCE.floor / 2, "{down}: {told}, {unknown}");
    }
}

#[test]
fn a_slow_host_is_not_given_up_since_its_connection_was_lost_for_a_moment() {
    let fixture = Fixture::new(Copies::Three, false, &alike);
    for slow in 1..HOSTS {
        let mut world = World::new(&fixture, STEADY, 1);
        world.takes = [600; HOSTS];
        world.takes[slow] = 4_000;
        // Others wait for it by then, are due to say again what they said, and so are told.
        world.cut_off = Some((slow, 3_000, 3_300));
        world.tells_cut_off = true;
        world.open(0, 6);
        let world = world.run();
        world.verify("a slow host", None);
        assert!(world.is_answered(None), "{slow}: {:?}", world.failed);
        assert_eq!(world.blamed(None), [0; 0], "{slow}");
    }
}

#[test]
fn a_network_that_loses_doubles_and_reorders_delays_answers_and_changes_none() {
    for (of, eager) in DEALS {
        let fixture = Fixture::new(of, eager, &alike);
        for seed in 0..40 {
            let mut world = World::new(&fixture, ROUGH, seed);
            world.open(0, 6);
            let world = world.run();
            let what = format!("{of:?}, eager {eager}, seed {seed}");
            world.verify(&what, None);
            assert!(world.is_answered(None), "{what}: {:?}", world.failed);
            assert!(world.is_forgotten(), "{what}");
        }
    }
}

#[test]
fn one_liar_on_a_network_that_loses_messages_is_outvoted_all_the_same() {
    let fixture = Fixture::new(Copies::Three, false, &alike);
    for (lie, _, double) in LIES {
        for liar in 0..HOSTS {
            for seed in 0..3 {
                let mut world = World::new(&fixture, ROUGH, 100 + seed).with(liar, double());
                world.open(opener(liar), 6);
                let world = world.run();
                let what = format!("{lie}, host {liar}, seed {seed}");
                world.verify(&what, Some(liar));
                assert!(world.is_answered(Some(liar)), "{what}: {:?}", world.failed);
            }
        }
    }
}

#[test]
fn a_host_that_is_cut_off_is_passed_over_and_comes_back() {
    for (of, eager) in DEALS {
        let fixture = Fixture::new(of, eager, &alike);
        for who in 0..HOSTS {
            for since in (0..120).step_by(15) {
                let each = [since + 200, since + 1_500, since + 8_000, u64::MAX];
                for (until, told) in each.iter().flat_map(|u| [(*u, false), (*u, true)]) {
                    let mut world = World::new(&fixture, STEADY, since);
                    world.cut_off = Some((who, since, until));
                    world.tells_cut_off = told;
                    world.open(0, 6);
                    let world = world.run();
                    let what = format!(
                        "{of:?}, eager {eager}, host {who}, {since} to {until}, told {told}"
                    );
                    world.verify(&what, None);
                    // An interruption that is shorter than anybody's patience is only a delay.
                    let short = until - since <= 200;
                    let opened = who != 0 || since > 0 || short;
                    if (of == Copies::Three || short) && opened {
                        assert!(world.is_answered(None), "{what}: {:?}", world.failed);
                    }
                    let ended = world.is_answered(None) || !world.failed.is_empty();
                    assert!(ended, "{what}: it never ends");
                }
            }
        }
    }
}

#[test]
fn equal_seeds_give_equal_bytes_on_the_wire_and_others_another_order() {
    let fixture = Fixture::new(Copies::Three, false, &alike);
    for (_, _, double) in LIES.iter().take(4) {
        let run = |seed| {
            let mut world = World::new(&fixture, ROUGH, seed).with(2, double());
            world.open(0, 6);
            world.run().wire
        };
        let (one, again, other) = (run(1), run(1), run(2));
        assert!(one == again);
        assert!(one != other);
    }
}

/// Up to two units in the last place more or less, as another order of sums gives.
fn last_bits(element: usize, value: f32) -> f32 {
    let mixed = element.wrapping_mul(0x9e37_79b9) >> 7;
    value * (1.0 + (mixed % 5) as f32 * f32::EPSILON - 2.0 * f32::EPSILON)
}

/// Engines that differ in the last bits, and say so.
fn unlike(at: usize) -> Arc<Racing<Rten>> {
    let engine = Racing::new(Rten::new(1.try_into().ok()), move |race| {
        let Race::After { outputs, .. } = race else { return };
        for output in outputs {
            let Value::FloatTensor(tensor) = output else { continue };
            let values = tensor.iter_mut().enumerate();
            values.for_each(|(e, value)| *value = last_bits(e + at, *value));
        }
    });
    let states = format!("engine {at}");
    let states = ComputedWith::new(&states, Digest::NONE, "processor", 1).unwrap();
    Arc::new(engine.stating(states))
}

#[test]
fn copies_of_unlike_engines_show_each_other_their_outputs_and_validate_within_a_tolerance() {
    for of in [Copies::Two, Copies::Three] {
        let fixture = Fixture::new(of, false, &unlike);
        for (wires, seed) in [(STEADY, 0), (ROUGH, 1), (ROUGH, 2), (ROUGH, 3)] {
            let mut world = World::new(&fixture, wires, seed);
            world.open(0, 6);
            let world = world.run();
            let what = format!("{of:?}, seed {seed}");
            world.verify(&what, None);
            assert!(world.is_answered(None), "{what}: {:?}", world.failed);
            let decision = &world.closed[0].1.decision;
            let legs = decision
                .verify(fixture.ring.outline(), deepring::receipt::Require::AsDealt)
                .unwrap();
            assert!(legs.legs().iter().any(|leg| leg.near.is_some()), "{what}: nothing was near");
        }
    }
}
