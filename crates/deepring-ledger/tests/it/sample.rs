//! Entries, ledgers and random numbers for tests.

use std::env;
use std::sync::OnceLock;

use deepring::keys::AuthorKey;
use deepring::outline::{AuthenticOutline, Outline};
use deepring::replication::Evidence;
use deepring::{Digest, Host, PublicKey, RingId};
use deepring_ledger::entry::EntryError;
use deepring_ledger::{Binding, Entry, Event, Ledger, LedgerError, LedgerOptions};
use tempfile::TempDir;

use crate::rings::{Sealed, host, host_key, owner_key};

/// Names a file with the outline to a child process, so that parent and child mean one ring.
pub(crate) const OUTLINE: &str = "DEEPRING_LEDGER_TEST_OUTLINE";

/// The ring of most tests: of owner 0, in two copies.
pub(crate) fn ring() -> &'static Sealed {
    static RING: OnceLock<Sealed> = OnceLock::new();
    RING.get_or_init(|| Sealed::new(0, 2))
}

/// Its outline.
pub(crate) fn outline() -> &'static AuthenticOutline {
    static OUTLINE_OF: OnceLock<AuthenticOutline> = OnceLock::new();
    OUTLINE_OF.get_or_init(|| match env::var_os(OUTLINE) {
        Some(path) => {
            let outline = Outline::decode(&std::fs::read(path).unwrap()).unwrap();
            outline.verify_consistent().unwrap()
        }
        None => ring().outline(),
    })
}

/// A file with the outline, for [`OUTLINE`].
pub(crate) fn outline_file() -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), outline().as_outline().encode()).unwrap();
    file
}

/// The name of every ledger here, unless a test is about names.
pub(crate) const ORIGIN: &str = "deepring.test/log";

/// Opens a ledger of that name, or makes it.
pub(crate) fn ledger_at(dir: impl AsRef<std::path::Path>) -> Result<Ledger, LedgerError> {
    ledger_named(ORIGIN, dir)
}

/// The same of another name.
pub(crate) fn ledger_named(
    origin: &str,
    dir: impl AsRef<std::path::Path>,
) -> Result<Ledger, LedgerError> {
    LedgerOptions::new().origin(origin).open_or_create(dir)
}

/// Signs an event for that ledger, as its author's entry of number `at`.
pub(crate) fn sign(at: u64, event: &Event, author: &AuthorKey) -> Result<Entry, EntryError> {
    Entry::sign(Binding::new(ORIGIN, at), at, event, author)
}

pub(crate) fn digest(n: u64) -> Digest {
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&n.to_le_bytes());
    Digest(digest)
}

pub(crate) fn owner() -> AuthorKey {
    owner_key(0).into()
}

pub(crate) fn by_host(n: u8) -> AuthorKey {
    host_key(n).into()
}

/// A decision of the sample ring whose id is `n`.
pub(crate) fn decision(n: u64) -> Entry {
    decision_of(outline(), n)
}

pub(crate) fn decision_of(outline: &AuthenticOutline, n: u64) -> Entry {
    let event = Event::Decisions {
        ring_digest: outline.ring_digest(),
        decision_id: digest(n),
        count: n as u32 + 1,
        dealt: outline.deal_number(),
    };
    sign(1_000 + n, &event, &by_host(0)).unwrap()
}

pub(crate) fn decisions(range: std::ops::Range<u64>) -> Vec<Entry> {
    range.map(decision).collect()
}

/// The sample ring's registration.
pub(crate) fn registered() -> Entry {
    registration_of(outline(), &owner())
}

pub(crate) fn registration_of(outline: &AuthenticOutline, owner: &AuthorKey) -> Entry {
    let event = Event::RingRegistered { outline: Box::new(outline.as_outline().clone()) };
    sign(1, &event, owner).unwrap()
}

/// An alarm of one host of the sample ring about another, or itself.
pub(crate) fn alarm(at: u64, author: u8, accused: u8, block: Option<u32>) -> Entry {
    let event = Event::Alarm {
        ring_id: outline().ring_id(),
        ring_digest: outline().ring_digest(),
        accused: host(accused),
        block,
        name: "layer1".into(),
        part: "body".into(),
        tensor: Some("w".into()),
        bytes: Some([64, 68]),
        reason: "chunk does not open".into(),
        evidence: None,
    };
    sign(at, &event, &by_host(author)).unwrap()
}

/// That a host's copy of a block is changed.
pub(crate) fn alarm_about(
    (ring_id, ring_digest): (RingId, Digest),
    accused: PublicKey<Host>,
    block: Option<u32>,
) -> Event {
    Event::Alarm {
        ring_id,
        ring_digest,
        accused,
        block,
        name: String::new(),
        part: "body".into(),
        tensor: None,
        bytes: None,
        reason: "changed".into(),
        evidence: None,
    }
}

/// The alarm with this evidence.
pub(crate) fn with_evidence(mut alarm: Event, evidence: &Evidence) -> Event {
    let Event::Alarm { evidence: place, .. } = &mut alarm else { panic!("no alarm") };
    *place = Some(Box::new(evidence.clone()));
    alarm
}

/// A registration and entries of several kinds after it, `n` in all.
pub(crate) fn mixed(n: u64) -> Vec<Entry> {
    let entry = |i: u64| match i % 4 {
        _ if i == 0 => registered(),
        1 => alarm(i, 0, 0, Some(1)),
        _ => decision(i),
    };
    (0..n).map(entry).collect()
}

/// A closed ledger of these entries, appended in batches of up to five.
pub(crate) fn ledger_of(entries: &[Entry]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = ledger_at(dir.path()).unwrap();
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
