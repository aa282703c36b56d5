//! The blind writer: tampers and restores at a pace of his own while queries run.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::super::super::edit::{RingEdit, replace_live, write_live};
use super::super::compare::Change;
use super::super::{RingTrial, RingTrialError, each_once};
use super::{QueryResult, Tally, ToctouResult, ToctouWriter};
use crate::network::Network;
use crate::samples::Samples;

/// How the blind writer times his writes. Making pages writable takes some 20 µs besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToctouTiming {
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
    ///
    /// # Errors
    /// Any [`RingTrialError`].
    pub fn race_blind(
        &mut self,
        attacked: &Network,
        samples: &Samples,
        pace: ToctouTiming,
    ) -> Result<Option<ToctouResult>, RingTrialError> {
        let Some(edits) = self.edits_of(attacked)? else { return Ok(None) };
        let touched = each_once(edits.iter().map(RingEdit::touched));
        let mut tally = Tally::new(self, samples, (ToctouWriter::Blind, touched))?;
        let writes = AtomicU64::new(0);
        loop {
            tally.run_until_settled(&self.session)?;
            let ended = self.round(&edits, pace, &mut tally, &writes);
            // Whatever happened, the next round is to begin clean.
            for block in each_once(edits.iter().map(|e| e.block)) {
                self.session.reload_block(block)?;
            }
            match ended? {
                QueryResult::Answered => return Ok(Some(tally.finish(writes.into_inner()))),
                QueryResult::Refused(Some(block)) => self.session.reload_block(block)?,
                QueryResult::Refused(None) => {}
            }
        }
    }

    /// Asks until a query is refused, or until it is enough.
    fn round(
        &self,
        edits: &[RingEdit],
        pace: ToctouTiming,
        tally: &mut Tally<'_>,
        writes: &AtomicU64,
    ) -> Result<QueryResult, RingTrialError> {
        let mut places = Vec::with_capacity(edits.len());
        for edit in edits {
            let live = self.session.live_bytes(edit.block).unwrap_or_default();
            // Shows that the place is right before anything is written there unseen.
            replace_live(live, edit.at, &edit.before, &edit.before)?;
            places.push((live, edit));
        }
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| alternate(&places, pace, &stop, writes));
            let asked = loop {
                let written = writes.load(Ordering::Relaxed) >= pace.writes;
                if (written && tally.raced.queries >= tally.queries.len()) || writer.is_finished() {
                    break Ok(QueryResult::Answered);
                }
                match tally.run_query(&self.session) {
                    Ok(QueryResult::Answered) => {}
                    ended => break ended,
                }
            };
            stop.store(true, Ordering::Relaxed);
            let written = writer.join().unwrap_or_else(|_| Err(std::io::ErrorKind::Other.into()));
            let asked = asked?;
            written?;
            Ok(asked)
        })
    }

    /// The edits of parameters by the attacked network; `None` where it changes something else, or memory cannot be written.
    pub(super) fn edits_of(
        &mut self,
        attacked: &Network,
    ) -> Result<Option<Vec<RingEdit>>, RingTrialError> {
        if !RingEdit::MEMORY_IS_WRITABLE {
            return Ok(None);
        }
        let theirs = self.seal_attacked(attacked)?;
        Ok(match Change::between(&self.clean, &theirs) {
            Change::Parameters(edits) => Some(edits),
            _ => None,
        })
    }
}

/// Tampers and restores until it is stopped, and restores at the end.
fn alternate(
    places: &[(&[u8], &RingEdit)],
    pace: ToctouTiming,
    stop: &AtomicBool,
    writes: &AtomicU64,
) -> std::io::Result<()> {
    let put = |tampered: bool| {
        places.iter().try_for_each(|(live, edit)| {
            write_live(live, edit.at, if tampered { &edit.after } else { &edit.before })
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
}

/// Sleeping takes longer than a small network does.
fn wait(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}
