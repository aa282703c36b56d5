//! Honest validators: one ledger, whoever was asked.

use std::time::Duration;

use commonware_p2p::simulated::Link;
use commonware_utils::probability;
use deepring_ledger::entry::UnverifiedEntry;
use deepring_ledger::{Checkpoint, LedgerOptions};
use deepring_node::agreement::{Config, PoolFull, SubmitError};

use crate::net::{Net, ORIGIN, Rows, link, rows, run, seeds, set};
use crate::said::{SAID, complaint};

/// Entries of every kind, each said to another validator.
async fn say_everything(net: &Net) {
    net.record(0, &SAID.set).await;
    net.grown(1).await;
    let registered =
        [net.submit(1, &SAID.registered).await, net.submit(2, &SAID.other_registered).await];
    for ticket in registered {
        ticket.committed().await.unwrap();
    }
    net.grown(3).await;
    let mut tickets = Vec::new();
    for (n, decision) in (0..).zip(&SAID.decisions) {
        tickets.push(net.submit(n % 4, decision).await);
    }
    tickets.push(net.submit(3, &SAID.revoked_host).await);
    tickets.push(net.submit(0, &SAID.revoked_key).await);
    for ticket in tickets {
        ticket.committed().await.unwrap();
    }
    net.grown(11).await;
    net.record(1, &SAID.alarm).await;
    net.grown(12).await;
    net.record(2, &SAID.deal).await;
    net.grown(13).await;
}

async fn all_of_it(mut net: Net) -> Rows {
    net.start_all().await;
    say_everything(&net).await;
    net.certified(13).await;
    let rows = net.equal_rows().await;
    assert_eq!(rows.entries.len(), 13);
    for validator in net.up.values() {
        let progress = validator.subscribe().borrow().clone();
        let certified = progress.certified.unwrap();
        assert_eq!(certified.checkpoint().body().to_string(), rows.body);
        assert!(progress.split_views.is_empty());
        // It is kept with the ledger, and verifies by the set alone.
        let kept = validator.look(|ledger| ledger.checkpoint().as_str().to_owned()).await.unwrap();
        let kept = Checkpoint::verify_by_set(&kept, &set()).unwrap();
        assert_eq!(kept.body().to_string(), rows.body);
        assert!(validator.look(|ledger| ledger.verify().unwrap().is_intact()).await.unwrap());
    }
    rows
}

#[test]
fn all_ledgers_are_equal_row_by_row_and_a_quorum_cosigned_them() {
    for seed in seeds() {
        run(seed, all_of_it);
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let first = run(7, all_of_it);
    let second = run(7, all_of_it);
    assert_eq!(first, second);
    assert_ne!(run(8, all_of_it).1, first.1, "seeds make no difference");
}

#[test]
fn the_entries_give_an_embedded_ledger_of_that_name_the_same_rows() {
    let (agreed, _) = run(4, all_of_it);
    let dir = tempfile::tempdir().unwrap();
    let mut embedded =
        LedgerOptions::new().origin(ORIGIN).open_or_create(dir.path().join("l")).unwrap();
    for bytes in &agreed.entries {
        let entry = UnverifiedEntry::decode(bytes).unwrap().verify().unwrap();
        embedded.append(&[entry]).unwrap();
    }
    assert_eq!(rows(&embedded), agreed);
}

#[test]
fn a_network_at_rest_makes_few_blocks_and_no_leaf() {
    for seed in seeds() {
        run(seed, |mut net| async move {
            net.start_all().await;
            net.until("a first docket", |net| net.up.values().all(|v| v.height() > 0)).await;
            let before = net.up[&0].height();
            net.pause(Duration::from_secs(120)).await;
            let made = net.up[&0].height() - before;
            // An empty height takes a second; a lost message costs a time-out more.
            assert!((60..=122).contains(&made), "{made} dockets in two minutes");
            assert_eq!(net.size(0), 0);
            // And it wakes up at once.
            net.record(2, &SAID.set).await;
            net.grown(1).await;
            net.equal_rows().await;
        });
    }
}

#[test]
fn what_comes_into_a_network_at_rest_wakes_it_and_a_dead_leader_costs_its_turn_alone() {
    for seed in seeds() {
        run(seed, |mut net| async move {
            net.start_all().await;
            net.record(0, &SAID.set).await;
            net.record(0, &SAID.registered).await;
            net.grown(2).await;
            // A message that is lost costs a time-out of its own.
            let lossless = Link { success_rate: probability!(1, 1), ..link() };
            net.relink_by(&[&[0, 1, 2, 3]], &lossless).await;
            // Each comes at another moment of a heartbeat.
            let most = async |net: &Net, sequences: std::ops::Range<u64>| {
                let mut took = Vec::new();
                for sequence in sequences {
                    net.pause(Duration::from_millis(1_370)).await;
                    let began = net.now();
                    net.record(0, &complaint(&SAID.ring, 1, sequence)).await;
                    took.push(net.now().duration_since(began).unwrap());
                }
                took.into_iter().max().unwrap()
            };
            let at_rest = most(&net, 1..10).await;
            assert!(at_rest < Duration::from_millis(300), "{at_rest:?} at rest");
            net.kill(3).await;
            let with_one_down = most(&net, 10..19).await;
            assert!(
                with_one_down < Duration::from_millis(1_000),
                "{with_one_down:?} with one down"
            );
            net.grown(20).await;
            net.equal_rows().await;
        });
    }
}

#[test]
fn what_has_no_authority_is_not_taken_and_the_pool_is_bounded() {
    for seed in seeds() {
        run(seed, |mut net| async move {
            for n in 0..4 {
                let mut config: Config = Net::config(n);
                config.pool.author_submissions = 3;
                net.start(n, config).await;
            }
            net.record(0, &SAID.set).await;
            net.grown(1).await;
            // The ring is not registered yet.
            let early = net.up[&1].submit(SAID.decisions[0].clone()).await;
            assert!(matches!(early, Err(SubmitError::Inadmissible(_))), "{early:?}");
            net.record(0, &SAID.registered).await;
            net.grown(2).await;
            for forged in &SAID.forged {
                let refused = net.up[&2].submit(forged.clone()).await;
                assert!(refused.is_err(), "{forged:?}");
            }
            // Nothing is agreed on meanwhile, so that what is said waits.
            net.relink(&[]).await;
            net.pause(Duration::from_secs(1)).await;
            let mut tickets = Vec::new();
            for sequence in 1..=3 {
                tickets.push(net.submit(0, &complaint(&SAID.ring, 1, sequence)).await);
            }
            let full = net.up[&0].submit(complaint(&SAID.ring, 1, 4)).await;
            assert!(matches!(full, Err(SubmitError::Full(PoolFull::Author { .. }))), "{full:?}");
            tickets.push(net.submit(0, &complaint(&SAID.ring, 2, 1)).await);
            net.relink(&[&[0, 1, 2, 3]]).await;
            for ticket in tickets {
                ticket.committed().await.unwrap();
            }
            net.record(0, &complaint(&SAID.ring, 1, 4)).await;
            net.grown(7).await;
            assert_eq!(net.equal_rows().await.entries.len(), 7);
            for validator in net.up.values() {
                assert_eq!(validator.waiting(), (0, 0));
            }
            let again = net.up[&3].submit(SAID.registered.clone()).await;
            assert!(again.is_err(), "it is recorded");
        });
    }
}
