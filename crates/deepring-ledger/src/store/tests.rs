//! Power cuts, simulated: unsynced writes may be lost, in any combination.
// Clippy knows a test by its attribute; the simulated disk is one too.
#![allow(clippy::unwrap_used)]

use std::io;
use std::sync::{Arc, Mutex};

use deepring::{Digest, Host, SecretKey};

use super::*;
use crate::entry::{Binding, Event};
use crate::fsck::check_store;

/// A disk whose unsynced writes are remembered one by one.
#[derive(Debug, Clone, Default)]
struct Disk(Arc<Mutex<Platters>>);

#[derive(Debug, Default)]
struct Platters {
    synced: Vec<u8>,
    unsynced: Vec<Change>,
    /// Syncs until power is cut; nothing is synced afterwards.
    left: u64,
}

#[derive(Debug, Clone)]
enum Change {
    Write(usize, Vec<u8>),
    SetLen(usize),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(at, data) => {
                if bytes.len() < at + data.len() {
                    bytes.resize(at + data.len(), 0);
                }
                bytes[*at..at + data.len()].copy_from_slice(data);
            }
            Self::SetLen(len) => bytes.resize(*len, 0),
        }
    }
}

impl Disk {
    fn of(bytes: Vec<u8>, left: u64) -> Self {
        Self(Arc::new(Mutex::new(Platters { synced: bytes, unsynced: Vec::new(), left })))
    }

    fn now(&self) -> Vec<u8> {
        let disk = self.0.lock().unwrap();
        let mut bytes = disk.synced.clone();
        disk.unsynced.iter().for_each(|change| change.apply(&mut bytes));
        bytes
    }

    /// The disk's content after the cut: everything synced, and of the rest the writes that `keep`
    /// selects. Changes of length are kept: file systems journal them.
    fn after_cut(&self, mut keep: impl FnMut() -> bool) -> Vec<u8> {
        let disk = self.0.lock().unwrap();
        let mut bytes = disk.synced.clone();
        for change in &disk.unsynced {
            if matches!(change, Change::SetLen(_)) || keep() {
                change.apply(&mut bytes);
            }
        }
        bytes
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.now().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let (bytes, at) = (self.now(), usize::try_from(offset).unwrap());
        let read = bytes.get(at..at + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(read);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).unwrap();
        self.0.lock().unwrap().unsynced.push(Change::SetLen(len));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let now = self.now();
        let mut disk = self.0.lock().unwrap();
        disk.left = disk.left.checked_sub(1).ok_or_else(|| io::Error::other("power is cut"))?;
        disk.synced = now;
        disk.unsynced.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let at = usize::try_from(offset).unwrap();
        self.0.lock().unwrap().unsynced.push(Change::Write(at, data.to_vec()));
        Ok(())
    }
}

/// Signed; at this level nobody asks for authority.
fn record(n: u64) -> Entry {
    let mut decision_id = [0; 32];
    decision_id[..8].copy_from_slice(&n.to_le_bytes());
    let event = Event::Decisions {
        ring_digest: Digest([1; 32]),
        decision_id: Digest(decision_id),
        count: 1,
        dealt: 0,
    };
    let author = SecretKey::<Host>::from_halves(&[1; 32], &[2; 32]).unwrap().into();
    Entry::sign(Binding::new("log", 0), n, &event, &author).unwrap()
}

/// The state's bytes are as long as the height, so that a torn one would be seen.
fn beside(height: Option<u64>) -> Beside<'static> {
    static BYTES: [u8; 256] = [7; 256];
    let len = height.map_or(0, |height| height as usize % BYTES.len());
    Beside { height, state: &BYTES[..len], state_changed: true }
}

fn head(store: &Store, key: &LogKey) -> Checkpoint {
    let text = store.read(|snapshot| snapshot.meta(META_CHECKPOINT)).unwrap().unwrap();
    Checkpoint::verify(&text, &key.verifier).unwrap()
}

