//! Comparing bytes on a thread of its own, beside the engine: what a core that the engine leaves free is good for.
//!
//! A block's bytes are compared while the block is computed. The helper reads them far faster than the engine
//! does, so it also brings them into the shared cache. Nothing leaves the stretch before every verdict is in.

use std::sync::mpsc::{Receiver, Sender, channel};

use super::RingHost;
use crate::checks::Fault;
use crate::engine::Engine;
use crate::error::RunError;

/// What the helper is asked for: a block, and how many queries share the look.
type Request = (u32, usize);

/// The engine's end of the helper.
pub(super) struct Shadow(Sender<Request>);

impl Shadow {
    /// Asks for a look at a block's bytes, without waiting for it.
    pub(super) fn look_at(&self, index: u32, together: usize) {
        // A helper that is gone has left its verdict, which is asked for at the end.
        let _ = self.0.send((index, together));
    }
}

/// Runs `work` with a helper beside it, and then waits for what the helper found. Tampering that it found comes
/// before any other failure: it may well be the cause.
pub(super) fn beside<E: Engine>(
    host: &RingHost<E>,
    work: impl FnOnce(&Shadow) -> Result<(), RunError>,
) -> Result<(), RunError> {
    std::thread::scope(|scope| {
        let (ask, asked) = channel();
        let helper = scope.spawn(move || look(host, &asked));
        let shadow = Shadow(ask);
        let done = work(&shadow);
        drop(shadow);
        match helper.join() {
            Ok(Ok(())) => done,
            Ok(Err(refused)) => Err(refused),
            Err(_) => Err(RunError::CheckDied),
        }
    })
}

fn look<E: Engine>(host: &RingHost<E>, asked: &Receiver<Request>) -> Result<(), RunError> {
    for (index, together) in asked {
        let block = host.block(index)?;
        let header = host.header(index).ok_or(RunError::NoGraph { block: index })?;
        let refuse = |fault: Fault| block.describe(&host.ring, &host.key, header, fault);
        if let Some(watch) = block.watch(together) {
            block.before(header, watch, false).map_err(refuse)?;
        }
    }
    Ok(())
}
