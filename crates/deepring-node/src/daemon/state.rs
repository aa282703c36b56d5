//! The state of a node, for those who run it on the same machine: a small file that is written every second in which
//! something changed, and a file by which it is told to stop.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use deepring::files::{Replacement, read_plain, replace_file};
use serde::{Deserialize, Serialize};

use crate::clock::now_ms;

const STATE: &str = "state.json";
const STOP: &str = "stop";
const MAX_STATE: u64 = 1 << 12;

/// See the module. Nobody signs it: it is for people and for scripts on the same machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeState {
    /// The process.
    pub pid: u32,
    /// When this was written, in milliseconds since the Unix epoch.
    pub at: u64,
    /// Height of the newest docket in the ledger.
    pub height: u64,
    /// Entries of the ledger.
    pub size: u64,
    /// Entries under the newest checkpoint that a quorum cosigned.
    pub certified: u64,
    /// Submissions that wait.
    pub waiting: usize,
    /// Number of the term.
    pub term: u64,
    /// Whether it votes in the term; else it follows.
    pub votes: bool,
    /// Whether it follows because its earlier votes are lost.
    pub votes_lost: bool,
    /// Whether heights go on, it is as far as the others, and the ring that it hosts is registered.
    pub caught_up: bool,
    /// Whether every block of its host is in use.
    pub blocks_open: bool,
    /// Whether its disk could be written.
    pub disk_writable: bool,
}

/// The two files, in a node's data folder.
#[derive(Debug, Clone)]
pub(crate) struct StateFiles {
    state: PathBuf,
    stop: PathBuf,
}

impl StateFiles {
    pub(crate) fn in_folder(data: &Path) -> Self {
        Self { state: data.join(STATE), stop: data.join(STOP) }
    }

    /// Forgets what was asked of the process before.
    pub(crate) fn begin(&self) {
        // Where it cannot be removed, the node stops again, which is said.
        let _ = fs::remove_file(&self.stop);
    }

    /// Writes the state; not synchronised, as nothing hangs on it.
    pub(crate) fn write(&self, state: &NodeState) -> io::Result<()> {
        let new = Replacement::of(&self.state)?;
        new.as_file().write_all(&serde_json::to_vec(state)?)?;
        new.commit_unsynced()
    }

    /// Whether somebody asked the node to stop.
    pub(crate) fn is_to_stop(&self) -> bool {
        self.stop.exists()
    }

    /// The process is about to end.
    pub(crate) fn end(&self) {
        for path in [&self.state, &self.stop] {
            // Who looks sees by the time in it that it is old.
            let _ = fs::remove_file(path);
        }
    }
}

impl NodeState {
    /// The state in a node's data folder; `None` where no node runs there, as far as can be seen.
    ///
    /// # Errors
    /// The system's error.
    pub fn read(data: &Path) -> io::Result<Option<Self>> {
        match read_plain(&data.join(STATE), MAX_STATE) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// For how long it has said nothing, by this machine's clock. A node that runs says something every ten seconds.
    #[must_use]
    pub fn silent_for(&self) -> Duration {
        Duration::from_millis(now_ms().saturating_sub(self.at))
    }

    /// Asks the node whose data folder this is to stop.
    ///
    /// # Errors
    /// The system's error.
    pub fn ask_to_stop(data: &Path) -> io::Result<()> {
        replace_file(&data.join(STOP), b"")
    }
}
