//! Recomputes a ledger from its entries and names its defects.

mod foreign;
mod report;
mod walk;

use redb::ReadableMultimapTable;
use tlog_tiles::tlog::{EMPTY_HASH, Hash};

use crate::checkpoint::Checkpoint;
use crate::directory::Directory;
use crate::entry::UnverifiedEntry;
use crate::error::{LedgerError, failure};
use crate::history::{self, Depth, Unfounded};
use crate::kept;
use crate::key::VerifierKey;
use crate::store::{FORMAT, META_CHECKPOINT, META_FORMAT, META_KEY, Snapshot, Store};

pub use report::{Defect, LedgerFinding, LedgerReport};
use walk::Walk;

/// Examines everything in the database, the checkpoint file beside it, and the authority of every
/// entry.
pub(crate) fn check_ledger(
    store: &Store,
    directory: &Directory,
    key: &VerifierKey,
) -> Result<LedgerReport, LedgerError> {
    // Read first, since a writer may be at work: the file is never ahead.
    let saved = directory.read_checkpoint()?;
    let Examined { mut report, signed, kept } = check_store(store, key, saved)?;
    // Of entries that are not those that were signed, there is no state to judge by.
    let Some(signed) = signed else { return Ok(report) };
    if (report.size, &report.root) != (signed.size(), signed.root()) {
        return Ok(report);
    }
    let unfounded = |index, why: Unfounded| report.add(Some(index), why.into());
    match history::replay(store, &signed, Depth::Everything, unfounded) {
        Ok(state) => {
            let kept = kept.filter(|(_, bytes)| *bytes == kept::bytes(&state));
            if !kept.is_some_and(|(note, b)| kept::is_signed(key, &note, signed.body(), &b)) {
                report.add(None, Defect::State);
            }
            Ok(report)
        }
        // Named above.
        Err(LedgerError::EntryUnreadable { .. }) => Ok(report),
        Err(e) => Err(e),
    }
}

/// A database that was examined: the report, its checkpoint if that verifies, and its stored state.
pub(crate) struct Examined {
    pub(crate) report: LedgerReport,
    signed: Option<Checkpoint>,
    kept: Option<(String, Vec<u8>)>,
}

/// Examines a database as such, given the text of the checkpoint file.
///
/// `key` is trusted; nothing else is. Errors are those of reading; wrong content is a finding.
pub(crate) fn check_store(
    store: &Store,
    key: &VerifierKey,
    saved: Option<String>,
) -> Result<Examined, LedgerError> {
    store.read(|snapshot| {
        let mut report = LedgerReport::default();
        let signed = check_meta(snapshot, key, &mut report)?;
        let saved = match saved {
            Some(text) => match Checkpoint::verify(&text, key) {
                Ok(saved) => Some(saved),
                Err(source) => {
                    report.add(None, Defect::SavedCheckpoint { source });
                    None
                }
            },
            None => {
                if signed.as_ref().is_some_and(|signed| signed.size() > 0) {
                    report.add(None, Defect::SavedCheckpointMissing);
                }
                None
            }
        };
        let mut walk = Walk::new(signed.as_ref(), saved.as_ref().map(Checkpoint::size));
        walk.entries(snapshot, &mut report)?;
        report.size = walk.size();
        report.root = walk.root().0;
        if let Some(signed) = &signed {
            check_root(signed, &walk, &mut report);
        }
        if let Some(saved) = &saved {
            check_saved(saved, &walk, &mut report);
        }
        walk.count_hashes(snapshot, &mut report)?;
        match snapshot.height() {
            Ok(Some(known)) if known.entries.end > walk.size() => report.add(None, Defect::Height),
            Ok(_) => {}
            Err(_) => report.add(None, Defect::Height),
        }
        check_index(snapshot, &walk, &mut report)?;
        foreign::check_foreign(snapshot, &mut report)?;
        Ok(Examined { report, signed, kept: snapshot.state()? })
    })
}

/// Checks format, key and signature; returns the signed checkpoint if it verifies.
fn check_meta(
    snapshot: &Snapshot,
    key: &VerifierKey,
    report: &mut LedgerReport,
) -> Result<Option<Checkpoint>, LedgerError> {
    let format = snapshot.meta(META_FORMAT)?.unwrap_or_default();
    if format != FORMAT {
        report.add(None, Defect::Format { found: format });
    }
    let named = snapshot.meta(META_KEY)?.unwrap_or_default();
    if named != key.as_str() {
        report.add(None, Defect::Key { found: named });
    }
    let text = snapshot.meta(META_CHECKPOINT)?.unwrap_or_default();
    match Checkpoint::verify(&text, key) {
        Ok(signed) => Ok(Some(signed)),
        Err(source) => {
            report.add(None, Defect::Checkpoint { source });
            Ok(None)
        }
    }
}

fn check_root(signed: &Checkpoint, walk: &Walk, report: &mut LedgerReport) {
    if walk.size() < signed.size() {
        report.add(None, Defect::Short { signed: signed.size(), found: walk.size() });
    } else if walk.root() != signed.root_hash() {
        report.add(None, Defect::Root { size: signed.size() });
    }
}

fn check_saved(saved: &Checkpoint, walk: &Walk, report: &mut LedgerReport) {
    let known = saved.size();
    match walk.saved_root() {
        None => report.add(None, Defect::RolledBack { known, size: walk.size() }),
        Some(root) if root != saved.root_hash() => report.add(None, Defect::Rewritten { known }),
        Some(_) => {}
    }
}

/// Checks that every row of the index names an entry that records its decision, and that no row is
/// missing.
fn check_index(
    snapshot: &Snapshot,
    walk: &Walk,
    report: &mut LedgerReport,
) -> Result<(), LedgerError> {
    let fail = |e| failure(&snapshot.path, e);
    let recorded = |index| -> Result<Option<[u8; 32]>, LedgerError> {
        let entry = snapshot.entry(index)?.and_then(|bytes| UnverifiedEntry::decode(&bytes).ok());
        Ok(entry.and_then(|entry| entry.claimed_decision()).map(|id| id.0))
    };
    let mut sound = 0;
    for row in snapshot.decisions.iter().map_err(fail)? {
        let (id, indices) = row.map_err(fail)?;
        for index in indices {
            let index = index.map_err(fail)?.value();
            if recorded(index)? == Some(*id.value()) {
                sound += 1;
            } else {
                report.add(Some(index), Defect::IndexRowFalse);
            }
        }
    }
    if sound == walk.decisions() {
        return Ok(());
    }
    // Only a damaged ledger pays for finding out which.
    for index in 0..walk.size() {
        if let Some(id) = recorded(index)?
            && !snapshot.decision(&id)?.contains(&index)
        {
            report.add(Some(index), Defect::IndexRowMissing);
        }
    }
    Ok(())
}

impl LedgerReport {
    /// The report of a ledger that could not even be opened because of its content; other errors
    /// stay errors.
    pub(crate) fn of_error(error: LedgerError) -> Result<Self, LedgerError> {
        let defect = match error {
            LedgerError::Damaged { what, .. } => Defect::Database { what },
            LedgerError::DatabaseMissing { .. } => Defect::DatabaseMissing,
            LedgerError::KeyMismatch { found, .. } => Defect::Key { found },
            LedgerError::BadKey { .. } => Defect::Key { found: String::new() },
            other => return Err(other),
        };
        let mut report = Self::default();
        report.add(None, defect);
        Ok(report)
    }
}

impl Default for LedgerReport {
    fn default() -> Self {
        let Hash(root) = EMPTY_HASH;
        Self { size: 0, root, findings: Vec::new(), left_out: 0 }
    }
}
