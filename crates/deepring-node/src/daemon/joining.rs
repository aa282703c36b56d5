//! Beginning in a network that has run for long: with a copy of another node's ledger, and its record of who stands.

use std::io;
use std::path::{Path, PathBuf};

use commonware_cryptography::{Hasher as _, Sha256};
use deepring::PublicKey;
use deepring::files::replace_file;
use deepring::keys::Node;
use deepring_ledger::{Checkpoint, Event, Ledger, ValidatorSet};
use thiserror::Error;

use super::config::CheckedConfig;
use super::error::NodeError;
use super::material::{Places, read, validators};
use super::voted::has_anything;
use crate::agreement::{Config, JoinError, JoinRecord, MAX_JOIN_RECORD};

/// Why a node does not begin with what was copied.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CopyError {
    /// The engine began without this record: its votes and the record's term do not fit together.
    #[error(
        "the engine in {} began without it, or with another: put back what it began with, a record or none, and the node goes on \
         as before; with this one a node begins in an empty data folder, and with a new key",
        engine.display()
    )]
    Begun {
        /// The engine's folder.
        engine: PathBuf,
    },
    /// There is a record, and no copy of a ledger beside it.
    #[error("there is no copy of a ledger beside it")]
    NoLedger,
    /// The copy is not whole, or was changed.
    #[error("the copy of the ledger is damaged: `deepring ledger verify` says where")]
    Damaged,
    /// The newest checkpoint of the copy is not one that the set cosigned.
    #[error("the newest checkpoint of the copy is not certified by validator set {epoch}: {why}")]
    NotCertified {
        /// Epoch of the set.
        epoch: u64,
        /// The reason: what is lacking.
        why: String,
    },
    /// The record is newer than the copy.
    #[error(
        "the copy of the ledger has height {height}, and the record needs {needed}: copy the ledger last"
    )]
    Behind {
        /// Height of the copy.
        height: u64,
        /// Height that the record's term builds on.
        needed: u64,
    },
    /// The record.
    #[error(transparent)]
    Record(#[from] JoinError),
}

/// Reads what the node begins with, where its operator put a record into its data folder; `None` where there is none. What is begun
/// with for the first time is verified: the whole copy, and that the set which stands certified its newest checkpoint.
pub(super) fn join(
    config: &CheckedConfig,
    founding: &ValidatorSet,
    places: &Places,
    ledger: &Ledger,
) -> Result<Option<JoinRecord>, NodeError> {
    let path = &places.begin_from;
    let bytes = match read(path, MAX_JOIN_RECORD) {
        Err(NodeError::Io { source, .. })
            if source.kind() == io::ErrorKind::NotFound && !is_there(path) =>
        {
            return Ok(None);
        }
        bytes => bytes?,
    };
    let failed =
        |source: CopyError| NodeError::Joining { path: path.clone(), source: Box::new(source) };
    let heights = Config::TERM_HEIGHTS;
    let record = |standing: Option<&ValidatorSet>| {
        let record = JoinRecord::read(&bytes, founding, heights, standing);
        let record = record.map_err(|e| failed(e.into()))?;
        Ok::<_, NodeError>(record.proven_at(places.proven.clone()))
    };
    let digest = format!("{}\n", Sha256::hash(&[&bytes]));
    if is_verified(&places.verified, &digest)? {
        return record(None).map(Some);
    }
    let begun = has_anything(&places.engine)
        .map_err(|source| NodeError::Io { path: places.engine.clone(), source })?;
    if begun {
        return Err(failed(CopyError::Begun { engine: places.engine.clone() }));
    }
    let standing = match &config.file.standing_set {
        Some(path) => validators(path)?.1,
        None => founding.clone(),
    };
    let record = record(Some(&standing))?;
    let height = ledger.height()?.unwrap_or(0);
    if height == 0 {
        return Err(failed(CopyError::NoLedger));
    }
    if height < record.floor_height() {
        let needed = record.floor_height();
        return Err(failed(CopyError::Behind { height, needed }));
    }
    if !ledger.verify()?.is_intact() {
        return Err(failed(CopyError::Damaged));
    }
    Checkpoint::verify_by_set(ledger.checkpoint().as_str(), &standing).map_err(|e| {
        failed(CopyError::NotCertified { epoch: standing.epoch, why: e.to_string() })
    })?;
    replace_file(&places.verified, digest.as_bytes())
        .map_err(|source| NodeError::Io { path: places.verified.clone(), source })?;
    Ok(Some(record))
}

/// Refuses a record without a copy of a ledger before a ledger is made anew there, into which the copy would then be put.
pub(super) fn refuse_record_alone(places: &Places) -> Result<(), NodeError> {
    match is_there(&places.begin_from) && !is_there(&places.ledger) {
        true => Err(NodeError::Joining {
            path: places.begin_from.clone(),
            source: Box::new(CopyError::NoLedger),
        }),
        false => Ok(()),
    }
}

/// Whether a validator set that the copy's log names, or the record, has this node: it may have voted then.
pub(super) fn may_have_voted(
    join: &JoinRecord,
    ledger: &Ledger,
    node: &PublicKey<Node>,
) -> Result<bool, NodeError> {
    if join.names(node) {
        return Ok(true);
    }
    for row in ledger.iter(0..ledger.len()) {
        if let Event::ValidatorSet(set) = row?.1.event()
            && set.nodes.contains(node)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether something has this name: a link that leads nowhere, too, which is not to be taken for nothing.
fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Whether what belongs to this record was verified before: then the ledger is this node's own by now.
fn is_verified(path: &Path, digest: &str) -> Result<bool, NodeError> {
    match read(path, digest.len()) {
        Err(NodeError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(false),
        kept => Ok(kept? == digest.as_bytes()),
    }
}
