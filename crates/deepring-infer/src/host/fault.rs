//! From what a check found to the error that names block, tensor and bytes; and what follows for the block.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use deepring::opening::OpenError;
use deepring::{Finding, Header, OpeningKey, Section};

use super::CHANGED_IN_MEMORY;
use super::block::LoadedBlock;
use crate::checks::CheckFault;
use crate::engine::Engine;
use crate::error::{InputError, RunError};
use crate::weights::scratch;

/// Parameters that were changed only while they were read, and a kernel that computes wrongly, end here.
const NOT_THE_PRODUCT: &str = "what was computed is not what the sealed parameters give";
const NOT_THE_ROW: &str = "a row that was read is not that of the sealed table";
const NOT_RECOMPUTED: &str = "what was computed is not what a second program computes";
const CHECK_CHANGED: &str = "what the check keeps in memory is not what it was";
const NOTHING_COMPARED: &str = "the check compared nothing of it";

/// At most so many are kept: a block is out of use after its first, so more come only with reloads.
const MAX_ALARMS: usize = 1024;

/// Tampering that a host detected since it was opened, oldest first. Whoever embeds a host records them where they outlive the process.
/// Each is logged as an error of the target `deepring::alarms`.
#[derive(Debug, Default)]
pub(crate) struct Alarms(Mutex<Raised>);

#[derive(Debug, Default)]
struct Raised {
    findings: Vec<Finding>,
    /// Blocks with a finding that were not opened anew since.
    out_of_use: BTreeSet<u32>,
}

impl Alarms {
    pub(super) fn raise(&self, finding: &Finding) {
        tracing::error!(target: "deepring::alarms", %finding, "tampering found");
        let mut raised = self.raised();
        if raised.findings.len() < MAX_ALARMS {
            raised.findings.push(finding.clone());
        }
        raised.out_of_use.extend(finding.block);
    }

    pub(super) fn all(&self) -> Vec<Finding> {
        self.raised().findings.clone()
    }

    pub(super) fn out_of_use(&self) -> BTreeSet<u32> {
        self.raised().out_of_use.clone()
    }

    /// A block was opened anew: what was found in it before is no more.
    pub(super) fn is_anew(&self, block: u32) {
        self.raised().out_of_use.remove(&block);
    }

    fn raised(&self) -> MutexGuard<'_, Raised> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E: Engine> LoadedBlock<E> {
    /// Turns a fault into an error. Tampering takes the block out of use and is an alarm. Inputs that are too large are no
    /// tampering if every byte is what it was; secrets and turns are drawn anew all the same, so that nobody learns about
    /// them by trying.
    pub(super) fn handle_fault(&self, fault: CheckFault) -> RunError {
        let header = self.header();
        let fault = match undecided(header, fault) {
            Ok(error) => {
                // What could not be decided says something of the secrets to who made memory scarce.
                if let Some(check) = self.check()
                    && check.redraw(self.bytes()).is_err()
                {
                    check.retire();
                }
                return error;
            }
            Err(CheckFault::Retired) => return self.out_of_use(),
            Err(fault) => fault,
        };
        let bytes = self.check().and_then(|c| c.bytes_fit(self.bytes()).err());
        if let (CheckFault::OutOfRange { part }, None, Some(check)) = (&fault, &bytes, self.check())
        {
            return match check.redraw(self.bytes()) {
                Ok(()) => InputError::OutOfRange {
                    block: header.name.clone(),
                    tensor: header
                        .parts
                        .get(*part)
                        .map_or_else(String::new, |p| p.label().to_owned()),
                }
                .into(),
                Err(fault) => match undecided(header, fault) {
                    // Without new secrets the old ones would answer another try.
                    Ok(error) => {
                        check.retire();
                        error
                    }
                    Err(CheckFault::Retired) => self.out_of_use(),
                    Err(fault) => self.tampered(fault),
                },
            };
        }
        // Where an output is wrong, bytes that have changed say why.
        let by_output = matches!(
            fault,
            CheckFault::Product { .. }
                | CheckFault::Recomputed { .. }
                | CheckFault::OutOfRange { .. }
        );
        self.tampered(match bytes {
            Some(changed @ CheckFault::Bytes { .. }) if by_output => changed,
            _ => fault,
        })
    }

    /// Compares the live bytes of the block's own body with its tags and with the digest that the owner signed, while nothing is
    /// computed. Shared bytes are compared with their tags; with the owner's digest they are by whoever holds the shared block.
    pub(super) fn audit(&self) -> Result<(), RunError> {
        if let Some(check) = self.check() {
            check.bytes_fit(self.bytes()).map_err(|fault| self.handle_fault(fault))?;
        }
        let own = usize::try_from(self.header().own_len()).unwrap_or(usize::MAX);
        let own = self.bytes().get(..own).unwrap_or_else(|| self.bytes());
        let confirmed =
            self.ring().confirm_opened(self.header().index, OpeningKey::Host(self.key()), own);
        confirmed.map_err(|error| match error {
            // Tags and digest disagree: the tags were changed with the bytes.
            OpenError::Tampered(_) => self.tampered(CheckFault::Structure),
            other => other.into(),
        })
    }

