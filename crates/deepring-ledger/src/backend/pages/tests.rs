use std::fs::File;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use redb::{
    Builder, Database, MultimapTableDefinition, ReadableDatabase, ReadableTable, StorageBackend,
    TableDefinition, WriteTransaction,
};

use super::super::{Access, LedgerFile};
use super::*;

const ROWS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("rows");
const NAMED: TableDefinition<'_, &str, &str> = TableDefinition::new("named");
const SEVERAL: MultimapTableDefinition<'_, u64, &[u8]> = MultimapTableDefinition::new("several");
const BY_NAME: MultimapTableDefinition<'_, &str, &[u8]> = MultimapTableDefinition::new("by name");

/// A ledger's file, and the longest that was asked of it. redb has taken the memory when it asks.
#[derive(Debug)]
struct Counting(LedgerFile, AtomicUsize);

impl StorageBackend for &'static Counting {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.1.fetch_max(out.len(), Ordering::Relaxed);
        self.0.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
    fn close(&self) -> io::Result<()> {
        self.0.close()
    }
}

fn database(fill: impl FnOnce(&WriteTransaction)) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    let database = Database::create(file.path()).unwrap();
    let txn = database.begin_write().unwrap();
    fill(&txn);
    txn.commit().unwrap();
    file
}

/// Opens the database and reads all of it; the longest that was asked for.
fn read_all(file: &File, access: Access) -> (Result<u64, redb::Error>, usize) {
    let file = LedgerFile::new(file.try_clone().unwrap(), access).unwrap();
    let asked: &'static Counting = Box::leak(Box::new(Counting(file, AtomicUsize::new(0))));
    let read = || -> Result<u64, redb::Error> {
        let mut builder = Builder::new();
        builder.set_check_integrity_on_open(true);
        let database = builder.create_with_backend(asked)?;
        let txn = database.begin_read()?;
        let mut sum = 0;
        for row in txn.open_table(ROWS)?.iter()? {
            sum += row?.1.value().len() as u64;
        }
        Ok(sum)
    };
    // As the ledger has it: redb may panic over a file that its first look refused.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap();
    (read(), asked.1.load(Ordering::Relaxed))
}

fn refused(name: &str, fill: impl FnOnce(&WriteTransaction)) {
    let file = database(|txn| {
        txn.open_table(ROWS).unwrap().insert(1, &[1; 65_535][..]).unwrap();
        fill(txn);
    });
    let before = std::fs::read(file.path()).unwrap();
    for access in [Access::Read, Access::Write] {
        let (read, longest) = read_all(file.as_file(), access);
        let told = read.unwrap_err().to_string();
        assert!(told.contains("a page of 33554432 bytes"), "{name}: {told}");
        assert!(longest as u64 <= MAX_PAGE, "{name}: {longest}");
    }
    assert!(std::fs::read(file.path()).unwrap() == before, "{name}");
}

#[test]
fn no_memory_is_taken_for_a_page_that_no_ledger_has_wherever_it_is_pointed_to() {
    let large = vec![7; MAX_PAGE as usize + 1];
    let text = "x".repeat(large.len());
    // A root's leaf, one below a branch, and such of a table that a ledger does not have.
    refused("only row", |txn| _ = txn.open_table(ROWS).unwrap().insert(1, &large[..]).unwrap());
    refused("of many", |txn| {
        let mut rows = txn.open_table(ROWS).unwrap();
        for n in 0..300 {
            rows.insert(n, &[0; 1000][..]).unwrap();
        }
        rows.insert(170, &large[..]).unwrap();
    });
    refused("text", |txn| _ = txn.open_table(NAMED).unwrap().insert("a", text.as_str()).unwrap());
    // Several values of a key, in a tree of their own.
    refused("several", |txn| {
        let mut several = txn.open_multimap_table(SEVERAL).unwrap();
        several.insert(4, &[1][..]).unwrap();
        several.insert(5, &large[..]).unwrap();
    });
    refused("by name", |txn| {
        let mut by_name = txn.open_multimap_table(BY_NAME).unwrap();
        for n in 0..300 {
            by_name.insert(format!("{n:09}").as_str(), &[0; 1000][..]).unwrap();
        }
        by_name.insert("000000170", &large[..]).unwrap();
    });
}

