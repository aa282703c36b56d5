//! The file under the database: locked by whoever uses it, and never written to by a reader.

mod pages;

use std::collections::BTreeMap;
use std::fs::{File, Metadata, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use redb::{BackendError, StorageBackend};

pub(crate) use pages::MAX_PAGE;
use pages::{Pages, paid_for};

/// Unit in which a reader keeps changes, in bytes.
const CHUNK: u64 = 4096;
type Chunk = Box<[u8; CHUNK as usize]>;

/// The access that the ledger is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// The file is written; it is locked for others while it is, and not in between.
    Write,
    /// The file is only read; writers wait while it is, and may write in between.
    Read,
}

/// A file as storage for redb.
///
/// redb repairs a database that was not closed (after a crash) and records that it checked one; its
/// own read-only mode refuses the former and never does the latter. A reader must be able to do
/// both without touching the file, which may be evidence or lie on a medium that cannot be written.
/// So a reader's writes go to memory: a few pages, dropped when the ledger is closed.
///
/// redb takes no lock here. The lock is held around whole pieces of work ([`LedgerFile::lock`]),
/// shared by readers, alone by a writer; two handles of one file share it, and so does redb's.
#[derive(Debug, Clone)]
pub(crate) struct LedgerFile {
    access: Access,
    state: Arc<Mutex<State>>,
}

/// The lock on the file; released when it is dropped.
#[derive(Debug)]
pub(crate) struct Locked<'a>(&'a LedgerFile);

/// Bytes of a database's head by which a change is noticed: redb's header, which names the newest
/// commit, and the file's length.
const HEAD: u64 = 4096;
/// Time between two tries to lock.
const RETRY: Duration = Duration::from_millis(2);

#[derive(Debug)]
struct State {
    file: File,
    /// True once nothing may be read or written any more; see [`LedgerFile::retire`].
    retired: bool,
    /// A reader's view; `None` for a writer, whose view is the file.
    overlay: Option<Overlay>,
    pages: Pages,
}

/// Changes on top of a file that stays as it is.
#[derive(Debug)]
struct Overlay {
    chunks: BTreeMap<u64, Chunk>,
    /// Length of the view, in bytes.
    len: u64,
    /// Bytes of the file that show through; bytes that were once cut off read as zero afterwards.
    shown: u64,
}

impl LedgerFile {
    pub(crate) fn new(file: File, access: Access) -> io::Result<Self> {
        let overlay = match access {
            Access::Write => None,
            Access::Read => {
                let len = file.metadata()?.len();
                Some(Overlay { chunks: BTreeMap::new(), len, shown: len })
            }
        };
        Ok(Self {
            access,
            state: Arc::new(Mutex::new(State {
                file,
                retired: false,
                overlay,
                pages: Pages::default(),
            })),
        })
    }

    /// Waits at most `wait` for the lock; `None` if others have it for longer.
    pub(crate) fn lock(&self, wait: Duration) -> io::Result<Option<Locked<'_>>> {
        let started = Instant::now();
        loop {
            let locked = match self.access {
                Access::Write => self.state().file.try_lock(),
                Access::Read => self.state().file.try_lock_shared(),
            };
            match locked {
                Ok(()) => return Ok(Some(Locked(self))),
                Err(TryLockError::Error(e)) => return Err(e),
                Err(TryLockError::WouldBlock) if started.elapsed() < wait => {
                    thread::sleep(RETRY.min(wait));
                }
                Err(TryLockError::WouldBlock) => return Ok(None),
            }
        }
    }

    /// The head of the file, which changes with every commit, as it is now.
    pub(crate) fn head(&self) -> io::Result<Vec<u8>> {
        let file = &mut self.state().file;
        let len = file.metadata()?.len();
        let mut head = vec![0; usize::try_from(len.min(HEAD)).unwrap_or_default()];
        read_at(file, 0, &mut head)?;
        head.extend_from_slice(&len.to_le_bytes());
        Ok(head)
    }

    /// Fails every later reading and writing by redb. A database is dropped after this if its file
    /// may have been written by others since: closing reads and writes, and what lies there now is
    /// not what it remembers.
    pub(crate) fn retire(&self) {
        self.state().retired = true;
    }

    /// The same file, seen anew: without changes that a reader's database made in memory.
    pub(crate) fn anew(&self) -> io::Result<Self> {
        Self::new(self.state().file.try_clone()?, self.access)
    }

    fn bytes(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let State { file, overlay, .. } = &mut *self.in_use()?;
        match overlay {
            Some(overlay) => overlay.read(file, offset, out),
            None => read_at(file, offset, out),
        }
    }

    fn in_use(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.state();
        match state.retired {
            true => Err(io::Error::other("the file is not used any more")),
            false => Ok(state),
        }
    }

    // Nothing under the lock panics half way through a change, so a lock that a panic elsewhere
    // poisoned still guards a whole state.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // A lock that cannot be released goes with the file.
        let _ = self.0.state().file.unlock();
    }
}

