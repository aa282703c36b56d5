//! The log as static files: what is exported has the signed root, and nothing in it ever changes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use deepring_ledger::tiles::TilesError;
use deepring_ledger::{Checkpoint, Fault, Ledger, LedgerError, LedgerOptions};
use tempfile::TempDir;
use tlog_tiles::tlog::{Hash, node_hash, record_hash};

use crate::sample::{decision, ledger_of, mixed};

/// All files below a folder, by their paths.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(dir: &Path, base: &Path, into: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, base, into);
            } else {
                let name = path.strip_prefix(base).unwrap().to_str().unwrap().to_owned();
                into.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(dir, dir, &mut found);
    found
}

fn names(dir: &Path) -> Vec<String> {
    files(dir).into_keys().collect()
}

/// Root over hashes that are subtrees of equal size, but for the last (RFC 6962, section 2.1).
fn root(hashes: &[Hash]) -> Hash {
    match hashes {
        [one] => *one,
        _ => {
            let (left, right) = hashes.split_at(hashes.len().next_power_of_two() / 2);
            node_hash(root(left), root(right))
        }
    }
}

/// Reads the entries out of a bundle.
fn entries(mut bundle: &[u8]) -> Vec<Vec<u8>> {
    let mut entries = Vec::new();
    while let Some((len, rest)) = bundle.split_first_chunk::<2>() {
        let (entry, rest) = rest.split_at(u16::from_be_bytes(*len).into());
        entries.push(entry.to_vec());
        bundle = rest;
    }
    entries
}

fn hashes(tile: &[u8]) -> Vec<Hash> {
    tile.chunks_exact(32).map(|hash| Hash(hash.try_into().unwrap())).collect()
}

fn export(ledger: &TempDir, to: &Path) -> Result<(u64, usize), TilesError> {
    let export = Ledger::open_read(ledger.path(), None).unwrap().export_tiles(to)?;
    Ok((export.before, export.files))
}

#[test]
fn an_export_is_extended_and_its_files_stay_as_they_are() {
    let all = mixed(530);
    let ledger = ledger_of(&all[..3]);
    let out = tempfile::tempdir().unwrap();
    let to = out.path().join("new/log");
    assert_eq!(export(&ledger, &to).unwrap(), (0, 2));
    assert_eq!(names(&to), ["checkpoint", "tile/0/000.p/3", "tile/entries/000.p/3"]);
    assert_eq!(export(&ledger, &to).unwrap(), (3, 0));

    let mut writer = Ledger::open(ledger.path()).unwrap();
    writer.append(&all[3..256]).unwrap();
    drop(writer);
    let before = files(&to);
    assert_eq!(export(&ledger, &to).unwrap(), (3, 3));
    Ledger::open(ledger.path()).unwrap().append(&all[256..]).unwrap();
    assert_eq!(export(&ledger, &to).unwrap(), (256, 5));
    let after = files(&to);
    for (name, bytes) in before.iter().filter(|(name, _)| *name != "checkpoint") {
        assert_eq!(after.get(name), Some(bytes), "{name}");
    }
    let expected = [
        "checkpoint",
        "tile/0/000",
        "tile/0/000.p/3",
        "tile/0/001",
        "tile/0/002.p/18",
        "tile/1/000.p/1",
        "tile/1/000.p/2",
        "tile/entries/000",
        "tile/entries/000.p/3",
        "tile/entries/001",
        "tile/entries/002.p/18",
    ];
    assert_eq!(names(&to), expected);

    // Whoever has no more than these files and the key has every entry, under the signed root.
    let key = Ledger::open_read(ledger.path(), None).unwrap().key().clone();
    let text = String::from_utf8(after["checkpoint"].clone()).unwrap();
    let checkpoint = Checkpoint::verify(&text, &key).unwrap();
    assert_eq!(checkpoint.size(), 530);
    let mut leaves = Vec::new();
    for (tile, bundle) in [("000", "000"), ("001", "001"), ("002.p/18", "002.p/18")] {
        let entries = entries(&after[&format!("tile/entries/{bundle}")]);
        let tile = hashes(&after[&format!("tile/0/{tile}")]);
        assert_eq!(entries.iter().map(|e| record_hash(e)).collect::<Vec<_>>(), tile);
        leaves.extend(tile);
    }
    assert_eq!(root(&leaves).0, *checkpoint.root());
    let above = hashes(&after["tile/1/000.p/2"]);
    assert_eq!(above, [root(&leaves[..256]), root(&leaves[256..512])]);
}

