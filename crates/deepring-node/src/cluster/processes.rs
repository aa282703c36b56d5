//! The nodes of one machine as processes.
//!
//! They are started with a pipe as their stdin, and stop when it closes: so they end with who started them, however that ends.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::assemble::CONFIG;
use super::error::ClusterError;
use crate::daemon::NodeState;

const LOG: &str = "node.log";
/// How long nodes are given to end.
const ENDING: Duration = Duration::from_secs(15);
/// Who runs says something every ten seconds.
const SILENT: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(100);

/// The folders of nodes below a folder, in the order of their numbers.
///
/// # Errors
/// [`ClusterError::NoNodes`] and [`ClusterError::Io`].
pub fn node_folders(folder: &Path) -> Result<Vec<PathBuf>, ClusterError> {
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for entry in fs::read_dir(folder).map_err(ClusterError::io(folder))? {
        let entry = entry.map_err(ClusterError::io(folder))?;
        let number = entry.file_name().to_str().and_then(|n| n.strip_prefix("node-")?.parse().ok());
        if let Some(number) = number.filter(|_| entry.path().join(CONFIG).is_file()) {
            found.push((number, entry.path()));
        }
    }
    if found.is_empty() {
        return Err(ClusterError::NoNodes(folder.to_owned()));
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// Reads a node's state from its folder; `None` where no node runs there, as far as can be seen: one that was killed has left what it said
/// last, and says nothing any more.
///
/// # Errors
/// [`ClusterError::Io`].
pub fn read_state(node: &Path) -> Result<Option<NodeState>, ClusterError> {
    let data = node.join("data");
    let state = NodeState::read(&data).map_err(ClusterError::io(&data))?;
    Ok(state.filter(|state| state.silent_for() < SILENT))
}

/// Asks all nodes below a folder to stop, and waits until they have; the names of those that have not.
///
/// # Errors
/// As [`node_folders`], and [`ClusterError::Io`].
pub fn stop(folder: &Path) -> Result<Vec<String>, ClusterError> {
    let nodes = node_folders(folder)?;
    let mut running = Vec::new();
    for node in nodes {
        if read_state(&node)?.is_some() {
            let data = node.join("data");
            NodeState::ask_to_stop(&data).map_err(ClusterError::io(&data))?;
            running.push(node);
        }
    }
    let until = Instant::now() + ENDING;
    while Instant::now() < until && !running.is_empty() {
        sleep(LOOK);
        let mut left = Vec::new();
        for node in running {
            if read_state(&node)?.is_some() {
                left.push(node);
            }
        }
        running = left;
    }
    Ok(running.iter().map(|node| name_of(node)).collect())
}

fn name_of(node: &Path) -> String {
    node.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

struct Node {
    folder: PathBuf,
    child: Child,
    ended: Option<ExitStatus>,
}

/// How a node that was started does.
#[derive(Debug, Clone)]
pub struct Looked {
    /// Its folder.
    pub name: String,
    /// Its state as it says it, if it said something yet; or how it ended.
    pub state: Result<Option<NodeState>, ExitStatus>,
}

/// Nodes that this process started. They are stopped when it is dropped.
pub struct Running {
    nodes: Vec<Node>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("nodes", &self.nodes.len()).finish()
    }
}

impl Running {
    /// Starts every node below a folder with this program; what they log goes to a file in each one's folder.
    ///
    /// # Errors
    /// As [`node_folders`]; [`ClusterError::NotStarted`], where those that were started are stopped again.
    pub fn start(program: &Path, folder: &Path) -> Result<Self, ClusterError> {
        let mut running = Self { nodes: Vec::new() };
        for node in node_folders(folder)? {
            let not_started = |why: io::Error| ClusterError::NotStarted {
                name: name_of(&node),
                why: why.to_string(),
            };
            let log = node.join(LOG);
            let log = OpenOptions::new().create(true).append(true).open(&log);
            let log = log.map_err(not_started)?;
            let child = Command::new(program)
                .arg("run")
                .arg(node.join(CONFIG))
                .arg("--until-stdin-closes")
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(log)
                .spawn();
            let child = child.map_err(not_started)?;
            running.nodes.push(Node { folder: node, child, ended: None });
        }
        Ok(running)
    }

    /// How each node does.
    ///
    /// # Errors
    /// [`ClusterError::Io`].
    pub fn look(&mut self) -> Result<Vec<Looked>, ClusterError> {
        let mut all = Vec::with_capacity(self.nodes.len());
        for node in &mut self.nodes {
            if node.ended.is_none() {
                node.ended = node.child.try_wait().map_err(ClusterError::io(&node.folder))?;
            }
            let pid = node.child.id();
            let state = match node.ended {
                Some(ended) => Err(ended),
                // What another process left there says nothing of this one.
                None => Ok(read_state(&node.folder)?.filter(|state| state.pid == pid)),
            };
            all.push(Looked { name: name_of(&node.folder), state });
        }
        Ok(all)
    }

    /// The folder of a node's log.
    pub fn logs(&self) -> impl Iterator<Item = PathBuf> + '_ {
        self.nodes.iter().map(|node| node.folder.join(LOG))
    }

    fn end(&mut self) {
        for node in &mut self.nodes {
            drop(node.child.stdin.take());
        }
        let until = Instant::now() + ENDING;
        for node in &mut self.nodes {
            while node.ended.is_none() && Instant::now() < until {
                node.ended = node.child.try_wait().ok().flatten();
                if node.ended.is_none() {
                    sleep(LOOK);
                }
            }
            if node.ended.is_none() {
                // It did not end by itself; what it acknowledged is on stable storage.
                let _ = node.child.kill();
                let _ = node.child.wait();
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}
