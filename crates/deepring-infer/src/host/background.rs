//! Comparing bytes on a thread of its own, beside the engine: what a core that the engine leaves free is good for.
//!
//! A block's bytes are compared while the block is computed. The helper reads them far faster than the engine does,
//! so it also brings them into the shared cache. A use is verified only when the helper's verdict on it is in.

use std::sync::mpsc::{Receiver, Sender, channel};

use super::block::LoadedBlock;
use crate::checks::{CheckFault, Measure, PlanKind};
use crate::engine::Engine;

/// A request to the helper: a block, the plan of the use, and where the verdict goes.
type Request<'b, E> = (&'b LoadedBlock<E>, PlanKind, Sender<Result<Measure, CheckFault>>);

/// The engine's end of the helper.
pub(super) struct Background<'b, E: Engine>(Sender<Request<'b, E>>);

impl<'b, E: Engine> Background<'b, E> {
    /// Asks for a comparison of a block's bytes, without waiting for it.
    pub(super) fn compare(
        &self,
        block: &'b LoadedBlock<E>,
        kind: PlanKind,
    ) -> Receiver<Result<Measure, CheckFault>> {
        let (verdict, waiting) = channel();
        // A helper that is gone gives no verdict, and so no use is verified.
        let _ = self.0.send((block, kind, verdict));
        waiting
    }
}

/// Runs `work` with a helper beside it.
pub(super) fn beside<'b, E: Engine, T>(work: impl FnOnce(&Background<'b, E>) -> T) -> T {
    std::thread::scope(|scope| {
        let (ask, asked) = channel::<Request<'b, E>>();
        scope.spawn(move || {
            for (block, kind, verdict) in asked {
                // Whoever gave up waiting does not need it.
                let _ = verdict.send(compare(block, kind));
            }
        });
        let background = Background(ask);
        work(&background)
    })
}

fn compare<E: Engine>(block: &LoadedBlock<E>, kind: PlanKind) -> Result<Measure, CheckFault> {
    let check = block.check().ok_or(CheckFault::Structure)?;
    let mut verification = check.begin(kind)?;
    verification.compare_bytes(block.bytes())?;
    Ok(verification.into_measure())
}
