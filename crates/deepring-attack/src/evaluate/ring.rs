//! DeepRing among the defences.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use deepring::Check;
use deepring_infer::SessionOptions;

use super::EvaluateError;
use super::model_under_test::EvalContext;
use super::record::{RingAdaptive, RingAttack, RingLine, RingResult};
use super::ring_attacks::{AttackOutcome, run_ring_attacks};
use crate::defence::false_alarm_bound;
use crate::network::Network;
use crate::ring::{Detection, RingTrial, RingTrialError, TamperTarget, ToctouWriter, overhead};
use crate::samples::Samples;

/// Samples that a ring is asked while it is tampered with: an answer is the clean one bit for bit, or it is not.
const ASKED: usize = 8;
/// Queries of the intact ring, by which false alarms are counted.
const CLEAN_QUERIES: usize = 100;

/// A network's rings: each trial meets one tampered network at a time.
#[derive(Debug)]
pub(super) struct Trial {
    network: Network,
    check: Check,
    samples: Samples,
    idle: Mutex<Vec<RingTrial>>,
}

/// Seals a network; or says why it cannot be sealed.
pub(super) fn seal(
    context: &EvalContext<'_>,
    network: &Network,
) -> (Option<Trial>, Option<String>) {
    let check = context.plan.check;
    let samples = context.test.samples().choose(ASKED, 3);
    match open(network, check) {
        Ok(first) => {
            let idle = Mutex::new(vec![first]);
            (Some(Trial { network: network.clone(), check, samples, idle }), None)
        }
        Err(e) => (None, Some(e.to_string())),
    }
}

fn open(network: &Network, check: Check) -> Result<RingTrial, RingTrialError> {
    RingTrial::seal_with(network, options(check))
}

/// One thread, since cells run side by side, and plain queries are timed on one too.
fn options(check: Check) -> SessionOptions {
    SessionOptions { check, threads: NonZeroUsize::new(1), ..SessionOptions::default() }
}

impl Trial {
    fn with<T>(
        &self,
        of: impl FnOnce(&mut RingTrial) -> Result<T, RingTrialError>,
    ) -> Result<T, RingTrialError> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = idle().pop();
        let mut trial = match waiting {
            Some(trial) => trial,
            None => open(&self.network, self.check)?,
        };
        // One that failed is not known to be intact, and is not used again.
        let done = of(&mut trial)?;
        idle().push(trial);
        Ok(done)
    }

    /// The ring's answer to a tampered network.
    pub(super) fn detect(&self, attacked: &Network) -> RingResult {
        match self.with(|trial| trial.detect(attacked, &self.samples)) {
            Ok(detection) => ring_result(&detection),
            Err(e) => RingResult {
                detected: false,
                block: None,
                tensor: None,
                recovered: None,
                answers: 0,
                ms: 0.0,
                how: format!("could not be brought to the ring: {e}"),
            },
        }
    }

    /// The cost of protection, and whether it refuses what nobody touched.
    pub(super) fn measure(&self, context: &EvalContext<'_>) -> Result<RingLine, EvaluateError> {
        let rounds = CLEAN_QUERIES.div_ceil(self.samples.len());
        let ring = |e: RingTrialError| EvaluateError::Ring { reason: e.to_string() };
        let (blocks, stored_bytes) = self
            .with(|trial| {
                let sealed: u64 = trial.ring().headers().iter().map(|h| h.body_len()).sum();
                let more = sealed.saturating_sub(self.network.encode().len() as u64);
                Ok((trial.blocks().len().saturating_sub(1), more as usize))
            })
            .map_err(ring)?;
        let mut false_alarms = 0;
        for _ in 0..rounds {
            false_alarms += usize::from(self.with(|trial| trial.run(&self.samples)).is_err());
        }
        let clean_checks = rounds * self.samples.len();
        let cost = overhead(&self.network, &self.samples, options(self.check), rounds)
            .map_err(|e| EvaluateError::Ring { reason: e.to_string() })?;
        let attacks = run_ring_attacks(&self.network, context.test.samples(), self.check)
            .map_err(|reason| EvaluateError::Ring { reason })?;
        Ok(RingLine {
            blocks,
            stored_bytes,
            ms: cost.added_ms,
            percent: cost.added_percent,
            clean_checks,
            false_alarms,
            false_alarm_bound: false_alarm_bound(false_alarms, clean_checks),
            adaptive: attacks.iter().filter_map(adaptive).collect(),
            attacks: attacks.into_iter().map(attack).collect(),
        })
    }
}