/// Appends until the power is cut; returns the number of entries acknowledged.
fn append_until_cut(store: &Store, key: &LogKey) -> u64 {
    let mut head = head(store, key);
    loop {
        let batch: Vec<_> = (head.size()..head.size() + 1 + head.size() % 3).map(record).collect();
        match store.append(&head, &batch, beside(Some(head.size())), key) {
            Ok(next) => head = next,
            Err(e) => {
                assert!(matches!(e, LedgerError::Io { .. }), "{e}");
                return head.size();
            }
        }
    }
}

#[test]
fn a_power_cut_loses_no_acknowledged_entry_and_tears_no_batch() {
    let path = Path::new("simulated");
    let key = LogKey::parse(&LogKey::generate(None).unwrap()).unwrap();
    let disk = Disk::of(Vec::new(), u64::MAX);
    Store::on(path, disk.clone()).unwrap().writing(|d| Store::begin_ledger(d, path, &key)).unwrap();
    let mut bytes = disk.now();
    let mut random = 7_u64;
    let mut next = move || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        random >> 33
    };
    for round in 0..40 {
        let disk = Disk::of(bytes, u64::MAX);
        let store = Store::on(path, disk.clone()).unwrap();
        disk.0.lock().unwrap().left = 1 + next() % 12;
        let acknowledged = append_until_cut(&store, &key);
        // None, some or all of what was on its way.
        let kept = next() % 3;
        bytes = disk.after_cut(|| kept == 2 || (kept == 1 && next() % 2 == 0));
        drop(store);

        let store = Store::on(path, Disk::of(bytes.clone(), u64::MAX)).unwrap();
        let size = head(&store, &key).size();
        assert!(size >= acknowledged, "round {round}: {size} < {acknowledged}");
        let saved = head(&store, &key).to_string();
        let report = check_store(&store, &key.verifier, Some(saved)).unwrap().report;
        // The state comes with the checkpoint that it is signed for.
        let (note, state) = store.read(Snapshot::state).unwrap().unwrap();
        assert!(kept::is_signed(&key.verifier, &note, head(&store, &key).body(), &state));
        assert!(report.is_intact(), "round {round}: {:?}", report.findings);
        assert_eq!(report.size, size, "round {round}");
        // The height comes and goes with the entries that it brought.
        let height = store.read(Snapshot::height).unwrap();
        assert_eq!(height.map_or(0, |h| h.entries.end), size, "round {round}");
        for n in 0..size {
            let bytes = store.read(|snapshot| snapshot.entry(n)).unwrap().unwrap();
            assert_eq!(bytes, record(n).as_bytes(), "round {round}");
        }
    }
}

#[test]
fn nothing_is_signed_on_a_head_that_the_stored_tree_does_not_have() {
    let path = Path::new("simulated");
    let key = LogKey::parse(&LogKey::generate(None).unwrap()).unwrap();
    let store = Store::on(path, Disk::of(Vec::new(), u64::MAX)).unwrap();
    store.writing(|database| Store::begin_ledger(database, path, &key)).unwrap();
    let honest =
        store.append(&head(&store, &key), &[record(0), record(1)], beside(None), &key).unwrap();
    let other = Checkpoint::sign(&key, 2, Hash([9; 32])).unwrap();
    let refused = store.append(&other, &[record(2)], beside(None), &key);
    assert!(matches!(refused, Err(LedgerError::Damaged { .. })));
    assert_eq!(head(&store, &key), honest);
}

#[test]
#[allow(clippy::panic)]
fn a_panic_below_becomes_an_error() {
    let error = shielded::<()>(Path::new("a file"), || panic!("page {} is odd", 7)).unwrap_err();
    assert_eq!(error.to_string(), "database is damaged: a file: reading it failed: page 7 is odd");
}

#[test]
#[allow(clippy::panic)]
fn a_panic_hook_can_tell_a_panic_that_is_caught_here() {
    let file = Path::new("a file");
    assert!(!in_database());
    shielded(file, || {
        shielded::<()>(file, || panic!("below")).unwrap_err();
        assert!(in_database(), "what is within still is");
        assert!(!std::thread::spawn(in_database).join().unwrap(), "another thread is not");
        Ok(())
    })
    .unwrap();
    assert!(!in_database());
    shielded::<()>(file, || panic!("below")).unwrap_err();
    assert!(!in_database(), "a panic ends it, too");
}
