//! Terms that follow each other while entries are recorded, validators die, and dockets are pruned.

use std::num::NonZeroU64;
use std::path::Path;
use std::time::Duration;

use deepring_node::agreement::{AgreementError, Config, Submission, ViewTiming};

use crate::net::{Net, Rows, run, seeds};
use crate::said::{SAID, complaint};

/// A validator whose terms have eight heights.
fn config(n: u8) -> Config {
    let mut config = Net::config(n);
    config.term_heights = NonZeroU64::new(8).unwrap();
    config.timing = ViewTiming::of(Duration::from_secs(1));
    config
}

async fn start(net: &mut Net, nodes: impl IntoIterator<Item = u8>) {
    for n in nodes {
        net.start(n, config(n)).await;
    }
}

async fn begun(net: &mut Net) {
    start(net, 0..4).await;
    net.record(0, &SAID.set).await;
    net.record(0, &SAID.registered).await;
    net.grown(2).await;
}

/// Entries in five terms, of all validators.
async fn five_terms(mut net: Net) -> Rows {
    begun(&mut net).await;
    let mut said: Vec<Submission> = SAID.decisions.clone();
    said.extend((1..=4).map(|sequence| complaint(&SAID.ring, 1, sequence)));
    for (n, submission) in (0..).zip(&said) {
        net.term_begun(n / 2).await;
        net.record(u8::try_from(n % 4).unwrap(), submission).await;
    }
    net.term_begun(5).await;
    net.grown(12).await;
    net.certified(12).await;
    let rows = net.equal_rows().await;
    assert_eq!(rows.entries.len(), 12);
    for (entry, submission) in rows.entries[2..].iter().zip(&said) {
        assert_eq!(entry, submission.entry());
    }
    assert!(net.up.values().all(|v| v.subscribe().borrow().votes));
    rows
}

#[test]
fn terms_follow_each_other_and_entries_of_all_are_recorded() {
    for seed in seeds() {
        assert_eq!(run(seed, five_terms), run(seed, five_terms));
    }
}

#[test]
fn a_validator_that_was_away_for_some_terms_follows_and_votes_again() {
    for seed in seeds() {
        run(seed, |mut net| async move {
            begun(&mut net).await;
            net.kill(3).await;
            let missed = net.term(0);
            net.record(0, &SAID.decisions[0]).await;
            net.term_begun(missed + 3).await;
            net.record(1, &SAID.decisions[1]).await;
            start(&mut net, [3]).await;
            net.grown(4).await;
            // With another one down it is needed, in the present term and in the next ones.
            net.kill(1).await;
            net.record(3, &SAID.decisions[2]).await;
            let term = net.term(0);
            net.term_begun(term + 2).await;
            net.record(3, &SAID.decisions[3]).await;
            net.grown(6).await;
            net.certified(6).await;
            assert_eq!(net.equal_rows().await.entries.len(), 6);
        });
    }
}

#[test]
fn validators_that_die_where_a_term_ends_go_on_in_the_next() {
    for seed in seeds() {
        run(seed, |mut net| async move {
            begun(&mut net).await;
            for (round, decision) in (0..).zip(&SAID.decisions) {
                // Each at another moment around the last docket of a term.
                net.until("a term is about to end", |net| {
                    net.up.values().any(|v| v.height() % 8 == 6)
                })
                .await;
                net.pause(Duration::from_millis(400 * round)).await;
                for n in 0..4 {
                    net.kill(n).await;
                }
                start(&mut net, 0..4).await;
                net.record_when_ready(u8::try_from(round % 4).unwrap(), decision).await;
            }
            net.grown(8).await;
            net.certified(8).await;
            let rows = net.equal_rows().await;
            assert_eq!(rows.entries.len(), 8);
        });
    }
}

#[test]
fn what_is_over_is_pruned_and_what_the_term_builds_on_is_not() {
    for seed in seeds() {
        run(seed, |mut net| async move {
            let config = |n| {
                let mut config = config(n);
                config.retained = NonZeroU64::new(4).unwrap();
                config.timing = ViewTiming::of(Duration::from_millis(200));
                config
            };
            for n in 0..4 {
                net.start(n, config(n)).await;
            }
            net.record(0, &SAID.set).await;
            net.record(1, &SAID.registered).await;
            net.term_begun(18).await;
            for n in 0..4 {
                for term in 0..16 {
                    assert!(!net.keeps_votes(n, term).await, "votes of term {term} of {n}");
                }
                assert!(net.keeps_votes(n, 17).await, "votes of the term before, of {n}");
            }
            for n in 0..4 {
                net.kill(n).await;
            }
            for n in 0..4 {
                net.start(n, config(n)).await;
            }
            net.record_when_ready(2, &SAID.decisions[0]).await;
            net.grown(3).await;
            net.certified(3).await;
            assert_eq!(net.equal_rows().await.entries.len(), 3);
        });
    }
}

#[test]
fn a_ledger_that_was_put_back_to_an_earlier_term_does_not_vote() {
    run(1, |mut net| async move {
        begun(&mut net).await;
        net.kill(3).await;
        let kept = tempfile::tempdir().unwrap();
        copy(&net.folder(3), kept.path());
        start(&mut net, [3]).await;
        let term = net.term(0);
        net.term_begun(term + 2).await;
        net.kill(3).await;
        std::fs::remove_dir_all(net.folder(3)).unwrap();
        std::fs::create_dir(net.folder(3)).unwrap();
        copy(kept.path(), &net.folder(3));
        let refused = net.try_start(3, config(3)).await.map(|_| ());
        assert!(matches!(refused, Err(AgreementError::LedgerBehind { .. })), "{refused:?}");
    });
}

#[test]
fn a_validator_that_forgot_its_terms_does_not_begin_with_the_first_again() {
    run(1, |mut net| async move {
        begun(&mut net).await;
        net.term_begun(2).await;
        net.kill(3).await;
        net.lose(3, "terms").await;
        let refused = net.try_start(3, config(3)).await.map(|_| ());
        assert!(matches!(refused, Err(AgreementError::Terms(_))), "{refused:?}");
    });
}

#[test]
fn terms_of_another_length_are_not_gone_on_with() {
    run(1, |mut net| async move {
        begun(&mut net).await;
        net.term_begun(1).await;
        net.kill(0).await;
        let mut other = config(0);
        other.term_heights = NonZeroU64::new(9).unwrap();
        let refused = net.try_start(0, other).await.map(|_| ());
        let expected = AgreementError::OtherTerms { found: 8, expected: 9 };
        assert_eq!(refused.unwrap_err().to_string(), expected.to_string());
    });
}

pub(crate) fn copy(from: &Path, to: &Path) {
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() {
            std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
}
