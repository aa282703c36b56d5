//! From what a check found to the error that names block, tensor and bytes.

use deepring::{Finding, Header, Section};

use crate::checks::CheckFault;
use crate::error::RunError;

pub(super) const CHANGED_IN_MEMORY: &str = "the bytes in memory are not those that were verified";
/// Parameters that were changed only while they were read, and a kernel that computes wrongly, end here.
const NOT_THE_PRODUCT: &str = "what was computed is not what the sealed parameters give";
const NOT_THE_ROW: &str = "a row that was read is not that of the sealed table";
const NOT_RECOMPUTED: &str = "what was computed is not what a second program computes";
const CHECK_CHANGED: &str = "what the check keeps in memory is not what it was";
const NOTHING_COMPARED: &str = "the check compared nothing of it";

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
pub(super) fn words(fault: &CheckFault) -> (&'static str, Option<usize>) {
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

pub(super) fn finding(header: &Header, reason: &str, part: Option<usize>) -> Finding {
    let finding =
        Finding::tampered(Section::Body, reason).in_block(header.index, Some(&header.name));
    match part.and_then(|part| header.parts.get(part)) {
        Some(part) => finding.of_tensor(part.label()),
        None => finding,
    }
}
