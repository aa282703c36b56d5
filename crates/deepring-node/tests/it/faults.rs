//! Validators that die, networks that break, and what is there afterwards.

use std::time::Duration;

use deepring_node::agreement::Submission;

use crate::net::{Net, run, seeds};
use crate::said::{SAID, complaint};

async fn begun(net: &mut Net) {
    net.start_all().await;
    net.record(0, &SAID.set).await;
    net.record(0, &SAID.registered).await;
    net.grown(2).await;
}

#[test]
fn a_validator_that_died_catches_up_from_its_storage() {
    for seed in seeds() {
        run(seed, |mut net| async move {
            begun(&mut net).await;
            net.kill(3).await;
            for (n, decision) in (0..3).zip(&SAID.decisions) {
                net.record(n, decision).await;
            }
            // Some dockets without a leaf, too.
            net.pause(Duration::from_secs(30)).await;
            let before = net.up[&0].height();
            net.start(3, Net::config(3)).await;
            net.grown(5).await;
            net.until("it is as high", |net| net.up[&3].height() >= before).await;
            // It takes part again: with another one down it is needed.
            net.kill(1).await;
            net.record(3, &SAID.decisions[3]).await;
            net.grown(6).await;
            net.certified(6).await;
            assert_eq!(net.equal_rows().await.entries.len(), 6);
        });
    }
}

#[test]
fn what_was_submitted_to_a_validator_that_dies_is_committed_by_the_others() {
    for seed in seeds() {
        run(seed, |mut net| async move {
            begun(&mut net).await;
            // Sent once or twice, and not waited for.
            net.submit(2, &SAID.decisions[0]).await;
            net.pause(Duration::from_millis(60)).await;
            net.kill(2).await;
            net.grown(3).await;
            assert_eq!(net.equal_rows().await.entries[2], SAID.decisions[0].entry());
        });
    }
}

#[test]
fn all_die_and_go_on_from_their_storage() {
    for seed in seeds() {
        run(seed, |mut net| async move {
            begun(&mut net).await;
            net.record(1, &SAID.decisions[0]).await;
            net.grown(3).await;
            let before = net.equal_rows().await;
            for n in 0..4 {
                net.kill(n).await;
            }
            net.start_all().await;
            // What was recorded is there, and is not taken again.
            assert_eq!(net.rows(0).await, before);
            net.until("it goes on", |net| net.up.values().all(|v| v.height() > 3)).await;
            assert!(net.up[&0].submit(SAID.decisions[0].clone()).await.is_err());
            net.record(2, &SAID.decisions[1]).await;
            net.grown(4).await;
            let after = net.equal_rows().await;
            assert_eq!(after.entries[..3], before.entries[..]);
        });
    }
}

#[test]
fn two_and_two_halt_and_go_on_when_they_hear_each_other() {
    for seed in seeds() {
        run(seed, |mut net| async move {
            begun(&mut net).await;
            net.relink(&[&[0, 1], &[2, 3]]).await;
            net.pause(Duration::from_secs(5)).await;
            let heights = |net: &Net| net.up.values().map(|v| v.height()).collect::<Vec<_>>();
            let halted = heights(&net);
            let tickets = [
                net.submit(0, &SAID.decisions[0]).await,
                net.submit(3, &complaint(&SAID.ring, 2, 1)).await,
            ];
            net.pause(Duration::from_secs(120)).await;
            assert_eq!(heights(&net), halted, "half of the validators agreed on something");
            assert!(net.up.keys().all(|n| net.size(*n) == 2));
            net.relink(&[&[0, 1, 2, 3]]).await;
            for ticket in tickets {
                ticket.committed().await.unwrap();
            }
            net.grown(4).await;
            net.certified(4).await;
            assert_eq!(net.equal_rows().await.entries.len(), 4);
        });
    }
}

#[test]
fn the_same_entry_submitted_everywhere_is_recorded_once() {
    for seed in seeds() {
        run(seed, |mut net| async move {
            begun(&mut net).await;
            let mut tickets = Vec::new();
            for n in 0..4 {
                let submission: &Submission = &SAID.decisions[0];
                // It may be committed before the last one is asked.
                tickets.extend(net.up[&n].submit(submission.clone()).await);
            }
            for ticket in tickets {
                assert_eq!(ticket.committed().await.unwrap().index, 2);
            }
            net.record(1, &SAID.decisions[1]).await;
            net.grown(4).await;
            assert_eq!(net.equal_rows().await.entries.len(), 4);
        });
    }
}
