//! Tampering in live memory: written, asked, refused, healed block by block.

use std::time::Instant;

use deepring::{TensorValue, Verdict};
use deepring_infer::RunError;

use super::super::edit::RingEdit;
use super::{
    Detection, Reported, RingTrial, RingTrialError, Scenario, TamperTarget, Tampered, answers,
    each_once, furthest, located,
};
use crate::samples::Samples;

/// Queries within which every byte is compared, whatever the check (docs/CHECKS.md: one rotation), and one to spare.
const ROTATION: usize = 65;

impl RingTrial {
    pub(super) fn detect_live(
        &mut self,
        edits: &[RingEdit],
        samples: &Samples,
        clean: &[Vec<TensorValue>],
    ) -> Result<Detection, RingTrialError> {
        let written = edits.iter().try_for_each(|edit| edit.write_live(&self.session));
        let detection = match written {
            Ok(()) => self.query_and_heal(edits, samples, clean),
            Err(e) => Err(e.into()),
        };
        // Whatever happened, the next network is to meet a clean ring.
        for block in blocks(edits) {
            if !self.is_clean(block) {
                self.session.reload_block(block)?;
            }
        }
        detection
    }

    fn query_and_heal(
        &mut self,
        edits: &[RingEdit],
        samples: &Samples,
        clean: &[Vec<TensorValue>],
    ) -> Result<Detection, RingTrialError> {
        let touched: Vec<Tampered> = each_once(edits.iter().map(RingEdit::touched));
        let (mut found, mut repair_ms) = (Vec::new(), 0.0);
        let (mut given, mut wrong, mut off) = (0, 0, 0f32);
        // Each refusal names one block; a ring that names them without end would be a defect.
        let mut reloads = 2 * self.blocks().len();
        let queries = self.queries(samples)?;
        let most = queries.len().max(ROTATION);
        'queries: for (query, right) in queries.iter().zip(clean).cycle().take(most) {
            while self.in_place(edits) {
                match self.session.run(query.clone()) {
                    Ok(outcome) => {
                        given += 1;
                        let answer = outcome.outputs.into_iter().next().unwrap_or_default();
                        wrong += usize::from(answer != *right);
                        off = off.max(furthest(&answer, right));
                        continue 'queries;
                    }
                    Err(e) => {
                        let named = match (&e, e.finding()) {
                            (RunError::OutOfUse { block, .. }, _) => Some(*block),
                            (_, Some(finding)) => {
                                found.push(finding.clone());
                                finding.block
                            }
                            _ => return Err(e.into()),
                        };
                        let block = named.filter(|_| reloads > 0);
                        let Some(block) = block else { break 'queries };
                        reloads -= 1;
                        let start = Instant::now();
                        self.session.reload_block(block)?;
                        repair_ms += start.elapsed().as_secs_f64() * 1e3;
                    }
                }
            }
            break;
        }
        let healed = !self.in_place(edits);
        let recovered = healed && answers(&self.session, queries)? == clean;
        let named: Vec<Reported> = each_once(found.iter().map(Reported::of));
        let (located, located_tensor) = located(&touched, &named);
        let refusal = found.first().map(ToString::to_string).unwrap_or_default();
        let verdict = if found.is_empty() { Verdict::Intact } else { Verdict::Tampered };
        let how = "parameters written into the open session";
        Ok(Detection {
            place: TamperTarget::LiveMemory,
            touched,
            detected: !found.is_empty(),
            named,
            located,
            located_tensor,
            recovered,
            answers_given: given,
            answers_wrong: wrong,
            answers_off_by: off,
            refusal: refusal.clone(),
            presented: vec![Scenario { how, verdict, refusal }],
            repair_ms,
        })
    }

    /// Returns whether something of the edits is still in memory: looked up, and not what a check says.
    fn in_place(&self, edits: &[RingEdit]) -> bool {
        blocks(edits).into_iter().any(|block| !self.is_clean(block))
    }

    fn is_clean(&self, block: u32) -> bool {
        let live = self.session.live_bytes(block).unwrap_or_default();
        // The bytes were changed behind the compiler's back.
        std::hint::black_box(live) == self.clean.bytes(block)
    }
}

fn blocks(edits: &[RingEdit]) -> Vec<u32> {
    each_once(edits.iter().map(|e| e.block))
}
