use deepring_ledger::{Event, Ledger, LedgerOptions};
use deepring_testkit::rings::host_key;
use tempfile::TempDir;

use super::*;
use crate::agreement::fixtures::{ORIGIN, node_key, set};

/// A ledger of some entries by other hosts for each `salt`: another history.
fn ledger(entries: u8, salt: u8) -> (TempDir, Ledger) {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger =
        LedgerOptions::new().origin(ORIGIN).open_or_create(dir.path().join("l")).unwrap();
    for n in 0..entries {
        let event = Event::KeyRevoked { reason: format!("{salt}") };
        ledger.record(&event, &host_key(n + 10).into()).unwrap();
    }
    (dir, ledger)
}

fn cosigning(n: u8) -> Cosigning {
    Cosigning::new(node_key(n), &set(4)).unwrap()
}

/// The statement of validator `n` about this ledger.
fn statement(n: u8, ledger: &Ledger) -> Vec<u8> {
    let mut cosigning = cosigning(n);
    cosigning.grown(ledger.checkpoint(), 1_700_000_000).unwrap();
    cosigning.newest().unwrap().encode()
}

fn key(n: u8) -> PublicKey<Node> {
    node_key(n).public()
}

#[test]
fn three_of_four_certify_whatever_the_order() {
    let (_dir, ledger) = ledger(3, 0);
    let mut mine = cosigning(0);
    // Two speak before this ledger has the size.
    for n in [1, 1, 2] {
        assert_eq!(mine.receive(&key(n), &statement(n, &ledger)).unwrap(), Heard::Noted);
    }
    let heard = mine.grown(ledger.checkpoint(), 1_700_000_000).unwrap();
    let certified: Vec<_> = heard
        .into_iter()
        .filter_map(|heard| match heard {
            Heard::Certified(certified) => Some(certified),
            _ => None,
        })
        .collect();
    assert_eq!(certified.len(), 1);
    assert_eq!(certified[0].added().len(), 3);
    assert_eq!(certified[0].checkpoint().body(), ledger.checkpoint().body());
    // It is told once.
    assert_eq!(mine.receive(&key(3), &statement(3, &ledger)).unwrap(), Heard::Noted);
}

#[test]
fn two_of_four_certify_nothing() {
    let (_dir, ledger) = ledger(3, 0);
    let mut mine = cosigning(0);
    mine.receive(&key(1), &statement(1, &ledger)).unwrap();
    mine.receive(&key(1), &statement(1, &ledger)).unwrap();
    let heard = mine.grown(ledger.checkpoint(), 1_700_000_000).unwrap();
    assert!(heard.iter().all(|heard| *heard == Heard::Noted));
}

#[test]
fn another_history_is_a_fork_with_both_notes() {
    let ((_a, ledger), (_b, other)) = (self::ledger(3, 0), self::ledger(3, 1));
    let mut mine = cosigning(0);
    mine.grown(ledger.checkpoint(), 1_700_000_000).unwrap();
    let said = statement(2, &other);
    let Heard::SplitView(split_view) = mine.receive(&key(2), &said).unwrap() else { panic!() };
    assert_eq!((split_view.by, split_view.size), (key(2), 3));
    assert_eq!(split_view.mine, ledger.checkpoint().as_str());
    // Anybody can see that this validator cosigned the other body.
    let (body, line) = split_view.theirs.split_once("\n\n").unwrap();
    let body = CheckpointBody::parse(&format!("{body}\n")).unwrap();
    let witness = WitnessKey::of_node(&key(2)).unwrap();
    body.cosignature(line, &[witness]).unwrap();
    assert_ne!(body, *ledger.checkpoint().body());
    // It is told once, and counts for nothing.
    assert_eq!(mine.receive(&key(2), &said).unwrap(), Heard::Noted);
    assert_eq!(mine.receive(&key(1), &statement(1, &ledger)).unwrap(), Heard::Noted);
    let third = mine.receive(&key(3), &statement(3, &ledger)).unwrap();
    assert!(matches!(third, Heard::Certified(_)));
}

#[test]
fn a_fork_that_was_said_early_is_seen_when_this_ledger_is_there() {
    let ((_a, ledger), (_b, other)) = (self::ledger(3, 0), self::ledger(3, 1));
    let mut mine = cosigning(0);
    assert_eq!(mine.receive(&key(2), &statement(2, &other)).unwrap(), Heard::Noted);
    let heard = mine.grown(ledger.checkpoint(), 1_700_000_000).unwrap();
    assert!(
        heard
            .iter()
            .any(|heard| matches!(heard, Heard::SplitView(split_view) if split_view.by == key(2)))
    );
}

#[test]
fn a_member_speaks_for_itself_alone_and_of_this_log() {
    let (_dir, ledger) = ledger(3, 0);
    let mut mine = cosigning(0);
    mine.grown(ledger.checkpoint(), 1_700_000_000).unwrap();
    let said = statement(1, &ledger);
    assert!(mine.receive(&key(2), &said).is_err(), "passed on by another");
    let line = ledger.checkpoint().body().cosign(&node_key(9), 1_700_000_000).unwrap();
    let stranger = Statement { body: ledger.checkpoint().body().clone(), line };
    assert!(mine.receive(&key(9), &stranger.encode()).is_err(), "no member");
    let mut follower = cosigning(9);
    follower.grown(ledger.checkpoint(), 1_700_000_000).unwrap();
    assert_eq!(follower.newest(), None, "who is no member says nothing");
    for at in 0..said.len() {
        let mut said = said.clone();
        said[at] ^= 1;
        assert!(mine.receive(&key(1), &said).is_err(), "{at}");
    }
    assert!(mine.receive(&key(1), &[&said[..], &[0]].concat()).is_err());
    let dir = tempfile::tempdir().unwrap();
    let mut foreign = LedgerOptions::new()
        .origin("deepring.local/ledger/other")
        .open_or_create(dir.path().join("l"))
        .unwrap();
    foreign.record(&Event::KeyRevoked { reason: String::new() }, &host_key(10).into()).unwrap();
    let refused = mine.receive(&key(1), &statement(1, &foreign));
    assert!(matches!(refused, Err(StatementError::OtherLog)));
}
