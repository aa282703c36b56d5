//! An attacker who knows the database's layout and rewrites single rows, checksums and all.

use std::path::Path;

use deepring::Digest;
use deepring_ledger::entry::{EntryError, UnverifiedEntry};
use deepring_ledger::fsck::{Defect, LedgerReport};
use deepring_ledger::{Event, Fault, Ledger, LedgerError, LedgerOptions};
use redb::{Database, MultimapTableDefinition, TableDefinition, WriteTransaction};
use signed_note::{Note, Signer as _, StandardSigner};
use tempfile::TempDir;
use tlog_tiles::tlog::{Hash, HashReader, stored_hashes, tree_hash};

use crate::sample::{by_host, decision, digest, ledger_of, outline, owner, registered};

const META: TableDefinition<'_, &str, &str> = TableDefinition::new("meta");
const ENTRIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("entries");
const HASHES: TableDefinition<'_, u64, &[u8; 32]> = TableDefinition::new("hashes");
const STATE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("state");
const DECISIONS: MultimapTableDefinition<'_, &[u8; 32], u64> =
    MultimapTableDefinition::new("decisions");

/// Eleven entries: a registration and ten decisions.
fn ledger() -> TempDir {
    let mut entries = vec![registered()];
    entries.extend((1..11).map(decision));
    ledger_of(&entries)
}

fn edit(dir: &Path, edit: impl FnOnce(&WriteTransaction)) {
    let database = Database::open(dir.join("ledger.redb")).unwrap();
    let txn = database.begin_write().unwrap();
    edit(&txn);
    txn.commit().unwrap();
}

fn verify(dir: &Path) -> LedgerReport {
    LedgerOptions::new().verify(dir).unwrap()
}

fn findings(dir: &Path) -> Vec<(Option<u64>, Defect)> {
    verify(dir).findings.into_iter().map(|f| (f.index, f.what)).collect()
}

fn forged(count: u32) -> Vec<u8> {
    let ring_digest = outline().ring_digest();
    let event = Event::Decisions {
        ring_digest,
        decision_id: digest(4),
        count,
        dealt: outline().deal_number(),
    };
    crate::sample::sign(1_004, &event, &by_host(0)).unwrap().as_bytes().to_vec()
}

#[test]
fn an_altered_entry_is_named_and_not_given_out() {
    let dir = ledger();
    edit(dir.path(), |txn| {
        txn.open_table(ENTRIES).unwrap().insert(4, forged(1_000_000).as_slice()).unwrap();
    });
    assert_eq!(
        findings(dir.path()),
        [
            (Some(4), Defect::EntryAltered),
            (None, Defect::Root { size: 11 }),
            (None, Defect::Rewritten { known: 11 })
        ]
    );
    let ledger = Ledger::open_read(dir.path(), None).unwrap();
    for refused in [ledger.entry(4).err(), ledger.prove(4).err()] {
        let error = refused.unwrap();
        assert!(matches!(error, LedgerError::EntryDamaged { index: 4 }), "{error}");
        assert_eq!(error.fault(), Fault::Tampered);
    }
    let asked = ledger.find_decided(&outline().ring_digest(), &digest(4), 5).unwrap_err();
    assert_eq!(asked.fault(), Fault::Tampered);
    assert_eq!(ledger.entry(5).unwrap(), decision(5));
}

#[test]
fn an_altered_entry_with_its_leaf_hash_is_found() {
    let dir = ledger();
    // The leaf of entry 4 has stored index 7; the first hash over it lies at 9.
    edit(dir.path(), |txn| {
        let entry = forged(1_000_000);
        let leaf = tlog_tiles::tlog::record_hash(&entry).0;
        txn.open_table(ENTRIES).unwrap().insert(4, entry.as_slice()).unwrap();
        txn.open_table(HASHES).unwrap().insert(7, &leaf).unwrap();
    });
    let found = findings(dir.path());
    assert!(found.contains(&(None, Defect::Hash { first: 4, last: 5 })), "{found:?}");
    assert!(found.contains(&(None, Defect::Root { size: 11 })), "{found:?}");
    let ledger = Ledger::open_read(dir.path(), None).unwrap();
    assert!(matches!(ledger.entry(4), Err(LedgerError::EntryDamaged { index: 4 })));
}