/// The tiles hang on the entries alone, so that several keepers of one log serve the same ones.
#[test]
fn equal_entries_of_one_name_have_equal_tiles_under_every_key() {
    let made = |dir: &Path| {
        let options = LedgerOptions::new().origin(crate::sample::ORIGIN);
        let mut ledger = options.open_or_create(dir.join("ledger")).unwrap();
        ledger.append(&mixed(300)).unwrap();
        ledger.export_tiles(dir.join("tiles")).unwrap();
        (files(&dir.join("tiles")), ledger.checkpoint().clone(), ledger.key().clone())
    };
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut one, first, key) = made(one.path());
    let (mut two, second, other_key) = made(two.path());
    assert_ne!(key, other_key);
    assert_eq!(first.body(), second.body());
    assert_ne!(one.remove("checkpoint"), two.remove("checkpoint"));
    assert_eq!(one, two);
}

#[test]
fn a_folder_that_holds_something_else_is_left_alone() {
    let ledger = ledger_of(&mixed(5));
    let refused = |to: &Path| {
        let before = files(to);
        let error = export(&ledger, to).unwrap_err();
        assert_eq!(files(to), before, "{error}");
        error
    };
    // A ledger itself, and anything that is no export.
    let error = refused(ledger.path());
    assert!(matches!(error, TilesError::NotAnExport { .. }), "{error}");
    assert_eq!(error.fault(), Fault::Usage);
    let out = tempfile::tempdir().unwrap();
    fs::write(out.path().join("index.html"), "mine").unwrap();
    assert!(matches!(refused(out.path()), TilesError::NotAnExport { .. }));
    // An export of another log.
    let other = ledger_of(&mixed(5));
    let out = tempfile::tempdir().unwrap();
    export(&other, out.path()).unwrap();
    let error = refused(out.path());
    assert!(
        matches!(&error, TilesError::OtherLog { source, .. } if matches!(**source, LedgerError::Checkpoint { .. })),
        "{error}"
    );
    assert_eq!(error.fault(), Fault::Tampered);
    // One that has seen more of this log than the ledger holds now.
    let out = tempfile::tempdir().unwrap();
    let kept = tempfile::tempdir().unwrap();
    for name in ["ledger.redb", "log.key", "log.pub", "checkpoint"] {
        fs::copy(ledger.path().join(name), kept.path().join(name)).unwrap();
    }
    private(&kept.path().join("log.key"));
    Ledger::open(kept.path()).unwrap().append(&[decision(77)]).unwrap();
    export(&kept, out.path()).unwrap();
    let error = refused(out.path());
    assert!(
        matches!(&error, TilesError::OtherLog { source, .. } if matches!(**source, LedgerError::RolledBack { .. })),
        "{error}"
    );
    // Of other entries under the same key: two histories.
    let mut forked = Ledger::open(ledger.path()).unwrap();
    forked.append(&[decision(78)]).unwrap();
    drop(forked);
    let error = refused(out.path());
    assert!(
        matches!(&error, TilesError::OtherLog { source, .. } if matches!(**source, LedgerError::Rewritten { .. })),
        "{error}"
    );
}

#[cfg(unix)]
fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[cfg(not(unix))]
fn private(_: &Path) {}

