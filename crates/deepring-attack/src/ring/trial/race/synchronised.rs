//! The synchronised writer: inside the engine, so that he has every use, and each for exactly as long as it lasts.
//!
//! A writer with the timing that a debugger's breakpoints give, and polling with real-time priority gives another process often.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use deepring::{DType, TensorValue, Trust, UnverifiedRing};
use deepring_infer::engine::{Elements, Engine, Race, Racing};
use deepring_infer::{Rten, Session, SessionOptions};

use super::super::super::edit::{RingEdit, replace_live};
use super::super::{RingTrial, RingTrialError, Tampered, each_once};
use super::{QueryResult, Tally, ToctouResult, ToctouWriter};
use crate::network::Network;
use crate::samples::Samples;

type Value = <Rten as Engine>::Value;

/// When a synchronised race is over: at the first of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bout {
    /// So many queries were asked.
    pub queries: usize,
    /// So many were refused.
    pub refusals: usize,
}

/// The target of tampering.
enum Aim {
    Parameters(Vec<RingEdit>),
    /// The first output of this block.
    Tail(u32),
}

impl RingTrial {
    /// Asks the samples in a session of its own, in which the tampered parameters are in place whenever the engine reads
    /// and never when a check compares bytes. `None` where memory cannot be written, or the change is not one of parameters only.
    ///
    /// # Errors
    /// Any [`RingTrialError`].
    pub fn race_synchronised(
        &mut self,
        attacked: &Network,
        samples: &Samples,
        bout: Bout,
    ) -> Result<Option<ToctouResult>, RingTrialError> {
        let Some(edits) = self.edits_of(attacked)? else { return Ok(None) };
        let touched = each_once(edits.iter().map(RingEdit::touched));
        let tally = Tally::new(self, samples, (ToctouWriter::Synchronised, touched))?;
        self.bout(&Aim::Parameters(edits), tally, bout).map(Some)
    }

    /// As [`race_synchronised`](Self::race_synchronised), and no parameter changes: what the first block computed is
    /// negated, as it would be if an operator behind its linear one were exchanged in the engine's memory.
    ///
    /// # Errors
    /// Any [`RingTrialError`].
    pub fn race_tail(
        &mut self,
        samples: &Samples,
        bout: Bout,
    ) -> Result<Option<ToctouResult>, RingTrialError> {
        let Some(block) = self.ring().layers().first().map(|h| h.index) else { return Ok(None) };
        let touched = vec![Tampered { block, part: "output".to_owned() }];
        let tally = Tally::new(self, samples, (ToctouWriter::SynchronisedTail, touched))?;
        self.bout(&Aim::Tail(block), tally, bout).map(Some)
    }

    fn bout(
        &self,
        aim: &Aim,
        mut tally: Tally<'_>,
        bout: Bout,
    ) -> Result<ToctouResult, RingTrialError> {
        let engine = Rten::new(self.options.threads);
        let hand = Arc::new(Mutex::new(Hand::new(engine.clone())));
        let within = Arc::clone(&hand);
        let racing = Racing::new(engine, move |race| held(&within).act(race));
        let trust = Trust::owner(self.owner.public());
        let ring = UnverifiedRing::open(&self.path("intact.ring"))?.authenticate(&trust)?;
        let keys = std::slice::from_ref(&self.host);
        let options = SessionOptions { check: self.options.check, ..SessionOptions::default() };
        let mut session = Session::open_on(racing, ring, keys, options, &|_| ())?;
        session.set_background_check(self.options.background_check);
        while tally.raced.queries < bout.queries && tally.raced.refused < bout.refusals {
            tally.run_until_settled(&session)?;
            held(&hand).take(aim, &session);
            let mut ended = QueryResult::Answered;
            while matches!(ended, QueryResult::Answered) && tally.raced.queries < bout.queries {
                ended = tally.run_query(&session)?;
            }
            held(&hand).release()?;
            if let QueryResult::Refused(named) = ended {
                for block in each_once(aim.blocks().into_iter().chain(named)) {
                    session.reload_block(block)?;
                }
            }
        }
        let writes = held(&hand).writes;
        Ok(tally.finish(writes))
    }
}

