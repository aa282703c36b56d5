//! A node's work of every second: it writes the log out as static files, tries the disk, notes whether heights go on, and says so.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use commonware_runtime::Clock;
use deepring::files::replace_file;
use deepring::{Digest, Host, PublicKey};
use tokio::sync::watch;

use super::state::{NodeState, StateFiles};
use crate::agreement::AgreedLedger;
use crate::clock::now_ms;
use crate::hosting::Quarantine;

const EVERY: Duration = Duration::from_secs(1);
/// Without a new height for so many heartbeats a node is behind, or its network halts.
const HEARTBEATS: u32 = 4;
/// As many heights behind the newest final one a node may be and count as caught up: what is on its way to stable storage.
const ON_THE_WAY: u64 = 2;
/// How often the disk is tried where nothing is written to it, in rounds.
const TRIED: u32 = 10;

/// The findings of the last round.
#[derive(Debug)]
pub(super) struct Condition {
    caught_up: AtomicBool,
    disk_writable: AtomicBool,
}

impl Condition {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { caught_up: false.into(), disk_writable: true.into() })
    }

    pub(super) fn caught_up(&self) -> bool {
        self.caught_up.load(Ordering::Relaxed)
    }

    pub(super) fn disk_writable(&self) -> bool {
        self.disk_writable.load(Ordering::Relaxed)
    }
}

/// The bytes that are written to try the disk: a full one still takes an empty file.
const PROBE: [u8; 1 << 14] = [0xd1; 1 << 14];

/// Whether as much as the node keeps at a time can be written there, and is on stable storage.
fn try_disk(probe: &Path) -> io::Result<()> {
    replace_file(probe, &PROBE)
}

/// See the module.
pub(super) struct Upkeep<E> {
    pub(super) context: E,
    pub(super) ledger: AgreedLedger,
    pub(super) condition: Arc<Condition>,
    pub(super) heartbeat: Duration,
    /// Where the static files go.
    pub(super) tiles: PathBuf,
    /// A file that is written to try the disk.
    pub(super) probe: PathBuf,
    pub(super) state: StateFiles,
    /// Whether it may vote: its earlier votes are there.
    pub(super) votes: bool,
    /// Whether every block of the host is in use.
    pub(super) blocks_open: Arc<dyn Fn() -> bool + Send + Sync>,
    /// The ring that it hosts.
    pub(super) hosted: Option<HostedRing>,
    /// Told when somebody asks the node to stop.
    pub(super) stop: watch::Sender<bool>,
}

/// The ring of a node that hosts.
pub(super) struct HostedRing {
    /// Its digest.
    pub(super) ring: Digest,
    /// This node's host, whose copies' quarantine is looked for.
    pub(super) host: PublicKey<Host>,
    /// Who is told of it.
    pub(super) quarantine: Quarantine,
}

impl<E: Clock> Upkeep<E> {
    /// Runs until the validator stops.
    pub(super) async fn run(self) {
        // Not by the wall clock: one that is set back must not make a node look lively that hears nothing.
        let (mut height, mut since) = (0, Instant::now());
        let mut exported = (0, 0);
        let mut said = None;
        let mut seen = 0;
        let mut registered = self.hosted.is_none();
        for round in 0_u32.. {
            let progress = self.ledger.subscribe().borrow().clone();
            if progress.height != height {
                (height, since) = (progress.height, Instant::now());
            }
            let idle = since.elapsed();

            let certified = progress.certified.as_ref().map_or(0, |c| c.checkpoint().size());
            if exported != (progress.size, certified) {
                let tiles = self.tiles.clone();
                match self.ledger.look(move |ledger| ledger.export_tiles(tiles)).await {
                    Ok(Ok(_)) => exported = (progress.size, certified),
                    Ok(Err(why)) => tracing::warn!(%why, "the log is not written out"),
                    Err(_) => return,
                }
            }
            if let Some(HostedRing { ring, host, quarantine }) = &self.hosted
                && seen != progress.size
            {
                let (ring, host) = (*ring, *host);
                let told = self.ledger.look(move |ledger| {
                    let state = ledger.state().ok()?;
                    let of_host = state.quarantined(&ring).filter(|copy| copy.host == host);
                    let blocks = of_host.map(|copy| copy.block).collect();
                    Some((blocks, state.outlines(&ring).next().is_some()))
                });
                // A state that cannot be read is an error of the ledger, by which the validator stops.
                match told.await {
                    Ok(Some((blocks, known))) => {
                        quarantine.set(blocks);
                        (registered, seen) = (known, progress.size);
                    }
                    Ok(None) => {}
                    Err(_) => return,
                }
            }
            let lively = height > 0 && idle < self.heartbeat.saturating_mul(HEARTBEATS);
            let near = progress.finalised.saturating_sub(height) <= ON_THE_WAY;
            let caught_up = lively && near && registered;
            self.condition.caught_up.store(caught_up, Ordering::Relaxed);
            if round % TRIED == 0 {
                let tried = try_disk(&self.probe);
                if let Err(why) = &tried {
                    tracing::error!(%why, "the disk cannot be written");
                }
                self.condition.disk_writable.store(tried.is_ok(), Ordering::Relaxed);
            }
            if self.state.is_to_stop() {
                let _ = self.stop.send(true);
            }
            let state = NodeState {
                pid: std::process::id(),
                at: 0,
                height: progress.height,
                size: progress.size,
                certified,
                waiting: self.ledger.waiting().0,
                term: progress.term,
                votes: progress.votes,
                votes_lost: !self.votes,
                caught_up,
                blocks_open: (self.blocks_open)(),
                disk_writable: self.condition.disk_writable(),
            };
            if said.as_ref() != Some(&state) || round % TRIED == 0 {
                if let Err(why) = self.state.write(&NodeState { at: now_ms(), ..state.clone() }) {
                    tracing::warn!(%why, "the node's state is not written");
                }
                said = Some(state);
            }
            self.context.sleep(EVERY).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_is_tried_by_bytes_and_a_folder_that_is_gone_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let probe = folder.path().join("data/disk-probe");
        assert!(try_disk(&probe).is_err());
        std::fs::create_dir(folder.path().join("data")).unwrap();
        try_disk(&probe).unwrap();
        try_disk(&probe).unwrap();
        assert_eq!(std::fs::metadata(&probe).unwrap().len(), PROBE.len() as u64);
    }
}
