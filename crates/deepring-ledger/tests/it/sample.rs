//! Entries, ledgers and random numbers for tests.

use deepring_ledger::{Entry, Event, Ledger};
use tempfile::TempDir;

pub(crate) fn ring_id() -> [u8; 16] {
    [7; 16]
}

pub(crate) fn digest(n: u64) -> [u8; 32] {
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&n.to_le_bytes());
    digest
}

/// A decision whose id is `n`.
pub(crate) fn decision(n: u64) -> Entry {
    let event =
        Event::Decisions { ring_digest: [1; 32], decision_id: digest(n), count: n as u32 + 1 };
    Entry { at: 1_000 + n, event }
}

pub(crate) fn registered(version: u64) -> Entry {
    let event = Event::RingRegistered {
        ring_id: ring_id(),
        ring_digest: digest(version),
        model_version: version,
        owner: [2; 64],
        closure_signature: [3; 64],
    };
    Entry { at: version, event }
}

pub(crate) fn alarm(version: u64, block: Option<u32>) -> Entry {
    let event = Event::Alarm {
        ring_id: ring_id(),
        ring_digest: digest(version),
        block,
        name: "fc1".into(),
        part: "body".into(),
        tensor: Some("fc1.weight".into()),
        bytes: Some([64, 68]),
        reason: "chunk does not open".into(),
    };
    Entry { at: 5, event }
}

/// Entries of several kinds, `n` of them.
pub(crate) fn mixed(n: u64) -> Vec<Entry> {
    let entry = |i: u64| match i % 4 {
        0 => registered(i),
        1 => alarm(i, Some(i as u32)),
        _ => decision(i),
    };
    (0..n).map(entry).collect()
}

/// A closed ledger of these entries, appended in batches of up to five.
pub(crate) fn ledger_of(entries: &[Entry]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open_or_create(dir.path()).unwrap();
    for batch in entries.chunks(5) {
        ledger.append(batch).unwrap();
    }
    dir
}

/// Splitmix64: seeded, so that a failure can be played again.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}
