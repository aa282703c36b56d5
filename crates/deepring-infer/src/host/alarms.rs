//! Tampering that a host detected, and the blocks that are out of use for it.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use deepring::Finding;

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
