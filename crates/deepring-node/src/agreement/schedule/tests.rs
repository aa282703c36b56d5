use commonware_cryptography::{Hasher as _, Sha256};
use deepring_testkit::rings::owner_key;

use super::*;
use crate::agreement::fixtures::{node_key, numbered, set};

const HEIGHTS: NonZeroU64 = NonZeroU64::new(4).unwrap();
const RETAINED: NonZeroU64 = NonZeroU64::new(12).unwrap();

fn floor(n: u8) -> DocketDigest {
    Sha256::hash(&[&[n]])
}

fn first() -> TermSchedule {
    TermSchedule::first(&set(4), HEIGHTS, floor(0)).unwrap()
}

/// The set of nodes from `from` on, as its owner signs it.
fn named(epoch: u64, from: u8) -> Entry {
    let mut nodes: Vec<_> = (from..from + 4).map(|n| node_key(n).public()).collect();
    nodes.sort_by_key(|node| *node.as_bytes());
    let set = ValidatorSet { epoch, nodes, ..set(4) };
    numbered(epoch, &Event::ValidatorSet(set), &owner_key(0).into())
}

fn standing(schedule: &TermSchedule) -> u64 {
    schedule.standing().epoch
}

#[test]
fn a_set_stands_from_the_term_after_the_one_that_named_it() {
    let mut schedule = first();
    assert_eq!((schedule.floor_height(), schedule.last_height()), (0, 3));
    assert!(schedule.take(&named(2, 1)));
    assert_eq!(standing(&schedule), 1, "it stands before the term ends");
    assert!(schedule.enter_next(floor(1), RETAINED));
    assert_eq!((schedule.floor_height(), schedule.last_height()), (3, 7));
    assert_eq!((standing(&schedule), schedule.floor()), (2, floor(1)));
    // And goes on standing.
    assert!(!schedule.enter_next(floor(2), RETAINED));
    assert_eq!(standing(&schedule), 2);
    let sets: Vec<_> = schedule.sets().map(|(term, set)| (term.get(), set.epoch)).collect();
    assert_eq!(sets, [(0, 1), (1, 2)]);
}

#[test]
fn the_newest_of_a_term_is_taken_and_what_comes_again_is_not() {
    let mut schedule = first();
    let (second, third) = (named(2, 1), named(3, 2));
    assert!(schedule.take(&second) && schedule.take(&third));
    assert!(!schedule.take(&second) && !schedule.take(&third));
    schedule.enter_next(floor(1), RETAINED);
    assert_eq!(standing(&schedule), 3);
    assert!(!schedule.take(&second) && !schedule.take(&third));
    // The log says who keeps it from the beginning, which changes nothing.
    let founding = numbered(1, &Event::ValidatorSet(set(4)), &owner_key(0).into());
    assert!(!first().take(&founding));
}

#[test]
fn what_nobody_asks_for_any_more_is_forgotten_and_who_stands_is_not() {
    let mut schedule = first();
    for n in 1..=9 {
        schedule.take(&named(u64::from(n) + 1, n));
        schedule.enter_next(floor(n), RETAINED);
    }
    let kept: Vec<_> = schedule.sets().map(|(term, _)| term.get()).skip(1).collect();
    // Term 9 builds on height 35; heights from 23 on are kept, and the first of them is of term 5.
    assert_eq!(kept, [5, 6, 7, 8, 9]);
    assert_eq!(standing(&schedule), 10);
    for n in 10..=30 {
        schedule.enter_next(floor(n), RETAINED);
    }
    assert_eq!(schedule.sets().map(|(term, _)| term.get()).collect::<Vec<_>>(), [0, 9]);
}

#[test]
fn it_is_read_back_as_it_was_and_nothing_near_it_is() {
    let mut schedule = first();
    assert_eq!(TermSchedule::decode(&schedule.encode(), &set(4), HEIGHTS).unwrap(), schedule);
    schedule.take(&named(2, 1));
    schedule.enter_next(floor(1), RETAINED);
    schedule.take(&named(3, 2));
    schedule.votes_are_kept_from(1);
    let bytes = schedule.encode();
    assert_eq!(TermSchedule::decode(&bytes, &set(4), HEIGHTS).unwrap(), schedule);
    for at in 0..bytes.len() {
        assert!(TermSchedule::decode(&bytes[..at], &set(4), HEIGHTS).is_err());
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert!(TermSchedule::decode(&longer, &set(4), HEIGHTS).is_err());
    // The last byte is of a signature.
    let mut changed = bytes.clone();
    *changed.last_mut().unwrap() ^= 1;
    assert!(TermSchedule::decode(&changed, &set(4), HEIGHTS).is_err());
    let other = TermSchedule::decode(&bytes, &set(4), RETAINED);
    assert!(matches!(other, Err(AgreementError::OtherTerms { found: 4, expected: 12 })));
    let one = TermSchedule::first(&set(4), NonZeroU64::MIN, floor(0));
    assert!(matches!(one, Err(AgreementError::TermTooShort)));
}
