//! Proposes what no honest validator would, or nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use deepring_node::agreement::Submission;

use crate::net::{Net, run, seeds};
use crate::said::SAID;

#[test]
fn a_proposer_of_invalid_blocks_gets_nothing_into_a_ledger() {
    for seed in seeds() {
        run(seed, |mut net| async move {
            let (lies, recorded) =
                (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
            let mut config = Net::config(1);
            // At each turn another lie, before or after what is to be said. Once they are recorded,
            // true entries are lies, too.
            let (told, so) = (lies.clone(), recorded.clone());
            config.tamper = Some(Arc::new(move |_, mut honest: Vec<Submission>| {
                let turn = told.fetch_add(1, Ordering::Relaxed);
                let mut lies = SAID.forged.clone();
                if so.load(Ordering::Relaxed) {
                    lies.extend([SAID.registered.clone(), SAID.decisions[0].clone()]);
                }
                let lie = lies[turn % lies.len()].clone();
                match turn % 2 {
                    0 => honest.insert(0, lie),
                    _ => honest.push(lie),
                }
                honest
            }));
            net.start(1, config).await;
            for n in [0, 2, 3] {
                net.start(n, Net::config(n)).await;
            }
            let mut expected = Vec::new();
            let first = [&SAID.set, &SAID.registered, &SAID.decisions[0], &SAID.other_registered];
            for submission in first {
                net.record(0, submission).await;
                expected.push(submission.entry().to_vec());
                net.grown(u64::try_from(expected.len()).unwrap()).await;
            }
            recorded.store(true, Ordering::Relaxed);
            let told = lies.load(Ordering::Relaxed);
            let all = told + SAID.forged.len() + 2;
            net.until("every lie was told", |_| lies.load(Ordering::Relaxed) >= all).await;
            for submission in &SAID.decisions[1..5] {
                net.record(2, submission).await;
                expected.push(submission.entry().to_vec());
            }
            net.grown(u64::try_from(expected.len()).unwrap()).await;
            assert_eq!(net.equal_rows().await.entries, expected);
        });
    }
}

#[test]
fn a_validator_that_withholds_everything_delays_its_own_turns_alone() {
    for seed in seeds() {
        run(seed, |mut net| async move {
            let mut config = Net::config(2);
            config.tamper = Some(Arc::new(|_, _| Vec::new()));
            net.start(2, config).await;
            for n in [0, 1, 3] {
                net.start(n, Net::config(n)).await;
            }
            // Said to the one that proposes nothing: the others have it from its gossip.
            net.record(2, &SAID.set).await;
            net.record(2, &SAID.registered).await;
            net.record(2, &SAID.decisions[0]).await;
            net.grown(3).await;
            assert_eq!(net.equal_rows().await.entries.len(), 3);
        });
    }
}