impl StorageBackend for LedgerFile {
    fn len(&self) -> io::Result<u64> {
        let state = self.in_use()?;
        let metadata = state.file.metadata()?;
        // redb takes memory for it.
        match &state.overlay {
            Some(overlay) => paid_for(overlay.len, on_disk(&metadata)),
            None => paid_for(metadata.len(), on_disk(&metadata)),
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.bytes(offset, out)?;
        // Before redb follows what it points to.
        self.in_use()?.pages.inspect(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.in_use()?;
        match &mut state.overlay {
            Some(overlay) => overlay.set_len(len),
            None => state.file.set_len(len)?,
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        match self.access {
            Access::Write => self.in_use()?.file.sync_data(),
            Access::Read => Ok(()),
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let State { file, overlay, pages, .. } = &mut *self.in_use()?;
        pages.forget(offset);
        match overlay {
            Some(overlay) => overlay.write(file, offset, data),
            None => {
                file.seek(SeekFrom::Start(offset))?;
                file.write_all(data)
            }
        }
    }

    fn close(&self) -> io::Result<()> {
        Ok(())
    }

    // Whoever calls redb holds the lock already.
    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        is_whole(start, end).then_some(true).ok_or(BackendError::Unsupported)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        is_whole(start, end).then_some(()).ok_or(BackendError::Unsupported)
    }
}

impl Overlay {
    fn read(&self, file: &mut File, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let end = end_of(offset, out.len())?;
        if end > self.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        out.fill(0);
        let from_file = usize::try_from(self.shown.saturating_sub(offset)).unwrap_or(usize::MAX);
        let from_file = from_file.min(out.len());
        read_at(file, offset, &mut out[..from_file])?;
        for (position, piece) in pieces(offset, out.len()) {
            if let Some(chunk) = self.chunks.get(&(position / CHUNK)) {
                let at = (position % CHUNK) as usize;
                let to = (position - offset) as usize;
                out[to..to + piece].copy_from_slice(&chunk[at..at + piece]);
            }
        }
        Ok(())
    }

    fn write(&mut self, file: &mut File, offset: u64, data: &[u8]) -> io::Result<()> {
        self.len = self.len.max(end_of(offset, data.len())?);
        for (position, piece) in pieces(offset, data.len()) {
            let number = position / CHUNK;
            if !self.chunks.contains_key(&number) {
                let mut chunk: Chunk = Box::new([0; CHUNK as usize]);
                let start = number * CHUNK;
                let from_file = self.shown.saturating_sub(start).min(CHUNK) as usize;
                read_at(file, start, &mut chunk[..from_file])?;
                self.chunks.insert(number, chunk);
            }
            if let Some(chunk) = self.chunks.get_mut(&number) {
                let at = (position % CHUNK) as usize;
                let from = (position - offset) as usize;
                chunk[at..at + piece].copy_from_slice(&data[from..from + piece]);
            }
        }
        Ok(())
    }

    fn set_len(&mut self, len: u64) {
        self.chunks.retain(|number, _| number * CHUNK < len);
        if let Some(chunk) = self.chunks.get_mut(&(len / CHUNK)) {
            chunk[(len % CHUNK) as usize..].fill(0);
        }
        self.shown = self.shown.min(len);
        self.len = len;
    }
}

/// The bytes that a file takes on the disk.
#[cfg(unix)]
fn on_disk(metadata: &Metadata) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    // Of 512 bytes whatever the file system's own are.
    Some(metadata.blocks().saturating_mul(512))
}

#[cfg(not(unix))]
fn on_disk(_: &Metadata) -> Option<u64> {
    None
}

fn is_whole(start: Bound<u64>, end: Bound<u64>) -> bool {
    matches!(start, Bound::Unbounded | Bound::Included(0)) && end == Bound::Unbounded
}

fn read_at(file: &mut File, offset: u64, out: &mut [u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(out)
}

fn end_of(offset: u64, len: usize) -> io::Result<u64> {
    offset.checked_add(len as u64).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// Cuts a range at chunk boundaries: where each piece starts, and its length.
fn pieces(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize)> {
    let end = offset + len as u64;
    let mut position = offset;
    std::iter::from_fn(move || {
        if position >= end {
            return None;
        }
        let start = position;
        position = end.min((start / CHUNK + 1) * CHUNK);
        Some((start, (position - start) as usize))
    })
}

/// Removes other users' access to the database, if it is this user's. Any user that can open it can
/// lock it.
#[cfg(unix)]
pub(crate) fn make_private(file: &File) {
    use std::os::unix::fs::PermissionsExt;
    if file.metadata().is_ok_and(|m| m.permissions().mode() & 0o077 != 0) {
        let _ = file.set_permissions(std::fs::Permissions::from_mode(0o600));
    }
}

#[cfg(not(unix))]
pub(crate) fn make_private(_: &File) {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Write(u64, Vec<u8>),
        SetLen(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..20_000_u64, proptest::collection::vec(any::<u8>(), 1..6000))
                .prop_map(|(at, data)| Step::Write(at, data)),
            (0..20_000_u64).prop_map(Step::SetLen),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_reader_sees_its_changes_and_the_file_stays(
            seed in proptest::collection::vec(any::<u8>(), 0..15_000),
            steps in proptest::collection::vec(step(), 0..20),
        ) {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(&seed).unwrap();
            let reader =
                LedgerFile::new(File::open(file.path()).unwrap(), Access::Read).unwrap();
            let mut model = seed.clone();
            for step in steps {
                match step {
                    Step::Write(at, data) => {
                        let at_model = at as usize;
                        if model.len() < at_model + data.len() {
                            model.resize(at_model + data.len(), 0);
                        }
                        model[at_model..at_model + data.len()].copy_from_slice(&data);
                        reader.write(at, &data).unwrap();
                    }
                    Step::SetLen(len) => {
                        model.resize(len as usize, 0);
                        reader.set_len(len).unwrap();
                    }
                }
                prop_assert_eq!(reader.len().unwrap(), model.len() as u64);
                let mut seen = vec![0xee; model.len()];
                reader.bytes(0, &mut seen).unwrap();
                prop_assert_eq!(&seen, &model);
            }
            prop_assert!(reader.bytes(model.len() as u64, &mut [0]).is_err());
            prop_assert_eq!(std::fs::read(file.path()).unwrap(), seed);
        }
    }
}
