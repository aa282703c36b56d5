//! The ledger that validators keep, as a host's repairs go onto it.

use std::sync::Arc;

use deepring::{AuthenticRing, Host, SecretKey};
use deepring_ledger::Entry;

use crate::agreement::{AgreedLedger, Lost, Submission, SubmitError};
use crate::hosting::{CopyStanding, RecordError, RepairRecord};

/// Records with this node's validator.
pub(super) struct AgreedRepairs {
    pub(super) ledger: AgreedLedger,
    pub(super) ring: Arc<AuthenticRing>,
    pub(super) key: SecretKey<Host>,
}

impl RepairRecord for AgreedRepairs {
    async fn standing(&self) -> Result<CopyStanding, RecordError> {
        let (ring, key) = (self.ring.clone(), self.key.clone());
        let told = self.ledger.look(move |ledger| {
            ledger
                .state()
                .map(|state| CopyStanding::of(state, &ring, &key))
                .map_err(|e| e.to_string())
        });
        told.await.map_err(not_submitted)?.map_err(|why| RecordError::Refused { why })
    }

    async fn record(&self, entry: Entry) -> Result<u64, RecordError> {
        let refused = |why: String| RecordError::Refused { why };
        let submission = Submission::of(&entry).map_err(|e| refused(e.to_string()))?;
        let ticket = self.ledger.submit(submission).await.map_err(not_submitted)?;
        match ticket.committed().await {
            Ok(committed) => Ok(committed.index),
            Err(Lost::Stopped) => Err(RecordError::Stopped),
            Err(why) => Err(refused(why.to_string())),
        }
    }
}

fn not_submitted(why: SubmitError) -> RecordError {
    match why {
        SubmitError::Stopped => RecordError::Stopped,
        why => RecordError::Refused { why: why.to_string() },
    }
}
