//! A fault in a loaded block: the error that it ends as, and whether the block stays in use.

use std::ops::Range;

use deepring::OpeningKey;
use deepring::opening::OpenError;

use super::block::LoadedBlock;
use super::fault::{CHANGED_IN_MEMORY, finding, undecided, words};
use crate::checks::CheckFault;
use crate::engine::Engine;
use crate::error::{InputError, RunError};
use crate::weights::scratch;

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
