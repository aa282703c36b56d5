//! `live-memory`: an attacker who changes parameters while queries run and puts them back, again and again.
//!
//! Whoever is fast enough writes after the check of a block's bytes and restores before the next. What then is not seen
//! is stated in `docs/THREATS.md`; this measures it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use deepring::Check;
use serde::Serialize;

use super::super::memory::Memory;
use super::compare::{Change, Edit};
use super::{Named, RingTrial, RingTrialError, Touched, each_once, furthest};
use crate::network::Network;
use crate::samples::Samples;

/// What a session that was raced against answered.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Raced {
    /// How parameters were checked.
    pub check: Check,
    /// What the attacker changed and put back.
    pub touched: Vec<Touched>,
    /// How often he did.
    pub writes: u64,
    /// Queries asked.
    pub queries: usize,
    /// Queries that were refused.
    pub refused: usize,
    /// Queries that got the clean answer, bit for bit.
    pub right: usize,
    /// Queries that got another answer, with a receipt: what the check did not see.
    pub wrong: usize,
    /// The largest difference of any score of those from the clean one; infinite if it is not a number.
    pub furthest: f32,
    /// What the refusals named, each once.
    pub named: Vec<Named>,
}

/// How the attacker times his writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// How long tampering stays in place.
    pub there: Duration,
    /// How long the memory is clean between two writes.
    pub away: Duration,
    /// How often he writes at least: the samples are asked again and again until then.
    pub writes: u64,
}

impl RingTrial {
    /// Asks the samples while another thread writes the tampered parameters into live memory and puts the clean ones
    /// back, at this pace. `None` where memory cannot be written, or the change is not one of parameters only.
    pub fn race(
        &mut self,
        attacked: &Network,
        samples: &Samples,
        pace: Pace,
    ) -> Result<Option<Raced>, RingTrialError> {
        let clean = self.clean_answers(samples)?;
        let theirs = self.seal_attacked(attacked)?;
        let (Change::Parameters(edits), Ok(mut memory)) =
            (Change::between(&self.clean, &theirs), Memory::open())
        else {
            return Ok(None);
        };
        let mut places = Vec::with_capacity(edits.len());
        for edit in &edits {
            let live = self.session.live_bytes(edit.block).unwrap_or_default();
            // Shows that the place is right before anything is written there unseen.
            memory.replace(live, edit.at, &edit.before, &edit.before)?;
            places.push((live.as_ptr().addr() as u64 + edit.at as u64, edit));
        }
        let queries = self.queries(samples)?;
        let (stop, writes) = (AtomicBool::new(false), AtomicU64::new(0));
        let mut raced = Raced {
            check: self.options.check,
            touched: each_once(edits.iter().map(Edit::touched)),
            writes: 0,
            queries: 0,
            refused: 0,
            right: 0,
            wrong: 0,
            furthest: 0.0,
            named: Vec::new(),
        };
        let session = &self.session;
        let asked = std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut put = |tampered: bool| {
                    places.iter().try_for_each(|(address, edit)| {
                        let bytes = if tampered { &edit.after } else { &edit.before };
                        memory.write(*address, bytes)
                    })
                };
                let mut outcome = Ok(());
                while outcome.is_ok() && !stop.load(Ordering::Relaxed) {
                    outcome = put(true);
                    writes.fetch_add(1, Ordering::Relaxed);
                    wait(pace.there);
                    outcome = outcome.and(put(false));
                    wait(pace.away);
                }
                outcome.and(put(false))
            });
            let mut named = Vec::new();
            let mut ask = || -> Result<(), RingTrialError> {
                let pairs = queries.iter().zip(&clean).cycle();
                for (at, (query, right)) in pairs.enumerate() {
                    let done = writes.load(Ordering::Relaxed) >= pace.writes;
                    if (at >= queries.len() && done) || writer.is_finished() {
                        break;
                    }
                    raced.queries += 1;
                    match session.run(query.clone()) {
                        Ok(outcome) if outcome.outputs.first() == Some(right) => raced.right += 1,
                        Ok(outcome) => {
                            raced.wrong += 1;
                            let given = outcome.outputs.first().map_or(&[][..], Vec::as_slice);
                            raced.furthest = raced.furthest.max(furthest(given, right));
                        }
                        Err(e) => {
                            let Some(finding) = e.finding() else { return Err(e.into()) };
                            raced.refused += 1;
                            named.push(Named::of(finding));
                        }
                    }
                }
                Ok(())
            };
            let asked = ask();
            stop.store(true, Ordering::Relaxed);
            raced.named = each_once(named);
            let written = writer.join().unwrap_or_else(|_| Err(std::io::ErrorKind::Other.into()));
            asked.and(written.map_err(Into::into))
        });
        raced.writes = writes.into_inner();
        for block in each_once(edits.iter().map(|e| e.block)) {
            self.session.reload_block(block)?;
        }
        asked.map(|()| Some(raced))
    }
}

/// Sleeping takes longer than a small network does.
fn wait(time: Duration) {
    let start = std::time::Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}