#[test]
fn bytes_that_are_no_entry_are_named() {
    let dir = ledger();
    edit(dir.path(), |txn| {
        txn.open_table(ENTRIES).unwrap().insert(4, [9_u8; 3].as_slice()).unwrap();
    });
    let found = findings(dir.path());
    let unreadable =
        |f: &(Option<u64>, Defect)| matches!(f, (Some(4), Defect::EntryUnreadable { .. }));
    assert!(found.iter().any(unreadable), "{found:?}");
    assert!(found.contains(&(Some(4), Defect::EntryAltered)), "{found:?}");
}

#[test]
fn rows_longer_than_any_are_refused() {
    let dir = ledger();
    edit(dir.path(), |txn| {
        txn.open_table(ENTRIES).unwrap().insert(4, &[3; 65_536][..]).unwrap();
    });
    let found = findings(dir.path());
    let unreadable =
        |f: &(Option<u64>, Defect)| matches!(f, (Some(4), Defect::EntryUnreadable { .. }));
    assert!(found.iter().any(unreadable), "{found:?}");
    let ledger = Ledger::open_read(dir.path(), None).unwrap();
    assert!(matches!(ledger.entry(4), Err(LedgerError::EntryDamaged { index: 4 })));
    assert!(ledger.state().is_ok());
    drop(ledger);

    for row in ["format", "key", "checkpoint", "height", "state"] {
        let dir = self::ledger();
        edit(dir.path(), |txn| {
            txn.open_table(META).unwrap().insert(row, "x".repeat(65_537).as_str()).unwrap();
        });
        assert!(!verify(dir.path()).is_intact(), "{row}");
        let opened = Ledger::open_read(dir.path(), None);
        let asked = opened.and_then(|ledger| {
            ledger.height()?;
            ledger.state().map(drop)
        });
        match asked {
            Err(e) => assert_eq!(e.fault(), Fault::Tampered, "{row}"),
            // The note under the state: that is made anew.
            Ok(()) => assert_eq!(row, "state"),
        }
    }
    // Larger than a page can be: it is never opened.
    let large = vec![0; 17 << 20];
    let dir = self::ledger();
    edit(dir.path(), |txn| {
        txn.open_table(ENTRIES).unwrap().insert(4, large.as_slice()).unwrap();
    });
    for error in
        [Ledger::open_read(dir.path(), None).unwrap_err(), Ledger::open(dir.path()).unwrap_err()]
    {
        assert_eq!(error.fault(), Fault::Tampered);
        assert!(error.to_string().contains("a page of 33554432 bytes"), "{error}");
    }
    let found = findings(dir.path());
    assert!(matches!(&found[..], [(None, Defect::Database { .. })]), "{found:?}");
}

#[test]
fn a_removed_entry_is_named() {
    let dir = ledger();
    edit(dir.path(), |txn| {
        txn.open_table(ENTRIES).unwrap().remove(4).unwrap();
    });
    let found = findings(dir.path());
    assert!(found.contains(&(Some(4), Defect::EntryMissing)), "{found:?}");
    assert!(found.contains(&(None, Defect::Short { signed: 11, found: 4 })), "{found:?}");

    let dir = ledger();
    edit(dir.path(), |txn| {
        txn.open_table(ENTRIES).unwrap().remove(10).unwrap();
    });
    let found = findings(dir.path());
    assert!(found.contains(&(None, Defect::Short { signed: 11, found: 10 })), "{found:?}");
}

#[test]
fn an_entry_beyond_the_signed_size_is_named_and_never_signed() {
    let dir = ledger();
    edit(dir.path(), |txn| {
        txn.open_table(ENTRIES).unwrap().insert(11, forged(1).as_slice()).unwrap();
    });
    assert_eq!(findings(dir.path()), [(Some(11), Defect::EntryUnsigned)]);
    let mut ledger = crate::sample::ledger_at(dir.path()).unwrap();
    assert!(matches!(ledger.append(&[decision(11)]), Err(LedgerError::Damaged { .. })));
    assert_eq!(ledger.len(), 11);
    assert!(matches!(ledger.entry(11), Err(LedgerError::NoSuchEntry { .. })));
}

