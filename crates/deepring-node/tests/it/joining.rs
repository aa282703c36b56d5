//! Nodes that join when nobody holds the begin of the log any more: with a copy of a ledger, and a record of who stands.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use deepring_node::agreement::{AgreementError, Config, JoinError, JoinRecord, ViewTiming};

use crate::net::{Net, node_key, run_with, seeds, set};
use crate::said::SAID;
use crate::succession::{NEXT, Operators, certified_by_next, next_set};
use crate::terms::copy;

const HEIGHTS: NonZeroU64 = NonZeroU64::new(8).unwrap();
/// The first four are of the set that the log begins with, the fifth of the next.
const NODES: u8 = 6;

fn record_of(net: &Net, n: u8) -> PathBuf {
    net.folder(n).with_file_name("join")
}

/// Nodes that keep next to nothing of what is over.
fn config(net: &Net, operators: &Operators, n: u8) -> Config {
    retaining(4, net, operators, n)
}

fn retaining(heights: u64, net: &Net, operators: &Operators, n: u8) -> Config {
    let mut config = operators.config(n);
    config.retained = NonZeroU64::new(heights).unwrap();
    config.timing = ViewTiming::of(Duration::from_millis(200));
    config.join_file = Some(record_of(net, n));
    config
}

/// Four nodes, after some terms.
async fn grown_old(net: &mut Net, config: impl Fn(&Net, u8) -> Config) {
    for n in 0..4 {
        net.start(n, config(net, n)).await;
    }
    net.record(0, &SAID.set).await;
    net.record(0, &SAID.registered).await;
    net.grown(2).await;
    net.record(1, &SAID.decisions[0]).await;
    net.term_begun(17).await;
}

/// What a node's operator gives to a new one: the record first, then the ledger, of a node that is stopped.
async fn given(
    net: &mut Net,
    config: impl Fn(&Net, u8) -> Config,
    (from, to): (u8, u8),
) -> Vec<u8> {
    let record = std::fs::read(record_of(net, from)).unwrap();
    net.kill(from).await;
    std::fs::create_dir_all(net.folder(to)).unwrap();
    copy(&net.folder(from), &net.folder(to));
    net.start(from, config(net, from)).await;
    record
}

#[test]
fn a_node_joins_with_a_copy_of_a_ledger_where_dockets_are_pruned_and_votes_in_the_next_set() {
    for seed in seeds() {
        run_with(NODES, seed, |mut net| async move {
            let operators = Operators::new(&[0, 1, 2, 3]);
            grown_old(&mut net, |net, n| config(net, &operators, n)).await;
            // From the begin nobody gets anywhere any more.
            let alone =
                Config { partition: "validator-5".to_owned(), ..config(&net, &operators, 4) };
            net.start(5, alone).await;
            net.pause(Duration::from_secs(60)).await;
            assert_eq!(net.up[&5].height(), 0);
            net.kill(5).await;

            let record = given(&mut net, |net, n| config(net, &operators, n), (0, 4)).await;
            let joining = |net: &Net| {
                let record = JoinRecord::read(&record, &set(), HEIGHTS, Some(&set())).unwrap();
                let record = record.proven_at(net.folder(4).with_file_name("proven"));
                assert!(record.term() >= 17);
                assert!(!record.names(&node_key(4).public()));
                Config { join: Some(record), ..config(net, &operators, 4) }
            };
            net.start(4, joining(&net)).await;
            net.record(2, &SAID.decisions[1]).await;
            net.grown(4).await;
            assert!(!net.up[&4].subscribe().borrow().votes);
            // What grew here is certified: only then is it known that the copy belongs to its height.
            net.certified(4).await;
            assert!(net.folder(4).with_file_name("proven").exists());
            // It begins with the same again, as a process does that was started anew.
            net.kill(4).await;
            net.start(4, joining(&net)).await;
            net.record(0, &NEXT).await;
            net.grown(5).await;
            net.term_begun(net.term(0) + 1).await;
            assert!(net.up[&4].subscribe().borrow().votes);
            // Of the new set it is one of three that are up: nothing is agreed on without it.
            net.kill(1).await;
            net.record_when_ready(4, &SAID.decisions[2]).await;
            net.grown(6).await;
            net.certified(6).await;
            certified_by_next(&net, 4).await;
            assert_eq!(net.equal_rows().await.entries.len(), 6);
        });
    }
}

