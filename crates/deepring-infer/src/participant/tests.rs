use super::host_message::{HostMessage, LegEnd, LegReport};
use super::scene::Aside;
use super::*;

fn host(seed: u8) -> SecretKey<Host> {
    SecretKey::from_halves(&[seed; 32], &[seed; 32]).unwrap()
}

fn digest(n: u8) -> Digest {
    Digest([n; 32])
}

fn report(end: LegEnd) -> HostMessage {
    let failed = deepring::replication::FailedCopy {
        host: host(3).public(),
        fault: deepring::replication::CopyFault::Absent,
    };
    HostMessage::Report(LegReport { query: digest(1), first_block: 4, end, failed: vec![failed] })
}

#[test]
fn messages_between_hosts_have_one_encoding_and_nothing_else_is_one() {
    let why = "in words".to_owned();
    let messages = [
        HostMessage::Holds { query: digest(1), head: digest(2) },
        HostMessage::Wants { query: digest(1), receipt: digest(2) },
        HostMessage::Asks { query: digest(1), head: digest(2) },
        report(LegEnd::Settled),
        report(LegEnd::Disputed),
        report(LegEnd::CannotCompute(why.clone())),
        report(LegEnd::Rejected { queries: vec![0, 2], why }),
    ];
    for message in messages {
        let bytes = message.encode();
        assert_eq!(HostMessage::decode(&bytes).as_ref(), Ok(&message));
        for len in 0..bytes.len() {
            HostMessage::decode(&bytes[..len]).unwrap_err();
        }
        HostMessage::decode(&[&bytes[..], &[0]].concat()).unwrap_err();
        // Whatever bit is flipped: another message, which is written so, or none.
        for at in 0..8 * bytes.len() {
            let mut other = bytes.clone();
            other[at / 8] ^= 1 << (at % 8);
            if let Ok(found) = HostMessage::decode(&other) {
                assert_eq!(found.encode(), other, "bit {at}");
            }
        }
    }
    for queries in [vec![], vec![2, 0], vec![1, 1]] {
        let bytes = report(LegEnd::Rejected { queries, why: String::new() }).encode();
        HostMessage::decode(&bytes).unwrap_err();
    }
    for kind in [0, 10, 255] {
        HostMessage::decode(&[kind]).unwrap_err();
    }
}

#[test]
fn the_oldest_receipts_are_forgotten_and_no_newer_one() {
    let signed = |n: u8| Remembered {
        query: digest(n),
        first_block: 1,
        head: digest(9),
        receipt: digest(8),
    };
    let mut memory = SignedReceipts::new(3, (0..3).map(signed));
    memory.add(&signed(2));
    memory.add(&signed(3));
    let known: Vec<bool> = (0..5).map(|n| memory.has(digest(n), 1, digest(9))).collect();
    assert_eq!(known, [false, true, true, true, false]);
    assert!(!memory.has(digest(3), 2, digest(9)), "of another leg");
    assert!(!memory.has(digest(3), 1, digest(7)), "on another chain");
}

#[test]
fn a_peer_displaces_what_it_sent_itself_and_nothing_of_another() {
    let [one, other]: [PublicKey<Host>; 2] = [host(1).public(), host(2).public()];
    let mut aside = Aside::default();
    aside.put(&one, (digest(1), digest(2)), vec![0], 4);
    for n in 0..100 {
        aside.put(&other, (digest(n), digest(2)), vec![n], 4);
    }
    aside.put(&other, (digest(99), digest(2)), vec![99], 4);
    assert_eq!(aside.take(digest(1), digest(2)), [(one, vec![0])]);
    assert_eq!(aside.take(digest(1), digest(2)), [], "taken once");
    let left: Vec<u8> =
        (0..100).filter(|n| !aside.take(digest(*n), digest(2)).is_empty()).collect();
    assert_eq!(left, [96, 97, 98, 99], "what is sent twice is kept once");
}

#[test]
fn patience_is_the_floor_or_so_many_times_ones_own_time() {
    let patience = Patience { floor: 100, times: 10, query: 1_000 };
    assert_eq!(
        [0, 10, 11, u64::MAX].map(|took| patience.with_copy(took)),
        [100, 100, 110, u64::MAX]
    );
    assert_eq!([0, 1, 2, 60].map(|tries| patience.repeat(tries)), [25, 50, 100, 1_600]);
    let none = Patience { floor: 0, times: 0, query: 0 };
    assert!(none.with_copy(0) > 0 && none.repeat(0) > 0, "nothing is due again at once");
}

#[test]
fn queries_that_ended_are_known_until_newer_ones_displace_them_and_answer_so_often() {
    let mut ended = Ended::new(2);
    let key = |n: u8| (digest(n), [n; 64]);
    for n in 0..3 {
        ended.add(key(n), query::QueryEnd::Decided(vec![n].into()));
    }
    assert!(!ended.has(&key(0)) && ended.has(&key(1)) && ended.has(&key(2)));
    assert!(ended.answer(digest(0)).is_none());
    let answers = (0..1000).filter(|_| ended.answer(digest(2)).unwrap().is_some()).count();
    assert_eq!(answers, 64);
}
