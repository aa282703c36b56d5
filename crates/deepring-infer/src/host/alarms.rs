//! Tampering that a host detected since it was opened.

use std::sync::{Mutex, PoisonError};

use deepring::Finding;

/// At most so many are kept: a block is out of use after its first, so more come only with reloads.
const MAX_ALARMS: usize = 1024;

/// Findings, oldest first. Whoever embeds a host records them where they outlive the process.
#[derive(Debug, Default)]
pub(crate) struct Alarms(Mutex<Vec<Finding>>);

impl Alarms {
    pub(super) fn raise(&self, finding: &Finding) {
        tracing::error!(%finding, "tampering found");
        let mut alarms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if alarms.len() < MAX_ALARMS {
            alarms.push(finding.clone());
        }
    }

    pub(super) fn all(&self) -> Vec<Finding> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