#[test]
fn a_record_of_another_set_or_of_somebodys_making_is_nothing_to_begin_with() {
    run_with(NODES, 1, |mut net| async move {
        let operators = Operators::new(&[]);
        grown_old(&mut net, |net, n| config(net, &operators, n)).await;
        let record = std::fs::read(record_of(&net, 0)).unwrap();
        let (ours, next) = (set(), next_set());
        let read = |bytes: &[u8], standing| JoinRecord::read(bytes, &ours, HEIGHTS, Some(standing));
        read(&record, &ours).unwrap();
        let other = read(&record, &next).unwrap_err();
        assert!(matches!(other, JoinError::OtherSet { found: 1, expected: 2 }), "{other}");
        let longer = JoinRecord::read(&record, &ours, NonZeroU64::new(16).unwrap(), Some(&ours));
        assert!(matches!(longer, Err(JoinError::Terms(_))));
        for cut in 0..record.len() {
            assert!(read(&record[..cut], &ours).is_err(), "cut at {cut}");
        }
        // All but the term from which votes are kept here, which is each node's own.
        let own = 10 + 4 + 1 + 8 + 8 + 32;
        for at in (0..record.len()).filter(|at| !(own..own + 8).contains(at)) {
            let mut record = record.clone();
            record[at] ^= 1;
            assert!(read(&record, &ours).is_err(), "byte {at}");
        }
    });
}

/// The docket of a record is final, and stands at another height than the record says.
#[test]
fn a_record_whose_docket_has_another_height_stops_the_node_that_begins_with_it() {
    run_with(NODES, 1, |mut net| async move {
        let operators = Operators::new(&[]);
        let short = |net: &Net, n| {
            let mut config = config(net, &operators, n);
            config.term_heights = NonZeroU64::new(4).unwrap();
            config.retained = NonZeroU64::new(1024).unwrap();
            config
        };
        for n in 0..4 {
            net.start(n, short(&net, n)).await;
        }
        net.record(0, &SAID.set).await;
        net.term_begun(3).await;
        let mut record = std::fs::read(record_of(&net, 0)).unwrap();
        // The terms' length, behind magic, version, the schedule's length and its own version.
        record[15..23].copy_from_slice(&HEIGHTS.get().to_le_bytes());
        let record = JoinRecord::read(&record, &set(), HEIGHTS, Some(&set())).unwrap();
        let claimed = record.floor_height();
        net.until("the ledger is as high as the record says", |net| net.up[&0].height() > claimed)
            .await;
        net.kill(0).await;
        std::fs::create_dir_all(net.folder(4)).unwrap();
        copy(&net.folder(0), &net.folder(4));
        net.start(0, short(&net, 0)).await;
        let joining = Config { join: Some(record), ..config(&net, &operators, 4) };
        let started = net.try_start(4, joining).await.unwrap();
        let why = started.stopped().await;
        assert!(matches!(why, AgreementError::OtherHeight { height } if height < claimed), "{why}");
    });
}

/// Nobody signs to which height the size of a ledger belongs. Entries of the heights that a changed copy skips are lacking in it.
#[test]
fn a_copy_that_belongs_to_another_height_is_never_proven_and_its_node_never_votes() {
    run_with(NODES, 1, |mut net| async move {
        let operators = Operators::new(&[0, 1, 2, 3]);
        let config = |net: &Net, n| retaining(1024, net, &operators, n);
        grown_old(&mut net, config).await;
        let record = given(&mut net, config, (0, 4)).await;
        {
            let mut copied = net.ledger(4);
            let (height, size) = (copied.height().unwrap().unwrap(), copied.len());
            copied.append_at(height + 40, size, &[]).unwrap();
        }
        net.record_when_ready(1, &SAID.decisions[1]).await;
        net.until("the skipped heights are over", |net| net.up[&1].height() > 220).await;
        let record = JoinRecord::read(&record, &set(), HEIGHTS, Some(&set())).unwrap();
        let proven = net.folder(4).with_file_name("proven");
        let join = Some(record.proven_at(proven.clone()));
        net.start(4, Config { join, ..config(&net, 4) }).await;
        net.record(2, &SAID.decisions[2]).await;
        net.record(0, &NEXT).await;
        net.until("it sees that others have another history", |net| {
            !net.up[&4].subscribe().borrow().split_views.is_empty()
        })
        .await;
        let term = net.term(0);
        net.until("the next set stands", |net| net.term(0) > term + 1 && net.term(4) > term).await;
        assert!(!proven.exists());
        assert!(!net.up[&4].subscribe().borrow().votes, "it is of the set, and does not vote");
    });
}