#[test]
fn an_altered_leaf_hash_leaves_the_entry_blameless() {
    let dir = ledger();
    edit(dir.path(), |txn| {
        txn.open_table(HASHES).unwrap().insert(7, &[0; 32]).unwrap();
    });
    let found = findings(dir.path());
    assert!(found.contains(&(Some(4), Defect::Hash { first: 4, last: 4 })), "{found:?}");
    assert!(!found.contains(&(Some(4), Defect::EntryAltered)), "{found:?}");
    assert!(!found.contains(&(None, Defect::Root { size: 11 })), "{found:?}");
}

#[test]
fn an_altered_inner_hash_is_found_and_nothing_is_signed_on_top() {
    let dir = ledger();
    // The hash over entries 0 to 7 is the 15th that is stored; the newest root is folded from it.
    edit(dir.path(), |txn| {
        txn.open_table(HASHES).unwrap().insert(14, &[0; 32]).unwrap();
    });
    assert_eq!(findings(dir.path()), [(None, Defect::Hash { first: 0, last: 7 })]);
    assert!(matches!(Ledger::open(dir.path()), Err(LedgerError::Damaged { .. })));
    assert!(matches!(Ledger::open_read(dir.path(), None), Err(LedgerError::Damaged { .. })));
}

#[test]
fn missing_and_surplus_hashes_are_found() {
    let dir = ledger();
    edit(dir.path(), |txn| {
        txn.open_table(HASHES).unwrap().insert(1_000, &[0; 32]).unwrap();
    });
    assert_eq!(findings(dir.path()), [(None, Defect::HashCount { expected: 19, found: 20 })]);
    let dir = ledger();
    edit(dir.path(), |txn| {
        txn.open_table(HASHES).unwrap().remove(9).unwrap();
    });
    let found = findings(dir.path());
    assert!(found.contains(&(None, Defect::Hash { first: 4, last: 5 })), "{found:?}");
}

#[test]
fn a_false_or_missing_index_row_is_named() {
    let dir = ledger();
    edit(dir.path(), |txn| {
        let mut decisions = txn.open_multimap_table(DECISIONS).unwrap();
        decisions.insert(&digest(4).0, 5).unwrap();
    });
    assert_eq!(findings(dir.path()), [(Some(5), Defect::IndexRowFalse)]);
    // Meanwhile, a false row answers nothing.
    let ledger = Ledger::open_read(dir.path(), None).unwrap();
    assert_eq!(ledger.find_decided(&outline().ring_digest(), &digest(4), 5).unwrap(), Some(4));

    let dir = self::ledger();
    edit(dir.path(), |txn| {
        let mut decisions = txn.open_multimap_table(DECISIONS).unwrap();
        decisions.remove(&digest(4).0, 4).unwrap();
    });
    assert_eq!(findings(dir.path()), [(Some(4), Defect::IndexRowMissing)]);
}

#[test]
fn another_checkpoint_key_or_format_is_found() {
    let (dir, other) = (ledger(), ledger());
    let foreign = Ledger::open_read(other.path(), None).unwrap();
    for (row, value) in [
        ("checkpoint", foreign.checkpoint().as_str()),
        ("checkpoint", "none"),
        ("key", foreign.key().as_str()),
        ("key", "none"),
    ] {
        let dir = ledger();
        edit(dir.path(), |txn| {
            txn.open_table(META).unwrap().insert(row, value).unwrap();
        });
        assert!(!verify(dir.path()).is_intact(), "{row}");
        for error in [
            Ledger::open_read(dir.path(), None).unwrap_err(),
            Ledger::open(dir.path()).unwrap_err(),
        ] {
            assert_eq!(error.fault(), Fault::Tampered, "{row}: {error}");
        }
    }
    edit(dir.path(), |txn| {
        txn.open_table(META).unwrap().insert("format", "deepring-ledger/2").unwrap();
    });
    assert!(matches!(Ledger::open_read(dir.path(), None), Err(LedgerError::UnknownFormat { .. })));
}

