//! Writes a large file back to disk while it is being made, so that the last sync has little to do.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

/// Bytes that are written between two syncs. A file shorter than twice that is synced once, at its
/// end.
const STRIDE: u64 = 64 << 20;

/// A thread that syncs a file whenever another stretch of it was written.
///
/// It only begins the work of the final sync, and keeps a failure for [`finish`](Self::finish): a
/// system reports a lost write once to a file handle, and the final sync would not see it again.
pub(crate) struct WriteBack {
    written: AtomicU64,
    thread: Option<(SyncSender<()>, JoinHandle<io::Result<()>>)>,
}

impl WriteBack {
    /// For a file that will have `len` bytes.
    pub(crate) fn of(file: &File, len: u64) -> Self {
        let thread = (len >= 2 * STRIDE).then(|| {
            let file = file.try_clone().ok()?;
            // Requests during a sync make one further sync, however many.
            let (ask, asked) = sync_channel::<()>(1);
            let work = move || asked.iter().try_for_each(|()| file.sync_data());
            Some((ask, Builder::new().name("write-back".to_owned()).spawn(work).ok()?))
        });
        // Without a handle or a thread to spare, the final sync does all the work.
        Self { written: AtomicU64::new(0), thread: thread.flatten() }
    }

    /// Adds to the number of bytes that were written, anywhere.
    pub(crate) fn wrote(&self, bytes: usize) {
        let bytes = bytes as u64;
        let before = self.written.fetch_add(bytes, Ordering::Relaxed);
        if let Some((ask, _)) = &self.thread
            && before / STRIDE != (before + bytes) / STRIDE
        {
            // Full: a sync is requested already. Disconnected: it failed, as `finish` will report.
            let _ = ask.try_send(());
        }
    }

    /// Waits for the syncs that were begun, and returns the failure of any.
    pub(crate) fn finish(self) -> io::Result<()> {
        let Some((ask, thread)) = self.thread else { return Ok(()) };
        drop(ask);
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the write-back thread panicked")))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "what a test needs is there, or the test has failed")]
mod tests {
    use super::*;

    #[test]
    fn a_short_file_has_no_thread_and_a_long_one_is_synced_while_it_is_made() {
        let file = tempfile::tempfile().unwrap();
        assert!(WriteBack::of(&file, 2 * STRIDE - 1).thread.is_none());
        let write_back = WriteBack::of(&file, 2 * STRIDE);
        assert!(write_back.thread.is_some());
        for _ in 0..5 {
            write_back.wrote(STRIDE as usize / 2 + 1);
        }
        write_back.finish().unwrap();
    }

    /// A pipe cannot be synced: it stands for a disk that loses a write.
    #[cfg(unix)]
    #[test]
    fn a_failure_on_the_way_is_said_at_the_end() {
        let (_reader, writer) = std::io::pipe().unwrap();
        let file = File::from(std::os::fd::OwnedFd::from(writer));
        let write_back = WriteBack::of(&file, 2 * STRIDE);
        write_back.wrote(STRIDE as usize - 1);
        write_back.wrote(1);
        assert!(write_back.finish().is_err());
        let write_back = WriteBack::of(&file, 2 * STRIDE);
        write_back.wrote(STRIDE as usize - 1);
        write_back.finish().unwrap();
    }
}
