//! The receipts that this host signed, on stable storage: after a restart it signs no second one for the same leg of a query.
//!
//! ```text
//! "DSIGNED\n" | format version u16 = 1 | ring digest 32
//! then records: query 32 | first block u32 | chain head 32 | receipt 32 | first 8 bytes of SHA-256 of these
//! ```
//!
//! A record is written and synchronised before anything that follows from it is sent. A record at the end that was cut short was
//! never acted on, and is dropped; one that does not fit its checksum is damage, and a host that may have forgotten what it
//! signed does not start.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use commonware_cryptography::{Hasher as _, Sha256};
use deepring::Digest;
use deepring::codec::{DecodeError, Reader, Writer};
use deepring::files::{read_plain, replace_file};
use deepring_infer::participant::Remembered;
use thiserror::Error;

use super::marker::SignedMarker;

const MAGIC: [u8; 8] = *b"DSIGNED\n";
const VERSION: u16 = 1;
const HEAD: usize = 8 + 2 + 32;
const RECORD: usize = 32 + 4 + 32 + 32;
const SUM: usize = 8;
const ROW: usize = RECORD + SUM;

/// Why the receipts that this host signed are not known.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SignedJournalError {
    /// The file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file is gone, or empty, and the key signed receipts of this ring.
    #[error(
        "{}: it is gone, though this host signed receipts of the ring before, as {} says; which ones is not known (when every query that it took part in has ended, start it with `--forget-signed-receipts`)",
        path.display(),
        marker.display()
    )]
    Gone {
        /// The file.
        path: PathBuf,
        /// The file beside the key that says that it signed.
        marker: PathBuf,
    },
    /// The file is no journal of this ring's receipts, or is damaged.
    #[error(
        "{}: {why}; the receipts that this host signed are not known (when every query that it took part in has ended, the file can be moved away, and the node started with `--forget-signed-receipts`)",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The reason.
        why: String,
    },
}

/// The open file.
#[derive(Debug)]
pub(crate) struct SignedJournal {
    path: PathBuf,
    file: File,
    ring: Digest,
    /// The newest records, oldest first.
    kept: VecDeque<Remembered>,
    /// Records in the file.
    rows: usize,
    bound: usize,
    /// Says beside the key that it signed; nothing where it says so already.
    unmarked: Option<SignedMarker>,
}

/// Tells a journal that is gone from one that was never begun.
#[derive(Debug, Clone, Default)]
pub(crate) struct SignedBefore {
    /// Without it, nothing does.
    pub(crate) marker: Option<SignedMarker>,
    /// Whether a journal that is gone is begun anew all the same.
    pub(crate) forget: bool,
}

impl SignedJournal {
    /// Opens the journal of a ring's receipts, or begins it. The `bound` newest records are kept.
    pub(crate) fn open(
        path: &Path,
        ring: Digest,
        bound: usize,
        before: &SignedBefore,
    ) -> Result<Self, SignedJournalError> {
        let failed = |source| SignedJournalError::Io { path: path.to_owned(), source };
        let limit = HEAD + ROW * bound.saturating_mul(2).saturating_add(1);
        let mut bytes = match read_plain(path, limit as u64) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(failed(e)),
        };
        let mut unmarked = before.marker.clone();
        if let Some(marker) = &before.marker {
            let unreadable =
                |source| SignedJournalError::Io { path: marker.path().to_owned(), source };
            if marker.names(ring).map_err(unreadable)? {
                unmarked = None;
                // A record was there before the marker was, and one that is whole is never cut off.
                if bytes.len() < HEAD + ROW {
                    let gone = SignedJournalError::Gone {
                        path: path.to_owned(),
                        marker: marker.path().to_owned(),
                    };
                    if !before.forget {
                        return Err(gone);
                    }
                    tracing::warn!("forgotten, as this node was told: {gone}");
                    // Once: it begins as a host that signed nothing for this ring.
                    marker.forget(ring).map_err(unreadable)?;
                    (unmarked, bytes) = (before.marker.clone(), Vec::new());
                }
            }
        }
        let rows = match bytes.is_empty() {
            true => Vec::new(),
            false => decode(&bytes, ring)
                .map_err(|why| SignedJournalError::Damaged { path: path.to_owned(), why })?,
        };
        let kept: VecDeque<_> = rows.into_iter().rev().take(bound).rev().collect();
        // Written anew: without what was cut short, and with no more than is kept.
        let file = begin(path, ring, &kept).map_err(failed)?;
        let rows = kept.len();
        let mut journal = Self { path: path.to_owned(), file, ring, rows, kept, bound, unmarked };
        if rows > 0 {
            journal.mark()?;
        }
        Ok(journal)
    }

    /// Says beside the key that it signed: before anything of it is sent, or the file could go and nobody would know.
    fn mark(&mut self) -> Result<(), SignedJournalError> {
        if let Some(marker) = &self.unmarked {
            let failed = |source| SignedJournalError::Io { path: marker.path().to_owned(), source };
            marker.add(self.ring).map_err(failed)?;
            self.unmarked = None;
        }
        Ok(())
    }

    /// The records of what is known to have been signed, oldest first.
    pub(crate) fn remembered(&self) -> impl Iterator<Item = Remembered> + '_ {
        self.kept.iter().copied()
    }

    /// Keeps a record durably.
    pub(crate) fn add(&mut self, record: &Remembered) -> Result<(), SignedJournalError> {
        let added = self.try_add(record);
        added.map_err(|source| SignedJournalError::Io { path: self.path.clone(), source })?;
        // After the record, so that the marker always has one: a journal without any is one that was cut down.
        self.mark()
    }

    fn try_add(&mut self, record: &Remembered) -> io::Result<()> {
        self.kept.push_back(*record);
        while self.kept.len() > self.bound {
            self.kept.pop_front();
        }
        if self.rows >= self.bound.saturating_mul(2) {
            self.file = begin(&self.path, self.ring, &self.kept)?;
            self.rows = self.kept.len();
            return Ok(());
        }
        self.file.write_all(&row(record))?;
        self.file.sync_data()?;
        self.rows += 1;
        Ok(())
    }
}

