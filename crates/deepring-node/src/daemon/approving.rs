//! The operator's approval of the next validator set: a file in the data folder, which the running node looks at.
//!
//! The file is the signed entry itself, so that every node whose operator approved it also submits it. It is looked into
//! before it is put there, against the node's own file: a set of which a node has no address here is not approved.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use commonware_runtime::Clock;
use deepring::SecretKey;
use deepring::files::replace_file;
use deepring::keys::Node;
use deepring_ledger::entry::{MAX_ENTRY_BYTES, UnverifiedEntry};
use deepring_ledger::{LedgerOptions, ValidatorSet};

use super::config::CheckedConfig;
use super::error::NodeError;
use super::material::{Places, key, read, validators};
use crate::agreement::{AgreedLedger, SetApproval, Submission, SubmitError};

const EVERY: Duration = Duration::from_secs(1);

/// Approves a signed entry that names the next validator set, in place of what was approved before.
/// The node whose file this is may run meanwhile.
///
/// # Errors
/// [`NodeError::Validators`] for a file that is no such entry, [`NodeError::OtherLog`] for one of another log than the node keeps,
/// [`NodeError::NoPeer`] where a node of the set is neither this one nor a peer of its file, [`NodeError::SetPassed`] for one that can
/// follow none any more.
pub fn approve(config: &CheckedConfig, entry: &Path) -> Result<ValidatorSet, NodeError> {
    let node: SecretKey<Node> = key(&config.file.node_key)?;
    let (_, founding) = validators(&config.file.validators)?;
    let (bytes, set) = validators(entry)?;
    if set.origin != founding.origin {
        let (found, expected) = (set.origin, founding.origin);
        return Err(NodeError::OtherLog { path: entry.to_owned(), found, expected });
    }
    every_node_has_an_address(config, &set, &node)?;
    let places = Places::below(&config.file.data);
    places.make()?;
    let newest = newest_set(&places.ledger, &founding)?;
    if set.epoch <= newest {
        let found = set.epoch;
        return Err(NodeError::SetPassed { path: entry.to_owned(), found, newest });
    }
    replace_file(&places.approved, &bytes)
        .map_err(|source| NodeError::Io { path: places.approved, source })?;
    Ok(set)
}

/// Epoch of the newest set that the log names; the node may have it open.
fn newest_set(ledger: &Path, founding: &ValidatorSet) -> Result<u64, NodeError> {
    if !ledger.exists() {
        return Ok(founding.epoch);
    }
    let ledger = LedgerOptions::new().origin(&founding.origin).open_read(ledger)?;
    let named = ledger.state()?.validators().map_or(0, |set| set.epoch);
    Ok(named.max(founding.epoch))
}

/// Approves nothing any more; returns whether anything was.
///
/// # Errors
/// [`NodeError::Io`].
pub fn withdraw(config: &CheckedConfig) -> Result<bool, NodeError> {
    let path = Places::below(&config.file.data).approved;
    match fs::remove_file(&path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(NodeError::Io { path, source }),
    }
}

/// Refuses a set of which a node is neither this one nor a peer.
pub(super) fn every_node_has_an_address(
    config: &CheckedConfig,
    set: &ValidatorSet,
    node: &SecretKey<Node>,
) -> Result<(), NodeError> {
    let me = node.public();
    let known = |node| node == me || config.peers.iter().any(|peer| peer.node == node);
    match set.nodes.iter().find(|node| !known(**node)) {
        Some(missing) => Err(NodeError::NoPeer { node: missing.short() }),
        None => Ok(()),
    }
}

/// Reads the approved entry that lies there; `None` where none does.
pub(super) fn approved(path: &Path) -> Result<Option<Submission>, NodeError> {
    let bytes = match read(path, MAX_ENTRY_BYTES) {
        Err(NodeError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Ok(None);
        }
        bytes => bytes?,
    };
    let why = |why: String| NodeError::Approved { path: path.to_owned(), why };
    ValidatorSet::decode_signed(&bytes).map_err(|e| why(e.to_string()))?;
    let entry = UnverifiedEntry::decode(&bytes).and_then(UnverifiedEntry::verify);
    let submission = Submission::of(&entry.map_err(|e| why(e.to_string()))?);
    submission.map(Some).map_err(|e| why(e.to_string()))
}

/// Follows what lies there, and submits it until it is recorded or can never be.
pub(super) async fn follow(
    context: impl Clock,
    ledger: AgreedLedger,
    approval: SetApproval,
    path: PathBuf,
) {
    let mut refused = None;
    let mut unreadable = None;
    loop {
        let submission = match approved(&path) {
            Ok(submission) => submission,
            Err(why) => {
                let why = why.to_string();
                if unreadable.as_ref() != Some(&why) {
                    tracing::error!(why, "what is approved cannot be read, and so nothing is");
                    unreadable = Some(why);
                }
                None
            }
        };
        let id = submission.as_ref().map(Submission::id);
        if approval.get() != id {
            tracing::info!(entry = ?id, "the operator's approval of the next validator set changed");
            approval.set(id);
        }
        if let Some(submission) = submission {
            match ledger.submit(submission).await {
                // It waits until enough approved it; nobody waits for it here.
                Ok(_) | Err(SubmitError::NotReady | SubmitError::Full(_)) => {}
                Err(SubmitError::Stopped) => return,
                Err(why) if refused != id => {
                    // It is recorded, or may never be.
                    tracing::info!(%why, "the approved validator set is not submitted any more");
                    refused = id;
                }
                Err(_) => {}
            }
        }
        context.sleep(EVERY).await;
    }
}

#[cfg(test)]
mod tests;