    /// Takes the block out of use for what was found elsewhere: in the file that it was opened from.
    pub(super) fn retire(&self) {
        if let Some(check) = self.check() {
            check.retire();
        }
    }

    fn out_of_use(&self) -> RunError {
        let header = self.header();
        RunError::OutOfUse { block: header.index, name: header.name.clone() }
    }

    fn tampered(&self, fault: CheckFault) -> RunError {
        if let Some(check) = self.check() {
            check.retire();
        }
        let finding = match fault {
            CheckFault::Bytes { part, range } => {
                let range = self.exact(range.clone()).unwrap_or(range);
                let range = range.start as u64..range.end as u64;
                finding(self.header(), CHANGED_IN_MEMORY, Some(part)).at(range)
            }
            other => {
                let (reason, part) = words(&other);
                let finding = finding(self.header(), reason, part);
                match other {
                    CheckFault::Recomputed { value } => finding.of_tensor(value),
                    _ => finding,
                }
            }
        };
        self.alarms().raise(&finding);
        RunError::Tampered(finding)
    }

    /// The ring's own copy tells just which bytes differ; `None` where it cannot be read any more.
    fn exact(&self, range: Range<usize>) -> Option<Range<usize>> {
        let mut sealed = scratch(self.bytes().len())?;
        let key = OpeningKey::Host(self.key());
        self.ring().open_block(self.header().index, key, sealed.bytes_mut()).ok()?;
        differing(sealed.bytes(), self.bytes(), range)
    }
}

/// A fault that was found before the block was in use.
pub(super) fn at_opening(header: &Header, fault: CheckFault) -> RunError {
    match undecided(header, fault) {
        Ok(error) => error,
        Err(CheckFault::Bytes { part, range }) => {
            let range = range.start as u64..range.end as u64;
            RunError::Tampered(finding(header, CHANGED_IN_MEMORY, Some(part)).at(range))
        }
        Err(other) => {
            let (reason, part) = words(&other);
            RunError::Tampered(finding(header, reason, part))
        }
    }
}

/// The error of a fault that says nothing about the block, because the system did not give what a check needs; any other fault
/// comes back.
pub(super) fn undecided(header: &Header, fault: CheckFault) -> Result<RunError, CheckFault> {
    match fault {
        CheckFault::NoMemory => Ok(RunError::NoMemory { block: header.name.clone() }),
        CheckFault::NoRandomness => Ok(RunError::NoRandomness),
        CheckFault::Engine { reason } => {
            Ok(RunError::SecondRun { block: header.name.clone(), reason })
        }
        fault => Err(fault),
    }
}

/// The reason, and the part at fault where one can be named.
fn words(fault: &CheckFault) -> (&'static str, Option<usize>) {
    match fault {
        CheckFault::Bytes { part, .. } => (CHANGED_IN_MEMORY, Some(*part)),
        CheckFault::Row { part, .. } => (NOT_THE_ROW, Some(*part)),
        CheckFault::Product { part } | CheckFault::OutOfRange { part } => {
            (NOT_THE_PRODUCT, Some(*part))
        }
        CheckFault::Recomputed { .. } => (NOT_RECOMPUTED, None),
        CheckFault::NothingCompared { part } => (NOTHING_COMPARED, Some(*part)),
        CheckFault::Structure
        | CheckFault::Retired
        | CheckFault::NoMemory
        | CheckFault::NoRandomness
        | CheckFault::Engine { .. } => (CHECK_CHANGED, None),
    }
}

fn finding(header: &Header, reason: &str, part: Option<usize>) -> Finding {
    let finding =
        Finding::tampered(Section::Body, reason).in_block(header.index, Some(&header.name));
    match part.and_then(|part| header.parts.get(part)) {
        Some(part) => finding.of_tensor(part.label()),
        None => finding,
    }
}

/// First and one past the last byte of `range` in which the two differ.
fn differing(a: &[u8], b: &[u8], range: Range<usize>) -> Option<Range<usize>> {
    let start = range.start;
    let pairs = || {
        a.get(range.clone()).into_iter().flatten().zip(b.get(range.clone()).into_iter().flatten())
    };
    let first = pairs().position(|(x, y)| x != y)?;
    let last = pairs().enumerate().filter(|(_, (x, y))| x != y).last()?.0;
    Some(start + first..start + last + 1)
}