impl Aim {
    fn blocks(&self) -> Vec<u32> {
        match self {
            Self::Parameters(edits) => each_once(edits.iter().map(|e| e.block)),
            Self::Tail(block) => vec![*block],
        }
    }
}

fn held(hand: &Mutex<Hand>) -> MutexGuard<'_, Hand> {
    hand.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The attacker inside of the engine.
struct Hand {
    engine: Rten,
    places: Vec<EditPlace>,
    tail: Option<Tail>,
    writes: u64,
    failed: Option<std::io::Error>,
}

/// Parameters that he changes.
struct EditPlace {
    live: (usize, usize),
    edit: RingEdit,
}

/// A block whose first output he changes.
struct Tail {
    live: (usize, usize),
    /// The block's own program, the first that runs; a second one computes the tail again.
    program: Option<usize>,
}

/// A block is told by where its parameters lie.
fn whose(live: &[u8]) -> (usize, usize) {
    (live.as_ptr().addr(), live.len())
}

impl Hand {
    fn new(engine: Rten) -> Self {
        Self { engine, places: Vec::new(), tail: None, writes: 0, failed: None }
    }

    fn take<E: Engine>(&mut self, aim: &Aim, session: &Session<E>) {
        let live = |block| whose(session.live_bytes(block).unwrap_or_default());
        match aim {
            Aim::Parameters(edits) => {
                let place = |e: &RingEdit| EditPlace { live: live(e.block), edit: e.clone() };
                self.places = edits.iter().map(place).collect();
            }
            Aim::Tail(block) => self.tail = Some(Tail { live: live(*block), program: None }),
        }
    }

    fn release(&mut self) -> std::io::Result<()> {
        (self.places, self.tail) = (Vec::new(), None);
        self.failed.take().map_or(Ok(()), Err)
    }

    fn act(&mut self, race: Race<'_, Value>) {
        let done = match race {
            Race::Before { live, .. } => self.put(live, true),
            Race::After { live, program, outputs } => {
                let back = self.put(live, false);
                back.and(self.edit_output(live, program, outputs))
            }
        };
        if let Err(e) = done {
            self.failed.get_or_insert(e);
        }
    }

    fn put(&mut self, live: &[u8], tampered: bool) -> std::io::Result<()> {
        for EditPlace { edit, .. } in self.places.iter().filter(|p| p.live == whose(live)) {
            let (before, after) = (&edit.before, &edit.after);
            let (there, new) = if tampered { (before, after) } else { (after, before) };
            replace_live(live, edit.at, there, new)?;
            self.writes += u64::from(tampered);
        }
        Ok(())
    }

    fn edit_output(
        &mut self,
        live: &[u8],
        program: usize,
        outputs: &mut [Value],
    ) -> std::io::Result<()> {
        let Some(tail) = self.tail.as_mut().filter(|t| t.live == whose(live)) else {
            return Ok(());
        };
        if *tail.program.get_or_insert(program) != program {
            return Ok(());
        }
        let other = || std::io::Error::other("the block computes something else than floats");
        let output = outputs.first_mut().ok_or_else(other)?;
        *output = negated(&self.engine, output).ok_or_else(other)?;
        self.writes += 1;
        Ok(())
    }
}

fn negated(engine: &Rten, value: &Value) -> Option<Value> {
    let view = engine.view(value)?;
    let Elements::F32(values) = view.elements else { return None };
    let dims = view.dims.iter().map(|d| *d as u64).collect();
    let data = values.iter().flat_map(|v| (-v).to_le_bytes()).collect();
    engine.import(&TensorValue::new("output", DType::F32, dims, data).ok()?).ok()
}
