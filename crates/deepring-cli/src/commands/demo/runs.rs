//! One attack in three places: in the plain network's file, in the ring's file, and in the ring's live memory.

use deepring::maintenance::repair;
use deepring::receipt::Require;
use deepring::{Check, Finding, RingError};
use deepring_attack::Predictions;
use deepring_attack::evaluator::EvaluatorError;
use deepring_attack::ring::{RingAttackError, RingEdit};
use deepring_infer::Session;

use super::attacks::{Listed, Tampering};
use super::fixture::{BACKUP, Fixture, RING, RunFailure};
use crate::error::{CliError, Exit};
use crate::progress::Progress;
use crate::rings;

/// The result of an attack.
#[derive(Debug)]
pub(super) struct AttackRun {
    pub(super) tampering: Tampering,
    pub(super) plain: PlainOutcome,
    pub(super) stored: StoredRun,
    /// `None` where live memory cannot be written.
    pub(super) memory: Option<Memory>,
}

/// The outcome on the attacked plain network: it answered, or it (or the engine) objected.
#[derive(Debug)]
pub(super) enum PlainOutcome {
    Answered(Predictions),
    Objected(String),
}

/// The ring's answer to the edits in its file.
#[derive(Debug)]
pub(super) struct StoredRun {
    /// The findings of `verify`; empty if there are none.
    pub(super) verify: Vec<Finding>,
    /// The findings of a run in place of an answer; empty if it answered.
    pub(super) run: Vec<Finding>,
    /// Blocks that the repair restored.
    pub(super) repaired: Vec<u32>,
    /// Bytes that came from the copy.
    pub(super) bytes: u64,
    /// After the repair.
    pub(super) answers: Predictions,
    /// Index of the repair's ledger entry.
    pub(super) repair: u64,
}

/// The ring's answer to the edits in live memory.
#[derive(Debug)]
pub(super) struct Memory {
    /// With `--check none`: what the edited ring answered, which nothing noticed.
    pub(super) unchecked: Predictions,
    /// The check that the unchecked run's own certificate names.
    pub(super) certified: Check,
    /// With `--check run`: each refusal, in the order met.
    pub(super) findings: Vec<Finding>,
    /// Blocks that were opened anew.
    pub(super) reloaded: Vec<u32>,
    /// After that.
    pub(super) answers: Predictions,
    /// Index of the repair's ledger entry.
    pub(super) repair: u64,
}

/// Why live memory cannot be written here; `None` if it can.
pub(super) fn obstacle() -> Option<&'static str> {
    (!RingEdit::MEMORY_IS_WRITABLE).then_some("pages cannot be made writable here")
}

impl AttackRun {
    /// Step 3, for one attack.
    pub(super) fn of(fixture: &mut Fixture, listed: &Listed) -> Result<Self, CliError> {
        let tampering = listed.make(fixture)?;
        let progress = Progress::items("attacking", 3);
        let plain = in_plain_file(fixture, &tampering)?;
        progress.add(1);
        let (stored, mut session) = in_ring_file(fixture, &tampering)?;
        progress.add(1);
        let memory = match obstacle() {
            None => Some(in_memory(fixture, &mut session, &tampering)?),
            Some(_) => None,
        };
        Ok(Self { tampering, plain, stored, memory })
    }

    /// The ring's answers when all is over.
    pub(super) fn restored(&self) -> &Predictions {
        self.memory.as_ref().map_or(&self.stored.answers, |memory| &memory.answers)
    }
}

impl PlainOutcome {
    pub(super) fn answers(&self) -> Option<&Predictions> {
        match self {
            Self::Answered(answers) => Some(answers),
            Self::Objected(_) => None,
        }
    }
}

/// Writes the attacked network beside the intact one, and asks it.
fn in_plain_file(fixture: &Fixture, tampering: &Tampering) -> Result<PlainOutcome, CliError> {
    fixture.folder.write(&tampering.file, &tampering.network.encode())?;
    match fixture.sample.evaluator().evaluate(&tampering.network) {
        Ok(answers) => Ok(PlainOutcome::Answered(answers)),
        Err(e @ EvaluatorError::Temporary(_)) => Err(e.into()),
        Err(e) => Ok(PlainOutcome::Objected(e.to_string())),
    }
}