/// Writes the file with these records, whole or not at all, and opens it for more.
fn begin(path: &Path, ring: Digest, records: &VecDeque<Remembered>) -> io::Result<File> {
    let mut w = Writer::new();
    w.raw(&MAGIC).u16(VERSION).raw(&ring.0);
    let mut bytes = w.finish();
    records.iter().for_each(|record| bytes.extend(row(record)));
    replace_file(path, &bytes)?;
    OpenOptions::new().append(true).open(path)
}

fn row(record: &Remembered) -> Vec<u8> {
    let mut w = Writer::new();
    w.raw(&record.query.0).u32(record.first_block).raw(&record.head.0).raw(&record.receipt.0);
    let mut bytes = w.finish();
    let sum = Sha256::hash(&[&bytes]);
    bytes.extend(sum.as_ref().iter().take(SUM));
    bytes
}

fn decode(bytes: &[u8], ring: Digest) -> Result<Vec<Remembered>, String> {
    let said = |e: DecodeError| e.to_string();
    let mut r = Reader::new(bytes);
    r.header(&MAGIC, VERSION).map_err(said)?;
    let of = Digest(r.array("ring digest").map_err(said)?);
    if of != ring {
        return Err(format!("it is of the ring {of}, not {ring}"));
    }
    let rows = bytes.get(HEAD..).unwrap_or_default();
    let (rows, _cut_short) = rows.split_at(rows.len() - rows.len() % ROW);
    let mut all = Vec::with_capacity(rows.len() / ROW);
    for (at, bytes) in rows.chunks_exact(ROW).enumerate() {
        let mut r = Reader::new(bytes);
        let mut digest = || r.array::<32>("a record").map(Digest).map_err(said);
        let query = digest()?;
        let first_block = r.u32("a record").map_err(said)?;
        let mut digest = || r.array::<32>("a record").map(Digest).map_err(said);
        let record = Remembered { query, first_block, head: digest()?, receipt: digest()? };
        if row(&record) != bytes {
            return Err(format!("record {at} is damaged"));
        }
        all.push(record);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RING: Digest = Digest([9; 32]);

    fn record(n: u8) -> Remembered {
        let digest = |m: u8| Digest([n ^ m; 32]);
        Remembered { query: digest(1), first_block: n.into(), head: digest(2), receipt: digest(3) }
    }

    fn open(path: &Path) -> Result<SignedJournal, SignedJournalError> {
        SignedJournal::open(path, RING, 8, &SignedBefore::default())
    }

    fn reopened(path: &Path) -> Vec<Remembered> {
        open(path).unwrap().remembered().collect()
    }

    fn with(records: impl IntoIterator<Item = u8>) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signed");
        let mut journal = open(&path).unwrap();
        records.into_iter().for_each(|n| journal.add(&record(n)).unwrap());
        (folder, path)
    }

    #[test]
    fn what_was_signed_is_known_after_a_restart_and_the_newest_are_kept() {
        let (_folder, path) = with(1..=3);
        assert_eq!(reopened(&path), [1, 2, 3].map(record));
        let (_folder, path) = with(1..=60);
        assert_eq!(reopened(&path), [53, 54, 55, 56, 57, 58, 59, 60].map(record));
        assert!(std::fs::metadata(&path).unwrap().len() <= (HEAD + 16 * ROW) as u64);
    }

    #[test]
    fn a_record_that_was_cut_short_is_dropped_and_the_next_is_kept() {
        let (_folder, path) = with(1..=2);
        let whole = std::fs::read(&path).unwrap();
        for cut in 1..ROW {
            std::fs::write(&path, &whole[..whole.len() - cut]).unwrap();
            let mut journal = open(&path).unwrap();
            journal.add(&record(7)).unwrap();
            assert_eq!(reopened(&path), [1, 7].map(record), "{cut}");
        }
    }

    #[test]
    fn damage_and_another_rings_receipts_keep_a_host_from_starting() {
        let (_folder, path) = with(1..=2);
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
            let found = open(&path);
            assert!(matches!(found, Err(SignedJournalError::Damaged { .. })), "{at}: {found:?}");
            assert_eq!(std::fs::read(&path).unwrap(), bytes);
        }
        std::fs::write(&path, &whole).unwrap();
        assert!(SignedJournal::open(&path, Digest([8; 32]), 8, &SignedBefore::default()).is_err());
        // Cut in its head it is none, and a folder in its place is none.
        for len in 1..HEAD {
            std::fs::write(&path, &whole[..len]).unwrap();
            assert!(open(&path).is_err(), "{len}");
        }
        assert!(open(path.parent().unwrap()).is_err());
    }

    /// In a folder with a marker beside the key.
    fn open_marked(folder: &Path, forget: bool) -> Result<SignedJournal, SignedJournalError> {
        let marker = Some(SignedMarker::at(folder.join("host.key.signed")));
        SignedJournal::open(&folder.join("signed"), RING, 8, &SignedBefore { marker, forget })
    }

    #[test]
    fn a_journal_that_is_gone_is_not_begun_anew_until_that_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let (path, marker) = (folder.path().join("signed"), folder.path().join("host.key.signed"));
        // Where nothing was signed, nothing is lost.
        for _ in 0..2 {
            drop(open_marked(folder.path(), false).unwrap());
            std::fs::remove_file(&path).unwrap();
        }
        let mut journal = open_marked(folder.path(), false).unwrap();
        journal.add(&record(1)).unwrap();
        assert_eq!(open_marked(folder.path(), false).unwrap().remembered().count(), 1);
        let whole = std::fs::read(&path).unwrap();
        for left in [None, Some(0), Some(HEAD), Some(HEAD + 1), Some(HEAD + ROW - 1)] {
            match left {
                Some(bytes) => std::fs::write(&path, &whole[..bytes]).unwrap(),
                None => std::fs::remove_file(&path).unwrap(),
            }
            for _ in 0..2 {
                let refused = open_marked(folder.path(), false).unwrap_err();
                assert!(matches!(refused, SignedJournalError::Gone { .. }), "{refused}");
                assert!(refused.to_string().contains("--forget-signed-receipts"), "{refused}");
            }
            // Another ring's receipts were not lost.
            let other =
                SignedBefore { marker: Some(SignedMarker::at(marker.clone())), forget: false };
            let other_path = folder.path().join("other");
            SignedJournal::open(&other_path, Digest([8; 32]), 8, &other).unwrap();
            assert_eq!(open_marked(folder.path(), true).unwrap().remembered().count(), 0);
            assert_eq!(open_marked(folder.path(), false).unwrap().remembered().count(), 0);
            std::fs::write(&path, &whole).unwrap();
            // What is there is marked again.
            assert_eq!(open_marked(folder.path(), false).unwrap().remembered().count(), 1);
        }
        // A journal with records is marked, whoever began it; a marker that cannot be read keeps the host from starting.
        std::fs::remove_file(&marker).unwrap();
        drop(open_marked(folder.path(), false).unwrap());
        assert!(marker.exists());
        std::fs::write(&marker, "x").unwrap();
        let refused = open_marked(folder.path(), true).unwrap_err();
        assert!(matches!(refused, SignedJournalError::Io { .. }), "{refused}");
    }

    #[test]
    fn what_cannot_be_marked_is_not_signed() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = open_marked(folder.path(), false).unwrap();
        std::fs::create_dir(folder.path().join("host.key.signed")).unwrap();
        // The record stands, and what it is about is not sent.
        assert!(journal.add(&record(1)).is_err());
        assert!(open_marked(folder.path(), false).is_err());
    }
}
