//! The tasks that compute: each has a thread of its own where the runtime has threads.

use std::ops::Range;
use std::sync::Arc;

use commonware_utils::channel::mpsc;
use deepring::receipt::{Agreement, Salt};
use deepring_infer::RunError;
use deepring_infer::block::Computed;
use deepring_infer::engine::Engine;
use deepring_infer::participant::{Batch, WorkId};
use futures::lock::Mutex;

use super::driver::HostEvent;
use super::live_host::LiveHost;
use super::quarantine::Quarantine;

/// Work that a participant wants computed.
#[derive(Debug)]
pub(crate) enum LegWork {
    Compute {
        work: WorkId,
        salt: Salt,
        batch: Arc<Batch>,
        blocks: Range<u32>,
    },
    Compare {
        work: WorkId,
        inputs: Arc<Batch>,
        blocks: Range<u32>,
        own: Arc<Batch>,
        theirs: Arc<Batch>,
        seed: u64,
    },
}

/// The result of such work.
#[derive(Debug)]
pub(crate) enum LegWorkDone {
    Computed(WorkId, Box<Result<Computed, RunError>>),
    Compared(WorkId, Result<Agreement, RunError>),
}

impl LegWork {
    fn run<E: Engine>(self, host: &LiveHost<E>, quarantine: &Quarantine) -> LegWorkDone {
        let host = host.read();
        match self {
            Self::Compute { work, salt, batch, blocks } => {
                let out_of_use =
                    |block, why: &str| Err(RunError::OutOfUse { block, name: why.to_owned() });
                // What an audit found is no use's finding, and its alarm is not on the ledger yet.
                let found = host.out_of_use().range(blocks.clone()).next().copied();
                let computed = match (quarantine.among(&blocks), found) {
                    (None, None) => host.compute(&salt, &batch, blocks),
                    (Some(block), _) => out_of_use(block, "its copy at this host is quarantined"),
                    (None, Some(block)) => out_of_use(block, "tampering was found in it"),
                };
                LegWorkDone::Computed(work, Box::new(computed))
            }
            Self::Compare { work, inputs, blocks, own, theirs, seed } => {
                LegWorkDone::Compared(work, host.compare(&inputs, &blocks, &own, &theirs, seed))
            }
        }
    }
}

/// Takes jobs, one at a time, until there are none any more or nobody wants their results.
pub(crate) async fn work<E: Engine>(
    (host, quarantine): (LiveHost<E>, Quarantine),
    jobs: Arc<Mutex<mpsc::UnboundedReceiver<LegWork>>>,
    events: mpsc::Sender<HostEvent>,
) {
    loop {
        let job = jobs.lock().await.recv().await;
        let Some(job) = job else { return };
        if events.send(HostEvent::Done(job.run(&host, &quarantine))).await.is_err() {
            return;
        }
    }
}
