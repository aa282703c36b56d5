//! Messages that a host does not look at, and those that it has no room for.

use deepring::Digest;
use deepring::deal::Copies;
use deepring::keys::NoRandomness;
use deepring::receipt::{Chain, Parcel, QueryStart};
use deepring_infer::participant::{Action, Batch, Bounds, NotAccepted, Participant, Remembered};

use super::world::{Fixture, PATIENCE, World, alike, input, salt, start};
use crate::zoo::{host, tensor};

fn participant(fixture: &Fixture, at: u8, bounds: Bounds) -> Participant<'_> {
    after_restart(fixture, at, bounds, Vec::new())
}

fn after_restart(
    fixture: &Fixture,
    at: u8,
    bounds: Bounds,
    signed: Vec<Remembered>,
) -> Participant<'_> {
    let mut next = 0_u8;
    let random = move |out: &mut [u8]| {
        next = next.wrapping_add(1);
        out.fill(next);
        Ok::<(), NoRandomness>(())
    };
    let bounds = (PATIENCE, bounds);
    Participant::new(&fixture.ring, host(at + 1), bounds, signed, Box::new(random)).unwrap()
}

fn begun(fixture: &Fixture, at: usize, start: &QueryStart, batch: &Batch) -> Chain {
    fixture.engines[at].begin(batch, start, true).unwrap()
}

/// The message that host `by` sends host `to` when it opens a query.
fn opened(fixture: &Fixture, by: u8, to: usize, start: &QueryStart, batch: Batch) -> Vec<u8> {
    let chain = begun(fixture, by.into(), start, &batch);
    let mut opener = participant(fixture, by, Bounds::default());
    let actions = opener.open(0, chain, start.salt, batch).unwrap();
    let sent = actions.into_iter().find_map(|action| match action {
        Action::Send { to: host, bytes } if host == World::key(to) => Some(bytes.to_vec()),
        _ => None,
    });
    sent.unwrap()
}

fn computes(actions: &[Action]) -> usize {
    actions.iter().filter(|action| matches!(action, Action::Compute { .. })).count()
}

#[test]
fn what_is_refused_changes_nothing_and_is_counted_for_who_sent_it() {
    let fixture = Fixture::new(Copies::Three, false, &alike);
    let mut host_b = participant(&fixture, 1, Bounds::default());
    let good = opened(&fixture, 0, 1, &start(1), input());
    let of = |chain: Chain, batch: Batch, to: usize| {
        let parcel = Parcel::seal(chain, &salt(), &batch, &[World::key(to)]).unwrap();
        [vec![1], parcel.encode()].concat()
    };
    let chain = || begun(&fixture, 0, &start(1), &input());
    let undealt = fixture.engines[0].begin(&input(), &start(1), false).unwrap();
    let other = vec![vec![tensor("x", &[1, 6], &[0.0; 6])]];
    let wide: Batch = vec![vec![tensor("x", &[2, 6], &[0.0; 12])]];
    let many: Batch = vec![input().remove(0); 65];
    let mut bad_signature = good.clone();
    let opening = chain().to_bytes().len() - 4;
    bad_signature[opening] ^= 1;
    let mut long = good.clone();
    long.resize(64 << 20, 0);
    let shaped = |batch: &Batch| of(begun(&fixture, 0, &start(1), batch), batch.clone(), 1);
    type Fits = fn(&NotAccepted) -> bool;
    let bad: [(&str, Vec<u8>, Fits); 10] = [
        ("nothing", vec![], |e| matches!(e, NotAccepted::Malformed(_))),
        ("no kind", vec![77], |e| matches!(e, NotAccepted::Malformed(_))),
        ("one byte more", [&good[..], &[0]].concat(), |e| matches!(e, NotAccepted::Malformed(_))),
        ("too long", long, |e| matches!(e, NotAccepted::TooLong { .. })),
        ("undealt", of(undealt, input(), 1), |e| matches!(e, NotAccepted::OtherDeal)),
        ("for another", of(chain(), input(), 2), |e| matches!(e, NotAccepted::Parcel(_))),
        ("other tensors", of(chain(), other, 1), |e| matches!(e, NotAccepted::Parcel(_))),
        ("unsigned", bad_signature, |e| matches!(e, NotAccepted::Chain(_))),
        ("wide", shaped(&wide), |e| matches!(e, NotAccepted::Shapes(_))),
        ("many", shaped(&many), |e| {
            matches!(e, NotAccepted::Full { .. } | NotAccepted::TooLong { .. })
        }),
    ];
    let [key_a, key_b, stranger] = [0, 1, 8].map(|n: u8| host(n + 1).public());
    // Before the query is known, and after: then what has its head is not even opened.
    let mut count = 0;
    for round in 0..2 {
        let (live, wake) = (host_b.live(), host_b.wake_at());
        let unopened = ["for another", "other tensors", "unsigned"];
        for (what, bytes, fits) in bad.iter().filter(|b| round == 0 || !unopened.contains(&b.0)) {
            let refused = host_b.receive(5, &key_a, bytes).unwrap_err();
            assert!(fits(&refused) || round == 1, "{what}: {refused:?}");
            count += 1;
            assert_eq!(host_b.refused(&key_a), count, "{what}");
            assert_eq!((host_b.live(), host_b.wake_at()), (live, wake), "{what}");
        }
        for from in [&stranger, &key_b] {
            let refused = host_b.receive(5, from, &good).unwrap_err();
            assert!(matches!(refused, NotAccepted::Stranger), "{refused:?}");
            assert_eq!(host_b.refused(from), 0, "what strangers send takes no memory");
        }
        let first = host_b.receive(5, &key_a, &good).unwrap();
        assert_eq!(computes(&first), 1 - round, "computed once");
    }
}