#[test]
fn a_database_of_other_tables_is_found() {
    let dir = ledger();
    edit(dir.path(), |txn| {
        txn.delete_table(ENTRIES).unwrap();
    });
    assert!(!verify(dir.path()).is_intact());
    edit(dir.path(), |txn| {
        const OTHER: TableDefinition<'_, &str, u64> = TableDefinition::new("entries");
        txn.open_table(OTHER).unwrap();
    });
    assert!(!verify(dir.path()).is_intact());
    assert!(matches!(Ledger::open(dir.path()), Err(LedgerError::Damaged { .. })));
}

#[test]
fn a_report_of_a_ruined_ledger_stays_short() {
    let dir = {
        let mut entries = vec![registered()];
        entries.extend((1..600).map(decision));
        ledger_of(&entries)
    };
    edit(dir.path(), |txn| {
        let mut entries = txn.open_table(ENTRIES).unwrap();
        for n in 0..600 {
            entries.insert(n, [0].as_slice()).unwrap();
        }
    });
    let report = verify(dir.path());
    assert_eq!(report.findings.len(), 256);
    assert!(report.left_out > 900, "{}", report.left_out);
}

#[test]
fn a_revocation_cannot_be_hidden_from_a_question() {
    let revoked = || {
        let event = Event::RingRevoked {
            ring_id: outline().ring_id(),
            ring_digest: Some(outline().ring_digest()),
            reason: "key lost".into(),
        };
        let revocation = crate::sample::sign(2, &event, &owner()).unwrap();
        let dir = ledger_of(&[registered(), decision(2), revocation]);
        let mut ledger = Ledger::open(dir.path()).unwrap();
        let lost = Event::KeyRevoked { reason: "lost".into() };
        ledger.record(&lost, &by_host(3)).unwrap();
        dir
    };
    let forge = |txn: &WriteTransaction| {
        _ = txn.open_table(ENTRIES).unwrap().insert(2, forged(1).as_slice()).unwrap();
    };
    let remove = |txn: &WriteTransaction| {
        _ = txn.open_table(ENTRIES).unwrap().remove(2).unwrap();
    };
    for hide in [&forge as &dyn Fn(&WriteTransaction), &remove] {
        let dir = revoked();
        edit(dir.path(), hide);
        // What the ledger's key signed of the state still holds,
        let ledger = Ledger::open_read(dir.path(), None).unwrap();
        let state = ledger.state().unwrap();
        let entry = state.ring_revoked(&outline().ring_id(), &outline().ring_digest());
        assert_eq!(entry, Some(2));
        drop(ledger);
        // and without that, the entries are all there or there is no answer.
        edit(dir.path(), |txn| {
            txn.open_table(META).unwrap().remove("state").unwrap();
        });
        let ledger = Ledger::open_read(dir.path(), None).unwrap();
        for refused in [
            ledger.state().err(),
            ledger.newest_version(&outline().ring_id()).err(),
            ledger.find_decided(&outline().ring_digest(), &Digest([0; 32]), 1).err(),
        ] {
            let error = refused.unwrap();
            assert!(matches!(error, LedgerError::Damaged { .. }), "{error}");
            assert_eq!(error.fault(), Fault::Tampered);
        }
    }
}

struct InMemory(Vec<Hash>);

impl HashReader for InMemory {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog_tiles::tlog::Error> {
        Ok(indexes.iter().map(|i| self.0[*i as usize]).collect())
    }
}