#[test]
fn an_interrupted_export_is_finished_and_a_changed_file_is_refused() {
    let ledger = ledger_of(&mixed(300));
    let out = tempfile::tempdir().unwrap();
    export(&ledger, out.path()).unwrap();
    let whole = files(out.path());
    // Killed before the checkpoint, and before some of the tiles.
    for name in ["checkpoint", "tile/0/001.p/44", "tile/entries/000"] {
        fs::remove_file(out.path().join(name)).unwrap();
    }
    assert_eq!(export(&ledger, out.path()).unwrap(), (0, 2));
    assert_eq!(files(out.path()), whole);
    for name in ["tile/0/000", "tile/entries/000", "tile/1/000.p/1"] {
        fs::remove_file(out.path().join("checkpoint")).unwrap();
        let mut bytes = whole[name].clone();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(out.path().join(name), &bytes).unwrap();
        let error = export(&ledger, out.path()).unwrap_err();
        assert!(matches!(&error, TilesError::Differs { path } if path.ends_with(name)), "{error}");
        assert_eq!(fs::read(out.path().join(name)).unwrap(), bytes);
        assert!(!out.path().join("checkpoint").exists());
        fs::write(out.path().join(name), &whole[name]).unwrap();
        export(&ledger, out.path()).unwrap();
    }
    assert_eq!(files(out.path()), whole);
}

#[test]
fn an_empty_log_is_a_checkpoint() {
    let ledger = ledger_of(&[]);
    Ledger::open_read(ledger.path(), None).unwrap();
    let out = tempfile::tempdir().unwrap();
    assert_eq!(export(&ledger, out.path()).unwrap(), (0, 0));
    assert_eq!(names(out.path()), ["checkpoint"]);
}

/// A file behind a link in the export is neither taken for a tile nor written over.
#[cfg(unix)]
#[test]
fn a_link_in_an_export_is_not_written_through() {
    use std::os::unix::fs::symlink;
    let ledger = ledger_of(&mixed(5));
    let out = tempfile::tempdir().unwrap();
    export(&ledger, out.path()).unwrap();
    let tile = out.path().join("tile/0/000.p/5");
    fs::remove_file(&tile).unwrap();
    fs::remove_file(out.path().join("checkpoint")).unwrap();
    symlink("nowhere", &tile).unwrap();
    let error = export(&ledger, out.path()).unwrap_err();
    assert!(matches!(&error, TilesError::Differs { .. }), "{error}");
    assert!(!out.path().join("tile/0/000.p/nowhere").exists());
    fs::remove_file(&tile).unwrap();
    // The very ledger's own checkpoint verifies, and is the ledger's.
    symlink(ledger.path().join("checkpoint"), out.path().join("checkpoint")).unwrap();
    Ledger::open(ledger.path()).unwrap().append(&[decision(9)]).unwrap();
    let before = fs::read(ledger.path().join("checkpoint")).unwrap();
    let error = export(&ledger, out.path()).unwrap_err();
    assert!(matches!(&error, TilesError::Io { .. }), "{error}");
    assert_eq!(fs::read(ledger.path().join("checkpoint")).unwrap(), before);
}

#[test]
fn a_file_of_an_earlier_export_that_was_changed_is_refused_and_one_that_is_gone_made_anew() {
    let ledger = ledger_of(&mixed(301));
    let out = tempfile::tempdir().unwrap();
    export(&ledger, out.path()).unwrap();
    let whole = files(out.path());
    for name in ["tile/entries/000", "tile/0/000", "tile/entries/001.p/45", "tile/1/000.p/1"] {
        let path = out.path().join(name);
        let mut bytes = fs::read(&path).unwrap();
        bytes[9] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let error = export(&ledger, out.path()).unwrap_err();
        assert!(matches!(&error, TilesError::Differs { path: at } if *at == path), "{error}");
        fs::remove_file(&path).unwrap();
        assert_eq!(export(&ledger, out.path()).unwrap(), (301, 1), "{name}");
        assert_eq!(files(out.path()), whole, "{name}");
    }
}