#[test]
fn bounds_are_refused_by_name() {
    let fixture = Fixture::new(Copies::Three, false, &alike);
    let from = World::key(0);
    let parcel = |n: u8| opened(&fixture, 0, 1, &start(n), input());
    let full = |bounds: Bounds, before: u8| {
        let mut host_b = participant(&fixture, 1, bounds);
        (0..before).for_each(|n| _ = host_b.receive(0, &from, &parcel(n + 1)).unwrap());
        let refused = host_b.receive(0, &from, &parcel(before + 1)).unwrap_err();
        assert_eq!(host_b.live(), usize::from(before));
        match refused {
            NotAccepted::Full { what, limit } => (what, limit),
            other => panic!("{other}"),
        }
    };
    let bounds = Bounds::default();
    assert_eq!(full(Bounds { queries: 2, ..bounds }, 2), ("queries at a time", 2));
    let of_one = Bounds { queries_of_one: 1, ..bounds };
    assert_eq!(full(of_one, 1), ("queries that one host opened", 1));
    // What enters, and what will leave: 48 bytes for each.
    let little = Bounds { all_bytes: 100, ..bounds };
    assert_eq!(full(little, 2), ("bytes of tensors kept for all queries", 100));
}

#[test]
fn a_query_has_one_opening_and_its_name_is_not_taken_from_it() {
    let fixture = Fixture::new(Copies::Three, false, &alike);
    let mut host_c = participant(&fixture, 2, Bounds::default());
    let other = vec![vec![tensor("x", &[1, 6], &[0.5; 6])]];
    let [of_a, again] = [input(), other].map(|batch| opened(&fixture, 0, 2, &start(1), batch));
    let of_b = opened(&fixture, 1, 2, &start(1), input());
    let [key_a, key_b] = [World::key(0), World::key(1)];
    // Whoever is quicker: each of them has a query of its own.
    host_c.receive(0, &key_b, &of_b).unwrap();
    host_c.receive(0, &key_a, &of_a).unwrap();
    assert_eq!(host_c.live(), 2);
    let refused = host_c.receive(0, &key_a, &again).unwrap_err();
    assert!(matches!(refused, NotAccepted::Known), "{refused:?}");
    assert_eq!(host_c.live(), 2);
}

#[test]
fn who_opens_a_query_is_a_host_of_genesis_with_what_it_just_began() {
    let fixture = Fixture::new(Copies::Two, false, &alike);
    let chain = begun(&fixture, 0, &start(1), &input());
    let mut host_b = participant(&fixture, 1, Bounds::default());
    let refused = host_b.open(0, chain.clone(), salt(), input()).unwrap_err();
    assert!(matches!(refused, NotAccepted::NotOpener), "{refused:?}");
    let mut host_a = participant(&fixture, 0, Bounds::default());
    let other = vec![vec![tensor("x", &[1, 6], &[0.5; 6])]];
    let refused = host_a.open(0, chain.clone(), salt(), other).unwrap_err();
    assert!(matches!(refused, NotAccepted::NotOpener), "{refused:?}");
    host_a.open(0, chain.clone(), salt(), input()).unwrap();
    let refused = host_a.open(0, chain, salt(), input()).unwrap_err();
    assert!(matches!(refused, NotAccepted::Known), "{refused:?}");
    // With two copies, leg 1 and Genesis are for hosts 1 and 2.
    let to_b = opened(&fixture, 0, 1, &start(2), input());
    let mut host_c = participant(&fixture, 2, Bounds::default());
    let refused = host_c.receive(0, &World::key(0), &to_b).unwrap_err();
    assert!(matches!(refused, NotAccepted::NoPart { .. }), "{refused:?}");
}

#[test]
fn a_host_that_is_given_back_what_it_signed_signs_nothing_again_and_says_so() {
    let fixture = Fixture::new(Copies::Three, false, &alike);
    let parcel = opened(&fixture, 0, 1, &start(1), input());
    let mut host_b = participant(&fixture, 1, Bounds::default());
    let receive = |host_b: &mut Participant<'_>| {
        let actions = host_b.receive(0, &World::key(0), &parcel).unwrap();
        actions.into_iter().find_map(|action| match action {
            Action::Compute { work, salt, batch, blocks } => {
                Some((work, fixture.engines[1].compute(&salt, &batch, blocks)))
            }
            _ => None,
        })
    };
    let (work, result) = receive(&mut host_b).unwrap();
    let actions = host_b.computed(9, work, result);
    let Action::Remember(signed) = actions[0] else { panic!("{actions:?}") };
    assert!(actions.iter().skip(1).any(|action| matches!(action, Action::Send { .. })));
    assert_eq!((signed.query, signed.first_block), (Digest([1; 32]), 1));
    let mut forgets = participant(&fixture, 1, Bounds::default());
    assert!(receive(&mut forgets).is_some(), "the test tests nothing");
    let mut knows = after_restart(&fixture, 1, Bounds::default(), vec![signed]);
    assert!(receive(&mut knows).is_none());
    assert_eq!(knows.live(), 1, "it may still close the query");
}