fn attack(one: AttackOutcome) -> RingAttack {
    RingAttack {
        attack: one.kind.name().to_owned(),
        atlas: one.kind.atlas().to_owned(),
        detected: one.detected,
        located: one.located,
        what: one.what,
    }
}

fn adaptive(one: &AttackOutcome) -> Option<RingAdaptive> {
    let raced = one.raced.as_ref().filter(|r| r.writer != ToctouWriter::Blind)?;
    Some(RingAdaptive {
        attack: one.kind.name().to_owned(),
        check: raced.check.to_string(),
        queries: raced.queries,
        refused: raced.refused,
        wrong: raced.wrong,
        until_refused: raced.mean_until_refused(),
        accuracy: raced.accuracy,
    })
}

fn ring_result(detection: &Detection) -> RingResult {
    // Where the two networks seal alike there is nothing to see, and where other blocks are presented altogether it is
    // the closure that is refused, whichever block was edited.
    let touched = !detection.touched.is_empty() && detection.place != TamperTarget::WholeRing;
    let tensors = detection
        .touched
        .iter()
        .any(|t| !matches!(t.part.as_str(), "graph" | "manifest" | "header"));
    RingResult {
        detected: detection.detected,
        block: touched.then_some(detection.located),
        tensor: (touched && tensors).then_some(detection.located_tensor),
        recovered: Some(detection.recovered),
        answers: detection.answers_given,
        ms: detection.repair_ms,
        how: detection.presented.first().map(|p| p.how.to_owned()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use deepring::Verdict;

    use super::*;
    use crate::catalogue::Kind;
    use crate::ring::{Scenario, Tampered, ToctouResult};

    fn detection(place: TamperTarget, touched: &[&str]) -> Detection {
        let touched = touched.iter().map(|part| Tampered { block: 1, part: (*part).to_owned() });
        let shown = |how| Scenario { how, verdict: Verdict::Tampered, refusal: String::new() };
        Detection {
            place,
            touched: touched.collect(),
            detected: true,
            named: Vec::new(),
            located: true,
            located_tensor: false,
            recovered: true,
            answers_given: 3,
            answers_wrong: 0,
            answers_off_by: 0.0,
            refusal: String::new(),
            presented: vec![shown("first"), shown("second")],
            repair_ms: 2.5,
        }
    }

    #[test]
    fn a_place_counts_only_where_one_could_be_named() {
        let of = |place, touched: &[&str]| {
            let result = ring_result(&detection(place, touched));
            assert!(result.detected && result.recovered == Some(true));
            assert_eq!((result.answers, result.ms, result.how.as_str()), (3, 2.5, "first"));
            (result.block, result.tensor)
        };
        assert_eq!(of(TamperTarget::LiveMemory, &["fc1.weight"]), (Some(true), Some(false)));
        assert_eq!(of(TamperTarget::AtRest, &["graph", "fc1.weight"]), (Some(true), Some(false)));
        // An edit of the graph names a block and has no tensor.
        assert_eq!(of(TamperTarget::AtRest, &["graph", "header", "manifest"]), (Some(true), None));
        assert_eq!(of(TamperTarget::WholeRing, &["fc1.weight"]), (None, None));
        assert_eq!(of(TamperTarget::LiveMemory, &[]), (None, None));
    }

    #[test]
    fn who_races_blindly_knows_no_check() {
        let raced = |writer| AttackOutcome {
            kind: Kind::LiveMemorySync,
            detected: true,
            located: None,
            what: String::new(),
            raced: Some(ToctouResult {
                writer,
                check: Check::Auto,
                touched: Vec::new(),
                writes: 1,
                queries: 9,
                refused: 2,
                right: 4,
                wrong: 3,
                accuracy: Some(0.5),
                furthest: 0.0,
                until_refused: vec![1, 4],
                named: Vec::new(),
            }),
        };
        assert_eq!(adaptive(&raced(ToctouWriter::Blind)), None);
        for writer in [ToctouWriter::Synchronised, ToctouWriter::SynchronisedTail] {
            let line = adaptive(&raced(writer)).unwrap();
            assert_eq!((line.attack.as_str(), line.check.as_str()), ("live-memory-sync", "auto"));
            assert_eq!((line.queries, line.refused, line.wrong), (9, 2, 3));
            assert_eq!((line.until_refused, line.accuracy), (Some(2.5), Some(0.5)));
        }
        assert_eq!(adaptive(&AttackOutcome { raced: None, ..raced(ToctouWriter::Blind) }), None);
    }
}
