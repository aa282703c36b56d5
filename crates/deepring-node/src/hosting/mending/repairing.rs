//! The repair of a copy: its file from other hosts' chunks, its memory from the file, and the entry that says so, countersigned.

use std::collections::BTreeSet;
use std::time::Duration;

use commonware_runtime::Clock;
use deepring::audit::Challenge;
use deepring::files::{Replacement, Turn, TurnError};
use deepring::maintenance::{ChunkPlace, ChunkRepair, ChunkRepairError, SealedChunk};
use deepring::opening::OpenError;
use deepring::{Digest, Header, Host, PublicKey};
use deepring_infer::RunError;
use deepring_infer::engine::Engine;
use deepring_ledger::entry::{Audit, Countersignature, EntryError};
use deepring_ledger::{Binding, Entry, Event};
use thiserror::Error;

use super::message::{CopyAudit, MendBody};
use super::record::{CopyStanding, RecordError, RepairRecord};
use super::{Mender, PATIENCE};

/// How often all copies are asked for a chunk, and the pause between.
const ROUNDS: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);

/// Why a repair did not come to its end. What it did so far stays: a file is whole or as it was, and the ledger says of the copy
/// what it said before.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MendError {
    /// No other copy gave a chunk.
    #[error("no copy of block {} gave its chunk {}", place.block, place.chunk)]
    NoChunk {
        /// Where it stands.
        place: ChunkPlace,
    },
    /// Another file lies where the ring's lay: it is another's to decide.
    #[error("another file lies in the ring's place since this node was started")]
    OtherFile,
    /// Another process is rewriting the file.
    #[error(transparent)]
    Turn(#[from] TurnError),
    /// The file was not written.
    #[error(transparent)]
    Chunks(#[from] ChunkRepairError),
    /// The ring has no such block.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The file's place cannot be looked at or written to.
    #[error("the ring's file: {0}")]
    Io(#[from] std::io::Error),
    /// A block cannot be opened, or is not what was sealed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The random number generator failed.
    #[error("the random number generator failed")]
    NoRandomness,
    /// No other copy that the ledger takes countersigned.
    #[error("no other copy of block {block} countersigned")]
    NotCountersigned {
        /// The block.
        block: u32,
    },
    /// The entry could not be made.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// The ledger did not take it.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// How hosts answered earlier in the same repair.
#[derive(Debug, Default)]
struct AskedBefore {
    liars: BTreeSet<[u8; 64]>,
    silent: BTreeSet<[u8; 64]>,
}

impl<E: Engine, L: RepairRecord> Mender<E, L> {
    /// Repairs the blocks that this host's own alarms quarantine: the file first, of all; then, block by block, memory, audit and
    /// entry. A block for which a step fails keeps the others from nothing.
    pub(super) async fn repair(
        &self,
        context: &impl Clock,
        standing: &CopyStanding,
    ) -> Result<(), MendError> {
        let mut stored = standing.own.clone();
        for block in &standing.own {
            stored.extend(self.shared_by(*block));
        }
        self.restore_file(context, &stored).await?;
        let mut failed = None;
        for block in &standing.own {
            match self.readmit(context, *block).await {
                Ok(index) => {
                    tracing::warn!(block, index, "a repair of this host's copy is recorded")
                }
                Err(why) => {
                    tracing::warn!(block, %why, "this host's copy of a block is not repaired");
                    failed = Some(why);
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Makes the file whole, in these blocks: writes it anew with the chunks that others give, each compared with the owner's digest
    /// before it is written. Nothing is written where nothing is damaged.
    async fn restore_file(
        &self,
        context: &impl Clock,
        blocks: &BTreeSet<u32>,
    ) -> Result<(), MendError> {
        let mut damaged = 0_usize;
        for block in blocks {
            damaged += self.ring.damaged_chunks(*block)?.len();
        }
        if damaged == 0 {
            return Ok(());
        }
        // Who rewrites it now may be the owner, with a newer one: the next try will see.
        let _turn = Turn::take(self.file.place(), Duration::ZERO)?;
        if !self.file.is_in_place()? {
            return Err(MendError::OtherFile);
        }
        let file = Replacement::of(self.file.place())?;
        let mut repair = ChunkRepair::begin(&self.ring, file, blocks)?;
        let mut before = AskedBefore::default();
        while let Some(place) = repair.missing() {
            repair.put(&self.chunk(context, place, &mut before).await?)?;
        }
        self.file.turn_to(repair.commit()?);
        tracing::warn!(damaged, ?blocks, "this host's file of the ring is whole again");
        Ok(())
    }

    /// A chunk, of whichever copy gives it first. Who gives other bytes is not asked again in this repair, and who was silent is asked
    /// last: it costs the wait once, and not for each chunk.
    async fn chunk(
        &self,
        context: &impl Clock,
        place: ChunkPlace,
        before: &mut AskedBefore,
    ) -> Result<SealedChunk, MendError> {
        for round in 0..ROUNDS {
            if round > 0 {
                context.sleep(PAUSE).await;
            }
            let mut hosts: Vec<_> = self.other_hosts(place.block).collect();
            hosts.retain(|host| !before.liars.contains(host.as_bytes()));
            hosts.sort_by_key(|host| before.silent.contains(host.as_bytes()));
            for host in hosts {
                let ask = MendBody::AskChunk { ring: self.ring.digest(), place };
                match self.exchange.inquire(context, &host, ask, PATIENCE).await {
                    Some(MendBody::Chunk(bytes)) => {
                        if let Some(chunk) = self.ring.as_sealed_chunk(place, bytes) {
                            return Ok(chunk);
                        }
                        tracing::warn!(
                            host = host.short(),
                            block = place.block,
                            "a copy gave bytes that were not sealed there"
                        );
                        before.liars.insert(*host.as_bytes());
                    }
                    Some(MendBody::Refused(why)) => {
                        tracing::debug!(host = host.short(), %why, "a copy gives no chunk");
                    }
                    _ => {
                        tracing::debug!(host = host.short(), "a copy gives no chunk in time");
                        before.silent.insert(*host.as_bytes());
                    }
                }
            }
        }
        Err(MendError::NoChunk { place })
    }

    /// Opens a block anew, verifies it whole, has another copy countersign, and has that recorded.
    async fn readmit(&self, context: &impl Clock, block: u32) -> Result<u64, MendError> {
        for user in self.opened_for(block) {
            self.live.write().load_block(user)?;
            // What follows is about what is in memory now, whatever another copy says of it.
            self.live.read().verify_copy(user)?;
        }
        // Asked for anew with every block: the entry of the one before was counted.
        let standing = self.record.standing().await?;
        let mut others = self.other_hosts(block).filter(|host| !standing.is_revoked(host));
        let (audit, source) = match others.next() {
            None => (Audit::none(), "its file".to_owned()),
            Some(_) => self.audited(context, &standing, block).await?,
        };
        let event = Event::Repair {
            ring_id: self.ring.ring_id(),
            ring_digest: self.ring.digest(),
            blocks: vec![block],
            source,
            audit,
        };
        let entry = Entry::now(standing.binding, &event, &self.key.clone().into())?;
        Ok(self.record.record(entry).await?)
    }

    /// Asks the copies that the ledger takes, in turn, to compare their copy with this one and to sign that they are equal.
    async fn audited(
        &self,
        context: &impl Clock,
        standing: &CopyStanding,
        block: u32,
    ) -> Result<(Audit, String), MendError> {
        let challenge = Challenge::fresh(&[block]).map_err(|_| MendError::NoRandomness)?;
        let me = self.key.public();
        let digest = self.live.read().audit(&challenge, &me)?;
        let mut audit = Audit { nonce: *challenge.nonce(), digest, countersignature: None };
        let binding = standing.binding;
        for host in self.other_hosts(block).filter(|host| standing.is_sound(host, block)) {
            let ask = MendBody::AskCountersignature {
                audit: CopyAudit {
                    ring: self.ring.digest(),
                    block,
                    nonce: audit.nonce,
                    answer: digest,
                },
                log: binding.log,
                sequence: binding.sequence,
            };
            match self.exchange.inquire(context, &host, ask, self.patience(block)).await {
                Some(MendBody::Countersigned(signature)) => {
                    let signed = Countersignature { host, signature };
                    if self.is_over(&signed, &audit, binding, block) {
                        audit.countersignature = Some(signed);
                        return Ok((audit, format!("the copies of others, as {}", host.short())));
                    }
                    tracing::warn!(host = host.short(), "a copy's countersignature does not fit");
                }
                Some(MendBody::Refused(why)) => {
                    tracing::info!(host = host.short(), block, %why, "a copy does not countersign");
                }
                _ => tracing::debug!(host = host.short(), "a copy does not countersign in time"),
            }
        }
        Err(MendError::NotCountersigned { block })
    }

    fn is_over(
        &self,
        signed: &Countersignature,
        audit: &Audit,
        binding: Binding,
        block: u32,
    ) -> bool {
        let ring: Digest = self.ring.digest();
        signed.is_over(&audit.statement(binding, &ring, &[block], &self.key.public()))
    }

    /// The other hosts that can open a block.
    pub(super) fn other_hosts(&self, block: u32) -> impl Iterator<Item = PublicKey<Host>> + '_ {
        let me = self.key.public();
        let header = self.ring.headers().get(block as usize);
        header.into_iter().flat_map(Header::hosts).filter(move |host| *host != me)
    }

    /// The shared blocks that a block uses.
    fn shared_by(&self, block: u32) -> Vec<u32> {
        let header = self.ring.headers().get(block as usize);
        header.into_iter().flat_map(Header::shared_blocks).collect()
    }

    /// The blocks that are opened anew for a block: itself, or those that use it, where it is a shared one.
    fn opened_for(&self, block: u32) -> Vec<u32> {
        let held = self.held();
        match held.contains(&block) {
            true => vec![block],
            false => held.into_iter().filter(|b| self.shared_by(*b).contains(&block)).collect(),
        }
    }
}