/// The largest that a ledger keeps fits; and what looks like pointers in a row's bytes is none.
#[test]
fn what_a_ledger_has_is_read() {
    let mut like_a_branch = vec![0xff; 4000];
    like_a_branch[..4].copy_from_slice(&[BRANCH, 0, 100, 0]);
    let state = vec![7; MAX_PAGE as usize - 4096];
    let file = database(|txn| {
        let mut rows = txn.open_table(ROWS).unwrap();
        for n in 0..300 {
            rows.insert(n, &like_a_branch[..]).unwrap();
        }
        rows.insert(1000, &state[..]).unwrap();
        let mut several = txn.open_multimap_table(SEVERAL).unwrap();
        for n in 0..900_u64 {
            several.insert(n % 3, &n.to_le_bytes()[..]).unwrap();
        }
    });
    for access in [Access::Read, Access::Write] {
        let (read, longest) = read_all(file.as_file(), access);
        assert_eq!(read.unwrap(), 300 * 4000 + state.len() as u64);
        assert_eq!(longest as u64, MAX_PAGE);
    }
}

/// Not of a header with checksums: redb would refuse it first, and must not be asked.
#[test]
fn a_root_in_the_header_that_is_too_large_is_refused_in_either_commit() {
    let mut header = vec![0; HEADER];
    header[12..16].copy_from_slice(&4096_u32.to_le_bytes());
    header[20..24].copy_from_slice(&1_048_576_u32.to_le_bytes());
    assert!(Pages::default().inspect(0, &header).is_ok());
    for slot in SLOTS {
        for (flag, root) in ROOTS {
            for (order, taken) in [(12_u64, true), (13, false), (20, false), (31, false)] {
                let mut header = header.clone();
                header[slot + flag] = 1;
                header[slot + root..][..8].copy_from_slice(&(order << 59).to_le_bytes());
                assert_eq!(Pages::default().inspect(0, &header).is_ok(), taken, "{order}");
            }
        }
    }
    // Small pages that are none.
    header[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
    header[SLOTS[0] + 1] = 1;
    assert!(Pages::default().inspect(0, &header).is_err());
}

#[test]
fn any_bytes_are_looked_through() {
    let mut pages = Pages::default();
    let mut bytes = vec![0; 4096];
    let mut next = 1_u64;
    for round in 0..2000_u64 {
        for byte in &mut bytes {
            next = next.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *byte = (next >> 56) as u8;
        }
        bytes[0] = (round % 4) as u8;
        bytes.truncate(4096 - round as usize % 4096);
        for place in [0, 4096, 8192] {
            let _ = pages.inspect(place, &bytes);
            pages.known.insert(4096, Tree::Tables);
            pages.known.insert(8192, Tree::Multimap { key: Some(usize::MAX) });
        }
        bytes.resize(4096, 0);
    }
}

#[cfg(unix)]
fn changed(file: &File, at: usize, value: u32) {
    use std::os::unix::fs::FileExt;
    file.write_all_at(&value.to_le_bytes(), at as u64).unwrap();
}

/// redb has an allocator for each region, and takes the number of regions from the file's length.
#[cfg(unix)]
#[test]
fn regions_of_another_geometry_than_redbs_are_refused() {
    let fill = |txn: &WriteTransaction| {
        txn.open_table(ROWS).unwrap().insert(1, &[1; 100][..]).unwrap();
    };
    // Size of a page, header's pages, pages of a region.
    for (at, value) in [(12, 512), (12, 8192), (16, 1), (20, 0), (20, 1), (20, (1 << 20) - 1)] {
        let file = database(fill);
        changed(file.as_file(), at, value);
        for access in [Access::Read, Access::Write] {
            let told = read_all(file.as_file(), access).0.unwrap_err().to_string();
            assert!(told.contains("and a ledger has 1048576 of 4096"), "{at} {value}: {told}");
        }
    }
}

/// A sparse file costs its maker nothing.
#[cfg(unix)]
#[test]
fn a_file_that_is_longer_than_it_pays_for_is_refused() {
    let file = database(|txn| {
        txn.open_table(ROWS).unwrap().insert(1, &[1; 100][..]).unwrap();
    });
    let len = file.as_file().metadata().unwrap().len();
    for (len, taken) in [(1 << 30, true), (FREE + SMALL_PAGE, false), (15 << 40, false)] {
        file.as_file().set_len(len).unwrap();
        for access in [Access::Read, Access::Write] {
            let (read, _) = read_all(file.as_file(), access);
            let told = read.as_ref().err().map(ToString::to_string).unwrap_or_default();
            assert_eq!(read.is_ok(), taken, "{len}: {told}");
            assert!(taken || told.contains("are on the disk"), "{told}");
        }
    }
    assert!(len < 1 << 20);
}

#[test]
fn a_file_may_be_longer_in_proportion_to_what_it_takes() {
    assert!(paid_for(FREE, Some(0)).is_ok() && paid_for(FREE, None).is_ok());
    assert!(paid_for(FREE + 1, Some(FREE / TIMES)).is_err() && paid_for(FREE + 1, None).is_err());
    assert!(paid_for(FREE * 4, Some(FREE * 4 / TIMES)).is_ok());
    assert!(paid_for(u64::MAX, Some(u64::MAX)).is_ok());
}
