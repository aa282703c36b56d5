//! The same edits in live memory, written behind its pages' protection as an exploit within the process would.
//!
//! Where the system has no pages that can be written so, this part is skipped, and the demo says so.

use deepring::{Check, Finding};
use deepring_infer::{Session, tamper};

use super::answers::Answers;
use super::attacks::Attack;
use super::edits::{Edit, bytes};
use super::setting::{RING, RunFailure, Setting};
use crate::error::{CliError, Exit};

#[derive(Debug)]
pub(super) struct Memory {
    /// With `--check none`: what the edited ring answered, which nothing noticed.
    pub(super) unchecked: Answers,
    /// The check that the unchecked run's own certificate names.
    pub(super) certified: Check,
    /// With `--check run`: each refusal, in the order met.
    pub(super) findings: Vec<Finding>,
    /// Blocks that were opened anew.
    pub(super) reloaded: Vec<u32>,
    /// After that.
    pub(super) answers: Answers,
    /// Index of the repair's ledger entry.
    pub(super) repair: u64,
}

/// Why live memory cannot be written here; `None` if it can.
pub(super) fn obstacle() -> Option<&'static str> {
    (!cfg!(unix)).then_some("pages cannot be made writable here")
}

/// Edits live memory under `--check none`, then under `--check run`. `session` is open already, stays open,
/// and checks before each use of a block.
pub(super) fn attack_memory(
    setting: &mut Setting,
    session: &mut Session,
    attack: &Attack,
) -> Result<Memory, CliError> {
    let unguarded = setting.open(Check::None)?;
    write_all(&unguarded, attack)?;
    let outcome = unguarded.run_batch(setting.queries.clone())?;
    let certified = outcome.decision.verify(&setting.ring)?.check;
    let unchecked = Answers::of(&outcome.outputs);
    drop(unguarded);

    write_all(session, attack)?;
    let (mut findings, mut reloaded) = (Vec::new(), Vec::new());
    let most = setting.ring.layers().len();
    let answers = loop {
        match setting.ask(session) {
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
    setting.alarm(&findings)?;
    let repair = setting.record_repair(reloaded.clone(), RING.as_ref())?;
    Ok(Memory { unchecked, certified, findings, reloaded, answers, repair })
}

fn write_all(session: &Session, attack: &Attack) -> Result<(), CliError> {
    attack.edits.iter().try_for_each(|edit| {
        write(session, edit).map_err(|e| {
            CliError::new(Exit::Failed, format!("tensor {} in live memory: {e}", edit.tensor))
        })
    })
}

/// Overwrites a live tensor.
fn write(session: &Session, edit: &Edit) -> Result<(), &'static str> {
    let live = session.live_bytes(edit.block).ok_or("its block is not loaded")?;
    let (before, after) = (bytes(&edit.before), bytes(&edit.after));
    let at = usize::try_from(edit.offset).map_err(|_| "it is out of range")?;
    let end = at.checked_add(before.len()).ok_or("it is out of range")?;
    if live.get(at..end) != Some(before.as_slice()) {
        return Err("it is not where it should be");
    }
    if tamper(live, at, &after) { Ok(()) } else { Err("it was not written") }
}