/// Writes the edits into the ring's file without any key, then does what a user would do. The session that answered
/// after the repair stays open.
fn in_ring_file(
    fixture: &mut Fixture,
    tampering: &Tampering,
) -> Result<(StoredRun, Session), CliError> {
    fixture.folder.write(RING, &tampered(fixture, &tampering.edits)?)?;
    let verify = match fixture.verify() {
        Ok(_) => Vec::new(),
        Err(RingError::Refused(report)) => report.findings,
        Err(e) => return Err(e.into()),
    };
    let run = match first_query(fixture) {
        Ok(()) => Vec::new(),
        Err(RunFailure::Refused(findings)) => findings,
        Err(RunFailure::Failed(e)) => return Err(e),
    };
    fixture.alarm(&verify)?;

    let backup = fixture.folder.path(BACKUP);
    let ring = rings::resolved_path(&fixture.ring_path())?;
    let trust = fixture.policy.trust_by(&ring);
    let done = repair(ring.place(), &backup, &trust, &|_| ())?;
    let done = done.ok_or_else(|| CliError::new(Exit::Failed, "there was nothing to repair"))?;
    let repair = fixture.record_repair(&done.blocks, BACKUP.as_ref())?;
    let session = fixture.open(Check::Run)?;
    let (answers, _, _) = fixture.run_queries(&session)?;
    let stored =
        StoredRun { verify, run, repaired: done.blocks, bytes: done.bytes, answers, repair };
    Ok((stored, session))
}

fn first_query(fixture: &mut Fixture) -> Result<(), RunFailure> {
    let session = fixture.open(Check::Run)?;
    session.run(fixture.queries.first().cloned().unwrap_or_default())?;
    Ok(())
}

/// The ring's file with these edits in it.
fn tampered(fixture: &Fixture, edits: &[RingEdit]) -> Result<Vec<u8>, CliError> {
    let mut file = fixture.folder.read(RING)?;
    for edit in edits {
        edit.flip_stored(&fixture.ring, &mut file).map_err(RingAttackError::from)?;
    }
    Ok(file)
}

/// Leaves a copy of the ring with an attack in it, for a visitor to try.
pub(super) fn leave_a_tampered_copy(
    fixture: &Fixture,
    run: Option<&AttackRun>,
) -> Result<(), CliError> {
    let edits = run.map_or(&[][..], |run| &run.tampering.edits);
    fixture.folder.write("tampered.ring", &tampered(fixture, edits)?).map(|_| ())
}

/// Edits live memory under `--check none`, then under `--check run`. `session` is open already, stays open,
/// and checks before each use of a block.
fn in_memory(
    fixture: &mut Fixture,
    session: &mut Session,
    tampering: &Tampering,
) -> Result<Memory, CliError> {
    let unguarded = fixture.open(Check::None)?;
    write_live(&unguarded, tampering)?;
    let outcome = unguarded.run_batch(fixture.queries.clone())?;
    let certified = outcome.decision.verify(fixture.ring.outline(), Require::AsDealt)?.check();
    let unchecked = fixture.sample.answers(&outcome.outputs)?;
    drop(unguarded);

    write_live(session, tampering)?;
    let (mut findings, mut reloaded) = (Vec::new(), Vec::new());
    let most = fixture.ring.layers().len();
    let answers = loop {
        match fixture.run_queries(session) {
            Ok((answers, _, _)) => break answers,
            Err(RunFailure::Failed(e)) => return Err(e),
            Err(RunFailure::Refused(found)) => {
                // The block that is named is opened anew from the file; then the same question again.
                let block = found.first().and_then(|f| f.block);
                findings.extend(found);
                match block {
                    Some(block) if reloaded.len() < most => {
                        session.reload_block(block)?;
                        reloaded.push(block);
                    }
                    _ => return Err(CliError::refused("live memory cannot be restored", findings)),
                }
            }
        }
    };
    fixture.alarm(&findings)?;
    let repair = fixture.record_repair(&reloaded, RING.as_ref())?;
    Ok(Memory { unchecked, certified, findings, reloaded, answers, repair })
}

fn write_live(session: &Session, tampering: &Tampering) -> Result<(), CliError> {
    tampering.edits.iter().try_for_each(|edit| {
        edit.write_live(session).map_err(|e| {
            CliError::new(Exit::Failed, format!("tensor {} in live memory: {e}", edit.part))
        })
    })
}
