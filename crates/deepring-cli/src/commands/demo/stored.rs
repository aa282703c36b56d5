//! The same edits in the ring's file: refused by `verify` and by a run, repaired from the copy.

use deepring::{Check, Finding, RingError};
use deepring_infer::Session;

use super::answers::Answers;
use super::attacks::Attack;
use super::edits::edit_ring_file;
use super::setting::{BACKUP, RING, RunFailure, Setting};
use crate::error::{CliError, Exit};
use crate::rings;

#[derive(Debug)]
pub(super) struct Stored {
    /// What `verify` found; empty if it found nothing.
    pub(super) verify: Vec<Finding>,
    /// What a run said instead of answering; empty if it answered.
    pub(super) run: Vec<Finding>,
    /// Blocks that the repair restored.
    pub(super) repaired: Vec<u32>,
    /// Bytes that came from the copy.
    pub(super) bytes: u64,
    /// After the repair.
    pub(super) answers: Answers,
    /// Index of the repair's ledger entry.
    pub(super) repair: u64,
}

/// Writes the edit into the ring's file without any key, then does what a user would do. The session that
/// answered after the repair stays open.
pub(super) fn attack_stored(
    setting: &mut Setting,
    attack: &Attack,
) -> Result<(Stored, Session), CliError> {
    let mut file = setting.folder.read(RING)?;
    for edit in &attack.edits {
        edit_ring_file(&mut file, &setting.ring, edit)?;
    }
    setting.folder.write(RING, &file)?;

    let verify = match setting.verify() {
        Ok(_) => Vec::new(),
        Err(RingError::Refused(report)) => report.findings,
        Err(e) => return Err(e.into()),
    };
    let run = match run(setting) {
        Ok(()) => Vec::new(),
        Err(RunFailure::Refused(findings)) => findings,
        Err(RunFailure::Failed(e)) => return Err(e),
    };
    setting.alarm(&verify)?;

    let backup = setting.folder.path(BACKUP);
    let ring = rings::way(&setting.ring_path())?;
    let trust = setting.trusting.trust_by(&ring);
    let done = deepring::repair(ring.place(), &backup, &trust, &|_| ())?;
    let done = done.ok_or_else(|| CliError::new(Exit::Failed, "there was nothing to repair"))?;
    let repair = setting.record_repair(done.blocks.clone(), BACKUP.as_ref())?;
    let session = setting.open(Check::Run)?;
    let (answers, _, _) = setting.ask(&session)?;
    let stored = Stored { verify, run, repaired: done.blocks, bytes: done.bytes, answers, repair };
    Ok((stored, session))
}

fn run(setting: &mut Setting) -> Result<(), RunFailure> {
    let session = setting.open(Check::Run)?;
    session.run(setting.queries.first().cloned().unwrap_or_default())?;
    Ok(())
}

/// Leaves a copy of the ring with an attack in it, for a visitor to try.
pub(super) fn leave_a_tampered_copy(
    setting: &Setting,
    attack: Option<&Attack>,
) -> Result<(), CliError> {
    let mut file = setting.folder.read(RING)?;
    for edit in attack.iter().flat_map(|a| &a.edits) {
        edit_ring_file(&mut file, &setting.ring, edit)?;
    }
    setting.folder.write("tampered.ring", &file).map(|_| ())
}
