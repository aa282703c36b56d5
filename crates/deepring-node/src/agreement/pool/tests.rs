use deepring_testkit::rings::Sealed;

use super::*;
use crate::agreement::fixtures::{complaint, decision, revocation};

fn opened(submission: &Submission) -> OpenedSubmission {
    submission.open().unwrap()
}

fn limits(submissions: usize, author_submissions: usize) -> PoolLimits {
    PoolLimits { submissions, author_submissions, ..PoolLimits::default() }
}

#[test]
fn a_full_pool_says_so_and_drops_nothing() {
    let mut pool = Pool::new(limits(2, 1));
    assert_eq!(pool.insert(opened(&revocation(20)), false), Ok(true));
    assert_eq!(pool.insert(opened(&revocation(20)), true), Ok(false));
    assert_eq!(pool.insert(opened(&revocation(21)), false), Ok(true));
    let bytes = pool.bytes();
    assert_eq!(
        pool.insert(opened(&revocation(22)), false),
        Err(PoolFull::Pool { submissions: 2, bytes })
    );
    // What waits already is told apart from what would be one more.
    assert_eq!(pool.insert(opened(&revocation(21)), false), Ok(false));
    assert_eq!(pool.ids(), [revocation(20).id(), revocation(21).id()].into());
    assert!(pool.remove(&revocation(20).id()).is_some());
    assert_eq!(pool.insert(opened(&revocation(22)), false), Ok(true));
    pool.remove(&revocation(21).id());
    pool.remove(&revocation(22).id());
    assert_eq!((pool.len(), pool.bytes(), pool.authors.len()), (0, 0, 0));
}

#[test]
fn one_author_cannot_fill_it() {
    let ring = Sealed::new(0, 1);
    let mut pool = Pool::new(limits(100, 3));
    for sequence in 1..=3 {
        pool.insert(opened(&complaint(&ring, 1, sequence)), false).unwrap();
    }
    let refused = pool.insert(opened(&complaint(&ring, 1, 4)), false);
    assert!(matches!(refused, Err(PoolFull::Author { submissions: 3, .. })));
    assert_eq!(pool.insert(opened(&complaint(&ring, 2, 1)), false), Ok(true));
    let mut pool = Pool::new(PoolLimits { author_bytes: 10, ..PoolLimits::default() });
    let refused = pool.insert(opened(&complaint(&ring, 1, 1)), false);
    assert_eq!(refused, Err(PoolFull::Author { submissions: 0, bytes: 0 }));
}

#[test]
fn authors_take_turns_and_each_keeps_its_order() {
    let ring = Sealed::new(0, 1);
    let mut pool = Pool::new(PoolLimits::default());
    for sequence in [3, 1, 2] {
        pool.insert(opened(&complaint(&ring, 1, sequence)), false).unwrap();
    }
    pool.insert(opened(&complaint(&ring, 2, 1)), false).unwrap();
    let drafted = pool.draft(|_| true);
    let place = |s: Submission| drafted.iter().position(|d| *d == s).unwrap();
    assert!(place(complaint(&ring, 2, 1)) < 2, "the other author is not at the end");
    let own: Vec<_> = (1..=3).map(|n| place(complaint(&ring, 1, n))).collect();
    assert!(own.is_sorted());
    assert_eq!(pool.len(), 4, "nothing leaves by being drafted");
    // What may not follow now is passed over.
    let first = complaint(&ring, 1, 1).id();
    assert_eq!(pool.draft(|opened| opened.submission.id() != first).len(), 3);
}

#[test]
fn a_block_is_not_overfilled_and_the_next_begins_with_another_author() {
    let ring = Sealed::new(0, 1);
    let mut pool = Pool::new(limits(4096, 4096));
    for sequence in 1..=u64::try_from(MAX_DOCKET_SUBMISSIONS).unwrap() {
        for n in [1, 2] {
            pool.insert(opened(&complaint(&ring, n, sequence)), false).unwrap();
        }
    }
    let first = pool.draft(|_| true);
    assert_eq!(first.len(), MAX_DOCKET_SUBMISSIONS);
    assert!(first.iter().map(Submission::encoded_len).sum::<usize>() <= DOCKET_ROOM);
    let last = opened(first.last().unwrap()).author().to_owned();
    assert_ne!(*opened(&pool.draft(|_| true)[0]).author(), last);
}

#[test]
fn a_decision_waits_once_and_goes_when_it_is_recorded() {
    let ring = Sealed::new(0, 2);
    let submission = decision(&ring, 1);
    let mut pool = Pool::new(PoolLimits::default());
    pool.insert(opened(&submission), true).unwrap();
    assert!(!pool.has_decided(&opened(&submission)), "itself is no other");
    assert_eq!(pool.own(1 << 20), std::slice::from_ref(&submission));
    let decided = opened(&submission).decided().unwrap();
    assert_eq!(pool.remove_decided(&decided), Some(submission.id()));
    assert_eq!(pool.remove_decided(&decided), None);
    assert_eq!((pool.len(), pool.bytes()), (0, 0));
}

#[test]
fn a_sweep_comes_to_everything() {
    let mut pool = Pool::new(PoolLimits::default());
    for n in 20..27 {
        pool.insert(opened(&revocation(n)), false).unwrap();
    }
    let mut seen = BTreeSet::new();
    for _ in 0..3 {
        seen.extend(pool.sweep(3).iter().map(|o| o.submission.id()));
    }
    assert_eq!(seen, pool.ids());
}