/// Writes these leaves into an empty ledger as its key holder can, without asking the library.
pub(crate) fn sign_leaves(dir: &Path, leaves: &[&[u8]]) {
    let mut tree = InMemory(Vec::new());
    for (index, leaf) in leaves.iter().enumerate() {
        let new = stored_hashes(index as u64, leaf, &tree).unwrap();
        tree.0.extend(new);
    }
    let size = leaves.len() as u64;
    let root = tree_hash(size, &tree).unwrap();
    let secret = std::fs::read_to_string(dir.join("log.key")).unwrap();
    let signer = StandardSigner::new(secret.trim()).unwrap();
    let text = tlog_tiles::Checkpoint::new(signer.name(), size, root, "").unwrap().to_bytes();
    let mut note = Note::new(&text, &[]).unwrap();
    note.add_sigs(&[&signer]).unwrap();
    let checkpoint = String::from_utf8(note.to_bytes()).unwrap();
    edit(dir, |txn| {
        let mut entries = txn.open_table(ENTRIES).unwrap();
        let mut decisions = txn.open_multimap_table(DECISIONS).unwrap();
        for (index, leaf) in leaves.iter().enumerate() {
            entries.insert(index as u64, leaf).unwrap();
            let entry = UnverifiedEntry::decode(leaf).unwrap().verify();
            if let Some(id) = entry.ok().and_then(|entry| entry.decision()) {
                decisions.insert(&id.0, index as u64).unwrap();
            }
        }
        let mut hashes = txn.open_table(HASHES).unwrap();
        for (position, hash) in tree.0.iter().enumerate() {
            hashes.insert(position as u64, &hash.0).unwrap();
        }
        let mut meta = txn.open_table(META).unwrap();
        meta.insert("checkpoint", checkpoint.as_str()).unwrap();
    });
    std::fs::write(dir.join("checkpoint"), checkpoint).unwrap();
}

/// Who holds the ledger's key can sign any leaf; authority does not come of it.
#[test]
fn an_entry_without_authority_has_no_effect_and_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path();
    drop(crate::sample::ledger_at(place).unwrap());
    let revocation = Event::RingRevoked {
        ring_id: outline().ring_id(),
        ring_digest: None,
        reason: "spite".into(),
    };
    let forged = crate::sample::sign(9, &revocation, &by_host(0)).unwrap().as_bytes().to_vec();
    let mut unsigned = forged.clone();
    let last = unsigned.len() - 1;
    unsigned[last] ^= 1;
    sign_leaves(place, &[registered().as_bytes(), &forged, &unsigned, decision(3).as_bytes()]);

    let ledger = Ledger::open_read(place, None).unwrap();
    assert_eq!(ledger.len(), 4);
    assert!(ledger.admit(outline(), []).is_ok());
    assert_eq!(ledger.find_decided(&outline().ring_digest(), &digest(3), 4).unwrap(), Some(3));
    assert_eq!(ledger.entry(1).unwrap().as_bytes(), forged);
    let refused = ledger.entry(2).unwrap_err();
    let unsigned = EntryError::NotSigned;
    assert!(
        matches!(&refused, LedgerError::EntryUnreadable { index: 2, source } if *source == unsigned)
    );
    assert!(ledger.prove(2).is_err());
    let found = findings(place);
    assert!(
        matches!(
            &found[..],
            [
                (Some(1), Defect::NoAuthority { .. }),
                (Some(2), Defect::EntryNotSigned),
                (None, Defect::State)
            ]
        ),
        "{found:?}"
    );
}

#[test]
fn a_table_or_a_row_that_no_ledger_has_is_named() {
    type Edit = fn(&WriteTransaction);
    let edits: [(Edit, &str); 4] = [
        (
            |txn| _ = txn.open_table(META).unwrap().insert("more", "x").unwrap(),
            "row of `meta` \"more\"",
        ),
        (
            |txn| _ = txn.open_table(STATE).unwrap().insert("", &[0_u8][..]).unwrap(),
            "row of `state` \"\"",
        ),
        (
            |txn| _ = txn.open_table(TableDefinition::<u64, u64>::new("more")).unwrap(),
            "table \"more\"",
        ),
        (
            |txn| {
                let many = MultimapTableDefinition::<u64, u64>::new("many");
                txn.open_multimap_table(many).unwrap().insert(1, 1).unwrap();
            },
            "table \"many\"",
        ),
    ];
    for (change, what) in edits {
        let dir = ledger();
        assert_eq!(findings(dir.path()), []);
        edit(dir.path(), change);
        let named = Defect::NotALedgers { what: what.to_owned() };
        assert_eq!(findings(dir.path()), [(None, named)]);
    }
}
