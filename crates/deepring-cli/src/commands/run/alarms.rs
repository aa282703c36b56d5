//! Detections of a session while it answers, on the ledger: each host's alarms about its own memory, and evidence against copies.

use deepring_infer::engine::Engine;
use deepring_infer::{RunError, RunOutcome, Session};

use crate::commands::recording::Recorder;

/// The alarms of a session that were recorded already.
#[derive(Debug, Default)]
pub(super) struct SessionAlarms {
    /// How many of each host's, in the session's order.
    recorded: Vec<usize>,
}

impl SessionAlarms {
    /// Records what came since the last time, and what the outcome shows.
    pub(super) fn record<E: Engine>(
        &mut self,
        recorder: &mut Recorder,
        session: &Session<E>,
        outcome: Result<&RunOutcome, &RunError>,
    ) {
        let ring = session.ring();
        let (id, digest) = (ring.ring_id(), ring.digest());
        let mut said = false;
        for (place, (host, findings)) in session.alarms_by_host().enumerate() {
            if self.recorded.len() <= place {
                self.recorded.push(0);
            }
            let Some(before) = self.recorded.get_mut(place) else { continue };
            let new = findings.get(*before..).unwrap_or_default();
            *before = findings.len();
            if !new.is_empty() {
                said = true;
                recorder.alarm_of(Some(host), (id, digest), new);
            }
        }
        match outcome {
            Ok(outcome) => recorder.evidence(id, &outcome.named),
            Err(RunError::Disputed { named, .. }) => recorder.evidence(id, named),
            Err(e) => {
                if let (false, Some(finding)) = (said, e.finding()) {
                    recorder.alarm(id, digest, std::slice::from_ref(finding));
                }
            }
        }
    }
}
