//! One validator set after another: who agrees to it, who votes then, and who does not any more.

use std::num::NonZeroU64;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use deepring_ledger::{Checkpoint, Event, ValidatorSet};
use deepring_node::agreement::{Config, SetApproval, Submission, ViewTiming};
use deepring_testkit::rings::owner_key;

use crate::net::{Net, Rows, committee, run_with, seeds, set};
use crate::said::{SAID, entry};

pub(crate) const NODES: u8 = 5;

/// Node 0 leaves, and node 4 joins.
pub(crate) fn next_set() -> ValidatorSet {
    let mut nodes = committee(NODES).split_off(1);
    nodes.sort_by_key(|key| *key.as_bytes());
    ValidatorSet { epoch: 2, nodes, ..set() }
}

pub(crate) static NEXT: LazyLock<Submission> = LazyLock::new(|| {
    Submission::of(&entry(3, &Event::ValidatorSet(next_set()), owner_key(0))).unwrap()
});

/// What the operators of the nodes approved.
pub(crate) struct Operators(Vec<SetApproval>);

impl Operators {
    pub(crate) fn new(approving: &[u8]) -> Self {
        let this = Self((0..NODES).map(|_| SetApproval::default()).collect());
        approving.iter().for_each(|n| this.approve(*n));
        this
    }

    fn approve(&self, n: u8) {
        self.0[usize::from(n)].set(Some(NEXT.id()));
    }

    pub(crate) fn config(&self, n: u8) -> Config {
        let mut config = Net::config(n);
        config.term_heights = NonZeroU64::new(8).unwrap();
        config.timing = ViewTiming::of(Duration::from_secs(1));
        config.approval = self.0[usize::from(n)].clone();
        config
    }

    async fn start(&self, net: &mut Net, nodes: impl IntoIterator<Item = u8>) {
        for n in nodes {
            net.start(n, self.config(n)).await;
        }
    }

    async fn begin(&self, net: &mut Net, nodes: impl IntoIterator<Item = u8>) {
        self.start(net, nodes).await;
        net.record(0, &SAID.set).await;
        net.record(0, &SAID.registered).await;
        net.grown(2).await;
    }
}

fn votes(net: &Net) -> Vec<bool> {
    net.up.values().map(|v| v.subscribe().borrow().votes).collect()
}

/// The newest checkpoint that validator `n` holds as certified is the new set's, and not the old one's.
pub(crate) async fn certified_by_next(net: &Net, n: u8) {
    let kept = net.up[&n].look(|ledger| ledger.checkpoint().as_str().to_owned()).await.unwrap();
    assert!(Checkpoint::verify_by_set(&kept, &next_set()).is_ok());
    assert!(Checkpoint::verify_by_set(&kept, &set()).is_err());
}

/// Two of five die while the set changes; `moment` is when.
async fn one_leaves_and_one_joins(mut net: Net, moment: u64) -> Rows {
    let operators = Operators::new(&[0, 1, 2]);
    operators.begin(&mut net, 0..NODES).await;
    assert_eq!(votes(&net), [true, true, true, true, false]);
    // Who follows takes submissions, too.
    net.record(4, &SAID.decisions[0]).await;
    net.record(3, &NEXT).await;
    net.grown(4).await;
    let term = net.term(0);
    net.until("the term is about to end", |net| net.up.values().any(|v| v.height() % 8 >= 6)).await;
    net.pause(Duration::from_millis(400 * moment)).await;
    net.kill(2).await;
    net.kill(4).await;
    net.pause(Duration::from_secs(3)).await;
    operators.start(&mut net, [2, 4]).await;
    net.term_begun(term + 1).await;
    assert_eq!(votes(&net), [false, true, true, true, true]);
    // Of the new set one more may be down: the one that joined is needed, and the one that left is not.
    net.kill(0).await;
    net.kill(1).await;
    for decision in &SAID.decisions[1..3] {
        net.record_when_ready(4, decision).await;
    }
    net.grown(6).await;
    net.certified(6).await;
    certified_by_next(&net, 4).await;
    for validator in net.up.values() {
        let signed = validator.subscribe().borrow().signed_set.clone();
        assert_eq!(signed.as_deref(), Some(NEXT.entry()));
    }
    // They come back, to what was agreed on without them.
    operators.start(&mut net, [0, 1]).await;
    net.grown(6).await;
    net.term_begun(net.term(4)).await;
    assert_eq!(votes(&net), [false, true, true, true, true]);
    net.record_when_ready(0, &SAID.decisions[3]).await;
    net.grown(7).await;
    let rows = net.equal_rows().await;
    assert_eq!(rows.entries.len(), 7);
    rows
}

#[test]
fn one_node_leaves_and_one_joins_while_messages_are_lost_and_nodes_die() {
    for seed in seeds() {
        let change = |net| one_leaves_and_one_joins(net, seed - 1);
        assert_eq!(run_with(NODES, seed, change), run_with(NODES, seed, change));
    }
}

#[test]
fn what_the_set_before_left_is_certified_by_the_next() {
    run_with(NODES, 1, |mut net| async move {
        let operators = Operators::new(&[0, 1, 2, 3]);
        operators.begin(&mut net, 0..NODES).await;
        net.record(0, &NEXT).await;
        let term = net.term(0);
        net.term_begun(term + 1).await;
        // No entry follows.
        net.until("the new set cosigned it", |net| {
            let progress = net.up[&0].subscribe();
            let certified = progress.borrow().certified.clone();
            certified.is_some_and(|c| {
                Checkpoint::verify_by_set(c.checkpoint().as_str(), &next_set()).is_ok()
            })
        })
        .await;
        assert_eq!(net.size(0), 3);
    });
}

#[test]
fn a_node_that_was_never_there_joins_after_some_terms() {
    for seed in seeds() {
        run_with(NODES, seed, |mut net| async move {
            let operators = Operators::new(&[0, 1, 2, 3]);
            operators.begin(&mut net, 0..4).await;
            net.record(0, &NEXT).await;
            let term = net.term(0);
            net.term_begun(term + 3).await;
            net.record(1, &SAID.decisions[0]).await;
            operators.start(&mut net, [4]).await;
            net.grown(4).await;
            net.term_begun(term + 3).await;
            net.kill(1).await;
            net.record_when_ready(4, &SAID.decisions[1]).await;
            net.grown(5).await;
            net.certified(5).await;
            certified_by_next(&net, 4).await;
            assert_eq!(net.equal_rows().await.entries.len(), 5);
        });
    }
}

#[test]
fn an_owner_alone_does_not_change_the_set_and_holds_up_nothing() {
    for seed in seeds() {
        run_with(NODES, seed, |mut net| async move {
            // Nobody approved it, then two of four did, then three.
            let operators = Operators::new(&[]);
            operators.begin(&mut net, 0..NODES).await;
            let ticket = net.submit(1, &NEXT).await;
            let mut size = 2;
            for approving in [vec![], vec![0, 1]] {
                approving.into_iter().for_each(|n| operators.approve(n));
                let (term, height) = (net.term(0), net.up[&0].height());
                net.record(2, &SAID.decisions[size - 2]).await;
                size += 1;
                net.pause(Duration::from_secs(60)).await;
                // A heartbeat a second, with lost messages, and no turn that ends in vain.
                assert!(net.up[&0].height() > height + 30, "{} heights", net.up[&0].height());
                assert!(net.term(0) > term);
                assert_eq!(net.size(0), size as u64);
                assert_eq!(votes(&net), [true, true, true, true, false]);
            }
            operators.approve(2);
            assert_eq!(ticket.committed().await.unwrap().index, size as u64);
            let term = net.term(0);
            net.term_begun(term + 1).await;
            assert_eq!(votes(&net), [false, true, true, true, true]);
            assert_eq!(net.equal_rows().await.entries[size], NEXT.entry());
        });
    }
}

#[test]
fn a_leader_that_proposes_an_unapproved_set_finds_no_quorum() {
    for seed in seeds() {
        run_with(NODES, seed, |mut net| async move {
            let operators = Operators::new(&[]);
            let mut config = operators.config(1);
            config.tamper = Some(Arc::new(|_, mut honest: Vec<Submission>| {
                if !honest.contains(&SAID.set) {
                    honest.push(NEXT.clone());
                }
                honest
            }));
            net.start(1, config).await;
            operators.begin(&mut net, [0, 2, 3, 4]).await;
            for decision in &SAID.decisions[..4] {
                net.record(0, decision).await;
            }
            let term = net.term(0);
            net.term_begun(term + 2).await;
            net.grown(6).await;
            let rows = net.equal_rows().await;
            assert_eq!(rows.entries.len(), 6);
            assert!(!rows.entries.contains(&NEXT.entry().to_vec()));
            assert_eq!(votes(&net), [true, true, true, true, false]);
        });
    }
}
